"""The config of a scenario with checks at moments, as rules: its system's preset with the
scenario on top.

The namespaces of the workspace are those that the scenario names, anywhere; what the preset says
of one stands unless the config says otherwise. Their names may have capitals where ours have
none, so each gets one of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tests import toml_text
from tests.conformance import segment_rules, vocabulary
from tests.conformance.case import Inexpressible
from tests.conformance.preset_rules import CAP_MAX, UNLIMITED, only, preset, word
from tests.conformance.vocabulary import Peer

_REMARKS = frozenset(
    {
        "system",
        "namespaces",
        "link_formation",
        "verbs",
        "created_at",
        "profile_id",
        "public_id",
        "order_by",
        "reversibility",
        "note",
        "notes",
        "why",
    }
)
"""Keys that describe what the system always does, or that are read elsewhere."""
_NAMESPACE_KEYS = frozenset(
    {
        "kind",
        "priority",
        "unique_per_profile",
        "max_per_profile",
        "limit",
        "dedupe_key",
        "exclusive_owner",
        "shared",
        "value_prefix",
        "login",
        "blocked",
        "note",
    }
)
_KINDS_BY_STRENGTH = ("person", "email", "phone", "device", "cookie", "token", "partner")
_NO_PRIORITY = 10**6

T = TypeVar("T")

Names = dict[str, str]
"""Their namespaces' names, to ours."""


def names(scenario: dict[str, Any], peer: Peer) -> Names:
    """Every namespace that the scenario names, those of its config first; where the config names
    none, those of the preset."""
    used = dict.fromkeys(_used([scenario["events"], scenario["expected"]]))
    known = {_skeleton(name): name for name in preset(peer.preset)["namespaces"]}
    theirs = dict.fromkeys(scenario["config"].get("namespaces") or _as_spelled(known, used))
    theirs.update(used)
    ours: Names = {}
    for name in theirs:
        plain = known.get(_skeleton(name), re.sub(r"[^a-z0-9_.-]", "_", name.lower()))
        plain = plain if plain[:1].isalpha() else f"n{plain}"
        while plain in ours.values():
            plain += "_"
        ours[name] = plain
    return ours


def _as_spelled(known: dict[str, str], used: Iterable[str]) -> list[str]:
    """The preset's namespaces, each as the scenario spells it where it names it."""
    spelled = {_skeleton(name): name for name in used}
    return [spelled.get(skeleton, name) for skeleton, name in known.items()]


def _skeleton(name: str) -> str:
    """What two spellings of one name have in common."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _used(part: Any, key: str = "") -> Iterator[str]:
    """The namespaces of the pairs below `part`; two texts are a pair but where a plain list of
    values is allowed."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name not in ("set", "set_once", "properties", "traits", "fields"):
                yield from _used(value, name)
    elif isinstance(part, list):
        is_pair = len(part) == 2 and all(isinstance(each, str) for each in part)
        if is_pair and key not in ("ids", "verbs", "merged_ids", "sources"):
            yield part[0]
        elif not is_pair:
            for value in part:
                yield from _used(value)


def rules_toml(config: dict[str, Any], peer: Peer, ours: Names) -> str:
    """The rules of a scenario's workspace. Raises Inexpressible."""
    rules = preset(peer.preset)
    namespaces = _namespaces(config.get("namespaces", {}), rules["namespaces"], ours)
    workspace = rules.get("workspace", {})
    commands = rules.get("commands", {})
    _settings(config, peer, ours, workspace, commands, namespaces)
    _without_strangers(workspace, namespaces)
    parts = {"workspace": workspace, "commands": commands, "traits": rules.get("traits", {})}
    document = {name: part for name, part in parts.items() if part}
    return toml_text.dumps(document | {"namespaces": namespaces})


def _namespaces(
    config: dict[str, Any], known: dict[str, Any], ours: Names
) -> dict[str, dict[str, Any]]:
    namespaces: dict[str, dict[str, Any]] = {}
    for theirs, name in ours.items():
        entry = dict(known.get(name, {"limit": UNLIMITED}))
        # Events come with their identifiers here, so nothing is read out of them.
        for place in ("from", "key"):
            entry.pop(place, None)
        namespaces[name] = _namespace(theirs, config.get(theirs) or {}, entry)
    _rank(config, namespaces, ours)
    return namespaces


