"""Runs blocking calls of the engine beside the event loop.

Not an executor: the interpreter waits at exit for an executor's threads, and a disk that hangs
would then keep the process. A daemon thread dies with it, which is a crash, which is safe.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import queue
import threading
import weakref
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    _Jobs: TypeAlias = queue.SimpleQueue[Callable[[], None] | None]

T = TypeVar("T")


async def run_aside(name: str, work: Callable[[], T]) -> T:
    """Run `work` on a thread of its own and wait for what it returns or raises."""
    ended, job = _job_of(work)
    threading.Thread(target=job, name=f"ipse-{name}", daemon=True).start()
    return await ended


class Turns:
    """Runs blocking calls one at a time, in the order in which they came.

    One that is given up while it waits never runs. One that runs goes on to its end, whoever has
    gone, and the next waits for that: there is one thread, from the first call on.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._turn = asyncio.Lock()
        self._jobs: _Jobs | None = None

    async def run(self, work: Callable[[], T], on_end: Callable[[bool], None] | None = None) -> T:
        """Run `work` when it is its turn; what it returns or raises.

        `on_end` is called once: when the work has ended, with true, or when it was given up before
        its turn, with false.
        """
        try:
            await self._turn.acquire()
        except asyncio.CancelledError:
            if on_end is not None:
                on_end(False)
            raise
        running, job = _job_of(work)
        running.add_done_callback(self._pass_on)
        if on_end is not None:
            running.add_done_callback(lambda _ended: on_end(True))
        self._thread().put(job)
        return await asyncio.shield(running)

    def _thread(self) -> _Jobs:
        """The thread's queue. It stays: to begin a thread costs more than many a call."""
        if self._jobs is None:
            self._jobs = queue.SimpleQueue()
            threading.Thread(
                target=_do_all, args=(self._jobs,), name=f"ipse-{self._name}", daemon=True
            ).start()
            weakref.finalize(self, self._jobs.put, None)
        return self._jobs

    def _pass_on(self, _ended: asyncio.Future[Any]) -> None:
        self._turn.release()


class Shared(Generic[T]):
    """Runs a blocking call once for all who ask while it runs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: asyncio.Future[T] | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """Wait for the call that runs, or begin `work`. It goes on to its end, whoever has gone."""
        running = self._running
        if running is None or running.done():
            running = self._running = asyncio.ensure_future(run_aside(self._name, work))
        return await asyncio.shield(running)


def _job_of(work: Callable[[], T]) -> tuple[asyncio.Future[T], Callable[[], None]]:
    """What to call on a thread, and the future of what it returns or raises."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()

    def job() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 -- handed to the one who waits
            _hand_over(loop, functools.partial(_fail, ended, error))
        else:
            _hand_over(loop, functools.partial(_succeed, ended, result))

    return ended, job


def _do_all(jobs: _Jobs) -> None:
    """Do what comes, until there is nobody left from whom something could come."""
    while (job := jobs.get()) is not None:
        job()
        # Nothing of it is kept while the next is waited for.
        del job


def _hand_over(loop: asyncio.AbstractEventLoop, end: Callable[[], None]) -> None:
    # A closed loop means that the process is on its way out, and nobody waits.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(end)


def _succeed(ended: asyncio.Future[T], result: T) -> None:
    if not ended.done():
        ended.set_result(result)


def _fail(ended: asyncio.Future[T], error: BaseException) -> None:
    if not ended.done():
        ended.set_exception(error)
