"""The command `ipse`: finds the subcommand, runs it, and turns failures into one line and a code.

Only the module of the subcommand that was asked for is imported, and none of gRPC, protobuf or
the engine is imported here: `ipse --help` answers at once. Must not know what a subcommand does.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn, Protocol, cast

from ipse.commands import EXIT_CODES_HELP, EXIT_FAILED, EXIT_OK, EXIT_USAGE, CommandError

# Name, module and summary. The order is that of a first day with ipse.
COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("demo", "demo", "watch one customer's events become one profile that survives a restart"),
    ("serve", "serve", "run the server"),
    ("load", "load", "send a file of events (JSON lines) to a server"),
    ("import", "import_profiles", "bring the profiles of another system from a file"),
    ("profile", "profile", "read a profile, or take apart and put together what rules did not"),
    ("why", "why", "say how a profile came to be, or why two are one person or not"),
    ("asof", "asof", "say whose the identifiers of a file were, each at its own moment"),
    ("person", "person", "erase someone, or read all that is held on them"),
    ("watch", "watch", "follow what changes in a workspace, as it happens or after a number"),
    ("export", "export", "write the id map and attributed history for the warehouse"),
    ("workspace", "workspace", "list the workspaces of a server, or delete one"),
    ("rules", "rules", "check, explain, show, read and set the rules of a workspace"),
    ("token", "token", "create, list and revoke the API tokens of a server"),
    ("stats", "stats", "show the figures of a server"),
    ("backup", "backup", "copy the state of a server, while it serves, into a directory"),
    ("restore", "restore", "make a data directory from a backup, as of its end or a moment before"),
    ("verify", "verify", "prove that a data directory or a backup holds what it promises"),
    ("wal", "wal", "read and verify the files of a data directory"),
    ("bench", "bench", "measure a live server"),
    ("check-config", "check_config", "show every setting and where it came from"),
    ("version", "version", "print the version"),
)

EXIT_INTERRUPTED = 130


class Command(Protocol):
    """What a module in `ipse.commands` offers."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Adds the arguments of the command."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Does the work; returns the exit code."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(words)
    except BrokenPipeError:
        return _reader_left()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as failure:
        if os.environ.get("IPSE_DEBUG") == "1":
            raise
        return _report(failure)


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage of the whole command before it."""

    def error(self, message: str) -> NoReturn:
        """Prints the line and exits with the usage code."""
        self.exit(EXIT_USAGE, f"{self.prog}: error: {message}; see '{self.prog} --help'\n")


class WideHelp(argparse.HelpFormatter):
    """Help with room for the names of commands and flags."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)


def _run(words: list[str]) -> int:
    name = next((word for word in words if not word.startswith("-")), None)
    parser = OneLineParser(
        prog="ipse",
        formatter_class=WideHelp,
        description="ipse resolves events to people: which identifiers are the very same one.",
        epilog=EXIT_CODES_HELP,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    subparsers = parser.add_subparsers(metavar="COMMAND", title="commands")
    chosen: Command | None = None
    for command, module, summary in COMMANDS:
        subparser = subparsers.add_parser(
            command,
            help=summary,
            description=_sentence(summary),
            epilog=EXIT_CODES_HELP,
            formatter_class=WideHelp,
        )
        if command == name:
            chosen = cast(Command, importlib.import_module(f"ipse.commands.{module}"))
            chosen.configure(subparser)
    arguments = parser.parse_args(words)
    if arguments.version:
        chosen = cast(Command, importlib.import_module("ipse.commands.version"))
        arguments.json = False
    if chosen is None:
        parser.print_help()
        return EXIT_USAGE
    code = chosen.run(arguments)
    sys.stdout.flush()
    return code


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."


def _report(failure: Exception) -> int:
    if isinstance(failure, CommandError):
        print(f"ipse: error: {failure}", file=sys.stderr)
        return failure.exit_code
    text = " ".join(_words(failure).split()) or type(failure).__name__
    hint = "" if _is_expected(failure) else " (a bug; IPSE_DEBUG=1 shows where)"
    print(f"ipse: error: {text}{hint}", file=sys.stderr)
    return EXIT_FAILED


def _words(failure: Exception) -> str:
    """The message; of the system's errors without their numbers, which say nothing to a person."""
    if isinstance(failure, OSError) and failure.strerror:
        file = failure.filename
        return f"{file}: {failure.strerror}" if isinstance(file, str) else failure.strerror
    return str(failure)


def _is_expected(failure: Exception) -> bool:
    """Whether the failure is a refusal or an error of the world, whose message says it all."""
    if isinstance(failure, OSError):
        return True
    # By module, since importing these classes here would cost every command their import time.
    return type(failure).__module__ in ("ipse.errors", "ipse._native")


def _reader_left() -> int:
    # The interpreter flushes stdout once more at exit; without this it would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_OK
