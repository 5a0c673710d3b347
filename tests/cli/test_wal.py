from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ipse import wal

from tests.cli import log_files
from tests.cli.command import ipse, one_line
from tests.cli.log_files import (
    SegmentFile,
    command_resolved,
    event_resolved,
    extra_with,
    workspace_created,
)

CREATED = event_resolved(
    2,
    [1, 1],
    [["user_id", "u1", None, 0], ["email", "a@x.org", " A@x.org", [2, 4, ["email", 5], 9]]],
    [["name", "Ann"], ["tags", ["[1]"]], ["age", 41], ["gone", None]],
)
FOUND = event_resolved(3, [2, 1], [["user_id", "u1", None, 1]])
MERGED = event_resolved(4, [3, 1, [2, 3]], [["x", "y", None, [3, 6, [None, 100], None]]])
UNRESOLVED = event_resolved(5, [0], [])

LOGGED_IN = command_resolved(
    6,
    1,
    [2, 1],
    [["user_id", "u1", None, [5, 7]], ["device", "d1", None, 4]],
    extra_with(
        marks_known=True,
        sources=1,
        moves=[["email", "a@x.org", 1, None, 0], ["card", "c1", 1, 4, 2]],
        displaced=[["email", "a@x.org", "user_id", "u1"]],
    ),
)
MERGE = command_resolved(
    7,
    5,
    [3, 1, [2]],
    [],
    extra_with(merges=[[2, 0], [1, 1], [None, 2], [3, [3, 16, [None, 5], 1]]]),
)
ATTRIBUTED = command_resolved(8, 7, [2, 1], [], extra_with(attribution=[1, 2, 500, 600, 22]))
IMPORTED = command_resolved(
    9, 8, [1, 5], [["former_id", "f1", None, 0]], extra_with(imported=[400, [450], []])
)
MODIFIED = command_resolved(10, 4, [2, 1], [], None)


@pytest.fixture
def log(tmp_path: Path) -> SegmentFile:
    """Two groups, both of them synced as the third frame says."""
    log_files.write_manifest(tmp_path, 1)
    return SegmentFile().group(workspace_created(), CREATED).group(FOUND)


def states(directory: Path) -> dict[str, tuple[str, int | None]]:
    found = wal.inspect(directory)
    return {report.name: (report.state.value, report.offset) for report in found.files}


def damage(path: Path, offset: int, data: bytes = b"\xff") -> None:
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    path.write_bytes(content)


def test_records_are_read_by_name(log: SegmentFile, tmp_path: Path) -> None:
    segment = wal.read_segment(log.group(MERGED, UNRESOLVED).write(tmp_path))
    created, resolved, found, merged, unresolved = wal.records(segment)
    assert segment.damage is None
    assert created["change"] == "workspace_created"
    assert (created["name"], created["profile_key"]) == ("default", log_files.KEY)
    assert [r["log_position"] for r in wal.records(segment)] == [1, 2, 3, 4, 5]
    assert resolved["target"] == {"decision": "created", "profile": 1}
    assert resolved["identifiers"] == [
        {"namespace": "user_id", "value": "u1", "verdict": "attached"},
        {
            "namespace": "email", "value": "a@x.org", "raw": " A@x.org", "verdict": "dropped",
            "rule": "value_limit", "limit_namespace": "email", "limit": 5, "collided": 9,
        },
    ]  # fmt: skip
    assert resolved["traits"] == {"name": "Ann", "tags": {"json": "[1]"}, "age": 41, "gone": None}
    assert found["identifiers"][0]["verdict"] == "already_attached"
    assert merged["target"] == {"decision": "merged", "profile": 1, "absorbed": [2, 3]}
    assert merged["identifiers"][0]["rule"] == "merge_limit"
    assert unresolved["target"] == {"decision": "unresolved"}


