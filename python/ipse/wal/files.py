"""What all files of a data directory share: names, versions, how their bytes are got at."""

from __future__ import annotations

import mmap
import os
import re
from pathlib import Path
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]

LOG_VERSION: Final = 1
SNAPSHOT_VERSION: Final = 1
HEADER_BYTES: Final = 64
ALIGNMENT: Final = 8
SEGMENT_NAME: Final = re.compile(r"segment-(\d{12,})\.wal")
SNAPSHOT_NAME: Final = re.compile(r"snapshot-(\d{20})\.snap")


class Damage(Exception):
    """A place that is not what the format says."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(f"byte {offset}: {message}")
        self.offset = offset
        self.message = message


def segment_paths(directory: Path) -> list[Path]:
    """The log segments in order."""
    return sorted(path for path in directory.iterdir() if SEGMENT_NAME.fullmatch(path.name))


def snapshot_paths(directory: Path) -> list[Path]:
    """The snapshots, oldest first."""
    return sorted(path for path in directory.iterdir() if SNAPSHOT_NAME.fullmatch(path.name))


def bytes_of(path: Path) -> memoryview:
    """A file's bytes, mapped rather than read."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def unpacked(payload: bytes | memoryview, offset: int) -> list[Any]:
    """The msgpack values of a payload whose checksum is right; `offset` is what Damage names."""
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
