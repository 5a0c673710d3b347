"""What comes out of events and commands: verdicts, each with the rule behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipse.model.profiles import HistoryAttribution
from ipse.model.values import FoundBy, Identifier, found_by
from ipse.model.words import (
    DECISIONS,
    MERGE_VERDICTS,
    MOVE_CAUSES,
    RULES,
    TRAIT_REASONS,
    VERDICTS,
    Decision,
    MergeVerdict,
    MoveCause,
    Rule,
    TraitReason,
    Verdict,
)

if TYPE_CHECKING:
    from ipse.v1 import identity_pb2


@dataclass(frozen=True, slots=True)
class IdentifierVerdict:
    """One identifier of an event and what became of it."""

    identifier: Identifier
    """After normalising."""
    verdict: Verdict
    rule: Rule | None = None
    """Why, if it was dropped or refused."""
    raw_value: str = ""
    """As it was sent, where normalising changed it."""
    limit_namespace: str = ""
    """Whose limit would have been exceeded; not always its own."""
    limit: int = 0
    """That limit or cap."""
    collided_profile_id: str = ""
    """The profile that holds the identifier, if it is another than the answer's."""
    violation: str = ""
    """The rule's name as Segment's diagnostics print it."""

    @classmethod
    def from_proto(cls, message: identity_pb2.IdentifierVerdict) -> IdentifierVerdict:
        """Read the message."""
        return cls(
            identifier=Identifier.from_proto(message.identifier),
            verdict=VERDICTS[message.verdict],
            rule=RULES.get(message.rule),
            raw_value=message.raw_value,
            limit_namespace=message.limit_namespace,
            limit=message.limit,
            collided_profile_id=message.collided_profile_id,
            violation=message.violation,
        )


@dataclass(frozen=True, slots=True)
class IgnoredField:
    """A place in a raw event where an identifier or trait could have been and was not usable."""

    path: str
    reason: str

    @classmethod
    def from_proto(cls, message: identity_pb2.IgnoredField) -> IgnoredField:
        """Read the message."""
        return cls(message.path, message.reason)


@dataclass(frozen=True, slots=True)
class IgnoredTrait:
    """A trait that was sent and is not what the profile has now."""

    name: str
    reason: TraitReason

    @classmethod
    def from_proto(cls, message: identity_pb2.IgnoredTrait) -> IgnoredTrait:
        """Read the message."""
        return cls(message.name, TRAIT_REASONS[message.reason])


@dataclass(frozen=True, slots=True)
class IdentifierMove:
    """An identifier that left a profile without being on the event."""

    identifier: Identifier
    from_profile_id: str
    """The profile that held it."""
    to_profile_id: str
    """The profile that holds it now. Empty if none does, and with `read_only` if the call would
    create it."""
    cause: MoveCause

    @classmethod
    def from_proto(cls, message: identity_pb2.IdentifierMove) -> IdentifierMove:
        """Read the message."""
        return cls(
            Identifier.from_proto(message.identifier),
            message.from_profile_id,
            message.to_profile_id,
            MOVE_CAUSES[message.cause],
        )


@dataclass(frozen=True, slots=True)
class Resolution:
    """The answer to one event or command."""

    profile_id: str
    """The profile the event belongs to. Empty if it is unresolved, and with `read_only` if it would
    be created: it gets its id when the event is recorded."""
    decision: Decision
    created: bool
    """Whether this event created the profile."""
    known: bool
    """Whether the profile holds an identifier of a login namespace, or was said to be known."""
    verdicts: tuple[IdentifierVerdict, ...]
    """One for each distinct identifier, strongest first, and then for each source in the order of
    the call. Of `modify_identifiers`: for each change the old value's and then the new one's."""
    absorbed_profile_ids: tuple[str, ...]
    """The profiles that this event merged away, oldest first; of `merge_profiles` in the order of
    the call."""
    sequence_number: int
    """The record that it wrote, or the newest one that the answer rests on."""
    recorded: bool
    """Whether it wrote a record."""
    repeated: bool
    """Whether this is the recorded answer to an event or operation id that came again."""
    rules_version: int
    ignored: tuple[IgnoredField, ...] = ()
    """Raw events only: what was there and not usable."""
    moves: tuple[IdentifierMove, ...] = ()
    """Identifiers that are not the event's own and left a profile because of it."""
    attributed_by: FoundBy | None = None
    """By what the event is attributed, if by anything: whose it is later is a lookup of this."""
    ignored_traits: tuple[IgnoredTrait, ...] = ()
    """The traits that did not count, by name. One whose value the profile has already is not among
    them, however old it is."""

    @classmethod
    def from_proto(cls, message: identity_pb2.Resolution) -> Resolution:
        """Read the message."""
        return cls(
            profile_id=message.profile_id,
            decision=DECISIONS[message.decision],
            created=message.created,
            known=message.known,
            verdicts=tuple(map(IdentifierVerdict.from_proto, message.verdicts)),
            absorbed_profile_ids=tuple(message.absorbed_profile_ids),
            sequence_number=message.sequence_number,
            recorded=message.recorded,
            repeated=message.repeated,
            rules_version=message.rules_version,
            ignored=tuple(map(IgnoredField.from_proto, message.ignored)),
            moves=tuple(map(IdentifierMove.from_proto, message.moves)),
            attributed_by=found_by(message.attributed_by),
            ignored_traits=tuple(map(IgnoredTrait.from_proto, message.ignored_traits)),
        )


