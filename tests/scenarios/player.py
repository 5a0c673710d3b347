"""Plays scenario commands against a live server, crashes and restarts included.

Speaks to the server with the generated stubs, so that what is seen is the wire and not a
client's view of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

import grpc
from ipse import _native
from ipse.v1 import admin_pb2, event_pb2, identity_pb2

from tests.scenarios import commands, words
from tests.scenarios.clock import Clock
from tests.scenarios.commands import Names
from tests.scenarios.text import Block, Command
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
        # When what is asked about was; None: now.
        self._as_of: identity_pb2.AsOf | None = None

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
                output = self._start_workspace(command.text or _preset(arguments))
            case "rules":
                output = self._set_rules(command.text or _preset(arguments), arguments)
            case "observe":
                output = self._observe(arguments)
            case "login" | "logout" | "link" | "modify" | "merge" | "split":
                output = self._command(name, arguments)
            case "revert" | "deny" | "force":
                output = self._command(name, arguments)
            case "attribute":
                output = self._attribute(arguments)
            case "import":
                output = self._import(arguments)
            case "checkpoint" | "crash" | "restart":
                self._disturb(name)
                output = []
            case _:
                output = self._ask(command)
        return output

    def _ask(self, command: Command) -> list[str]:
        name, *arguments = command.words
        match name:
            case "lookup":
                identifier = commands.identifier(arguments[0])
                output = self._whose(identity_pb2.ProfileLookup(identifier=identifier))
            case "canonical":
                output = self._whose(identity_pb2.ProfileLookup(canonical_id=arguments[0]))
            case "former":
                output = self._whose(identity_pb2.ProfileLookup(former_id=arguments[0]))
            case "owners":
                output = self._owners(arguments[0])
            case "profile":
                output = self._profile(int(arguments[0]))
            case "about":
                output = self._about(int(arguments[0]))
            case "as":
                self._as_of = identity_pb2.AsOf(sequence_number=int(arguments[1]))
                try:
                    output = self._ask(Command(command.line, arguments[2:], None))
                finally:
                    self._as_of = None
            case "sequence":
                output = [str(self._describe().sequence_number)]
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
            if key != "preset":
                assert key == "expected", f"rules: unknown argument {argument!r}"
                request.expected_version = int(value)
        return [f"rules version {self.server.admin.SetRules(request).version}"]

    def _observe(self, arguments: list[str]) -> list[str]:
        read_only = "read_only" in arguments
        event = commands.event(self, [each for each in arguments if each != "read_only"])
        request = identity_pb2.ResolveEventRequest(
            workspace=self.workspace, event=event, read_only=read_only
        )
        answer = self.server.identity.ResolveEvent(request).resolution
        return self._show(answer, read_only=read_only)

    def _command(self, name: str, arguments: list[str]) -> list[str]:
        """A command whose answer is a resolution, and what else it says."""
        verbs: dict[str, tuple[Callable[[Names, list[str]], Any], Callable[[Any], Any]]] = {
            "login": (commands.login, self.server.identity.Login),
            "logout": (commands.logout, self.server.identity.Logout),
            "link": (commands.link, self.server.identity.LinkIdentifiers),
            "modify": (commands.modify, self.server.identity.ModifyIdentifiers),
            "merge": (commands.merge, self.server.identity.MergeProfiles),
            "split": (commands.split, self.server.identity.SplitProfile),
            "revert": (commands.revert, self.server.identity.RevertMerge),
            "deny": (commands.deny, self.server.identity.DenyLink),
            "force": (commands.force, self.server.identity.ForceLink),
        }
        build, call = verbs[name]
        request = build(self, arguments)
        answer = call(request)
        sources = answer.sources if name == "merge" else []
        return self._show(answer.resolution, sources, read_only=request.read_only)

    def _attribute(self, arguments: list[str]) -> list[str]:
        request = commands.attribute(self, arguments)
        answer = self.server.identity.AttributeHistory(request)
        return words.attributed(answer, self._number_of, preview=request.read_only)

    def _import(self, arguments: list[str]) -> list[str]:
        request = commands.bring(self, arguments)
        (result,) = self.server.identity.ImportProfiles(request).results
        if result.WhichOneof("result") == "error":
            return [f"refused: {result.error.reason}"]
        return self._show(result.resolution, read_only=request.read_only)

    def _show(
        self,
        answer: identity_pb2.Resolution,
        sources: Iterable[identity_pb2.SourceVerdict] = (),
        *,
        read_only: bool,
    ) -> list[str]:
        """An answer in words. Profiles that it created get the next numbers first."""
        if not read_only:
            created = [answer.profile_id] if answer.created else []
            for profile_id in [*created, *(move.to_profile_id for move in answer.moves)]:
                if profile_id and profile_id not in self.profiles:
                    self.profiles.append(profile_id)
        return words.resolution(answer, self._number_of, sources, preview=read_only)

    def _whose(self, lookup: identity_pb2.ProfileLookup) -> list[str]:
        found = self._get(lookup)
        return [f"profile {self._number_of(found.profile_id)}"] if found else ["nobody"]

    def _owners(self, argument: str) -> list[str]:
        request = identity_pb2.LookupProfilesRequest(
            workspace=self.workspace,
            identifier=commands.identifier(argument),
            as_of=self._as_of,
        )
        found = self.server.identity.LookupProfiles(request).profiles
        return [f"profile {self._number_of(each.profile_id)}" for each in found] or ["nobody"]

    def _about(self, number: int) -> list[str]:
        found = self._get(identity_pb2.ProfileLookup(profile_id=self.id_of(number)))
        return words.about(found, self._number_of) if found else ["nobody"]

    def _profile(self, number: int) -> list[str]:
        found = self._get(identity_pb2.ProfileLookup(profile_id=self.id_of(number)))
        if found is None:
            return ["nobody"]
        now = self._number_of(found.profile_id)
        head = [] if now == number else [f"absorbed by profile {now}"]
        return head + words.profile(found)

    def _get(self, lookup: identity_pb2.ProfileLookup) -> identity_pb2.Profile | None:
        """The whole profile, read page by page."""
        request = identity_pb2.GetProfileRequest(
            workspace=self.workspace, lookup=lookup, page_size=1_000, as_of=self._as_of
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

    def id_of(self, number: int) -> str:
        """The id of the profile with this number."""
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


def _preset(arguments: list[str]) -> str:
    """The text of `preset=NAME`; none is left to the server."""
    names = [each.partition("=")[2] for each in arguments if each.startswith("preset=")]
    if not names:
        return ""
    text = _native.preset(names[0])
    assert text is not None, f"there is no preset {names[0]!r}"
    return text
