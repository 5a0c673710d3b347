"""Makes sure that a load overwrites neither its events nor its own other file.

Two names may be one file: by another spelling, by a symbolic link, by a hard link.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from ipse.commands import UsageError


def check(events: str, written: list[tuple[str, str]]) -> None:
    """Refuses (flag, path) pairs of which one is the file of events, or another of the pairs."""
    taken = [(f"FILE {events}", _identity(None if events == "-" else events))]
    for flag, path in written:
        identity = _identity(path)
        for name, other in taken:
            if identity is not None and identity == other:
                raise UsageError(
                    f"{flag} {path} is the same file as {name}, and would overwrite it; "
                    "name another file"
                )
        taken.append((f"{flag} {path}", identity))


def _identity(path: str | None) -> object:
    """What all names of one file share; None names standard input."""
    try:
        status = os.fstat(sys.stdin.fileno()) if path is None else Path(path).stat()
    except (OSError, ValueError):
        # Nothing is there yet: then the place is what counts.
        return None if path is None else os.path.realpath(path)
    # A terminal, a pipe or /dev/null may well be both ends of a load.
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
