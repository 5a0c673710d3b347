"""What those who watch are told: what each record changed, and its cause."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ipse.model.values import Identifier, TraitValue, trait_value, utc
from ipse.model.words import CHANGE_KINDS, RECORD_KINDS, ChangeKind, RecordKind

if TYPE_CHECKING:
    from ipse.v1 import history_pb2


@dataclass(frozen=True, slots=True)
class Change:
    """One change. A kind says what each of the rest is to it; what there is none of is None."""

    kind: ChangeKind
    before_profile_id: str | None = None
    after_profile_id: str | None = None
    identifier: Identifier | None = None
    """Its value is empty if it was erased since."""
    trait_name: str | None = None
    trait_value: TraitValue | None = None
    """None also if the trait was removed, or its profile erased since."""

    @classmethod
    def from_proto(cls, message: history_pb2.Change) -> Change:
        """Read the message."""
        has_identifier, has_trait = message.HasField("identifier"), message.HasField("trait")
        has_value = has_trait and message.trait.WhichOneof("value") is not None
        return cls(
            kind=CHANGE_KINDS[message.kind],
            before_profile_id=message.before_profile_id or None,
            after_profile_id=message.after_profile_id or None,
            identifier=Identifier.from_proto(message.identifier) if has_identifier else None,
            trait_name=message.trait.name if has_trait else None,
            trait_value=trait_value(message.trait) if has_value else None,
        )


@dataclass(frozen=True, slots=True)
class ChangedRecord:
    """What one record changed."""

    sequence_number: int
    log_time: datetime
    """When it was decided."""
    kind: RecordKind
    """What it is of."""
    event_id: str
    """Of the event or operation; empty if it had none, or was erased since."""
    type: str
    """The event's."""
    source: str
    event_time: datetime | None
    """When it happened, as the event says; None if the record is of no event or command."""
    rules_version: int
    """Of the rules that decided, or that came into force."""
    changes: tuple[Change, ...]
    """Those that were asked for, in order: each is about what those before it left."""

    @classmethod
    def from_proto(cls, message: history_pb2.ChangedRecord) -> ChangedRecord:
        """Read the message."""
        return cls(
            sequence_number=message.sequence_number,
            log_time=utc(message.log_time),
            kind=RECORD_KINDS[message.kind],
            event_id=message.event_id,
            type=message.type,
            source=message.source,
            event_time=utc(message.event_time) if message.HasField("event_time") else None,
            rules_version=message.rules_version,
            changes=tuple(map(Change.from_proto, message.changes)),
        )


@dataclass(frozen=True, slots=True)
class WatchedChanges:
    """Some of what one who watches is told."""

    records: tuple[ChangedRecord, ...]
    """In order; none if there was nothing to tell for a while."""
    sequence_number: int
    """All through this number was told: what to go on after."""
    newest_sequence_number: int
    """The newest record when watching began; 0 except in the first of a call."""

    @classmethod
    def from_proto(cls, message: history_pb2.WatchChangesResponse) -> WatchedChanges:
        """Read the message."""
        return cls(
            records=tuple(map(ChangedRecord.from_proto, message.records)),
            sequence_number=message.sequence_number,
            newest_sequence_number=message.newest_sequence_number,
        )
