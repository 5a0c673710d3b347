"""Work beside the event loop: one at a time and in order, or once for all who ask."""

from __future__ import annotations

import asyncio
import threading

import pytest
from ipse._threads import Shared, Turns

from tests.server.scenes import Panic, until

SECONDS_MAX = 30.0


async def settle() -> None:
    """Let every task go on until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


class Work:
    """Blocking work that is let go by hand, and counts how much of it runs at once."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.at_once = 0
        self.at_once_max = 0
        self.go = threading.Semaphore(0)

    def __call__(self, number: int) -> int:
        self.begun.append(number)
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        assert self.go.acquire(timeout=SECONDS_MAX)
        self.at_once -= 1
        return number


def test_turns_are_taken_one_at_a_time_in_the_order_of_arrival() -> None:
    async def play() -> None:
        turns, work = Turns("test"), Work()
        calls = [asyncio.create_task(turns.run(lambda n=n: work(n))) for n in range(20)]  # type: ignore[misc]
        work.go.release(20)
        assert await asyncio.gather(*calls) == list(range(20))
        assert work.begun == list(range(20))
        assert work.at_once_max == 1

    asyncio.run(play())


def test_who_goes_away_starts_no_second_thread() -> None:
    async def play() -> None:
        turns, work = Turns("test"), Work()
        calls = [asyncio.create_task(turns.run(lambda n=n: work(n))) for n in range(3)]  # type: ignore[misc]
        await until(lambda: bool(work.begun))
        calls[0].cancel()
        calls[1].cancel()
        await settle()
        assert work.begun == [0]
        work.go.release(2)
        assert await calls[2] == 2
        # The second was given up before its turn, and never ran.
        assert work.begun == [0, 2]
        assert work.at_once_max == 1

    asyncio.run(play())


def test_a_turn_that_fails_passes_the_turn_on() -> None:
    def panic() -> None:
        raise Panic

    async def play() -> None:
        turns = Turns("test")
        with pytest.raises(Panic):
            await turns.run(panic)
        assert await turns.run(lambda: 1) == 1

    asyncio.run(play())


def test_one_thread_takes_all_turns_and_ends_with_who_could_call_it() -> None:
    async def play() -> threading.Thread:
        turns = Turns("test")
        threads = {await turns.run(threading.current_thread) for _ in range(3)}
        assert len(threads) == 1
        return threads.pop()

    thread = asyncio.run(play())
    thread.join(SECONDS_MAX)
    assert not thread.is_alive()


def test_all_who_ask_while_it_runs_share_one_run() -> None:
    async def play() -> None:
        shared: Shared[int] = Shared("test")
        work = Work()
        calls = [asyncio.create_task(shared.run(lambda n=n: work(n))) for n in range(100)]  # type: ignore[misc]
        await until(lambda: bool(work.begun))
        calls[0].cancel()
        late = asyncio.create_task(shared.run(lambda: work(100)))
        await settle()
        work.go.release()
        assert await asyncio.gather(*calls[1:], late) == [0] * 100
        work.go.release()
        assert await shared.run(lambda: work(101)) == 101
        assert work.begun == [0, 101]

    asyncio.run(play())
