"""Figures for monitoring over HTTP: `/metrics` (Prometheus text), `/healthz`, `/readyz`.

    scraper ─> thread of this module ─> reads counters as they stand
                       └ /healthz ─> event loop: does it still turn?

On a thread of its own, so that it answers while the event loop is busy, and says so. It asks for
no token and has no encryption, and so listens on loopback only. It tells how much, never who. One
request at a time: a scraper that is slow is waited for, within bounds, by scrapers only.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from ipse.errors import Code, Failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from prometheus_client.core import Metric

    from ipse import _native

HOST: Final = "127.0.0.1"
TEXT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

State: TypeAlias = Literal["recovering", "serving", "draining", "failed"]
"""What a server does at the moment."""

_REQUEST_S_MAX: Final = 5.0
_LOOP_S_MAX: Final = 5.0
_US_PER_S: Final = 1_000_000
_UNIT_STEP: Final = 1000


class Monitor(Collector):
    """What is to be seen of one server, which says what it does."""

    def __init__(
        self, tally: _native.Tally, data_dir: str, progress: _native.RecoveryProgress
    ) -> None:
        self.state: State = "recovering"
        self.engine: _native.Engine | None = None
        self._tally = tally
        self._data_dir = Path(data_dir)
        self._progress = progress
        self._loop = asyncio.get_running_loop()
        self._began = time.monotonic()

    def collect(self) -> Iterator[Metric]:
        """Read every figure once."""
        yield from self._states()
        yield from _progress(*self._progress.now())
        yield from _calls(self._tally)
        engine = self.engine
        if engine is None:
            return
        yield from _figures(engine.metrics())
        yield from _distributions(engine.distributions())
        yield from _labelled(engine.refused_identifiers())
        yield from _recovery(engine.recovery())

    def show(self, state: State, engine: _native.Engine | None = None) -> None:
        """Say what the server does now, and with which engine; of none nothing is asked."""
        self.engine = engine
        self.state = state

    def words(self) -> str:
        """Say the state, and of a recovery how far it has come."""
        state = self.state
        read, to_read = self._progress.now()
        if state != "recovering" or not to_read:
            return state
        return f"{state}: {100 * read // to_read} % of {_size(to_read)}"

    def loop_turns(self) -> bool:
        """Whether the event loop still does what it is asked to."""
        turned = threading.Event()
        try:
            self._loop.call_soon_threadsafe(turned.set)
        except RuntimeError:
            return False
        return turned.wait(_LOOP_S_MAX)

    def _states(self) -> Iterator[Metric]:
        states = GaugeMetricFamily("ipse_state", "1 for what the server does.", labels=["state"])
        for state in get_args(State):
            states.add_metric([state], float(state == self.state))
        yield states
        up_s = time.monotonic() - self._began
        yield GaugeMetricFamily("ipse_up_seconds", "Since the process serves or recovers.", up_s)
        newest = self._newest_snapshot_time()
        if newest is not None:
            age_s = max(time.time() - newest, 0)
            yield GaugeMetricFamily("ipse_snapshot_age_seconds", "Of the newest snapshot.", age_s)

    def _newest_snapshot_time(self) -> float | None:
        newest: float | None = None
        for path in self._data_dir.glob("snapshot-*.snap"):
            # A checkpoint removes the oldest meanwhile.
            with contextlib.suppress(OSError):
                newest = max(newest or 0.0, path.stat().st_mtime)
        return newest


class MetricsServer:
    """The HTTP server of a `Monitor`, on its thread."""

    def __init__(self, monitor: Monitor, port: int) -> None:
        self.monitor = monitor
        registry = CollectorRegistry()
        registry.register(monitor)
        ProcessCollector(registry=registry)
        handler = type("Handler", (_Handler,), {"monitor": monitor, "registry": registry})
        try:
            self._http = http.server.HTTPServer((HOST, port), handler)
        except OSError as error:
            raise Failed(f"cannot listen for metrics on {HOST}:{port}: {error.strerror}") from None
        self._thread = threading.Thread(
            target=self._http.serve_forever, name="ipse-metrics", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """Where it listens, `host:port`."""
        return f"{HOST}:{self._http.server_address[1]}"

    def close(self) -> None:
        """Stop to listen; blocks until the request in hand is answered."""
        self._http.shutdown()
        self._thread.join(_REQUEST_S_MAX)
        self._http.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    monitor: Monitor
    registry: CollectorRegistry
    # Bounds each wait for a scraper; nobody else waits for one.
    timeout = _REQUEST_S_MAX
    server_version = "ipse"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, generate_latest(self.registry), TEXT_TYPE)
        elif path == "/healthz":
            alive = self.monitor.loop_turns()
            self._answer(200 if alive else 503, b"ok\n" if alive else b"the event loop hangs\n")
        elif path == "/readyz":
            state = self.monitor.state
            text = f"{self.monitor.words()}\n".encode()
            self._answer(200 if state == "serving" else 503, text)
        else:
            self._answer(404, b"there is /metrics, /healthz and /readyz\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name there
        """Say nothing: a scraper comes every few seconds."""

    def _answer(self, code: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        # One who has gone away wants nothing.
        with contextlib.suppress(OSError):
            self.wfile.write(body)


def _calls(tally: _native.Tally) -> Iterator[Metric]:
    calls = CounterMetricFamily("ipse_calls", "Calls by outcome.", labels=["method", "code"])
    for method, code, count in tally.codes():
        calls.add_metric([method, Code(code).name], count)
    yield calls
    seconds = HistogramMetricFamily(
        "ipse_call_seconds",
        "From a call's being read to its answer, the wait for the disk included.",
        labels=["method"],
    )
    for method, counts, sum_s in tally.times():
        seconds.add_metric([method], _buckets(tally.bounds_s(), counts), sum_s)
    yield seconds


def _figures(figures: dict[str, int | float]) -> Iterator[Metric]:
    for name, value in figures.items():
        base, total, _ = name.partition("_total")
        if not total:
            yield GaugeMetricFamily(f"ipse_{name}", _words(name), value)
        elif name != "calls_total":
            # That one has labels, and is counted where they are known.
            yield CounterMetricFamily(f"ipse_{base}", _words(base), value)


def _distributions(
    found: dict[str, tuple[list[int], list[int], int]],
) -> Iterator[Metric]:
    for key, (bounds, counts, total) in found.items():
        scale = _US_PER_S if key.endswith("_microseconds") else 1
        name = key.replace("_microseconds", "_seconds")
        yield HistogramMetricFamily(
            f"ipse_{name}",
            _words(name),
            _buckets([bound / scale for bound in bounds], counts),
            total / scale,
        )


def _labelled(refused: Iterable[tuple[str, int]]) -> Iterator[Metric]:
    identifiers = CounterMetricFamily(
        "ipse_refused_identifiers",
        "Identifiers that a rule dropped or kept where they were.",
        labels=["rule"],
    )
    for rule, count in refused:
        identifiers.add_metric([rule], count)
    yield identifiers


def _recovery(found: dict[str, int | float | str | bool]) -> Iterator[Metric]:
    for name in ("seconds", "replayed_record_count", "torn_bytes"):
        help_text = f"{_words(name)} of the recovery at the start"
        yield GaugeMetricFamily(f"ipse_recovery_{name}", help_text, float(found[name]))


def _progress(read: int, to_read: int) -> Iterator[Metric]:
    help_text = "Of snapshot and log, by the recovery at the start."
    yield GaugeMetricFamily("ipse_recovery_bytes_read", help_text, read)
    yield GaugeMetricFamily("ipse_recovery_bytes_to_read", help_text, to_read)


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < _UNIT_STEP:
            return f"{size:.0f} {unit}"
        size /= _UNIT_STEP
    return f"{size:.1f} GB"


def _buckets(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Cumulative, as the format has it, the last without a bound."""
    names = [*(format(bound, "g") for bound in bounds), "+Inf"]
    so_far = 0
    buckets: list[tuple[str, float]] = []
    for name, count in zip(names, counts, strict=True):
        so_far += count
        buckets.append((name, so_far))
    return buckets


def _words(name: str) -> str:
    return name.replace("_", " ")
