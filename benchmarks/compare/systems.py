"""Systems under test: what they have in common, ours, and the empty servers beside it.

A server is a process with people in it; a system is a server asked in a certain way. Two systems of
one server (Redis with either promise) take turns on the same data.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ipse.client import Client
from ipse.commands import CommandError
from ipse.commands.child import ServerProcess, resident_bytes_of

from benchmarks.compare import loadgen

START_TIMEOUT_S = 120.0
CONNECTIONS = 4
_OURS_SECONDS_MAX = 3_600.0


class Missing(Exception):
    """A system that cannot be measured here, with the reason that the table shows."""


class Server(ABC):
    """A process of its own. `stop` also after a failed `start`."""

    protocol: ClassVar[dict[str, Any]] = {"protocol": "grpc", "connections": CONNECTIONS}

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.address = ""
        self.pid = 0
        self.known_blocks = 0
        self.next_block = 0
        self.fill_seconds = 0.0
        self.resident_bytes_empty = 0

    @abstractmethod
    def start(self) -> None:
        """Starts it; raises Missing if it is not installed."""

    @abstractmethod
    def stop(self) -> None:
        """Ends it and what it left."""

    def load(self, blocks: int) -> int:
        """Puts people in by the quickest way there is; how many blocks of them got in."""
        return blocks

    def fill(self, blocks: int) -> None:
        """Puts people in and keeps the time that took."""
        self.resident_bytes_empty = self.resident_bytes()
        started = time.monotonic()
        self.known_blocks = self.next_block = self.load(blocks)
        self.fill_seconds = time.monotonic() - started

    def generate(self, command: str, task: dict[str, Any], **how: Any) -> dict[str, Any]:
        """What the load generator finds when it asks this server."""
        target = {"system": self.protocol | how, "address": self.address, "task": task}
        return loadgen.run(command, target)

    def resident_bytes(self) -> int:
        """Memory of the server."""
        return resident_bytes_of(self.pid)

    @property
    def identifiers(self) -> int:
        """How many it was filled with, about."""
        return self.known_blocks * loadgen.IDENTIFIERS_OF_A_BLOCK


@dataclass
class System:
    """A server asked in a certain way."""

    name: str
    server: Server
    #: Called before each phase.
    prepare: Callable[[], None] = lambda: None


def load_by_calls(
    server: Server, blocks: int, seconds_max: float = loadgen.FILL_SECONDS_MAX
) -> int:
    """The load as events, in batches of 1,000; returns the blocks that were finished in time."""
    pace = {
        "events_per_call": 1_000,
        "callers": 4,
        "warmup_s": 0,
        "seconds": seconds_max,
        "events_ahead": 0,
    }
    workload = {"seed": loadgen.SEED, "phase": "load", "end_block": blocks}
    found = server.generate("drive", {"workload": workload, "pace": pace})
    if found["refused"]:
        raise RuntimeError(f"refused while loading: {found['first_refusal']}")
    is_whole = found["seconds"] < seconds_max
    return blocks if is_whole else int(found["next_block"]) - 1


class Ipse(Server):
    """`ipse serve` with these flags."""

    def __init__(self, directory: Path, *flags: str) -> None:
        super().__init__(directory)
        self._flags = flags
        self._process: ServerProcess | None = None
        self.start_seconds = 0.0

    @property
    def data_dir(self) -> Path:
        """Its log and snapshots."""
        return self.directory / "data"

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._process = ServerProcess(self.data_dir, self.directory, *self._flags)
        started = time.monotonic()
        try:
            self._process.start()
        except CommandError as error:
            raise Missing(str(error)) from None
        self.start_seconds = time.monotonic() - started
        self.address, self.pid = self._process.address, self._process.pid

    def stop(self) -> None:
        with contextlib.suppress(CommandError, AssertionError):
            self.stop_in_order()
        shutil.rmtree(self.directory, ignore_errors=True)

    def stop_in_order(self) -> None:
        """With a snapshot, and leaving the data."""
        assert self._process is not None
        self._process.stop()

    def kill(self) -> None:
        """As a crash would, and leaving the data."""
        assert self._process is not None
        self._process.__exit__()

    def load(self, blocks: int) -> int:
        return load_by_calls(self, blocks, _OURS_SECONDS_MAX)

    def take_over(self, other: Ipse) -> None:
        """The people of a server that is stopped: a copy of its data."""
        self.directory.mkdir(parents=True, exist_ok=True)
        shutil.copytree(other.data_dir, self.data_dir)
        self.known_blocks, self.next_block = other.known_blocks, other.next_block
        self.resident_bytes_empty = other.resident_bytes_empty

    def recovery(self) -> dict[str, Any]:
        """What the server said of its last recovery; where its files lay is nobody's business."""
        lines = (self.directory / "server.log").read_text().splitlines()
        said = [json.loads(line) for line in lines if '"serving"' in line]
        return {key: value for key, value in said[-1].items() if key != "data_dir"}

    @property
    def identifiers(self) -> int:
        with Client(self.address, token="") as client:
            return sum(each.identifier_count for each in client.list_workspaces())


class Child(Server):
    """A process of ours, ended by a signal."""

    ended_by: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._process: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        end(self._process, self.ended_by)
        shutil.rmtree(self.directory, ignore_errors=True)


class Spawned(Child):
    """A program that writes its port to a file."""

    @abstractmethod
    def spawn(self, port_file: Path) -> subprocess.Popen[bytes]:
        """Its process."""

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        port_file = self.directory / "port"
        self._process = self.spawn(port_file)
        self.pid = self._process.pid
        self.address = await_port(port_file, self._process)


class DictServer(Spawned):
    """A dict union-find behind ordinary servicers."""

    def spawn(self, port_file: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "benchmarks.compare.dict_server", str(port_file)]
        )

    def load(self, blocks: int) -> int:
        return load_by_calls(self, blocks)


class Echo(Spawned):
    """An empty server, with answers of so many bytes by method."""

    def __init__(self, directory: Path, answer_bytes: dict[str, int]) -> None:
        super().__init__(directory)
        self._answer_bytes = answer_bytes


class AsyncioEcho(Echo):
    """On grpc.aio."""

    def spawn(self, port_file: Path) -> subprocess.Popen[bytes]:
        sizes = [f"{method}={size}" for method, size in self._answer_bytes.items()]
        module = "benchmarks.compare.echo_server"
        return subprocess.Popen([sys.executable, "-m", module, str(port_file), *sizes])


class NativeEcho(Echo):
    """On hyper; it is part of the load generator."""

    def spawn(self, port_file: Path) -> subprocess.Popen[bytes]:
        answers = {
            f"/ipse.v1.IdentityService/{method}": size
            for method, size in self._answer_bytes.items()
        }
        specification = {"port_file": str(port_file), "answer_bytes": answers}
        return loadgen.start("echo", specification)


def await_port(port_file: Path, process: subprocess.Popen[bytes]) -> str:
    """The address of a server that writes its port when it listens."""
    await_start(process, port_file.exists)
    return f"127.0.0.1:{port_file.read_text()}"


def await_start(process: subprocess.Popen[bytes], is_up: Callable[[], bool]) -> None:
    """Returns when a process is up."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_up():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} did not start")
        time.sleep(0.02)


def end(process: subprocess.Popen[bytes] | None, how: signal.Signals) -> None:
    """Ends a process that we started, if it runs."""
    if process is None or process.poll() is not None:
        return
    process.send_signal(how)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tool(name: str, *places: str) -> str:
    """The path of a program, on PATH or in one of these directories; Missing names its package."""
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *places)))
    if found is None:
        raise Missing(f"`{name}` is not installed")
    return found
