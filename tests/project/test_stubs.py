"""The stub of the extension says what the extension holds: mypy's stubtest compares them."""

from __future__ import annotations

import subprocess
import sys

from tests.project.tree import ROOT


def test_the_stub_matches_the_extension() -> None:
    run = subprocess.run(
        (
            *(sys.executable, "-m", "mypy.stubtest", "ipse._native", "--concise"),
            *("--mypy-config-file", "pyproject.toml"),
        ),
        cwd=ROOT,
        check=False,
        text=True,
        capture_output=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
