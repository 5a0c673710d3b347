"""Waits for what a server that runs does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.server_process import ServerProcess

SECONDS_MAX = 20.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def told(process: ServerProcess, words: str) -> Callable[[], bool]:
    """Whether the log has these words once more than now."""
    seen = process.log().count(words)
    return lambda: process.log().count(words) > seen
