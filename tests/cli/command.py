"""Runs `ipse` as a user does: a process with arguments, an exit code and two streams."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

TIMEOUT_S = 60.0


def ipse(
    *words: str | Path,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
) -> subprocess.CompletedProcess[str]:
    """The finished process; its environment has no setting but the ones given."""
    inherited = {name: value for name, value in os.environ.items() if "IPSE_" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "ipse", *map(str, words)],
        input=stdin,
        capture_output=True,
        env=inherited | dict(environment or {}),
        timeout=TIMEOUT_S,
        check=False,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def one_line(text: str) -> str:
    """The only line of an error output."""
    lines = text.splitlines()
    assert len(lines) == 1, text
    return lines[0]
