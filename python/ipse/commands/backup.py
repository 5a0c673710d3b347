"""`ipse backup DIR`: a copy of the state of now that can be restored, made while serving or not."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ipse.commands import EXIT_OK, CommandError, connection, plain

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ipse.client import Client
    from ipse.resolver import Resolver


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.description = (
        "Has the server write a backup into a directory of its machine, while others read and "
        "write. The directory must be empty or not there; until the backup is whole it is made "
        "beside it, as DIR.partial. 'ipse restore' makes a data directory of it."
    )
    parser.add_argument("directory", metavar="DIR", type=Path, help="where to write the backup")
    parser.add_argument("--label", default="", help="what to call it in the register of backups")
    parser.add_argument(
        "--history",
        action="store_true",
        help="copy all that is kept of the log, to restore it as of earlier moments, too",
    )
    parser.add_argument(
        "--data-dir", metavar="DIR", type=Path, help="of this one, which no server uses"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    connection.add_address(parser)


def run(arguments: argparse.Namespace) -> int:
    """Has the backup made and says what is in it."""
    with _opened(arguments) as opened:
        made = opened.backup(
            arguments.directory.absolute(), label=arguments.label, history=arguments.history
        )
    if arguments.json:
        print(plain.as_json(made))
    else:
        print(
            f"log positions {made.first_log_position} to {made.log_position}: "
            f"{made.file_count} files, {made.size_bytes} bytes, {made.seconds:.3f} s"
        )
    return EXIT_OK


def _opened(arguments: argparse.Namespace) -> AbstractContextManager[Client | Resolver]:
    """Who makes the backup: the server, or the engine in this process."""
    if arguments.data_dir is None:
        return connection.client(arguments)
    if not (arguments.data_dir / "MANIFEST").is_file():
        raise CommandError(f"{arguments.data_dir} is not a data directory")
    from ipse.resolver import Resolver

    return Resolver(arguments.data_dir)
