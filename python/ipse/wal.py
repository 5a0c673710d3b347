"""Reads the files of a data directory: log segments, snapshots and the manifest.

A second reading of the format that `rust/ipse-store/src/format.rs` draws, sharing nothing with
the engine but that drawing: what this module and the engine agree on is the format. It only
reads. `inspect` judges every file as the engine's recovery would; `records` and `parts` give
the contents by name.

Invariant: nothing is believed before its checksum is.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, cast

import msgpack  # type: ignore[import-untyped]

LOG_VERSION: Final = 1
SNAPSHOT_VERSION: Final = 1
HEADER_BYTES: Final = 64
ALIGNMENT: Final = 8

_SEGMENT_HEADER: Final = struct.Struct("<8sIIQQQQQII")
_FRAME_HEADER: Final = struct.Struct("<IIQIIQQB7s")
_SNAPSHOT_HEADER: Final = struct.Struct("<8sIIQQQ20sI")
_SECTION_HEADER: Final = struct.Struct("<IIQQII")
_FOOTER: Final = struct.Struct("<8sQQQQII12sI")

_SEGMENT_NAME: Final = re.compile(r"segment-(\d{12,})\.wal")
_SNAPSHOT_NAME: Final = re.compile(r"snapshot-(\d{20})\.snap")
_MANIFEST: Final = re.compile(
    r"(ipse-log (\d+) id=([0-9a-f]{16}) newest_segment=(\d+)) crc32=([0-9a-f]{8})\n"
)

_GROUP, _CLEAN_SHUTDOWN = 1, 2
_KINDS: Final = {_GROUP: "group", _CLEAN_SHUTDOWN: "clean_shutdown"}

_RULES: Final = (
    "", "unknown_namespace", "invalid_value", "blocked_value", "value_limit",
    "value_time_limit", "merge_limit", "identifier_limit",
)  # fmt: skip
_TARGETS: Final = ("unresolved", "created", "found", "merged")
_VERDICTS: Final = ("attached", "already_attached", "dropped", "refused")

_RECORD_FIELDS: Final = {
    1: ("workspace_created", ("name", "profile_key", "rules")),
    2: ("rules_set", ("version", "rules")),
    3: (
        "event_resolved",
        (
            "event_id", "digest", "kind", "source", "timestamp_ms", "rules_version",
            "named_profile", "key_namespace", "target", "identifiers", "traits",
        ),
    ),
}  # fmt: skip
_PART_FIELDS: Final = {
    1: (
        "workspace",
        (
            "name", "profile_key", "created_time_ms", "sequence", "log_time_ms",
            "rules_version", "rules", "namespaces", "state_hash",
        ),
    ),
    2: ("profiles", ("parent", "merged_sequence", "bearer", "created_sequence", "created_time_ms")),
    3: (
        "identifiers",
        ("namespace", "value", "profile", "attached_sequence", "attached_time_ms"),
    ),
    4: ("links", ("stronger", "weaker", "sequence")),
    5: ("traits", ("profile", "name", "value", "time_ms", "sequence")),
    6: (
        "remembered_events",
        (
            "event_id", "digest", "sequence", "log_time_ms", "rules_version", "known",
            "target", "verdicts",
        ),
    ),
    7: ("remembered_refusals", ("hash",)),
}  # fmt: skip


class State(StrEnum):
    """What a file is worth."""

    OK = "ok"
    TORN = "torn tail"
    """A crash cut short a group that was never acknowledged; the next start sets it aside."""
    CORRUPT = "corrupt"
    """Acknowledged data is damaged or missing: the engine refuses to start."""
    ASIDE = "set aside"
    """Left by an earlier recovery or an unfinished write; the engine does not read it."""


class Damage(Exception):
    """A place that is not what the format says."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(f"byte {offset}: {message}")
        self.offset = offset
        self.message = message


@dataclass(frozen=True, slots=True)
class Frame:
    """One commit group, or the mark of a clean shutdown."""

    offset: int
    end: int
    crc: int
    previous_crc: int
    record_count: int
    first_position: int
    synced_through: int
    kind: int
    payload: bytes


@dataclass(slots=True)
class Segment:
    """A log segment: its header, its frames up to the end or the first damage."""

    path: Path
    number: int
    size_bytes: int
    previous_crc: int = 0
    first_position: int = 0
    salt: int = 0
    log_id: int = 0
    frames: list[Frame] = field(default_factory=list)
    # The log position that the next record would have.
    next_position: int = 0
    # The CRC that the next frame, or the next segment, has to name: that of the frame before it,
    # over the bounds of segments.
    chain_crc: int = 0
    end_offset: int = 0
    damage: Damage | None = None
    # The highest position that frames of this file, also later than the damage, call synced.
    synced_through: int = 0
    clean_shutdown: bool = False


