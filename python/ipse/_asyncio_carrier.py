"""The transport of grpc.aio: a server on the event loop, with health and reflection beside ours."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, cast

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from ipse import _reflection
from ipse._carrier import host_port
from ipse.errors import Failed
from ipse.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipse._carrier import Absence
    from ipse._door import Certificates
    from ipse._native import Engine, Tally
    from ipse.settings import ServerSettings


class AsyncioCarrier:
    """Holds a `grpc.aio.Server`, and the `Service` that it asks."""

    def __init__(
        self,
        settings: ServerSettings,
        health_names: tuple[str, ...],
        look_after: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._health_names = health_names
        self.service = Service(settings, look_after)
        self._health = health.aio.HealthServicer()
        self._grpc = grpc.aio.server(options=_channel_options(settings))
        self._grpc.add_generic_rpc_handlers([self.service])
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        if settings.reflection:
            self._grpc.add_generic_rpc_handlers(_reflection.handlers(self.service.check_caller))
        # gRPC takes it at the next connection, on a thread of its own.
        self._newest: collections.deque[grpc.ServerCertificateConfiguration] = collections.deque(
            maxlen=1
        )

    @property
    def tally(self) -> Tally:
        """What was answered."""
        return self.service.tally

    @property
    def calls_in_flight(self) -> int:
        """How many calls are being answered or wait for the disk."""
        return self.service.calls_in_flight

    async def listen(self, certificates: Certificates | None) -> int:
        """Open the port, and say which it is."""
        for name in self._health_names:
            await self.set_health(name, is_serving=False)
        wanted = host_port(self._settings.host, self._settings.port)
        try:
            port = self._open(wanted, certificates)
        except RuntimeError:
            raise Failed(f"cannot listen on {wanted}: the port is taken or not allowed") from None
        await self._grpc.start()
        return port

    def replace_certificates(self, certificates: Certificates) -> None:
        """Put others in force for new connections."""
        self._newest.append(_configuration(certificates))

    async def set_health(self, name: str, *, is_serving: bool) -> None:
        """Say of a name whether health says that it is served."""
        status = health_pb2.HealthCheckResponse
        await self._health.set(name, status.SERVING if is_serving else status.NOT_SERVING)

    async def set_health_gone(self) -> None:
        """Say that nothing is served any more, whatever else is said."""
        await self._health.enter_graceful_shutdown()

    def attach(self, engine: Engine) -> None:
        """Begin to serve."""
        self.service.attach(engine)

    async def drain(self, grace_s: float) -> None:
        """Refuse new calls and wait for those in flight, but not longer than this."""
        await self.service.drain(grace_s)

    def end(self, absence: Absence) -> None:
        """Refuse new calls, and those that still wait."""
        self.service.end(absence)

    async def stop(self, grace_s: float) -> None:
        """End all connections; what was answered gets this long to reach its callers."""
        await self._grpc.stop(grace_s)

    def _open(self, address: str, certificates: Certificates | None) -> int:
        if certificates is None:
            return self._grpc.add_insecure_port(address)
        credentials = grpc.dynamic_ssl_server_credentials(
            _configuration(certificates),
            self._take_newest,
            require_client_authentication=certificates.client_ca is not None,
        )
        return self._grpc.add_secure_port(address, credentials)

    def _take_newest(self) -> grpc.ServerCertificateConfiguration:
        try:
            return self._newest.pop()
        except IndexError:
            # None means that nothing changed, which the declared type forgets.
            return cast("grpc.ServerCertificateConfiguration", None)


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    pairs = [(certificates.key, certificates.chain)]
    return grpc.ssl_server_certificate_configuration(pairs, certificates.client_ca)


def _channel_options(settings: ServerSettings) -> list[tuple[str, Any]]:
    return [
        # A second server on this port must fail to start, not take half of the calls.
        ("grpc.so_reuseport", 0),
        # Twice the bound that is refused by name: gRPC's own refusal names nothing.
        ("grpc.max_receive_message_length", 2 * settings.message_bytes_max),
        # Reads are bounded by name, and writes by their request.
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", settings.concurrent_streams_max),
        # Else gRPC resets calls, as UNAVAILABLE, of clients that keep to the number above: it
        # counts those that it has answered and not cleared away yet.
        ("grpc.http.overload_protection", 0),
        # Calls that Python has not come to yet. gRPC refuses some from the first number on and all
        # from the second, at no cost to Python; but with UNAVAILABLE and no delay, so only if there
        # are very many connections.
        ("grpc.server.max_pending_requests", 8_000),
        ("grpc.server.max_pending_requests_hard_limit", 16_000),
        # A peer that is gone is noticed within 80 s; clients may ask each 10 s.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]
