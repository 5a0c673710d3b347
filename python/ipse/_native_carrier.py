"""The native transport, as the server sees it. Wakes for what operators do and for trouble only."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from typing import TYPE_CHECKING, Final

from ipse import _native
from ipse._carrier import host_port
from ipse._threads import run_aside
from ipse.errors import Code, Failed
from ipse.telemetry import audit

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipse._carrier import Absence
    from ipse._door import Certificates
    from ipse._native import Engine
    from ipse.settings import ServerSettings

_LOCALHOST: Final = ("127.0.0.1", "::1")
_WAKE_BYTES_MAX: Final = 65_536


class NativeCarrier:
    """Holds a `_native.NativeServer`."""

    def __init__(
        self,
        settings: ServerSettings,
        health_names: tuple[str, ...],
        look_after: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._health_names = health_names
        self._look_after = look_after
        self._loop = asyncio.get_running_loop()
        self._server: _native.NativeServer | None = None
        self.tally = _native.Tally()
        """What was answered."""

    @property
    def calls_in_flight(self) -> int:
        """How many calls are being answered or wait for the disk."""
        return self._server.calls_in_flight() if self._server is not None else 0

    async def listen(self, certificates: Certificates | None) -> int:
        """Open the port, and say which it is."""
        settings = self._settings
        hosts = _LOCALHOST if settings.host == "localhost" else (settings.host,)
        try:
            self._server = server = _native.NativeServer(
                [(host, settings.port) for host in hosts],
                self.tally,
                health_names=list(self._health_names),
                descriptors=_descriptors() if settings.reflection else None,
                certificates=certificates,
                workers=settings.native_workers,
                calls_in_flight_max=settings.calls_in_flight_max,
                waiting_calls_max=settings.waiting_calls_max,
                message_bytes_max=settings.message_bytes_max,
                response_bytes_max=settings.response_bytes_max,
                concurrent_streams_max=settings.concurrent_streams_max,
            )
        except ValueError as problem:
            raise _not_believable(problem) from None
        except OSError as error:
            wanted = host_port(settings.host, settings.port)
            raise Failed(f"cannot listen on {wanted}: {error}") from None
        self._loop.add_reader(server.wake_fd(), self._on_wake, server)
        return server.port()

    def replace_certificates(self, certificates: Certificates) -> None:
        """Put others in force for new connections."""
        if self._server is None:
            return
        try:
            self._server.replace_certificates(certificates)
        except ValueError as problem:
            raise _not_believable(problem) from None

    async def set_health(self, name: str, *, is_serving: bool) -> None:
        """Say of a name whether health says that it is served."""
        if self._server is not None:
            self._server.set_health(name, is_serving)

    async def set_health_gone(self) -> None:
        """Say that nothing is served any more, whatever else is said."""
        if self._server is not None:
            self._server.set_health_gone()

    def attach(self, engine: Engine) -> None:
        """Begin to serve."""
        assert self._server is not None, "it listens first"
        self._server.attach(engine)

    async def drain(self, grace_s: float) -> None:
        """Refuse new calls and wait for those in flight, but not longer than this."""
        if self._server is not None:
            draining = functools.partial(self._server.drain, "shutting_down", grace_s)
            await run_aside("drain", draining)

    def end(self, absence: Absence) -> None:
        """Refuse new calls, and those that still wait."""
        if self._server is not None:
            self._server.end(absence)

    async def stop(self, grace_s: float) -> None:
        """End all connections; what was answered gets this long to reach its callers."""
        server, self._server = self._server, None
        if server is None:
            return
        await run_aside("stop", functools.partial(server.stop, grace_s))
        self._loop.remove_reader(server.wake_fd())
        _write_audits(server)

    def _on_wake(self, server: _native.NativeServer) -> None:
        # Emptied first: what comes in between wakes the loop again.
        with contextlib.suppress(BlockingIOError):
            os.read(server.wake_fd(), _WAKE_BYTES_MAX)
        _write_audits(server)
        self._look_after()


def _write_audits(server: _native.NativeServer) -> None:
    for token, workspace, method, peer, code in server.take_audits():
        audit(token, workspace, method, peer, Code(code).name)


def _descriptors() -> bytes:
    from ipse import _reflection

    return _reflection.descriptors()


def _not_believable(problem: ValueError) -> Failed:
    return Failed(f"tls_certificate: {problem}")
