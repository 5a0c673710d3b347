from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
from ipse import telemetry


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(log_format: str, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    telemetry.configure(log_format, level, stream)
    return stream


def test_a_line_is_json_unless_a_person_looks() -> None:
    stream = logged("auto")
    logging.getLogger("ipse").info("recovered", extra={"seconds": 0.25, "file": "snapshot-1"})
    line = json.loads(stream.getvalue())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("ts"))
    assert line == {"level": "info", "event": "recovered", "seconds": 0.25, "file": "snapshot-1"}


def test_a_person_reads_text() -> None:
    stream = logged("human")
    logging.getLogger("ipse.server").warning("slow sync", extra={"seconds": 1.5, "why": "a b"})
    pattern = r'\d\d:\d\d:\d\d warning slow sync seconds=1\.5 why="a b" logger=ipse\.server\n'
    assert re.fullmatch(pattern, stream.getvalue())


def test_less_important_lines_are_left_out() -> None:
    stream = logged("json", "warning")
    logging.getLogger("ipse").info("nothing")
    assert stream.getvalue() == ""


def test_an_exception_stays_on_its_line() -> None:
    stream = logged("json")
    try:
        int("bad\nvalue")
    except ValueError:
        logging.getLogger("ipse").exception("failed")
    line = json.loads(stream.getvalue())
    assert line["event"] == "failed"
    assert line["traceback"].endswith(
        r"ValueError: invalid literal for int() with base 10: 'bad\nvalue'"
    )


@pytest.mark.parametrize(
    ("namespace", "value", "shown"),
    [
        ("email", "ann@example.com", r"email:a\*\*\*#[0-9a-f]{4}"),
        ("user_id", "1", r"user_id:\*\*\*#[0-9a-f]{4}"),
        ("user_id", "", r"user_id:\*\*\*#[0-9a-f]{4}"),
        ("email", "\ud800broken", r"email:\ud800\*\*\*#[0-9a-f]{4}"),
    ],
)
def test_a_mask_shows_little(namespace: str, value: str, shown: str) -> None:
    assert re.fullmatch(shown, telemetry.mask(namespace, value))


def test_a_mask_tells_identifiers_apart_and_stays_the_same() -> None:
    masked = [telemetry.mask("email", value) for value in ("ann@x.org", "amy@x.org", "ann@x.org")]
    assert masked[0] == masked[2] != masked[1]
    assert telemetry.mask("a", "same-value")[-4:] != telemetry.mask("b", "same-value")[-4:]
