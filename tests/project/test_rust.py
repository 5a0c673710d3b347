"""The tests of the Rust crates, counted with the others.

The extension crate has no tests of its own (linking it without an interpreter fails): what it
does is tested through Python.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ("cargo", "test", "--workspace", "--exclude", "ipse-py", "--locked", "--no-fail-fast")
# The lines of the standard test harness: which executable runs, and how each test ended.
RUNNING = re.compile(r"^\s+(?:Running .*/([^/]+)-[0-9a-f]+\)|(Doc-tests) (\S+))$")
ENDED = re.compile(r"^test (.+?)(?: - should panic)? \.\.\. (ok|FAILED|ignored)")


@pytest.mark.skipif(shutil.which("cargo") is None, reason="there is no Rust toolchain here")
def test_rust(subtests: pytest.Subtests) -> None:
    # One stream, because cargo names the executable on one and the harness reports on the other.
    run = subprocess.run(
        COMMAND,
        cwd=ROOT,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    for name, outcome in results(run.stdout):
        with subtests.test(name):
            assert outcome != "FAILED"
    assert run.returncode == 0, run.stdout


def results(output: str) -> list[tuple[str, str]]:
    """The name of each test, after its executable's, and how it ended."""
    executable, found = "?", []
    for line in output.splitlines():
        if running := RUNNING.match(line):
            executable = running[1] or f"{running[3]} documentation"
        elif ended := ENDED.match(line):
            found.append((f"{executable}: {ended[1]}", ended[2]))
    return found
