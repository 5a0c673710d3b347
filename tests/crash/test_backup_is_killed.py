"""Server and restore die in the middle: what is there under its name is whole, or is not there."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from ipse import _native
from ipse.v1 import admin_pb2, event_pb2, identity_pb2

from tests.seeds import announce
from tests.server_process import ServerProcess

_SEED = 20_240_102
_ROUNDS = 8
_PROFILES = 4_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data", ["--segment-size-bytes", "1048576"]) as server:
        _fill(server)
        yield server


def test_a_server_that_is_killed_leaves_a_whole_backup_or_none(
    server: ServerProcess, tmp_path: Path
) -> None:
    announce(f"seed {_SEED}")
    chance = random.Random(_SEED)
    whole = 0
    for attempt in range(_ROUNDS):
        backup, restored = tmp_path / f"backup-{attempt}", tmp_path / f"restored-{attempt}"
        asked = threading.Thread(target=_ask, args=(server, backup))
        asked.start()
        time.sleep(chance.uniform(0, 0.04))
        server.kill()
        asked.join()
        if backup.exists():
            whole += 1
            assert _native.verify(str(backup))["is_backup"]
            _native.restore(str(backup), str(restored))
            assert _native.verify(str(restored))["log_position"] >= _PROFILES
        server.start()
        if not backup.exists():
            _ask(server, backup)
            assert _native.verify(str(backup))["is_backup"], "what was left was in the way"
    announce(f"{whole} of {_ROUNDS} backups were whole when the server died")


def test_a_restore_that_is_killed_is_done_again(server: ServerProcess, tmp_path: Path) -> None:
    announce(f"seed {_SEED}")
    chance = random.Random(_SEED)
    backup = tmp_path / "backup"
    _ask(server, backup)
    expected = _native.verify(str(backup))["workspaces"]
    for attempt in range(_ROUNDS):
        restored = tmp_path / f"restored-{attempt}"
        command = [sys.executable, "-m", "ipse", "restore", str(backup), str(restored)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.05, 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if not restored.exists():
            _native.restore(str(backup), str(restored))
        assert _native.verify(str(restored))["workspaces"] == expected


def _ask(server: ServerProcess, directory: Path) -> None:
    # The server dies in the middle of some.
    with contextlib.suppress(grpc.RpcError):
        server.admin.Backup(admin_pb2.BackupRequest(directory=str(directory)), timeout=60)


def _fill(server: ServerProcess) -> None:
    for first in range(0, _PROFILES, 1_000):
        events = [
            event_pb2.Event(
                identifiers=[event_pb2.Identifier(namespace="user_id", value=f"u-{number}")]
            )
            for number in range(first, first + 1_000)
        ]
        server.identity.ResolveEvents(identity_pb2.ResolveEventsRequest(events=events))
