"""Rows as batches of messages, and what is kept of them until they are answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ipse.commands.importing.profiles import message_of
from ipse.commands.importing.rows import Row, Rows

# Well below what a server accepts, whatever the last profile adds.
BATCH_BYTES_MAX: Final = 4 * 1024 * 1024


@dataclass(slots=True)
class ImportBatch:
    """Profiles in the order of the file, and where the file stands behind them."""

    profiles: list[bytes] = field(default_factory=list)
    # The row of each profile, for the rejects.
    rows: list[Row] = field(default_factory=list)
    # Rows that cannot be sent.
    rejected: list[Row] = field(default_factory=list)
    end_offset: int = 0
    end_line: int = 0
    size_bytes: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether it has no profiles, only rows that cannot be sent."""
        return not self.profiles

    def add(self, row: Row, ignored: frozenset[str]) -> None:
        """Takes a row, as a profile or with its trouble."""
        self.end_line = row.line
        if not row.trouble:
            try:
                profile = message_of(row.fields, ignored).SerializeToString()
            except ValueError as error:
                row.trouble = str(error)
            else:
                self.profiles.append(profile)
                self.rows.append(row)
                self.size_bytes += len(profile)
                return
        self.rejected.append(row)


def batches(
    rows: Rows, after_line: int, batch_size: int, ignored: frozenset[str]
) -> Iterator[ImportBatch]:
    """The rows behind a line, cut by count and bytes."""
    batch = ImportBatch()
    for row in rows.after(after_line):
        batch.add(row, ignored)
        # Rows that cannot be sent count too: a file of nothing else must not fill the memory.
        count = len(batch.profiles) + len(batch.rejected)
        if count >= batch_size or batch.size_bytes >= BATCH_BYTES_MAX:
            batch.end_offset = rows.read_bytes
            yield batch
            batch = ImportBatch()
    if batch.end_line:
        batch.end_offset = rows.read_bytes
        yield batch
