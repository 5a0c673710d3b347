"""Judges the files of a data directory, and how they fit together, as a recovery would."""

from __future__ import annotations

import dataclasses
import itertools
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from ipse.wal.files import LOG_VERSION, SEGMENT_NAME, SNAPSHOT_NAME, Damage, bytes_of
from ipse.wal.record import records
from ipse.wal.segment import Segment, read_segment
from ipse.wal.snapshot import Snapshot, parts, read_snapshot

_MANIFEST: Final = re.compile(
    r"(ipse-log (\d+) id=([0-9a-f]{16}) newest_segment=(\d+)) crc32=([0-9a-f]{8})\n"
)


class State(StrEnum):
    """What a file is worth."""

    OK = "ok"
    TORN = "torn tail"
    """A crash cut short a group that was never acknowledged; the next start sets it aside."""
    CORRUPT = "corrupt"
    """Acknowledged data is damaged or missing: the engine refuses to start."""
    ASIDE = "set aside"
    """Left by an earlier recovery or an unfinished write; the engine does not read it."""


class Role(StrEnum):
    """What a file is for."""

    START = "start"
    """The next start reads it."""
    FALLBACK = "fallback"
    """Read if the newest snapshot turns out to be bad."""
    HISTORY = "history"
    """Kept for questions about the past; no start reads more than its header."""
    NONE = "none"
    """Not read by the engine."""


@dataclass(frozen=True, slots=True)
class FileReport:
    """What `verify` says of one file."""

    name: str
    state: State
    detail: str
    # The damaged byte; None if the file as a whole is meant, or nothing is wrong.
    offset: int | None = None
    role: Role = Role.START


@dataclass(slots=True)
class Inspection:
    """All files of a data directory, judged."""

    files: list[FileReport] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    # A running process holds the directory: its newest group may be half written.
    is_locked: bool = False

    def state(self) -> State:
        """The worst of the files that count."""
        states = {report.state for report in self.files}
        return next((s for s in (State.CORRUPT, State.TORN) if s in states), State.OK)


def inspect(directory: Path) -> Inspection:
    """Reads every file and judges it. Raises OSError if the directory cannot be read."""
    names = sorted(path.name for path in directory.iterdir())
    found = Inspection(is_locked=_is_locked(directory / "LOCK"))
    log_id, newest = _read_manifest(directory, names, found)
    for name in names:
        if SNAPSHOT_NAME.fullmatch(name):
            _inspect_snapshot(directory / name, log_id, found)
    numbered = [(m, name) for name in names if (m := SEGMENT_NAME.fullmatch(name))]
    found.segments = [read_segment(directory / name, int(m.group(1))) for m, name in numbered]
    _judge_segments(found, log_id, newest)
    found.files = [dataclasses.replace(each, role=_role(each, found)) for each in found.files]
    found.files += [
        FileReport(name, State.ASIDE, "not read by the engine", role=Role.NONE)
        for name in names
        if name.endswith((".torn", ".broken", ".tmp"))
    ]
    return found


def _role(report: FileReport, found: Inspection) -> Role:
    """What a manifest, snapshot or segment is for."""
    held = [snapshot.log_position for snapshot in found.snapshots]
    *_, older, newest = sorted([0, 0, *held])
    if SNAPSHOT_NAME.fullmatch(report.name):
        return Role.START if report.name.endswith(f"{newest:020}.snap") else Role.FALLBACK
    for segment, following in itertools.pairwise(found.segments):
        if segment.path.name != report.name or not following.salt:
            continue
        last = following.first_position - 1
        if last <= newest:
            return Role.HISTORY if last <= older else Role.FALLBACK
    return Role.START


def _judge_segments(found: Inspection, log_id: int | None, newest: int | None) -> None:
    snapshots = found.snapshots
    covered = max((snapshot.log_position for snapshot in snapshots), default=0)
    segments = found.segments
    begun = [s.first_position - 1 for s in segments if s.salt]
    synced = max([covered, *begun, *(s.synced_through for s in segments)], default=0)
    before: Segment | None = None
    for index, segment in enumerate(segments):
        problem = next(_misplaced(segment, before, log_id, covered), None)
        following = segments[index + 1] if index + 1 < len(segments) else None
        if problem is not None:
            report = FileReport(segment.path.name, State.CORRUPT, problem.message, problem.offset)
        else:
            report = _judge_segment(segment, synced, following)
        found.files.append(report)
        before = segment
    if newest is not None and (not segments or segments[-1].number < newest):
        detail = f"the manifest names segment {newest} as the newest, and it is missing"
        found.files.append(FileReport("MANIFEST", State.CORRUPT, detail))
    if segments and segments[-1].next_position - 1 < covered and segments[-1].damage is None:
        detail = f"the log ends at {segments[-1].next_position - 1}, a snapshot is at {covered}"
        found.files.append(FileReport(segments[-1].path.name, State.CORRUPT, detail))


