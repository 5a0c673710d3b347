"""Counts of calls by method and outcome, and how long they took: what only a transport can know.

Belongs to the event loop. Read by another thread as it stands: a count may then be a call behind
another, which the next look puts right.
"""

from __future__ import annotations

import bisect
from typing import Final

BOUNDS_S: Final = (
    0.000_5,
    0.001,
    0.002_5,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    10.0,
)
"""Upper bounds of the times that calls take."""

UNKNOWN_METHOD: Final = "unknown"
"""Names that callers make up are one: they must not fill the memory."""


class Tally:
    """What was answered since the start."""

    __slots__ = ("_methods", "codes", "times")

    def __init__(self, methods: frozenset[str]) -> None:
        self._methods = methods
        self.codes: dict[tuple[str, int], int] = {}
        """How many calls of a method ended with a code."""
        self.times: dict[str, Times] = {}
        """How long the calls of a method took, from its being read to its answer."""

    def count(self, method: str, code: int, seconds: float) -> None:
        """Count a call that has ended."""
        name = method if method in self._methods else UNKNOWN_METHOD
        key = (name, code)
        self.codes[key] = self.codes.get(key, 0) + 1
        times = self.times.get(name)
        if times is None:
            times = self.times[name] = Times()
        times.add(seconds)


class Times:
    """A histogram of seconds."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        """Those above the bound before and not above this one; the last are above all."""
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect.bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds
