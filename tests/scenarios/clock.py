"""The times that scenario commands are written with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_SHIFT = re.compile(r"([+-])(\d+)(ms|s|m|h|d)")
_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


@dataclass
class Clock:
    """Reads `2021-01-01T00:00:00Z`, `+1d` (from the last time read) and `now+25h`."""

    last: datetime | None = None

    def read(self, text: str) -> datetime:
        """The time that a text means."""
        self.last = self._time(text)
        return self.last

    def _time(self, text: str) -> datetime:
        if text.startswith("now"):
            now = datetime.now(UTC)
            return now + _shift(text.removeprefix("now")) if text != "now" else now
        if text[0] in "+-":
            assert self.last is not None, f"{text} has no time before it"
            return self.last + _shift(text)
        return datetime.fromisoformat(text)


def _shift(text: str) -> timedelta:
    match = _SHIFT.fullmatch(text)
    assert match is not None, f"{text!r} is not a shift of time such as +1d"
    shift = int(match[2]) * _UNITS[match[3]]
    return shift if match[1] == "+" else -shift
