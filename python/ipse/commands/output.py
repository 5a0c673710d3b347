"""Where a command writes what it gives: a file or standard output."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from ipse.commands import CommandError


@contextlib.contextmanager
def opened(path: str | None) -> Iterator[TextIO]:
    """The file, or standard output, as UTF-8 whatever the locale says."""
    if path is None:
        with open(sys.stdout.fileno(), "w", encoding="utf-8", newline="", closefd=False) as out:
            yield out
        return
    try:
        with Path(path).open("w", encoding="utf-8", newline="") as out:
            yield out
    except OSError as failure:
        raise CommandError(f"cannot write {path}: {failure.strerror}") from None
