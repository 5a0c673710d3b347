"""Writes files of a data directory from the drawing of the format, for tests of the reader.

Written apart from both the engine and `ipse.wal`: a fault that the two share would show here.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]

LOG_ID = 0x0123456789ABCDEF
KEY = bytes(range(16))


def little(number: int, size: int) -> bytes:
    return number.to_bytes(size, "little")


def sealed(header: bytes) -> bytes:
    """A header of 64 bytes: zeros up to its checksum, and that."""
    body = header.ljust(60, b"\0")
    return body + little(zlib.crc32(body), 4)


@dataclass
class SegmentFile:
    """A segment as it grows. Records get their log positions in order."""

    number: int = 1
    first_position: int = 1
    previous_crc: int = 0
    size: int = 4_096
    salt: int = 0
    log_id: int = LOG_ID
    body: bytes = b""
    last_crc: int = 0
    position: int = 0
    offsets: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.salt = self.salt or 0x5A17_0000_0000_0000 + self.number
        self.position = self.first_position
        header = b"ipse-wal" + little(1, 4) + little(self.previous_crc, 4)
        for value in (self.number, self.first_position, self.salt, self.size, self.log_id):
            header += little(value, 8)
        self.body = sealed(header)
        self.last_crc = self.previous_crc

    def group(self, *records: list[Any], synced: int | None = None) -> SegmentFile:
        payload = b"".join(msgpack.packb(record) for record in records)
        return self.frame(1, payload, len(records), synced)

    def clean_shutdown(self) -> SegmentFile:
        return self.frame(2, b"", 0, self.position - 1)

    def frame(self, kind: int, payload: bytes, count: int, synced: int | None) -> SegmentFile:
        through = self.position - 1 if synced is None else synced
        rest = little(len(payload), 4) + little(self.salt, 8) + little(self.last_crc, 4)
        rest += little(count, 4) + little(self.position, 8) + little(through, 8)
        rest += bytes([kind]) + bytes(7) + payload
        rest += bytes(-(4 + len(rest)) % 8)
        crc = zlib.crc32(rest)
        self.offsets.append(len(self.body))
        self.body += little(crc, 4) + rest
        self.last_crc = crc
        self.position += count
        return self

    def following(self) -> SegmentFile:
        """The segment that continues this one."""
        return SegmentFile(self.number + 1, self.position, self.last_crc, self.size)

    def write(self, directory: Path) -> Path:
        path = directory / f"segment-{self.number:012}.wal"
        path.write_bytes(self.body.ljust(self.size, b"\0"))
        return path


def write_manifest(directory: Path, newest: int) -> None:
    said = f"ipse-log 1 id={LOG_ID:016x} newest_segment={newest}"
    line = f"{said} crc32={zlib.crc32(said.encode()):08x}\n"
    (directory / "MANIFEST").write_text(line)


def write_snapshot(directory: Path, position: int, sections: list[list[list[Any]]]) -> Path:
    """A snapshot of one workspace."""
    salt = 0x5A17_5A17
    header = b"ipsesnap" + little(1, 4) + little(1, 4)
    data = sealed(header + little(position, 8) + little(salt, 8) + little(LOG_ID, 8))
    for number, parts in enumerate(sections):
        payload = b"".join(msgpack.packb(part) for part in parts)
        rest = little(len(payload), 4) + little(salt, 8) + little(number, 8)
        rest += little(len(parts), 4) + bytes(4) + payload
        rest += bytes(-(4 + len(rest)) % 8)
        data += little(zlib.crc32(rest), 4) + rest
    count = sum(len(parts) for parts in sections)
    footer = b"ipse-end" + little(position, 8) + little(len(sections), 8) + little(count, 8)
    footer += little(len(data), 8) + little(1, 4) + little(zlib.crc32(data), 4)
    path = directory / f"snapshot-{position:020}.snap"
    path.write_bytes(data + sealed(footer))
    return path


def workspace_created(name: str = "default", workspace: int = 0) -> list[Any]:
    return [workspace, 1, 1_000, 1, name, KEY, "[workspace]\n"]


def event_resolved(
    sequence: int,
    target: list[Any],
    identifiers: list[list[Any]],
    traits: list[list[Any]] | None = None,
) -> list[Any]:
    head = [0, sequence, 1_000 + sequence, 3, f"e{sequence}", KEY, "track", "app", 500, 1]
    return [*head, None, "", target, identifiers, traits or []]


def command_resolved(
    sequence: int,
    verb: int,
    target: list[Any],
    identifiers: list[list[Any]],
    extra: list[Any] | None,
) -> list[Any]:
    plain = event_resolved(sequence, target, identifiers)
    return [*plain[:3], 4, *plain[4:], verb, extra]


def extra_with(**fields: Any) -> list[Any]:
    """An extra that has what is given, and is empty otherwise."""
    empty = {
        "marks_known": False, "sources": 0, "moves": [], "displaced": [], "merges": [],
        "reverted": [], "attribution": None, "imported": None, "ignored_traits": [],
    }  # fmt: skip
    assert fields.keys() <= empty.keys()
    return list((empty | fields).values())
