"""The load generator as this package uses it: specifications in, figures out."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import IO, Any

CRATE = Path(__file__).resolve().parents[1] / "loadgen"
BLOCK = 1_000
"""People of a block; blocks are what the load is counted in."""
IDENTIFIERS_OF_A_BLOCK = 3_247
"""About so many different ones."""
SEED = 7


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
    command: str, specification: dict[str, Any], stdout: IO[bytes] | int
) -> subprocess.Popen[bytes]:
    """A command that goes on, or writes too much to be kept."""
    process = subprocess.Popen([str(binary()), command], stdin=subprocess.PIPE, stdout=stdout)
    assert process.stdin is not None
    process.stdin.write(json.dumps(specification).encode())
    process.stdin.close()
    return process


def bulk(form: str, blocks: int) -> IO[bytes]:
    """What a plain find-or-merge makes of the load, as it is written; in one of its forms."""
    specification = {"seed": SEED, "end_block": blocks, "form": form}
    rows = start("bulk", specification, subprocess.PIPE).stdout
    assert rows is not None
    return rows


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
