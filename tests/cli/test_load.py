from __future__ import annotations

import gzip
import json
import shlex
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import ipse, one_line
from tests.server_process import ServerProcess


def event(number: int, people: int = 50) -> bytes:
    who = number % people
    fields = {"messageId": f"m{number}", "type": "track", "anonymousId": f"a{who}"}
    if number >= people:
        fields["userId"] = f"u{who}"
    return json.dumps(fields).encode()


def write_events(path: Path, count: int) -> Path:
    path.write_bytes(b"".join(event(number) + b"\n" for number in range(count)))
    return path


def load(file: Path, server: ServerProcess, *flags: str | Path) -> dict[str, Any]:
    done = ipse("load", file, "--address", server.address, "--json", *flags)
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def profiles(server: ServerProcess) -> int:
    done = ipse("stats", "--address", server.address, "--json")
    count: int = json.loads(done.stdout)["workspaces"][0]["profile_count"]
    return count


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_file_is_loaded_whole(server: ServerProcess, tmp_path: Path, *, packed: bool) -> None:
    file = write_events(tmp_path / "events.jsonl", 2_500)
    if packed:
        file.write_bytes(gzip.compress(file.read_bytes()))
    summary = load(file, server)
    assert (summary["lines"], summary["events"], summary["errors"]) == (2_500, 2_500, 0)
    assert (summary["created"], summary["attached"], summary["merged"]) == (50, 50, 0)
    assert summary["already_attached"] == 2_400
    assert profiles(server) == 50
    assert not Path(f"{file}.ipse-progress").exists()


def test_standard_input_is_loaded(server: ServerProcess) -> None:
    data = b"\n".join(event(number) for number in range(10))
    done = ipse("load", "-", "--address", server.address, stdin=data)
    assert done.returncode == 0
    assert done.stdout.startswith("10 events in ")


def test_wrong_lines_are_counted_and_listed_and_stop_nothing(
    server: ServerProcess, tmp_path: Path
) -> None:
    lines = [
        event(0),
        b'{"type": "track", "anonymousId": ',
        b"[1, 2]",
        b'{"type": "track", "anonymousId": "\xff"}',
        b"",
        b'{"type": "track", "anonymousId": "' + b"x" * 70_000 + b'"}',
        event(1),
    ]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(lines))
    summary = load(file, server)
    assert (summary["lines"], summary["created"], summary["errors"]) == (7, 2, 4)
    found = [(error["line"], error["reason"]) for error in summary["error_list"]]
    assert sorted(found) == [
        (2, "MALFORMED_JSON"),
        (3, "MALFORMED_JSON"),
        (4, "MALFORMED_JSON"),
        (6, "LIMIT_EXCEEDED"),
    ]
    done = ipse("load", file, "--address", server.address, "--strict")
    assert done.returncode == 1
    assert "line 2: MALFORMED_JSON: " in done.stderr


