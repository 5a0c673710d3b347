"""What comes out of looking at the past: records of the log, and what rests on them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from ipse.model.answers import ItemError, Resolution, RevertedMerge, SourceVerdict
from ipse.model.profiles import HistoryAttribution, ProfileIdentifier
from ipse.model.values import FoundBy, Identifier, found_by, utc
from ipse.model.words import RECORD_KINDS, RULES, RecordKind, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipse.v1 import event_pb2, history_pb2


@dataclass(frozen=True, slots=True)
class LoggedRecord:
    """A record of the log; one that is no longer kept has its number alone."""

    sequence_number: int
    expired: bool = False
    """Whether the log keeps it no longer."""
    log_time: datetime | None = None
    """When it was decided, by the server's clock."""
    kind: RecordKind | None = None
    event_id: str = ""
    type: str = ""
    source: str = ""
    event_time: datetime | None = None
    """When it happened, as the event says."""
    resolution: Resolution | None = None
    """What was decided, with the profile ids of then; `known` is not told."""
    merges: tuple[SourceVerdict, ...] = ()
    """Of `merge_profiles`: what became of each source."""
    traits: tuple[str, ...] = ()
    """The names of the traits that it set or removed."""
    reverted: tuple[RevertedMerge, ...] = ()
    """Of `revert_merge`: the merges that were undone."""

    @classmethod
    def from_proto(cls, message: history_pb2.LoggedRecord) -> LoggedRecord:
        """Read the message."""
        has = message.HasField
        resolution = Resolution.from_proto(message.resolution) if has("resolution") else None
        return cls(
            sequence_number=message.sequence_number,
            expired=message.expired,
            log_time=utc(message.log_time) if has("log_time") else None,
            kind=RECORD_KINDS.get(message.kind),
            event_id=message.event_id,
            type=message.type,
            source=message.source,
            event_time=utc(message.event_time) if has("event_time") else None,
            resolution=resolution,
            merges=tuple(map(SourceVerdict.from_proto, message.merges)),
            traits=tuple(message.traits),
            reverted=tuple(map(RevertedMerge.from_proto, message.reverted)),
        )


@dataclass(frozen=True, slots=True)
class IdentifierLink:
    """Two identifiers that were seen together."""

    stronger: Identifier
    weaker: Identifier

    @classmethod
    def from_proto(cls, message: history_pb2.IdentifierLink) -> IdentifierLink:
        """Read the message."""
        return cls(Identifier.from_proto(message.stronger), Identifier.from_proto(message.weaker))


@dataclass(frozen=True, slots=True)
class ProfileMerge:
    """Two profiles that became one."""

    survivor_profile_id: str
    """Whose id went on."""
    absorbed_profile_id: str
    """Whose id retired."""

    @classmethod
    def from_proto(cls, message: history_pb2.ProfileMerge) -> ProfileMerge:
        """Read the message."""
        return cls(message.survivor_profile_id, message.absorbed_profile_id)


@dataclass(frozen=True, slots=True)
class IdentifierHolding:
    """An identifier that a profile holds, which may be a part of another by now."""

    identifier: Identifier
    profile_id: str

    @classmethod
    def from_proto(cls, message: history_pb2.IdentifierHolding) -> IdentifierHolding:
        """Read the message."""
        return cls(Identifier.from_proto(message.identifier), message.profile_id)


Traced: TypeAlias = (
    str | ProfileMerge | ProfileIdentifier | IdentifierLink | HistoryAttribution | None
)


@dataclass(frozen=True, slots=True)
class Trace:
    """What of a profile rests on a record."""

    kind: str
    """`created`, `merged`, `attached`, `had` (it holds it no longer), `left`, `former_id`,
    `linked`, `trait`, `attributed` or `changed`: something left it, or it became known or older."""
    what: Traced = None
    """By kind: a profile id, what was merged, attached or linked, a former id, a trait's name,
    the attribution, nothing."""

    @classmethod
    def from_proto(cls, message: history_pb2.Trace) -> Trace:
        """Read the message."""
        kind: str = message.WhichOneof("trace") or "changed"
        what: Traced = None
        match kind:
            case "created_profile_id":
                kind, what = "created", message.created_profile_id
            case "merged":
                what = ProfileMerge.from_proto(message.merged)
            case "attached":
                what = ProfileIdentifier.from_proto(message.attached)
            case "had":
                what = ProfileIdentifier.from_proto(message.had)
            case "left":
                what = ProfileIdentifier.from_proto(message.left)
            case "linked":
                what = IdentifierLink.from_proto(message.linked)
            case "trait":
                what = message.trait
            case "former_id":
                what = message.former_id
            case "attributed":
                what = HistoryAttribution.from_proto(message.attributed)
        return cls(kind, what)


@dataclass(frozen=True, slots=True)
class Step:
    """A record that something on a profile rests on."""

    record: LoggedRecord
    traces: tuple[Trace, ...]

    @classmethod
    def from_proto(cls, message: history_pb2.Step) -> Step:
        """Read the message."""
        record = LoggedRecord.from_proto(message.record)
        return cls(record, tuple(map(Trace.from_proto, message.traces)))


