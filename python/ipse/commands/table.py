"""Tables of plain text, made for 100 columns. Knows nothing about what it prints."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH_MAX = 100
_GAP = "  "


def render(rows: Sequence[Sequence[object]], header: Sequence[str] = (), indent: int = 0) -> str:
    """The rows as aligned columns; the last column wraps between words at 100 columns."""
    cells = [[str(cell) for cell in row] for row in rows]
    head = [list(header)] if header else []
    lines = [*head, *cells]
    if not lines:
        return ""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    left = indent + sum(widths[:-1]) + len(_GAP) * (len(widths) - 1)
    room = max(WIDTH_MAX - left, 20)
    if head:
        rules = ["-" * width for width in widths[:-1]] + ["-" * min(widths[-1], room)]
        lines = [head[0], rules, *cells]
    return "\n".join(_row(line, widths, left, room, indent) for line in lines)


def _row(line: Sequence[str], widths: Sequence[int], left: int, room: int, indent: int) -> str:
    first, *rest = _wrap(line[-1], room)
    columns = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)][:-1]
    text = " " * indent + _GAP.join([*columns, first])
    return "\n".join([text.rstrip(), *(" " * left + part for part in rest)])


def _wrap(text: str, room: int) -> list[str]:
    parts: list[str] = []
    while len(text) > room:
        # A word that is too long stands whole: a path that is cut cannot be copied.
        cut = text.rfind(" ", 0, room + 1)
        cut = text.find(" ") if cut <= 0 else cut
        if cut <= 0:
            break
        parts.append(text[:cut])
        text = text[cut:].lstrip()
    return [*parts, text]
