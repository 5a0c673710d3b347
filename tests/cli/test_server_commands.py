from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import ipse, one_line
from tests.server_process import ServerProcess

ANN = (
    b'{"type": "identify", "timestamp": "2026-01-02T03:04:05.678Z", "userId": "u1", '
    b'"anonymousId": "a1", "traits": {"email": "ann@example.com", "age": 41}}'
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that knows Ann; tests share it and teach it nothing more about her."""
    with ServerProcess(tmp_path_factory.mktemp("shared") / "data") as running:
        assert ipse("load", "-", "--address", running.address, stdin=ANN).returncode == 0
        yield running.address


def test_a_profile_is_found_by_identifier_and_by_id(address: str) -> None:
    by_identifier = ipse("profile", "get", "email=ann@example.com", "--address", address, "--json")
    profile = json.loads(by_identifier.stdout)
    held = {each["identifier"]["namespace"] for each in profile["identifiers"]}
    assert held == {"user_id", "email", "anonymous_id"}
    assert profile["traits"]["age"] == 41
    assert profile["known"] is True
    by_id = ipse("profile", "get", "--id", profile["profile_id"], "--address", address, "--json")
    assert json.loads(by_id.stdout) == profile


def test_a_profile_is_a_table_for_a_person(address: str) -> None:
    lines = ipse("profile", "get", "user_id=u1", "--address", address).stdout.splitlines()
    assert lines[0].startswith("profile  ")
    assert "user_id       2026-01-02T03:04:05.678Z  2       u1" in lines
    assert "age    41" in lines


def test_nobody_is_one_line_and_code_1(address: str) -> None:
    done = ipse("profile", "get", "user_id=u2", "--address", address)
    assert done.returncode == 1
    assert one_line(done.stderr).startswith("ipse: error: PROFILE_NOT_FOUND: ")


def test_stats_are_a_table_or_json(address: str) -> None:
    as_json = json.loads(ipse("stats", "--address", address, "--json").stdout)
    assert as_json["workspaces"][0]["identifier_count"] == 3
    assert as_json["synced_log_position"] == as_json["log_position"] >= 2
    table = ipse("stats", "--address", address).stdout
    assert "records in the log" in table
    assert "default    1         0         3" in table


@pytest.mark.parametrize("words", [["stats"], ["profile", "get", "a=b"], ["rules", "get"]])
def test_no_server_is_said_in_one_line(words: list[str]) -> None:
    done = ipse(*words, "--address", "127.0.0.1:1")
    assert done.returncode == 1
    assert one_line(done.stderr) == (
        "ipse: error: no server answers at 127.0.0.1:1; start one with 'ipse serve', "
        "or name another with --address"
    )


def test_rules_are_shown_checked_set_and_read_back(address: str, tmp_path: Path) -> None:
    shown = ipse("rules", "show", "segment")
    file = tmp_path / "rules.toml"
    file.write_text("# ours\n" + shown.stdout)
    assert ipse("rules", "check", file).returncode == 0
    dry = ipse("rules", "set", file, "--address", address, "--read-only", "--json")
    assert json.loads(dry.stdout) == {"version": 2, "set": False}
    done = ipse("rules", "set", file, "--address", address, "--expected-version", "1", "--json")
    assert json.loads(done.stdout) == {"version": 2, "set": True}
    assert ipse("rules", "get", "--address", address).stdout == file.read_text()
    late = ipse("rules", "set", file, "--address", address, "--expected-version", "1")
    assert late.returncode == 1
    assert "RULES_VERSION_MISMATCH" in one_line(late.stderr)


def test_wrong_rules_are_named_by_file_line_and_key(address: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text("\nnonsense = 1\n[namespaces.email]\n")
    checked = ipse("rules", "check", file)
    assert checked.returncode == 1
    assert any(line.startswith(f"{file}:2: nonsense: ") for line in checked.stderr.splitlines())
    problems = json.loads(ipse("rules", "check", file, "--json").stdout)["problems"]
    assert (2, "nonsense") in [(problem["line"], problem["key"]) for problem in problems]
    refused = ipse("rules", "set", file, "--address", address)
    assert (refused.returncode, refused.stderr) == (1, checked.stderr)


def test_the_files_of_a_server_are_verified_and_dumped(server: ServerProcess) -> None:
    assert ipse("load", "-", "--address", server.address, stdin=ANN).returncode == 0
    running = json.loads(ipse("wal", "verify", server.data_dir, "--json").stdout)
    assert running["locked"] is True
    server.stop()
    stopped = json.loads(ipse("wal", "verify", server.data_dir, "--json").stdout)
    assert (stopped["state"], stopped["locked"]) == ("ok", False)
    assert {"MANIFEST", "segment-000000000001.wal"} <= {file["name"] for file in stopped["files"]}
    assert any(file["name"].startswith("snapshot-") for file in stopped["files"])
    done = ipse("wal", "dump", server.data_dir, "--json")
    created, resolved = map(json.loads, done.stdout.splitlines())
    assert (created["change"], created["name"]) == ("workspace_created", "default")
    assert resolved["target"] == {"decision": "created", "profile": 1}
    assert {each["namespace"] for each in resolved["identifiers"]} == {
        "user_id", "email", "anonymous_id",
    }  # fmt: skip
    parts = ipse("wal", "dump", server.data_dir, "--snapshots", "--json").stdout.splitlines()
    assert any(json.loads(part)["part"] == "identifiers" for part in parts)


def test_the_demo_ends_with_one_profile_that_survived() -> None:
    done = ipse("demo")
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "Recovery took " in done.stdout
    assert "holds all 7 identifiers, before and after the restart." in done.stdout


def test_the_demo_speaks_json_and_keeps_its_files(tmp_path: Path) -> None:
    done = ipse("demo", "--json", "--data-dir", tmp_path / "data")
    said = json.loads(done.stdout)
    assert (done.returncode, said["problem"], said["same_after_restart"]) == (0, "", True)
    assert [each["decision"] for each in said["resolutions"]] == [
        "created", "already_attached", "attached", "attached", "attached",
    ]  # fmt: skip
    assert ipse("wal", "verify", tmp_path / "data").returncode == 0
    again = ipse("demo", "--data-dir", tmp_path / "data")
    assert again.returncode == 0
    assert "an answer given before" in again.stdout


@pytest.mark.parametrize("mode", ["unary", "batch"])
def test_bench_prints_one_object(mode: str) -> None:
    flags = ["--seconds", "0.5", "--warmup", "0.1", "--concurrency", "2", "--batch", "50"]
    done = ipse("bench", "--mode", mode, "--people", "100", *flags)
    figures = json.loads(one_line(done.stdout))
    assert (done.returncode, figures["errors"]) == (0, 0)
    assert figures["events"] > 0
    assert figures["p50_ms"] <= figures["p95_ms"] <= figures["p99_ms"] <= figures["max_ms"]
    assert figures["cpu_seconds_per_1000_events"] is not None


def test_serve_logs_json_lines_and_ends_in_good_order(tmp_path: Path) -> None:
    port_file = tmp_path / "port"
    command = [sys.executable, "-m", "ipse", "serve", "--port", "0", "--log-level", "debug"]
    command += ["--data-dir", str(tmp_path / "data"), "--port-file", str(port_file)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    with running.stderr:
        logged = [
            json.loads(line) for line in iter(running.stderr.readline, "") if stop(line, running)
        ]
    assert running.wait(30) == 0
    events = [line["event"] for line in logged]
    assert {"listening", "serving", "stopped"} <= set(events)
    assert all({"ts", "level", "event"} <= line.keys() for line in logged)
    assert int(port_file.read_text()) > 0


def stop(line: str, running: subprocess.Popen[str]) -> bool:
    """Ends the server as soon as it serves. Always true: every line is wanted."""
    if '"serving"' in line:
        running.send_signal(signal.SIGTERM)
    return True


def test_a_second_server_on_the_same_directory_is_refused(server: ServerProcess) -> None:
    done = ipse("serve", "--port", "0", "--data-dir", server.data_dir)
    assert done.returncode == 74
    assert "is in use by process" in json.loads(done.stderr.splitlines()[-1])["reason"]


def test_a_port_file_that_cannot_be_written_ends_the_server(tmp_path: Path) -> None:
    missing = tmp_path / "not" / "there"
    done = ipse(
        "serve", "--port", "0", "--data-dir", tmp_path / "data", "--port-file", missing,
        environment={"IPSE_LOG_FORMAT": "json"},
    )  # fmt: skip
    assert done.returncode == 74
    assert "Traceback" not in done.stderr
    assert str(missing) in json.loads(done.stderr.splitlines()[-1])["reason"]


def test_a_port_beyond_the_last_is_refused() -> None:
    done = ipse("stats", "--address", "127.0.0.1:99999")
    assert done.returncode == 2
    assert "port 99999 is not from 1 to 65535" in done.stderr


def test_the_server_may_open_as_many_files_as_the_system_allows(server: ServerProcess) -> None:
    assert server.process is not None
    soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    assert soft == hard
