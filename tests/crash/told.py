"""What clients were told by a server that may die at any moment, for comparing it afterwards.

Only whole answers are in it. A call that got none may have happened or not.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

from google.protobuf.message import Message
from ipse.v1 import event_pb2, identity_pb2

Pair = tuple[str, str]


def held_by(profile: identity_pb2.Profile) -> frozenset[Pair]:
    """The identifiers that a profile shows."""
    return frozenset((i.identifier.namespace, i.identifier.value) for i in profile.identifiers)


@dataclass(frozen=True)
class EventTold:
    """An event and its answer."""

    event: event_pb2.Event
    answer: identity_pb2.Resolution


@dataclass(frozen=True)
class CommandTold:
    """A command with an operation id, and its answer."""

    method: str
    request: Message
    answer: Message


@dataclass(frozen=True)
class ProfileTold:
    """A profile that a read showed."""

    profile_id: str
    identifiers: frozenset[Pair]


@dataclass
class Told:
    """The record of answers of all clients over one life of the server."""

    events: list[EventTold] = field(default_factory=list)
    commands: list[CommandTold] = field(default_factory=list)
    profiles: list[ProfileTold] = field(default_factory=list)
    newest: dict[str, int] = field(default_factory=dict)
    """The highest sequence number of each workspace that any answer rested on."""
    hashes: dict[tuple[str, int], str] = field(default_factory=dict)
    """The state hash that was told for a workspace and a sequence number."""
    snapshot_position: int = 0
    """Log position of the newest snapshot that was answered for."""
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    callers: int = 0
    """Clients that still get answers."""
    awaited: int = 0

    def add_caller(self) -> None:
        with self.changed:
            self.callers += 1

    def end_caller(self) -> None:
        with self.changed:
            self.callers -= 1
            self.changed.notify_all()

    def add_event(self, told: EventTold) -> None:
        with self.changed:
            self.events.append(told)
            self._count("events", "default", told.answer.sequence_number)

    def add_command(self, workspace: str, told: CommandTold, sequence_number: int) -> None:
        with self.changed:
            self.commands.append(told)
            self._count("commands", workspace, sequence_number)

    def add_profile(self, profile: identity_pb2.Profile) -> None:
        held = held_by(profile)
        with self.changed:
            self.profiles.append(ProfileTold(profile.profile_id, held))
            self._count("reads", "default", 0)

    def add_state(self, workspace: str, sequence_number: int, state_hash: str) -> None:
        with self.changed:
            self._keep_hash(workspace, sequence_number, state_hash)
            self._count("reads", workspace, sequence_number)

    def add_sequence(self, workspace: str, sequence_number: int) -> None:
        with self.changed:
            self._count("reads", workspace, sequence_number)

    def add_snapshot(self, position: int) -> None:
        with self.changed:
            self.snapshot_position = max(self.snapshot_position, position)
            self._count("snapshots", "default", 0)

    def add_refusal(self) -> None:
        with self.changed:
            self._count("refusals", "default", 0)

    def fail(self, failure: str) -> None:
        with self.changed:
            self.failures.append(failure)
            self.changed.notify_all()

    def await_answers(self, count: int, seconds: float) -> bool:
        """Whether there are so many answers, before the last caller or the time is gone."""
        with self.changed:
            self.awaited = count
            self.changed.wait_for(lambda: self._is_awaited() or not self.callers, seconds)
            return self._is_awaited()

    def absorb(self, older: Told) -> None:
        """Takes over what was told in an older life, to be checked with what is here."""
        self.events += older.events
        self.commands += older.commands
        self.profiles += older.profiles
        for (workspace, sequence_number), state_hash in older.hashes.items():
            self._keep_hash(workspace, sequence_number, state_hash)
        self.snapshot_position = max(self.snapshot_position, older.snapshot_position)
        for workspace, newest in older.newest.items():
            self.newest[workspace] = max(self.newest.get(workspace, 0), newest)

    def _keep_hash(self, workspace: str, sequence_number: int, state_hash: str) -> None:
        known = self.hashes.setdefault((workspace, sequence_number), state_hash)
        if known != state_hash:
            self.failures.append(f"{workspace} was two things at {sequence_number}")

    def _is_awaited(self) -> bool:
        return bool(self.failures) or self.counts.total() >= self.awaited

    def _count(self, what: str, workspace: str, sequence_number: int) -> None:
        self.counts[what] += 1
        self.newest[workspace] = max(self.newest.get(workspace, 0), sequence_number)
        if self._is_awaited():
            self.changed.notify_all()
