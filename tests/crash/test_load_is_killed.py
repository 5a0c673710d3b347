"""The server dies several times in the middle of `ipse load`; the load waits and finishes.

What it leaves behind is what an uninterrupted load leaves behind, and every profile id that
it wrote out on the way still answers.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ipse.v1 import admin_pb2, event_pb2, identity_pb2

from tests.batches import batches_of
from tests.crash import story
from tests.seeds import announce
from tests.server_process import ServerProcess

_SEED = 20_240_101
_EVENTS = 6_000
_KILLS = 3
_LOAD_SECONDS_MAX = 120


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data") as server:
        yield server


def test_a_load_survives_the_server_being_killed(server: ServerProcess, tmp_path: Path) -> None:
    announce(f"seed {_SEED}")
    events = tmp_path / "events.jsonl"
    events.write_text(story.lines(_SEED, _EVENTS), encoding="utf-8")
    for workspace in ("interrupted", "calm"):
        server.admin.CreateWorkspace(admin_pb2.CreateWorkspaceRequest(name=workspace))

    loader = _start_load(server, events, "interrupted", tmp_path / "out.jsonl")
    for records in _kill_points():
        _await_records(server, loader, records)
        server.kill()
        server.start()
    summary = _finish(loader)
    assert summary["retries"] >= 1, "the load never met a dead server: nothing was tested"
    assert summary["errors"] == 0
    assert summary["events"] == _EVENTS

    _finish(_start_load(server, events, "calm", tmp_path / "calm.jsonl"))
    assert _people(server, "interrupted") == _people(server, "calm")
    assert _counts(server, "interrupted") == _counts(server, "calm")
    _check_written_out(server, tmp_path / "out.jsonl")


def _kill_points() -> list[int]:
    """After how many records of the workspace the server dies."""
    chance = random.Random(_SEED)
    # The story writes about one record for every two events.
    return sorted(chance.sample(range(50, _EVENTS // 4), _KILLS))


def _start_load(
    server: ServerProcess, events: Path, workspace: str, out: Path
) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ipse", "load", str(events), "--json", "--out", str(out)]
    command += ["--address", server.address, "--workspace", workspace, "--batch", "50"]
    command += ["--progress-file", str(out.with_suffix(".progress"))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _await_records(server: ServerProcess, loader: subprocess.Popen[str], records: int) -> None:
    """Returns once the load has written that many records; each look is a call, not a pause."""
    while _describe(server, "interrupted").sequence_number < records:
        assert loader.poll() is None, f"the load ended early: {loader.communicate()}"


def _finish(loader: subprocess.Popen[str]) -> dict[str, int]:
    output, errors = loader.communicate(timeout=_LOAD_SECONDS_MAX)
    assert loader.returncode == 0, errors
    summary: dict[str, int] = json.loads(output)
    return summary


def _describe(server: ServerProcess, workspace: str) -> admin_pb2.Workspace:
    request = admin_pb2.GetWorkspaceRequest(name=workspace)
    described: admin_pb2.Workspace = server.admin.GetWorkspace(request).workspace
    return described


def _counts(server: ServerProcess, workspace: str) -> dict[str, int]:
    """The figures of a workspace. The sequence number is among them: what is sent again
    writes no second record."""
    described = _describe(server, workspace)
    return {
        "profiles": described.profile_count,
        "absorbed": described.absorbed_profile_count,
        "identifiers": described.identifier_count,
        "links": described.link_count,
        "records": described.sequence_number,
    }


def _people(server: ServerProcess, workspace: str) -> set[frozenset[tuple[str, str]]]:
    """Who holds what, without the ids, which are every workspace's own."""
    pairs = sorted({p for e in story.raw_events(_SEED, _EVENTS) for p in story.identifiers(e)})
    people = set()
    for some in batches_of(pairs, 1_000):
        request = identity_pb2.BatchGetProfilesRequest(workspace=workspace, page_size=1_000)
        for namespace, value in some:
            identifier = event_pb2.Identifier(namespace=namespace, value=value)
            request.lookups.add(identifier=identifier)
        for result in server.identity.BatchGetProfiles(request).results:
            held = [each.identifier for each in result.profile.identifiers]
            people.add(frozenset((each.namespace, each.value) for each in held))
    return people


def _check_written_out(server: ServerProcess, out: Path) -> None:
    written = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    expected = [event["messageId"] for event in story.raw_events(_SEED, _EVENTS)]
    assert [line["event"]["messageId"] for line in written] == expected
    ids = sorted({line["profile_id"] for line in written if line["profile_id"]})
    for some in batches_of(ids, 1_000):
        request = identity_pb2.BatchGetProfilesRequest(workspace="interrupted")
        for profile_id in some:
            request.lookups.add(profile_id=profile_id)
        results = server.identity.BatchGetProfiles(request).results
        assert [result.WhichOneof("result") for result in results] == ["profile"] * len(some)
