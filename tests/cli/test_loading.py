from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path

import pytest
from ipse.commands import CommandError
from ipse.commands.loading import bar
from ipse.commands.loading import progress as progress_file
from ipse.commands.loading.lines import LINE_BYTES_MAX, Batch, Source, fingerprint
from ipse.commands.loading.progress import LineError, Progress
from ipse.commands.loading.wire import encode_raw_events
from ipse.v1 import identity_pb2


def batches(path: Path, size: int = 1_000, offset: int = 0, line: int = 0) -> list[Batch]:
    source = Source(str(path))
    try:
        return list(source.batches(size, offset, line))
    finally:
        source.close()


def write(path: Path, data: bytes, packed: bool = False) -> Path:
    path.write_bytes(gzip.compress(data) if packed else data)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_lines_keep_their_numbers_and_blank_ones_are_skipped(tmp_path: Path, packed: bool) -> None:
    data = b'\xef\xbb\xbf{"a":1}\r\n\n  \n{"b":2}\n{"c":3}'
    (batch,) = batches(write(tmp_path / "events", data, packed))
    assert batch.events == [b'{"a":1}', b'{"b":2}', b'{"c":3}']
    assert batch.line_numbers == [1, 4, 5]
    assert (batch.end_line, batch.end_offset) == (5, len(data))


@pytest.mark.parametrize("packed", [False, True])
def test_any_batch_can_be_continued_behind(tmp_path: Path, packed: bool) -> None:
    lines = [b"{%d}" % number * random.Random(number).randint(1, 300) for number in range(5_000)]
    lines[7] = lines[4_000] = b""
    path = write(tmp_path / "events", b"\n".join(lines), packed)
    whole = batches(path, 700)
    assert [event for batch in whole for event in batch.events] == [line for line in lines if line]
    for number, batch in enumerate(whole):
        rest = batches(path, 700, batch.end_offset, batch.end_line)
        assert rest == whole[number + 1 :]
        assert [each.events for each in rest] == [each.events for each in whole[number + 1 :]]


@pytest.mark.parametrize("length", [LINE_BYTES_MAX + 1, 3 * 1024 * 1024])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_that_is_too_long_costs_only_itself(tmp_path: Path, length: int, end: bytes) -> None:
    data = b"{1}\n" + b"x" * length + b"\n{3}\n" + b"y" * length + end
    (batch,) = batches(write(tmp_path / "events", data))
    assert (batch.events, batch.line_numbers) == ([b"{1}", b"{3}"], [1, 3])
    assert batch.oversized_line_numbers == [2, 4]
    assert (batch.end_line, batch.end_offset) == (4, len(data))


def test_a_line_of_exactly_the_bound_is_sent(tmp_path: Path) -> None:
    (batch,) = batches(write(tmp_path / "events", b"x" * LINE_BYTES_MAX + b"\n"))
    assert len(batch.events[0]) == LINE_BYTES_MAX


def test_a_file_without_lines_has_no_batch(tmp_path: Path) -> None:
    assert batches(write(tmp_path / "events", b"\n \n")) == []
    assert batches(write(tmp_path / "events", b"")) == []


def test_damaged_gzip_gives_what_came_before_and_names_the_place(tmp_path: Path) -> None:
    data = b"".join(b'{"n":%d}\n' % random.Random(n).getrandbits(256) for n in range(40_000))
    path = tmp_path / "events.gz"
    path.write_bytes(gzip.compress(data)[:-1_000])
    source = Source(str(path))
    seen: list[Batch] = []
    with pytest.raises(CommandError, match=r"events\.gz is damaged behind uncompressed byte \d+"):
        seen.extend(iter(source.batches(1_000)))
    source.close()
    assert len(seen) >= 30


def test_the_beginning_of_a_file_is_known_again(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain", b"abc" * 100)
    packed = write(tmp_path / "packed", b"abc" * 100, packed=True)
    assert fingerprint(str(plain), 50) == fingerprint(str(packed), 50)
    assert fingerprint(str(plain), 50) != fingerprint(str(plain), 51)


@pytest.mark.parametrize("workspace", ["", "default", "w" * 200])
def test_the_bytes_are_those_of_the_generated_message(workspace: str) -> None:
    sizes = [0, 1, 125, 126, 127, 128, 129, 16_379, 16_380, 16_383, 16_384, 65_536]
    events = [b"x" * size for size in sizes]
    message = identity_pb2.ResolveEventsRequest(workspace=workspace)
    for event in events:
        message.events.add(raw_json=event)
    request = encode_raw_events(workspace, events)
    assert identity_pb2.ResolveEventsRequest.FromString(request) == message
    # An empty `raw_json` is written, which proto3 leaves out; no line is ever empty.
    assert encode_raw_events(workspace, events[1:]) == without_first(message)


def without_first(message: identity_pb2.ResolveEventsRequest) -> bytes:
    rest = identity_pb2.ResolveEventsRequest()
    rest.CopyFrom(message)
    del rest.events[0]
    return rest.SerializeToString(deterministic=True)


def test_one_event_makes_a_request_of_the_single_call() -> None:
    request = identity_pb2.ResolveEventRequest.FromString(encode_raw_events("w", [b"{}"]))
    assert (request.workspace, request.event.raw_json) == ("w", b"{}")


def test_progress_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "events.ipse-progress"
    progress = Progress(workspace="w", offset=7, line=2, merged=1)
    progress.add_error(LineError(2, "MALFORMED_JSON", "no object"))
    progress.save(path)
    assert progress_file.read(path) == progress
    assert progress_file.read(tmp_path / "other") is None


def test_the_list_of_errors_is_bounded_and_their_count_is_not() -> None:
    progress = Progress(workspace="w")
    for line in range(progress_file.ERRORS_KEPT_MAX + 5):
        progress.add_error(LineError(line, "R", "m"))
    assert progress.errors == progress_file.ERRORS_KEPT_MAX + 5
    assert len(progress.error_list) == progress_file.ERRORS_KEPT_MAX


@pytest.mark.parametrize("text", ["", "{}", "[1]", json.dumps({"version": 2}), '{"version": 1}'])
def test_a_progress_file_of_somebody_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "events.ipse-progress"
    path.write_text(text)
    with pytest.raises(CommandError, match="--restart"):
        progress_file.read(path)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Half:
    def fraction(self) -> float | None:
        return 0.5


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: seconds[0])
    return seconds


def test_a_load_without_a_terminal_says_every_5_seconds_how_far_it_is(clock: list[float]) -> None:
    stream = io.StringIO()
    shown = bar.Bar(Half(), stream)
    for tenths in range(160):
        clock[0] = tenths / 10
        shown.show(1_000 + tenths * 100, 1_000)
    shown.end()
    assert stream.getvalue().splitlines() == [
        "ipse: 50%  6,000 events  1,000/s",
        "ipse: 50%  11,000 events  1,000/s",
        "ipse: 50%  16,000 events  1,000/s",
    ]


def test_a_load_on_a_terminal_redraws_one_line_and_clears_it(clock: list[float]) -> None:
    stream = Terminal()
    shown = bar.Bar(Half(), stream)
    for clock[0] in (0.0, 1.0, 1.01):
        shown.show(500, 0)
    shown.end()
    assert stream.getvalue() == f"\r[{'#' * 15}{' ' * 15}]  50%  500 events  500/s\x1b[K\r\x1b[K"
