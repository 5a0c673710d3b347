"""The settings of a server: every one with its default, its unit, its bounds and what it is for.

This module reads no file, flag or environment variable: it is the one list that those who do
(the command line) and those who obey (the server) share. `help_of` and `bounds_of` give them
the words and numbers, so that nothing is written down twice.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from typing import Any, Final, Literal

from ipse.errors import ConfigError

SYNC_POLICIES: Final = ("always", "interval", "off")
TRANSPORTS: Final = ("asyncio", "native")

_KIB: Final = 1024
_MIB: Final = 1024 * _KIB
_GIB: Final = 1024 * _MIB


def _setting(
    default: Any,
    doc: str,
    *,
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    metadata = {"doc": doc, "least": least, "most": most, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How to run a server. `validate` before use; each field's text is in its metadata."""

    host: str = _setting(
        "127.0.0.1",
        "The IP address, or `localhost`, to listen on. One that is not loopback needs a "
        "certificate and tokens, or `insecure`.",
    )
    port: int = _setting(
        4773, "The TCP port to listen on; 0 lets the system choose one.", least=0, most=65_535
    )
    transport: Literal["asyncio", "native"] = _setting(
        "asyncio",
        "What carries calls: `asyncio`, gRPC's own server in Python; or `native`, threads of Rust "
        "that need no Python for a call. Both answer alike.",
        choices=TRANSPORTS,
    )
    native_workers: int = _setting(
        0,
        "Threads that carry calls under `transport = native`; 0: one for each core, from 2 to 16.",
        least=0,
        most=256,
    )
    insecure: bool = _setting(
        False,
        "Listen on an address that other machines can reach, without encryption or authentication.",
    )
    tokens: str = _setting(
        "",
        "The file of API tokens, which `ipse token` writes; calls without one of them are refused. "
        "It is read again when it changes.",
    )
    tls_certificate: str = _setting(
        "",
        "The file of the server's certificate chain (PEM). With it, connections are encrypted. It "
        "is read again when it changes.",
    )
    tls_key: str = _setting("", "The file of that certificate's key (PEM, without a password).")
    tls_client_ca: str = _setting(
        "",
        "A file of certificates (PEM); only clients with a certificate that one of these signed "
        "may connect.",
    )
    data_dir: str = _setting(
        "ipse-data", "The directory of log and snapshots; made if it is missing."
    )
    sync: Literal["always", "interval", "off"] = _setting(
        "always",
        "When an answer may be sent: `always` after its record is on disk; `interval` at once, "
        "with a sync each `sync_interval_ms`; `off` at once, and the system syncs when it likes.",
        choices=SYNC_POLICIES,
    )
    sync_interval_ms: int = _setting(
        100, "Milliseconds between syncs under `sync = interval`.", least=1, most=60_000
    )
    segment_size_bytes: int = _setting(
        64 * _MIB,
        "Bytes of log in one file before the next is begun.",
        least=64 * _KIB,
        most=4 * _GIB,
    )
    snapshot_log_bytes: int = _setting(
        256 * _MIB,
        "Bytes of log since the newest snapshot that cause the next one. Less means a quicker "
        "start and more writing.",
        least=64 * _KIB,
        most=1024 * _GIB,
    )
    history_retention_days: int = _setting(
        30,
        "Days that log is kept after recovery needs it no more, for questions about the past; "
        "0 keeps none.",
        least=0,
        most=36_500,
    )
    history_retention_bytes: int = _setting(
        4 * _GIB,
        "Bytes of such log that are kept at most, whatever its age; the oldest goes first. "
        "0 keeps none.",
        least=0,
        most=1024 * 1024 * _GIB,
    )
    write_queue_bytes_max: int = _setting(
        64 * _MIB,
        "Bytes of records that may wait for the disk; beyond it writes are refused with "
        "WRITE_QUEUE_FULL.",
        least=64 * _KIB,
        most=16 * _GIB,
    )
    identifiers_max: int = _setting(
        0,
        "Identifiers that all workspaces may hold together; 0 is no bound. Beyond it known people "
        "are still answered, and nobody new is taken in (CEILING_REACHED).",
        least=0,
        most=2**63 - 1,
    )
    memory_bytes_max: int = _setting(
        0,
        "Bytes of memory that all workspaces may take together, likewise; 0 is 60 percent of what "
        "the machine or the control group has.",
        least=0,
        most=2**63 - 1,
    )
    workspace_identifiers_max: int = _setting(
        0,
        "Identifiers that each workspace may hold, likewise; 0 is no bound of its own.",
        least=0,
        most=2**63 - 1,
    )
    workspace_memory_bytes_max: int = _setting(
        0,
        "Bytes of memory that each workspace may take, likewise; 0 is no bound of its own.",
        least=0,
        most=2**63 - 1,
    )
    waiting_calls_max: int = _setting(
        16_384,
        "Calls that may wait for the disk; beyond it calls are refused with WRITE_QUEUE_FULL.",
        least=1,
        most=1_000_000,
    )
    calls_in_flight_max: int = _setting(
        512,
        "Calls that are answered or wait for the disk at a time, over all connections; beyond it "
        "single events, commands and reads are refused with OVERLOADED and told when to come back.",
        least=1,
        most=1_000_000,
    )
    queue_wait_ms_max: int = _setting(
        250,
        "Milliseconds that a batch may be expected to wait for its turn or for the disk, and a "
        "single event or command twice as many; beyond it they are refused with OVERLOADED and "
        "told when to come back. 0: as long as it takes.",
        least=0,
        most=600_000,
    )
    held_bytes_max: int = _setting(
        512 * _MIB,
        "Bytes of requests that wait for their turn and of answers that their callers have not "
        "read; beyond it batches and reads are refused with OVERLOADED. 0: no bound.",
        least=0,
        most=1024 * _GIB,
    )
    workspace_events_per_s_max: int = _setting(
        0,
        "Events, commands and imported profiles per second of one workspace; beyond it they are "
        "refused with RATE_LIMITED and told when to come back. 0: no bound.",
        least=0,
        most=1_000_000_000,
    )
    workspace_burst: int = _setting(
        1_000,
        "As many of them at once, after a silence, if `workspace_events_per_s_max` is set.",
        least=1,
        most=1_000_000_000,
    )
    message_bytes_max: int = _setting(
        16 * _MIB,
        "Bytes of one request; a larger one is refused with LIMIT_EXCEEDED.",
        least=64 * _KIB,
        # The engine's own bound.
        most=16 * _MIB,
    )
    response_bytes_max: int = _setting(
        64 * _MIB,
        "Bytes of one response; a read that would pass it is refused with LIMIT_EXCEEDED.",
        least=64 * _KIB,
        most=512 * _MIB,
    )
    concurrent_streams_max: int = _setting(
        128,
        "Calls in flight on one connection. The client queues the rest, where they cost the server "
        "nothing and end with their deadlines.",
        least=1,
        most=65_536,
    )
    metrics_port: int = _setting(
        0,
        "The TCP port, of 127.0.0.1 only, for `/metrics` (Prometheus text), `/healthz` and "
        "`/readyz` over HTTP; 0: none.",
        least=0,
        most=65_535,
    )
    reflection: bool = _setting(
        True, "Offer gRPC reflection, so that stock tools can list and call the services."
    )
    drain_delay_s: float = _setting(
        0.0,
        "Seconds to go on serving after health says NOT_SERVING at shutdown, for load balancers.",
        least=0,
        most=600,
    )
    drain_grace_s: float = _setting(
        10.0, "Seconds that calls in flight get to end at shutdown.", least=0, most=600
    )

    def validate(self) -> ServerSettings:
        """Itself, if every value is allowed; ConfigError names the first that is not."""
        for field in dataclasses.fields(self):
            _check_field(field, getattr(self, field.name))
        if not self.data_dir:
            raise ConfigError("data_dir", "must name a directory")
        self._check_tls()
        self._check_host()
        return self

    def _check_tls(self) -> None:
        if bool(self.tls_certificate) != bool(self.tls_key):
            missing = "tls_key" if self.tls_certificate else "tls_certificate"
            raise ConfigError(missing, "certificate and key are needed together")
        if self.tls_client_ca and not self.tls_certificate:
            raise ConfigError("tls_client_ca", "is of no use without `tls_certificate`")

    def _check_host(self) -> None:
        if self.host == "localhost":
            return
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            raise ConfigError(
                "host", f"must be an IP address or `localhost`, not {self.host!r}"
            ) from None
        guarded = bool(self.tls_certificate and self.tokens)
        if not address.is_loopback and not guarded and not self.insecure:
            missing = " and ".join(
                word
                for word, given in (
                    ("no encryption (`tls_certificate`, `tls_key`)", self.tls_certificate),
                    ("no authentication (`tokens`)", self.tokens),
                )
                if not given
            )
            raise ConfigError(
                "host",
                f"{self.host} can be reached from other machines, and this server would have "
                f"{missing}; listen on 127.0.0.1, or set `insecure` if something else protects "
                "the port",
            )


