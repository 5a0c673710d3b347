"""`ipse bench`: drives a live server for some seconds and prints one JSON object of figures.

Either a server that runs already (`--address`), or one of its own on a temporary directory, whose
processor time it then knows. What the numbers mean is said in `benchmarks/README.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import os
import tempfile
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from ipse.commands import EXIT_FAILED, EXIT_OK, CommandError, UsageError, connection
from ipse.commands.bench_events import Customers
from ipse.commands.child import ServerProcess, cpu_seconds_of, resident_bytes_of

if TYPE_CHECKING:
    import grpc
    import grpc.aio

    Call: TypeAlias = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]

_METHODS = {
    "unary": "/ipse.v1.IdentityService/ResolveEvent",
    "batch": "/ipse.v1.IdentityService/ResolveEvents",
}
_CALL_TIMEOUT_S = 60.0
_RESPONSE_BYTES_MAX = 64 * 1024 * 1024


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    connection.add_workspace(parser)
    parser.add_argument(
        "--address", metavar="HOST:PORT",
        help="a server that runs already [one of its own on a temporary directory]",
    )  # fmt: skip
    connection.add_security(parser)
    parser.add_argument(
        "--pid", type=int, metavar="PID", help="the process of that server, to read its CPU time"
    )
    parser.add_argument("--mode", choices=tuple(_METHODS), default="unary", help="[unary]")
    for flag, default, text in (
        ("--seconds", 10.0, "to measure"),
        ("--warmup", 1.0, "before measuring"),
        ("--concurrency", 32, "calls at once"),
        ("--batch", 1_000, "events in one call of mode batch"),
        ("--people", 10_000, "customers that send events"),
        ("--seed", 1, "of the events"),
    ):
        parser.add_argument(
            flag, type=type(default), default=default, metavar="N", help=f"{text} [{default:g}]"
        )
    parser.add_argument(
        "--sync", choices=("always", "interval", "off"), default="always",
        help="for a server of its own [always]",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="the default; accepted for symmetry")


def run(arguments: argparse.Namespace) -> int:
    """Measures and prints; fails if an event was refused."""
    for name in ("seconds", "concurrency", "batch", "people"):
        if getattr(arguments, name) <= 0:
            raise UsageError(f"--{name} must be more than 0, not {getattr(arguments, name)}")
    if arguments.batch > 1_000:
        raise UsageError(f"--batch must be at most 1000, not {arguments.batch}")
    with _server(arguments) as (address, pid):
        figures = asyncio.run(_measure(arguments, address, pid))
    print(json.dumps(figures))
    return EXIT_FAILED if figures["errors"] else EXIT_OK


@contextlib.contextmanager
def _server(arguments: argparse.Namespace) -> Iterator[tuple[str, int | None]]:
    if arguments.address:
        yield arguments.address, arguments.pid
        return
    with tempfile.TemporaryDirectory(prefix="ipse-bench-") as directory:
        work_dir = Path(directory)
        with ServerProcess(work_dir / "data", work_dir, "--sync", arguments.sync) as server:
            yield server.address, server.pid
            server.stop()


@dataclass(slots=True)
class Measured:
    """What the callers saw. Latencies of calls that ended after the warm-up, in seconds."""

    latencies_s: array[float] = field(default_factory=lambda: array("d"))
    events: int = 0
    errors: int = 0
    first_error: str = ""


async def _measure(
    arguments: argparse.Namespace, address: str, pid: int | None
) -> dict[str, object]:
    import grpc.aio

    measured = Measured()
    customers = Customers(arguments.people, arguments.seed)
    options = [("grpc.max_receive_message_length", _RESPONSE_BYTES_MAX)]
    way = connection.way(arguments, address)
    async with way.aio_channel(options) as channel:
        method: Call = channel.unary_unary(_METHODS[arguments.mode])
        call = functools.partial(method, metadata=way.metadata)
        begin = time.perf_counter() + arguments.warmup
        end = begin + arguments.seconds
        callers = [
            asyncio.create_task(_calls(call, arguments, customers, measured, begin, end))
            for _ in range(arguments.concurrency)
        ]
        watch = asyncio.create_task(_processor_seconds(pid, begin, end))
        try:
            await asyncio.gather(*callers)
        except grpc.RpcError as failure:
            raise _failed(address, failure) from None
        finally:
            for caller in callers:
                caller.cancel()
        server_cpu_s, client_cpu_s = await watch
    return _figures(arguments, measured, server_cpu_s, client_cpu_s) | {
        "server_resident_bytes": None if pid is None else resident_bytes_of(pid)
    }


async def _processor_seconds(
    pid: int | None, begin: float, end: float
) -> tuple[float | None, float]:
    """What the server and this process use between the two times."""
    await asyncio.sleep(begin - time.perf_counter())
    server_s = None if pid is None else cpu_seconds_of(pid)
    client_s = time.process_time()
    await asyncio.sleep(end - time.perf_counter())
    if pid is not None and server_s is not None:
        server_s = cpu_seconds_of(pid) - server_s
    return server_s, time.process_time() - client_s


async def _calls(
    call: functools.partial[grpc.aio.UnaryUnaryCall[bytes, bytes]],
    arguments: argparse.Namespace,
    customers: Customers,
    measured: Measured,
    begin: float,
    end: float,
) -> None:
    """One caller: the next call when the last is answered."""
    from ipse.commands.loading.wire import encode_raw_events

    size = arguments.batch if arguments.mode == "batch" else 1
    while time.perf_counter() < end:
        # One event of a single call and each event of a batch are the same field.
        request = encode_raw_events(arguments.workspace, customers.events(size))
        started = time.perf_counter()
        payload = await call(request, timeout=_CALL_TIMEOUT_S)
        now = time.perf_counter()
        _count_errors(arguments.mode, payload, measured)
        if begin <= now < end:
            measured.latencies_s.append(now - started)
            measured.events += size


def _failed(address: str, failure: grpc.RpcError) -> CommandError:
    status = cast("grpc.aio.AioRpcError", failure)
    text = " ".join((status.details() or "").split())
    return CommandError(f"{address} failed with {status.code().name}: {text}")


def _count_errors(mode: str, payload: bytes, measured: Measured) -> None:
    """Refused events of a batch; a single call that is refused raises."""
    if mode == "unary":
        return
    from ipse.v1 import identity_pb2

    for result in identity_pb2.ResolveEventsResponse.FromString(payload).results:
        if result.HasField("error"):
            measured.errors += 1
            measured.first_error = measured.first_error or result.error.message


def _figures(
    arguments: argparse.Namespace,
    measured: Measured,
    server_cpu_s: float | None,
    client_cpu_s: float,
) -> dict[str, object]:
    latencies_s = sorted(measured.latencies_s)
    thousands = measured.events / 1_000
    per_thousand = server_cpu_s / thousands if server_cpu_s is not None and thousands else None
    return {
        "mode": arguments.mode,
        "concurrency": arguments.concurrency,
        "batch": arguments.batch if arguments.mode == "batch" else 1,
        "people": arguments.people,
        "seed": arguments.seed,
        "sync": arguments.sync if not arguments.address else None,
        "cpus": os.cpu_count(),
        "seconds": arguments.seconds,
        "calls": len(latencies_s),
        "events": measured.events,
        "errors": measured.errors,
        "first_error": measured.first_error,
        "events_per_second": round(measured.events / arguments.seconds, 1),
        "p50_ms": _percentile_ms(latencies_s, 50),
        "p95_ms": _percentile_ms(latencies_s, 95),
        "p99_ms": _percentile_ms(latencies_s, 99),
        "max_ms": _percentile_ms(latencies_s, 100),
        "server_cpu_seconds": _rounded(server_cpu_s),
        "cpu_seconds_per_1000_events": _rounded(per_thousand),
        "client_cpu_seconds": _rounded(client_cpu_s),
    }


def _percentile_ms(latencies_s: list[float], percent: int) -> float | None:
    """The smallest latency that this share of the calls did not pass (nearest rank)."""
    if not latencies_s:
        return None
    rank = -(-len(latencies_s) * percent // 100)
    return round(latencies_s[rank - 1] * 1_000, 3)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
