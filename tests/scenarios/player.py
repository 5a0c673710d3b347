"""Plays scenario commands against a live server, crashes and restarts included.

Speaks to the server with the generated stubs, so that what is seen is the wire and not a
client's view of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from typing import Any

import grpc
from ipse.v1 import admin_pb2, event_pb2, identity_pb2

from tests.scenarios import words
from tests.scenarios.clock import Clock
from tests.scenarios.text import Block, Command, value_of
from tests.server_process import ServerProcess
from tests.status import reason_of

_NUMBERS: Iterator[int] = count(1)


class Player:
    """A story under way: its workspace, its profiles' numbers and its clock."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.workspace = ""
        self.profiles: list[str] = []
        self.clock = Clock()

    def play(self, block: Block) -> list[str]:
        """The output of a block's commands."""
        return [line for command in block.commands for line in self._run(command)]

    def _run(self, command: Command) -> list[str]:
        if not self.workspace and command.words[0] != "workspace":
            self._start_workspace("")
        try:
            return self._dispatch(command)
        except grpc.RpcError as error:
            return [f"refused: {reason_of(error)}"]

    def _dispatch(self, command: Command) -> list[str]:
        name, *arguments = command.words
        match name:
            case "workspace":
                output = self._start_workspace(command.text or "")
            case "rules":
                output = self._set_rules(command.text or "", arguments)
            case "observe":
                output = self._observe(arguments)
            case "lookup":
                output = self._lookup(arguments[0])
            case "profile":
                output = self._profile(int(arguments[0]))
            case "sequence":
                output = [str(self._describe().sequence_number)]
            case "checkpoint" | "crash" | "restart":
                self._disturb(name)
                output = []
            case _:
                raise AssertionError(f"line {command.line}: unknown command {name!r}")
        return output

    def _disturb(self, how: str) -> None:
        match how:
            case "checkpoint":
                self.server.admin.Checkpoint(admin_pb2.CheckpointRequest())
            case "crash":
                self.server.kill()
                self.server.start()
            case "restart":
                self.server.stop()
                self.server.start()

    def _start_workspace(self, rules: str) -> list[str]:
        """A new workspace; one that is refused leaves the story in the one before."""
        name = f"story_{next(_NUMBERS)}"
        request = admin_pb2.CreateWorkspaceRequest(name=name, rules_toml=rules)
        created = self.server.admin.CreateWorkspace(request)
        self.workspace = name
        self.profiles = []
        self.clock = Clock()
        return [f"rules version {created.workspace.rules_version}"]

    def _set_rules(self, rules: str, arguments: list[str]) -> list[str]:
        request = admin_pb2.SetRulesRequest(workspace=self.workspace, rules_toml=rules)
        for argument in arguments:
            key, _, value = argument.partition("=")
            assert key == "expected", f"rules: unknown argument {argument!r}"
            request.expected_version = int(value)
        return [f"rules version {self.server.admin.SetRules(request).version}"]

    def _observe(self, arguments: list[str]) -> list[str]:
        event = self._event([each for each in arguments if each != "read_only"])
        read_only = "read_only" in arguments
        answer = self.server.identity.ResolveEvent(
            identity_pb2.ResolveEventRequest(
                workspace=self.workspace, event=event, read_only=read_only
            )
        ).resolution
        if answer.created and not read_only and answer.profile_id not in self.profiles:
            self.profiles.append(answer.profile_id)
        return words.resolution(answer, self._number_of, preview=read_only)

    def _event(self, arguments: list[str]) -> event_pb2.Event:
        event = event_pb2.Event(type="track")
        for argument in arguments:
            if argument.startswith("@"):
                _set_time(event, self.clock.read(argument[1:]))
                continue
            key, separator, value = argument.partition("=")
            assert separator, f"observe: {argument!r} is not NAME=VALUE"
            self._set(event, key, value)
        return event

    def _set(self, event: event_pb2.Event, key: str, value: str) -> None:
        match key:
            case "id":
                event.event_id = value_of(value)
            case "type":
                event.type = value_of(value)
            case "source":
                event.source = value_of(value)
            case "key":
                event.key_namespace = value_of(value)
            case "profile":
                event.profile_id = self._id_of(int(value))
            case _ if key.startswith("trait."):
                _set_trait(event.traits.add(name=key.removeprefix("trait.")), json.loads(value))
            case _:
                event.identifiers.add(namespace=key, value=value_of(value))

    def _lookup(self, argument: str) -> list[str]:
        namespace, _, value = argument.partition("=")
        identifier = event_pb2.Identifier(namespace=namespace, value=value_of(value))
        found = self._get(identity_pb2.ProfileLookup(identifier=identifier))
        return [f"profile {self._number_of(found.profile_id)}"] if found else ["nobody"]

    def _profile(self, number: int) -> list[str]:
        found = self._get(identity_pb2.ProfileLookup(profile_id=self._id_of(number)))
        if found is None:
            return ["nobody"]
        now = self._number_of(found.profile_id)
        head = [] if now == number else [f"absorbed by profile {now}"]
        return head + words.profile(found)

    def _get(self, lookup: identity_pb2.ProfileLookup) -> identity_pb2.Profile | None:
        """The whole profile, read page by page."""
        request = identity_pb2.GetProfileRequest(
            workspace=self.workspace, lookup=lookup, page_size=1_000
        )
        try:
            found: identity_pb2.Profile = self.server.identity.GetProfile(request).profile
        except grpc.RpcError as error:
            if reason_of(error) == "PROFILE_NOT_FOUND":
                return None
            raise
        while found.next_page_token:
            request.page_token = found.next_page_token
            page = self.server.identity.GetProfile(request).profile
            found.identifiers.extend(page.identifiers)
            found.next_page_token = page.next_page_token
        return found

    def _describe(self) -> admin_pb2.Workspace:
        request = admin_pb2.GetWorkspaceRequest(name=self.workspace)
        described: admin_pb2.Workspace = self.server.admin.GetWorkspace(request).workspace
        return described

    def _number_of(self, profile_id: str) -> int:
        """A preview of a new profile names it by no id, or by one not seen yet: the next."""
        if profile_id in self.profiles:
            return self.profiles.index(profile_id) + 1
        return len(self.profiles) + 1

    def _id_of(self, number: int) -> str:
        if number <= len(self.profiles):
            return self.profiles[number - 1]
        return self._foreign_profile_id()

    def _foreign_profile_id(self) -> str:
        """A well-formed id that this workspace never gave out: one of another workspace."""
        event = event_pb2.Event(
            identifiers=[event_pb2.Identifier(namespace="email", value="nobody@example.com")]
        )
        request = identity_pb2.ResolveEventRequest(event=event)
        profile_id: str = self.server.identity.ResolveEvent(request).resolution.profile_id
        return profile_id


def _set_time(event: event_pb2.Event, time: datetime) -> None:
    event.timestamp.FromDatetime(time)


def _set_trait(trait: event_pb2.Trait, value: Any) -> None:
    match value:
        case None:
            pass
        case bool():
            trait.bool_value = value
        case int():
            trait.integer_value = value
        case float():
            trait.number_value = value
        case str():
            trait.string_value = value
        case _:
            trait.json_value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