def _namespace(theirs: str, config: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    where = f"config.namespaces.{theirs}"
    only(config, _NAMESPACE_KEYS, where)
    for key in ("unique_per_profile", "max_per_profile", "limit"):
        if key in config:
            entry["limit"] = _limit(config[key], f"{where}.{key}")
    if config.get("kind", vocabulary.NO_KIND) != vocabulary.NO_KIND:
        entry["kind"] = word(vocabulary.KINDS, config["kind"], f"{where}.kind")
    if "exclusive_owner" in config:
        _set_flag(entry, "exclusive", bool(config["exclusive_owner"]))
    for key in ("shared", "login"):
        if key in config:
            _set_flag(entry, key, bool(config[key]))
    if "value_prefix" in config:
        entry.pop("canonical_prefix", None)
        if config["value_prefix"]:
            entry["canonical_prefix"] = config["value_prefix"]
    if "blocked" in config:
        entry["blocked"] = [
            segment_rules.blocked(value, where) if isinstance(value, dict) else value
            for value in config["blocked"] or ()
        ]
    return entry


def _limit(values: Any, where: str) -> int | str | dict[str, Any]:
    if isinstance(values, dict):
        return segment_rules.limit(values, where)
    return UNLIMITED if _is_none(values) else int(values)


def _is_none(limit: Any) -> bool:
    return limit is None or limit is False or limit in ("none", "unlimited")


def _set_flag(entry: dict[str, Any], key: str, value: bool) -> None:
    entry.pop(key, None)
    if value:
        entry[key] = True


def _rank(config: dict[str, Any], namespaces: dict[str, dict[str, Any]], ours: Names) -> None:
    """Gives each namespace a priority of its own: the config's, then the preset's, then its kind's.

    Numbers that the config gives stay as they are, because sums of them may count.
    """

    def place(theirs: str) -> tuple[float, float, int]:
        entry = namespaces[ours[theirs]]
        kind = entry.get("kind", "person")
        return (
            (config.get(theirs) or {}).get("priority", _NO_PRIORITY),
            entry.get("priority", _NO_PRIORITY),
            _KINDS_BY_STRENGTH.index(kind),
        )

    last = 0
    for theirs in sorted(ours, key=place):
        given = (config.get(theirs) or {}).get("priority", 0)
        last = max(last + 1, given)
        namespaces[ours[theirs]]["priority"] = last


def _settings(
    config: dict[str, Any],
    peer: Peer,
    ours: Names,
    workspace: dict[str, Any],
    commands: dict[str, Any],
    namespaces: dict[str, dict[str, Any]],
) -> None:
    only(config, _SETTINGS | _REMARKS, "config")
    if "trigger" in config:
        workspace["trigger"] = _phrase(vocabulary.TRIGGERS, config["trigger"], "trigger")
    for key in _given(config, "on_conflict", "bind"):
        _set_conflict(str(config[key]), key, ours, workspace, namespaces)
    for key in _given(config, "anonymous_attribution", "anonymous_history"):
        workspace["anonymous_history"] = _phrase(vocabulary.HISTORIES, config[key], key)
    for key in ("identified_guard", "guard", "guards"):
        # One that is given as nothing is one that the scenario takes away.
        if key in config:
            _set_guards(config[key], key, commands)
    _set_caps(config, peer, workspace)
    for theirs, entry in config.get("namespaces", {}).items():
        if (entry or {}).get("dedupe_key"):
            workspace["key"] = ours[theirs]
    _set_survivor(config.get("survivor") or "any", workspace, namespaces)


def _given(config: dict[str, Any], *keys: str) -> list[str]:
    return [key for key in keys if config.get(key) is not None]


_SETTINGS = frozenset(
    {
        "trigger",
        "on_conflict",
        "bind",
        "survivor",
        "anonymous_attribution",
        "anonymous_history",
        "max_ids",
        "max_moved_ids",
        "max_merges",
        "over_limit",
        "identified_guard",
        "guard",
        "guards",
    }
)


def _set_conflict(
    text: str,
    key: str,
    ours: Names,
    workspace: dict[str, Any],
    namespaces: dict[str, dict[str, Any]],
) -> None:
    meaning = _phrase(vocabulary.CONFLICTS, text, key)
    named = [name for theirs, name in ours.items() if re.search(rf"\b{re.escape(theirs)}\b", text)]
    if meaning != vocabulary.TRANSFER or not (named or text.startswith(vocabulary.OWNER_TAKES)):
        workspace["conflict"] = meaning
    for name in named if meaning == vocabulary.TRANSFER else ():
        # It says of these namespaces, not of the whole, that an identifier moves.
        namespaces[name]["exclusive"] = True


def _set_survivor(
    text: Any, workspace: dict[str, Any], namespaces: dict[str, dict[str, Any]]
) -> None:
    survivor = _phrase(vocabulary.SURVIVORS, text, "survivor")
    if survivor != vocabulary.LEFT_OPEN:
        workspace["survivor"] = survivor
    has_prefix = any(entry.get("canonical_prefix") for entry in namespaces.values())
    if workspace.get("survivor") == "strongest_identifier" or has_prefix:
        # The strongest identifier is what such a system shows of a profile, too.
        strongest_first = sorted(namespaces, key=lambda name: namespaces[name]["priority"])
        workspace["canonical_id"] = strongest_first


def _set_caps(config: dict[str, Any], peer: Peer, workspace: dict[str, Any]) -> None:
    if "max_ids" in config:
        workspace["identifiers_max"] = _cap(config["max_ids"], peer.identifiers_beside_cap)
    if "max_moved_ids" in config:
        workspace["moved_max"] = _cap(config["max_moved_ids"])
    if "max_merges" in config:
        workspace["merges_max"] = _cap(config["max_merges"])
    if config.get("over_limit") is not None:
        _set_over_limit(str(config["over_limit"]), workspace)


def _cap(cap: Any, beside: int = 0) -> int:
    return CAP_MAX if _is_none(cap) else int(cap) + beside


def _set_over_limit(text: str, workspace: dict[str, Any]) -> None:
    """`refuse`, or which identifier gives way: the oldest, or the oldest by an order of kinds."""
    order = workspace.pop("evict_order", None)
    if "<" in text:
        groups = [re.findall(r"[a-z_]+(?:/[a-z_]+)*", part) for part in text.split("<")]
        groups[0], groups[1:] = groups[0][-1:], [group[:1] for group in groups[1:]]
        kinds = [kind for (group,) in groups[:-1] for kind in group.split("/")]
        workspace["over_limit"] = "evict_by_kind"
        # The last group comes last in any case, all of it together.
        workspace["evict_order"] = [word(vocabulary.KINDS, kind, "over_limit") for kind in kinds]
    else:
        workspace["over_limit"] = _phrase(vocabulary.OVER_LIMIT, text, "over_limit")
        if workspace["over_limit"] == "evict_by_kind":
            workspace["evict_order"] = order or list(vocabulary.EVICT_ORDER)


def _set_guards(text: Any, key: str, commands: dict[str, Any]) -> None:
    guards = text if isinstance(text, list) else [text]
    for guard in guards:
        for command, setting in _phrase(vocabulary.GUARDS, guard or "none", key).items():
            commands.setdefault(command, {}).update(setting)


def _without_strangers(workspace: dict[str, Any], namespaces: dict[str, dict[str, Any]]) -> None:
    """Takes out what the preset says of namespaces that are not in the scenario."""
    if workspace.get("key") not in namespaces:
        workspace.pop("key", None)
    if "canonical_id" in workspace:
        workspace["canonical_id"] = [
            name for name in workspace["canonical_id"] if name in namespaces
        ]
    for entry in namespaces.values():
        if "per" in entry:
            entry["per"] = {name: n for name, n in entry["per"].items() if name in namespaces}
        if entry.get("sha256_of", "") not in namespaces:
            entry.pop("sha256_of", None)


def _phrase(words: dict[str, T], text: Any, where: str) -> T:
    """What our table makes of the words that a setting begins with; a remark may follow them."""
    for phrase in sorted(words, key=len, reverse=True):
        spelled = r"[\s_-]+".join(map(re.escape, phrase.split("_")))
        if re.match(rf"{spelled}(?![a-zA-Z0-9_])", str(text).strip(), re.IGNORECASE):
            return words[phrase]
    raise Inexpressible(f"{where}: {text!r} is not in the vocabulary")
