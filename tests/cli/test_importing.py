"""Files of profiles, before any server: rows, columns, profiles, batches."""

from __future__ import annotations

import gzip
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ipse.commands import CommandError
from ipse.commands.importing.batches import ImportBatch, batches
from ipse.commands.importing.profiles import message_of
from ipse.commands.importing.rows import LINE_BYTES_MAX, Row, open_rows
from ipse.commands.loading.wire import encode_import
from ipse.v1 import identity_pb2

NOBODY: frozenset[str] = frozenset()
ANN = {
    "former_id": "p-1",
    "created_time": "2024-05-01T10:00:00Z",
    "known": True,
    "identifiers": {
        "email": "ann@example.com",
        "device_id": ["d-1", {"value": 2, "time": "2024-06-01T00:00:00+02:00"}],
        "phone": None,
    },
    "traits": {"plan": "gold", "age": 41, "gone": None},
    "trait_times": {"plan": "2024-07-01T00:00:00Z"},
}


def rows(path: Path, after: int = 0, ignored: frozenset[str] = NOBODY) -> list[Row]:
    opened = open_rows(str(path), None, ignored)
    try:
        return list(opened.after(after))
    finally:
        opened.close()


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def profile(fields: dict[str, Any], ignored: frozenset[str] = NOBODY) -> dict[str, Any]:
    """What the message says, in plain words."""
    message = message_of(fields, ignored)
    return {
        "former_id": message.former_id,
        "known": message.known,
        "identifiers": [
            (each.identifier.namespace, each.identifier.value) for each in message.identifiers
        ],
        "traits": {each.trait.name: each.trait.string_value for each in message.traits},
    }


def test_a_profile_keeps_values_and_times() -> None:
    message = message_of(ANN, NOBODY)
    assert (message.former_id, message.known) == ("p-1", True)
    assert message.created_time.ToDatetime(tzinfo=UTC) == datetime(2024, 5, 1, 10, tzinfo=UTC)
    email, first, second = message.identifiers
    assert email.identifier.value == "ann@example.com"
    assert not first.HasField("attached_time")
    assert second.identifier.value == "2"
    assert second.attached_time.ToDatetime(tzinfo=UTC) == datetime(2024, 5, 31, 22, tzinfo=UTC)
    plan, age = message.traits
    assert plan.set_time.ToDatetime(tzinfo=UTC) == datetime(2024, 7, 1, tzinfo=UTC)
    assert (age.trait.integer_value, age.HasField("set_time")) == (41, False)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "has no former_id"),
        ({"former_id": ""}, "has no former_id"),
        ({"former_id": True}, "has no former_id"),
        ({"former_id": "\ud800"}, "not valid Unicode"),
        ({"former_id": "p", "name": 1}, "unknown fields: name"),
        ({"former_id": "p", "known": "perhaps"}, "known is 'perhaps'"),
        ({"former_id": "p", "created_time": "yesterday"}, "it is RFC 3339"),
        ({"former_id": "p", "created_time": "2024-05-01"}, "without a time zone"),
        ({"former_id": "p", "identifiers": ["email"]}, "identifiers is not an object"),
        ({"former_id": "p", "identifiers": {"email": 1.5}}, "must be text or a whole number"),
        ({"former_id": "p", "identifiers": {"email": {"time": 1}}}, "without value and time"),
        ({"former_id": "p", "identifiers": {"a": {"value": 1, "at": 2}}}, "value and time alone"),
        ({"former_id": "p", "traits": {"n": 1}, "trait_times": {"x": 1}}, "not there: x"),
        ({"former_id": "p", "traits": {"n": [float("inf")]}}, "cannot be JSON"),
    ],
)  # fmt: skip
def test_a_profile_that_is_none_says_why(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        message_of(fields, NOBODY)


def test_fields_that_are_left_out_are_not_read() -> None:
    fields = {"former_id": 7, "name": "Ann", "identifiers": ["nonsense"]}
    assert profile(fields, frozenset({"name", "identifiers"}))["former_id"] == "7"


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson.gz"])
def test_lines_of_json_keep_their_numbers_and_their_trouble(tmp_path: Path, name: str) -> None:
    text = f'{{"former_id":"1"}}\n\n[2]\nnonsense\n"{"x" * LINE_BYTES_MAX}"\n{{"former_id":"6"}}'
    found = rows(write(tmp_path / name, text))
    assert [row.line for row in found] == [1, 3, 4, 5, 6]
    assert [row.trouble.split(":")[0] for row in found] == [
        "",
        "is not a JSON object",
        "is not JSON",
        f"the line is longer than {LINE_BYTES_MAX} bytes",
        "",
    ]
    assert found[2].text == "nonsense"
    assert rows(tmp_path / name, after=4) == found[3:]


CSV = """\ufeffformer_id,known,id:email,id:email,ids:device_id,trait:plan,json:age,notes
p-1,true,ann@example.com,ann@example.org,"[""d-1"", {""value"": ""d;2""}]",gold,41,x
p-2,,,,,"two
lines",,
p-3,no
"p-4"x,true,,,,,,
p-5,,bob@example.com,,d-1,,,
p-6,,,,"""


def test_columns_say_where_cells_go(tmp_path: Path) -> None:
    found = rows(write(tmp_path / "people.csv.gz", CSV), ignored=frozenset({"notes"}))
    first, second, short, broken, wrong, last = found
    assert first.fields == {
        "former_id": "p-1",
        "known": "true",
        "identifiers": {
            "email": ["ann@example.com", "ann@example.org"],
            "device_id": ["d-1", {"value": "d;2"}],
        },
        "traits": {"plan": "gold", "age": 41},
    }
    assert (second.line, second.fields["traits"]) == (4, {"plan": "two\nlines"})
    assert profile(second.fields)["former_id"] == "p-2"
    assert (short.line, short.trouble) == (5, "has 2 cells, and the header 8")
    assert broken.trouble.startswith("is not CSV: ")
    assert wrong.trouble.startswith("ids:device_id is not JSON: ")
    assert json.loads(wrong.text)[0] == "p-5"
    assert last.line == 8
    again = rows(tmp_path / "people.csv.gz", after=4, ignored=frozenset({"notes"}))
    assert again == found[2:]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("former_id,e-mail", "unknown columns: e-mail"),
        ("former_id,id:", "unknown columns: id:"),
        ("former_id,", r"unknown columns: \(column 2 has no name\)"),
        ("former_id,trait:a,trait:a", "twice the same column: a"),
        ('"former_id', "is not CSV"),
    ],
)
def test_a_header_that_is_not_understood_is_refused(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        open_rows(str(write(tmp_path / "a.csv", header + "\n")), None, NOBODY)


def test_text_that_is_not_utf_8_costs_only_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"former_id,id:email\np-1,\xff\np-2,bob@example.com\n")
    opened = open_rows(str(path), None, NOBODY)
    (batch,) = batches(opened, 0, 1_000, NOBODY)
    opened.close()
    assert [row.line for row in batch.rejected] == [2]
    assert "not valid Unicode" in batch.rejected[0].trouble
    assert [row.line for row in batch.rows] == [3]


