"""Clients send events at full speed and the server is killed: what was acknowledged is there.

Each cycle kills the server after a random number of acknowledgements, in whatever it is
doing, starts it again and compares every answer that any client ever got with what the
server says now. Events without an answer may or may not have happened.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from ipse.v1 import admin_pb2, event_pb2, identity_pb2, identity_pb2_grpc

from tests.batches import batches_of
from tests.crash import story
from tests.seeds import announce
from tests.server_process import ServerProcess

_SEED = 12
_CYCLES = 5
_BATCH_EVENTS = 20
_ACKNOWLEDGED_MIN, _ACKNOWLEDGED_MAX = 100, 1_500
_CALL_SECONDS_MAX = 30

Acknowledged = tuple[event_pb2.Event, identity_pb2.Resolution]


@dataclass
class Book:
    """What clients were told."""

    entries: list[Acknowledged] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    failures: list[str] = field(default_factory=list)

    def add(self, entries: list[Acknowledged]) -> None:
        with self.changed:
            self.entries.extend(entries)
            self.changed.notify_all()

    def fail(self, failure: str) -> None:
        with self.changed:
            self.failures.append(failure)
            self.changed.notify_all()

    def await_entries(self, count: int) -> None:
        with self.changed:
            reached = self.changed.wait_for(
                lambda: self.failures or len(self.entries) >= count, timeout=_CALL_SECONDS_MAX
            )
        assert reached, f"{len(self.entries)} of {count} events were acknowledged in time"


class Sender(threading.Thread):
    """Sends its events until the server is gone."""

    def __init__(self, server: ServerProcess, book: Book, name: str, batch_events: int) -> None:
        super().__init__(name=name, daemon=True)
        # A connection of its own, which stays open while the server dies.
        self.channel = grpc.insecure_channel(server.address)
        self.identity = identity_pb2_grpc.IdentityServiceStub(self.channel)
        self.book = book
        self.batch_events = batch_events

    def run(self) -> None:
        seed = f"{_SEED}-{self.name}"
        events = story.raw_events(random.Random(seed).getrandbits(32), 1_000_000, self.name)
        messages = (event_pb2.Event(raw_json=json.dumps(event).encode()) for event in events)
        try:
            for some in batches_of(messages, self.batch_events):
                self.book.add(self._send(some))
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                self.book.fail(f"{self.name}: {error.code()}: {error.details()}")
        finally:
            self.channel.close()

    def _send(self, events: list[event_pb2.Event]) -> list[Acknowledged]:
        if len(events) == 1:
            single = identity_pb2.ResolveEventRequest(event=events[0])
            answer = self.identity.ResolveEvent(single, timeout=_CALL_SECONDS_MAX)
            return [(events[0], answer.resolution)]
        batch = identity_pb2.ResolveEventsRequest(events=events)
        answers = self.identity.ResolveEvents(batch, timeout=_CALL_SECONDS_MAX)
        return [
            (event, result.resolution)
            for event, result in zip(events, answers.results, strict=True)
            if result.HasField("resolution")
        ]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    # Small segments and snapshots often: a kill is to meet their changes too.
    flags = ["--sync", "always", "--segment-size-bytes", "65536", "--snapshot-log-bytes", "131072"]
    with ServerProcess(tmp_path / "data", flags) as server:
        yield server


def test_what_was_acknowledged_is_there_after_a_kill(server: ServerProcess) -> None:
    announce(f"seed {_SEED}")
    chance = random.Random(_SEED)
    book = Book()
    for cycle in range(_CYCLES):
        target = len(book.entries) + chance.randint(_ACKNOWLEDGED_MIN, _ACKNOWLEDGED_MAX)
        senders = [
            Sender(server, book, f"cycle-{cycle}-sender-{number}", batch_events)
            for number, batch_events in enumerate((1, 1, _BATCH_EVENTS, _BATCH_EVENTS))
        ]
        for sender in senders:
            sender.start()
        book.await_entries(target)
        server.kill()
        for sender in senders:
            sender.join(_CALL_SECONDS_MAX)
        assert book.failures == []
        server.start()
        _check_verdicts(server, book.entries)
        _check_profiles(server, book.entries)
        _check_sequence(server, book.entries)
    hash_before = _describe(server).state_hash
    server.stop()
    server.start()
    assert _describe(server).state_hash == hash_before
    _check_verdicts(server, book.entries)


def _check_verdicts(server: ServerProcess, entries: list[Acknowledged]) -> None:
    """The same event gets the recorded answer. Asked as a preview, which writes nothing."""
    recorded = [(event, answer) for event, answer in entries if answer.recorded]
    assert recorded, "no acknowledged event wrote a record: nothing was tested"
    for some in batches_of(recorded, 1_000):
        request = identity_pb2.ResolveEventsRequest(events=[e for e, _ in some], read_only=True)
        for (event, before), result in zip(
            some, server.identity.ResolveEvents(request).results, strict=True
        ):
            now = result.resolution
            assert now.repeated, f"{event} is forgotten: {result}"
            assert now.profile_id == before.profile_id
            assert now.decision == before.decision
            assert now.sequence_number == before.sequence_number
            assert [_told(v) for v in now.verdicts] == [_told(v) for v in before.verdicts]


def _told(verdict: identity_pb2.IdentifierVerdict) -> tuple[str, str, int, int]:
    """What does not change when profiles merge later."""
    identifier = verdict.identifier
    return (identifier.namespace, identifier.value, verdict.verdict, verdict.rule)


def _check_profiles(server: ServerProcess, entries: list[Acknowledged]) -> None:
    """An id that a client saw answers, with the identifiers that the client was told it had."""
    told: dict[str, set[tuple[str, str]]] = {}
    for _, answer in entries:
        for profile_id in filter(None, [answer.profile_id, *answer.absorbed_profile_ids]):
            told.setdefault(profile_id, set())
        told.get(answer.profile_id, set()).update(
            (verdict.identifier.namespace, verdict.identifier.value)
            for verdict in answer.verdicts
            if verdict.verdict
            in (identity_pb2.VERDICT_ATTACHED, identity_pb2.VERDICT_ALREADY_ATTACHED)
        )
    for some in batches_of(sorted(told), 1_000):
        request = identity_pb2.BatchGetProfilesRequest(page_size=1_000)
        for profile_id in some:
            request.lookups.add(profile_id=profile_id)
        results = server.identity.BatchGetProfiles(request).results
        for profile_id, result in zip(some, results, strict=True):
            assert result.HasField("profile"), f"{profile_id} is lost: {result.error}"
            held = {
                (each.identifier.namespace, each.identifier.value)
                for each in result.profile.identifiers
            }
            assert told[profile_id] <= held, f"{profile_id} lost {told[profile_id] - held}"


def _check_sequence(server: ServerProcess, entries: list[Acknowledged]) -> None:
    newest = max(answer.sequence_number for _, answer in entries)
    assert _describe(server).sequence_number >= newest


def _describe(server: ServerProcess) -> admin_pb2.Workspace:
    described: admin_pb2.Workspace = server.admin.GetWorkspace(
        admin_pb2.GetWorkspaceRequest()
    ).workspace
    return described
