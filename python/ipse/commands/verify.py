"""`ipse verify DIR`: whether a data directory or a backup holds what it promises."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ipse.commands import EXIT_FAILED, EXIT_OK, plain, table


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.description = (
        "Judges a data directory that no server uses, or a backup: checksums, the chain of the "
        "log, the state hash of each snapshot, the state that the log leads to, and the "
        "invariants of the graphs. It takes the engine, and the time and memory of a start or "
        "two; 'ipse wal verify' looks at the files only, without the engine, of a running server "
        "too. Changes nothing."
    )
    parser.epilog = "exit codes: 0 all sound, 1 not sound or unreadable, 2 wrong usage"
    parser.add_argument(
        "directory", metavar="DIR", type=Path, help="the data directory or the backup"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Verifies, and says what was found."""
    from ipse import _native

    try:
        found = _native.verify(str(arguments.directory))
    except _native.OpenError as problem:
        if not arguments.json:
            raise
        print(json.dumps({"sound": False, "problem": str(problem)}, ensure_ascii=False))
        return EXIT_FAILED
    if arguments.json:
        print(plain.as_json({"sound": True} | found))
    else:
        print(_said(found))
    return EXIT_OK


def workspaces(found: dict[str, Any]) -> str:
    """The table of the workspaces of a data directory, and the state that each is in."""
    rows = [(w["name"], w["sequence_number"], w["state_hash"]) for w in found["workspaces"]]
    return table.render(rows, ("workspace", "records", "state hash"))


def _said(found: dict[str, Any]) -> str:
    kind = "backup" if found["is_backup"] else "data directory"
    first, last = found["first_log_position"], found["log_position"]
    files = [(file["name"], file["bytes"], file["detail"]) for file in found["files"]]
    lines = [
        f"a sound {kind}, as of log positions {first} to {last}",
        *(f"note: {note}" for note in found["notes"]),
        "",
        table.render(files, ("file", "bytes", "holds")),
        "",
        workspaces(found),
    ]
    return "\n".join(lines)
