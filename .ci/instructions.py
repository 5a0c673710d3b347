"""Instructions of the core's paths and of whole calls, counted by callgrind.

`.ci/instructions.py [--core] [--update]`: `--core` counts the core's alone, whose build is short.

Instructions do not move with what else the machine does, so a path that grows by more than 3 %
grew by what was changed. `benchmarks/instructions.toml` holds the counts of each version of rustc;
`--update` writes those of this one. Whoever lets a path grow writes them anew in the same
change, and says in its message why.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass

import workbench

COUNTS = workbench.ROOT / "benchmarks" / "instructions.toml"
GROWTH_MAX = 0.03
EXAMPLES = {"core_cost": "ipse-core", "calls": "ipse-rpc"}


@dataclass(frozen=True)
class Measured:
    """A path: the function of an example that walks it, and how often that does."""

    name: str
    example: str
    function: str
    arguments: tuple[str, ...]
    times: int


PATHS = (
    Measured("decide_steady", "core_cost", "decide_all", ("4000", "50000"), 50_000),
    Measured("decide_and_apply", "core_cost", "teach_all", ("40000", "0"), 20_000),
    Measured("call_steady", "calls", "count_calls", ("steady", "10000"), 10_000),
    Measured("call_steady_in_batch", "calls", "count_calls", ("batch", "100"), 10_000),
    Measured("call_teaching", "calls", "count_calls", ("teaching", "10000"), 10_000),
    Measured("call_get_profile", "calls", "count_calls", ("profile", "10000"), 10_000),
)


def main() -> int:
    """Count every path; 1 if one grew, or has no count to be compared with."""
    if shutil.which("valgrind") is None:
        print("not counted: there is no valgrind here (Debian's package valgrind)")
        return 0
    workbench.prepare()
    rustc = _rustc()
    recorded = tomllib.loads(COUNTS.read_text())
    if rustc not in recorded and "--update" not in sys.argv:
        print(f"not counted: {COUNTS.name} has no counts of rustc {rustc}; --update adds them")
        return 0
    paths = [path for path in PATHS if path.example == "core_cost" or "--core" not in sys.argv]
    _build({path.example for path in paths})
    counts = {path.name: _count(path) for path in paths}
    if "--update" in sys.argv:
        COUNTS.write_text(_written({**recorded, rustc: {**recorded.get(rustc, {}), **counts}}))
        return 0
    return 1 if [name for name in counts if _grew(name, counts[name], recorded[rustc])] else 0


def _rustc() -> str:
    """The version of the compiler that this tree is built with."""
    command = ("rustc", "--version")
    environment = workbench.environment()
    told = subprocess.run(
        command, cwd=workbench.ROOT, env=environment, check=True, text=True, capture_output=True
    )
    return told.stdout.split()[1]


def _build(examples: set[str]) -> None:
    for example in sorted(examples):
        command = ("cargo", "build", "--release", "--locked", "-q", "-p", EXAMPLES[example])
        if workbench.run(*command, "--example", example).returncode != 0:
            workbench.stop(f"{example} does not build")


def _count(path: Measured) -> int:
    """Instructions of the path, once."""
    target = workbench.environment().get("CARGO_TARGET_DIR", str(workbench.ROOT / "target"))
    run = subprocess.run(
        (
            "valgrind",
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            f"--toggle-collect={path.example}::{path.function}*",
            f"{target}/release/examples/{path.example}",
            *path.arguments,
        ),
        check=True,
        text=True,
        capture_output=True,
    )
    counted = re.search(r"Collected : (\d+)", run.stderr)
    if counted is None or counted[1] == "0":
        workbench.stop(f"callgrind counted nothing of {path.name}: {run.stderr}")
    return int(counted[1]) // path.times


def _grew(name: str, count: int, recorded: dict[str, int]) -> bool:
    before = recorded.get(name, 0)
    grew = count > before * (1 + GROWTH_MAX)
    print(f"{name}: {count:,} instructions, {before:,} recorded{' GREW' if grew else ''}")
    return grew


def _written(counts: dict[str, dict[str, int]]) -> str:
    tables = [
        "\n".join([f'["{rustc}"]', *(f"{name} = {count}" for name, count in paths.items())])
        for rustc, paths in sorted(counts.items())
    ]
    head = "# By version of rustc; `python3 .ci/instructions.py --update` writes it."
    return "\n\n".join([head, *tables]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
