"""The operating system lies to the real server, or fails it: `strace` sits between the two.

Nothing is built for these tests: the server is the one that everybody runs.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ipse.v1 import event_pb2, identity_pb2

from tests.crash import checks, clients, segments
from tests.crash.told import Told
from tests.seeds import announce
from tests.server_process import ServerProcess

_SEED = 11
_CLIENTS = 3
_END_SECONDS_MAX = 60.0
_ENGINE_FAILED, _OPEN_FAILED = 70, 74


def _can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-qq", "true"], check=False, stderr=-3).returncode == 0


pytestmark = pytest.mark.skipif(
    not _can_trace(), reason="strace is not installed, or not allowed to trace here"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data", ["--segment-size-bytes", "65536"]) as server:
        clients.prepare(server)
        yield server


@contextlib.contextmanager
def traced(server: ServerProcess, *options: str, output: str = "/dev/null") -> Iterator[None]:
    """The system calls of a running server pass through strace meanwhile."""
    assert server.process is not None, "the server runs"
    command = ["strace", "-f", "-p", str(server.process.pid), "-o", output, *options]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    try:
        for line in tracer.stderr:
            if "attached" in line:
                break
        yield
    finally:
        tracer.terminate()
        tracer.communicate(timeout=_END_SECONDS_MAX)


@pytest.mark.parametrize(
    "fault",
    [
        "fdatasync:error=EIO:when=9",
        "fdatasync:error=EIO:when=9+",
        "fdatasync:error=ENOSPC:when=20",
        "pwrite64:error=EIO:when=9",
        "pwrite64:error=ENOSPC:when=30+",
    ],
)
def test_a_log_that_fails_ends_the_process_and_takes_no_answer_back(
    server: ServerProcess, fault: str
) -> None:
    announce(f"seed {_SEED}")
    told = Told()
    newest = segments.newest(server.data_dir)
    call = fault.split(":", maxsplit=1)[0]
    with traced(server, "-e", f"trace={call}", "-e", f"inject={fault}", "-P", str(newest)):
        running = clients.start(server.address, told, "f", _SEED, _CLIENTS)
        assert server.process is not None
        assert server.process.wait(_END_SECONDS_MAX) == _ENGINE_FAILED, server.log()
    server.close()
    clients.join(running)
    assert "the engine failed" in server.log()
    server.start()
    assert told.counts["events"] > 0, "nothing was answered before the fault: nothing was tested"
    checks.check(server, told)


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "rename", "fsync"])
def test_a_kill_inside_a_system_call_takes_no_answer_back(server: ServerProcess, call: str) -> None:
    announce(f"seed {_SEED}")
    told = Told()
    # Each thread counts for itself, and a checkpoint may run on another every time.
    time = {"pwrite64": 40, "fdatasync": 40}.get(call, 1)
    with traced(server, "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={time}"):
        running = clients.start(server.address, told, "k", _SEED, _CLIENTS)
        snapshotter = clients.Snapshotter(server.address, told, "s", _SEED)
        snapshotter.start()
        assert server.process is not None
        server.process.wait(_END_SECONDS_MAX)
    server.close()
    clients.join([*running, snapshotter])
    server.start()
    checks.check(server, told)


def test_a_write_that_was_lost_and_called_a_success_is_never_served(
    server: ServerProcess, tmp_path: Path
) -> None:
    newest = segments.newest(server.data_dir)
    _send(server, 0)
    trace = tmp_path / "trace"
    with traced(server, "-e", "trace=pwrite64", "-P", str(newest), output=str(trace)):
        _send(server, 1)
    length = re.findall(r"pwrite64\(.*\) = (\d+)", trace.read_text())[-1]
    lost = f"inject=pwrite64:retval={length}:when=2"
    place = segments.frames(newest)[-1].end + int(length)
    with traced(server, "-e", "trace=pwrite64", "-P", str(newest), "-e", lost):
        for number in range(2, 6):
            _send(server, number)
    server.kill()
    assert server.run_to_end() == _OPEN_FAILED
    assert f"{newest.name} is corrupt at byte {place}" in server.log(), server.log()


def test_a_disk_that_cannot_be_read_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    # Two pieces of a mebibyte. Calls are counted for each thread, and the one that looks for
    # segments reads the header of each once: the second call reads what is to be replayed.
    with ServerProcess(tmp_path / "data", ["--segment-size-bytes", "2097152"]) as server:
        clients.prepare(server)
        _send(server, 0)
        server.kill()
        newest = segments.newest(server.data_dir)
        server.prefix = ["strace", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null"]
        server.prefix += ["-P", str(newest), "-e", "trace=pread64"]
        server.prefix += ["-e", "inject=pread64:error=EIO:when=2"]
        assert server.run_to_end() == _OPEN_FAILED
        assert newest.name in server.log().splitlines()[-1]
        server.prefix = []
        server.start()
        assert checks.describe(server, "default").sequence_number > 1


def _send(server: ServerProcess, number: int) -> None:
    """An event whose record is as long as that of each other number."""
    identifier = event_pb2.Identifier(namespace="email", value=f"person-{number}@example.com")
    event = event_pb2.Event(event_id=f"event-{number}", identifiers=[identifier])
    server.identity.ResolveEvent(identity_pb2.ResolveEventRequest(event=event))