def test_commands_are_read_by_name(log: SegmentFile, tmp_path: Path) -> None:
    log.group(MERGED, UNRESOLVED).group(LOGGED_IN, MERGE, ATTRIBUTED, IMPORTED, MODIFIED)
    segment = wal.read_segment(log.write(tmp_path))
    assert wal.inspect(tmp_path).state() is wal.State.OK
    *plain, logged_in, merge, attributed, imported, modified = wal.records(segment)
    assert [(r["verb"], "extra" in r) for r in plain[1:]] == [("observe", False)] * 4
    assert [each["verdict"] for each in logged_in["identifiers"]] == ["transferred", "removed"]
    assert logged_in["identifiers"][0]["from"] == 7
    assert (logged_in["change"], logged_in["verb"]) == ("event_resolved", "login")
    email = {"namespace": "email", "value": "a@x.org"}
    card = {"namespace": "card", "value": "c1"}
    assert logged_in["extra"] == {
        "marks_known": True,
        "sources": 1,
        "moves": [
            email | {"from": 1, "to": None, "cause": "displaced"},
            card | {"from": 1, "to": 4, "cause": "split"},
        ],
        "displaced": [[email, {"namespace": "user_id", "value": "u1"}]],
    }
    refused = {"rule": "moved_limit", "limit_namespace": None, "limit": 5, "collided": 1}
    assert (merge["verb"], merge["extra"]["merges"]) == ("merge", [
        {"profile": 2, "verdict": "merged"},
        {"profile": 1, "verdict": "already_merged"},
        {"profile": None, "verdict": "not_found"},
        {"profile": 3, "verdict": "refused"} | refused,
    ])  # fmt: skip
    assert attributed["extra"]["attribution"] == {
        "source": 1, "destination": 2, "start_ms": 500, "end_ms": 600,
        "refused": "attribution_overlap",
    }  # fmt: skip
    assert (imported["verb"], imported["extra"]) == ("import", {"imported": {
        "created_time_ms": 400, "identifier_times_ms": [450], "trait_times_ms": [],
    }})  # fmt: skip
    assert (modified["verb"], "extra" in modified) == ("modify", False)


@pytest.mark.parametrize(
    "record",
    [
        command_resolved(4, 11, [0], [], None),
        command_resolved(4, -1, [0], [], None),
        command_resolved(4, 5, [0], [], extra_with(merges=[[1, 3]])),
        command_resolved(4, 6, [0], [], extra_with(moves=[["email", "a", 1, 2, 5]])),
        command_resolved(4, 7, [0], [], extra_with(attribution=[1, 2, 3])),
        command_resolved(4, 8, [0], [], extra_with()[:-1]),
        event_resolved(4, [2, 1], [["email", "a", None, [2, 99, None, None]]]),
        event_resolved(4, [2, 1], [["email", "a", None, [5]]]),
    ],
)
def test_a_record_that_is_none_is_corruption(
    record: list[Any], log: SegmentFile, tmp_path: Path
) -> None:
    path = log.group(record).write(tmp_path)
    assert states(tmp_path)[path.name] == ("corrupt", log.offsets[2])


def test_a_sound_log_of_two_segments_is_ok(log: SegmentFile, tmp_path: Path) -> None:
    log.write(tmp_path)
    log.following().group(MERGED).clean_shutdown().write(tmp_path)
    log_files.write_manifest(tmp_path, 2)
    found = wal.inspect(tmp_path)
    assert found.state() is wal.State.OK
    assert [f.detail for f in found.files] == [
        "log 0123456789abcdef, newest segment 2",
        "records 1 to 3 in 2 frames",
        "records 4 to 4 in 2 frames, clean shutdown",
    ]


def test_a_group_that_no_frame_calls_synced_is_a_torn_tail(
    log: SegmentFile, tmp_path: Path
) -> None:
    path = log.write(tmp_path)
    damage(path, log.offsets[1] + 60)
    name = path.name
    assert states(tmp_path)[name] == ("torn tail", log.offsets[1])
    assert wal.inspect(tmp_path).state() is wal.State.TORN


@pytest.mark.parametrize("offset", range(0, 48, 5))
def test_damage_below_what_was_synced_is_corruption(
    offset: int, log: SegmentFile, tmp_path: Path
) -> None:
    # The frame behind the damaged one can still be read on its own, and says: synced through 3.
    path = log.group(MERGED).write(tmp_path)
    damage(path, log.offsets[1] + offset, b"\xa5\x5a\xff")
    assert states(tmp_path)[path.name][0] == "corrupt"


