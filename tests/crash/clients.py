"""Clients that call a server until it is gone, and write down what they were told."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import Message
from ipse.v1 import admin_pb2, admin_pb2_grpc, event_pb2, identity_pb2, identity_pb2_grpc

from tests.batches import batches_of
from tests.crash import story
from tests.crash.told import CommandTold, EventTold, Told
from tests.server_process import OWN_CONNECTION, ServerProcess

CALL_SECONDS_MAX = 30
COMMANDS_WORKSPACE = "commands"
_PEOPLE = 40
_EVENTS_MAX = 1_000_000
# What a caller is told when its request met a state that it does not fit, or a server that ends.
_REFUSED = {
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.ALREADY_EXISTS,
}

# A server that ends cancels what it cannot answer in time.
_GONE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


class Client(threading.Thread):
    """One connection of its own, which stays open while the server dies."""

    def __init__(self, address: str, told: Told, name: str, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.channel = grpc.insecure_channel(address, options=OWN_CONNECTION)
        self.identity = identity_pb2_grpc.IdentityServiceStub(self.channel)
        self.admin = admin_pb2_grpc.AdminServiceStub(self.channel)
        self.told = told
        self.chance = random.Random(f"{seed}-{name}")
        told.add_caller()

    def run(self) -> None:
        try:
            while True:
                self._turn()
        except grpc.RpcError as error:
            if error.code() not in _GONE:
                self.told.fail(f"{self.name}: {error.code()}: {error.details()}")
        except StopIteration:
            self.told.fail(f"{self.name} has no more events")
        finally:
            self.told.end_caller()
            self.channel.close()

    def _turn(self) -> None:
        raise NotImplementedError

    def _unless_refused(self, call: Callable[[], None]) -> None:
        try:
            call()
        except grpc.RpcError as error:
            if error.code() not in _REFUSED:
                raise
            self.told.add_refusal()


class Sender(Client):
    """Sends events of the story, one by one or in batches."""

    def __init__(self, address: str, told: Told, name: str, seed: int, batch_events: int) -> None:
        super().__init__(address, told, name, seed)
        events = story.raw_events(self.chance.getrandbits(32), _EVENTS_MAX, name)
        messages = (event_pb2.Event(raw_json=json.dumps(event).encode()) for event in events)
        self.batches = batches_of(messages, batch_events)

    def _turn(self) -> None:
        events = next(self.batches)
        if len(events) == 1:
            single = identity_pb2.ResolveEventRequest(event=events[0])
            answer = self.identity.ResolveEvent(single, timeout=CALL_SECONDS_MAX)
            self.told.add_event(EventTold(events[0], answer.resolution))
            return
        batch = identity_pb2.ResolveEventsRequest(events=events)
        answers = self.identity.ResolveEvents(batch, timeout=CALL_SECONDS_MAX)
        for event, result in zip(events, answers.results, strict=True):
            if result.HasField("resolution"):
                self.told.add_event(EventTold(event, result.resolution))


class Commander(Client):
    """Links, modifies, splits and merges people in a workspace of its own kind."""

    number = 0

    def _turn(self) -> None:
        self.number += 1
        self._unless_refused(lambda: self._send(*self._command()))

    def _send(self, method: str, request: Any) -> None:
        answer = getattr(self.identity, method)(request, timeout=CALL_SECONDS_MAX)
        told = CommandTold(method, request, answer)
        self.told.add_command(COMMANDS_WORKSPACE, told, answer.resolution.sequence_number)

    def _command(self) -> tuple[str, Message]:
        operation_id = f"{self.name}-{self.number}"
        one, other = self._user(), self._user()
        match self.chance.randrange(4):
            case 0:
                event = event_pb2.Event(event_id=operation_id, identifiers=[one])
                return "LinkIdentifiers", identity_pb2.LinkIdentifiersRequest(
                    workspace=COMMANDS_WORKSPACE, event=event, sources=[self._device()]
                )
            case 1:
                return "ModifyIdentifiers", identity_pb2.ModifyIdentifiersRequest(
                    profile=identity_pb2.ProfileLookup(identifier=one),
                    changes=[self._change()],
                    workspace=COMMANDS_WORKSPACE,
                    operation_id=operation_id,
                )
            case 2:
                return "SplitProfile", identity_pb2.SplitProfileRequest(
                    profile=identity_pb2.ProfileLookup(identifier=one),
                    identifiers=[self._device()],
                    workspace=COMMANDS_WORKSPACE,
                    operation_id=operation_id,
                )
            case _:
                return "MergeProfiles", identity_pb2.MergeProfilesRequest(
                    target=identity_pb2.ProfileLookup(identifier=one),
                    sources=[identity_pb2.ProfileLookup(identifier=other)],
                    force=True,
                    workspace=COMMANDS_WORKSPACE,
                    operation_id=operation_id,
                )

    def _user(self) -> event_pb2.Identifier:
        return _identifier("user_id", f"user-{self.chance.randrange(_PEOPLE)}")

    def _device(self) -> event_pb2.Identifier:
        return _identifier("anonymous_id", f"browser-{self.chance.randrange(4 * _PEOPLE)}")

    def _change(self) -> identity_pb2.IdentifierChange:
        value = f"{self.name}-{self.number}@example.com"
        return identity_pb2.IdentifierChange(namespace="email", new_value=value)


class Reader(Client):
    """Reads what the others write, as soon as it is there."""

    def _turn(self) -> None:
        match self.chance.randrange(4):
            case 0:
                self._read_state("default")
            case 1:
                self._read_state(COMMANDS_WORKSPACE)
            case 2:
                self._unless_refused(self._read_profile)
            case _:
                self._look_up()

    def _read_state(self, workspace: str) -> None:
        request = admin_pb2.GetWorkspaceRequest(name=workspace)
        found = self.admin.GetWorkspace(request, timeout=CALL_SECONDS_MAX).workspace
        self.told.add_state(workspace, found.sequence_number, found.state_hash)

    def _read_profile(self) -> None:
        found = identity_pb2.ProfileLookup(identifier=self._identifier())
        request = identity_pb2.GetProfileRequest(lookup=found, page_size=1_000)
        self.told.add_profile(self.identity.GetProfile(request, timeout=CALL_SECONDS_MAX).profile)

    def _look_up(self) -> None:
        request = identity_pb2.LookupProfilesRequest(identifier=self._identifier(), page_size=1_000)
        answer = self.identity.LookupProfiles(request, timeout=CALL_SECONDS_MAX)
        self.told.add_sequence("default", answer.sequence_number)
        for profile in answer.profiles:
            self.told.add_profile(profile)

    def _identifier(self) -> event_pb2.Identifier:
        person = self.chance.randrange(_PEOPLE)
        if self.chance.random() < 0.5:
            return _identifier("user_id", f"user-{person}")
        return _identifier("anonymous_id", f"browser-{person}-{self.chance.randrange(4)}")


class Snapshotter(Client):
    """Asks for snapshots, one after the other."""

    def _turn(self) -> None:
        made = self.admin.Checkpoint(admin_pb2.CheckpointRequest(), timeout=CALL_SECONDS_MAX)
        self.told.add_snapshot(made.log_position)


def prepare(server: ServerProcess) -> None:
    """Makes what clients need of a new server."""
    server.admin.CreateWorkspace(admin_pb2.CreateWorkspaceRequest(name=COMMANDS_WORKSPACE))


def start(address: str, told: Told, name: str, seed: int, count: int) -> list[Client]:
    """So many clients of all kinds, and one that asks for snapshots in every second cycle."""
    clients: list[Client] = []
    for number in range(count):
        named = f"{name}-{number}"
        match number % 4:
            case 0:
                clients.append(Sender(address, told, named, seed, batch_events=1))
            case 1:
                clients.append(Reader(address, told, named, seed))
            case 2:
                clients.append(Commander(address, told, named, seed))
            case _:
                clients.append(Sender(address, told, named, seed, batch_events=20))
    for client in clients:
        client.start()
    return clients


def join(running: list[Client]) -> None:
    """Waits for clients whose server is gone; each must notice."""
    for client in running:
        client.join(CALL_SECONDS_MAX)
        assert not client.is_alive(), f"{client.name} hangs"


def _identifier(namespace: str, value: str) -> event_pb2.Identifier:
    return event_pb2.Identifier(namespace=namespace, value=value)