@dataclass(frozen=True, slots=True)
class ItemError:
    """Why one item of a batch was refused: what a single call would have raised."""

    code: int
    reason: str
    message: str
    field: str = ""

    @classmethod
    def from_proto(cls, message: identity_pb2.ItemError) -> ItemError:
        """Read the message."""
        return cls(message.code, message.reason, message.message, message.field)

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


@dataclass(frozen=True, slots=True)
class SourceVerdict:
    """One source of a merge and what became of it."""

    profile_id: str
    """The profile that was meant, as it was before the merge; empty if there is none."""
    verdict: MergeVerdict
    rule: Rule | None = None
    """Why, if it was refused."""
    limit_namespace: str = ""
    """Whose limit would have been exceeded, if one would."""
    limit: int = 0
    """That limit or cap."""

    @classmethod
    def from_proto(cls, message: identity_pb2.SourceVerdict) -> SourceVerdict:
        """Read the message."""
        return cls(
            profile_id=message.profile_id,
            verdict=MERGE_VERDICTS[message.verdict],
            rule=RULES.get(message.rule),
            limit_namespace=message.limit_namespace,
            limit=message.limit,
        )


@dataclass(frozen=True, slots=True)
class MergeAnswer:
    """The answer to `merge_profiles`."""

    resolution: Resolution
    """What happened as a whole; `profile_id` is the target's."""
    sources: tuple[SourceVerdict, ...]
    """One for each source, in the order of the call."""

    @classmethod
    def from_proto(cls, message: identity_pb2.MergeProfilesResponse) -> MergeAnswer:
        """Read the message."""
        return cls(
            Resolution.from_proto(message.resolution),
            tuple(map(SourceVerdict.from_proto, message.sources)),
        )


@dataclass(frozen=True, slots=True)
class RevertedMerge:
    """A merge that was undone."""

    absorbed_profile_id: str
    """The profile that is there again."""
    survivor_profile_id: str
    """The profile that it had been merged into."""
    sequence_number: int
    """The record that had merged them."""

    @classmethod
    def from_proto(cls, message: identity_pb2.RevertedMerge) -> RevertedMerge:
        """Read the message."""
        return cls(
            message.absorbed_profile_id, message.survivor_profile_id, message.sequence_number
        )


@dataclass(frozen=True, slots=True)
class RevertAnswer:
    """The answer to `revert_merge`."""

    resolution: Resolution
    """What happened, told of the profile that held everything."""
    merges: tuple[RevertedMerge, ...]
    """The merges that were undone, newest first, the one that was named last."""

    @classmethod
    def from_proto(cls, message: identity_pb2.RevertMergeResponse) -> RevertAnswer:
        """Read the message."""
        return cls(
            Resolution.from_proto(message.resolution),
            tuple(map(RevertedMerge.from_proto, message.merges)),
        )


@dataclass(frozen=True, slots=True)
class AttributionAnswer:
    """The answer to `attribute_history`."""

    applied: bool
    """Whether it is recorded; with `read_only`, whether it would be."""
    rule: Rule | None
    """Why not, if not."""
    attribution: HistoryAttribution
    repeated: bool
    """Whether this is the recorded answer to an operation id that came again."""
    sequence_number: int
    """The record that it wrote, or the newest one that the answer rests on."""

    @classmethod
    def from_proto(cls, message: identity_pb2.AttributeHistoryResponse) -> AttributionAnswer:
        """Read the message."""
        return cls(
            applied=message.applied,
            rule=RULES.get(message.rule),
            attribution=HistoryAttribution.from_proto(message.attribution),
            repeated=message.repeated,
            sequence_number=message.sequence_number,
        )
