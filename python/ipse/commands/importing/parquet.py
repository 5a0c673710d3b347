"""Reads Parquet, with pyarrow: `pip install 'ipse[parquet]'`.

Columns are those of CSV; `ids:NAMESPACE` may be a list and `json:NAME` any type, instead of JSON
text, and `created_time` a timestamp with a time zone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ipse.commands import CommandError
from ipse.commands.importing import columns
from ipse.commands.importing.rows import Row

_ROWS_IN_A_BLOCK = 1_000


class ParquetRows:
    """A Parquet file, read a block of rows at a time."""

    def __init__(self, path: str, ignored: frozenset[str]) -> None:
        try:
            from pyarrow import ArrowException, parquet
        except ImportError:
            raise CommandError(
                f"{path}: Parquet needs pyarrow; install it with pip install 'ipse[parquet]'"
            ) from None
        try:
            self._file = parquet.ParquetFile(path)
        except (OSError, ArrowException) as error:
            raise CommandError(f"cannot read {path}: {error}") from None
        self._damage = ArrowException
        self._path = path
        try:
            self._layout = columns.Layout.of(self._file.schema_arrow.names, path, ignored)
        except CommandError:
            self._file.close()
            raise
        self._given = 0

    @property
    def read_bytes(self) -> int:
        """The size of the file: it is never appended to."""
        return Path(self._path).stat().st_size

    def fraction(self) -> float | None:
        """How many of its rows were given."""
        total = self._file.metadata.num_rows
        return self._given / total if total else None

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def after(self, line: int) -> Iterator[Row]:
        """The rows behind that one."""
        number = 0
        for block in self._blocks():
            for cells in zip(*(column.to_pylist() for column in block.columns), strict=True):
                number += 1
                self._given = number
                if number > line:
                    yield self._row(number, list(cells))

    def _blocks(self) -> Iterator[Any]:
        blocks = self._file.iter_batches(_ROWS_IN_A_BLOCK)
        while True:
            try:
                block = next(blocks, None)
            except (OSError, self._damage) as error:
                message = f"{self._path} is damaged behind row {self._given}: {error}"
                raise CommandError(f"{message}; what came before it is loaded") from None
            if block is None:
                return
            yield block

    def _row(self, number: int, cells: list[Any]) -> Row:
        text = json.dumps(cells, ensure_ascii=False, default=str)
        try:
            return Row(number, self._layout.fields(cells), text=text)
        except ValueError as error:
            return Row(number, {}, str(error), text)