@dataclass(slots=True)
class Snapshot:
    """A snapshot whose checksums are right."""

    path: Path
    size_bytes: int
    log_position: int
    log_id: int
    workspace_count: int
    part_count: int


@dataclass(frozen=True, slots=True)
class FileReport:
    """What `verify` says of one file."""

    name: str
    state: State
    detail: str
    # The damaged byte; None if the file as a whole is meant, or nothing is wrong.
    offset: int | None = None


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
        if _SNAPSHOT_NAME.fullmatch(name):
            _inspect_snapshot(directory / name, log_id, found)
    numbered = [(m, name) for name in names if (m := _SEGMENT_NAME.fullmatch(name))]
    found.segments = [read_segment(directory / name, int(m.group(1))) for m, name in numbered]
    _judge_segments(found, log_id, newest)
    found.files += [
        FileReport(name, State.ASIDE, "not read by the engine")
        for name in names
        if name.endswith((".torn", ".broken", ".tmp"))
    ]
    return found


def segment_paths(directory: Path) -> list[Path]:
    """The log segments in order."""
    return sorted(path for path in directory.iterdir() if _SEGMENT_NAME.fullmatch(path.name))


def snapshot_paths(directory: Path) -> list[Path]:
    """The snapshots, oldest first."""
    return sorted(path for path in directory.iterdir() if _SNAPSHOT_NAME.fullmatch(path.name))


def read_segment(path: Path, number: int | None = None) -> Segment:
    """Reads a segment up to its end or its first damage."""
    data = _bytes_of(path)
    match = _SEGMENT_NAME.fullmatch(path.name)
    if number is None:
        number = int(match.group(1)) if match else 0
    segment = Segment(path, number, len(data))
    try:
        _read_segment_header(segment, data)
        _read_frames(segment, data)
    except Damage as damage:
        segment.damage = damage
        segment.synced_through = max(segment.synced_through, _synced_later(segment, data))
    return segment


def records(segment: Segment) -> Iterator[dict[str, Any]]:
    """The records of a segment's sound frames, by name, with their log positions.

    Raises Damage if a frame whose checksum is right does not hold records: a bug, not a fault.
    """
    for frame in segment.frames:
        yield from _records_of(frame)


def parts(path: Path) -> Iterator[dict[str, Any]]:
    """The parts of a snapshot by name, columns as lists. Raises Damage."""
    data = _bytes_of(path)
    snapshot, sections = _read_snapshot(path, data)
    count = 0
    for offset, payload, part_count in sections:
        section_parts = _unpack(payload, offset)
        if len(section_parts) != part_count:
            raise Damage(offset, f"holds {len(section_parts)} parts and says {part_count}")
        for part in section_parts:
            count += 1
            yield _named_part(part, offset)
    if count != snapshot.part_count:
        raise Damage(len(data) - HEADER_BYTES, f"{count} parts, not {snapshot.part_count}")


def _read_segment_header(segment: Segment, data: memoryview) -> None:
    if len(data) < HEADER_BYTES:
        raise Damage(0, f"the file has {len(data)} bytes, a header has {HEADER_BYTES}")
    fields = _SEGMENT_HEADER.unpack_from(data)
    magic, version, previous, number, first, salt, created_size, log_id, zero, crc = fields
    if magic != b"ipse-wal":
        raise Damage(0, "is not a segment of an ipse log")
    if zlib.crc32(data[:60]) != crc:
        raise Damage(0, "checksum mismatch in the header")
    if version != LOG_VERSION:
        raise Damage(8, f"format version {version}; this program reads {LOG_VERSION}")
    if number != segment.number:
        raise Damage(16, f"is segment {number}, named as {segment.number}")
    if zero or not salt or not log_id:
        raise Damage(32, "a field that must (not) be zero is (not)")
    segment.previous_crc, segment.first_position = previous, first
    segment.salt, segment.log_id = salt, log_id
    segment.next_position, segment.chain_crc = first, previous
    segment.end_offset = HEADER_BYTES
    if len(data) < created_size:
        segment.damage = Damage(len(data), f"is cut short; it was made with {created_size} bytes")


def _read_frames(segment: Segment, data: memoryview) -> None:
    offset = HEADER_BYTES
    while not _only_zeros(data, offset):
        frame = _read_frame(segment, data, offset)
        if frame.previous_crc != segment.chain_crc:
            raise Damage(offset + 16, "does not follow the frame before it")
        if frame.first_position != segment.next_position:
            expected = segment.next_position
            raise Damage(
                offset + 24, f"begins at log position {frame.first_position}, not {expected}"
            )
        if frame.synced_through >= frame.first_position:
            raise Damage(offset + 32, "says that it was synced before it was written")
        segment.frames.append(frame)
        segment.next_position += frame.record_count
        segment.chain_crc = frame.crc
        segment.clean_shutdown = frame.kind == _CLEAN_SHUTDOWN
        segment.synced_through = max(segment.synced_through, frame.synced_through)
        segment.end_offset = offset = frame.end
    if segment.damage is not None:
        raise segment.damage


