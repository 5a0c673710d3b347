"""One command, one table: `python -m benchmarks.compare` from the top of the tree."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.compare import components, figures, loadgen, plan, report, single
from benchmarks.compare.run import Bench, say

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "benchmarks" / "README.md"
RESULTS = ROOT / "benchmarks" / "results"


def main() -> None:
    arguments = _arguments()
    # Whoever ends this ends every server, too, and finds no data of theirs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    settings = {"quick": plan.QUICK, "full": plan.FULL, "long": plan.LONG}[arguments.mode]
    if arguments.identifiers:
        settings = replace(settings, sizes=(arguments.identifiers,))
    loadgen.build()
    if arguments.rows is None:
        single.build_core()
    results: dict[str, Any] = {
        "machine": _machine(),
        "settings": f"{settings.rounds} rounds of {settings.seconds:g} s, medians.",
        "sizes": [],
        "core": [],
        "single": {},
    }
    for identifiers in settings.sizes:
        is_last = identifiers == settings.sizes[-1]
        rows = plan.ROWS if is_last else plan.ROWS[: plan.ROWS_OF_SMALLER_SIZES]
        if arguments.rows is not None:
            rows = tuple(row for row in plan.ROWS if row.key in arguments.rows)
        results["sizes"].append(_measure_size(identifiers, rows, settings, arguments))
        # Kept at each step: an hour's work is not lost with its last minute.
        report.write(results, arguments.out)
    if arguments.rows is not None:
        return
    results["core"] = [single.core(size) for size in settings.core_sizes]
    with _data_directory(arguments.directory) as directory:
        results["single"] = {
            figures.REPLAY: single.replay(directory / "replay"),
            figures.LOAD_FILE: single.load_file(directory / "load", settings.file_events),
            "bulk: connected components": components.measure(settings.sizes[-1]),
        }
    text = report.write(results, arguments.out)
    if arguments.publish:
        option = "" if arguments.mode == "full" else f" --{arguments.mode}"
        report.publish(text, results, arguments.out, README, option)
    print(text)


def _directory(path: str) -> Path:
    """A directory as the README can tell its place."""
    return Path(path).resolve()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    mode = parser.add_mutually_exclusive_group()
    for name, text in (
        ("quick", "about five minutes, for development"),
        ("long", "50 million identifiers, ours and Redis only"),
    ):
        mode.add_argument(f"--{name}", dest="mode", action="store_const", const=name, help=text)
    parser.set_defaults(mode="full")
    parser.add_argument(
        "--directory", type=Path, help="where data is kept meanwhile: the disk that is measured"
    )
    parser.add_argument("--out", type=_directory, help="for results.json, table.md and charts")
    parser.add_argument(
        "--identifiers", metavar="N", type=int, help="fill systems with so many, and no other size"
    )
    parser.add_argument(
        "--rows",
        metavar="KEY",
        nargs="*",
        help="only these rows, and nothing that is measured once",
    )
    parser.add_argument("--publish", action="store_true", help="put the table into the README")
    arguments = parser.parse_args()
    arguments.out = arguments.out or (
        RESULTS if arguments.mode == "full" else RESULTS / arguments.mode
    )
    # Now, and not after an hour's work.
    if arguments.publish and not arguments.out.is_relative_to(README.parent):
        parser.error(f"--publish shows charts in {README}: --out must be below {README.parent}")
    return arguments


def _measure_size(
    identifiers: int,
    rows: tuple[plan.Row, ...],
    settings: plan.Settings,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    say(f"{identifiers:,} identifiers")
    with _data_directory(arguments.directory) as directory:
        bench = Bench(directory, identifiers, settings)
        try:
            filled = bench.fill()
            measured = bench.measure(rows)
        finally:
            bench.stop()
    return {"identifiers": identifiers, "filled": filled, "rows": measured}


@contextlib.contextmanager
def _data_directory(parent: Path | None) -> Iterator[Path]:
    """A directory of our own, gone afterwards; one that PostgreSQL's user can reach."""
    with tempfile.TemporaryDirectory(prefix="ipse-compare-", dir=parent) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _machine() -> dict[str, Any]:
    with Path("/proc/cpuinfo").open() as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "commit": _said("git", "describe", "--always", "--dirty"),
        "cpus": os.cpu_count(),
        "processor": names[0] if names else platform.processor(),
        "memory_gb": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "rustc": _said("rustc", "--version"),
    }


def _said(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
