"""Plays the events of a scenario with checks at moments: each op is one call of ours or several.

What a vendor's server does around its own rules (ignoring a verb, refusing a verb on one and the
same identifier, clearing what a split leaves behind) is done here, and nowhere in the product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ipse import (
    Event,
    Identifier,
    ImportedIdentifier,
    ImportedProfile,
    ImportedTrait,
    ItemError,
    MergeAnswer,
    MergeVerdict,
    Profile,
    Refused,
    Resolution,
    Verdict,
)

from tests.conformance import vocabulary
from tests.conformance.case import Inexpressible
from tests.conformance.peer_rules import Names
from tests.conformance.vocabulary import Peer
from tests.target import Pair, Target

_COMMON_KEYS = frozenset({"t", "op", "timestamp", "note", "notes", "why", "message"})
_TRAIT_KEYS = frozenset({"set", "set_once", "unset", "properties", "traits"})
_TARGET_KEYS = ("distinct_id", "identified_id", "user_id", "id")
_SOURCE_KEYS = ("anon", "anon_id", "anon_distinct_id", "alias", "source")
_KEYS_OF_KEYS = ("key", "dedupe_key", "dedupe_on", "unique_by")
_OPS_KEYS = {
    "observe": frozenset({"ids", "id", *_KEYS_OF_KEYS}) | _TRAIT_KEYS,
    "observe_distinct_id": frozenset({"ids", "id", "value", "distinct_id"}) | _TRAIT_KEYS,
    "identify": frozenset({*_TARGET_KEYS, *_SOURCE_KEYS, "ids"}) | _TRAIT_KEYS,
    "create_alias": frozenset({*_TARGET_KEYS, *_SOURCE_KEYS}) | _TRAIT_KEYS,
    "merge_dangerously": frozenset({*_TARGET_KEYS, *_SOURCE_KEYS}) | _TRAIT_KEYS,
    "merge": frozenset(
        {"ids", "target", "sources", "move_limit", "allow_identified_sources", *_TARGET_KEYS}
    )
    | _TRAIT_KEYS,
    "split": frozenset({"person_of", "main", "ids", "max_splits", "id"}),
    "reset": frozenset({"ids", "id", "device_id"}),
    "login": frozenset({"ids", "id", "key", *_SOURCE_KEYS}) | _TRAIT_KEYS,
    "logout": frozenset({"ids", "id"}) | _TRAIT_KEYS,
    "given_person": frozenset(
        {"ids", "id", "is_identified", "created_at", "fields", "profile_id", "uuid", "version"}
    )
    | _TRAIT_KEYS,
    "merge_cluster_that_would_reach": frozenset({"size", "ids"}),
}
_OPS_KEYS["given_profile"] = _OPS_KEYS["given_person"]


@dataclass(frozen=True)
class Held:
    """One profile at one moment."""

    known: bool
    created_time: datetime
    identifiers: frozenset[Pair]
    traits: dict[str, Any]

    @classmethod
    def of(cls, profile: Profile) -> Held:
        pairs = (each.identifier for each in profile.identifiers)
        return cls(
            profile.known,
            profile.created_time,
            frozenset((pair.namespace, pair.value) for pair in pairs),
            dict(profile.traits),
        )


State = dict[str, Held]
"""The profiles of a workspace at one moment, by id."""


def owner(state: State, identifier: Pair) -> str | None:
    """The profile that held an identifier at that moment."""
    return next((id_ for id_, held in state.items() if identifier in held.identifiers), None)


@dataclass
class Happened:
    """What an event came to."""

    event: dict[str, Any]
    before: State
    after: State = field(default_factory=dict)
    answer: Resolution | None = None
    refusals: set[str] = field(default_factory=set)
    """The rules, error reasons and words of the runner's own that stood in its way."""
    merged: bool = False
    """Whether a source of a merge became part of the target."""


