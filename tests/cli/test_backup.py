"""Backups by the command line: made while serving, restored as of a moment, verified."""

from __future__ import annotations

import json
from pathlib import Path

import ipse as library
import pytest
from ipse import Event, Identifier
from ipse.v1 import admin_pb2

from tests.cli.command import ipse, one_line
from tests.server_process import ServerProcess


def resolve(client: library.Client, first: int, count: int) -> None:
    for number in range(first, first + count):
        client.resolve(Event(identifiers={"user_id": f"u-{number}"}, traits={"n": number}))


def state_of(data_dir: Path) -> tuple[int, str]:
    with library.Resolver(data_dir) as resolver:
        workspace = resolver.stats().workspaces[0]
        return workspace.sequence_number, workspace.state_hash


def test_a_backup_made_while_serving_is_restored_and_verified(
    server: ServerProcess, tmp_path: Path
) -> None:
    backup, restored = tmp_path / "backup", tmp_path / "restored"
    with library.Client(server.address) as client:
        resolve(client, 0, 20)
        then = client.stats().workspaces[0]
        made = ipse("backup", backup, "--label", "monday", "--address", server.address)
        assert made.returncode == 0, made.stderr
        assert "log positions 0 to 21: " in made.stdout
        resolve(client, 20, 20)
    assert 'position=21 label="monday"' in (tmp_path / "data" / "BACKUPS").read_text()

    verified = ipse("verify", backup, "--json")
    found = json.loads(verified.stdout)
    assert (found["sound"], found["is_backup"], found["log_position"]) == (True, True, 21)
    done = ipse("restore", backup, restored)
    assert done.returncode == 0, done.stderr
    assert "restored as of log position 21" in done.stdout
    assert "its log is a new one" in done.stdout
    assert ipse("verify", restored).returncode == 0
    assert state_of(restored) == (then.sequence_number, then.state_hash)


