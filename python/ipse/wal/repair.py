"""Makes a damaged log one that starts again, by giving up every record from the damage on.

The last resort, where there is no backup: records that were acknowledged are lost for good. So
`plan_repair` says first what would be given up and changes nothing; `Repair.carry_out` does it.
Every file that it replaces stays beside the others under another name.

```text
snapshot before the damage     [frames....x.....] [.......]   the frames up to x stay
snapshot behind the damage     x......] [....|...]            an empty segment follows it
```
"""

from __future__ import annotations

import contextlib
import os
import secrets
import struct
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ipse.wal.files import HEADER_BYTES, LOG_VERSION, Damage
from ipse.wal.inspection import Inspection, State, inspect
from ipse.wal.record import records_of
from ipse.wal.segment import Frame, Segment, frames_behind

_HEADER: Final = struct.Struct("<8sIIQQQQQI")
_TEMPORARY: Final = "repaired-segment.wal.tmp"
_EMPTY_BYTES: Final = 1 << 16


class Unrepairable(Exception):
    """Why nothing is repaired; the message says what to do instead."""


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair gives up, and what it leaves."""

    directory: Path
    file: str
    offset: int
    problem: str
    # The newest record that stays.
    last_position: int
    # Records after it that there certainly were.
    records: int
    # Of each workspace, by number: first and last sequence number of those that can be read.
    sequences: dict[int, tuple[int, int]]
    # The segment that is cut off, or None: an empty one begins behind the newest snapshot.
    cut: Segment | None
    # Segments that are set aside whole.
    aside: tuple[Segment, ...]
    log_id: int
    number: int

    def carry_out(self) -> list[str]:
        """Changes the files; the names under which the old ones are kept.

        May be repeated after a crash: what stays is the same.
        """
        temporary = self.directory / _TEMPORARY
        _write(temporary, self._content())
        place = self.directory / f"segment-{self.number:012}.wal"
        kept = []
        if self.cut is not None:
            # By a second name: the segment is there, whole or cut off, at every moment.
            kept.append(_aside(place))
            kept[-1].hardlink_to(place)
        temporary.replace(place)
        _sync_directory(self.directory)
        for segment in reversed(self.aside):
            kept.append(_aside(segment.path))
            segment.path.rename(kept[-1])
        said = f"ipse-log {LOG_VERSION} id={self.log_id:016x} newest_segment={self.number}"
        manifest = self.directory / "MANIFEST.tmp"
        _write(manifest, f"{said} crc32={zlib.crc32(said.encode()):08x}\n".encode())
        manifest.replace(self.directory / "MANIFEST")
        _sync_directory(self.directory)
        return [path.name for path in kept]

    def _content(self) -> bytes:
        if self.cut is not None:
            data = self.cut.path.read_bytes()
            return data[: self.cut.end_offset].ljust(len(data), b"\0")
        salt = int.from_bytes(secrets.token_bytes(8), "little") | 1
        fields = (b"ipse-wal", LOG_VERSION, 0, self.number, self.last_position + 1)
        header = _HEADER.pack(*fields, salt, _EMPTY_BYTES, self.log_id, int(time.time()))
        return (header + struct.pack("<I", zlib.crc32(header))).ljust(_EMPTY_BYTES, b"\0")


@dataclass(slots=True)
class _Loss:
    """What is known of the records behind a place."""

    behind: int
    highest: int
    sequences: dict[int, tuple[int, int]] = field(default_factory=dict)

    def look_at(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            self.highest = max(self.highest, frame.first_position + frame.record_count - 1)
            # A frame that holds no records is damage too, and is given up like it.
            with contextlib.suppress(Damage):
                for record in records_of(frame):
                    if record["log_position"] > self.behind:
                        self._count(record["workspace"], record["sequence"])

    def _count(self, workspace: int, sequence: int) -> None:
        first, last = self.sequences.get(workspace, (sequence, sequence))
        self.sequences[workspace] = min(first, sequence), max(last, sequence)


def plan_repair(directory: Path) -> Repair:
    """What a repair of the directory would do. Raises Unrepairable if there is nothing to do."""
    found = inspect(directory)
    if found.is_locked:
        raise Unrepairable("a running server holds the directory: stop it first")
    if found.state() is State.TORN:
        raise Unrepairable(
            "nothing that was acknowledged is damaged: the next start repairs the torn tail"
        )
    if found.state() is State.OK:
        raise Unrepairable("nothing is damaged")
    covered = max((snapshot.log_position for snapshot in found.snapshots), default=0)
    segments = [segment for segment in found.segments if segment.salt]
    start = [s for s in segments if s.first_position <= covered + 1]
    if not segments or (not start and not covered):
        raise Unrepairable(
            "no snapshot can be read that the log continues: restore a backup instead"
        )
    if not start:
        first = segments[0]
        problem = f"records through {first.first_position - 1} are missing before it"
        return _behind_snapshot(found, covered, first, Damage(24, problem))
    return _from(found, covered, found.segments.index(start[-1]))


def _from(found: Inspection, covered: int, at: int) -> Repair:
    """Follows the log from the segment that a start begins with to where it breaks."""
    segments = found.segments
    while True:
        segment = segments[at]
        following = segments[at + 1] if at + 1 < len(segments) else None
        damage = _break(found, segment, following)
        if damage is None and following is not None:
            at += 1
            continue
        if damage is None:
            raise Unrepairable(_not_needed(found))
        last = segment.next_position - 1
        if last < covered:
            return _behind_snapshot(found, covered, segment, damage)
        loss = _Loss(last, max([last, *(s.synced_through for s in segments)]))
        loss.look_at(frames_behind(segment))
        for later in segments[at + 1 :]:
            loss.highest = max(loss.highest, later.first_position - 1)
            loss.look_at([*later.frames, *frames_behind(later)])
        return Repair(
            directory=segment.path.parent,
            file=segment.path.name,
            offset=damage.offset,
            problem=damage.message,
            last_position=last,
            records=loss.highest - last,
            sequences=loss.sequences,
            cut=segment,
            aside=tuple(segments[at + 1 :]),
            log_id=segment.log_id,
            number=segment.number,
        )


def _break(found: Inspection, segment: Segment, following: Segment | None) -> Damage | None:
    """Why the log does not go on behind what can be read of a segment."""
    reports = {report.name: report for report in found.files}
    report = reports[segment.path.name]
    if following is None:
        if report.state is State.CORRUPT:
            return segment.damage or Damage(report.offset or segment.end_offset, report.detail)
        manifest = reports.get("MANIFEST")
        if manifest is not None and manifest.state is State.CORRUPT:
            return Damage(segment.end_offset, f"MANIFEST: {manifest.detail}")
        return None
    if not following.salt or following.number != segment.number + 1:
        return segment.damage or Damage(segment.end_offset, "the next segment is missing or broken")
    continued = (following.first_position, following.previous_crc)
    if continued == (segment.next_position, segment.chain_crc):
        return None
    return segment.damage or Damage(segment.end_offset, "the next segment does not continue it")


def _behind_snapshot(found: Inspection, covered: int, segment: Segment, damage: Damage) -> Repair:
    """The newest snapshot stays, and nothing of the log: none of it continues the snapshot."""
    loss = _Loss(covered, max([covered, *(s.synced_through for s in found.segments)]))
    for each in found.segments:
        loss.look_at([*each.frames, *frames_behind(each)])
    return Repair(
        directory=segment.path.parent,
        file=segment.path.name,
        offset=damage.offset,
        problem=damage.message,
        last_position=covered,
        records=loss.highest - covered,
        sequences=loss.sequences,
        cut=None,
        aside=tuple(found.segments),
        log_id=found.snapshots[-1].log_id,
        number=max(each.number for each in found.segments) + 1,
    )


def _not_needed(found: Inspection) -> str:
    damaged = ", ".join(file.name for file in found.files if file.state is State.CORRUPT)
    return (
        f"only files are damaged that a start can do without ({damaged}): start the server, "
        "which sets bad snapshots aside; damaged history may be deleted, oldest first"
    )


def _aside(path: Path) -> Path:
    """A name that is free, and that the engine does not read."""
    names = (f"{path.name}.{number}.broken" for number in range(1, 1_000_000))
    return next(path.with_name(name) for name in names if not path.with_name(name).exists())


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


assert _HEADER.size + 4 == HEADER_BYTES, "the drawing of the header"
