"""What a snapshot does to those who call meanwhile, and to memory, with many identifiers held.

    python benchmarks/checkpoint_pause.py [--identifiers 10000000]

Starts a server, fills it over gRPC, and then sends `ResolveEvent` at a fixed rate, whatever the
server does: a call that starts late because others were slow counts from when it was due. Rounds
without a snapshot and rounds while one is written after the other take turns. Beside them runs
a process that does nothing but wake up each millisecond: what it is late by is the machine's doing.
Prints one JSON object; what its fields mean is said in `benchmarks/README.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self, TypeAlias, TypeVar

import grpc.aio
from ipse.commands.child import ServerProcess, resident_bytes_of
from ipse.commands.loading.wire import encode_raw_events
from ipse.v1 import admin_pb2, identity_pb2

IDENTIFIERS_A_PERSON = 4
FILL_EVENTS = 1_000
FILL_CALLS = 3
WARMUP_SECONDS = 3.0
MEMORY_SECONDS = 0.05
IDLE_SECONDS = 0.001
NEW_IDENTIFIER_CHANCE = 0.5
"""So many of the events measured teach something, and are answered when it is on disk."""

ResponseT = TypeVar("ResponseT")
Call: TypeAlias = grpc.aio.UnaryUnaryMultiCallable[bytes, ResponseT]

_RESOLVE = "/ipse.v1.IdentityService/ResolveEvent"
_RESOLVE_MANY = "/ipse.v1.IdentityService/ResolveEvents"
_CHECKPOINT = "/ipse.v1.AdminService/Checkpoint"


@dataclass
class Phase:
    """What callers and memory did in the rounds of one kind."""

    rounds: list[list[float]] = field(default_factory=list)
    """Latencies, in seconds."""
    idle: list[float] = field(default_factory=list)
    """What a process that does nothing was late by, in seconds."""
    resident_bytes_max: int = 0
    snapshots: list[float] = field(default_factory=list)
    """Seconds that each took."""

    def percentile_ms(self, percent: float) -> float:
        """Of all rounds."""
        return _percentile_ms(sorted(itertools.chain(*self.rounds)), percent)

    def usual_p999_ms(self) -> float:
        """The median of the rounds: one pause of the machine is none of ours."""
        return statistics.median(_percentile_ms(each, 99.9) for each in self.rounds)

    def figures(self) -> dict[str, object]:
        of = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}
        return {
            "calls": sum(map(len, self.rounds)),
            **{f"{name}_ms": self.percentile_ms(percent) for name, percent in of.items()},
            "p99.9_ms_of_each_round": [_percentile_ms(each, 99.9) for each in self.rounds],
            "idle_p99.9_ms": _percentile_ms(sorted(self.idle), 99.9),
            "idle_max_ms": _percentile_ms(sorted(self.idle), 100.0),
            "resident_bytes_max": self.resident_bytes_max,
            "snapshot_seconds": self.snapshots,
        }


class Load:
    """Known people who come back, some on a new device, at a fixed rate."""

    def __init__(self, channel: grpc.aio.Channel, people: int, rate: float) -> None:
        self._resolve: Call[bytes] = channel.unary_unary(_RESOLVE)
        self._chance = random.Random(1)
        self._people = people
        self._interval_s = 1 / rate
        self._sent = 0

    async def run(self, until: asyncio.Event) -> list[float]:
        """Calls until told to stop; the seconds from when each was due to its answer."""
        latencies_s: list[float] = []
        calls: set[asyncio.Task[None]] = set()
        due = time.perf_counter()
        while not until.is_set():
            await asyncio.sleep(due - time.perf_counter())
            while due <= time.perf_counter():
                call = asyncio.create_task(self._call(due, latencies_s))
                calls.add(call)
                call.add_done_callback(calls.discard)
                due += self._interval_s
        await asyncio.gather(*calls)
        return latencies_s

    async def _call(self, due: float, latencies_s: list[float]) -> None:
        await self._resolve(encode_raw_events("", [self._event()]))
        latencies_s.append(time.perf_counter() - due)

    def _event(self) -> bytes:
        self._sent += 1
        person = self._chance.randrange(self._people)
        is_new = self._chance.random() < NEW_IDENTIFIER_CHANCE
        browser = f"new-{self._sent}" if is_new else f"browser-{person}"
        return (
            f'{{"messageId":"m-{self._sent}","type":"track","userId":"user-{person}",'
            f'"anonymousId":"{browser}"}}'
        ).encode()


class Idle:
    """The process that does nothing, on time."""

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_sleep_and_measure, args=(theirs,), daemon=True)
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    def take(self) -> list[float]:
        """The seconds by which it was late, since the last time."""
        self._ours.send(None)
        late_s: list[float] = self._ours.recv()
        return late_s


def _sleep_and_measure(asked: Connection) -> None:
    late_s: list[float] = []
    while True:
        started = time.perf_counter()
        is_asked = asked.poll(IDLE_SECONDS)
        if not is_asked:
            late_s.append(time.perf_counter() - started - IDLE_SECONDS)
            continue
        asked.recv()
        asked.send(late_s)
        late_s = []


def main() -> int:
    options = _parse()
    with tempfile.TemporaryDirectory(dir=options.directory, prefix="ipse-pause-") as directory:
        work_dir = Path(directory)
        flags = ["--sync", options.sync, "--snapshot-log-bytes", str(1 << 40)]
        with ServerProcess(work_dir / "data", work_dir, *flags) as server:
            figures = asyncio.run(_measure(options, server))
    print(json.dumps(figures, indent=1))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--identifiers", type=int, default=10_000_000)
    parser.add_argument("--rate", type=float, default=500, help="calls a second")
    parser.add_argument("--rounds", type=int, default=5, help="of each kind, taking turns")
    parser.add_argument("--seconds", type=float, default=20, help="of a round")
    parser.add_argument("--sync", choices=("always", "interval", "off"), default="always")
    parser.add_argument("--directory", type=Path, help="where data is; 4 GiB of a real disk")
    return parser.parse_args()


async def _measure(options: argparse.Namespace, server: ServerProcess) -> dict[str, object]:
    people = options.identifiers // IDENTIFIERS_A_PERSON
    async with grpc.aio.insecure_channel(server.address) as channel:
        started = time.perf_counter()
        await _fill(channel, people)
        fill_s = time.perf_counter() - started
        load = Load(channel, people, options.rate)
        checkpoint: Call[admin_pb2.CheckpointResponse] = channel.unary_unary(
            _CHECKPOINT, response_deserializer=admin_pb2.CheckpointResponse.FromString
        )
        # What is alive now stays so: collecting it again would show as slow answers.
        gc.freeze()
        await load.run(_after(WARMUP_SECONDS))
        before = _resident_bytes(server.pid)
        quiet, busy = Phase(), Phase()
        with Idle() as idle:
            for _ in range(options.rounds):
                idle.take()
                await _round(quiet, load, server.pid, _after(options.seconds))
                quiet.idle += idle.take()
                over = asyncio.Event()
                snapshots = asyncio.create_task(_snapshots(checkpoint, busy, options.seconds, over))
                await _round(busy, load, server.pid, over)
                await snapshots
                busy.idle += idle.take()
    return {
        "identifiers": options.identifiers,
        "rate": options.rate,
        "sync": options.sync,
        "fill_seconds": round(fill_s, 1),
        "resident_bytes_before": before,
        "without_snapshot": quiet.figures(),
        "with_snapshot": busy.figures(),
        "p99.9_ms_more": round(busy.usual_p999_ms() - quiet.usual_p999_ms(), 3),
        "memory_percent_more": round(100 * (busy.resident_bytes_max / before - 1), 1),
    }


async def _round(phase: Phase, load: Load, pid: int, until: asyncio.Event) -> None:
    memory = asyncio.create_task(_watch_memory(phase, pid, until))
    phase.rounds.append(sorted(await load.run(until)))
    await memory


async def _snapshots(
    checkpoint: Call[admin_pb2.CheckpointResponse],
    phase: Phase,
    seconds: float,
    over: asyncio.Event,
) -> None:
    """One snapshot after the other, for so many seconds at least."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        made = await checkpoint(b"")
        phase.snapshots.append(round(made.seconds, 2))
    over.set()


