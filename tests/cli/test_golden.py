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
        assert snapshot_identifiers(path) == attached(records[:position])


def attached(records: list[dict[str, Any]]) -> set[tuple[int, str, str, int]]:
    """Workspace, namespace, value and record of each first attachment."""
    return {
        (record["workspace"], each["namespace"], each["value"], record["sequence"])
        for record in records
        for each in record.get("identifiers", ())
        if each["verdict"] == "attached"
    }


def snapshot_identifiers(path: Path) -> set[tuple[int, str, str, int]]:
    names: dict[int, list[str]] = {}
    found = set()
    for part in wal.parts(path):
        workspace = part["workspace"]
        if part["part"] == "workspace":
            names[workspace] = part["namespaces"]
        elif part["part"] == "identifiers":
            columns = (part["namespace"], part["value"], part["attached_sequence"])
            found |= {
                (workspace, names[workspace][namespace], value, sequence)
                for namespace, value, sequence in zip(*columns, strict=True)
            }
    return found
