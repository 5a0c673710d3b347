"""What goes in and what comes out: plain values, the same for every client and the resolver.

Nothing here knows a transport or the engine. Each type that comes out is made from its message
by a `from_proto`; the messages themselves are described in `protos/ipse/v1`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from ipse.v1 import admin_pb2, event_pb2, identity_pb2

TraitValue: TypeAlias = str | int | float | bool | list[Any] | dict[str, Any]
"""What a trait may be. On an event None removes the trait."""


class Decision(StrEnum):
    """What an event did as a whole."""

    UNRESOLVED = "unresolved"
    """No usable identifier: the event belongs to no profile."""
    CREATED = "created"
    """No identifier was known: a new profile."""
    ATTACHED = "attached"
    """One profile was found and identifiers were attached to it."""
    ALREADY_ATTACHED = "already_attached"
    """One profile was found and no identifier was attached to it."""
    MERGED = "merged"
    """Several profiles were found and became one."""


class Verdict(StrEnum):
    """What became of one identifier of an event."""

    ATTACHED = "attached"
    """It was on no profile and is now on this one."""
    ALREADY_ATTACHED = "already_attached"
    """It was on this profile, or on one that this event merged into it."""
    DROPPED = "dropped"
    """A rule took it off the event before matching."""
    REFUSED = "refused"
    """It took part in matching, but a cap kept it where it was."""


class Rule(StrEnum):
    """The rule behind a dropped or refused identifier."""

    UNKNOWN_NAMESPACE = "unknown_namespace"
    BLOCKED_VALUE = "blocked_value"
    VALUE_LIMIT = "value_limit"
    VALUE_TIME_LIMIT = "value_time_limit"
    MERGE_LIMIT = "merge_limit"
    IDENTIFIER_LIMIT = "identifier_limit"
    INVALID_VALUE = "invalid_value"


# By the numbers of the wire; 0 is never sent.
_DECISIONS: Final = dict(enumerate(Decision, start=1))
_VERDICTS: Final = dict(enumerate(Verdict, start=1))
_RULES: Final = dict(enumerate(Rule, start=1))


@dataclass(frozen=True, slots=True)
class Identifier:
    """A (namespace, value) pair, for example `email: ann@example.com`."""

    namespace: str
    value: str

    def __str__(self) -> str:
        return f"{self.namespace}: {self.value}"

    @classmethod
    def from_proto(cls, message: event_pb2.Identifier) -> Identifier:
        """Read the message."""
        return cls(message.namespace, message.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened, and the identifiers that it showed together.

    `identifiers` is `{"email": "ann@example.com", "phone": ["+4912", "+4913"]}` or a list of
    (namespace, value) pairs; whole numbers become decimal text. For an event as an SDK sends it
    use `from_json`. Bounds are those of `ipse.v1.Event`; the engine checks them.
    """

    identifiers: Mapping[str, object] | Iterable[tuple[str, str | int] | Identifier] = ()
    """Of a mapping the values are text, whole numbers, or lists of these."""
    traits: Mapping[str, TraitValue | None] = field(default_factory=dict)
    """By name; None removes one."""
    event_id: str = ""
    """An id that comes again gets the recorded answer. Empty: not checked."""
    type: str = ""
    """What happened, for example `track`."""
    timestamp: datetime | None = None
    """When it happened, with a time zone. None: when the engine receives it."""
    source: str = ""
    """The app or feed that sent it."""
    profile_id: str = ""
    """The profile that the caller knows it belongs to: stronger than every identifier."""
    key_namespace: str = ""
    """The namespace that ranks first on this event."""
    raw_json: bytes = b""
    """The event as an SDK sends it, instead of `identifiers` and `traits`."""

    @classmethod
    def from_json(
        cls,
        raw: Mapping[str, Any] | str | bytes,
        *,
        event_id: str = "",
        type: str = "",  # noqa: A002 -- the field's name on the wire and in Segment's spec
        timestamp: datetime | None = None,
        source: str = "",
        profile_id: str = "",
        key_namespace: str = "",
    ) -> Event:
        """Take a raw event of the Segment spec: an object, or its JSON text.

        The workspace's mapping finds identifiers and traits in it. `event_id`, `type` and
        `timestamp` come from its `messageId`, `type` and `timestamp` unless they are given here.
        """
        return cls(
            raw_json=_json_bytes(raw),
            event_id=event_id,
            type=type,
            timestamp=timestamp,
            source=source,
            profile_id=profile_id,
            key_namespace=key_namespace,
        )


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
            verdict=_VERDICTS[message.verdict],
            rule=_RULES.get(message.rule),
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
class Resolution:
    """The answer to one event."""

    profile_id: str
    """The profile the event belongs to. Empty if it is unresolved, and with `read_only` if it would
    be created: it gets its id when the event is recorded."""
    decision: Decision
    created: bool
    """Whether this event created the profile."""
    known: bool
    """Whether the profile holds an identifier of a login namespace."""
    verdicts: tuple[IdentifierVerdict, ...]
    """One for each distinct identifier, strongest first."""
    absorbed_profile_ids: tuple[str, ...]
    """The profiles that this event merged away, oldest first."""
    sequence_number: int
    """The record that it wrote, or the newest one that the answer rests on."""
    recorded: bool
    """Whether it wrote a record."""
    repeated: bool
    """Whether this is the recorded answer to an event id that came again."""
    rules_version: int
    ignored: tuple[IgnoredField, ...] = ()
    """Raw events only: what was there and not usable."""

    @classmethod
    def from_proto(cls, message: identity_pb2.Resolution) -> Resolution:
        """Read the message."""
        return cls(
            profile_id=message.profile_id,
            decision=_DECISIONS[message.decision],
            created=message.created,
            known=message.known,
            verdicts=tuple(map(IdentifierVerdict.from_proto, message.verdicts)),
            absorbed_profile_ids=tuple(message.absorbed_profile_ids),
            sequence_number=message.sequence_number,
            recorded=message.recorded,
            repeated=message.repeated,
            rules_version=message.rules_version,
            ignored=tuple(map(IgnoredField.from_proto, message.ignored)),
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
class ProfileIdentifier:
    """An identifier as a profile holds it."""

    identifier: Identifier
    attached_time: datetime
    """Event time of the attachment."""
    sequence_number: int
    """The record that made it."""

    @classmethod
    def from_proto(cls, message: identity_pb2.ProfileIdentifier) -> ProfileIdentifier:
        """Read the message."""
        return cls(
            Identifier.from_proto(message.identifier),
            _datetime(message.attached_time),
            message.sequence_number,
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """What is held on one person."""

    profile_id: str
    """The id, the same for ever; the survivor's, if an absorbed id was asked for."""
    known: bool
    """Whether it holds an identifier of a login namespace."""
    created_time: datetime
    identifiers: tuple[ProfileIdentifier, ...]
    """Strongest namespace first, then oldest first; all, or the page that was asked for."""
    identifier_count: int
    traits: Mapping[str, TraitValue]
    absorbed_profile_ids: tuple[str, ...]
    """The profiles merged into it, oldest first, at most 1,000."""
    merge_count: int
    sequence_number: int
    """The newest record that the answer rests on."""
    next_page_token: str = ""
    """Not empty: there are more identifiers than `identifiers` shows."""

    @classmethod
    def from_proto(cls, message: identity_pb2.Profile, sequence_number: int) -> Profile:
        """Read the message; the number is that of the response around it."""
        return cls(
            profile_id=message.profile_id,
            known=message.known,
            created_time=_datetime(message.created_time),
            identifiers=tuple(map(ProfileIdentifier.from_proto, message.identifiers)),
            identifier_count=message.identifier_count,
            traits={trait.name: _trait_value(trait) for trait in message.traits},
            absorbed_profile_ids=tuple(message.absorbed_profile_ids),
            merge_count=message.merge_count,
            sequence_number=sequence_number,
            next_page_token=message.next_page_token,
        )

    def values(self, namespace: str) -> tuple[str, ...]:
        """List its values in one namespace."""
        return tuple(
            held.identifier.value
            for held in self.identifiers
            if held.identifier.namespace == namespace
        )


@dataclass(frozen=True, slots=True)
class WorkspaceInfo:
    """One isolated pool of people with its own rules."""

    name: str
    created_time: datetime
    rules_version: int
    sequence_number: int
    profile_count: int
    """Profiles that are not absorbed."""
    absorbed_profile_count: int
    identifier_count: int
    link_count: int
    state_hash: str
    """Equal wherever the same records were applied."""

    @classmethod
    def from_proto(cls, message: admin_pb2.Workspace) -> WorkspaceInfo:
        """Read the message."""
        return cls(
            name=message.name,
            created_time=_datetime(message.created_time),
            rules_version=message.rules_version,
            sequence_number=message.sequence_number,
            profile_count=message.profile_count,
            absorbed_profile_count=message.absorbed_profile_count,
            identifier_count=message.identifier_count,
            link_count=message.link_count,
            state_hash=message.state_hash,
        )


@dataclass(frozen=True, slots=True)
class RulesInfo:
    """The rules in force, as the TOML they were set with."""

    version: int
    toml: str

    @classmethod
    def from_proto(cls, message: admin_pb2.GetRulesResponse) -> RulesInfo:
        """Read the message."""
        return cls(message.version, message.rules_toml)


@dataclass(frozen=True, slots=True)
class RulesProblem:
    """One thing that is wrong with rules."""

    line: int
    """From 1; 0 if it is about the whole."""
    key: str
    message: str

    @classmethod
    def from_proto(cls, message: admin_pb2.RulesProblem) -> RulesProblem:
        """Read the message."""
        return cls(message.line, message.key, message.message)

    def __str__(self) -> str:
        return f"line {self.line}, {self.key}: {self.message}"


@dataclass(frozen=True, slots=True)
class CheckpointInfo:
    """A snapshot that was written."""

    file_name: str
    size_bytes: int
    log_position: int
    seconds: float

    @classmethod
    def from_proto(cls, message: admin_pb2.CheckpointResponse) -> CheckpointInfo:
        """Read the message."""
        return cls(message.file_name, message.size_bytes, message.log_position, message.seconds)


@dataclass(frozen=True, slots=True)
class RecoveryInfo:
    """What opening the data directory found and did."""

    seconds: float
    snapshot_file_name: str
    """Empty: there was none."""
    snapshot_log_position: int
    replayed_record_count: int
    torn_bytes: int
    """Bytes of an unacknowledged group that a crash cut short, set aside."""
    clean_shutdown: bool

    @classmethod
    def from_proto(cls, message: admin_pb2.RecoveryStats) -> RecoveryInfo:
        """Read the message."""
        return cls(
            seconds=message.seconds,
            snapshot_file_name=message.snapshot_file_name,
            snapshot_log_position=message.snapshot_log_position,
            replayed_record_count=message.replayed_record_count,
            torn_bytes=message.torn_bytes,
            clean_shutdown=message.clean_shutdown,
        )


@dataclass(frozen=True, slots=True)
class Stats:
    """Figures of a server or an embedded engine."""

    version: str
    started_time: datetime
    recovery: RecoveryInfo
    log_position: int
    """Records in the log, ever."""
    synced_log_position: int
    """Of these, on disk for certain."""
    commit_group_count: int
    log_bytes: int
    log_bytes_since_snapshot: int
    sync: str
    workspaces: tuple[WorkspaceInfo, ...]

    @classmethod
    def from_proto(cls, message: admin_pb2.GetStatsResponse) -> Stats:
        """Read the message."""
        return cls(
            version=message.version,
            started_time=_datetime(message.started_time),
            recovery=RecoveryInfo.from_proto(message.recovery),
            log_position=message.log_position,
            synced_log_position=message.synced_log_position,
            commit_group_count=message.commit_group_count,
            log_bytes=message.log_bytes,
            log_bytes_since_snapshot=message.log_bytes_since_snapshot,
            sync=message.sync,
            workspaces=tuple(map(WorkspaceInfo.from_proto, message.workspaces)),
        )


def _datetime(message: Timestamp) -> datetime:
    return message.ToDatetime(tzinfo=UTC)


def _trait_value(message: event_pb2.Trait) -> TraitValue:
    kind = message.WhichOneof("value")
    if kind == "json_value":
        value: TraitValue = json.loads(message.json_value)
        return value
    # A stored trait always has a value: None is how an event removes it.
    plain: TraitValue = getattr(message, kind or "string_value")
    return plain


def _json_bytes(raw: Mapping[str, Any] | str | bytes) -> bytes:
    if isinstance(raw, bytes):
        return raw
    text = raw if isinstance(raw, str) else json.dumps(dict(raw), ensure_ascii=False)
    # Half a surrogate pair goes through as it is: the engine refuses it by name.
    return text.encode(errors="surrogatepass")