def test_it_goes_on_to_a_moment_in_the_log_of_the_directory(
    server: ServerProcess, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    with library.Client(server.address) as client:
        resolve(client, 0, 5)
        client.backup(backup)
        resolve(client, 5, 5)
        then = client.stats().workspaces[0]
        resolve(client, 10, 5)
    refused = ipse("restore", backup, tmp_path / "a", "--log", server.data_dir)
    assert "is in use by process" in one_line(refused.stderr)
    server.stop()
    for name, moment in (
        ("position", ["--to-position", str(then.sequence_number)]),
        ("sequence", ["--to-sequence", f"default={then.sequence_number}"]),
    ):
        to = tmp_path / name
        done = ipse("restore", backup, to, "--log", server.data_dir, *moment)
        assert done.returncode == 0, done.stderr
        assert state_of(to) == (then.sequence_number, then.state_hash)
    everything = ipse("restore", backup, tmp_path / "all", "--log", server.data_dir, "--json")
    assert json.loads(everything.stdout)["new_log"] is False
    early = ipse("restore", backup, tmp_path / "early", "--to-time", "2001-01-01")
    assert "restored as of log position 0" in early.stdout
    late = ipse("restore", backup, tmp_path / "late", "--to-position", "7")
    assert "there is no log position 7: the log ends at 6" in one_line(late.stderr)
    assert not (tmp_path / "late").exists()


def test_whom_was_erased_since_is_not_brought_back(server: ServerProcess, tmp_path: Path) -> None:
    backup, data = tmp_path / "backup", server.data_dir
    ann = {"user_id": "u-secret", "email": "secret@example.com"}
    with library.Client(server.address) as client:
        resolve(client, 0, 3)
        client.resolve(Event(identifiers=ann, traits={"name": "a secret"}))
        client.backup(backup)
        resolve(client, 3, 3)
        erased = ipse(
            *("person", "delete", "user_id=u-secret", "--now", "--suppress"),
            *("--operation-id", "ticket-7", "--address", server.address),
        )
        assert erased.returncode == 0, erased.stderr
        resolve(client, 6, 1)
    server.stop()
    assert not names_anyone(data)
    assert names_anyone(backup)

    ways: dict[str, list[str | Path]] = {
        "log": ["--log", data],
        "moment": ["--log", data, "--to-position", "7"],
        "register": ["--erasures", data],
    }
    for name, words in ways.items():
        to = tmp_path / name
        done = ipse("restore", backup, to, *words)
        assert done.returncode == 0, done.stderr
        assert ("erased again" in done.stdout) == (name != "log"), done.stdout
        assert not names_anyone(to), name
        assert ipse("verify", to).returncode == 0
        assert ipse("wal", "verify", to).returncode == 0
        with library.Resolver(to) as resolver:
            again = resolver.resolve(Event(identifiers=ann))
            assert not again.profile_id
            receipt = resolver.delete_profile(
                Identifier("user_id", "u-secret"), suppress=True, operation_id="ticket-7"
            )
            assert receipt.completed
        assert not names_anyone(to), name

    alone = ipse("restore", backup, tmp_path / "alone")
    assert "`--log`, or with `--erasures`" in alone.stdout
    assert names_anyone(tmp_path / "alone")


def names_anyone(directory: Path) -> bool:
    return any(b"secret" in file.read_bytes().lower() for file in directory.iterdir())


def test_a_backup_of_a_directory_that_no_server_uses(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with library.Resolver(data) as resolver:
        resolver.resolve(Event(identifiers={"user_id": "u-1"}))
    made = ipse("backup", tmp_path / "backup", "--data-dir", data, "--history", "--json")
    assert json.loads(made.stdout)["first_log_position"] == 0
    assert ipse("verify", tmp_path / "backup").returncode == 0
    again = ipse("backup", tmp_path / "backup", "--data-dir", data)
    assert "is not empty" in one_line(again.stderr)
    nothing = ipse("backup", tmp_path / "other", "--data-dir", tmp_path / "nowhere")
    assert "is not a data directory" in one_line(nothing.stderr)


def test_damage_is_named_and_a_server_does_not_start_from_a_backup(tmp_path: Path) -> None:
    with library.Resolver(tmp_path / "data") as resolver:
        resolver.resolve(Event(identifiers={"user_id": "u-1"}))
        resolver.backup(tmp_path / "backup")
    with pytest.raises(Exception, match="ipse restore"):
        library.Resolver(tmp_path / "backup")
    snapshot = next((tmp_path / "backup").glob("*.snap"))
    content = bytearray(snapshot.read_bytes())
    content[100] ^= 1
    snapshot.write_bytes(content)
    for command in (["verify"], ["restore"]):
        to = [tmp_path / "restored"] if command == ["restore"] else []
        done = ipse(*command, tmp_path / "backup", *to)
        assert done.returncode == 1
        assert f"{snapshot} is corrupt at byte 0: its SHA-256" in one_line(done.stderr)
    said = json.loads(ipse("verify", tmp_path / "backup", "--json").stdout)
    assert said["sound"] is False
    assert snapshot.name in said["problem"]


def test_a_place_that_cannot_be_is_refused_by_the_server(server: ServerProcess) -> None:
    with library.Client(server.address) as client:
        for directory, problem in (
            ("somewhere", "not an absolute path"),
            (server.data_dir / "backup", "in the data directory"),
        ):
            with pytest.raises(library.InvalidArgument, match=problem):
                client.backup(directory)
        with pytest.raises(library.InvalidArgument, match="a label is"):
            client.backup(server.data_dir.with_name("b"), label="two\nlines")
    workspaces = server.admin.ListWorkspaces(admin_pb2.ListWorkspacesRequest()).workspaces
    assert [workspace.name for workspace in workspaces] == ["default"]


@pytest.mark.parametrize(
    "words",
    [
        ["restore", "a", "b", "--to-sequence", "default"],
        ["restore", "a", "b", "--to-time", "yesterday"],
        ["restore", "a", "b", "--to-position", "1", "--to-time", "2026-01-01"],
    ],
)
def test_a_moment_that_is_none_is_wrong_usage(words: list[str]) -> None:
    assert ipse(*words).returncode == 2
