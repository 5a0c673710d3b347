"""A Segment scenario's config as rules: the preset `segment` with the scenario on top.

A config that lists its types lists all of them: a type that it leaves out is not in the
workspace, and one that it lists without blocked values blocks none. Where each type is
found in an event is not the scenario's to say and comes from the preset.
"""

from __future__ import annotations

from typing import Any

from tests import toml_text
from tests.conformance import preset_rules
from tests.conformance.case import Inexpressible
from tests.conformance.preset_rules import only, word
from tests.conformance.vocabulary import SEGMENT

_CONFIG_KEYS = frozenset(
    {"system", "types", "drop_policy", "survivor", "max_merges", "max_mappings"}
)
_TYPE_KEYS = frozenset({"type", "priority", "limit", "blocked", "custom"})


def rules_toml(config: dict[str, Any]) -> str:
    """The rules of a scenario's workspace. Raises Inexpressible."""
    only(config, _CONFIG_KEYS, "config")
    rules = preset()
    rules["workspace"] = rules.get("workspace", {}) | _workspace(config)
    if "types" in config:
        known = rules.get("namespaces", {})
        rules["namespaces"] = {
            entry["type"]: _namespace(entry, known.get(entry["type"], {}))
            for entry in config["types"]
        }
    return toml_text.dumps(rules)


def preset() -> dict[str, Any]:
    """The preset that Segment scenarios start from, parsed."""
    return preset_rules.preset(SEGMENT.preset)


def _workspace(config: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if "drop_policy" in config:
        settings["conflict"] = word(SEGMENT.conflicts, config["drop_policy"], "drop_policy")
    if "survivor" in config:
        settings["survivor"] = word(SEGMENT.survivors, config["survivor"], "survivor")
    if "max_merges" in config:
        settings["merges_max"] = config["max_merges"]
    if "max_mappings" in config:
        settings["identifiers_max"] = config["max_mappings"]
    return settings


def _namespace(entry: dict[str, Any], preset: dict[str, Any]) -> dict[str, Any]:
    where = f"config.types[{entry.get('type')}]"
    only(entry, _TYPE_KEYS, where)
    namespace = dict(preset)
    if "priority" in entry:
        namespace["priority"] = entry["priority"]
    if "limit" in entry:
        namespace["limit"] = limit(entry["limit"], where)
    if entry.get("custom"):
        namespace["key"] = entry["type"]
    namespace["blocked"] = [blocked(value, where) for value in entry.get("blocked", [])]
    return namespace


def limit(entry: dict[str, Any], where: str) -> int | dict[str, Any]:
    """A limit of theirs as one of ours."""
    only(entry, frozenset({"value", "frequency"}), f"{where}.limit")
    window = word(SEGMENT.windows, entry.get("frequency", "ever"), f"{where}.limit.frequency")
    if window == "ever":
        return int(entry["value"])
    return {"values": int(entry["value"]), "window": window}


def blocked(entry: dict[str, Any], where: str) -> str | dict[str, str]:
    """A blocked value of theirs as one of ours."""
    only(entry, frozenset({"kind", "value"}), f"{where}.blocked")
    match entry["kind"]:
        case "exact":
            return str(entry["value"])
        case "regex":
            return {"regex": str(entry["value"])}
        case kind:
            raise Inexpressible(f"{where}.blocked: kind {kind!r} is not in the vocabulary")
