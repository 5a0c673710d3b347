"""Erasing someone through every surface, and what the files hold afterwards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import ipse
import pytest
from ipse import Decision, Event, Resolver, Rule
from ipse._sync import SyncCalls

from tests.cli.command import ipse as command
from tests.server_process import TRANSPORTS, ServerProcess

SECRET = b"secret"
"""In every value that is Ann's alone."""


def _ann(number: int) -> Event:
    return Event(
        event_id=f"ann-secret-{number}",
        identifiers=[("user_id", "ann-secret"), ("email", f"ann.secret{number}@example.com")],
        traits={"name": "Ann Secret", "address": {"street": "Secret street"}},
    )


def _bob(number: int) -> Event:
    return Event(
        event_id=f"bob-{number}",
        identifiers=[("user_id", "bob"), ("email", f"bob{number}@example.com")],
        traits={"name": "Bob"},
    )


def _names(data_dir: Path) -> list[str]:
    """The files that still name Ann."""
    return [path.name for path in data_dir.iterdir() if SECRET in path.read_bytes().lower()]


@pytest.fixture(params=["resolver", *TRANSPORTS])
def calls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SyncCalls]:
    if request.param == "resolver":
        with Resolver(tmp_path / "data") as resolver:
            yield resolver
    else:
        with (
            ServerProcess(tmp_path / "data", transport=request.param) as server,
            ipse.Client(server.address) as client,
        ):
            yield client


def test_a_deleted_profile_answers_erased_and_no_file_names_it(
    calls: SyncCalls, tmp_path: Path
) -> None:
    ann = [calls.resolve(_ann(number)) for number in range(1, 4)][-1]
    bob = calls.resolve(_bob(1))
    planned = calls.delete_profile(("user_id", "ann-secret"), read_only=True)
    assert (planned.erasure, planned.identifier_count, planned.completed) == (0, 4, False)
    receipt = calls.delete_profile(("user_id", "ann-secret"), operation_id="ticket 1")
    assert (receipt.profile_count, receipt.identifier_count, receipt.trait_count) == (1, 4, 2)
    with pytest.raises(ipse.NotFound) as refused:
        calls.get_profile(ann.profile_id)
    assert refused.value.reason == "ERASED"
    with pytest.raises(ipse.NotFound) as refused:
        calls.get_profile(identifier=("user_id", "ann-secret"))
    assert refused.value.reason == "PROFILE_NOT_FOUND"
    with pytest.raises(ipse.NotFound) as refused:
        calls.resolve(Event(identifiers=[("user_id", "x")], profile_id=ann.profile_id))
    assert refused.value.reason == "ERASED"
    calls.checkpoint()
    again = calls.delete_profile(("user_id", "ann-secret"), operation_id="ticket 1")
    assert again.repeated
    assert again.completed
    assert again.erasure == receipt.erasure
    assert again.segment_count >= 1
    assert again.record_count >= 3
    assert _names(tmp_path / "data") == []
    assert calls.get_profile(bob.profile_id).traits == {"name": "Bob"}
    # Whoever comes again is somebody new.
    anew = calls.resolve(Event(identifiers=[("user_id", "ann-secret")]))
    assert anew.created
    assert anew.profile_id != ann.profile_id


def test_what_is_suppressed_stays_away(calls: SyncCalls, tmp_path: Path) -> None:
    calls.resolve(_ann(1))
    bob = calls.resolve(_bob(1))
    calls.delete_profile(("user_id", "ann-secret"), suppress=True)
    calls.checkpoint()
    answer = calls.resolve(_ann(1))
    assert answer.decision == Decision.UNRESOLVED
    assert {verdict.rule for verdict in answer.verdicts} == {Rule.SUPPRESSED}
    assert [verdict.identifier.value for verdict in answer.verdicts] == ["", ""]
    mixed = calls.resolve(
        Event(identifiers=[("user_id", "bob"), ("email", "ann.secret1@example.com")])
    )
    assert mixed.profile_id == bob.profile_id
    calls.checkpoint()
    assert _names(tmp_path / "data") == []


