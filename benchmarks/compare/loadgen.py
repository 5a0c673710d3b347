"""The load generator as this package uses it: specifications in, figures out."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

CRATE = Path(__file__).resolve().parents[1] / "loadgen"
BLOCK = 1_000
"""People of a block; blocks are what the load is counted in."""
IDENTIFIERS_OF_A_BLOCK = 3_247
"""About so many different ones."""
SEED = 7
FILL_SECONDS_MAX = 300.0
"""Peers stop filling here, and work with whom they have."""


def build() -> None:
    """Compile it, with what its lock file says."""
    manifest = str(CRATE / "Cargo.toml")
    subprocess.run(
        ["cargo", "build", "--release", "--locked", "--manifest-path", manifest], check=True
    )


def run(command: str, specification: dict[str, Any]) -> dict[str, Any]:
    """What a command of it found."""
    done = subprocess.run(
        [str(binary()), command],
        input=json.dumps(specification),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"loadgen {command}: {done.stderr.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def start(
    command: str, specification: dict[str, Any], output: int | None = None
) -> subprocess.Popen[bytes]:
    """A command that goes on, or writes too much to be kept."""
    process = subprocess.Popen(
        [str(binary()), command], stdin=subprocess.PIPE, stdout=output, stderr=output
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(specification).encode())
    process.stdin.close()
    return process


def feed(form: str, blocks: int, command: list[str]) -> tuple[int, bytes]:
    """Gives a command what a plain find-or-merge makes of the load, as it is written.

    How many blocks it got in time, and what it printed.
    """
    specification = {
        "seed": SEED,
        "end_block": blocks,
        "form": form,
        "seconds_max": FILL_SECONDS_MAX,
    }
    rows = start("bulk", specification, subprocess.PIPE)
    assert rows.stdout is not None
    assert rows.stderr is not None
    done = subprocess.run(command, stdin=rows.stdout, stdout=subprocess.PIPE, check=True)
    written = json.loads(rows.stderr.read())
    rows.wait()
    return int(written["blocks"]), done.stdout


def binary() -> Path:
    """Where cargo puts it."""
    described = subprocess.run(
        [
            *("cargo", "metadata", "--format-version", "1", "--no-deps", "--manifest-path"),
            str(CRATE / "Cargo.toml"),
        ],
        capture_output=True,
        check=True,
    )
    return Path(json.loads(described.stdout)["target_directory"]) / "release" / "loadgen"
