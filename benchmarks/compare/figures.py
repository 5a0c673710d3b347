"""The figures that this project set itself, beside what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.compare.plan import (
    ASYNCIO,
    EMPTY_ASYNCIO,
    EMPTY_NATIVE,
    NATIVE,
    NATIVE_INTERVAL,
    REDIS_ALWAYS,
    REDIS_EVERYSEC,
)

RESTARTED = "ipse after a restart from its snapshot"
REPLAY = "replay after a kill"
LOAD_FILE = "`ipse load`, pinned to one core"
#: What systems are filled with where the figures of servers are to be reached.
IDENTIFIERS_WISHED = 10_000_000


class Found:
    """Results by name; what was not measured is NaN, which no wish is fulfilled by."""

    def __init__(self, results: dict[str, Any]) -> None:
        size = results["sizes"][-1]
        self.identifiers: int = size["identifiers"]
        self._rows = {row["key"]: row["systems"] for row in size["rows"]}
        self._filled = {filled["system"]: filled for filled in size["filled"]}
        self._core = {round(found["identifiers"], -4): found for found in results["core"]}
        self._single = results["single"]

    def rate(self, row: str, system: str) -> float:
        """Events per second."""
        return self.of(row, system, "events_per_s")

    def of(self, row: str, system: str, figure: str) -> float:
        """A figure of a row."""
        return float(self._rows.get(row, {}).get(system, {}).get(figure, math.nan))

    def core(self, identifiers: int, figure: str) -> float:
        """A figure of the bare core; NaN at a size that it was not asked at."""
        return float(self._core.get(identifiers, {}).get(figure, math.nan))

    def filled(self, system: str, figure: str) -> float:
        """A figure of a system that was filled."""
        return float(self._filled.get(system, {}).get(figure, math.nan))

    def single(self, what: str, figure: str) -> float:
        """A figure of what was measured once."""
        return float(self._single.get(what, {}).get(figure, math.nan))


@dataclass(frozen=True)
class Wish:
    """A figure to reach, and how far it was."""

    what: str
    wanted: str
    value: float
    is_reached: bool

    def line(self) -> str:
        """A line of the table."""
        if math.isnan(self.value):
            return f"| {self.what} | {self.wanted} | not measured | |"
        word = "yes" if self.is_reached else "**no**"
        return f"| {self.what} | {self.wanted} | {number(self.value)} | {word} |"


def table(results: dict[str, Any]) -> Iterator[str]:
    """A line for each wish; rates of the largest size, which is at most the one wished for."""
    yield "\n| figure to reach | wanted | measured | reached |"
    yield "|---|---|---|---|"
    yield from (wish.line() for wish in _wishes(Found(results)))


def _wishes(found: Found) -> Iterator[Wish]:
    yield from _core(found)
    if found.identifiers > IDENTIFIERS_WISHED:
        return
    yield from _batches(found)
    yield from _single_calls(found)
    yield _most("restart from a snapshot, s", 4, found.filled(RESTARTED, "seconds"))
    yield _least("replay, records/s", 1e6, found.single(REPLAY, "records_per_second"))
    one_core = found.single(LOAD_FILE, "events_per_second")
    yield _least("`ipse load`, loader and server on one core, events/s", 150_000, one_core)


def _core(found: Found) -> Iterator[Wish]:
    for size, wanted in ((100_000, 3e6), (10_000_000, 1.5e6), (50_000_000, 1e6)):
        steady = found.core(size, "steady_events_per_second")
        if not math.isnan(steady):
            yield _least(f"core, steady events/s, {size:,} identifiers", wanted, steady)
    teaching = found.core(IDENTIFIERS_WISHED, "teaching_events_per_second")
    resident = found.core(IDENTIFIERS_WISHED, "resident_bytes_per_identifier")
    if not math.isnan(teaching):
        what = f"{IDENTIFIERS_WISHED:,} identifiers"
        yield _least(f"core, teaching events/s, {what}", 700_000, teaching)
        yield _most(f"core, bytes per identifier, {what}", 96, resident)


def _batches(found: Found) -> Iterator[Wish]:
    what = "ResolveEvents, 1,000 a batch, steady"
    for system, wanted in ((NATIVE, 500_000), (ASYNCIO, 300_000)):
        rate = found.rate("steady_1000", system)
        yield _least(f"{what}, events/s: {system}", wanted, rate)
        redis = found.rate("steady_1000", REDIS_ALWAYS)
        yield _least(f"{what}: {system}, times {REDIS_ALWAYS}", 5, rate / redis)
        load = found.rate("load_1000", system)
        yield _least(f"phase load, times phase steady: {system}", 0.5, load / rate)


def _single_calls(found: Found) -> Iterator[Wish]:
    for one, other, wanted in (
        (ASYNCIO, EMPTY_ASYNCIO, 0.85),
        (NATIVE, EMPTY_NATIVE, 0.8),
        (NATIVE, REDIS_ALWAYS, 2),
        (NATIVE_INTERVAL, REDIS_EVERYSEC, 1.2),
    ):
        share = found.rate("steady_1", one) / found.rate("steady_1", other)
        yield _least(f"ResolveEvent, 64 in flight: {one}, times {other}", wanted, share)
    for figure, row, most in (
        ("p50_ms", "steady_1_half_native", 1),
        ("p99_ms", "steady_1_half_native", 5),
        ("p99_ms", "lookup_half_native", 2),
    ):
        method = "ResolveEvent" if row.startswith("steady") else "GetProfile"
        what = f"{method} at half the peak, {NATIVE}: {figure[:3]}, ms"
        yield _most(what, most, found.of(row, NATIVE, figure))
    ours, empty = (
        found.of("lookup_half_asyncio", system, "p99_ms") for system in (ASYNCIO, EMPTY_ASYNCIO)
    )
    what = f"GetProfile at half the peak, p99: {ASYNCIO}, times {EMPTY_ASYNCIO}"
    yield _most(what, 1.5, ours / empty)


def _least(what: str, wanted: float, value: float) -> Wish:
    return Wish(what, f"at least {number(wanted)}", value, value >= wanted)


def _most(what: str, wanted: float, value: float) -> Wish:
    return Wish(what, f"at most {number(wanted)}", value, value <= wanted)


def number(value: float) -> str:
    """With as many digits as say something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
