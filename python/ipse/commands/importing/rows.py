"""Reads a file of profiles as rows: the line, and what stands there by name.

JSON lines and CSV, plain or gzip, come through the reader of `ipse load`; Parquet comes through
pyarrow, which is an extra. A row that cannot be read is a row with its trouble, never the end.
"""

from __future__ import annotations

import csv
import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from ipse.commands import CommandError, UsageError
from ipse.commands.importing import columns
from ipse.commands.loading.lines import Source

FORMATS: Final = ("jsonl", "csv", "parquet")
# A profile may have 1,000 identifiers and 300 traits.
LINE_BYTES_MAX: Final = 4 * 1024 * 1024

_LINES_IN_A_BLOCK: Final = 100
_SUFFIXES: Final = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}


@dataclass(slots=True)
class Row:
    """One line of the file: what it says, or why it cannot be read."""

    line: int
    """From 1; of CSV the last line of the row, of Parquet the number of the row."""
    fields: dict[str, Any]
    trouble: str = ""
    text: str = ""
    """The line as it is, where there is one."""


class Rows(Protocol):
    """A file of rows."""

    def after(self, line: int) -> Iterator[Row]:
        """The rows behind that line; 0 gives all."""

    def fraction(self) -> float | None:
        """How much of it has been read, 0 to 1; None if that cannot be known."""

    @property
    def read_bytes(self) -> int:
        """Bytes read so far, uncompressed; never fewer than those of the rows that were given."""

    def close(self) -> None:
        """Closes the file."""


def open_rows(path: str, kind: str | None, ignored: frozenset[str]) -> Rows:
    """Opens a file of profiles; columns that are neither known nor ignored are refused."""
    kind = kind or _kind_by_name(path)
    if kind == "parquet":
        from ipse.commands.importing.parquet import ParquetRows

        return ParquetRows(path, ignored)
    source = Source(path, LINE_BYTES_MAX)
    try:
        return JsonRows(source) if kind == "jsonl" else CsvRows(source, ignored)
    except CommandError:
        source.close()
        raise


def _kind_by_name(path: str) -> str:
    name = Path(path.removesuffix(".gz"))
    kind = _SUFFIXES.get(name.suffix.lower())
    if kind is None:
        known = ", ".join(_SUFFIXES)
        raise UsageError(
            f"the name of {path} does not end in one of {known}; say what it is with --format"
        )
    return kind


class JsonRows:
    """JSON lines: an object each."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.fraction = source.fraction
        self.close = source.close

    @property
    def read_bytes(self) -> int:
        """Bytes read so far, uncompressed."""
        return self._source.read_bytes

    def after(self, line: int) -> Iterator[Row]:
        """The objects behind that line."""
        for batch in self._source.batches(_LINES_IN_A_BLOCK):
            good = zip(batch.line_numbers, batch.events, strict=True)
            long = ((number, b"") for number in batch.oversized_line_numbers)
            for number, text in heapq.merge(good, long):
                if number > line:
                    yield _json_row(number, text)


def _json_row(line: int, text: bytes) -> Row:
    if not text:
        trouble = f"the line is longer than {LINE_BYTES_MAX} bytes"
        return Row(line, {}, trouble)
    shown = text.decode("utf-8", "replace")
    try:
        fields = json.loads(text)
    except ValueError as error:
        return Row(line, {}, f"is not JSON: {error}", shown)
    if not isinstance(fields, dict):
        return Row(line, {}, "is not a JSON object", shown)
    return Row(line, fields, text=shown)


class CsvRows:
    """CSV with a line of column names, as RFC 4180 has it; UTF-8."""

    def __init__(self, source: Source, ignored: frozenset[str]) -> None:
        self._source = source
        self.fraction = source.fraction
        self.close = source.close
        csv.field_size_limit(LINE_BYTES_MAX)
        self._reader = csv.reader(_text_lines(source), strict=True)
        self._layout = columns.Layout.of(self._header(), source.path, ignored)

    @property
    def read_bytes(self) -> int:
        """Bytes read so far, uncompressed."""
        return self._source.read_bytes

    def after(self, line: int) -> Iterator[Row]:
        """The rows whose last line is behind that line."""
        while True:
            try:
                cells = next(self._reader, None)
            except csv.Error as error:
                if (number := self._reader.line_num) > line:
                    yield Row(number, {}, f"is not CSV: {error}")
                continue
            if cells is None:
                return
            number = self._reader.line_num
            if cells and number > line:
                yield self._row(number, cells)

    def _row(self, line: int, cells: list[str]) -> Row:
        text = json.dumps(cells, ensure_ascii=False)
        try:
            return Row(line, self._layout.fields(cells), text=text)
        except ValueError as error:
            return Row(line, {}, str(error), text)

    def _header(self) -> list[str]:
        try:
            return next(self._reader, [])
        except csv.Error as error:
            raise CommandError(f"{self._source.path}:1: is not CSV: {error}") from None


def _text_lines(source: Source) -> Iterator[str]:
    """The lines with their ends; bytes that are not UTF-8 make trouble later, in their row."""
    carry, is_first = b"", True
    while block := source.read():
        *lines, carry = (carry + block).split(b"\n")
        for line in lines:
            yield _decoded(line, is_first=is_first) + "\n"
            is_first = False
        if len(carry) > LINE_BYTES_MAX:
            # csv refuses a field of that length; a line without an end must not fill the memory.
            yield _decoded(carry, is_first=is_first)
            carry, is_first = b"", False
    if carry:
        yield _decoded(carry, is_first=is_first)


def _decoded(line: bytes, *, is_first: bool) -> str:
    return line.decode("utf-8-sig" if is_first else "utf-8", "surrogateescape")
