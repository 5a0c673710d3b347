"""Whether what clients were told is still true, asked of the server in its next life.

Each check ends with the first thing that is not, which is data loss or worse. None writes.
"""

from __future__ import annotations

import random

from ipse.v1 import admin_pb2, identity_pb2

from tests.batches import batches_of
from tests.crash.told import CommandTold, EventTold, Pair, Told, held_by
from tests.server_process import ServerProcess


def check(server: ServerProcess, told: Told) -> None:
    """Everything that was told, in one life or in many."""
    assert told.failures == [], told.failures
    check_states(server, told)
    check_events(server, told.events)
    check_commands(server, told.commands)
    check_profiles(server, told)


def check_states(server: ServerProcess, told: Told) -> None:
    """No answer, of a read or a write, rested on a record that is not there."""
    for workspace, newest in told.newest.items():
        found = describe(server, workspace)
        assert found.sequence_number >= newest, (
            f"{workspace} is back at {found.sequence_number}, and {newest} was told"
        )
        before = told.hashes.get((workspace, found.sequence_number), found.state_hash)
        assert before == found.state_hash, f"{workspace} is another at {found.sequence_number}"
    recovery = server.admin.GetStats(admin_pb2.GetStatsRequest()).recovery
    assert recovery.snapshot_log_position >= told.snapshot_position, "a snapshot is gone"


def check_events(server: ServerProcess, events: list[EventTold]) -> None:
    """The same event gets the recorded answer. Asked as a preview, which writes nothing."""
    recorded = [told for told in events if told.answer.recorded]
    for some in batches_of(recorded, 1_000):
        request = identity_pb2.ResolveEventsRequest(
            events=[told.event for told in some], read_only=True
        )
        results = server.identity.ResolveEvents(request).results
        for told, result in zip(some, results, strict=True):
            now = result.resolution
            assert now.repeated, f"{told.event} is forgotten: {result}"
            assert summary(now) == summary(told.answer), f"{told.event}: another answer"


def check_commands(server: ServerProcess, commands: list[CommandTold]) -> None:
    """A command that comes again with its operation id is answered as it was."""
    for told in commands:
        if not told.answer.resolution.recorded:  # type: ignore[attr-defined]
            continue
        again = type(told.request)()
        again.CopyFrom(told.request)
        again.read_only = True  # type: ignore[attr-defined]
        now = getattr(server.identity, told.method)(again)
        assert now.resolution.repeated, f"{told.method} {told.request} is forgotten"
        before = told.answer.resolution  # type: ignore[attr-defined]
        assert summary(now.resolution) == summary(before), f"{told.request}: another answer"


def check_profiles(server: ServerProcess, told: Told) -> None:
    """An id that a client saw answers, and holds what a client was told that it held."""
    held = _held(told)
    for some in batches_of(sorted(held), 1_000):
        request = identity_pb2.BatchGetProfilesRequest(page_size=1_000)
        for profile_id in some:
            request.lookups.add(profile_id=profile_id)
        results = server.identity.BatchGetProfiles(request).results
        for profile_id, result in zip(some, results, strict=True):
            assert result.HasField("profile"), f"{profile_id} is lost: {result.error}"
            now = held_by(result.profile)
            assert held[profile_id] <= now, f"{profile_id} lost {held[profile_id] - now}"


def sample(told: Told, count: int, chance: random.Random) -> Told:
    """Some of what was told, to be asked again lives later."""
    return Told(
        events=chance.sample(told.events, min(count, len(told.events))),
        commands=chance.sample(told.commands, min(count // 10, len(told.commands))),
        profiles=chance.sample(told.profiles, min(count, len(told.profiles))),
        newest=told.newest,
        hashes=told.hashes,
        snapshot_position=told.snapshot_position,
        failures=told.failures,
    )


def describe(server: ServerProcess, workspace: str) -> admin_pb2.Workspace:
    """The figures of a workspace."""
    request = admin_pb2.GetWorkspaceRequest(name=workspace)
    found: admin_pb2.Workspace = server.admin.GetWorkspace(request).workspace
    return found


def summary(answer: identity_pb2.Resolution) -> tuple[object, ...]:
    """What does not change when profiles merge later."""
    verdicts = [
        (v.identifier.namespace, v.identifier.value, v.verdict, v.rule) for v in answer.verdicts
    ]
    return (answer.profile_id, answer.decision, answer.sequence_number, verdicts)


def _held(told: Told) -> dict[str, set[Pair]]:
    held: dict[str, set[Pair]] = {}
    for profile in told.profiles:
        held.setdefault(profile.profile_id, set()).update(profile.identifiers)
    for event in told.events:
        answer = event.answer
        for profile_id in filter(None, [answer.profile_id, *answer.absorbed_profile_ids]):
            held.setdefault(profile_id, set())
        held.get(answer.profile_id, set()).update(
            (verdict.identifier.namespace, verdict.identifier.value)
            for verdict in answer.verdicts
            if verdict.verdict
            in (identity_pb2.VERDICT_ATTACHED, identity_pb2.VERDICT_ALREADY_ATTACHED)
        )
    return held
