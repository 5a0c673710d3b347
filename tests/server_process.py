"""A server in a process of its own: started, stopped, killed, and started again on its data.

The port is chosen by the system at the first start and kept, so that clients find the
server again. Readiness is what health says, never a pause.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from ipse.v1 import admin_pb2_grpc, identity_pb2_grpc

TRANSPORTS = ("asyncio", "native")
"""What can carry calls; whoever calls a server is to see no difference."""
TRANSPORT_VARIABLE = "IPSE_TRANSPORT"
"""Says which one a server is to have."""

READS = "ipse.reads"
"""The health service that says whether the server answers reads."""
WRITES = "ipse.writes"
"""The health service that says whether the server takes writes."""

OWN_CONNECTION = [
    # gRPC shares one among all that call an address, with its pause after a failure to connect.
    ("grpc.use_local_subchannel_pool", 1),
    # Next to no pause between attempts to connect: the server was seen to be up.
    ("grpc.initial_reconnect_backoff_ms", 10),
]

START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 30.0


class Process(Protocol):
    """What is asked of the server's process: of `subprocess.Popen`, these."""

    pid: int

    def wait(self, timeout: float | None = None) -> int:
        """The code that it ended with."""

    def poll(self) -> int | None:
        """The same, None while it runs."""

    def send_signal(self, sig: int) -> None:
        """Nothing if it has ended."""

    def kill(self) -> None:
        """SIGKILL."""


class ServerProcess:
    """`ipse serve` on a data directory, with plain stubs to call it."""

    def __init__(
        self,
        data_dir: Path,
        flags: Sequence[str] = (),
        port_file: Path | None = None,
        transport: str = "",
    ) -> None:
        self.data_dir = data_dir
        self.flags = list(flags)
        self.environment = {TRANSPORT_VARIABLE: transport} if transport else {}
        """Variables that the next process gets beside ours."""
        self.prefix: list[str] = []
        """A command that runs the next process, such as a tracer."""
        self.port = 0
        self.process: Process | None = None
        self.channel: grpc.Channel | None = None
        self._port_file = port_file or data_dir.with_name(data_dir.name + ".port")
        self._log_file = self._port_file.with_suffix(".log")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, service: str = WRITES) -> None:
        """Starts the server and returns when it serves writes, or what else is asked for."""
        process = self.spawn()
        try:
            self._await_ready(process, service)
        except BaseException:
            self.close()
            raise

    def spawn(self) -> Process:
        """Starts the process without waiting for it."""
        assert self.process is None, "one server at a time"
        self._port_file.unlink(missing_ok=True)
        arguments = ["serve", "--port", str(self.port), "--data-dir", str(self.data_dir)]
        arguments += ["--port-file", str(self._port_file), *self.flags]
        self.process = self._launch(arguments)
        return self.process

    def stop(self) -> None:
        """Ends it in good order; it must say that it succeeded."""
        code = self._end(signal.SIGTERM)
        assert code == 0, f"the server ended with {code}:\n{self.log()}"

    def kill(self) -> None:
        """Ends it as a crash would."""
        self._end(signal.SIGKILL)

    def run_to_end(self) -> int:
        """Starts a server that is expected to refuse; the code that it ends with."""
        process = self.spawn()
        try:
            return process.wait(START_SECONDS_MAX)
        finally:
            self.close()

    def log(self) -> str:
        """What it printed, over all its lives."""
        return self._log_file.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """Gives the process and the channel back."""
        if self.process is not None:
            self.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _launch(self, arguments: list[str]) -> Process:
        command = [*self.prefix, sys.executable, "-m", "ipse", *arguments]
        with self._log_file.open("ab") as log:
            variables = os.environ | self.environment
            return subprocess.Popen(command, stderr=log, stdout=log, env=variables)

    def _end(self, how: signal.Signals) -> int:
        assert self.process is not None, "the server runs"
        process, self.process = self.process, None
        process.send_signal(how)
        try:
            return process.wait(STOP_SECONDS_MAX)
        finally:
            process.kill()
            self._close_channel()

    def await_health(self, service: str, status: int, seconds: float = START_SECONDS_MAX) -> None:
        """Returns when health says so of a service."""
        # It listens: a connection that is refused is a process that died since.
        request = health_pb2.HealthCheckRequest(service=service)
        answers = self.health.Watch(request, timeout=seconds)
        while next(answers).status != status:
            pass
        answers.cancel()

    def _await_ready(self, process: Process, service: str) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        # Waiting for the process, in short turns, ends at once if it fails to start.
        while not self._port():
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(0.01)
                raise AssertionError(f"the server ended with {code} at start:\n{self.log()}")
            assert time.monotonic() < deadline, f"the server is not ready:\n{self.log()}"
        self.port = self._port()
        self._open_channel()
        serving = health_pb2.HealthCheckResponse.SERVING
        self.await_health(service, serving, deadline - time.monotonic())

    def _port(self) -> int:
        """The port that the server says it listens on; 0 until it does."""
        try:
            return int(self._port_file.read_text(encoding="ascii") or "0")
        except FileNotFoundError:
            return 0

    def _open_channel(self) -> None:
        self.channel = grpc.insecure_channel(self.address, options=OWN_CONNECTION)
        self.identity = identity_pb2_grpc.IdentityServiceStub(self.channel)
        self.admin = admin_pb2_grpc.AdminServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def _close_channel(self) -> None:
        if self.channel is not None:
            self.channel.close()
            self.channel = None