@dataclass(frozen=True, slots=True)
class ProfileStory:
    """How a profile came to be as it is."""

    profile_id: str
    steps: tuple[Step, ...]
    """The records that it rests on, oldest first; of `explain_profile` all."""
    step_count: int
    sequence_number: int
    """The newest record that the answer rests on."""
    next_page_token: str = ""

    @classmethod
    def from_proto(cls, message: history_pb2.ExplainProfileResponse) -> ProfileStory:
        """Read the message."""
        return cls(
            profile_id=message.profile_id,
            steps=tuple(map(Step.from_proto, message.steps)),
            step_count=message.step_count,
            sequence_number=message.sequence_number,
            next_page_token=message.next_page_token,
        )


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of a chain of evidence."""

    kind: str
    """`linked`: seen together; `held`: a profile holds it; `merged`: two profiles became one."""
    what: IdentifierLink | IdentifierHolding | ProfileMerge
    to: FoundBy | None
    """Where it leads: an identifier, or a profile's id."""
    record: LoggedRecord

    @classmethod
    def from_proto(cls, message: history_pb2.Hop) -> Hop:
        """Read the message."""
        to, record = found_by(message.to), LoggedRecord.from_proto(message.record)
        match message.WhichOneof("hop"):
            case "held":
                return cls("held", IdentifierHolding.from_proto(message.held), to, record)
            case "merged":
                return cls("merged", ProfileMerge.from_proto(message.merged), to, record)
        return cls("linked", IdentifierLink.from_proto(message.linked), to, record)


@dataclass(frozen=True, slots=True)
class Parting:
    """What said that two profiles are different people."""

    a: tuple[Identifier, ...]
    """Some of the identifiers of the one that it parted from the other's."""
    b: tuple[Identifier, ...]
    record: LoggedRecord

    @classmethod
    def from_proto(cls, message: history_pb2.Parting) -> Parting:
        """Read the message."""
        record = LoggedRecord.from_proto(message.record)
        return cls(_identifiers(message.a), _identifiers(message.b), record)


@dataclass(frozen=True, slots=True)
class KnownRefusal:
    """A rule that kept an identifier off a profile."""

    identifier: Identifier
    profile_id: str
    """By its id of then; empty if the event was nobody's."""
    rule: Rule | None
    record: LoggedRecord
    """The first record that has it."""

    @classmethod
    def from_proto(cls, message: history_pb2.KnownRefusal) -> KnownRefusal:
        """Read the message."""
        return cls(
            identifier=Identifier.from_proto(message.identifier),
            profile_id=message.profile_id,
            rule=RULES.get(message.rule),
            record=LoggedRecord.from_proto(message.record),
        )


@dataclass(frozen=True, slots=True)
class LinkStory:
    """Why two are one person, or why they are not."""

    a_profile_id: str
    """Whose the one is; empty if nobody's."""
    b_profile_id: str
    hops: tuple[Hop, ...]
    """The shortest chain from one to the other, stronger namespaces first; empty if apart."""
    partings: tuple[Parting, ...]
    """If they are apart: what parted them, oldest first."""
    refusals: tuple[KnownRefusal, ...]
    """If they are apart: what is remembered of refusals between them, oldest first."""
    would: Resolution | None
    """If they are apart and both are identifiers: what an event with both would do now."""
    sequence_number: int
    """The newest record that the answer rests on."""

    @property
    def joined(self) -> bool:
        """Whether they are one person."""
        return bool(self.a_profile_id) and self.a_profile_id == self.b_profile_id

    @classmethod
    def from_proto(cls, message: history_pb2.ExplainLinkResponse) -> LinkStory:
        """Read the message."""
        would = Resolution.from_proto(message.would) if message.HasField("would") else None
        return cls(
            a_profile_id=message.a_profile_id,
            b_profile_id=message.b_profile_id,
            hops=tuple(map(Hop.from_proto, message.hops)),
            partings=tuple(map(Parting.from_proto, message.partings)),
            refusals=tuple(map(KnownRefusal.from_proto, message.refusals)),
            would=would,
            sequence_number=message.sequence_number,
        )


def _identifiers(messages: Iterable[event_pb2.Identifier]) -> tuple[Identifier, ...]:
    return tuple(map(Identifier.from_proto, messages))


@dataclass(frozen=True, slots=True)
class PastHolder:
    """Whose an identifier was at a moment, and whose it is."""

    profile_id: str
    """The profile that held it then, by the id of then; empty if none did."""
    current_profile_id: str
    """The profile that holds it now; empty if none does."""
    sequence_number: int
    """The newest record of then; 0 before the first, or if that cannot be told."""
    error: ItemError | None = None
    """Why `profile_id` is empty."""

    @classmethod
    def from_proto(cls, message: history_pb2.LookupAsOfResult) -> PastHolder:
        """Read the message."""
        return cls(
            message.profile_id,
            message.current_profile_id,
            message.sequence_number,
            ItemError.from_proto(message.error) if message.HasField("error") else None,
        )
