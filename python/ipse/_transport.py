"""What both gRPC clients share: channel options, retry policy, errors. Opens no connection.

Two kinds of retry, both bounded. UNAVAILABLE, and CANCELLED by a server that stops, is retried by
gRPC itself, by the service config below, for calls that are harmless to repeat: resolving is, and
so is everything that only reads. Commands are retried too: with an operation id a repeat gets the
recorded answer; without one it is judged again (a merge finds its sources merged, a split no longer
finds what it took out). RESOURCE_EXHAUSTED is retried by our carriers, and only when the server
says how long to wait.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from ipse._services import ADMIN, HISTORY, IDENTITY
from ipse.errors import (
    Code,
    ConfigError,
    IpseError,
    ResourceExhausted,
    from_code,
    from_status_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    import grpc
    import grpc.aio

ENVIRONMENT_VARIABLE: Final = "IPSE_TOKEN"
DEFAULT_ADDRESS: Final = "127.0.0.1:4773"
DEFAULT_TIMEOUT_S: Final = 10.0
READY_SERVICE: Final = "ipse.writes"
HEALTH_WATCH: Final = "/grpc.health.v1.Health/Watch"
DETAILS_KEY: Final = "grpc-status-details-bin"

LENGTHENED_ATTEMPTS_MAX: Final = 8
"""A call that is refused again and again for now waits the longer, up to so many delays."""

_RESPONSE_BYTES_MAX: Final = 64 * 1024 * 1024
_METADATA_BYTES_MAX: Final = 64 * 1024

# Repeating CreateWorkspace would answer WORKSPACE_EXISTS to the one who made it, and SetRules with
# an expected version RULES_VERSION_MISMATCH: those two are left to the caller.
_RETRIED_ADMIN_METHODS: Final = (
    "ListWorkspaces",
    "GetWorkspace",
    "GetRules",
    "ValidateRules",
    "Checkpoint",
    "GetStats",
)

SERVICE_CONFIG: Final = json.dumps(
    {
        "methodConfig": [
            {
                "name": [
                    {"service": IDENTITY},
                    {"service": HISTORY},
                    *({"service": ADMIN, "method": method} for method in _RETRIED_ADMIN_METHODS),
                ],
                "retryPolicy": {
                    "maxAttempts": 5,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 2,
                    # A server that stops ends the calls that just came in with CANCELLED.
                    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
                },
            }
        ],
        # A server that fails most calls is not helped by four times as many of them.
        "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
    }
)

CHANNEL_OPTIONS: Final[tuple[tuple[str, Any], ...]] = (
    ("grpc.service_config", SERVICE_CONFIG),
    ("grpc.enable_retries", 1),
    ("grpc.max_receive_message_length", _RESPONSE_BYTES_MAX),
    ("grpc.max_metadata_size", _METADATA_BYTES_MAX),
    # The server allows a ping each 10 s; a dead peer is noticed within 50 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # gRPC waits up to two minutes before it looks for a restarted server again.
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Clients that happen to name one server do not share a connection, nor its troubles.
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How a client's connection is encrypted; each is the path of a PEM file, or empty.

    `ca`: the authorities that a server's certificate may be signed by; empty: those that gRPC
    brings. `certificate` and `key`: the client's own, for a server that asks for one.
    `server_name`: the name that the server's certificate must have, if not the address's.
    """

    ca: str | os.PathLike[str] = ""
    certificate: str | os.PathLike[str] = ""
    key: str | os.PathLike[str] = ""
    server_name: str = ""

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files; ConfigError names the one that cannot be."""
        import grpc

        if bool(self.certificate) != bool(self.key):
            raise ConfigError("tls", "certificate and key are needed together")
        files = (self.ca, self.key, self.certificate)
        return grpc.ssl_channel_credentials(*(_read(path) for path in files))


class Way:
    """How a server is reached: its address, whether encrypted, and the token to show.

    `tls`: None or False: not encrypted; True: as `Tls()` says. `token`: None: the one in the
    environment, IPSE_TOKEN, if any; empty: none. A token is never sent unencrypted to another
    machine unless `tls` is False in so many words.
    """

    __slots__ = ("_credentials", "_options", "address", "metadata")

    def __init__(self, address: str, *, tls: Tls | bool | None, token: str | None) -> None:
        self.address = address
        tls_or_none = Tls() if tls is True else (tls or None)
        self._credentials = None if tls_or_none is None else tls_or_none.credentials()
        self._options: list[tuple[str, Any]] = []
        if tls_or_none is not None and tls_or_none.server_name:
            self._options = [("grpc.ssl_target_name_override", tls_or_none.server_name)]
        word = os.environ.get(ENVIRONMENT_VARIABLE, "") if token is None else token
        self.metadata = _metadata_of(word.strip())
        """What every call carries."""
        if self.metadata and tls is None and not _is_local(address):
            raise ConfigError(
                "tls",
                f"the token would travel unencrypted to {address}; use TLS, or say that something "
                "else protects the connection with tls=False",
            )

    def channel(self, options: Iterable[tuple[str, Any]]) -> grpc.Channel:
        """Make a channel of the blocking kind."""
        import grpc

        options = [*options, *self._options]
        if self._credentials is None:
            return grpc.insecure_channel(self.address, options)
        return grpc.secure_channel(self.address, self._credentials, options)

    def aio_channel(self, options: Iterable[tuple[str, Any]]) -> grpc.aio.Channel:
        """Make a channel of the asyncio kind."""
        import grpc.aio

        options = [*options, *self._options]
        if self._credentials is None:
            return grpc.aio.insecure_channel(self.address, options)
        return grpc.aio.secure_channel(self.address, self._credentials, options)


def _read(path: str | os.PathLike[str]) -> bytes | None:
    try:
        return Path(path).read_bytes() if path else None
    except OSError as error:
        raise ConfigError("tls", f"{path}: cannot be read: {error.strerror}") from None


def _metadata_of(token: str) -> tuple[tuple[str, str], ...]:
    if not token:
        return ()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError("token", "must be one word of printable ASCII")
    return (("authorization", f"Bearer {token}"),)


def _is_local(address: str) -> bool:
    """Whether nobody else can listen on the way; what is not understood is not."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host, colon, port = address.removeprefix("dns:///").rpartition(":")
    host = (host if colon and port.isdigit() else address).strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def error_of(failure: grpc.RpcError) -> IpseError:
    """Make our exception of gRPC's: with all details if the status came from ipse."""
    # Both clients raise failures that are calls too, which the declared type does not say.
    call = cast("Any", failure)
    trailing: Iterable[tuple[str, str | bytes]] = call.trailing_metadata() or ()
    for key, value in trailing:
        if key == DETAILS_KEY and isinstance(value, bytes):
            return from_status_bytes(value)
    return from_code(call.code().value[0], call.details() or call.code().name)


def is_passing(failure: grpc.RpcError) -> bool:
    """Say whether one who waits for a server may look again: it is away, or time is up."""
    passing = {Code.UNAVAILABLE, Code.CANCELLED, Code.DEADLINE_EXCEEDED}
    return error_of(failure).code in passing


def pause_s(error: IpseError, attempt: int, time_left_s: float) -> float | None:
    """Say how long to wait before the next attempt; None: give up and raise the error."""
    delay_s = error.retry_delay_s
    if not isinstance(error, ResourceExhausted) or delay_s is None:
        return None
    # A server that has to refuse the same call again has more to do than it knew.
    delay_s *= min(attempt, LENGTHENED_ATTEMPTS_MAX)
    return delay_s if delay_s < time_left_s else None
