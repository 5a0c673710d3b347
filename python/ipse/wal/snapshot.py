"""Snapshots: header, sections, footer, and the parts in them as mappings by name."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ipse.wal.files import (
    ALIGNMENT,
    HEADER_BYTES,
    SNAPSHOT_NAME,
    SNAPSHOT_VERSION,
    Damage,
    bytes_of,
    unpacked,
)
from ipse.wal.record import TRAIT_REASONS, named_command, named_target, named_trait, named_verdict

_SNAPSHOT_HEADER: Final = struct.Struct("<8sIIQQQ20sI")
_SECTION_HEADER: Final = struct.Struct("<IIQQII")
_FOOTER: Final = struct.Struct("<8sQQQQII12sI")
_LINK_STATES: Final = {0: "active", 1: "displaced", 2: "denied", 3: "forced"}
_PART_FIELDS: Final = {
    1: (
        "workspace",
        (
            "name", "profile_key", "created_time_ms", "sequence", "log_time_ms",
            "rules_version", "rules", "namespaces", "state_hash", "oldest_past",
        ),
    ),
    2: (
        "profiles",
        (
            "parent", "merged_sequence", "bearer", "created_sequence", "created_time_ms",
            "merge_rank", "flags",
        ),
    ),
    3: (
        "identifiers",
        ("namespace", "value", "profile", "attached_sequence", "attached_time_ms", "flags"),
    ),
    4: ("links", ("stronger", "weaker", "sequence")),
    5: ("holders", ("identifier", "profile", "sequence", "time_ms")),
    6: (
        "evidence",
        ("a", "b", "first", "last_time_ms", "last_sequence", "state", "displaced_by"),
    ),
    7: ("attributions", ("source", "destination", "start_ms", "end_ms", "sequence")),
    8: ("departures", ("profile", "sequence")),
    9: ("traits", ("profile", "name", "value", "time_ms", "sequence", "by")),
    10: (
        "remembered_events",
        (
            "event_id", "digest", "sequence", "log_time_ms", "rules_version", "known",
            "target", "attributed_by", "verdicts", "ranks", "ignored_names", "ignored_reasons",
            "record",
        ),
    ),
    11: ("remembered_refusals", ("hash", "sequence")),
    12: ("partings", ("identifier", "sequence", "side")),
    13: ("suppressions", ("hash",)),
    14: (
        "erasures",
        (
            "sequence", "time_ms", "operation", "digest", "profiles", "identifiers", "traits",
            "flags", "segments", "records", "files",
        ),
    ),
    15: ("pending_erasures", ("sequence", "profiles", "identifiers")),
    16: ("last_seen", ("identifier", "day")),
    17: ("anonymous_seen", ("profile", "day")),
    18: ("positions", ("sequence", "log_position")),
    19: ("past_holdings", ("identifier", "profile", "from", "until", "time_ms", "several")),
    20: (
        "past_edges",
        ("profile", "parent", "from", "until", "bearer", "merge_rank", "survived"),
    ),
    21: ("timeline", ("first", "time_ms", "moments")),
}  # fmt: skip


@dataclass(slots=True)
class Snapshot:
    """A snapshot whose checksums are right."""

    path: Path
    size_bytes: int
    log_position: int
    log_id: int
    workspace_count: int
    part_count: int


def parts(path: Path) -> Iterator[dict[str, Any]]:
    """The parts of a snapshot by name, columns as lists. Raises Damage."""
    data = bytes_of(path)
    snapshot, sections = read_snapshot(path, data)
    count = 0
    for offset, payload, part_count in sections:
        section_parts = unpacked(payload, offset)
        if len(section_parts) != part_count:
            raise Damage(offset, f"holds {len(section_parts)} parts and says {part_count}")
        for part in section_parts:
            count += 1
            yield _named_part(part, offset)
    if count != snapshot.part_count:
        raise Damage(len(data) - HEADER_BYTES, f"{count} parts, not {snapshot.part_count}")


def read_snapshot(
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
    match = SNAPSHOT_NAME.fullmatch(path.name)
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
            named["target"] = [named_target(each) for each in named["target"]]
            named["verdicts"] = [[named_verdict(v) for v in each] for each in named["verdicts"]]
            named["ignored_reasons"] = [
                [TRAIT_REASONS[reason] for reason in each] for each in named["ignored_reasons"]
            ]
            named["record"] = [named_command(each) for each in named["record"]]
        elif name == "evidence":
            named["state"] = [_LINK_STATES[state] for state in named["state"]]
        elif name == "traits":
            named["value"] = [named_trait(value) for value in named["value"]]
    except (TypeError, ValueError, KeyError, IndexError) as wrong:
        raise Damage(offset, f"a part that is none: {wrong!r}") from None
    return {"workspace": workspace, "part": name} | named
