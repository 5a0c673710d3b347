"""Kills a server under load, over and over, and compares its next life with what it had answered.

`python -m tests.crash.campaign --cycles 10000 --clients 8` is the long run; a few cycles are in
the ordinary tests. Every second cycle dies at a moment of chance (SIGKILL), the others at a named
point inside the store (rust/ipse-store/src/failpoints.rs), which may also lie in the recovery
that follows. A point is stalled at for a moment, so that an answer that does not wait for the disk
would get out. Ends with the first thing that was answered and is not true any more, and prints
the seed: everything but the timing follows from it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from tests.crash import checks, clients
from tests.crash.told import Told
from tests.server_process import START_SECONDS_MAX, ServerProcess

ANSWERS_MIN, ANSWERS_MAX = 50, 600
LIVES = 25
"""After so many lives of a data directory a new one is begun."""
SAMPLE = 300
"""So many answers of each life before are asked for again in each later one."""
POINT_SECONDS_MAX = 2.0
"""A point that is not met in this time is given up for a kill."""

FLAGS = ["--segment-size-bytes", "65536", "--snapshot-log-bytes", "131072", "--log-format", "json"]
SYNCS = ["always"] * 8 + ["interval", "off"]
FILES = ("segment.wal", "next-segment.wal.tmp", "next-snapshot.snap.tmp", "MANIFEST.tmp")
POINTS = (
    *(f"{moment}-write-{kind}" for kind in FILES for moment in ("before", "half", "after")),
    *(f"{moment}-sync-{kind}" for kind in FILES for moment in ("before", "after")),
    *(f"{moment}-create-{kind}" for kind in FILES[1:] for moment in ("before", "after")),
    *(
        f"{moment}-rename-{kind}"
        for kind in ("segment.wal", "snapshot.snap", "MANIFEST")
        for moment in ("before", "after")
    ),
    *(
        f"{moment}-{place}"
        for place in ("sync-directory", "remove-snapshot.snap", "remove-segment.wal")
        for moment in ("before", "after")
    ),
)


@dataclass
class Campaign:
    """One server, killed so many times."""

    directory: Path
    seed: int
    client_count: int
    points: tuple[str, ...] = POINTS
    counts: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)

    def run(self, cycles: int) -> None:
        """All cycles, or until something that was told is not true."""
        for cycle in range(cycles):
            if cycle % LIVES == 0:
                self._begin(cycle)
            try:
                self._cycle(cycle)
            except AssertionError:
                print(f"seed {self.seed}, cycle {cycle}: kept in {self.directory}", flush=True)
                raise
        self._end()

    def close(self) -> None:
        """Ends the server that a failure left running."""
        self.server.close()

    def _begin(self, cycle: int) -> None:
        if cycle > 0:
            self._end()
        chance = random.Random(f"{self.seed}-directory-{cycle}")
        data_dir = self.directory / f"data-{cycle}"
        self.server = ServerProcess(data_dir, [*FLAGS, "--sync", chance.choice(SYNCS)])
        self._start(None)
        clients.prepare(self.server)
        self.before: list[Told] = []

    def _end(self) -> None:
        """Stopped in good order and started again, the state is what it was."""
        names = ("default", clients.COMMANDS_WORKSPACE)
        self.server.kill()
        self._start(None)
        hashes = [checks.describe(self.server, name).state_hash for name in names]
        self.server.stop()
        self.server.start()
        assert [checks.describe(self.server, name).state_hash for name in names] == hashes
        self.server.stop()
        shutil.rmtree(self.server.data_dir)

    def _cycle(self, cycle: int) -> None:
        chance = random.Random(f"{self.seed}-{cycle}")
        told = self._live(cycle, chance)
        self._start(self._choose_point(chance))
        try:
            self._check(told)
        except grpc.RpcError:
            # A snapshot was due meanwhile, and the point in it.
            assert self.point is not None, self.server.log()
            self.server.kill()
            self._start(None)
            self._check(told)
        self.before = [*self.before[-4:], checks.sample(told, SAMPLE, chance)]
        self.counts += told.counts
        self.counts["cycles"] += 1
        if self.counts["cycles"] % 100 == 0:
            print(dict(self.counts), flush=True)

    def _check(self, told: Told) -> None:
        assert told.failures == [], told.failures
        checks.check(self.server, told)
        for older in self.before:
            checks.check(self.server, older)

    def _choose_point(self, chance: random.Random) -> str | None:
        if not self.points or chance.random() < 0.5:
            return None
        point = chance.choice(self.points)
        time_of_it = chance.randint(1, 100 if point.endswith("-segment.wal") else 3)
        return f"{point}:{time_of_it}:{chance.choice((0, 30))}"

    def _start(self, point: str | None) -> None:
        """Starts the next life with a point, and without it if the point lay in recovery."""
        self.point = point
        self.server.environment = {} if point is None else {"IPSE_FAILPOINT": point}
        try:
            self.server.start()
        except (AssertionError, grpc.RpcError):
            if point is None:
                raise
            self.deaths[f"in recovery: {point.split(':')[0]}"] += 1
            self._start(None)

    def _live(self, cycle: int, chance: random.Random) -> Told:
        told = Told()
        point = self.point
        name = f"c{cycle}-{chance.getrandbits(32):x}"
        running = clients.start(self.server.address, told, name, self.seed, self.client_count)
        if chance.random() < 0.5 or (point is not None and "snap" in point):
            snapshotter = clients.Snapshotter(self.server.address, told, f"{name}-s", self.seed)
            snapshotter.start()
            running.append(snapshotter)
        if point is None:
            told.await_answers(chance.randint(ANSWERS_MIN, ANSWERS_MAX), START_SECONDS_MAX)
            self.deaths["at random"] += 1
        elif self._await_death():
            self.deaths[point.split(":")[0]] += 1
        else:
            self.deaths["at random, the point was not met"] += 1
        self.server.kill()
        clients.join(running)
        return told

    def _await_death(self) -> bool:
        """Whether the process died by itself, soon."""
        assert self.server.process is not None, "the server was started"
        with contextlib.suppress(Exception):
            self.server.process.wait(POINT_SECONDS_MAX)
            return True
        return False


def main() -> int:
    """One campaign; prints a line each hundred cycles and the counts at the end."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.campaign", description=__doc__)
    parser.add_argument("--cycles", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--no-points", action="store_true", help="only SIGKILL at random")
    parser.add_argument("--point", action="append", choices=POINTS, help="only these points")
    parser.add_argument("--directory", type=Path, help="where data is; a fast disk is faster")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    directory = Path(tempfile.mkdtemp(dir=arguments.directory))
    points = () if arguments.no_points else tuple(arguments.point or POINTS)
    campaign = Campaign(directory, arguments.seed, arguments.clients, points)
    started = time.monotonic()
    try:
        campaign.run(arguments.cycles)
    finally:
        campaign.close()
        seconds = round(time.monotonic() - started, 1)
        print(json.dumps({"seconds": seconds, **campaign.counts}), flush=True)
        print(json.dumps(dict(sorted(campaign.deaths.items())), indent=1), flush=True)
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
