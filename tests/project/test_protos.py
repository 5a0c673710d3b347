"""The wire contract: linted, formatted, and the same as the code that was generated from it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.project.tree import ROOT

# Beside the interpreter, because its environment need not be activated.
BUF = str(Path(sys.executable).with_name("buf"))
COMMANDS = {
    "lint": (BUF, "lint"),
    "format": (BUF, "format", "--diff", "--exit-code"),
    "generated code": (sys.executable, ".ci/generate.py", "--check"),
}
# How generated code states the oldest runtime that it accepts.
DEMANDS = {
    "grpcio": ("*_pb2_grpc.py", re.compile(r"GRPC_GENERATED_VERSION = '([\d.]+)'")),
    "protobuf": ("*_pb2.py", re.compile(r"# Protobuf Python Version: ([\d.]+)")),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_protos(name: str) -> None:
    run = subprocess.run(COMMANDS[name], cwd=ROOT, check=False, text=True, capture_output=True)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("package", DEMANDS)
def test_the_dependencies_are_new_enough_for_the_generated_code(package: str) -> None:
    files, pattern = DEMANDS[package]
    demanded = {
        match[1]
        for path in (ROOT / "python/ipse/v1").glob(files)
        for match in pattern.finditer(path.read_text())
    }
    assert demanded == {floor(package)}


def floor(package: str) -> str:
    """The lowest version that the package's users may install."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for dependency in project["dependencies"]:
        if match := re.match(rf"{package}>=([\d.]+)", dependency):
            return match[1]
    pytest.fail(f"{package} is not a dependency with a lower bound")
