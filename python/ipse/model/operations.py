"""What operators read: workspaces, rules, snapshots, figures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ipse.model.values import utc

if TYPE_CHECKING:
    from ipse.v1 import admin_pb2, identity_pb2


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
    memory_bytes: int
    """About how much memory it takes."""
    identifiers_max: int
    """Its own ceiling; 0 if it has none."""
    memory_bytes_max: int
    """Its own ceiling; 0 if it has none."""
    largest_profile_identifier_count: int
    largest_profile_id: str | None
    """The newest profile of that size; None if the one that was has shrunk since."""

    @classmethod
    def from_proto(cls, message: admin_pb2.Workspace) -> WorkspaceInfo:
        """Read the message."""
        return cls(
            name=message.name,
            created_time=utc(message.created_time),
            rules_version=message.rules_version,
            sequence_number=message.sequence_number,
            profile_count=message.profile_count,
            absorbed_profile_count=message.absorbed_profile_count,
            identifier_count=message.identifier_count,
            link_count=message.link_count,
            state_hash=message.state_hash,
            memory_bytes=message.memory_bytes,
            identifiers_max=message.identifiers_max,
            memory_bytes_max=message.memory_bytes_max,
            largest_profile_identifier_count=message.largest_profile_identifier_count,
            largest_profile_id=message.largest_profile_id or None,
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
class BackupInfo:
    """A backup that was made."""

    log_position: int
    """The newest record in it."""
    first_log_position: int
    """It can be restored as of this log position and any later one up to the newest."""
    file_count: int
    size_bytes: int
    seconds: float

    @classmethod
    def from_proto(cls, message: admin_pb2.BackupResponse) -> BackupInfo:
        """Read the message."""
        return cls(
            message.log_position,
            message.first_log_position,
            message.file_count,
            message.size_bytes,
            message.seconds,
        )


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
    storage_full: bool
    """Whether writes are refused with STORAGE_FULL."""
    oldest_log_position: int
    """The oldest record that the log still has."""
    oldest_log_time: datetime | None
    """When it was logged, to the second; None if nothing was ever dropped."""
    log_file_bytes: int
    history_bytes: int
    """Of these, what recovery needs no more."""
    identifier_count: int
    """Of all workspaces."""
    memory_bytes: int
    """About how much memory all workspaces take."""
    identifiers_max: int
    """The ceiling on all workspaces together; 0 if there is none."""
    memory_bytes_max: int
    """The ceiling on all workspaces together; 0 if there is none."""

    @classmethod
    def from_proto(cls, message: admin_pb2.GetStatsResponse) -> Stats:
        """Read the message."""
        return cls(
            version=message.version,
            started_time=utc(message.started_time),
            recovery=RecoveryInfo.from_proto(message.recovery),
            log_position=message.log_position,
            synced_log_position=message.synced_log_position,
            commit_group_count=message.commit_group_count,
            log_bytes=message.log_bytes,
            log_bytes_since_snapshot=message.log_bytes_since_snapshot,
            sync=message.sync,
            workspaces=tuple(map(WorkspaceInfo.from_proto, message.workspaces)),
            storage_full=message.storage_full,
            oldest_log_position=message.oldest_log_position,
            oldest_log_time=(
                utc(message.oldest_log_time) if message.HasField("oldest_log_time") else None
            ),
            log_file_bytes=message.log_file_bytes,
            history_bytes=message.history_bytes,
            identifier_count=message.identifier_count,
            memory_bytes=message.memory_bytes,
            identifiers_max=message.identifiers_max,
            memory_bytes_max=message.memory_bytes_max,
        )


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """What an erasure did. Names nobody."""

    erasure: int
    """Its number: the sequence number of its record; 0 with `read_only`."""
    time: datetime
    profile_count: int
    """Profiles that were erased, those that they had absorbed included."""
    identifier_count: int
    trait_count: int
    suppress: bool
    """Whether the identifiers are kept out from now on."""
    completed: bool
    """Whether the files of the data directory have followed; a checkpoint sees to it."""
    segment_count: int
    """Log segments that were rewritten, once it is completed."""
    record_count: int
    """Records in them that were redacted."""
    file_count: int
    """Snapshots and set-aside files that were deleted."""
    earlier_backups: tuple[str, ...] = ()
    """Backups that were made before and still hold what was erased."""
    repeated: bool = False
    """Whether this is the answer to an operation id that came again."""

    @classmethod
    def from_proto(cls, message: identity_pb2.ErasureReceipt, *, repeated: bool) -> ErasureReceipt:
        """Read the message."""
        return cls(
            erasure=message.erasure,
            time=utc(message.time),
            profile_count=message.profile_count,
            identifier_count=message.identifier_count,
            trait_count=message.trait_count,
            suppress=message.suppress,
            completed=message.completed,
            segment_count=message.segment_count,
            record_count=message.record_count,
            file_count=message.file_count,
            earlier_backups=tuple(message.earlier_backups),
            repeated=repeated,
        )
