"""Log segments: the header, and the chain of frames up to the end or the first damage.

Does not look into payloads: what a frame holds, `record` says.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from ipse.wal.files import ALIGNMENT, HEADER_BYTES, LOG_VERSION, SEGMENT_NAME, Damage, bytes_of

_SEGMENT_HEADER: Final = struct.Struct("<8sIIQQQQQII")
_FRAME_HEADER: Final = struct.Struct("<IIQIIQQB7s")
_GROUP, _CLEAN_SHUTDOWN, _REWRITTEN = 1, 2, 3
_KINDS: Final = {_GROUP: "group", _CLEAN_SHUTDOWN: "clean_shutdown", _REWRITTEN: "rewritten"}
_REWRITTEN_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """One commit group, the mark of a clean shutdown, or the end of a rewritten segment."""

    offset: int
    end: int
    crc: int
    previous_crc: int
    record_count: int
    first_position: int
    synced_through: int
    kind: int
    payload: bytes

    @property
    def is_group(self) -> bool:
        """Whether its payload is records."""
        return self.kind == _GROUP


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
    # When the first record was logged, in seconds since 1970; 0 in segment 1.
    first_time_s: int = 0
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


def read_segment(path: Path, number: int | None = None) -> Segment:
    """Reads a segment up to its end or its first damage."""
    data = bytes_of(path)
    match = SEGMENT_NAME.fullmatch(path.name)
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


def _read_segment_header(segment: Segment, data: memoryview) -> None:
    if len(data) < HEADER_BYTES:
        raise Damage(0, f"the file has {len(data)} bytes, a header has {HEADER_BYTES}")
    fields = _SEGMENT_HEADER.unpack_from(data)
    magic, version, previous, number, first, salt, created_size, log_id, time_s, crc = fields
    if magic != b"ipse-wal":
        raise Damage(0, "is not a segment of an ipse log")
    if zlib.crc32(data[:60]) != crc:
        raise Damage(0, "checksum mismatch in the header")
    if version != LOG_VERSION:
        raise Damage(8, f"format version {version}; this program reads {LOG_VERSION}")
    if number != segment.number:
        raise Damage(16, f"is segment {number}, named as {segment.number}")
    if not salt or not log_id:
        raise Damage(32, "a field that must not be zero is")
    segment.previous_crc, segment.first_position = previous, first
    segment.salt, segment.log_id, segment.first_time_s = salt, log_id, time_s
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
        segment.chain_crc = _chain_crc(frame)
        segment.clean_shutdown = frame.kind == _CLEAN_SHUTDOWN
        segment.synced_through = max(segment.synced_through, frame.synced_through)
        segment.end_offset = offset = frame.end
    if segment.damage is not None:
        raise segment.damage


def _chain_crc(frame: Frame) -> int:
    """The checksum that what follows names: of a rewritten segment, that of its old last frame."""
    if frame.kind != _REWRITTEN:
        return frame.crc
    if frame.record_count or len(frame.payload) != _REWRITTEN_BYTES:
        raise Damage(frame.offset, "the end of a rewritten segment is not one checksum")
    return int.from_bytes(frame.payload, "little")


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


def frames_behind(segment: Segment) -> list[Frame]:
    """The valid frames behind the damage of a segment: nothing says that none is missing."""
    return list(_frames_behind(segment, bytes_of(segment.path)))


def _synced_later(segment: Segment, data: memoryview) -> int:
    """The highest `synced through` of the valid frames behind the damage."""
    return max((frame.synced_through for frame in _frames_behind(segment, data)), default=0)


def _frames_behind(segment: Segment, data: memoryview) -> Iterator[Frame]:
    if not segment.salt:
        return
    wanted = segment.salt.to_bytes(8, "little")
    buffer = cast("mmap.mmap | bytes", data.obj)
    # `mmap.find` of some Pythons looks at one byte behind the range that it is given, and behind
    # the file's last page that is a crash. A whole frame never ends with its salt.
    end = len(data) - 1
    at = buffer.find(wanted, segment.end_offset, end)
    while at != -1:
        offset = at - 8
        if offset % ALIGNMENT == 0 and offset >= segment.end_offset:
            with contextlib.suppress(Damage):
                yield _read_frame(segment, data, offset)
        at = buffer.find(wanted, at + 1, end)


def _only_zeros(data: memoryview, offset: int) -> bool:
    """Whether nothing follows. Looks at the next frame's place first: it is mostly taken."""
    if any(data[offset : offset + _FRAME_HEADER.size]):
        return False
    step = 1 << 20
    return not any(
        bytes(data[at : at + step]).strip(b"\0") for at in range(offset, len(data), step)
    )