def _after(seconds: float) -> asyncio.Event:
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, over.set)
    return over


async def _watch_memory(phase: Phase, pid: int, until: asyncio.Event) -> None:
    while not until.is_set():
        phase.resident_bytes_max = max(phase.resident_bytes_max, _resident_bytes(pid))
        await asyncio.sleep(MEMORY_SECONDS)


def _resident_bytes(pid: int) -> int:
    """Memory of a process and all that it started."""
    return sum(resident_bytes_of(each) for each in _tree(pid))


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        # A thread may end while its name is read.
        with contextlib.suppress(FileNotFoundError):
            for child in (task / "children").read_text().split():
                yield from _tree(int(child))


async def _fill(channel: grpc.aio.Channel, people: int) -> None:
    """So many people of four identifiers each."""
    resolve: Call[bytes] = channel.unary_unary(_RESOLVE_MANY)
    starts = iter(range(0, people, FILL_EVENTS))

    async def send() -> None:
        for start in starts:
            some = range(start, min(start + FILL_EVENTS, people))
            payload = await resolve(encode_raw_events("", map(_first_event, some)))
            results = identity_pb2.ResolveEventsResponse.FromString(payload).results
            assert not any(result.HasField("error") for result in results), results[0]

    await asyncio.gather(*(send() for _ in range(FILL_CALLS)))


def _first_event(person: int) -> bytes:
    return (
        f'{{"messageId":"first-{person}","type":"identify","userId":"user-{person}",'
        f'"anonymousId":"browser-{person}","traits":{{"email":"person-{person}@example.com"}},'
        f'"context":{{"device":{{"type":"ios","id":"phone-{person}"}}}}}}'
    ).encode()


def _percentile_ms(ordered_s: list[float], percent: float) -> float:
    """The smallest latency that this share of the calls did not pass (nearest rank)."""
    rank = -int(-len(ordered_s) * percent // 100)
    return round(ordered_s[rank - 1] * 1_000, 3)


if __name__ == "__main__":
    raise SystemExit(main())
