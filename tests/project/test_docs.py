"""What README.md says holds: its commands, its paths and its examples."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.tree import ROOT

README = (ROOT / "README.md").read_text()
FIRST_SCREEN = "\n".join(README.splitlines()[:40])
MAIN_COMMAND = "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/ipse demo"
TEST_COMMAND = "python3 .ci/test.py"
TREES = ("rust", "python", "protos", "tests", "benchmarks", ".ci")


def help_of(*command: str) -> str:
    return subprocess.run(
        (sys.executable, "-m", "ipse", *command, "--help"),
        check=True,
        text=True,
        capture_output=True,
    ).stdout


def listed_commands() -> list[str]:
    """Subcommands, as `ipse --help` lists them: indented names, long ones on a line alone."""
    return re.findall(r"^ {4}([a-z][a-z-]+)(?:$| {2,}\S)", help_of(), re.MULTILINE)


@pytest.mark.parametrize("command", [MAIN_COMMAND, TEST_COMMAND])
def test_the_first_screen_quotes(command: str) -> None:
    assert command in FIRST_SCREEN.splitlines()


def test_ci_runs_the_command_that_the_readme_quotes() -> None:
    assert TEST_COMMAND in (ROOT / ".ci/run").read_text().splitlines()


def test_the_readme_lists_every_command_and_no_other() -> None:
    table = re.findall(r"^\| `ipse ([a-z-]+)", README, re.MULTILINE)
    assert sorted(set(table)) == sorted(listed_commands())


def test_every_command_explains_itself(subtests: pytest.Subtests) -> None:
    for command in listed_commands():
        with subtests.test(command):
            assert f"usage: ipse {command}" in help_of(command)


def test_every_path_that_the_readme_names_exists() -> None:
    names = re.findall(rf"`((?:{'|'.join(TREES)})/[\w./*-]*)`", README)
    assert names
    assert [name for name in names if not any(ROOT.glob(name.rstrip("/")))] == []


def examples() -> list[str]:
    """Python in the README that needs no server."""
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [block for block in blocks if "Client(" not in block]


@pytest.mark.parametrize("source", examples(), ids=lambda source: source.splitlines()[0])
def test_an_example_runs(source: str, tmp_path: Path) -> None:
    run = subprocess.run(
        (sys.executable, "-c", source), cwd=tmp_path, check=False, text=True, capture_output=True
    )
    assert run.returncode == 0, run.stderr