def help_of(field: dataclasses.Field[Any]) -> str:
    """What a setting is for, in a sentence or two."""
    return str(field.metadata["doc"])


def bounds_of(field: dataclasses.Field[Any]) -> tuple[float | None, float | None]:
    """The least and the most that a setting may be."""
    return field.metadata["least"], field.metadata["most"]


def choices_of(field: dataclasses.Field[Any]) -> tuple[str, ...] | None:
    """The words that a setting may be; None: any."""
    choices: tuple[str, ...] | None = field.metadata["choices"]
    return choices


def _check_field(field: dataclasses.Field[Any], value: object) -> None:
    expected = type(field.default)
    if expected is float and type(value) is int:
        value = float(value)
    if type(value) is not expected:
        raise ConfigError(
            field.name, f"must be {_article(expected)}, not {type(value).__name__} {value!r}"
        )
    choices = choices_of(field)
    if choices is not None and value not in choices:
        raise ConfigError(field.name, f"must be one of {', '.join(choices)}, not {value!r}")
    if isinstance(value, (int, float)):
        _check_bounds(field, value)


def _check_bounds(field: dataclasses.Field[Any], value: float) -> None:
    least, most = bounds_of(field)
    # Written so that NaN, which compares false with everything, is refused too.
    if least is not None and most is not None and not least <= value <= most:
        raise ConfigError(field.name, f"must be from {least} to {most}, not {value}")


def _article(kind: type) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return names[kind]
