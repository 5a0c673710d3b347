"""A server on a file system that becomes full: writes are refused by name, reads go on, a kill
loses nothing, a start needs no space, and with space writes are taken again.

The file system is a tmpfs of a few megabytes; where this process may not mount one, the tests are
skipped (the store's own tests do the same on a simulated disk).
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from ipse.v1 import admin_pb2, event_pb2, identity_pb2

from tests.server_process import READS, WRITES, ServerProcess
from tests.status import reason_of, retry_delay_s

_SIZE_BYTES = 2 << 20
_FLAGS = ["--segment-size-bytes", "65536", "--snapshot-log-bytes", "1073741824"]
_BATCH = 50
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    options = f"size={_SIZE_BYTES}"
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", mounted],
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("there is no `mount` here")
    if done.returncode:
        pytest.skip("this process may not mount a file system")
    yield mounted
    subprocess.run(["umount", "--lazy", mounted], check=True)


@pytest.fixture
def server(disk: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(disk / "data", _FLAGS, port_file=tmp_path / "port")
    yield server
    server.close()


def _event(number: int) -> event_pb2.Event:
    identifier = event_pb2.Identifier(namespace="user_id", value=f"u-{number}")
    return event_pb2.Event(event_id=f"e-{number}", identifiers=[identifier])


def _fill(server: ServerProcess) -> int:
    """Sends events until one is refused for want of space; how many were taken."""
    taken = 0
    while True:
        events = [_event(number) for number in range(taken, taken + _BATCH)]
        request = identity_pb2.ResolveEventsRequest(events=events)
        refusal: grpc.RpcError | None = None
        try:
            results = server.identity.ResolveEvents(request).results
        except grpc.RpcError as error:
            refusal = error
        if refusal is not None:
            assert _reason(refusal) == "STORAGE_FULL", refusal
            return taken
        fates = [each.HasField("resolution") for each in results]
        assert fates == sorted(fates, reverse=True), "none is taken after the first refusal"
        taken += sum(fates)
        if not all(fates):
            assert results[-1].error.reason == "STORAGE_FULL"
            return taken


def _reason(refusal: grpc.RpcError) -> str:
    """The reason of a refusal that says when to come back."""
    assert refusal.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, refusal
    assert retry_delay_s(refusal) > 0
    return reason_of(refusal)


def _people(server: ServerProcess) -> int:
    workspaces = server.admin.GetStats(admin_pb2.GetStatsRequest()).workspaces
    return sum(each.profile_count for each in workspaces)


def _take_what_is_left(disk: Path) -> Path:
    """Another program's file: the disk is full to its last byte."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return filler


def _check_refused(server: ServerProcess) -> None:
    """Writes are refused, everything else is answered."""
    server.await_health(WRITES, _NOT_SERVING)
    server.await_health(READS, _SERVING, 1)
    new = identity_pb2.ResolveEventRequest(event=_event(1_000_000))
    with pytest.raises(grpc.RpcError) as caught:
        server.identity.ResolveEvent(new)
    assert _reason(caught.value) == "STORAGE_FULL"
    with pytest.raises(grpc.RpcError) as caught:
        server.admin.Checkpoint(admin_pb2.CheckpointRequest())
    assert _reason(caught.value) == "STORAGE_FULL"
    new.read_only = True
    assert server.identity.ResolveEvent(new).resolution.created
    known = identity_pb2.ProfileLookup(identifier=_event(0).identifiers[0])
    request = identity_pb2.GetProfileRequest(lookup=known)
    assert server.identity.GetProfile(request).profile.identifiers


def test_a_full_disk_ends_nothing_and_a_kill_loses_nothing(
    disk: Path, server: ServerProcess
) -> None:
    server.start()
    taken = _fill(server)
    assert taken > 1_000
    _check_refused(server)
    filler = _take_what_is_left(disk)
    assert _people(server) == taken
    for _ in range(3):
        server.kill()
        server.start(READS)
        assert _people(server) == taken
        recovery = server.admin.GetStats(admin_pb2.GetStatsRequest()).recovery
        assert not recovery.clean_shutdown
        # Each recovery needs the room of a segment, and gives one back.
        _check_refused(server)
    filler.unlink()
    subprocess.run(["mount", "-o", f"remount,size={4 * _SIZE_BYTES}", disk], check=True)
    server.await_health(WRITES, _SERVING)
    assert _fill(server) > 0
    more = _people(server)
    assert more > taken
    server.stop()
    server.start(READS)
    recovery = server.admin.GetStats(admin_pb2.GetStatsRequest()).recovery
    assert recovery.clean_shutdown
    assert _people(server) == more
