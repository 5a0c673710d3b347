"""A server of our own for the commands that bring one: started as a user would, on a free port."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from ipse.commands import CommandError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
_LOOK_INTERVAL_S = 0.01


class ServerProcess:
    """`ipse serve` as a process of its own. Use `with`: leaving it stops the server.

    `work_dir` gets the port file and the server's log; it must not be the data directory.
    """

    def __init__(self, data_dir: Path, work_dir: Path, *flags: str) -> None:
        self._port_file = work_dir / "port"
        self._log_path = work_dir / "server.log"
        self._command = [
            *(sys.executable, "-m", "ipse", "serve", "--port", "0"),
            *("--data-dir", str(data_dir), "--port-file", str(self._port_file)),
            *("--log-format", "json", *flags),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self.address = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """The process that runs now."""
        return self._running().pid

    def start(self) -> None:
        """Starts it and returns when it serves."""
        self._port_file.unlink(missing_ok=True)
        # Its settings are the ones given here: a variable of the caller's must not change them.
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("IPSE_") or name == "IPSE_DEBUG"
        }
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._port_file.exists():
            self._must_live(deadline)
            time.sleep(_LOOK_INTERVAL_S)
        self.address = f"127.0.0.1:{int(self._port_file.read_text())}"
        self._await_recovery(deadline)

    def stop(self) -> float:
        """Ends it as an operator would, with SIGTERM; returns the seconds that took."""
        process, started = self._running(), time.monotonic()
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise CommandError(f"the server did not stop within {STOP_TIMEOUT_S:g} s") from None
        if code:
            raise CommandError(f"the server stopped with code {code}: {self._last_words()}")
        return time.monotonic() - started

    def cpu_seconds(self) -> float:
        """Processor time that it has used so far, all threads."""
        return cpu_seconds_of(self.pid)

    def _await_recovery(self, deadline: float) -> None:
        from ipse.client import Client
        from ipse.errors import DeadlineExceeded

        with Client(self.address, token="") as client:
            while True:
                # In turns, so that a server that fails in recovery is noticed at once.
                with contextlib.suppress(DeadlineExceeded):
                    return client.wait_until_ready(timeout_s=1.0)
                self._must_live(deadline)

    def _must_live(self, deadline: float) -> None:
        if self._running().poll() is not None or time.monotonic() > deadline:
            raise CommandError(f"the server did not start: {self._last_words()}")

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise AssertionError("a server is asked for what only a started one has")
        return self._process

    def _last_words(self) -> str:
        lines = self._log_path.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def cpu_seconds_of(pid: int) -> float:
    """Processor time of a process, user and system, all its threads (Linux)."""
    # The command's name, in parentheses, may hold spaces: count from behind it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes_of(pid: int) -> int:
    """Memory of a process (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
