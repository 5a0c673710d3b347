from __future__ import annotations

import json
from pathlib import Path

import ipse as library
import pytest
from ipse import Event

from tests.cli.command import ipse, one_line
from tests.server_process import ServerProcess

# Ann and Bob, whom a shared tablet joins; afterwards each brings another device.
SEEN = (
    {"email": "ann@example.com", "ios.id": "ann-phone"},
    {"email": "bob@example.com", "ios.id": "bob-phone"},
    {"email": "ann@example.com", "ios.id": "tablet"},
    {"email": "bob@example.com", "ios.id": "tablet"},
    {"email": "ann@example.com", "ios.id": "ann-watch"},
    {"email": "bob@example.com", "ios.id": "bob-watch"},
)
BOBS = ["bob@example.com", "bob-phone", "bob-watch"]


@pytest.fixture
def joined(server: ServerProcess) -> tuple[str, str, str]:
    """The server's address, the profile of both, and the id that was retired."""
    with library.Client(server.address) as client:
        answers = [client.resolve(Event(identifiers=each)) for each in SEEN]
    (absorbed,) = answers[3].absorbed_profile_ids
    return server.address, answers[0].profile_id, absorbed


def profile_of(address: str, identifier: str) -> str:
    done = ipse("profile", "get", identifier, "--json", "--address", address)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["profile_id"])


def correct(address: str, *words: str | Path) -> str:
    done = ipse("profile", *words, "--address", address)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_merge_is_undone_as_it_was_previewed(joined: tuple[str, str, str]) -> None:
    address, both, bob = joined
    preview = correct(address, "revert", bob, "--read-only")
    assert profile_of(address, "email=bob@example.com") == both
    head, *table = correct(address, "revert", bob).splitlines()
    assert head == f"profile {both}, 3 identifiers to other profiles (record 8)"
    assert preview.splitlines()[1:] == table
    assert [line.split()[1] for line in table[3:]] == BOBS
    for identifier, owner in (("ios.id=tablet", both), ("ios.id=bob-watch", bob)):
        assert profile_of(address, identifier) == owner
    refused = ipse("profile", "revert", bob, "--address", address)
    assert refused.returncode == 1
    assert "there is no merge to undo" in one_line(refused.stderr)


def test_two_are_kept_apart_and_put_together_by_a_word(joined: tuple[str, str, str]) -> None:
    address, both, bob = joined
    correct(address, "split", "email=bob@example.com", "ios.id=bob-phone", "--together")
    bobs = profile_of(address, "ios.id=bob-phone")
    assert bobs not in (both, bob)
    pair = ("ios.id=bob-watch", "ios.id=bob-phone")
    assert "refused (denied_link)" in correct(address, "deny", *pair)
    assert f"absorbed {bobs}" in correct(address, "force", *pair)
    assert "removed" in correct(address, "remove", "ios.id=bob-watch")
    correct(address, "split", "--keep", "ios.id=tablet")
    owners = {profile_of(address, f"email={name}@example.com") for name in ("ann", "bob")}
    assert len({*owners, both}) == 3


def test_a_file_of_corrections_may_be_sent_again(
    joined: tuple[str, str, str], tmp_path: Path
) -> None:
    address, both, bob = joined
    file = tmp_path / "corrections.jsonl"
    corrections = [
        {"revert": bob},
        {"remove": "ios.id=ann-watch"},
        {"deny": ["email=ann@example.com", "email=nobody@example.com"]},
        {"force": ["email=ann@example.com", "email=bob@example.com"]},
    ]
    file.write_text("".join(f"{json.dumps(each)}\n" for each in corrections), encoding="utf-8")
    first = ipse("profile", "correct", file, "--address", address)
    lines = first.stdout.splitlines()
    assert first.returncode == 1, "one line is refused, and the others are done"
    assert lines[0] == f"1: profile {both}, 3 identifiers to other profiles (record 8)"
    assert lines[1] == f"2: profile {both} (record 9)"
    assert lines[2].startswith("3: INVALID_FIELD: b: is on no profile")
    assert lines[3] == f"4: profile {both} absorbed {bob} (record 10)"
    again = ipse("profile", "correct", file, "--json", "--address", address)
    answers = [json.loads(line) for line in again.stdout.splitlines()]
    assert answers[0]["answer"]["resolution"]["repeated"]
    assert answers[2]["refused"] == "INVALID_FIELD"
    assert [answers[at]["answer"]["repeated"] for at in (1, 3)] == [True, True]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"revert": 5}', "is not one of"),
        ('{"deny": ["email=a@x.com"]}', "is not one of"),
        ('{"deny": ["email=a@x.com", "b"]}', "'b' is not an identifier"),
        ('{"remove": "email=a@x.com", "chain": true}', "does not know chain"),
        ('{"revert": "ip_1", "chain": 1}', "chain is neither true nor false"),
        ("{", "Expecting property name"),
    ],
)
def test_a_file_that_is_wrong_is_not_sent_at_all(tmp_path: Path, line: str, problem: str) -> None:
    file = tmp_path / "corrections.jsonl"
    file.write_text(f'{{"remove": "email=a@x.com"}}\n\n{line}\n', encoding="utf-8")
    done = ipse("profile", "correct", file, "--address", "127.0.0.1:1")
    assert done.returncode == 1
    told = one_line(done.stderr)
    assert f"{file}:3: " in told
    assert problem in told
    assert told.endswith("nothing was sent")
