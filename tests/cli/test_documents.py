"""Files that are JSON and not JSON lines: where their events are, whatever the layout."""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from ipse.commands import CommandError
from ipse.commands.loading.documents import Element, elements, is_document
from ipse.commands.loading.lines import BATCH_BYTES_MAX, Batch, Source

FIELDS = frozenset({"events", "batch"})
TRICKY = [
    {"a": 'quote " bracket ] brace } comma , slash \\', "b": [{"events": [1]}, [], {}], "é": None},
    {"events": {"id": 1}},
    {},
    {"batch": 7},
]


def found(text: bytes, block_bytes: int = 1 << 20, bound: int = 65_536) -> list[Element]:
    starts = range(0, len(text), block_bytes)
    blocks = (text[start : start + block_bytes] for start in starts)
    return list(elements(blocks, FIELDS, bound, "events.json"))


def values(text: bytes, block_bytes: int = 1 << 20) -> list[object]:
    return [json.loads(element.text or b"") for element in found(text, block_bytes)]


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("block_bytes", [1, 2, 7, 100, 1 << 20])
def test_layout_and_blocks_change_nothing(indent: int | None, block_bytes: int) -> None:
    def text(value: object) -> bytes:
        return json.dumps(value, indent=indent, ensure_ascii=False).encode()

    assert values(text(TRICKY), block_bytes) == TRICKY
    assert values(b"\n".join(map(text, TRICKY)), block_bytes) == TRICKY
    around = {"api_key": "k [{", "events": TRICKY, "sent": {"events": [{"x": 1}]}, "batch": TRICKY}
    assert values(text(around) + b"\n" + text(around), block_bytes) == TRICKY * 4
    assert values(text([TRICKY, 7, "x"]), block_bytes) == [TRICKY, 7, "x"]
    assert values(text([]) + text({"events": []}), block_bytes) == []


def test_an_event_is_named_by_its_line_and_its_place_in_the_file() -> None:
    text = b'\xef\xbb\xbf[\r\n  {"a":\r\n 1}, {"b": 2},\n\n{"c": 3}]\n'
    places = [(each.line, each.position, each.text) for each in found(text)]
    assert places == [(2, 1, b'{"a":   1}'), (3, 2, b'{"b": 2}'), (5, 3, b'{"c": 3}')]


def test_damage_costs_the_event_that_has_it() -> None:
    text = b'[{"a": 1}, {"b" 2}, {"c": "no end}, \n {"d": 4}, , nonsense, {"e": 5}]'
    texts = [each.text for each in found(text)]
    assert texts[:2] == [b'{"a": 1}', b'{"b" 2}']
    # Its bracket is missing as well: what follows is within it.
    with pytest.raises(CommandError, match=r"events\.json ends before .* open at line 1"):
        found(b'[{"a": 1}, {"b": [1}, {"c": 3}]'.replace(b"}]", b"}"))


def test_a_file_that_was_cut_off_is_told() -> None:
    scanned: list[Element] = []
    with pytest.raises(
        CommandError, match="ends before a bracket is closed that is open at line 2"
    ):
        scanned.extend(elements(iter([b'[{"a": 1},\n{"b": 2}, {"c": "x']), FIELDS, 100, "f"))
    assert [each.text for each in scanned] == [b'{"a": 1}', b'{"b": 2}']


@pytest.mark.parametrize("block_bytes", [200_000, 1 << 20])
def test_an_event_that_is_too_long_costs_only_itself(block_bytes: int) -> None:
    fits, long = b'{"a":"%s"}' % (b"x" * 992), b'{"a":"%s"}' % (b"x" * 993)
    text = b"[" + b",".join([b"{}", fits, long, b'{"b":"%s"}' % (b"y" * 3_000_000), b"[1]"]) + b"]"
    texts = [each.text for each in found(text, block_bytes, 1_000)]
    assert texts == [b"{}", fits, None, None, b"[1]"]


def test_a_string_without_an_end_does_not_fill_the_memory() -> None:
    with pytest.raises(CommandError, match="a string of more than 4194304 bytes at byte 1"):
        list(elements(_endless(), FIELDS, 100, "f"))


def _endless() -> Iterator[bytes]:
    yield b'["'
    while True:
        yield b"x" * (1 << 20)


@pytest.mark.parametrize(
    ("head", "is_one"),
    [
        (b'{"a": 1}\n{"a": 2}\n', False),
        (b'{"a": 1}', False),
        (b'{"a": \n{"a": 2}\n', False),
        (b'{"a": ', False),
        (b"nonsense\n", False),
        (b"", False),
        (b'{"events": 1}\n', False),
        (b'{"events": [], "a": 1}\n', True),
        (b'{"other": [{}]}\n', False),
        (b"[", True),
        (b'\xef\xbb\xbf \n[{"a": 1}]', True),
        (b'{\n  "a": 1\n}', True),
        (b'{"a": 1,\n "b": 2}', True),
        (b'{"events": [' + b'{"a": "b"},' * 10_000, True),
    ],
)
def test_a_document_is_known_by_its_beginning(head: bytes, is_one: bool) -> None:
    assert is_document(head, lambda: FIELDS) == is_one


def test_the_rules_are_asked_only_where_there_is_an_array() -> None:
    def ask() -> Collection[str]:
        raise AssertionError("nothing to ask for")

    assert not is_document(b'{"a": {"events": []}}\n', ask)
    assert is_document(b"[{}]", ask)


def test_any_batch_of_a_document_can_be_continued_behind(tmp_path: Path) -> None:
    random.seed(7)
    items = [{"n": number, "pad": "x" * random.randint(0, 300)} for number in range(3_000)]
    path = tmp_path / "events.json"
    path.write_text(json.dumps({"events": items}, indent=1))
    whole = batches(path)
    assert [json.loads(event) for batch in whole for event in batch.events] == items
    assert [place for batch in whole for place in batch.positions] == list(range(1, 3_001))
    assert all(batch.size_bytes < 2 * BATCH_BYTES_MAX for batch in whole)
    for number, batch in enumerate(whole):
        assert batches(path, batch.end_offset, batch.end_line) == whole[number + 1 :]


def batches(path: Path, offset: int = 0, line: int = 0) -> list[Batch]:
    source = Source(str(path), batch_fields=lambda: FIELDS)
    try:
        return list(source.batches(700, offset, line))
    finally:
        source.close()