def test_a_forgotten_identifier_leaves_everyone(calls: SyncCalls, tmp_path: Path) -> None:
    event = Event(identifiers=[("user_id", "bob"), ("email", "secret@example.com")])
    bob = calls.resolve(event)
    receipt = calls.forget_identifier(("email", "secret@example.com"))
    assert (receipt.profile_count, receipt.identifier_count) == (0, 1)
    held = calls.get_profile(bob.profile_id).identifiers
    assert [each.identifier.namespace for each in held] == ["user_id"]
    calls.checkpoint()
    assert _names(tmp_path / "data") == []
    with pytest.raises(ipse.InvalidArgument):
        calls.forget_identifier(("email", ""))


def test_an_export_holds_everything_and_of_others_nothing(calls: SyncCalls) -> None:
    ann = calls.resolve(_ann(1))
    calls.resolve(_bob(1))
    # Bob's event names Ann's e-mail address.
    calls.resolve(
        Event(
            identifiers=[("user_id", "bob"), ("email", "ann.secret1@example.com")],
            traits={"plan": "gold"},
        )
    )
    lines = [json.loads(line) for line in calls.export_person(ann.profile_id)]
    kinds = [line["kind"] for line in lines]
    assert kinds[0] == "profile"
    assert {"identifier", "trait", "link", "event_id", "record"} <= set(kinds)
    values = {line["value"] for line in lines if line["kind"] == "identifier"}
    assert values == {"ann-secret", "ann.secret1@example.com"}
    (own, *others) = [line for line in lines if line["kind"] == "record"]
    assert own["event_id"] == "ann-secret-1"
    assert own["traits"]["name"] == "Ann Secret"
    assert "bob" not in json.dumps(others)
    assert "gold" not in json.dumps(others)
    with pytest.raises(ipse.NotFound):
        list(calls.export_person("ip_0000000000000"))