def _judge_segment(segment: Segment, synced: int, following: Segment | None) -> FileReport:
    name, damage = segment.path.name, segment.damage
    last = segment.next_position - 1
    if damage is None or _is_whole(segment, following):
        first = segment.first_position
        held = f"records {first} to {last}" if last >= first else "no records"
        clean = ", clean shutdown" if segment.clean_shutdown else ""
        rest = f"; unread bytes from {segment.end_offset}" if damage is not None else ""
        detail = f"{held} in {len(segment.frames)} frames{clean}{rest}"
        try:
            for _ in records(segment):
                pass
        except Damage as wrong:
            return FileReport(name, State.CORRUPT, wrong.message, wrong.offset)
        return FileReport(name, State.OK, detail)
    if segment.salt and segment.next_position > synced:
        detail = f"{damage.message}; behind record {last}, synced through {synced}"
        return FileReport(name, State.TORN, detail, damage.offset)
    detail = f"{damage.message}; records through {synced} were synced, {last} can be read"
    return FileReport(name, State.CORRUPT, detail, damage.offset)


def _is_whole(segment: Segment, following: Segment | None) -> bool:
    """Whether the next segment continues where this one can be read to: then nothing is lost."""
    if following is None or not segment.salt:
        return False
    continued = (following.first_position, following.previous_crc)
    return continued == (segment.next_position, segment.chain_crc)


def _misplaced(
    segment: Segment, before: Segment | None, log_id: int | None, covered: int
) -> Iterator[Damage]:
    """Why a segment does not continue the one before it."""
    if not segment.salt:
        return
    if log_id is not None and segment.log_id != log_id:
        yield Damage(48, "belongs to another log")
    if before is None:
        missing = segment.first_position - 1
        if missing > covered or (segment.number == 1 and segment.previous_crc):
            yield Damage(24, f"records through {missing} are missing, snapshots hold {covered}")
        return
    if segment.number != before.number + 1:
        yield Damage(16, f"segment {before.number + 1} is missing before it")
    if before.damage is not None and not _is_whole(before, segment):
        return
    if segment.first_position != before.next_position:
        yield Damage(24, f"begins at {segment.first_position}, not {before.next_position}")
    if segment.previous_crc != before.chain_crc:
        yield Damage(12, "does not name the last frame of the segment before it")


def _inspect_snapshot(path: Path, log_id: int | None, found: Inspection) -> None:
    try:
        snapshot, _ = read_snapshot(path, bytes_of(path))
        if log_id is not None and snapshot.log_id != log_id:
            raise Damage(32, "belongs to another log")  # noqa: TRY301
        rows = sum(1 for _ in parts(path))
    except Damage as damage:
        found.files.append(FileReport(path.name, State.CORRUPT, damage.message, damage.offset))
        return
    found.snapshots.append(snapshot)
    detail = f"log position {snapshot.log_position}, {snapshot.workspace_count} workspaces, "
    found.files.append(FileReport(path.name, State.OK, f"{detail}{rows} parts"))


def _read_manifest(
    directory: Path, names: list[str], found: Inspection
) -> tuple[int | None, int | None]:
    """Log id and newest segment, if the manifest can be believed."""
    if "MANIFEST" not in names:
        # A crash may come between the first segment and the manifest that names it.
        return None, None
    text = (directory / "MANIFEST").read_bytes().decode("ascii", "replace")
    match = _MANIFEST.fullmatch(text)
    if match is None:
        found.files.append(FileReport("MANIFEST", State.CORRUPT, "is not a manifest of ipse", 0))
        return None, None
    line, version, log_id, newest, crc = match.groups()
    if zlib.crc32(line.encode()) != int(crc, 16):
        found.files.append(FileReport("MANIFEST", State.CORRUPT, "checksum mismatch", 0))
        return None, None
    if int(version) != LOG_VERSION:
        detail = f"format version {version}; this program reads {LOG_VERSION}"
        found.files.append(FileReport("MANIFEST", State.CORRUPT, detail, 0))
        return None, None
    found.files.append(FileReport("MANIFEST", State.OK, f"log {log_id}, newest segment {newest}"))
    return int(log_id, 16), int(newest)


def _is_locked(path: Path) -> bool:
    """Whether a process holds the lock, told without taking it: that could stop a starting server.

    Where the system does not tell (`/proc/locks`), the answer is no.
    """
    try:
        inode = f":{path.stat().st_ino}"
        locks = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return False
    return any("FLOCK" in line and line.split()[5].endswith(inode) for line in locks)