def test_every_event_is_written_back_with_its_profile(
    server: ServerProcess, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    nobody = b'{"messageId": "n", "type": "track"}'
    file.write_bytes(b"\n".join([event(0), b"nonsense", nobody, event(0)]))
    out = tmp_path / "out.jsonl"
    load(file, server, "--out", out)
    created, refused, unresolved, repeated = map(json.loads, out.read_text().splitlines())
    assert created["event"] == json.loads(event(0))
    assert (created["decision"], repeated["decision"]) == ("created", "created")
    assert created["profile_id"] == repeated["profile_id"] != ""
    assert (unresolved["decision"], unresolved["profile_id"]) == ("unresolved", None)
    assert (refused["decision"], refused["line"]) == ("error", 2)
    assert (refused["error"]["reason"], refused["event_text"]) == ("MALFORMED_JSON", "nonsense")


def test_a_second_run_changes_nothing(server: ServerProcess, tmp_path: Path) -> None:
    file = write_events(tmp_path / "events.jsonl", 300)
    load(file, server)
    before = state(server)
    assert load(file, server)["errors"] == 0
    assert state(server) == before


def state(server: ServerProcess) -> str:
    done = ipse("stats", "--address", server.address, "--json")
    found: str = json.loads(done.stdout)["workspaces"][0]["state_hash"]
    return found


def test_a_load_that_was_killed_continues(server: ServerProcess, tmp_path: Path) -> None:
    file = write_events(tmp_path / "events.jsonl", 40_000)
    progress, out = Path(f"{file}.ipse-progress"), tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "ipse", "load", str(file), "--address", server.address]
    command += ["--batch", "20", "--out", str(out)]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while not progress.exists():
        assert running.poll() is None, "it ended before it could be killed"
        time.sleep(0.001)
    running.kill()
    running.communicate()
    done = ipse("load", file, "--address", server.address, "--out", out, "--json")
    summary = json.loads(done.stdout)
    assert done.stderr.startswith(f"ipse: continuing at line {summary['first_line']}")
    assert summary["first_line"] > 1
    assert (summary["lines"], summary["events"], summary["errors"]) == (40_000, 40_000, 0)
    written = [json.loads(line)["event"] for line in out.read_text().splitlines()]
    assert written == [json.loads(event(number)) for number in range(40_000)]
    assert profiles(server) == 50


def test_a_server_that_is_killed_and_comes_back_loses_nothing(
    server: ServerProcess, tmp_path: Path
) -> None:
    file = write_events(tmp_path / "events.jsonl", 20_000)
    out = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "ipse", "load", str(file), "--address", server.address]
    command += ["--batch", "20", "--out", str(out), "--json"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not (out.exists() and out.stat().st_size):
        assert running.poll() is None, "it ended before the server could be killed"
        time.sleep(0.001)
    server.kill()
    acknowledged = out.read_bytes()
    server.start()
    stdout, stderr = running.communicate(timeout=60)
    assert running.returncode == 0, stderr
    summary = json.loads(stdout)
    assert (summary["events"], summary["errors"]) == (20_000, 0)
    assert out.read_bytes().startswith(acknowledged[: acknowledged.rfind(b"\n") + 1])
    assert profiles(server) == 50


def test_a_progress_file_of_another_load_is_refused(server: ServerProcess, tmp_path: Path) -> None:
    file = write_events(tmp_path / "events.jsonl", 10)
    progress = {"version": 1, "workspace": "default", "offset": 5, "error_list": []}
    progress |= {"fingerprint": 1, "fingerprint_bytes": 5}
    beside = Path(f"{file}.ipse-progress")
    beside.write_text(json.dumps(progress))
    done = ipse("load", file, "--address", server.address)
    assert done.returncode == 1
    assert one_line(done.stderr).endswith("use --restart to load it anew")
    beside.write_text(json.dumps(progress | {"workspace": "other"}))
    assert ipse("load", file, "--address", server.address).returncode == 2
    assert load(file, server, "--restart")["created"] == 10


def test_an_unknown_workspace_ends_the_load(server: ServerProcess, tmp_path: Path) -> None:
    file = write_events(tmp_path / "events.jsonl", 10)
    done = ipse("load", file, "--address", server.address, "--workspace", "nowhere")
    assert done.returncode == 1
    assert "refused the load with NOT_FOUND" in one_line(done.stderr)


def test_a_server_that_stays_away_ends_the_load(tmp_path: Path) -> None:
    file = write_events(tmp_path / "events.jsonl", 10)
    done = ipse("load", file, "--address", "127.0.0.1:1", "--retry-seconds", "0.2")
    assert done.returncode == 1
    line = one_line(done.stderr)
    assert line.startswith("ipse: error: 127.0.0.1:1 did not take events for 0.2 s (UNAVAILABLE")
    assert line.endswith("run the same command again to continue")


@pytest.mark.parametrize(
    ("flag", "how"),
    [
        *product(["--out", "--progress-file"], ["same", "spelling", "symbolic", "hard"]),
        # A stream cannot be continued, and has no progress file.
        ("--out", "stdin"),
    ],
)
def test_a_load_never_writes_over_its_events(tmp_path: Path, flag: str, how: str) -> None:
    file = write_events(tmp_path / "events.jsonl", 10)
    before, other = file.read_bytes(), tmp_path / "other"
    if how == "symbolic":
        other.symlink_to(file)
    elif how == "hard":
        other.hardlink_to(file)
    else:
        other = file
    named = f"{tmp_path}/./{file.name}" if how == "spelling" else str(other)
    command = [sys.executable, "-m", "ipse", "load", "-" if how == "stdin" else str(file)]
    with file.open("rb") as stdin:
        # Nobody listens there: the refusal comes first.
        command += ["--address", "127.0.0.1:1", "--retry-seconds", "0", flag, named]
        done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=False)
    assert (done.returncode, file.read_bytes()) == (2, before)
    assert "is the same file as FILE" in one_line(done.stderr)


