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

# The bound of `Event.raw_json`.
LINE_BYTES_MAX = 65_536
# Keeps a batch of long lines below the size that gRPC accepts for one message.
BATCH_BYTES_MAX = 2 * 1024 * 1024

_BLOCK_BYTES = 1024 * 1024
# Few enough that a chunk of long lines passes the size of a batch by one chunk at most.
_CHUNK_LINES = 32
_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Batch:
    """Events in the order of the file, and where the file stands behind them."""

    events: list[bytes] = field(default_factory=list)
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
        return not self.events


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
                if len(batch.events) >= batch_events or batch.size_bytes >= BATCH_BYTES_MAX:
                    yield batch
                    batch = Batch(end_offset=batch.end_offset, end_line=batch.end_line)
        except CommandError:
            # What came before the damage is loaded.
            if batch.events or batch.oversized_line_numbers:
                yield batch
            raise
        if batch.events or batch.oversized_line_numbers:
            yield batch

    def _lines(self, batch_events: int, offset: int, line: int) -> Iterator[Batch]:
        self._skip(offset)
        batch = Batch(end_offset=offset, end_line=line)
        carry = b""
        is_dropping = False
        while block := self.read():
            *lines, carry = (carry + block).split(b"\n")
            if is_dropping and lines:
                batch.end_offset += len(lines[0]) + 1
                del lines[0]
                is_dropping = False
            taken = 0
            while taken < len(lines):
                taken += self._take(batch, lines, taken, batch_events)
                if len(batch.events) >= batch_events or batch.size_bytes >= BATCH_BYTES_MAX:
                    yield batch
                    batch = Batch(end_offset=batch.end_offset, end_line=batch.end_line)
            if is_dropping or len(carry) > self._line_bytes_max:
                # A line without an end must not fill the memory: count it once, drop its bytes.
                if not is_dropping:
                    _drop(batch)
                batch.end_offset += len(carry)
                is_dropping, carry = True, b""
        if carry:
            self._take_line(batch, carry)
            batch.end_offset += len(carry)
        if batch.events or batch.oversized_line_numbers:
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

    def _take(self, batch: Batch, lines: list[bytes], start: int, batch_events: int) -> int:
        """Takes lines into the batch as long as it has room; returns how many."""
        room = batch_events - len(batch.events)
        chunk = lines[start : start + min(room, _CHUNK_LINES)]
        stripped = list(map(bytes.strip, chunk))
        size_bytes = sum(map(len, chunk))
        if all(stripped) and max(map(len, chunk)) <= self._line_bytes_max and batch.end_line:
            batch.events += stripped
            batch.line_numbers += range(batch.end_line + 1, batch.end_line + 1 + len(chunk))
            batch.end_line += len(chunk)
            batch.size_bytes += size_bytes
        else:
            for text in chunk:
                self._take_line(batch, text)
        batch.end_offset += size_bytes + len(chunk)
        return len(chunk)

    def _take_line(self, batch: Batch, text: bytes) -> None:
        if batch.end_line == 0:
            text = text.removeprefix(_BYTE_ORDER_MARK)
        text = text.strip()
        if len(text) > self._line_bytes_max:
            _drop(batch)
            return
        batch.end_line += 1
        if text:
            batch.events.append(text)
            batch.line_numbers.append(batch.end_line)
            batch.size_bytes += len(text)


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
    batch.events.append(element.text)
    batch.line_numbers.append(element.line)
    batch.positions.append(element.position)
    batch.size_bytes += len(element.text)


def _drop(batch: Batch) -> None:
    """Counts a line that is too long."""
    batch.end_line += 1
    batch.oversized_line_numbers.append(batch.end_line)
