"""What is asked of whom: the rows of the table, in the order in which they are measured."""

from __future__ import annotations

from dataclasses import dataclass

NATIVE = "ipse native"
NATIVE_INTERVAL = "ipse native, interval"
ASYNCIO = "ipse asyncio"
ASYNCIO_INTERVAL = "ipse asyncio, interval"
REDIS_ALWAYS = "Redis, always"
REDIS_EVERYSEC = "Redis, everysec"
DICT = "Python dict, grpc.aio"
POSTGRES = "PostgreSQL"
EMPTY_NATIVE = "empty native"
EMPTY_ASYNCIO = "empty grpc.aio"

OURS = (NATIVE, ASYNCIO)
PEERS = (REDIS_ALWAYS, REDIS_EVERYSEC, DICT, POSTGRES)
EMPTY = (EMPTY_NATIVE, EMPTY_ASYNCIO)


@dataclass(frozen=True)
class Row:
    """One phase, asked in one way of several systems."""

    key: str
    title: str
    phase: str
    events_per_call: int
    callers: int
    systems: tuple[str, ...]
    #: An open loop at half of what this system reached in that row: (row's key, system).
    half_of: tuple[str, str] | None = None
    #: With an id for each event, which ours remembers and the peers would have to learn to.
    event_ids: bool = False


@dataclass(frozen=True)
class Settings:
    """How long the whole takes."""

    rounds: int
    seconds: float
    warmup_s: float
    #: Identifiers to fill systems with; all rows at the last, the first few at the others.
    sizes: tuple[int, ...]
    #: Identifiers of what is measured once on the bare core.
    core_sizes: tuple[int, ...]
    #: People whose identifiers are looked up to see if answers are right.
    sample: int
    #: Events of the file that `ipse load` is measured with.
    file_events: int
    #: Systems that there is no time or memory for.
    left_out: tuple[str, ...] = ()


FULL = Settings(
    rounds=3,
    seconds=5.0,
    warmup_s=1.0,
    sizes=(100_000, 1_000_000, 10_000_000),
    core_sizes=(100_000, 10_000_000),
    sample=1_000,
    file_events=600_000,
)
QUICK = Settings(
    rounds=2,
    seconds=1.0,
    warmup_s=0.2,
    sizes=(100_000,),
    core_sizes=(100_000,),
    sample=1_000,
    file_events=60_000,
)
LONG = Settings(
    rounds=3,
    seconds=6.0,
    warmup_s=1.0,
    sizes=(50_000_000,),
    core_sizes=(50_000_000,),
    sample=1_000,
    file_events=600_000,
    left_out=(DICT, POSTGRES, NATIVE_INTERVAL, ASYNCIO_INTERVAL),
)

_UNARY = (
    NATIVE, NATIVE_INTERVAL, ASYNCIO, ASYNCIO_INTERVAL, *PEERS, *EMPTY,
)  # fmt: skip

ROWS = (
    Row("steady_1000", "ResolveEvents, 1,000 a batch, steady", "steady", 1_000, 4, OURS + PEERS),
    Row("load_1000", "ResolveEvents, 1,000 a batch, load", "load", 1_000, 4, OURS + PEERS),
    Row("steady_1", "ResolveEvent, 64 in flight, steady", "steady", 1, 64, _UNARY),
    Row("steady_100", "ResolveEvents, 100 a batch, steady", "steady", 100, 8, OURS + PEERS),
    Row(
        "steady_1000_ids",
        "ResolveEvents, 1,000 a batch, steady, events with ids",
        "steady",
        1_000,
        4,
        OURS,
        event_ids=True,
    ),
    Row("merge_1000", "ResolveEvents, 1,000 a batch, merges", "merge", 1_000, 4, OURS + PEERS),
    Row(
        "lookup",
        "GetProfile by identifier, 64 in flight",
        "lookup",
        1,
        64,
        (*OURS, REDIS_EVERYSEC, DICT, POSTGRES, *EMPTY),
    ),
    Row(
        "steady_1_half_native",
        "ResolveEvent at half the peak of ipse native",
        "steady",
        1,
        256,
        (NATIVE, EMPTY_NATIVE, REDIS_ALWAYS),
        half_of=("steady_1", NATIVE),
    ),
    Row(
        "steady_1_half_asyncio",
        "ResolveEvent at half the peak of ipse asyncio",
        "steady",
        1,
        256,
        (ASYNCIO, EMPTY_ASYNCIO, DICT, REDIS_ALWAYS, POSTGRES),
        half_of=("steady_1", ASYNCIO),
    ),
    Row(
        "lookup_half_native",
        "GetProfile at half the peak of ipse native",
        "lookup",
        1,
        256,
        (NATIVE, EMPTY_NATIVE, REDIS_EVERYSEC),
        half_of=("lookup", NATIVE),
    ),
    Row(
        "lookup_half_asyncio",
        "GetProfile at half the peak of ipse asyncio",
        "lookup",
        1,
        256,
        (ASYNCIO, EMPTY_ASYNCIO, DICT),
        half_of=("lookup", ASYNCIO),
    ),
)
ROWS_OF_SMALLER_SIZES = 3
