"""What carries calls between a port and an engine: the shape of both transports.

`asyncio` is grpc.aio with the event loop that the server lives on; `native` needs no Python for a
call. The server knows only what is here; what a call comes to is the engine's to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipse._door import Certificates
    from ipse._native import Engine, Tally
    from ipse.settings import ServerSettings


Absence: TypeAlias = Literal["recovering", "shutting_down", "failed"]
"""Why there is no engine to ask."""


class Carrier(Protocol):
    """Listens, then serves an engine from `attach` to `end`. Belongs to one event loop."""

    @property
    def tally(self) -> Tally:
        """What was answered."""

    @property
    def calls_in_flight(self) -> int:
        """How many calls are being answered or wait for the disk."""

    async def listen(self, certificates: Certificates | None) -> int:
        """Open the port, and say which it is; Failed if that is not possible.

        Calls are refused until `attach`. Without certificates nothing is encrypted.
        """

    def replace_certificates(self, certificates: Certificates) -> None:
        """Put others in force for new connections. Called on any thread; Failed, as `listen`."""

    async def set_health(self, name: str, *, is_serving: bool) -> None:
        """Say of a name whether health says that it is served."""

    async def set_health_gone(self) -> None:
        """Say that nothing is served any more, whatever else is said."""

    def attach(self, engine: Engine) -> None:
        """Begin to serve."""

    async def drain(self, grace_s: float) -> None:
        """Refuse new calls and wait for those in flight, but not longer than this."""

    def end(self, absence: Absence) -> None:
        """Refuse new calls, and those that still wait."""

    async def stop(self, grace_s: float) -> None:
        """End all connections; what was answered gets this long to reach its callers."""


def carrier_of(
    settings: ServerSettings, health_names: tuple[str, ...], look_after: Callable[[], None]
) -> Carrier:
    """Make the carrier that the settings ask for.

    `look_after` is called on the event loop when the engine may have failed or met a bug.
    """
    # Only here: neither's libraries are of use to the other.
    if settings.transport == "native":
        from ipse._native_carrier import NativeCarrier

        return NativeCarrier(settings, health_names, look_after)
    from ipse._asyncio_carrier import AsyncioCarrier

    return AsyncioCarrier(settings, health_names, look_after)


def host_port(host: str, port: int) -> str:
    """An address as it is written."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
