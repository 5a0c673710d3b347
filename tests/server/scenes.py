"""A server inside the test's own process, and an engine in trouble for it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeAlias

import ipse
import pytest
from ipse import ServerSettings, _native, server
from ipse._asyncio_carrier import AsyncioCarrier
from ipse.service import Service

from tests.server_process import TRANSPORT_VARIABLE

SECONDS_MAX = 30.0

Scene: TypeAlias = Callable[[server.Server, ipse.aio.Client], Coroutine[None, None, None]]


def in_process(
    scene: Scene,
    data_dir: Path,
    **settings: Any,
) -> None:
    """Play a scene on a server that listens inside this process; the scene lets it recover."""

    async def play() -> None:
        transport: Any = os.environ.get(TRANSPORT_VARIABLE, "asyncio")
        wanted = ServerSettings(port=0, data_dir=str(data_dir), transport=transport, **settings)
        running = server.Server(wanted)
        try:
            await running.listen()
            async with ipse.aio.Client(running.address, timeout_s=5) as client:
                await scene(running, client)
        finally:
            await running.drain()

    asyncio.run(play())


def service_of(running: server.Server) -> Service:
    """What asyncio's carrier asks, to look inside."""
    carrier = running._carrier
    assert isinstance(carrier, AsyncioCarrier)
    return carrier.service


class Panic(BaseException):
    """What a panic of the engine is to Python: no `Exception`."""


class TroubledEngine:
    """An engine of which some methods are the test's own; all others are the real one's."""

    def __init__(self, real: _native.Engine, **methods: Callable[..., Any]) -> None:
        self.real = real
        self.methods = methods

    def __getattr__(self, name: str) -> Any:
        return self.methods.get(name) or getattr(self.real, name)


def trouble(monkeypatch: pytest.MonkeyPatch, **methods: Callable[..., Any]) -> None:
    """Let the servers that a test makes have such an engine."""
    real_open = server._open

    def open_troubled(settings: ServerSettings, *others: Any) -> Any:
        return TroubledEngine(real_open(settings, *others), **methods)

    monkeypatch.setattr(server, "_open", open_troubled)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what only looking can tell."""
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)
