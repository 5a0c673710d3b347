"""The command line of the kill campaign: one campaign, or several side by side.

One campaign does not keep two cores busy. `--jobs` have processes, directories and seeds of their
own (the first has the seed that was given, the next the one after it); their counts are summed.
SIGTERM and SIGINT end it after the cycle, with its counts.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from tests.crash.campaign import Campaign
from tests.crash.points import POINTS

_MEMORY = Path("/dev/shm")  # noqa: S108 -- a directory in it is made by mkdtemp
_CYCLES_MIN = 20
"""In fewer cycles no point need be met."""


class Counts(NamedTuple):
    """What campaigns did."""

    what: Counter[str]
    deaths: Counter[str]


class Job(NamedTuple):
    """A campaign in a process of its own."""

    process: SpawnProcess
    counts: Connection
    """What it did, when it has ended."""


def main() -> int:
    """Prints a line each hundred cycles and, as JSON, the counts at the end; 1 if any answer was
    not true any more."""
    options = _parse()
    print(f"seed {options.seed}", flush=True)
    started = time.monotonic()
    jobs = [_start(options, number) for number in range(options.jobs)]
    _on_signal([signal.SIGTERM, signal.SIGINT], lambda: _end(jobs))
    _await(jobs)
    _report(options, time.monotonic() - started, [_counts(job) for job in jobs])
    return int(any(job.process.exitcode for job in jobs))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.campaign", description=__doc__)
    parser.add_argument("--cycles", type=int, default=10_000, help="of all jobs")
    parser.add_argument("--clients", type=int, default=8, help="of each job")
    parser.add_argument("--jobs", type=int, default=2, help="campaigns side by side")
    parser.add_argument("--seconds", type=float, default=0, help="end after this time")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--no-points", action="store_true", help="only SIGKILL at random")
    parser.add_argument("--point", action="append", choices=POINTS, help="only these points")
    parser.add_argument(
        "--directory",
        type=Path,
        default=_MEMORY if _MEMORY.is_dir() and "TMPDIR" not in os.environ else None,
        help="where data is; by default TMPDIR, or memory: a kill takes no page from the cache",
    )
    return parser.parse_args()


def _start(options: argparse.Namespace, number: int) -> Job:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(options, number, theirs))
    process.start()
    theirs.close()
    return Job(process, ours)


def _run(options: argparse.Namespace, number: int, counts: Connection) -> None:
    points = () if options.no_points else tuple(options.point or POINTS)
    directory = Path(tempfile.mkdtemp(dir=options.directory))
    campaign = Campaign(directory, options.seed + number, options.clients, points)

    def end() -> None:
        campaign.is_over = True

    _on_signal([signal.SIGTERM, signal.SIGINT, signal.SIGALRM], end)
    signal.setitimer(signal.ITIMER_REAL, options.seconds)
    try:
        campaign.run(options.cycles // options.jobs + (number < options.cycles % options.jobs))
        met = campaign.deaths.keys() & POINTS
        too_few = not points or campaign.counts["cycles"] < _CYCLES_MIN
        assert met or too_few, "no point was met: is it a build with debug assertions?"
    finally:
        campaign.close()
        counts.send(Counts(campaign.counts, campaign.deaths))
    shutil.rmtree(directory)


def _await(jobs: list[Job]) -> None:
    """Until all have ended; when one has failed, the others do not go on."""
    left = [job.process for job in jobs]
    while left:
        wait([process.sentinel for process in left])
        left = [process for process in left if process.is_alive()]
        if any(job.process.exitcode for job in jobs):
            _end(jobs)


def _counts(job: Job) -> Counts:
    # Who was killed says nothing.
    with suppress(EOFError):
        counts: Counts = job.counts.recv()
        return counts
    return Counts(Counter(), Counter())


def _end(jobs: list[Job]) -> None:
    for job in jobs:
        if job.process.is_alive():
            job.process.terminate()


def _on_signal(numbers: list[signal.Signals], do: Callable[[], None]) -> None:
    def handler(_number: int, _frame: FrameType | None) -> None:
        do()

    for number in numbers:
        signal.signal(number, handler)


def _report(options: argparse.Namespace, seconds: float, counts: list[Counts]) -> None:
    what = sum((each.what for each in counts), Counter[str]())
    deaths = sum((each.deaths for each in counts), Counter[str]())
    told = {"seed": options.seed, "commit": _commit(), "jobs": options.jobs}
    told |= {"clients": options.clients, "seconds": round(seconds, 1)}
    told |= {"cycles_per_second": round(what["cycles"] / seconds, 2), **what}
    told["deaths"] = dict(sorted(deaths.items()))
    print(json.dumps(told), flush=True)


def _commit() -> str | None:
    """What is checked out here, if that is known."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    with suppress(OSError, subprocess.CalledProcessError):
        here = Path(__file__).parent
        return subprocess.run(
            command, cwd=here, capture_output=True, check=True, text=True
        ).stdout.strip()
    return None
