"""`ipse import` and `--preset`, against a live server."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import ipse as library
import pytest

from tests.cli.command import ipse, one_line
from tests.server_process import ServerProcess


def person(number: int) -> dict[str, Any]:
    return {
        "former_id": f"p-{number}",
        "created_time": "2023-01-01T00:00:00Z",
        "known": number % 2 == 0,
        "identifiers": {
            "user_id": f"u-{number}",
            "email": [{"value": f"{number}@example.com", "time": "2023-02-01T00:00:00Z"}],
        },
        "traits": {"plan": "gold"},
    }


def write_people(path: Path, count: int) -> Path:
    path.write_text("".join(json.dumps(person(number)) + "\n" for number in range(count)))
    return path


def bring(file: Path, server: ServerProcess, *flags: str | Path) -> dict[str, Any]:
    done = ipse("import", file, "--address", server.address, "--json", *flags)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def counts(report: dict[str, Any]) -> tuple[int, ...]:
    return tuple(report[name] for name in ("created", "updated", "unchanged", "errors"))


def state(server: ServerProcess) -> str:
    with library.Client(server.address) as client:
        return client.get_workspace().state_hash


def test_a_file_is_brought_whole_and_only_once(server: ServerProcess, tmp_path: Path) -> None:
    file = write_people(tmp_path / "people.jsonl", 1_500)
    report = bring(file, server)
    assert counts(report) == (1_500, 0, 0, 0)
    assert report["identifiers"]["attached"] == 3_000
    assert report["rejects"] is None
    assert sorted(path.name for path in tmp_path.glob("people*")) == ["people.jsonl"]
    with library.Client(server.address) as client:
        profile = client.get_profile(library.FormerId("p-6"))
        assert profile.former_ids == ("p-6",)
        assert (profile.known, profile.traits) == (True, {"plan": "gold"})
        assert profile.created_time.year == 2023
        by_email = client.get_profile(identifier=("email", "6@example.com"))
        assert by_email.profile_id == profile.profile_id
        (held,) = [one for one in profile.identifiers if one.identifier.namespace == "email"]
        assert held.attached_time.month == 2
    before = state(server)
    assert counts(bring(file, server)) == (0, 0, 1_500, 0)
    assert state(server) == before


def test_what_is_new_in_a_second_file_is_brought(server: ServerProcess, tmp_path: Path) -> None:
    file = write_people(tmp_path / "people.jsonl", 3)
    bring(file, server)
    fields = person(1)
    fields["identifiers"]["phone"] = "+15551234567"
    more = tmp_path / "more.jsonl"
    more.write_text(json.dumps(fields))
    assert counts(bring(more, server)) == (0, 1, 0, 0)


def test_what_is_refused_is_written_beside_with_its_reason(
    server: ServerProcess, tmp_path: Path
) -> None:
    file = tmp_path / "people.jsonl"
    blocked = person(3)
    blocked["identifiers"]["user_id"] = "null"
    far = person(4) | {"created_time": "2999-01-01T00:00:00Z"}
    lines = [json.dumps(person(1)), "nonsense", json.dumps(blocked), json.dumps(far)]
    file.write_text("\n".join(lines))
    report = bring(file, server)
    assert counts(report) == (2, 0, 0, 2)
    assert report["identifiers"]["refused_by_rule"] == {"blocked_value": 1}
    assert [error["line"] for error in report["error_list"]] == [2, 4]
    assert report["rejects"] == f"{file}.rejects.jsonl"
    bad, kept_out, refused = map(json.loads, Path(report["rejects"]).read_text().splitlines())
    assert (bad["line"], bad["reason"], bad["record"]) == (2, "BAD_LINE", "nonsense")
    assert (kept_out["line"], kept_out["reason"]) == (3, "BLOCKED_VALUE")
    assert (kept_out["namespace"], kept_out["value"]) == ("user_id", "null")
    assert refused["line"] == 4
    assert json.loads(refused["record"]) == far
    done = ipse("import", file, "--address", server.address, "--strict")
    assert done.returncode == 1
    assert "line 2: BAD_LINE: is not JSON" in done.stderr
    assert "2 unchanged, 2 errors" in done.stdout
    assert "1 refused (1 blocked_value)" in done.stdout


def test_older_traits_are_written_beside_with_their_reason(
    server: ServerProcess, tmp_path: Path
) -> None:
    file = write_people(tmp_path / "people.jsonl", 2)
    bring(file, server)
    older = person(1)
    older["traits"] = {"plan": "older than it is"}
    older["trait_times"] = {"plan": "2001-01-01T00:00:00Z"}
    more = tmp_path / "more.jsonl"
    more.write_text(json.dumps(older))
    report = bring(more, server)
    assert counts(report) == (0, 0, 1, 0)
    assert report["ignored_traits"] == 1
    (told,) = map(json.loads, Path(report["rejects"]).read_text().splitlines())
    assert (told["line"], told["reason"], told["trait"]) == (1, "OLDER", "plan")
    done = ipse("import", more, "--address", server.address)
    assert "traits: 1 ignored: the profile's are newer" in done.stdout


def test_a_preview_writes_nothing(server: ServerProcess, tmp_path: Path) -> None:
    file = write_people(tmp_path / "people.jsonl", 3)
    before = state(server)
    assert counts(bring(file, server, "--read-only")) == (3, 0, 0, 0)
    assert state(server) == before
    assert list(tmp_path.glob("people.jsonl.*")) == []


def test_an_import_that_was_killed_continues(server: ServerProcess, tmp_path: Path) -> None:
    file = write_people(tmp_path / "people.jsonl", 20_000)
    progress = Path(f"{file}.ipse-progress")
    command = [sys.executable, "-m", "ipse", "import", str(file), "--address", server.address]
    running = subprocess.Popen(
        [*command, "--batch", "20"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    while not progress.exists():
        assert running.poll() is None, "it ended before it could be killed"
        time.sleep(0.001)
    running.kill()
    running.communicate()
    report = bring(file, server)
    assert report["first_line"] > 1
    assert (report["lines"], report["profiles"], report["errors"]) == (20_000, 20_000, 0)
    with library.Client(server.address) as client:
        assert client.get_workspace().profile_count == 20_000
    assert not progress.exists()


def test_columns_come_from_csv(server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text(
        "former_id,known,id:email,trait:plan,notes\n"
        'p-1,yes,ann@example.com,"gold, or so",\n'
        "p-2,no,bob@example.com,,\n"
    )
    refused = ipse("import", file, "--address", server.address)
    assert refused.returncode == 1
    assert "unknown columns: notes" in one_line(refused.stderr)
    assert counts(bring(file, server, "--ignore", "notes")) == (2, 0, 0, 0)
    with library.Client(server.address) as client:
        profile = client.get_profile(identifier=("email", "ann@example.com"))
        assert profile.traits == {"plan": "gold, or so"}
        assert profile.known


@pytest.mark.parametrize("command", ["load", "import"])
def test_a_preset_makes_the_workspace(server: ServerProcess, tmp_path: Path, command: str) -> None:
    file = tmp_path / "lines.jsonl"
    fields = {"event": "$identify", "distinct_id": "u-1", "properties": {"$anon_distinct_id": "a"}}
    file.write_text(json.dumps({"former_id": "p-1"} if command == "import" else fields))
    words = (command, file, "--address", server.address, "--preset", "posthog")
    done = ipse(*words, "--workspace", "people", "--strict")
    assert done.returncode == 0, done.stderr
    assert "created workspace people with preset posthog" in done.stderr
    with library.Client(server.address) as client:
        assert client.get_rules(workspace="people").toml == library.preset("posthog")
        assert client.get_workspace("people").profile_count == 1
    assert ipse(*words, "--workspace", "people").stderr == ""
    # The first workspace is everybody's: its rules give way while nobody is in it.
    assert "put preset posthog in force in workspace default" in ipse(*words).stderr
    other = ipse(*words[:-1], "segment")
    assert other.returncode == 1
    assert "with other rules than preset segment" in one_line(other.stderr)


def test_no_server_is_said_in_one_line(tmp_path: Path) -> None:
    file = write_people(tmp_path / "people.jsonl", 1)
    words = ("import", file, "--address", "127.0.0.1:1", "--retry-seconds", "0.2")
    for flags in ((), ("--preset", "posthog")):
        done = ipse(*words, *flags)
        assert done.returncode == 1
        assert one_line(done.stderr).startswith("ipse: error: 127.0.0.1:1")


@pytest.mark.parametrize(("command", "flag"), [("load", "--out"), ("import", "--rejects")])
def test_a_file_that_cannot_be_written_is_named(
    server: ServerProcess, tmp_path: Path, command: str, flag: str
) -> None:
    file = tmp_path / "file.jsonl"
    file.write_text('{"former_id": "p", "userId": "u"}\nnonsense\n')
    cases = [
        (flag, tmp_path / "none" / "out", "No such file or directory"),
        (flag, tmp_path, "Is a directory"),
        (
            flag,
            Path("/dev/full"),
            "No space left on device; run the same command again to continue",
        ),
        ("--progress-file", tmp_path / "none" / "progress", "No such file or directory"),
    ]
    for name, path, reason in cases:
        done = ipse(command, file, "--address", server.address, "--restart", name, path)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == f"ipse: error: cannot write {path}: {reason}"


@pytest.mark.parametrize(("command", "items"), [("load", "events"), ("import", "profiles")])
def test_a_file_of_which_nothing_is_taken_fails(
    server: ServerProcess, tmp_path: Path, command: str, items: str
) -> None:
    file = tmp_path / "file.jsonl"
    file.write_text("nonsense\n[]\nmore\n")
    done = ipse(command, file, "--address", server.address)
    assert done.returncode == 1
    none = f"ipse: none of the {items} of {file} was taken: 3 refused"
    assert done.stderr.splitlines()[-1] == none
    file.write_text('nonsense\n{"former_id": "p"}\n')
    assert ipse(command, file, "--address", server.address).returncode == 0
    assert ipse(command, file, "--address", server.address, "--strict").returncode == 1
    file.write_text("")
    assert ipse(command, file, "--address", server.address).returncode == 0
