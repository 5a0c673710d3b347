"""Kills a server under load, over and over, and compares its next life with what it had answered.

`python -m tests.crash.campaign --cycles 10000 --clients 8` is the long run; a few cycles are in
the ordinary tests. Every second cycle dies at a moment of chance (SIGKILL), the others at a named
point inside the store, which may also lie in the recovery that follows. A point is stalled at for
a moment, so that an answer that does not wait for the disk would get out.

The next life is asked for all that the one before answered and for a sample of what was answered
since the data directory was new; the last one for all of it. Ends with the first thing that was
answered and is not true any more, and prints the seed: everything but the timing follows from it.
"""

from __future__ import annotations

import random
import shutil
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from tests.crash import checks, clients, points
from tests.crash.told import Told
from tests.crash.zygote import ForkedServer, Zygote
from tests.server_process import START_SECONDS_MAX

ANSWERS_MIN, ANSWERS_MAX = 50, 600
LIVES = 25
"""After so many lives of a data directory a new one is begun."""
SAMPLE = 300
"""So many answers of earlier lives are asked for again in each later one."""
POINT_ANSWERS_MAX = 1_500
"""A point that is not met within so many answers is given up for a kill."""
POINT_SECONDS_MAX = 5.0
"""What a process whose clients are gone has to be dead itself."""

FLAGS = [
    *("--segment-size-bytes", "65536", "--snapshot-log-bytes", "131072"),
    # So little that segments are removed, too.
    *("--history-retention-bytes", "131072", "--log-format", "json"),
]
SYNCS = ["always"] * 8 + ["interval", "off"]
WORKSPACES = ("default", clients.COMMANDS_WORKSPACE)


@dataclass
class Campaign:
    """One server, killed so many times."""

    directory: Path
    seed: int
    client_count: int
    points: tuple[str, ...] = points.POINTS
    counts: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    is_over: bool = False
    """Set from outside: no further cycle is begun."""

    def __post_init__(self) -> None:
        self._zygote = Zygote()

    def run(self, cycles: int) -> None:
        """All cycles, or until something that was told is not true."""
        for first in range(0, cycles, LIVES):
            if not self.is_over:
                self._lives(range(first, min(first + LIVES, cycles)))

    def close(self) -> None:
        """Ends what a failure left running."""
        self._zygote.close()

    def _lives(self, cycles: range) -> None:
        """So many lives of one data directory."""
        try:
            self._begin(cycles.start)
            for cycle in cycles:
                if not self.is_over:
                    self._cycle(cycle)
            self._end()
        except AssertionError:
            cycle = self.counts["cycles"]
            print(f"seed {self.seed}, cycle {cycle}: kept in {self.directory}", flush=True)
            raise

    def _begin(self, cycle: int) -> None:
        chance = random.Random(f"{self.seed}-directory-{cycle}")
        flags = [*FLAGS, "--sync", chance.choice(SYNCS)]
        self.server = ForkedServer(self._zygote, self.directory / f"data-{cycle}", flags)
        self._start(None)
        clients.prepare(self.server)
        self.earlier = Told()

    def _end(self) -> None:
        """After a kill, and after a stop in good order, the state is what it was."""
        self.server.kill()
        self._start(None)
        hashes = [checks.describe(self.server, name).state_hash for name in WORKSPACES]
        self.server.stop()
        self.server.start()
        assert [checks.describe(self.server, name).state_hash for name in WORKSPACES] == hashes
        checks.check(self.server, self.earlier)
        self.server.stop()
        shutil.rmtree(self.server.data_dir)

    def _cycle(self, cycle: int) -> None:
        chance = random.Random(f"{self.seed}-{cycle}")
        told = self._live(cycle, chance)
        has_point = self.points and chance.random() < 0.5
        self._start(points.choose(self.points, chance) if has_point else None)
        older = checks.sample(self.earlier, SAMPLE, chance)
        try:
            self._check(told, older)
        except grpc.RpcError:
            # A snapshot was due meanwhile, and the point in it.
            assert self.point is not None, self.server.log()
            self.server.kill()
            self._start(None)
            self._check(told, older)
        self.earlier.absorb(told)
        self.counts += told.counts
        self.counts["cycles"] += 1
        if self.counts["cycles"] % 100 == 0:
            print(f"seed {self.seed}: {dict(self.counts)}", flush=True)

    def _check(self, told: Told, older: Told) -> None:
        checks.check(self.server, told)
        checks.check(self.server, older)

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
        name = f"c{cycle}-{chance.getrandbits(32):x}"
        running = clients.start(self.server.address, told, name, self.seed, self.client_count)
        if chance.random() < 0.5 or (self.point and points.needs_snapshots(self.point)):
            snapshotter = clients.Snapshotter(self.server.address, told, f"{name}-s", self.seed)
            snapshotter.start()
            running.append(snapshotter)
        self.deaths[self._await_death(told, chance)] += 1
        self.server.kill()
        clients.join(running)
        return told

    def _await_death(self, told: Told, chance: random.Random) -> str:
        """Returns when it is time for a kill, or when the process died of its point: which."""
        if self.point is None:
            count = chance.randint(ANSWERS_MIN, ANSWERS_MAX)
            answered = told.await_answers(count, START_SECONDS_MAX)
            assert answered, f"the server ended by itself or hangs:\n{self.server.log()[-2_000:]}"
            return "at random"
        name = self.point.split(":")[0]
        if told.await_answers(POINT_ANSWERS_MAX, START_SECONDS_MAX):
            return f"before its point: {name}"
        assert self.server.process is not None, "the server was started"
        self.server.process.wait(POINT_SECONDS_MAX)
        return name


if __name__ == "__main__":
    from tests.crash.command import main

    sys.exit(main())