def test_the_asyncio_client_and_the_command_line_erase(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with ServerProcess(data_dir) as server:
        asyncio.run(_erase_bob(server.address))
        with ipse.Client(server.address) as client:
            client.resolve(_ann(1))
        address = ("--address", server.address)
        exported = tmp_path / "ann.jsonl"
        done = command(
            "person", "export", "user_id=ann-secret", "--output", str(exported), *address
        )
        assert done.returncode == 0
        assert json.loads(exported.read_text().splitlines()[0])["kind"] == "profile"
        forgotten = command("person", "forget", "email=ann.secret1@example.com", "--json", *address)
        assert json.loads(forgotten.stdout)["identifier_count"] == 1
        deleted = command("person", "delete", "user_id=ann-secret", "--now", *address)
        assert "followed: " in deleted.stdout
        assert _names(data_dir) == []
        gone = command("person", "delete", "user_id=ann-secret", *address)
        assert gone.returncode == 1
    verified = command("wal", "verify", str(data_dir))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    dumped = command("wal", "dump", str(data_dir))
    assert dumped.returncode == 0, dumped.stderr
    assert "erasure_completed" in dumped.stdout
    assert "secret" not in dumped.stdout.lower()


def test_a_deleted_workspace_is_gone_and_its_name_is_free(calls: SyncCalls, tmp_path: Path) -> None:
    rules = "# a secret rule\n" + calls.get_rules().toml
    calls.create_workspace("secret-shop", rules_toml=rules)
    ann = calls.resolve(_ann(1), workspace="secret-shop")
    calls.resolve(_bob(1))
    calls.checkpoint()
    calls.resolve(_ann(2), workspace="secret-shop")
    planned = calls.delete_workspace("secret-shop", read_only=True, operation_id="ticket 3")
    assert (planned.erasure, planned.profile_count, planned.identifier_count) == (0, 1, 3)
    receipt = calls.delete_workspace("secret-shop", operation_id="ticket 3")
    assert (receipt.profile_count, receipt.identifier_count, receipt.repeated) == (1, 3, False)
    assert [info.name for info in calls.list_workspaces()] == ["default"]
    assert [info.name for info in calls.stats().workspaces] == ["default"]
    for call in (
        lambda: calls.resolve(_ann(1), workspace="secret-shop"),
        lambda: calls.get_profile(ann.profile_id, workspace="secret-shop"),
        lambda: calls.delete_workspace("secret-shop"),
    ):
        with pytest.raises(ipse.NotFound) as refused:
            call()
        assert refused.value.reason == "WORKSPACE_NOT_FOUND"
    calls.checkpoint()
    assert _names(tmp_path / "data") == []
    again = calls.delete_workspace("secret-shop", operation_id="ticket 3")
    assert (again.repeated, again.completed) == (True, True)
    assert again.record_count == 3

    anew = calls.create_workspace("secret-shop")
    assert (anew.sequence_number, anew.profile_count) == (1, 0)
    assert calls.resolve(_ann(1), workspace="secret-shop").created
    assert calls.get_workspace("secret-shop").sequence_number == 2
    with pytest.raises(ipse.NotFound) as refused:
        calls.get_profile(ann.profile_id, workspace="secret-shop")
    assert refused.value.reason == "PROFILE_NOT_FOUND"


def test_the_command_line_and_the_asyncio_client_delete_a_workspace(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with ServerProcess(data_dir) as server:
        with ipse.Client(server.address) as client:
            client.create_workspace("secret-shop")
            client.resolve(_ann(1), workspace="secret-shop")
        words = ("workspace", "delete", "secret-shop", "--address", server.address)
        unmeant = command(*words)
        assert unmeant.returncode == 1
        assert "--confirm secret-shop" in unmeant.stderr
        assert "profiles     1\n" in command(*words, "--read-only").stdout
        done = command(*words, "--confirm", "secret-shop", "--now")
        assert "followed: 2 records" in done.stdout, done.stdout + done.stderr
        assert _names(data_dir) == []
        listed = command("workspace", "list", "--address", server.address)
        assert listed.stdout.splitlines()[2:] == ["default    0         0            1"]
        asyncio.run(_delete_default(server.address))
        server.stop()
        server.start()
        with ipse.Client(server.address) as client:
            assert client.get_workspace("default").sequence_number == 1
    for verify in (["wal", "verify"], ["verify"]):
        verified = command(*verify, str(data_dir))
        assert verified.returncode == 0, verified.stdout + verified.stderr
    dumped = command("wal", "dump", str(data_dir))
    assert "workspace_deleted" in dumped.stdout
    assert "secret" not in dumped.stdout.lower()


async def _delete_default(address: str) -> None:
    async with ipse.aio.Client(address) as client:
        assert (await client.delete_workspace("default")).erasure


async def _erase_bob(address: str) -> None:
    async with ipse.aio.Client(address) as client:
        bob = await client.resolve(_bob(1))
        lines = [line async for line in client.export_person(bob.profile_id)]
        assert len(lines) > 3
        assert (await client.forget_identifier(("email", "bob1@example.com"))).erasure
        assert (await client.delete_profile(bob.profile_id)).profile_count == 1


@pytest.mark.parametrize("events", range(1, 4))
def test_an_erasure_survives_a_kill_and_the_files_follow(tmp_path: Path, events: int) -> None:
    data_dir = tmp_path / "data"
    server = ServerProcess(data_dir)
    server.start()
    with ipse.Client(server.address) as client:
        for number in range(events):
            client.resolve(_ann(number))
        ann = client.resolve(_ann(events))
        client.checkpoint()
        client.delete_profile(ann.profile_id, operation_id="ticket 1")
    server.kill()
    server.start()
    with ipse.Client(server.address) as client:
        with pytest.raises(ipse.NotFound):
            client.get_profile(ann.profile_id)
        client.checkpoint()
        assert client.delete_profile(ann.profile_id, operation_id="ticket 1").completed
        assert _names(data_dir) == []
    server.close()