def test_zeros_in_the_middle_are_no_end(log: SegmentFile, tmp_path: Path) -> None:
    path = log.group(MERGED).write(tmp_path)
    damage(path, log.offsets[1], bytes(log.offsets[2] - log.offsets[1]))
    assert states(tmp_path)[path.name] == ("corrupt", log.offsets[1])


def test_a_tail_that_a_snapshot_holds_is_corruption(log: SegmentFile, tmp_path: Path) -> None:
    path = log.write(tmp_path)
    damage(path, log.offsets[1] + 60)
    log_files.write_snapshot(tmp_path, 3, [[]])
    assert states(tmp_path)[path.name][0] == "corrupt"


def test_damage_before_a_later_segment_is_corruption(log: SegmentFile, tmp_path: Path) -> None:
    path = log.write(tmp_path)
    log.following().write(tmp_path)
    damage(path, log.offsets[1] + 60)
    assert states(tmp_path)[path.name] == ("corrupt", log.offsets[1])


@pytest.mark.parametrize(
    ("offset", "data", "said"),
    [
        (0, b"X", "is not a segment of an ipse log"),
        (13, b"\xff", "checksum mismatch in the header"),
        (60, b"\xff", "checksum mismatch in the header"),
    ],
)
def test_a_wrong_header_is_corruption(
    offset: int, data: bytes, said: str, log: SegmentFile, tmp_path: Path
) -> None:
    damage(log.write(tmp_path), offset, data)
    report = wal.inspect(tmp_path).files[-1]
    assert (report.state, said in report.detail) == (wal.State.CORRUPT, True)


def test_a_missing_segment_is_named(log: SegmentFile, tmp_path: Path) -> None:
    log.write(tmp_path)
    second = log.following().group(MERGED)
    second.following().write(tmp_path)
    log_files.write_manifest(tmp_path, 3)
    report = wal.inspect(tmp_path).files[-1]
    assert (report.state, report.detail) == (wal.State.CORRUPT, "segment 2 is missing before it")


def test_a_newest_segment_that_the_manifest_names_must_be_there(
    log: SegmentFile, tmp_path: Path
) -> None:
    log.write(tmp_path)
    log_files.write_manifest(tmp_path, 2)
    assert ("MANIFEST", wal.State.CORRUPT) in [
        (report.name, report.state) for report in wal.inspect(tmp_path).files
    ]


def test_a_segment_of_another_log_is_corruption(tmp_path: Path) -> None:
    log_files.write_manifest(tmp_path, 1)
    SegmentFile(log_id=7).group(workspace_created()).write(tmp_path)
    assert wal.inspect(tmp_path).files[-1].detail == "belongs to another log"


def test_a_segment_that_was_cut_is_noticed(log: SegmentFile, tmp_path: Path) -> None:
    path = log.group(MERGED).write(tmp_path)
    path.write_bytes(path.read_bytes()[: log.offsets[2]])
    assert states(tmp_path)[path.name] == ("torn tail", log.offsets[2])


@pytest.mark.parametrize(
    "manifest", ["", "nonsense", "ipse-log 1 id=0123456789abcdef newest_segment=1 crc32=00000000\n"]
)
def test_a_wrong_manifest_is_corruption(manifest: str, log: SegmentFile, tmp_path: Path) -> None:
    log.write(tmp_path)
    (tmp_path / "MANIFEST").write_text(manifest)
    assert states(tmp_path)["MANIFEST"][0] == "corrupt"


def test_a_crash_may_come_before_the_first_manifest(log: SegmentFile, tmp_path: Path) -> None:
    path = log.write(tmp_path)
    (tmp_path / "MANIFEST").unlink()
    assert states(tmp_path) == {path.name: ("ok", None)}


def test_unread_bytes_before_the_next_segment_lose_nothing(
    log: SegmentFile, tmp_path: Path
) -> None:
    path = log.write(tmp_path)
    log.following().write(tmp_path)
    damage(path, len(log.body))
    report = wal.inspect(tmp_path).files[1]
    assert report.state is wal.State.OK
    assert report.detail.endswith(f"; unread bytes from {len(log.body)}")