class Stage:
    """The workspace that the events go to."""

    def __init__(
        self,
        target: Target,
        workspace: str,
        names: Names,
        peer: Peer,
        prefixes: dict[str, str],
    ) -> None:
        self.target = target
        self.workspace = workspace
        self.names = names
        self.peer = peer
        self.prefixes = prefixes
        """What stands before a value in a public id, by namespace."""

    def play(self, event: dict[str, Any]) -> Happened:
        """Plays one event."""
        op = event["op"]
        if op not in _OPS_KEYS:
            raise Inexpressible(f"the op {op!r} cannot be expressed")
        unknown = sorted(set(event) - _OPS_KEYS[op] - _COMMON_KEYS)
        if unknown:
            raise Inexpressible(f"{op}: {', '.join(unknown)} cannot be expressed")
        happened = Happened(event, self.state())
        if op not in self.peer.ignored_verbs:
            play: Callable[[Happened], None] = getattr(self, f"_{op}")
            try:
                play(happened)
            except Refused as refused:
                happened.refusals.add(refused.reason)
        happened.after = self.state()
        return happened

    def state(self) -> State:
        """All profiles now."""
        listed = self.target.call.list_profiles(workspace=self.workspace)
        return {profile.profile_id: Held.of(self._whole(profile)) for profile in listed}

    def pair(self, identifier: Any) -> Pair:
        """An identifier of a file, under our name for its namespace; a plain text is of the only
        namespace, or the last that the file names."""
        if isinstance(identifier, str):
            return self._default_namespace(), identifier
        namespace, value = identifier
        if namespace not in self.names:
            raise Inexpressible(f"the namespace {namespace!r} is not in the scenario")
        return self.names[namespace], str(value)

    def profile(self, lookup: Any) -> Profile | None:
        """A profile, or None if there is none or the identifier is not one that can be."""
        try:
            return self.target.call.get_profile(lookup, workspace=self.workspace)
        except Refused:
            return None

    def _whole(self, profile: Profile) -> Profile:
        if profile.identifier_count == len(profile.identifiers):
            return profile
        return self.target.call.get_profile(profile.profile_id, workspace=self.workspace)

    def _default_namespace(self) -> str:
        return list(self.names.values())[-1]

    def _observe(self, happened: Happened) -> None:
        event = happened.event
        sent = self._event(event, self._pairs(event))
        answer = self.target.call.resolve(sent, workspace=self.workspace)
        self._answered(happened, answer)
        if self.peer.forgets_anonymous_fields:
            self._forget_anonymous_fields(happened, answer, sent)

    def _forget_anonymous_fields(self, happened: Happened, answer: Resolution, sent: Event) -> None:
        """Where a profile became known by this event, what it was told before is lost there."""
        before = happened.before.get(answer.profile_id)
        if before is None or before.known or not answer.known:
            return
        lost: dict[str, Any] = dict.fromkeys(set(before.traits) - set(sent.traits))
        if lost:
            forget = replace(sent, traits=lost, traits_once={})
            self.target.call.resolve(forget, workspace=self.workspace)

    def _observe_distinct_id(self, happened: Happened) -> None:
        event = happened.event
        pairs = self._pairs(event)
        if not pairs:
            value = event.get("value", event.get("distinct_id", ""))
            pairs = [self._public(value)]
        sent = self._event(event, pairs)
        self._answered(happened, self.target.call.resolve(sent, workspace=self.workspace))

    def _public(self, value: str) -> Pair:
        """The identifier that one public id stands for: a prefix says of which namespace it is."""
        for namespace, prefix in self.prefixes.items():
            if prefix and value.startswith(prefix):
                return namespace, value.removeprefix(prefix)
        plain = [name for name, prefix in self.prefixes.items() if not prefix]
        return (plain or [self._default_namespace()])[0], value

    def _identify(self, happened: Happened) -> None:
        event = happened.event
        target, source = self._target(event), self._source(event)
        if source is None or self._are_same(happened, target, source):
            sent = self._event(event, self._pairs(event) or target)
            self._answered(happened, self.target.call.resolve(sent, workspace=self.workspace))
            return
        self._answered(
            happened,
            self.target.call.login(
                self._event(event, target),
                anonymous_identifiers=[source],
                workspace=self.workspace,
            ),
        )

    def _login(self, happened: Happened) -> None:
        event = happened.event
        source = self._source(event)
        self._answered(
            happened,
            self.target.call.login(
                self._event(event, self._pairs(event)),
                anonymous_identifiers=[] if source is None else [source],
                workspace=self.workspace,
            ),
        )

    def _logout(self, happened: Happened) -> None:
        event = happened.event
        sent = self._event(event, self._pairs(event))
        self._answered(happened, self.target.call.logout(sent, workspace=self.workspace))

    def _create_alias(self, happened: Happened) -> None:
        self._link(happened, force=False)

    def _merge_dangerously(self, happened: Happened) -> None:
        self._link(happened, force=True)

    def _link(self, happened: Happened, *, force: bool) -> None:
        event = happened.event
        target, source = self._target(event), self._source(event)
        if source is None or self._are_same(happened, target, source):
            sent = self._event(event, target)
            self._answered(happened, self.target.call.resolve(sent, workspace=self.workspace))
            return
        self._answered(
            happened,
            self.target.call.link_identifiers(
                self._event(event, target),
                sources=[source],
                force=force,
                workspace=self.workspace,
            ),
        )

    def _merge(self, happened: Happened) -> None:
        event = happened.event
        if "sources" in event:
            self._fold(happened)
            return
        first, *others = [self.pair(each) for each in event["ids"]]
        if others == [first]:
            self._are_same(happened, [first], first)
            others = []
        for identifier in (first, *others):
            # An identifier that was never seen is a profile of its own to its server.
            if self.profile(Identifier(*identifier)) is None:
                sent = self._event(event, [identifier])
                self._answered(happened, self.target.call.resolve(sent, workspace=self.workspace))
        if others and not happened.refusals:
            self._merged(happened, self._merge_profiles(first, others, event))

    def _merge_profiles(
        self, target: Pair, sources: Iterable[Pair], event: dict[str, Any]
    ) -> MergeAnswer:
        return self.target.call.merge_profiles(
            Identifier(*target),
            [Identifier(*source) for source in sources],
            timestamp=moment(event),
            workspace=self.workspace,
        )

    def _fold(self, happened: Happened) -> None:
        """One target and ordered sources, each with a verdict."""
        event = happened.event
        target = [self.pair(event["target"])] if "target" in event else self._target(event)
        self._answered(
            happened,
            self.target.call.link_identifiers(
                self._event(event, target),
                sources=[self.pair(each) for each in event["sources"]],
                force=bool(event.get("allow_identified_sources")),
                workspace=self.workspace,
            ),
        )

    def _merge_cluster_that_would_reach(self, happened: Happened) -> None:
        """Makes two profiles that together have that size, and merges them."""
        size, place = int(happened.event["size"]), happened.event["t"]
        namespace = self._default_namespace()
        pairs = [(namespace, f"member-{number}-of-{place}") for number in range(size)]
        first, second = pairs[: size // 2], pairs[size // 2 :]
        given = [ImportedProfile(identifiers=half) for half in (first, second) if half]
        self._import(happened, given)
        if first and not happened.refusals:
            self._merged(happened, self._merge_profiles(first[0], second[:1], happened.event))

    def _split(self, happened: Happened) -> None:
        event = happened.event
        person = self.pair(event.get("person_of", event.get("id")))
        profile = self.profile(Identifier(*person))
        if profile is None:
            happened.refusals.add("PROFILE_NOT_FOUND")
            return
        held = [(each.identifier.namespace, each.identifier.value) for each in profile.identifiers]
        main = self.pair(event["main"]) if event.get("main") is not None else held[0]
        if event.get("ids"):
            leaving = list(dict.fromkeys(self.pair(each) for each in event["ids"]))
        else:
            # Of more than `max_splits` the last ones leave, as the vendor's tool has it.
            leaving = held[-event["max_splits"] :] if event.get("max_splits") else held
            leaving = [identifier for identifier in leaving if identifier != main]
        if leaving:
            answer = self.target.call.split_profile(
                profile.profile_id, leaving, workspace=self.workspace
            )
            self._answered(happened, answer)
        if event.get("main") is None and not event.get("ids"):
            self._clear(event, profile, main)

    def _clear(self, event: dict[str, Any], profile: Profile, keeper: Pair) -> None:
        if profile.traits:
            cleared: dict[str, Any] = dict.fromkeys(profile.traits)
            sent = Event(identifiers=[keeper], traits=cleared, timestamp=moment(event))
            self.target.call.resolve(sent, workspace=self.workspace)

    def _reset(self, happened: Happened) -> None:
        """The client forgets its ids; nothing is sent."""

    def _given_person(self, happened: Happened) -> None:
        event = happened.event
        traits: dict[str, Any] = {}
        for key in ("properties", "traits", "fields", "set"):
            traits |= event.get(key, {})
        # Fields are as old as the fixture is in the order of events: `created_at` counts apart.
        now = moment(event)
        given = ImportedProfile(
            former_id=str(event.get("profile_id", event.get("uuid", ""))),
            created_time=time_of(event["created_at"]) if "created_at" in event else now,
            known=bool(event.get("is_identified")),
            identifiers=[ImportedIdentifier(*pair, now) for pair in self._pairs(event)],
            traits={name: ImportedTrait(value, now) for name, value in traits.items()},
        )
        self._import(happened, [given])

    _given_profile = _given_person

    def _import(self, happened: Happened, profiles: list[ImportedProfile]) -> None:
        for result in self.target.call.import_profiles(profiles, workspace=self.workspace):
            if isinstance(result, ItemError):
                happened.refusals.add(result.reason)
            else:
                self._answered(happened, result)

    def _answered(self, happened: Happened, answer: Resolution) -> None:
        happened.answer = answer
        for verdict in answer.verdicts:
            if verdict.verdict in (Verdict.DROPPED, Verdict.REFUSED) and verdict.rule:
                happened.refusals.add(verdict.rule)

    def _merged(self, happened: Happened, answer: MergeAnswer) -> None:
        self._answered(happened, answer.resolution)
        for source in answer.sources:
            happened.merged |= source.verdict == MergeVerdict.MERGED
            if source.verdict == MergeVerdict.REFUSED and source.rule:
                happened.refusals.add(source.rule)
            if source.verdict == MergeVerdict.NOT_FOUND:
                happened.refusals.add("PROFILE_NOT_FOUND")

    def _are_same(self, happened: Happened, target: list[Pair], source: Pair) -> bool:
        if target != [source]:
            return False
        if self.peer.refuses_same_identifiers:
            happened.refusals.add(vocabulary.SAME_IDENTIFIERS)
        return True

    def _event(self, event: dict[str, Any], pairs: list[Pair]) -> Event:
        traits: dict[str, Any] = dict.fromkeys(event.get("unset", ()))
        for key in ("properties", "traits", "set"):
            traits |= event.get(key, {})
        keys = [event[key] for key in _KEYS_OF_KEYS if event.get(key)]
        return Event(
            type=event["op"],
            identifiers=pairs,
            traits=traits,
            # A field that is set as well is set.
            traits_once={k: v for k, v in event.get("set_once", {}).items() if k not in traits},
            timestamp=moment(event),
            key_namespace=self.names.get(keys[0], keys[0]) if keys else "",
        )

    def _pairs(self, event: dict[str, Any]) -> list[Pair]:
        named = event.get("ids", [event["id"]] if "id" in event else [])
        return [self.pair(each) for each in named]

    def _target(self, event: dict[str, Any]) -> list[Pair]:
        return [self.pair(event[key]) for key in _TARGET_KEYS if key in event][:1]

    def _source(self, event: dict[str, Any]) -> Pair | None:
        named = [event[key] for key in _SOURCE_KEYS if event.get(key) is not None]
        return self.pair(named[0]) if named else None


def moment(event: dict[str, Any]) -> datetime | None:
    """When an event happened: its own time if it has one, else its place in the order."""
    time = event.get("timestamp", event.get("t"))
    return None if time is None else time_of(time)


def time_of(time: Any) -> datetime:
    """A time of a file: text, or a number of seconds; one too large for that counts
    milliseconds."""
    if isinstance(time, str):
        read = datetime.fromisoformat(time)
        return read if read.tzinfo else read.replace(tzinfo=UTC)
    return datetime.fromtimestamp(time / 1000 if abs(time) > 10**11 else time, UTC)