def test_a_load_never_writes_its_two_files_into_one(tmp_path: Path) -> None:
    file, out = write_events(tmp_path / "events.jsonl", 10), tmp_path / "out"
    flags = ("--address", "127.0.0.1:1", "--out", out, "--progress-file", f"{tmp_path}/./out")
    done = ipse("load", file, *flags)
    assert done.returncode == 2
    assert "is the same file as --out" in one_line(done.stderr)
    done = ipse("load", file, "--address", "127.0.0.1:1", "--out", f"{file}.ipse-progress")
    assert done.returncode == 2
    assert not Path(f"{file}.ipse-progress").exists()


def test_what_is_no_file_may_be_both_ends(server: ServerProcess) -> None:
    done = ipse("load", "/dev/null", "--address", server.address, "--out", "/dev/null")
    assert done.returncode == 0, done.stderr


def test_a_full_disk_under_out_costs_no_line(server: ServerProcess, tmp_path: Path) -> None:
    file, out = write_events(tmp_path / "events.jsonl", 3_000), tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "ipse", "load", str(file), "--address", server.address]
    command += ["--out", str(out), "--batch", "500"]
    # Room for some batches and a part of the next; a shorter write comes first, then an error.
    limited = f"ulimit -f 150; trap '' XFSZ; exec {shlex.join(command)}"
    done = subprocess.run(["bash", "-c", limited], capture_output=True, check=False, text=True)
    assert done.returncode == 1, done.stderr

    load(file, server, "--out", out, "--batch", "500")
    written = [json.loads(line)["event"]["messageId"] for line in out.read_text().splitlines()]
    assert written == [f"m{number}" for number in range(3_000)]


@pytest.mark.parametrize("other", [(), ("--out", "other.jsonl")], ids=["none", "another"])
def test_a_load_is_continued_with_the_out_that_it_began_with(
    server: ServerProcess, tmp_path: Path, other: tuple[str, ...]
) -> None:
    file = write_events(tmp_path / "events.jsonl", 10)
    out = str((tmp_path / "out.jsonl").resolve())
    progress = {"version": 1, "workspace": "default", "offset": 1, "out": out, "error_list": []}
    Path(f"{file}.ipse-progress").write_text(json.dumps(progress))
    done = ipse("load", file, "--address", server.address, *other)
    assert done.returncode == 2
    assert f"begun with --out {out}" in one_line(done.stderr)


def test_an_out_that_was_cut_since_is_not_continued(server: ServerProcess, tmp_path: Path) -> None:
    file, out = write_events(tmp_path / "events.jsonl", 10), tmp_path / "out.jsonl"
    first = file.read_bytes().index(b"\n") + 1
    place = {"offset": first, "fingerprint_bytes": 0, "fingerprint": 0, "out_bytes": 99}
    progress = {"version": 1, "workspace": "default", "out": str(out.resolve()), "error_list": []}
    Path(f"{file}.ipse-progress").write_text(json.dumps(progress | place))
    out.write_bytes(b"short")
    done = ipse("load", file, "--address", server.address, "--out", out)
    assert done.returncode == 1
    assert "no longer holds the 99 bytes" in done.stderr
    assert out.read_bytes() == b"short"