PARTS = [
    [0, 1, "default", log_files.KEY, 1_000, 3, 1_003, 1, "", ["user_id", "email"], bytes(16), 0],
    [0, 2, [0, 1], [0, 3], [1, 2], [2, 2], [1_000, 1_000], [0, 0], [1, 0]],
    [0, 3, [0], ["u1"], [1], [2], [500], [0]],
    [0, 4, [0], [1], [2]],
    [0, 5, [0], [2], [3], [500]],
    [0, 6, [0], [1], [2], [500], [3], [1], [4]],
    [0, 7, [1], [2], [100], [200], [3]],
    [0, 8, [1], [3]],
    [0, 9, [1], ["tags"], [["[1]"]], [500], [2], [1]],
    [
        0, 10, ["e2", "m7"], [None] * 2, [2, 7], [1_002] * 2, [1] * 2, [True] * 2,
        [[1, 1], [3, 1, [2]]], [None, None], [[0, [2, 4, None, None]], []], [[], []],
        [["age"], []], [[0], []], [None, MERGE[4:]],
    ],
    [0, 11, [2**64 - 1], [3]],
    [0, 12, [0], [3], [1]],
]  # fmt: skip


def test_a_snapshot_is_read_by_name(tmp_path: Path) -> None:
    path = log_files.write_snapshot(tmp_path, 3, [PARTS[:4], PARTS[4:]])
    parts = {part["part"]: part for part in wal.parts(path)}
    assert parts["workspace"]["namespaces"] == ["user_id", "email"]
    assert parts["profiles"]["parent"] == [0, 1]
    assert parts["identifiers"]["value"] == ["u1"]
    assert parts["traits"]["value"] == [{"json": "[1]"}]
    assert parts["holders"]["profile"] == [2]
    assert (parts["evidence"]["state"], parts["evidence"]["displaced_by"]) == (["displaced"], [4])
    assert parts["attributions"]["end_ms"] == [200]
    assert parts["departures"]["sequence"] == [3]
    events = parts["remembered_events"]
    assert events["target"][0] == {"decision": "created", "profile": 1}
    assert events["verdicts"] == [
        [{"verdict": "attached"}, {"verdict": "dropped", "rule": "value_limit"}],
        [],
    ]
    assert events["record"][0] is None
    assert (events["record"][1]["verb"], events["record"][1]["event_id"]) == ("merge", "e7")
    assert parts["remembered_refusals"]["hash"] == [2**64 - 1]
    assert parts["remembered_refusals"]["sequence"] == [3]


@pytest.mark.parametrize(
    "part",
    [
        [0, 6, [0], [1], [2], [500], [3], [4], [0]],
        [0, 8, [1], [3, 4]],
        [0, 10, ["e2"], [None], [2], [1_002], [1], [True], [[1, 1]], [[0]], [[]]],
        [0, 12, [0]],
        [0, 16, [0]],
    ],
)
def test_a_part_that_is_none_is_corruption(part: list[Any], tmp_path: Path) -> None:
    path = log_files.write_snapshot(tmp_path, 3, [[*PARTS[:4], part]])
    assert states(tmp_path)[path.name][0] == "corrupt"


def test_no_flipped_bit_of_a_snapshot_passes(tmp_path: Path) -> None:
    path = log_files.write_snapshot(tmp_path, 3, [PARTS[:4], PARTS[4:]])
    sound = path.read_bytes()
    for offset in range(len(sound)):
        path.write_bytes(sound[:offset] + bytes([sound[offset] ^ 0x10]) + sound[offset + 1 :])
        assert states(tmp_path)[path.name][0] == "corrupt", offset
    path.write_bytes(sound[:-1])
    assert states(tmp_path)[path.name][0] == "corrupt"
    path.write_bytes(sound)
    assert states(tmp_path)[path.name] == ("ok", None)


def test_no_flipped_bit_of_a_log_passes(log: SegmentFile, tmp_path: Path) -> None:
    path = log.group(MERGED).clean_shutdown().write(tmp_path)
    sound = path.read_bytes()
    for offset in range(len(log.body)):
        path.write_bytes(sound[:offset] + bytes([sound[offset] ^ 0x10]) + sound[offset + 1 :])
        assert states(tmp_path)[path.name][0] != "ok", offset


