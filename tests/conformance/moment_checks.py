"""The checks that files make at moments, each against the product's own answers and reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ipse import CanonicalId, FormerId, Identifier, Profile, Rule, Verdict
from ipse.model import FoundBy

from tests.conformance import vocabulary
from tests.conformance.case import Case, Inexpressible
from tests.conformance.moment_events import Happened, Held, Stage, State, owner, time_of
from tests.target import Pair

OF_STATE = frozenset(
    {
        "same",
        "different",
        "partition",
        "canonical",
        "event_owner",
        "profile",
        "profile_count",
        "resolves",
        "no_profile",
    }
)
"""Checks of how things stand: they hold after a restart, too."""

_COMMON_KEYS = frozenset(
    {"at", "check", "note", "notes", "why", "message", "compare", "source_mpid", "version"}
)
_CHECK_KEYS = {
    "same": frozenset({"ids", "a", "b"}),
    "different": frozenset({"a", "b", "ids"}),
    "partition": frozenset({"clusters"}),
    "canonical": frozenset({"id", "ids", "is"}),
    "event_owner": frozenset({"event", "owner"}),
    "refused": frozenset({"reason", "event", "id", "source"}),
    "accepted": frozenset({"event", "id"}),
    "profile": frozenset(
        {
            "id",
            "is_identified",
            "known",
            "properties",
            "traits",
            "fields",
            "created_at",
            "ids",
            "distinct_ids",
        }
    ),
    "profile_count": frozenset({"n", "count", "is"}),
    "survivor": frozenset({"id", "ids", "is", "survivor", "of"}),
    "resolves": frozenset({"id", "ids", "old", "from", "to", "is", "new"}),
    "unchanged": frozenset({"id", "ids", "profile", "since"}),
    "no_profile": frozenset({"id", "ids"}),
    "emits": frozenset({"kind", "event", "record", "id", "ids", "from", "to", "into"}),
}


class Checks:
    """A scenario under way: what each event came to, and how to check it."""

    def __init__(self, stage: Stage, case: Case) -> None:
        self.stage = stage
        self.case = case
        self.history: list[Happened] = []

    def play(self, event: dict[str, Any]) -> None:
        """Plays an event and keeps what it came to."""
        self.history.append(self.stage.play(event))

    def check(self, where: str, check: dict[str, Any]) -> None:
        """Makes one check; what fails is recorded."""
        kind = check["check"]
        if kind not in _CHECK_KEYS:
            self.case.fail(where, "cannot be expressed")
            return
        for key in sorted(set(check) - _CHECK_KEYS[kind] - _COMMON_KEYS):
            self.case.fail(f"{where}.{key}", "cannot be expressed")
        make: Callable[[str, dict[str, Any]], None] = getattr(self, f"_{kind}")
        make(where, check)

    def _same(self, where: str, check: dict[str, Any]) -> None:
        owners = {str(pair): self._owner(pair) for pair in self._pairs(check, "a", "b")}
        if None in owners.values() or len(set(owners.values())) != 1:
            self.case.fail(where, f"not one profile: {owners}")

    def _different(self, where: str, check: dict[str, Any]) -> None:
        pairs = self._pairs(check, "a", "b")
        if len(set(self._clusters(pairs).values())) != len(pairs):
            self.case.fail(where, f"some are on one profile: {self._clusters(pairs)}")

    def _partition(self, where: str, check: dict[str, Any]) -> None:
        expected = {
            frozenset(self.stage.pair(each) for each in cluster) for cluster in check["clusters"]
        }
        found: dict[object, set[Pair]] = {}
        for pair, cluster in self._clusters([each for all_ in expected for each in all_]).items():
            found.setdefault(cluster, set()).add(pair)
        actual = {frozenset(pairs) for pairs in found.values()}
        self.case.check(where, _readable(expected), _readable(actual))

    def _clusters(self, pairs: list[Pair]) -> dict[Pair, object]:
        """What each is on; an identifier on no profile is a cluster of its own."""
        return {pair: self._owner(pair) or pair for pair in pairs}

    def _canonical(self, where: str, check: dict[str, Any]) -> None:
        for pair in self._pairs(check):
            self.case.check(where, True, self._is_named(Identifier(*pair), check["is"]))

    def _event_owner(self, where: str, check: dict[str, Any]) -> None:
        happened = self._happened(check["event"])
        answer = happened.answer
        by = None if answer is None else answer.attributed_by
        expected = check["owner"]
        if expected is None or by is None:
            self.case.check(where, expected, by)
        elif isinstance(expected, str):
            if not self._is_named(by, expected):
                found = self.stage.profile(by)
                self.case.fail(where, f"expected {expected}, got {found and _names(found)}")
        else:
            profile = self.stage.profile(by)
            actual = profile and profile.profile_id
            self.case.check(where, self._owner(self.stage.pair(expected)), actual)

    def _is_named(self, by: FoundBy, name: str) -> bool:
        """Whether a public id is that of the profile that `by` finds: the canonical id where the
        rules make one, otherwise the value of the strongest namespace that it has."""
        profile = self.stage.profile(by)
        if profile is None:
            return False
        if self.stage.peer.canonical_is_any_member:
            return name in {held.identifier.value for held in profile.identifiers}
        return name in _names(profile)

    def _refused(self, where: str, check: dict[str, Any]) -> None:
        happened = self._happened(check.get("event", check["at"]))
        if not happened.refusals:
            self.case.fail(where, "nothing was refused")
        if "reason" not in check:
            return
        meaning = vocabulary.refusal(str(check["reason"]))
        if meaning is None:
            self.case.fail(where, f"the reason {check['reason']!r} is not in the vocabulary")
        elif not meaning & happened.refusals:
            got = ", ".join(sorted(happened.refusals)) or "nothing"
            self.case.fail(where, f"expected {check['reason']}, refused was {got}")

    def _accepted(self, where: str, check: dict[str, Any]) -> None:
        happened = self._happened(check.get("event", check["at"]))
        kept = {Rule.VALUE_LIMIT, Rule.HELD_ELSEWHERE}
        accepted = kept if self.stage.peer.accepts_every_event else set()
        self.case.check(where, set(), happened.refusals - accepted)

    def _profile(self, where: str, check: dict[str, Any]) -> None:
        profile = self.stage.profile(Identifier(*self.stage.pair(check["id"])))
        if profile is None:
            self.case.fail(where, "there is no such profile")
            return
        held = Held.of(profile)
        for key in ("is_identified", "known"):
            if key in check:
                self.case.check(f"{where}.{key}", check[key], held.known)
        for key in ("properties", "traits"):
            if key in check:
                self.case.check(f"{where}.{key}", check[key], held.traits)
        for name, value in check.get("fields", {}).items():
            self.case.check(f"{where}.fields.{name}", value, held.traits.get(name))
        if "created_at" in check:
            expected = time_of(check["created_at"])
            self.case.check(f"{where}.created_at", expected, held.created_time)
        for key in ("ids", "distinct_ids"):
            if key in check:
                expected_ids = {self.stage.pair(each) for each in check[key]}
                self.case.check(f"{where}.{key}", expected_ids, set(held.identifiers))

    def _profile_count(self, where: str, check: dict[str, Any]) -> None:
        described = self.stage.target.call.get_workspace(self.stage.workspace)
        expected = next(check[key] for key in ("n", "count", "is") if key in check)
        self.case.check(where, expected, described.profile_count)

    def _survivor(self, where: str, check: dict[str, Any]) -> None:
        """The profile that the named identifier had is the one whose id goes on."""
        named = next(check[key] for key in ("is", "survivor", "id", "of") if key in check)
        others = check.get("ids", [] if named is check.get("of") else check.get("of", []))
        if isinstance(named, str) and others:
            for each in others:
                pair = Identifier(*self.stage.pair(each))
                self.case.check(where, True, self._is_named(pair, named))
            if not self._held_values(named):
                return
        survivor = self._pair_of(named)
        before = self._first_owner(survivor, check["at"])
        after = self._owner(survivor)
        if before is not None:
            self.case.check(where, before, after)
        for each in others:
            self.case.check(f"{where} of {each}", after, self._owner(self.stage.pair(each)))

    def _held_values(self, value: str) -> list[Pair]:
        held = self.history[-1].after.values()
        return sorted({pair for each in held for pair in each.identifiers if pair[1] == value})

    def _pair_of(self, named: Any) -> Pair:
        """An identifier, also where the file gives its value alone."""
        found = self._held_values(named) if isinstance(named, str) else []
        return found[0] if found else self.stage.pair(named)

    def _first_owner(self, pair: Pair, at: Any) -> str | None:
        """Whose the identifier was before that event, or, of the end, at first."""
        if at != "end":
            return owner(self._happened(at).before, pair)
        owners = (owner(happened.after, pair) for happened in self.history)
        return next((each for each in owners if each), None)

    def _resolves(self, where: str, check: dict[str, Any]) -> None:
        """Each of the ids, old ones too, finds the profile that is meant."""
        ids = [
            *check.get("ids", ()),
            *(check[key] for key in ("id", "old", "from") if key in check),
        ]
        wanted = next((check[key] for key in ("to", "is", "new") if key in check), None)
        for each in ids:
            found = self._find(each)
            if found is None:
                self.case.fail(where, f"{each} finds nobody")
            elif wanted is not None and not (isinstance(wanted, str) and wanted in _names(found)):
                meant = self._find(wanted)
                self.case.check(where, meant and meant.profile_id, found.profile_id)

    def _find(self, named: Any) -> Profile | None:
        """What an identifier, a former id, a canonical id or a bare value finds."""
        if not isinstance(named, str):
            return self.stage.profile(Identifier(*self.stage.pair(named)))
        lookups: list[FoundBy] = [FormerId(named), CanonicalId(named)]
        lookups += [Identifier(*pair) for pair in self._held_values(named)]
        return next((found for each in lookups if (found := self.stage.profile(each))), None)

    def _unchanged(self, where: str, check: dict[str, Any]) -> None:
        """What is named, or else everything, is as it was before the event."""
        before = self._happened(check.get("since", check["at"])).before
        after = self._happened(check["at"]).after
        if {"id", "ids", "profile"} & set(check):
            for pair in self._pairs(check, "profile"):
                self.case.check(f"{where} of {pair}", _view(before, pair), _view(after, pair))
        else:
            self.case.check(where, before, after)

    def _no_profile(self, where: str, check: dict[str, Any]) -> None:
        for pair in self._pairs(check):
            profile = self.stage.profile(Identifier(*pair))
            alone = profile is not None and profile.identifier_count == 1
            if alone and not self.stage.peer.stores_single_identifiers:
                continue
            self.case.check(where, None, profile and profile.profile_id)

    def _emits(self, where: str, check: dict[str, Any]) -> None:
        happened = self._happened(check["at"])
        named = check.get("kind", check.get("record", check.get("event")))
        kind = vocabulary.change(str(named))
        if kind is None:
            raise Inexpressible(f"{where}: {named!r} is not in the vocabulary")
        emitted = _emitted(happened)
        touched = emitted.get(kind)
        if touched is None:
            self.case.fail(where, f"expected {named}, got {sorted(map(str, emitted))}")
            return
        for pair in self._pairs(check, "from", "to", "into"):
            if pair not in touched:
                self.case.fail(where, f"{named} does not name {pair}, but {sorted(touched)}")

    def _happened(self, at: Any) -> Happened:
        """The last event of that moment."""
        if at == "end":
            return self.history[-1]
        past = [happened for happened in self.history if happened.event["t"] <= at]
        if not past:
            raise Inexpressible(f"no event has happened at {at!r}")
        return past[-1]

    def _pairs(self, check: dict[str, Any], *further: str) -> list[Pair]:
        """The identifiers under `ids`, `id` and further keys."""
        named = [*check.get("ids", ())]
        named += [check[key] for key in ("id", *further) if key in check]
        return [self.stage.pair(each) for each in named]

    def _owner(self, pair: Pair) -> str | None:
        profile = self.stage.profile(Identifier(*pair))
        return profile.profile_id if profile else None


def _names(profile: Profile) -> set[str]:
    """Its public id: the canonical one, or else every value of its strongest namespace."""
    if profile.canonical_id:
        return {profile.canonical_id}
    strongest = profile.identifiers[:1]
    return {value for held in strongest for value in profile.values(held.identifier.namespace)}


def _view(state: State, pair: Pair) -> Held | None:
    id_ = owner(state, pair)
    return state[id_] if id_ else None


def _emitted(happened: Happened) -> dict[str, set[Pair]]:
    """The kinds of change that the answer tells of, each with the identifiers it names."""
    answer = happened.answer
    emitted: dict[str, set[Pair]] = {}
    if happened.refusals:
        emitted["refused"] = set()
    if answer is None:
        return emitted
    own = {(each.identifier.namespace, each.identifier.value) for each in answer.verdicts}
    for each in answer.verdicts:
        pair = (each.identifier.namespace, each.identifier.value)
        emitted.setdefault("refused" if each.rule else each.verdict, set()).add(pair)
        if each.verdict == Verdict.TRANSFERRED:
            # What tied it to its former profile gave way.
            emitted.setdefault("displaced", set()).add(pair)
    for move in answer.moves:
        emitted.setdefault(move.cause, set()).add(
            (move.identifier.namespace, move.identifier.value)
        )
    if answer.created:
        emitted["created"] = own
    if answer.absorbed_profile_ids or happened.merged:
        merged = happened.after.get(answer.profile_id)
        emitted["merged"] = own | (set(merged.identifiers) if merged else set())
    return emitted


def _readable(clusters: set[frozenset[Pair]]) -> list[list[str]]:
    return sorted(sorted(f"{name}={value}" for name, value in cluster) for cluster in clusters)
