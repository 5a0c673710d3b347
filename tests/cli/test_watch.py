from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterator

import ipse as package
import pytest

from tests.cli.command import ipse, one_line
from tests.server_process import ServerProcess


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server where two profiles turn out to be Ann's."""
    with ServerProcess(tmp_path_factory.mktemp("watch") / "data") as running:
        with package.Client(running.address) as client:
            for event_id, who in (("e-1", "user_id"), ("e-2", "anonymous_id")):
                client.resolve(
                    package.Event(
                        identifiers={who: "ann", "email": f"{event_id}@example.com"},
                        event_id=event_id,
                        source="web",
                    )
                )
            client.merge_profiles(
                package.Identifier("user_id", "ann"), [package.Identifier("anonymous_id", "ann")]
            )
        yield running.address


def watched(address: str, *words: str) -> list[str]:
    done = ipse("watch", "--address", address, "--after", "0", "--until-now", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_each_change_is_a_line(address: str) -> None:
    lines = watched(address)
    assert [line.split("  ")[2] for line in lines] == [
        "rules_set",
        *("created", "attached", "attached") * 2,
        "merged",
    ]
    assert lines[0].endswith("  rules_set  version 1")
    number, _, _, profile, what, cause = lines[2].split("  ")
    assert (number, what, cause) == ("2", "user_id=ann", "(observe e-1 from web)")
    assert profile.startswith("ip_")
    assert " -> ".join((lines[5].split("  ")[3], profile)) in lines[-1]


def test_each_record_is_an_object(address: str) -> None:
    records = [json.loads(line) for line in watched(address, "--json")]
    assert [record["sequence_number"] for record in records] == [1, 2, 3, 4]
    assert [record["kind"] for record in records] == ["rules", "observe", "observe", "merge"]
    [merged] = records[-1]["changes"]
    assert merged["kind"] == "merged"
    assert merged["before_profile_id"] == records[2]["changes"][0]["after_profile_id"]
    assert merged["identifier"] is None


def test_what_was_not_asked_for_is_not_told(address: str) -> None:
    [line] = watched(address, "--after", "2", "--kinds", "attached", "--namespaces", "email")
    assert "  email=e-2@example.com  " in line
    assert watched(address, "--kinds", "split,erased") == []


def test_a_line_comes_when_it_happens(address: str) -> None:
    words = ["watch", "--address", address, "--kinds", "created"]
    command = [sys.executable, "-m", "ipse", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        with package.Client(address) as client:
            # What was there before it began is not told.
            for number in range(1_000):
                client.resolve(package.Event(identifiers={"anonymous_id": f"a{number}"}))
                if select.select([following.stdout], [], [], 0.05)[0]:
                    break
        assert "  created  ip_" in following.stdout.readline()
        following.kill()


def test_what_is_wrong_is_one_line(address: str) -> None:
    done = ipse("watch", "--address", address, "--after", "99", "--until-now")
    assert done.returncode == 1
    assert one_line(done.stderr).startswith("ipse: error: INVALID_FIELD: after_sequence_number: ")
    assert ipse("watch", "--after", "-1").returncode == 2
    assert ipse("watch", "--kinds", "made", "--address", address).returncode == 1
