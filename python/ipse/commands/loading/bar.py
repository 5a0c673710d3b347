"""How far a load is: a line that is redrawn on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing import TextIO

LINE_INTERVAL_S = 5.0
_WIDTH = 30
_REDRAW_INTERVAL_S = 0.1


class Measured(Protocol):
    """What is being read."""

    def fraction(self) -> float | None:
        """How much of it has been read, 0 to 1; None if that cannot be known."""


class Bar:
    """Shows on `stream` how far the load is."""

    def __init__(self, source: Measured, stream: TextIO, items: str = "events") -> None:
        self._source = source
        self._items = items
        self._stream = stream
        self._redraws = stream.isatty()
        self._interval_s = _REDRAW_INTERVAL_S if self._redraws else LINE_INTERVAL_S
        self._started = self._shown = time.monotonic()

    def show(self, count: int, count_before: int) -> None:
        """Shows the counts, unless it did so just now."""
        now = time.monotonic()
        if now - self._shown < self._interval_s:
            return
        self._shown = now
        pace = (count - count_before) / (now - self._started)
        counts = f"{count:,} {self._items}  {pace:,.0f}/s"
        fraction = self._source.fraction()
        if self._redraws:
            self._stream.write(f"\r{_drawn(fraction)}{counts}\x1b[K")
        else:
            part = f"{fraction:.0%}  " if fraction is not None else ""
            self._stream.write(f"ipse: {part}{counts}\n")
        self._stream.flush()

    def end(self) -> None:
        """Clears the line that was drawn."""
        if self._redraws:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def _drawn(fraction: float | None) -> str:
    if fraction is None:
        return ""
    return f"[{'#' * round(fraction * _WIDTH):<{_WIDTH}}] {fraction:4.0%}  "
