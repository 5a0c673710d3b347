"""Bars as SVG, written by hand: a chart of a few bars needs no library."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

_LABEL_WIDTH = 190
_BARS_WIDTH = 430
_VALUE_WIDTH = 100
_BAR_HEIGHT = 20
_STEP = 27
_HEAD = 44
_COLOURS = {"ipse": "#2563eb", "empty": "#cbd5e1"}
_OTHER_COLOUR = "#94a3b8"


def bars(title: str, unit: str, values: dict[str, float], written: Callable[[float], str]) -> str:
    """A bar for each value, as long as it is large, the largest first."""
    width = _LABEL_WIDTH + _BARS_WIDTH + _VALUE_WIDTH
    height = _HEAD + _STEP * len(values) + 8
    largest = max(values.values(), default=1.0) or 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        f'  width="{width}" height="{height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="10" y="20" font-weight="bold">{escape(title)}</text>',
        f'<text x="10" y="36" font-size="11" fill="#64748b">{escape(unit)}</text>',
    ]
    for place, (name, value) in enumerate(sorted(values.items(), key=lambda item: -item[1])):
        top = _HEAD + place * _STEP
        length = max(1.0, _BARS_WIDTH * value / largest)
        base = top + _BAR_HEIGHT * 0.72
        parts += [
            f'<text x="{_LABEL_WIDTH - 8}" y="{base:.0f}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{_LABEL_WIDTH}" y="{top}" width="{length:.1f}" height="{_BAR_HEIGHT}"',
            f'  fill="{_colour(name)}"/>',
            f'<text x="{_LABEL_WIDTH + length + 6:.1f}" y="{base:.0f}">{written(value)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def _colour(name: str) -> str:
    return _COLOURS.get(name.partition(" ")[0], _OTHER_COLOUR)
