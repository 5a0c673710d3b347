"""Rounds: every system is asked the same, one after the other, and again; the medians count."""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.compare import figures, loadgen, plan
from benchmarks.compare.plan import Row, Settings
from benchmarks.compare.postgres import Postgres
from benchmarks.compare.redis import Redis
from benchmarks.compare.systems import (
    AsyncioEcho,
    DictServer,
    Ipse,
    Missing,
    NativeEcho,
    Server,
    System,
)

# Events that are made before a phase, for each of its seconds: more than anybody answers, but no
# more than memory has room for.
_AHEAD_PER_S = {1: 100_000, 100: 500_000, 1_000: 800_000}
_AHEAD_MAX = 6_000_000


class Bench:
    """All systems, filled to one size."""

    def __init__(self, directory: Path, identifiers: int, settings: Settings) -> None:
        self._directory = directory
        self._blocks = max(1, round(identifiers / loadgen.IDENTIFIERS_OF_A_BLOCK))
        self._settings = settings
        self._systems: dict[str, System] = {}
        self._servers: list[Server] = []
        self.identifiers = identifiers
        self.missing: dict[str, str] = {}

    def stop(self) -> None:
        """Ends every server."""
        for server in self._servers:
            server.stop()

    def fill(self) -> list[dict[str, Any]]:
        """Starts and fills everybody; what each took for that."""
        filled = [*self._fill_ours(), *self._fill_peers()]
        self._start_empty_servers()
        return filled

    def measure(self, rows: Iterable[Row]) -> list[dict[str, Any]]:
        """Every row, in order."""
        measured: list[dict[str, Any]] = []
        for row in rows:
            measured.append(self._measure_row(row, measured))
        return measured

    def _fill_ours(self) -> Iterator[dict[str, Any]]:
        first = Ipse(self._directory / "asyncio")
        self._add(first, plan.ASYNCIO)
        first.fill(self._blocks)
        yield self._filled(plan.ASYNCIO, first)
        first.stop_in_order()
        others = (
            (plan.NATIVE, "always", "native"),
            (plan.NATIVE_INTERVAL, "interval", "native"),
            (plan.ASYNCIO_INTERVAL, "interval", ""),
        )
        for name, sync, transport in others:
            flags = ("--sync", sync, *(("--transport", transport) if transport else ()))
            with self._or_missing(name):
                self._must_be_wanted(name)
                other = Ipse(self._directory / name.replace(" ", "-"), *flags)
                other.take_over(first)
                self._add(other, name)
        # The copies wait for the disk: a start that reads from it is not to wait with them.
        os.sync()
        first.start()
        restarted = self._filled(figures.RESTARTED, first)
        yield restarted | {"seconds": first.start_seconds, "recovery": first.recovery()}

    def _fill_peers(self) -> Iterator[dict[str, Any]]:
        redis = Redis(self._directory / "redis")
        for name, server in (
            (plan.REDIS_EVERYSEC, redis),
            (plan.DICT, DictServer(self._directory / "dict")),
            (plan.POSTGRES, Postgres(self._directory / "postgres")),
        ):
            with self._or_missing(name):
                self._must_be_wanted(name)
                self._add(server, name)
                server.fill(self._blocks)
                yield self._filled(name, server)
        if plan.REDIS_EVERYSEC in self._systems:
            for name, promise in ((plan.REDIS_EVERYSEC, "everysec"), (plan.REDIS_ALWAYS, "always")):
                prepare = _promise(redis, promise)
                self._systems[name] = System(name, redis, prepare)
        else:
            self.missing[plan.REDIS_ALWAYS] = self.missing[plan.REDIS_EVERYSEC]

    def _start_empty_servers(self) -> None:
        """Empty servers, with answers as long as ours."""
        sizes = {}
        for method, phase in (("ResolveEvent", "steady"), ("GetProfile", "lookup")):
            probe = Row("probe", "", phase, 1, 8, ())
            found = self._drive(self._systems[plan.ASYNCIO], probe, None, seconds=0.5)
            sizes[method] = round(found["answer_bytes"])
        for name, server in (
            (plan.EMPTY_ASYNCIO, AsyncioEcho(self._directory / "empty-asyncio", sizes)),
            (plan.EMPTY_NATIVE, NativeEcho(self._directory / "empty-native", sizes)),
        ):
            self._add(server, name)
            server.known_blocks = self._blocks

    def _add(self, server: Server, name: str) -> None:
        self._servers.append(server)
        server.start()
        self._systems[name] = System(name, server)

    def _must_be_wanted(self, name: str) -> None:
        if name in self._settings.left_out:
            raise Missing("left out at this size")

    @contextlib.contextmanager
    def _or_missing(self, name: str) -> Iterator[None]:
        try:
            yield
        except Missing as reason:
            self._systems.pop(name, None)
            self.missing[name] = str(reason)
            say(f"{name} is missing: {reason}")

    def _filled(self, name: str, server: Server) -> dict[str, Any]:
        resident = server.resident_bytes() - server.resident_bytes_empty
        found = {
            "system": name,
            "identifiers": server.identifiers,
            "seconds": server.fill_seconds,
            "bytes_per_identifier": resident / max(1, server.identifiers),
            "correct": self._correct(server),
        }
        say(f"filled {name}: {found}")
        return found

    def _correct(self, server: Server) -> dict[str, Any]:
        sample = {
            "seed": loadgen.SEED,
            "known_blocks": server.known_blocks,
            "people": self._settings.sample,
        }
        return server.generate("check", sample)

    def _measure_row(self, row: Row, before: list[dict[str, Any]]) -> dict[str, Any]:
        calls_per_s = _half_of(row, before)
        result: dict[str, Any] = {
            "key": row.key,
            "title": row.title,
            "calls_per_s": calls_per_s,
            "missing": {name: self.missing[name] for name in row.systems if name in self.missing},
            "systems": {},
        }
        if row.half_of and calls_per_s is None:
            return result | {"missing": dict.fromkeys(row.systems, f"no peak of {row.half_of[1]}")}
        rounds: dict[str, list[dict[str, Any]]] = {}
        for _ in range(self._settings.rounds):
            for name in row.systems:
                if name in result["missing"] or name not in self._systems:
                    continue
                try:
                    found = self._drive(self._systems[name], row, calls_per_s)
                except RuntimeError as failure:
                    result["missing"][name] = str(failure)
                    say(f"{row.key}  {name} failed: {failure}")
                    continue
                rounds.setdefault(name, []).append(found)
                say(f"{row.key}  {name}: {_in_brief(found)}")
        result["systems"] = {name: _medians(found) for name, found in rounds.items()}
        return result

    def _drive(
        self,
        system: System,
        row: Row,
        calls_per_s: float | None,
        seconds: float | None = None,
    ) -> dict[str, Any]:
        server = system.server
        seconds = seconds or self._settings.seconds
        system.prepare()
        # What the system before has written and not synced would be synced in this one's time.
        os.sync()
        ahead = int((seconds + self._settings.warmup_s) * _AHEAD_PER_S[row.events_per_call])
        workload = {
            "seed": loadgen.SEED,
            "phase": row.phase,
            "known_blocks": server.known_blocks,
            "first_block": server.next_block,
        }
        pace = {
            "events_per_call": row.events_per_call,
            "callers": row.callers,
            "calls_per_s": calls_per_s,
            "warmup_s": self._settings.warmup_s,
            "seconds": seconds,
            "events_ahead": min(ahead, _AHEAD_MAX),
            "pid": server.pid,
        }
        how = {"event_ids": True} if row.event_ids else {}
        found = server.generate("drive", {"workload": workload, "pace": pace}, **how)
        server.next_block = found["next_block"]
        if found["server_cpu_s"] is not None and found["events"]:
            thousands = found["events"] / 1_000
            found["server_cpu_s_per_1000_events"] = found["server_cpu_s"] / thousands
        return found


def _promise(redis: Redis, appendfsync: str) -> Any:
    return lambda: redis.set_promise(appendfsync)


def _half_of(row: Row, before: list[dict[str, Any]]) -> float | None:
    if row.half_of is None:
        return None
    key, system = row.half_of
    peak = next(done for done in before if done["key"] == key)["systems"].get(system)
    return None if peak is None else float(peak["events_per_s"]) / 2


def _medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    columns = {name: [found[name] for found in rounds] for name in rounds[0]}
    medians = {
        name: statistics.median(values)
        for name, values in columns.items()
        if all(isinstance(value, (int, float)) for value in values)
    }
    refusals = [found["first_refusal"] for found in rounds if found["first_refusal"]]
    return medians | {"first_refusal": "".join(refusals[:1]), "rounds": rounds}


def _in_brief(found: dict[str, Any]) -> str:
    brief = f"{found['events_per_s']:,.0f}/s, p99 {found['p99_ms']:.2f} ms"
    if found["refused"]:
        brief += f", {found['refused']} refused: {found['first_refusal']}"
    return brief


def say(line: str) -> None:
    """Progress, for who waits."""
    print(line, file=sys.stderr, flush=True)
