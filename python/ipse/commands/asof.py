"""`ipse asof`: a file of identifiers and moments, with whose each was then and whose it is now.

For joining what happened in the past to the people of then. The file is read and written as it
goes, so that one of any size takes the same memory. Writes nothing to the server.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from ipse.commands import EXIT_OK, CommandError, UsageError, connection

if TYPE_CHECKING:
    from ipse import _native

_ROWS: Final = 1_000
_READ_BYTES: Final = 1 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.description = (
        "Reads rows of an identifier and a moment from a CSV file, and writes them with four more "
        "columns: profile_id, whose the identifier was then, by the id of then; "
        "current_profile_id, whose it is now; sequence_number, the newest record of then; why_not, "
        "where it was nobody's or cannot be told: PROFILE_NOT_FOUND, HISTORY_EXPIRED (the log does "
        "not go back so far) or INVALID_FIELD."
    )
    parser.add_argument("file", metavar="FILE", help="CSV with a header; - is stdin")
    parser.add_argument(
        "--namespace", metavar="NAME", default="",
        help="the namespace of all rows [that of each row's column `namespace`]",
    )  # fmt: skip
    parser.add_argument(
        "--value", metavar="COLUMN", default="value", help="the column of the value [value]"
    )
    parser.add_argument(
        "--time", metavar="COLUMN", default="time",
        help="the column of the moment: a log time (ISO 8601; UTC if it does not say), or a "
        "sequence number [time]",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="write JSON lines")
    parser.add_argument("--out", metavar="FILE", help="where to write [standard output]")
    connection.add_workspace(parser)
    connection.add_address(parser)


def run(arguments: argparse.Namespace) -> int:
    """Answers every row."""
    with connection.client(arguments) as client:

        def ask(lookups: bytes) -> bytes:
            return client.lookup_as_of_bytes(lookups, workspace=arguments.workspace)

        with _source(arguments.file) as source:
            header, text = _header(source)
            rows = _rows(arguments, header)
            with _target(arguments.out) as out:
                if not arguments.json:
                    out.write(rows.header(header))
                for answered in answers(rows, ask, text, source):
                    out.write(answered)
    return EXIT_OK


def answers(
    rows: _native.PastRows, ask: Callable[[bytes], bytes], text: bytes, source: BinaryIO
) -> Iterator[bytes]:
    """Answer all rows of `text` and of what follows it in the source, a batch at a time."""
    is_last = False
    while not is_last:
        read = source.read(_READ_BYTES)
        is_last = not read
        text += read
        start = 0
        while True:
            lookups, start = rows.take(text, start, _ROWS, is_last)
            if not rows.waiting():
                break
            yield rows.answer(ask(lookups) if lookups else b"")
        text = text[start:]
        if len(text) > 8 * _READ_BYTES:
            raise CommandError(
                f"a row is longer than {8 * _READ_BYTES} bytes: is a quote not closed?"
            )


def _rows(arguments: argparse.Namespace, header: bytes) -> _native.PastRows:
    from ipse import _native

    try:
        return _native.PastRows(
            header, arguments.namespace, arguments.value, arguments.time, arguments.json
        )
    except ValueError as wrong:
        raise UsageError(f"{arguments.file}: {wrong}") from None


def _header(source: BinaryIO) -> tuple[bytes, bytes]:
    """The first line, and what was read behind it."""
    text = source.read(_READ_BYTES).removeprefix(b"\xef\xbb\xbf")
    header, _, rest = text.partition(b"\n")
    if not header.strip():
        raise CommandError("the file has no header")
    return header.removesuffix(b"\r"), rest


def _source(path: str) -> BinaryIO:
    if path == "-":
        return sys.stdin.buffer
    try:
        return Path(path).open("rb")
    except OSError as failure:
        raise CommandError(f"cannot read {path}: {failure.strerror}") from None


def _target(path: str | None) -> BinaryIO:
    if path is None:
        return open(sys.stdout.fileno(), "wb", closefd=False)
    try:
        return Path(path).open("wb")
    except OSError as failure:
        raise CommandError(f"cannot write {path}: {failure.strerror}") from None
