"""The calls that wait for the disk. Belongs to one event loop; knows neither gRPC nor the engine.

Invariant: positions rise from left to right, so one look at the left end tells what a commit
group released. Nearly every position is the highest so far and is appended; a read may rest on
an older one, of another workspace, and is put in its place.
"""

from __future__ import annotations

import bisect
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import asyncio


class SyncWaiters:
    """Futures by log position; each ends true when it is synced, false if the log fails.

    `waiting_max` is a bound for those who ask `full` first: a write that was decided must wait.
    """

    __slots__ = ("_loop", "_waiting", "_waiting_max")

    def __init__(self, loop: asyncio.AbstractEventLoop, waiting_max: int) -> None:
        self._loop = loop
        self._waiting: deque[_Waiter] = deque()
        self._waiting_max = waiting_max

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether there is no place for one more."""
        return len(self._waiting) >= self._waiting_max

    def wait(self, position: int) -> asyncio.Future[bool]:
        """Wait for the position. A future that its caller gives up stays until then, and counts."""
        waiter = _Waiter(position, self._loop.create_future())
        waiting = self._waiting
        if waiting and position < waiting[-1].position:
            bisect.insort(waiting, waiter, key=_position)
        else:
            waiting.append(waiter)
        return waiter.synced

    def release(self, synced: int) -> None:
        """End the waiting for all positions up to this one."""
        waiting = self._waiting
        while waiting and waiting[0].position <= synced:
            _end(waiting.popleft(), synced=True)

    def fail(self) -> None:
        """End all waiting: nothing more will be synced."""
        while self._waiting:
            _end(self._waiting.popleft(), synced=False)


class _Waiter(NamedTuple):
    position: int
    synced: asyncio.Future[bool]


def _position(waiter: _Waiter) -> int:
    return waiter.position


def _end(waiter: _Waiter, *, synced: bool) -> None:
    # A cancelled call's future is done already.
    if not waiter.synced.done():
        waiter.synced.set_result(synced)