def test_verify_has_a_code_for_each_outcome(log: SegmentFile, tmp_path: Path) -> None:
    path = log.write(tmp_path)
    assert ipse("wal", "verify", tmp_path).returncode == 0
    damage(path, log.offsets[1] + 60)
    torn = ipse("wal", "verify", tmp_path)
    assert torn.returncode == 3
    assert f"torn tail at byte {log.offsets[1]}" in torn.stdout
    damage(path, log.offsets[0] + 60)
    damage(path, 60)
    assert ipse("wal", "verify", tmp_path).returncode == 1
    assert ipse("wal", "verify").returncode == 2


def test_verify_speaks_json(log: SegmentFile, tmp_path: Path) -> None:
    path = log.write(tmp_path)
    (tmp_path / "next-segment-a.wal.tmp").write_bytes(b"")
    said = json.loads(ipse("wal", "verify", tmp_path, "--json").stdout)
    assert (said["state"], said["locked"], said["last_log_position"]) == ("ok", False, 3)
    assert [file["name"] for file in said["files"]] == [
        "MANIFEST", path.name, "next-segment-a.wal.tmp",
    ]  # fmt: skip
    assert said["files"][2]["state"] == "set aside"


def test_a_directory_without_files_of_ours_is_named(tmp_path: Path) -> None:
    empty = ipse("wal", "verify", tmp_path)
    assert (empty.returncode, one_line(empty.stderr)) == (
        1,
        f"ipse: error: {tmp_path} holds no files of ipse",
    )
    missing = ipse("wal", "dump", tmp_path / "nowhere")
    assert missing.returncode == 1
    assert one_line(missing.stderr).endswith("nowhere: No such file or directory")


def test_dump_prints_a_line_for_each_record(log: SegmentFile, tmp_path: Path) -> None:
    log.write(tmp_path)
    lines = ipse("wal", "dump", tmp_path).stdout.splitlines()
    assert lines[0] == "1 default/1 1970-01-01T00:00:01.000Z workspace_created rules=12 bytes"
    assert lines[1] == (
        "2 default/2 1970-01-01T00:00:01.002Z event_resolved track id=e2 created profile=1 "
        "user_id=u1 (attached) email=a@x.org (dropped: value_limit) "
        'trait.name="Ann" trait.tags={"json": "[1]"} trait.age=41 trait.gone=null'
    )
    assert len(lines) == 3


def test_dump_prints_what_a_command_brought(log: SegmentFile, tmp_path: Path) -> None:
    log.group(ATTRIBUTED, MODIFIED).write(tmp_path)
    *_, attributed, modified = ipse("wal", "dump", tmp_path).stdout.splitlines()
    assert attributed.endswith(
        "event_resolved track attribute_history id=e8 found profile=1 "
        'attribution={"source": 1, "destination": 2, "start_ms": 500, "end_ms": 600, '
        '"refused": "attribution_overlap"}'
    )
    assert modified.endswith("event_resolved track modify id=e10 found profile=1")


def test_dump_as_json_can_begin_and_end_anywhere(log: SegmentFile, tmp_path: Path) -> None:
    log.write(tmp_path)
    done = ipse("wal", "dump", tmp_path, "--json", "--from", "2", "--limit", "1")
    (record,) = map(json.loads, done.stdout.splitlines())
    assert (record["log_position"], record["segment"]) == (2, 1)
    assert record["digest"] == log_files.KEY.hex()


def test_dump_stops_at_damage_and_says_where(log: SegmentFile, tmp_path: Path) -> None:
    path = log.write(tmp_path)
    damage(path, log.offsets[1] + 60)
    done = ipse("wal", "dump", tmp_path)
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 2)
    assert f"{path}: byte {log.offsets[1]}: checksum mismatch" in one_line(done.stderr)


def test_dump_prints_snapshots(tmp_path: Path) -> None:
    path = log_files.write_snapshot(tmp_path, 3, [PARTS])
    done = ipse("wal", "dump", tmp_path, "--snapshots")
    assert done.stdout.splitlines()[:2] == [
        f"{path.name} workspace 0 workspace default sequence=3",
        f"{path.name} workspace 0 profiles 2 rows",
    ]
    assert json.loads(
        ipse("wal", "dump", tmp_path, "--snapshots", "--json").stdout.splitlines()[2]
    )["value"] == ["u1"]
