"""Forks servers from a process that has imported all that they need.

Most of a short life would be the start of an interpreter and its imports. A child runs what
`ipse serve` runs and dies like any process; gRPC and the engine begin in the child, since they
would not survive a fork. One child at a time.

    us:      one JSON line for each life: arguments, environment, log
    zygote:  its process id, and when it is dead, its exit code (of a signal: negative)

A child that is dead is reaped with the next one only, so that its id never names another process.
When we are gone, so are the zygote and its child.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.server_process import ServerProcess

_CARRIERS = ("ipse._asyncio_carrier", "ipse._native_carrier")
_IMPORTS = ("ipse.commands.serve", "ipse.server", *_CARRIERS, "uvloop")


class Zygote:
    """The process that forks, and how it is told to."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.zygote"],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def fork(self, arguments: list[str], environment: dict[str, str], log: Path) -> Life:
        """Starts a life of the server."""
        assert self.process.stdin is not None, "a pipe was asked for"
        wanted = {"arguments": arguments, "environment": environment, "log": str(log)}
        self.process.stdin.write(json.dumps(wanted).encode() + b"\n")
        return Life(self, self.read())

    def read(self, timeout: float | None = None) -> int:
        """The next number that it says; TimeoutExpired if it says none in time."""
        assert self.process.stdout is not None, "a pipe was asked for"
        ready, _, _ = select.select([self.process.stdout], [], [], timeout)
        if not ready:
            raise subprocess.TimeoutExpired("a life of the server", timeout or 0)
        return int(self.process.stdout.readline())

    def close(self) -> None:
        """Ends it, and its child."""
        self.process.communicate()


class Life:
    """One child, with what `Popen` offers and a `ServerProcess` needs."""

    def __init__(self, zygote: Zygote, pid: int) -> None:
        self.pid = pid
        self._zygote = zygote
        self._code: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """The code that it ended with."""
        if self._code is None:
            self._code = self._zygote.read(timeout)
        return self._code

    def poll(self) -> int | None:
        """The same, None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self._code

    def send_signal(self, sig: int) -> None:
        """Nothing if it has ended."""
        if self._code is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class ForkedServer(ServerProcess):
    """A `ServerProcess` whose lives are forked."""

    def __init__(self, zygote: Zygote, data_dir: Path, flags: list[str]) -> None:
        super().__init__(data_dir, flags)
        self.zygote = zygote

    def _launch(self, arguments: list[str]) -> Life:
        return self.zygote.fork(arguments, self.environment, self._log_file)


def main() -> int:
    """Forks until nobody asks any more; in a child, runs the server and returns its code."""
    for name in _IMPORTS:
        importlib.import_module(name)
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a thread would be lost in the fork"
    gc.freeze()
    dead = 0
    while line := _read_line():
        if dead:
            os.waitpid(dead, 0)
        dead = os.fork()
        if dead == 0:
            return _live(json.loads(line))
        _say(dead)
        _say(_await_end(dead))
    return 0


def _live(wanted: dict[str, Any]) -> int:
    from ipse.cli import main as ipse

    log = os.open(wanted["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for new, old in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
        os.dup2(new, old)
    os.environ.update(wanted["environment"])
    return ipse(wanted["arguments"])


def _await_end(pid: int) -> int:
    """Waits until the child is dead, which it is when nobody is left to ask."""
    child = os.pidfd_open(pid)
    ready, _, _ = select.select([child, 0], [], [])
    if child not in ready:
        os.kill(pid, signal.SIGKILL)
    os.close(child)
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended is not None, "it was waited for"
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status


def _read_line() -> bytes:
    # Byte by byte: what a buffer held, a child would have, too, and `select` would not see.
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    return line


def _say(number: int) -> None:
    os.write(1, f"{number}\n".encode())


if __name__ == "__main__":
    sys.exit(main())
