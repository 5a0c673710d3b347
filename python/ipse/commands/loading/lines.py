"""Reads a file of events as batches, without looking into them.

The file may be plain, gzip or standard input, and of any size: memory holds one block and one
batch. It holds a line for each event, or else JSON of another layout, as its beginning shows.
Lines are judged by their length only; whether they hold JSON is for the server to say.
"""

from __future__ import annotations

import functools
import gzip
import io
import sys
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from ipse.commands import CommandError
from ipse.commands.loading import documents
from ipse.commands.loading.wire import decode_raw_events, encode_raw_events

# The bound of `Event.raw_json`.
LINE_BYTES_MAX = 65_536
# Keeps a batch of long lines below the size that gRPC accepts for one message.
BATCH_BYTES_MAX = 2 * 1024 * 1024

_BLOCK_BYTES = 256 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Batch:
    """Events in the order of the file, and where the file stands behind them."""

    # Together the `events` of a request; where one part ends says nothing.
    parts: list[bytes] = field(default_factory=list, compare=False)
    # The line number of each event, from 1.
    line_numbers: list[int] = field(default_factory=list)
    # Which event of the file each one is, from 1; empty if that is what the line says.
    positions: list[int] = field(default_factory=list)
    # Lines that are too long to be sent.
    oversized_line_numbers: list[int] = field(default_factory=list)
    # Behind the last line of the batch, in uncompressed bytes and lines.
    end_offset: int = 0
    end_line: int = 0
    size_bytes: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether it has no events, only lines that are too long."""
        return not self.line_numbers

    @property
    def events(self) -> list[bytes]:
        """The events as they stand in the file."""
        return decode_raw_events(self.parts)

    @property
    def is_to_give(self) -> bool:
        """Whether it has something to send or to report."""
        return not self.is_empty or bool(self.oversized_line_numbers)

    def is_full(self, events: int) -> bool:
        """Whether there is no room for one more."""
        return len(self.line_numbers) >= events or self.size_bytes >= BATCH_BYTES_MAX

    def next(self) -> Batch:
        """An empty one for what stands behind this one."""
        return Batch(end_offset=self.end_offset, end_line=self.end_line)


class Source:
    """A file of events, from an offset.

    `batch_fields` gives the fields that make an object a batch of events; without it the file
    has lines, whatever it begins with.
    """

    def __init__(
        self,
        path: str,
        line_bytes_max: int = LINE_BYTES_MAX,
        batch_fields: Callable[[], Collection[str]] | None = None,
    ) -> None:
        self.path = path
        self._line_bytes_max = line_bytes_max
        self._batch_fields = batch_fields
        self._file, self._size_bytes = _open(path)
        buffered = io.BufferedReader(cast(io.RawIOBase, self._file), _BLOCK_BYTES)
        self._buffered = buffered
        self._packed = buffered.peek(2)[:2] == _GZIP_MAGIC
        self._stream: IO[bytes] = buffered
        if self._packed:
            self._stream = cast("IO[bytes]", gzip.GzipFile(fileobj=buffered))
        # Read to see what the file is, and not given yet.
        self._head = b""
        # Uncompressed, of what was read so far.
        self.read_bytes = 0

    def batches(self, batch_events: int, offset: int = 0, line: int = 0) -> Iterator[Batch]:
        """The events behind `offset`; of lines the first is number `line` + 1."""
        if self._batch_fields is not None:
            # Asked once, and only where the file shows an object that could be a batch.
            batch_fields = functools.cache(self._batch_fields)
            self._head = self.read()
            if documents.is_document(self._head, batch_fields):
                yield from self._elements(batch_events, offset, batch_fields())
                return
        yield from self._lines(batch_events, offset, line)

    def _elements(
        self, batch_events: int, offset: int, batch_fields: Collection[str]
    ) -> Iterator[Batch]:
        """The events of a document behind `offset`, which only reading from its top tells."""
        batch = Batch(end_offset=offset)
        blocks = iter(self.read, b"")
        found = documents.elements(blocks, batch_fields, self._line_bytes_max, self.path)
        try:
            for element in found:
                if element.end_offset <= offset:
                    continue
                _add_element(batch, element)
                if batch.is_full(batch_events):
                    yield batch
                    batch = batch.next()
        except CommandError:
            # What came before the damage is loaded.
            if batch.is_to_give:
                yield batch
            raise
        if batch.is_to_give:
            yield batch

    def _lines(self, batch_events: int, offset: int, line: int) -> Iterator[Batch]:
        self._skip(offset)
        batch = Batch(end_offset=offset, end_line=line)
        carry = b""
        is_dropping = False
        while block := self.read():
            text = carry + block
            start = 0
            if is_dropping:
                start = text.find(b"\n") + 1
                batch.end_offset += start
                is_dropping = not start
            elif batch.end_offset == 0 and text.startswith(_BYTE_ORDER_MARK):
                start = batch.end_offset = len(_BYTE_ORDER_MARK)
            end = text.rfind(b"\n") + 1
            while start < end:
                start = self._take(batch, text, start, batch_events)
                if batch.is_full(batch_events):
                    yield batch
                    batch = batch.next()
            carry = text[start:]
            if is_dropping or len(carry) > self._line_bytes_max:
                # A line without an end must not fill the memory: count it once, drop its bytes.
                if not is_dropping:
                    _drop(batch)
                batch.end_offset += len(carry)
                is_dropping, carry = True, b""
        if carry:
            self._take(batch, carry + b"\n", 0, batch_events)
            # The line has no end.
            batch.end_offset -= 1
        if batch.is_to_give:
            yield batch

    def fraction(self) -> float | None:
        """How much of the file has been read, from 0 to 1; None if its size is not known."""
        if not self._size_bytes:
            return None
        position = self._file.tell() if self._packed else self.read_bytes
        return min(position / self._size_bytes, 1.0)

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()
        # A gzip stream leaves what it reads from open.
        self._buffered.close()

    def _skip(self, offset: int) -> None:
        if offset and not self._packed:
            self._stream.seek(offset)
            self.read_bytes, self._head = offset, b""
            return
        left = offset
        while left:
            block = self.read(min(left, _BLOCK_BYTES))
            if not block:
                message = f"{self.path} is shorter than the {offset} bytes already loaded"
                raise CommandError(f"{message}: it has changed; use --restart to load it anew")
            left -= len(block)

    def read(self, size_bytes: int = _BLOCK_BYTES) -> bytes:
        """The next bytes, uncompressed; none at the end of the file."""
        if self._head:
            block, self._head = self._head[:size_bytes], self._head[size_bytes:]
            return block
        try:
            block = self._stream.read(size_bytes)
        except (EOFError, gzip.BadGzipFile, zlib.error) as damage:
            place = f"{self.path} is damaged behind uncompressed byte {self.read_bytes}"
            raise CommandError(f"{place}: {damage}; what came before it is loaded") from None
        self.read_bytes += len(block)
        return block

    def _take(self, batch: Batch, text: bytes, start: int, batch_events: int) -> int:
        """Takes lines into the batch as long as it has room; returns where they end."""
        # Help is not to wait for the engine to load.
        from ipse._native import frame_lines

        part, line_numbers, oversized, end, batch.end_line = frame_lines(
            text,
            start,
            batch.end_line,
            batch_events - len(batch.line_numbers),
            BATCH_BYTES_MAX - batch.size_bytes,
            self._line_bytes_max,
        )
        batch.parts.append(part)
        batch.line_numbers += line_numbers
        batch.oversized_line_numbers += oversized
        batch.size_bytes += len(part)
        batch.end_offset += end - start
        return end


def fingerprint(path: str, length_bytes: int) -> int:
    """A checksum of the first bytes of the file, uncompressed."""
    source = Source(path)
    try:
        return zlib.crc32(source.read(length_bytes))
    finally:
        source.close()


def _open(path: str) -> tuple[io.FileIO, int]:
    if path == "-":
        return io.FileIO(sys.stdin.fileno(), closefd=False), 0
    try:
        file = io.FileIO(path)
    except OSError as failure:
        raise CommandError(f"cannot read {path}: {failure.strerror}") from None
    return file, Path(path).stat().st_size


def _add_element(batch: Batch, element: documents.Element) -> None:
    batch.end_offset, batch.end_line = element.end_offset, element.line
    if element.text is None:
        batch.oversized_line_numbers.append(element.line)
        return
    part = encode_raw_events("", [element.text])
    batch.parts.append(part)
    batch.line_numbers.append(element.line)
    batch.positions.append(element.position)
    batch.size_bytes += len(part)


def _drop(batch: Batch) -> None:
    """Counts a line that is too long."""
    batch.end_line += 1
    batch.oversized_line_numbers.append(batch.end_line)
