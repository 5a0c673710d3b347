"""Finds the frames of a log segment, from the drawing of the format alone."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

HEADER_BYTES = 64
_FRAME_HEADER = struct.Struct("<IIQIIQQB7x")


@dataclass(frozen=True)
class Frame:
    """One commit group: where it lies, and which log positions it holds."""

    offset: int
    end: int
    first_position: int
    record_count: int
    synced_through: int

    @property
    def last_position(self) -> int:
        return self.first_position + self.record_count - 1


def newest(data_dir: Path) -> Path:
    """The segment that was written last."""
    return max(data_dir.glob("segment-*.wal"))


def frames(segment: Path) -> list[Frame]:
    """The frames of a segment, in order, up to the zeros behind the last one."""
    content = segment.read_bytes()
    found = []
    offset = HEADER_BYTES
    while any(content[offset : offset + _FRAME_HEADER.size]):
        _, length, _, _, count, first, synced, _ = _FRAME_HEADER.unpack_from(content, offset)
        end = offset + (_FRAME_HEADER.size + length + 7) // 8 * 8
        found.append(Frame(offset, end, first, count, synced))
        offset = end
    return found