def _read_frame(segment: Segment, data: memoryview, offset: int) -> Frame:
    if offset + _FRAME_HEADER.size > len(data):
        raise Damage(offset, "the file ends within a frame's header")
    fields = _FRAME_HEADER.unpack_from(data, offset)
    crc, length, salt, previous, count, first, synced, kind, zeros = fields
    begin = offset + _FRAME_HEADER.size
    end = begin + -(-length // ALIGNMENT) * ALIGNMENT
    if end > len(data):
        raise Damage(offset + 4, f"a payload of {length} bytes passes the end of the file")
    if zlib.crc32(data[offset + 4 : end]) != crc:
        raise Damage(offset, "checksum mismatch in a frame")
    if salt != segment.salt:
        raise Damage(offset + 8, "a frame of another segment")
    if kind not in _KINDS or any(zeros) or any(data[begin + length : end]):
        raise Damage(offset + 40, f"a frame of an unknown kind, {kind}, or with bytes in its gaps")
    payload = bytes(data[begin : begin + length])
    return Frame(offset, end, crc, previous, count, first, synced, kind, payload)


def _synced_later(segment: Segment, data: memoryview) -> int:
    """The highest `synced through` of the valid frames behind the damage."""
    if not segment.salt:
        return 0
    wanted, highest = segment.salt.to_bytes(8, "little"), 0
    buffer = cast("mmap.mmap | bytes", data.obj)
    at = buffer.find(wanted, segment.end_offset)
    while at != -1:
        offset = at - 8
        if offset % ALIGNMENT == 0 and offset >= segment.end_offset:
            with contextlib.suppress(Damage):
                highest = max(highest, _read_frame(segment, data, offset).synced_through)
        at = buffer.find(wanted, at + 1)
    return highest


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


def _records_of(frame: Frame) -> Iterator[dict[str, Any]]:
    arrays = _unpack(frame.payload, frame.offset)
    if len(arrays) != frame.record_count:
        raise Damage(
            frame.offset + 20, f"holds {len(arrays)} records and says {frame.record_count}"
        )
    for position, array in enumerate(arrays, start=frame.first_position):
        yield {"log_position": position, "frame_offset": frame.offset} | _named_record(
            array, frame.offset
        )


def _named_record(array: Any, offset: int) -> dict[str, Any]:
    try:
        workspace, sequence, log_time_ms, tag, *values = array
        change, names = _RECORD_FIELDS[tag]
        record = dict(zip(names, values, strict=True))
        if change == "event_resolved":
            record["target"] = _target(record["target"])
            record["identifiers"] = [_identifier(*each) for each in record["identifiers"]]
            record["traits"] = {name: _trait(value) for name, value in record["traits"]}
    except (TypeError, ValueError, KeyError, IndexError) as wrong:
        raise Damage(offset, f"a record that is none: {wrong!r}") from None
    head = {"workspace": workspace, "sequence": sequence, "log_time_ms": log_time_ms}
    return head | {"change": change} | record


def _target(array: Sequence[Any]) -> dict[str, Any]:
    kind = _TARGETS[array[0]]
    names = {"unresolved": (), "merged": ("profile", "absorbed")}.get(kind, ("profile",))
    return {"decision": kind} | dict(zip(names, array[1:], strict=True))


def _identifier(namespace: str, value: str, raw: str | None, verdict: Any) -> dict[str, Any]:
    named = {"namespace": namespace, "value": value}
    if raw is not None:
        named["raw"] = raw
    return named | _verdict(verdict)


def _verdict(verdict: Any) -> dict[str, Any]:
    if isinstance(verdict, int):
        return {"verdict": _VERDICTS[:2][verdict]}
    number, rule, limit, collided = verdict
    named: dict[str, Any] = {"verdict": _VERDICTS[number], "rule": _RULES[rule]}
    if limit is not None:
        named["limit_namespace"], named["limit"] = limit
    if collided is not None:
        named["collided"] = collided
    return named


def _trait(value: Any) -> Any:
    """JSON text stands as `{"json": text}`, so that it is not taken for plain text."""
    return {"json": value[0]} if isinstance(value, list) else value


def _read_snapshot(
    path: Path, data: memoryview
) -> tuple[Snapshot, list[tuple[int, memoryview, int]]]:
    """The snapshot, and (offset, payload, number of parts) of each section."""
    if len(data) < 2 * HEADER_BYTES:
        raise Damage(0, f"the file has {len(data)} bytes; it is cut short")
    magic, version, workspaces, position, salt, log_id, zeros, crc = _SNAPSHOT_HEADER.unpack_from(
        data
    )
    if magic != b"ipsesnap":
        raise Damage(0, "is not a snapshot of ipse")
    if zlib.crc32(data[:60]) != crc:
        raise Damage(0, "checksum mismatch in the header")
    if version != SNAPSHOT_VERSION:
        raise Damage(8, f"format version {version}; this program reads {SNAPSHOT_VERSION}")
    if any(zeros) or not salt:
        raise Damage(40, "a field that must (not) be zero is (not)")
    footer = _read_footer(data)
    if (footer["position"], footer["workspaces"]) != (position, workspaces):
        raise Damage(len(data) - HEADER_BYTES, "header and footer do not agree")
    sections = list(_read_sections(data, salt, footer["offset"]))
    if len(sections) != footer["sections"]:
        raise Damage(footer["offset"], f"{len(sections)} sections, not {footer['sections']}")
    match = _SNAPSHOT_NAME.fullmatch(path.name)
    if match and int(match.group(1)) != position:
        raise Damage(16, f"holds log position {position}, unlike its name")
    return Snapshot(path, len(data), position, log_id, workspaces, footer["parts"]), sections


def _read_footer(data: memoryview) -> dict[str, int]:
    at = len(data) - HEADER_BYTES
    magic, position, sections, part_count, offset, workspaces, all_crc, zeros, crc = (
        _FOOTER.unpack_from(data, at)
    )
    if magic != b"ipse-end" or offset != at or any(zeros):
        raise Damage(at, "no footer at the end of the file; it is cut short")
    if zlib.crc32(data[at : at + 60]) != crc:
        raise Damage(at, "checksum mismatch in the footer")
    if zlib.crc32(data[:at]) != all_crc:
        raise Damage(0, "checksum mismatch in the file as a whole")
    names = ("position", "sections", "parts", "offset", "workspaces")
    return dict(zip(names, (position, sections, part_count, offset, workspaces), strict=True))


def _read_sections(data: memoryview, salt: int, end: int) -> Iterator[tuple[int, memoryview, int]]:
    offset, expected = HEADER_BYTES, 0
    while offset < end:
        if offset + _SECTION_HEADER.size > end:
            raise Damage(offset, "the sections end within a header")
        crc, length, own_salt, number, part_count, zero = _SECTION_HEADER.unpack_from(data, offset)
        begin = offset + _SECTION_HEADER.size
        after = begin + -(-length // ALIGNMENT) * ALIGNMENT
        if after > end:
            raise Damage(offset + 4, f"a section of {length} bytes passes the footer")
        if zlib.crc32(data[offset + 4 : after]) != crc:
            raise Damage(offset, f"checksum mismatch in section {expected}")
        if own_salt != salt or number != expected or zero or any(data[begin + length : after]):
            raise Damage(offset, f"is not section {expected} of this file")
        yield offset, data[begin : begin + length], part_count
        offset, expected = after, expected + 1


def _named_part(part: Any, offset: int) -> dict[str, Any]:
    try:
        workspace, tag, *columns = part
        name, names = _PART_FIELDS[tag]
        named = dict(zip(names, columns, strict=True))
        if name == "workspace":
            return {"workspace": workspace, "part": name} | named
        if len({len(column) for column in columns}) > 1:
            raise Damage(offset, "a part with columns of different lengths")
        if name == "remembered_events":
            named["target"] = [_target(each) for each in named["target"]]
            named["verdicts"] = [[_verdict(v) for v in each] for each in named["verdicts"]]
        elif name == "traits":
            named["value"] = [_trait(value) for value in named["value"]]
    except (TypeError, ValueError, KeyError, IndexError) as wrong:
        raise Damage(offset, f"a part that is none: {wrong!r}") from None
    return {"workspace": workspace, "part": name} | named


def _inspect_snapshot(path: Path, log_id: int | None, found: Inspection) -> None:
    try:
        snapshot, _ = _read_snapshot(path, _bytes_of(path))
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


def _bytes_of(path: Path) -> memoryview:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _only_zeros(data: memoryview, offset: int) -> bool:
    """Whether nothing follows. Looks at the next frame's place first: it is mostly taken."""
    if any(data[offset : offset + _FRAME_HEADER.size]):
        return False
    step = 1 << 20
    return not any(
        bytes(data[at : at + step]).strip(b"\0") for at in range(offset, len(data), step)
    )


def _unpack(payload: bytes | memoryview, offset: int) -> list[Any]:
    unpacker = msgpack.Unpacker(
        max_buffer_size=max(len(payload), 1), strict_map_key=False, use_list=True
    )
    unpacker.feed(payload)
    try:
        objects = list(unpacker)
    except (ValueError, msgpack.UnpackException) as wrong:
        raise Damage(offset, f"is not msgpack: {wrong}") from None
    if unpacker.tell() != len(payload):
        raise Damage(offset, "ends within a msgpack value")
    return objects