def test_a_quote_without_an_end_is_bounded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'former_id\n"' + "x\n" * (LINE_BYTES_MAX // 2 + 10) + "p-2\n")
    found = rows(path)
    assert found[0].trouble.startswith("is not CSV: field larger")
    assert found[-1].fields["former_id"] == "p-2"


def test_any_batch_can_be_continued_behind(tmp_path: Path) -> None:
    lines = [json.dumps({"former_id": number or ""}) for number in range(2_500)]
    path = write(tmp_path / "a.jsonl", "\n".join(lines))

    def cut(after: int) -> list[ImportBatch]:
        opened = open_rows(str(path), None, NOBODY)
        found = list(batches(opened, after, 700, NOBODY))
        opened.close()
        return found

    whole = cut(0)
    assert [len(batch.profiles) + len(batch.rejected) for batch in whole] == [700] * 3 + [400]
    assert [row.line for row in whole[0].rejected] == [1]
    for number, batch in enumerate(whole):
        assert batch.end_offset > 0
        rest = cut(batch.end_line)
        assert [one.profiles for one in rest] == [one.profiles for one in whole[number + 1 :]]


def test_the_bytes_are_those_of_the_generated_message() -> None:
    message = identity_pb2.ImportProfilesRequest(workspace="w", source="file", read_only=True)
    for number in range(3):
        message.profiles.add(former_id="x" * 100 * number, known=True)
    profiles = [each.SerializeToString() for each in message.profiles]
    request = encode_import("w", profiles, "file", read_only=True)
    assert identity_pb2.ImportProfilesRequest.FromString(request) == message
    message.read_only = False
    request = encode_import("w", profiles, "file", read_only=False)
    assert identity_pb2.ImportProfilesRequest.FromString(request) == message


def test_a_file_whose_name_says_nothing_needs_its_format(tmp_path: Path) -> None:
    path = write(tmp_path / "people", '{"former_id": "p-1"}\n')
    with pytest.raises(CommandError, match="--format"):
        open_rows(str(path), None, NOBODY)
    opened = open_rows(str(path), "jsonl", NOBODY)
    assert [row.fields for row in opened.after(0)] == [{"former_id": "p-1"}]
    opened.close()


def test_parquet_has_the_columns_of_csv_with_types_of_its_own(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "people.parquet"
    then = datetime(2024, 5, 1, tzinfo=UTC)
    table = arrow.table(
        {
            "former_id": ["p-1", "p-2"],
            "created_time": arrow.array([then, None], arrow.timestamp("us", "UTC")),
            "known": [True, None],
            "ids:email": [["ann@example.com", "ann@example.org"], None],
            "id:device_id": [7, None],
            "json:score": [1.5, None],
            "trait:plan": ["gold", None],
        }
    )
    parquet.write_table(table, path)
    first, second = rows(path)
    message = message_of(first.fields, NOBODY)
    assert message.created_time.ToDatetime(tzinfo=UTC) == then
    held = [(one.identifier.namespace, one.identifier.value) for one in message.identifiers]
    assert held == [
        ("email", "ann@example.com"),
        ("email", "ann@example.org"),
        ("device_id", "7"),
    ]
    assert {one.trait.name for one in message.traits} == {"score", "plan"}
    assert profile(second.fields) == {
        "former_id": "p-2", "known": False, "identifiers": [], "traits": {},
    }  # fmt: skip
    assert rows(path, after=1) == [second]


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(CommandError, match=r"pip install 'ipse\[parquet\]'"):
        open_rows(str(tmp_path / "people.parquet"), None, NOBODY)
