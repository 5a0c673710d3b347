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
    seconds=4.0,
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


def _at_half(ours: str, peak: str, method: str, phase: str, others: tuple[str, ...]) -> Row:
    """The row of an open loop at half of what ours reached in that of its peak."""
    key = f"{peak}_half_{ours.removeprefix('ipse ')}"
    title = f"{method} at half the peak of {ours}"
    return Row(key, title, phase, 1, 256, (ours, *others), half_of=(peak, ours))


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
    _at_half(NATIVE, "steady_1", "ResolveEvent", "steady", (EMPTY_NATIVE, REDIS_ALWAYS)),
    _at_half(
        ASYNCIO,
        "steady_1",
        "ResolveEvent",
        "steady",
        (EMPTY_ASYNCIO, DICT, REDIS_ALWAYS, POSTGRES),
    ),
    _at_half(NATIVE, "lookup", "GetProfile", "lookup", (EMPTY_NATIVE, REDIS_EVERYSEC)),
    _at_half(ASYNCIO, "lookup", "GetProfile", "lookup", (EMPTY_ASYNCIO, DICT)),
)
ROWS_OF_SMALLER_SIZES = 3
