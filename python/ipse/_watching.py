"""Carries the calls that watch an engine: each look in turn, on one thread for all of them.

A caller who is slow costs the message that it has not taken: the next one is made when that is
gone, and one who takes nothing for too long is told where to go on.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import grpc.aio

from ipse import _native
from ipse._threads import Turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_LOOK_INTERVAL_S: Final = _native.WATCH_LOOK_INTERVAL_MS / 1_000


class Watchers:
    """Those who watch. Belongs to one event loop."""

    def __init__(self) -> None:
        self._turns = Turns("watch")
        self._news: set[asyncio.Event] = set()

    def wake(self) -> None:
        """Tell them that more is synced."""
        for news in self._news:
            news.set()

    async def carry(
        self, watch: _native.Watch, send: Callable[[bytes], Awaitable[None]]
    ) -> tuple[int, bytes]:
        """Send what a watch has to tell, as its caller takes it; why that ends."""
        loop = asyncio.get_running_loop()
        news = asyncio.Event()
        self._news.add(news)
        try:
            while True:
                news.clear()
                looked_s = loop.time()
                code, payload, wait_s = await self._turns.run(watch.next)
                if code:
                    return code, payload
                if payload:
                    await asyncio.wait_for(send(payload), _native.WATCH_SEND_S_MAX)
                elif wait_s:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(news.wait(), wait_s)
                    await asyncio.sleep(looked_s + _LOOK_INTERVAL_S - loop.time())
        except TimeoutError:
            return watch.too_slow()
        except grpc.aio.BaseError:
            # It has gone while a message was being sent: gRPC cancels its call at any moment.
            raise asyncio.CancelledError from None
        finally:
            self._news.discard(news)
