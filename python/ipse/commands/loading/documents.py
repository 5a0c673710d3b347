"""Finds the events of a file that is JSON but not JSON lines: arrays, values over several lines.

Only structure is looked at: where an element begins and ends. Whether it is JSON is for the
server to say, so damage in one event costs that event. Memory holds one block and one event,
whatever the size of the file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from ipse.commands import CommandError

STRING_BYTES_MAX: Final = 4 * 1024 * 1024

# Strings as wholes, so that what stands in them is no structure; a quote that nothing closes on
# its line is a token of its own.
_TOKEN: Final = re.compile(rb'"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+"|[\[\]{}:,]|"')
_OPENING: Final = b"[{"
_CLOSING: Final = b"]}"
_BETWEEN: Final = b" \t\r\n,"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
# A file that begins with a line this long is not lines of events.
_LINE_BYTES_MAX: Final = 65_536
_HEAD_LINES_MAX: Final = 2


@dataclass(slots=True)
class Element:
    """An event, on one line; `None` in place of its text if it is too long."""

    text: bytes | None
    line: int
    """Where it begins, from 1."""
    position: int
    """Which event of the file it is, from 1."""
    end_offset: int


def is_document(head: bytes, batches: Callable[[], Collection[str]]) -> bool:
    """Whether what a file begins with is no JSON line with an event.

    `batches` names the fields that make an object a batch; it is asked only where there is one
    that could be.
    """
    head = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if head[:1] == b"[":
        return True
    if head[:1] != b"{":
        return False
    first, *rest = head.split(b"\n", _HEAD_LINES_MAX - 1)
    try:
        fields = json.loads(first)
    except ValueError:
        # A line that is damaged has another event behind it, a value over several lines a name.
        return len(first) > _LINE_BYTES_MAX or (bool(rest) and rest[0].lstrip()[:1] == b'"')
    arrays = {name for name, value in fields.items() if isinstance(value, list)}
    return bool(arrays) and not arrays.isdisjoint(batches())


def elements(
    blocks: Iterator[bytes], batches: Collection[str], element_bytes_max: int, path: str
) -> Iterator[Element]:
    """The events of the file: what stands in its arrays, and values at the top that are none."""
    scanner = _Scanner(frozenset(batches), element_bytes_max, path)
    for block in blocks:
        yield from scanner.feed(block)
    yield from scanner.end()


@dataclass(slots=True)
class _Scanner:
    batches: frozenset[str]
    element_bytes_max: int
    path: str
    # Brackets that are open, and at which depth the elements are events: 0 for values at the top.
    depth: int = 0
    events_depth: int = 0
    # Whether the object at the top is a batch, and the name of the field that is read in it.
    is_batch: bool = False
    string: bytes = b""
    name: bytes = b""
    # The bytes not yet looked at, of the file from `offset` on, which is in line `line`.
    buffer: bytes = b""
    offset: int = 0
    line: int = 1
    # What is known of the element that has begun, up to `taken` in the buffer.
    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    first_line: int = 0
    taken: int = 0
    position: int = 0

    def feed(self, block: bytes) -> Iterator[Element]:
        """The events that end in the block."""
        self.buffer += block
        self.taken = 0
        stop = len(self.buffer)
        for token in _TOKEN.finditer(self.buffer):
            start = token.start()
            word = self.buffer[start : token.end()]
            if word == b'"':
                if self.buffer.find(b"\n", start) < 0:
                    # Its end may come with the next block.
                    stop = start
                    break
            elif word[:1] == b'"':
                self.string = word
            else:
                yield from self._structure(word, start)
        self._check_string(stop)
        self._take(stop)
        self.offset += stop
        self.buffer = self.buffer[stop:]

    def end(self) -> Iterator[Element]:
        """What stands behind the last value; refuses a file that ends within one."""
        self.taken = 0
        stop = len(self.buffer)
        self._take(stop)
        if self.depth:
            raise CommandError(
                f"{self.path} ends before a bracket is closed that is open at line "
                f"{self.first_line}: it was cut off, or that is no JSON; what came before it is "
                "loaded"
            )
        yield from self._finish(stop)

    def _structure(self, word: bytes, start: int) -> Iterator[Element]:
        if word in _OPENING:
            yield from self._open(word, start)
        elif word in _CLOSING:
            yield from self._close(start)
        elif word == b":" and self.depth == 1:
            self.name = self.string
        elif word == b",":
            self.name = b""
            if self.depth == self.events_depth:
                yield from self._cut(start)

    def _open(self, word: bytes, start: int) -> Iterator[Element]:
        is_array = word == b"["
        if self.depth == 0:
            # What stands between two values at the top is none itself, or a line that is wrong.
            yield from self._cut(start, is_kept=True)
            if is_array:
                self._begin_events(1, start)
        elif self.depth == 1 and not self.events_depth and is_array and self._is_batch_name():
            self.is_batch = True
            self._begin_events(2, start)
        self.depth += 1

    def _close(self, start: int) -> Iterator[Element]:
        if self.depth == 0:
            return
        is_end = self.depth == self.events_depth
        if is_end:
            yield from self._cut(start)
            self.events_depth = 0
        self.depth -= 1
        self.name = b""
        if self.depth:
            return
        if is_end or self.is_batch:
            self._drop(start + 1)
        else:
            self._take(start + 1)
            yield from self._finish(start + 1)
        self.is_batch = False

    def _begin_events(self, depth: int, start: int) -> None:
        self.events_depth = depth
        self._drop(start + 1)

    def _is_batch_name(self) -> bool:
        try:
            return json.loads(self.name or b'""') in self.batches
        except ValueError:
            return False

    def _cut(self, start: int, *, is_kept: bool = False) -> Iterator[Element]:
        """Ends the element before a comma or bracket, which is left out unless it is kept."""
        self._take(start)
        yield from self._finish(start)
        if not is_kept:
            self._drop(start + 1)

    def _drop(self, stop: int) -> None:
        """Passes over what is no event's."""
        self._take(stop)
        self.parts, self.size = [], 0

    def _take(self, stop: int) -> None:
        """Adds what was looked at to the element, unless that is too long already."""
        piece = self.buffer[self.taken : stop]
        self.taken = max(stop, self.taken)
        if not self.size:
            stripped = piece.lstrip(_BETWEEN + _BYTE_ORDER_MARK)
            self.line += piece.count(b"\n", 0, len(piece) - len(stripped))
            piece = stripped
            self.first_line = self.line
        self.line += piece.count(b"\n")
        self.size += len(piece)
        if len(self.parts) < 2 or self.size <= 2 * self.element_bytes_max:
            self.parts.append(piece[: 2 * self.element_bytes_max])

    def _finish(self, stop: int) -> Iterator[Element]:
        """The element that was taken, if it is more than blanks."""
        text = b"".join(self.parts).rstrip(_BETWEEN)
        is_whole = self.size <= 2 * self.element_bytes_max
        self.parts, self.size = [], 0
        if not text:
            return
        self.position += 1
        # No string of JSON holds the end of a line, so nothing is lost.
        text = text.replace(b"\r", b" ").replace(b"\n", b" ")
        kept = text if is_whole and len(text) <= self.element_bytes_max else None
        yield Element(kept, self.first_line, self.position, self.offset + stop)

    def _check_string(self, stop: int) -> None:
        if len(self.buffer) - stop > STRING_BYTES_MAX:
            raise CommandError(
                f"{self.path} has a string of more than {STRING_BYTES_MAX} bytes at byte "
                f"{self.offset + stop}: it is not a file of events"
            )
