"""Instructions of the core's paths, counted by callgrind: `.ci/instructions.py [--update]`.

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
    """A path, as the difference between two runs of an example, and how often it is in that."""

    name: str
    example: str
    few: tuple[str, ...]
    many: tuple[str, ...]
    times: int


PATHS = (
    Measured("decide_steady", "core_cost", ("40000", "0"), ("40000", "50000"), 50_000),
    Measured("decide_and_apply", "core_cost", ("40000", "0"), ("80000", "0"), 20_000),
    Measured("call_steady", "calls", ("steady", "0"), ("steady", "10000"), 10_000),
    Measured("call_steady_in_batch", "calls", ("batch", "0"), ("batch", "100"), 10_000),
    Measured("call_teaching", "calls", ("teaching", "0"), ("teaching", "10000"), 10_000),
    Measured("call_get_profile", "calls", ("profile", "0"), ("profile", "10000"), 10_000),
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
    _build()
    counts = {path.name: _count(path) for path in PATHS}
    if "--update" in sys.argv:
        COUNTS.write_text(_written({**recorded, rustc: counts}))
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


def _build() -> None:
    for example, crate in EXAMPLES.items():
        command = ("cargo", "build", "--release", "--locked", "-q", "-p", crate)
        if workbench.run(*command, "--example", example).returncode != 0:
            workbench.stop(f"{example} does not build")


def _count(path: Measured) -> int:
    few, many = (_instructions(path.example, arguments) for arguments in (path.few, path.many))
    return round((many - few) / path.times)


def _instructions(example: str, arguments: tuple[str, ...]) -> int:
    target = workbench.environment().get("CARGO_TARGET_DIR", workbench.ROOT / "target")
    program = f"{target}/release/examples/{example}"
    tool = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
    run = subprocess.run((*tool, program, *arguments), check=True, text=True, capture_output=True)
    counted = re.search(r"Collected : (\d+)", run.stderr)
    if counted is None:
        workbench.stop(f"callgrind counted nothing: {run.stderr}")
    return int(counted[1])


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
    head = "# Instructions of each path by version of rustc; `python3 .ci/instructions.py --update`."
    return "\n\n".join([head, *tables]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
