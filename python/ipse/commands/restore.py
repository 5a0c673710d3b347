"""`ipse restore BACKUP DATA_DIR`: a data directory as it was, at the end or at a moment before."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ipse.commands import EXIT_OK, CommandError, plain, verify


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.description = (
        "Makes a data directory from a backup, or from another data directory that no server "
        "uses. Everything is checked before anything is written. The log gets an id of its own, "
        "unless all of a data directory's log is restored. Whoever was erased later is erased "
        "again, as far as the newer directory tells."
    )
    parser.add_argument("backup", metavar="BACKUP", type=Path, help="the backup")
    parser.add_argument(
        "data_dir", metavar="DATA_DIR", type=Path, help="where to: empty or not there"
    )
    parser.add_argument(
        "--log",
        metavar="DIR",
        type=Path,
        help="go on with the log of a newer data directory or backup",
    )
    parser.add_argument(
        "--erasures",
        metavar="DIR",
        type=Path,
        help="erase again what the file ERASURES of this directory says was erased later",
    )
    moment = parser.add_mutually_exclusive_group()
    moment.add_argument(
        "--to-position", metavar="N", type=_number, help="end with the record at log position N"
    )
    moment.add_argument(
        "--to-sequence",
        metavar="WORKSPACE=N",
        type=_record,
        help="end with record N of the workspace; what came later anywhere is left out",
    )
    moment.add_argument(
        "--to-time",
        metavar="TIME",
        type=_time,
        help="end before the first record later than this (ISO 8601; UTC unless it says)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Restores, and says what is there now."""
    from ipse import _native

    try:
        restored = _native.restore(
            str(arguments.backup),
            str(arguments.data_dir.absolute()),
            log=None if arguments.log is None else str(arguments.log),
            erasures=None if arguments.erasures is None else str(arguments.erasures),
            to_position=arguments.to_position,
            to_sequence=arguments.to_sequence,
            to_time_ms=arguments.to_time,
        )
    except ValueError as refused:
        raise CommandError(str(refused)) from None
    print(plain.as_json(restored) if arguments.json else _said(restored))
    return EXIT_OK


def _said(restored: dict[str, Any]) -> str:
    lines = [
        f"restored as of log position {restored['log_position']}",
        *(f"note: {note}" for note in restored["notes"]),
        "",
        verify.workspaces(restored),
    ]
    return "\n".join(lines)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a number")
    return int(text)


def _record(text: str) -> tuple[str, int]:
    workspace, sign, number = text.partition("=")
    if not workspace or not sign or not number.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a workspace, '=' and a number")
    return workspace, int(number)


def _time(text: str) -> int:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time as of ISO 8601") from None
    placed = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    since = placed - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000
