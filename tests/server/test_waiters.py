"""The calls that wait for the disk: released in the order of the log, not of their arrival."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps

from ipse._waiters import SyncWaiters


def in_a_loop(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    @wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


def waiters(waiting_max: int = 100) -> SyncWaiters:
    return SyncWaiters(asyncio.get_running_loop(), waiting_max)


@in_a_loop
async def test_a_group_releases_all_up_to_its_position_and_no_more() -> None:
    waiting = waiters()
    futures = [waiting.wait(position) for position in (1, 2, 2, 3)]
    waiting.release(2)
    assert [future.done() for future in futures] == [True, True, True, False]
    assert all(future.result() for future in futures[:3])
    assert len(waiting) == 1


@in_a_loop
async def test_a_read_that_rests_on_an_older_record_does_not_wait_for_newer_ones() -> None:
    waiting = waiters()
    newer = waiting.wait(9)
    older = waiting.wait(5)
    between = waiting.wait(7)
    waiting.release(6)
    assert older.done()
    assert not between.done()
    waiting.release(8)
    assert between.done()
    assert not newer.done()


@in_a_loop
async def test_a_caller_that_went_away_holds_nobody_up() -> None:
    waiting = waiters()
    gone, here = waiting.wait(1), waiting.wait(1)
    gone.cancel()
    waiting.release(1)
    assert here.result() is True
    assert gone.cancelled()


@in_a_loop
async def test_when_the_log_fails_nobody_goes_on_waiting() -> None:
    waiting = waiters()
    gone, here = waiting.wait(1), waiting.wait(2)
    gone.cancel()
    waiting.fail()
    assert here.result() is False
    assert len(waiting) == 0


@in_a_loop
async def test_the_bound_counts_those_that_went_away_until_their_record_is_on_disk() -> None:
    waiting = waiters(2)
    full = [waiting.full]
    waiting.wait(1).cancel()
    full.append(waiting.full)
    last = waiting.wait(2)
    full.append(waiting.full)
    waiting.release(1)
    full.append(waiting.full)
    assert full == [False, False, True, False]
    assert not last.done()
