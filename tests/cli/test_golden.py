"""Files that the engine wrote, read by the other reader: every format there ever was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ipse import wal

GOLDEN = Path(__file__).parent.parent / "golden"
DIRECTORIES = sorted(path.parent for path in GOLDEN.glob("*/MANIFEST"))


def log_records(directory: Path) -> list[dict[str, Any]]:
    segments = map(wal.read_segment, wal.segment_paths(directory))
    return [record for segment in segments for record in wal.records(segment)]


def test_there_are_golden_files() -> None:
    assert DIRECTORIES


@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda path: path.name)
def test_every_file_is_sound(directory: Path) -> None:
    found = wal.inspect(directory)
    assert found.state() is wal.State.OK, found.files
    assert len(found.files) == 1 + len(found.segments) + len(found.snapshots)


@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda path: path.name)
def test_log_positions_and_sequence_numbers_are_dense(directory: Path) -> None:
    records = log_records(directory)
    assert [record["log_position"] for record in records] == list(range(1, len(records) + 1))
    newest: dict[int, int] = {}
    for record in records:
        workspace = record["workspace"]
        assert record["sequence"] == newest.get(workspace, 0) + 1
        newest[workspace] = record["sequence"]


@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda path: path.name)
def test_a_snapshot_holds_what_the_log_attached(directory: Path) -> None:
    records = log_records(directory)
    for path in wal.snapshot_paths(directory):
        position = int(path.stem.removeprefix("snapshot-"))
        assert snapshot_holders(path) == holders(records[:position])


def test_the_newest_files_hold_something_of_every_kind() -> None:
    directory = DIRECTORIES[-1]
    events = [record for record in log_records(directory) if "verb" in record]
    assert {record["verb"] for record in events} == {
        "observe", "login", "logout", "link", "modify", "merge", "split", "attribute_history",
        "import",
    }  # fmt: skip
    extras = [record["extra"] for record in events if "extra" in record]
    assert {name for extra in extras for name in extra} == {
        "marks_known", "sources", "moves", "displaced", "merges", "attribution", "imported",
    }  # fmt: skip
    parts = [part for path in wal.snapshot_paths(directory) for part in wal.parts(path)]
    assert {part["part"] for part in parts} == {
        "workspace", "profiles", "identifiers", "links", "holders", "evidence", "attributions",
        "departures", "traits", "remembered_events", "remembered_refusals", "partings",
        "positions", "past_holdings", "timeline",
    }  # fmt: skip


Holding = tuple[int, str, str, int]
"""Workspace, namespace, value, and the record that attached it to one who holds it."""


def holders(records: list[dict[str, Any]]) -> set[Holding]:
    """Who holds what, by following the log. An identifier that moves has one holder here."""
    held: dict[tuple[int, str, str], set[int]] = {}
    for record in records:
        for each in record.get("extra", {}).get("moves", ()):
            key = (record["workspace"], each["namespace"], each["value"])
            held[key] = set() if each["to"] is None else {record["sequence"]}
        for each in record.get("identifiers", ()):
            key = (record["workspace"], each["namespace"], each["value"])
            if each["verdict"] == "attached":
                held.setdefault(key, set()).add(record["sequence"])
            elif each["verdict"] in ("transferred", "removed"):
                held[key] = {record["sequence"]} if each["verdict"] == "transferred" else set()
    return {(*key, sequence) for key, sequences in held.items() for sequence in sequences}


def snapshot_holders(path: Path) -> set[Holding]:
    names: dict[int, list[str]] = {}
    identifiers: dict[int, list[tuple[int, str, str]]] = {}
    found = set()
    for part in wal.parts(path):
        workspace = part["workspace"]
        known = identifiers.setdefault(workspace, [])
        if part["part"] == "workspace":
            names[workspace] = part["namespaces"]
        elif part["part"] == "identifiers":
            columns = (part["namespace"], part["value"], part["profile"], part["attached_sequence"])
            for namespace, value, profile, sequence in zip(*columns, strict=True):
                known.append((workspace, names[workspace][namespace], value))
                found |= {(*known[-1], sequence)} if profile else set()
        elif part["part"] == "holders":
            further = zip(part["identifier"], part["sequence"], strict=True)
            found |= {(*known[identifier], sequence) for identifier, sequence in further}
    return found
