"""What a server keeps of its throughput when it is asked for five times what it can do.

    python benchmarks/overload.py [--seconds 10] [--rounds 3] [--processes 2] [--data-dir DIR]

Starts `ipse serve`, and clients in processes of their own. Prints one JSON object per phase:

    peak      closed loop, more and more calls in flight until that gains nothing
    polite    closed loop, five times as many, all keeping to the delays that they are given
    open      five times the peak whatever the answers, no delay kept, each with a deadline
    lost      the server is killed and started again: which acknowledged events are gone

The two in the middle for single events and for batches. Clients and server share the machine: what
clients cost is taken from the server, most of all in the open loop.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc.aio
import ipse
from ipse import Event, _transport
from ipse.v1 import event_pb2, identity_pb2

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.server_process import ServerProcess  # noqa: E402 -- needs the path

FACTOR = 5
DEADLINE_S = 1.0
IN_FLIGHT = (16, 64, 256)
PEOPLE = 50_000
KEPT_ACKNOWLEDGED_MAX = 2_000
RESOLVE = "/ipse.v1.IdentityService/ResolveEvent"
RESOLVE_MANY = "/ipse.v1.IdentityService/ResolveEvents"


@dataclass
class Heard:
    """What one process of clients heard."""

    outcomes: Counter[str] = field(default_factory=Counter)
    times_s: list[float] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    without_delay: int = 0

    def add(self, outcome: str, seconds: float) -> None:
        """Count a call."""
        self.outcomes[outcome] += 1
        if outcome == "OK":
            self.times_s.append(seconds)


@dataclass(frozen=True)
class Load:
    """What one process of clients does."""

    address: str
    batch: int
    seconds: float
    in_flight: int = 0
    calls_per_s: float = 0.0
    connections: int = 4


def request_of(batch: int, numbers: random.Random) -> tuple[str, bytes, str]:
    """A method, its request, and a value in it that nobody else has sent."""
    fresh = f"fresh-{numbers.getrandbits(64):x}"

    def event(number: int) -> event_pb2.Event:
        device = fresh if number == 0 else f"d{numbers.randrange(PEOPLE)}"
        user = f"u{numbers.randrange(PEOPLE)}"
        pairs = (("user_id", user), ("device_id", device))
        return event_pb2.Event(
            identifiers=[event_pb2.Identifier(namespace=n, value=v) for n, v in pairs]
        )

    if batch == 1:
        one = identity_pb2.ResolveEventRequest(event=event(0))
        return RESOLVE, one.SerializeToString(), fresh
    many = identity_pb2.ResolveEventsRequest(events=map(event, range(batch)))
    return RESOLVE_MANY, many.SerializeToString(), fresh


async def closed_loop(load: Load, heard: Heard) -> None:
    """Callers who wait for each answer, and for as long as they are told."""
    channels = [channel_of(load.address) for _ in range(load.connections)]
    end = time.monotonic() + load.seconds

    async def caller(number: int) -> None:
        numbers = random.Random()
        while time.monotonic() < end:
            method, request, fresh = request_of(load.batch, numbers)
            started = time.monotonic()
            try:
                send: Any = channels[number % len(channels)].unary_unary(method)
                await send(request, timeout=30)
            except grpc.aio.AioRpcError as failure:
                error = _transport.error_of(failure)
                heard.add(error.reason or error.code.name, 0)
                await asyncio.sleep(error.retry_delay_s or 0.1)
                continue
            heard.add("OK", time.monotonic() - started)
            keep(heard, fresh)

    await asyncio.gather(*(caller(number) for number in range(load.in_flight)))
    for channel in channels:
        await channel.close()


async def open_loop(load: Load, heard: Heard) -> None:
    """Calls that come when they come."""
    channels = [channel_of(load.address) for _ in range(load.connections)]
    numbers = random.Random()
    calls: set[asyncio.Task[None]] = set()
    began = time.monotonic()
    sent = 0

    async def one(channel: grpc.aio.Channel) -> None:
        method, request, fresh = request_of(load.batch, numbers)
        started = time.monotonic()
        try:
            send: Any = channel.unary_unary(method)
            await send(request, timeout=DEADLINE_S)
        except grpc.aio.AioRpcError as failure:
            error = _transport.error_of(failure)
            heard.add(error.reason or error.code.name, 0)
            heard.without_delay += (
                isinstance(error, ipse.ResourceExhausted) and error.retry_delay_s is None
            )
            return
        heard.add("OK", time.monotonic() - started)
        keep(heard, fresh)

    while (passed := time.monotonic() - began) < load.seconds:
        for _ in range(int(passed * load.calls_per_s) - sent):
            sent += 1
            task = asyncio.create_task(one(channels[sent % len(channels)]))
            calls.add(task)
            task.add_done_callback(calls.discard)
        await asyncio.sleep(0.002)
    await asyncio.gather(*calls)
    for channel in channels:
        await channel.close()


def channel_of(address: str) -> grpc.aio.Channel:
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    return grpc.aio.insecure_channel(address, options)


def keep(heard: Heard, fresh: str) -> None:
    if len(heard.acknowledged) < KEPT_ACKNOWLEDGED_MAX:
        heard.acknowledged.append(fresh)


Loop = Callable[[Load, Heard], Coroutine[Any, Any, None]]


def work(loop: Loop, load: Load) -> Heard:
    """In a process of its own."""
    heard = Heard()
    asyncio.run(loop(load, heard))
    return heard


class Bench:
    """One server, and what was acknowledged by it."""

    def __init__(self, server: ServerProcess, processes: int, seconds: float) -> None:
        self.server = server
        self.processes = processes
        self.seconds = seconds
        self.acknowledged: list[str] = []
        context = multiprocessing.get_context("spawn")
        self.pool = context.Pool(processes)

    def run(self, name: str, loop: Loop, *, batch: int, **more: Any) -> float:
        """A phase; how many calls per second were answered well."""
        load = Load(self.server.address, batch, self.seconds, **more)
        cpu_s, started = self._cpu_s(), time.monotonic()
        heard = self.pool.starmap(work, [(loop, load)] * self.processes)
        took_s = time.monotonic() - started
        cpu_share = (self._cpu_s() - cpu_s) / took_s
        outcomes: Counter[str] = Counter()
        for one in heard:
            outcomes.update(one.outcomes)
            self.acknowledged.extend(one.acknowledged)
        times = sorted(seconds for one in heard for seconds in one.times_s)
        kept = outcomes["OK"] / self.seconds
        at = [times[int(len(times) * part)] * 1e3 if times else None for part in (0.5, 0.99)]
        print(
            json.dumps(
                {
                    "phase": name,
                    "batch": batch,
                    **more,
                    "ok_per_s": round(kept),
                    "events_per_s": round(kept * batch),
                    "p50_ms": at[0] and round(at[0], 1),
                    "p99_ms": at[1] and round(at[1], 1),
                    "outcomes": dict(outcomes),
                    "exhausted_without_delay": sum(one.without_delay for one in heard),
                    "server_cpus": round(cpu_share, 2),
                    "server_cpu_us_per_ok": round(cpu_share * took_s * 1e6 / (outcomes["OK"] or 1)),
                    "server_rss_mib": self._rss_mib(),
                }
            ),
            flush=True,
        )
        return kept

    def lost(self) -> int:
        """Kill the server, start it again, and count what it said it had and has not."""
        self.server.kill()
        self.server.start()
        with ipse.Client(self.server.address) as client:
            lost = sum(not known(client, fresh) for fresh in self.acknowledged)
        found = {"phase": "lost", "acknowledged": len(self.acknowledged), "lost": lost}
        print(json.dumps(found), flush=True)
        return lost

    def _status(self, name: str) -> str:
        assert self.server.process is not None
        return Path(f"/proc/{self.server.process.pid}/{name}").read_text(encoding="ascii")

    def _rss_mib(self) -> int:
        return int(self._status("status").split("VmHWM:")[1].split()[0]) // 1024

    def _cpu_s(self) -> float:
        fields = self._status("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100


def known(client: ipse.Client, fresh: str) -> bool:
    """Whether an identifier that was acknowledged is there."""
    answer = client.resolve(Event(identifiers={"device_id": fresh}), read_only=True)
    return not answer.created


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--data-dir", type=Path, default=None)
    parser.add_argument("--batch", type=int, default=100)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=options.data_dir) as directory,
        ServerProcess(Path(directory) / "data") as server,
    ):
        bench = Bench(server, options.processes, options.seconds)
        for batch in (1, options.batch):
            measure(bench, batch, options.rounds)
        return 1 if bench.lost() else 0


def measure(bench: Bench, batch: int, rounds: int) -> None:
    """All phases for calls of one size; prints the medians of what is kept."""
    found = {
        count: bench.run("peak", closed_loop, batch=batch, in_flight=count // bench.processes)
        for count in IN_FLIGHT
    }
    saturating = max(found, key=lambda count: found[count])
    kept: dict[str, list[float]] = {"polite": [], "open": []}
    peaks = []
    # In turns: what else the machine does changes, and a share is of what was possible just then.
    for _ in range(rounds):
        in_flight = saturating // bench.processes
        peak = bench.run("peak", closed_loop, batch=batch, in_flight=in_flight)
        crowd = FACTOR * in_flight
        polite = bench.run("polite", closed_loop, batch=batch, in_flight=crowd)
        rate = round(FACTOR * peak / bench.processes)
        others = bench.run("open", open_loop, batch=batch, calls_per_s=rate)
        peaks.append(peak)
        kept["polite"].append(polite / peak)
        kept["open"].append(others / peak)
    shares = {name: round(statistics.median(parts), 3) for name, parts in kept.items()}
    peak = round(statistics.median(peaks))
    print(json.dumps({"phase": "kept", "batch": batch, "peak_per_s": peak, **shares}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
