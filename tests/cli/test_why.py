from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cli.command import ipse, one_line
from tests.server_process import ServerProcess

EVENTS = b"""\
{"type": "track", "messageId": "e-1", "timestamp": "2026-01-01T00:00:00Z", "userId": "ann", \
"anonymousId": "tablet"}
{"type": "track", "messageId": "e-2", "timestamp": "2026-01-02T00:00:00Z", \
"anonymousId": "tablet", "context": {"traits": {"email": "ann@example.com"}}}
{"type": "track", "messageId": "e-3", "timestamp": "2026-01-03T00:00:00Z", "userId": "bob", \
"anonymousId": "tablet"}
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that knows Ann, and Bob who used her tablet once."""
    with ServerProcess(tmp_path_factory.mktemp("shared") / "data") as running:
        assert ipse("load", "-", "--address", running.address, stdin=EVENTS).returncode == 0
        yield running.address


def why(address: str, *words: str) -> str:
    done = ipse("why", *words, "--address", address)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_chain_is_drawn_from_one_to_the_other(address: str) -> None:
    lines = why(address, "user_id=ann", "email=ann@example.com").splitlines()
    assert lines[0].startswith("user_id=ann and email=ann@example.com are one person: profile ip_")
    spots = [line for line in lines[2:] if not line.startswith("  | ")]
    assert spots == ["user_id=ann", "anonymous_id=tablet", "email=ann@example.com"]
    assert lines.count("  | seen together") == 2
    assert any("id e-1, happened 2026-01-01T00:00:00Z" in line for line in lines)


def test_what_keeps_two_apart_is_told(address: str) -> None:
    text = why(address, "user_id=ann", "user_id=bob")
    assert "are not one person" in text
    assert "kept off: anonymous_id=tablet off profile ip_" in text
    assert "by value_limit" in text
    assert "id e-3" in text
    assert "an event with both would now be: " in text


def test_a_story_is_told_in_order(address: str) -> None:
    lines = why(address, "email=ann@example.com").splitlines()
    assert lines[0].endswith("rests on 2 records")
    records = [line for line in lines if line.startswith("record ")]
    assert ["e-1" in records[0], "e-2" in records[1]] == [True, True]
    assert "    attached anonymous_id=tablet" in lines
    assert "    linked email=ann@example.com with anonymous_id=tablet" in lines


def test_json_says_all_of_it(address: str) -> None:
    story = json.loads(why(address, "user_id=ann", "--json"))
    assert story["steps"][0]["record"]["event_id"] == "e-1"
    by_id = json.loads(why(address, story["profile_id"], "--json"))
    assert by_id == story
    link = json.loads(why(address, "user_id=ann", "anonymous_id=tablet", "--json"))
    (hop,) = link["hops"]
    assert hop["to"] == {"namespace": "anonymous_id", "value": "tablet"}


def test_pictures_are_for_graphviz_and_mermaid(address: str) -> None:
    dot = why(address, "user_id=ann", "email=ann@example.com", "--format", "dot")
    assert dot.startswith("graph why {\n")
    assert '"user_id=ann" -- "anonymous_id=tablet" [label="seen together, record 2"]' in dot
    mermaid = why(address, "user_id=ann", "user_id=bob", "--format", "mermaid").splitlines()
    assert mermaid[:3] == ["graph LR", '  n0["user_id=ann"]', '  n1["user_id=bob"]']
    assert mermaid[3].startswith('  n0 -.-|"value_limit, record ')
    assert "--" in why(address, "user_id=ann", "--format", "dot")


def test_whoever_is_nobody_is_one_line_and_code_1(address: str) -> None:
    done = ipse("why", "user_id=nobody", "--address", address)
    assert done.returncode == 1
    assert one_line(done.stderr).startswith("ipse: error: PROFILE_NOT_FOUND: ")
