"""The core calls through the extension, one after the other, without server or disk.

Run by `pytest benchmarks`; the normal test run does not collect this. What the numbers mean and
how to repeat them is said in `benchmarks/README.md`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
from ipse._native import Engine
from ipse.commands.bench_events import Customers
from ipse.commands.loading.wire import encode_raw_events
from ipse.model import Event
from ipse.resolver import Resolver
from ipse.v1 import identity_pb2
from pytest_benchmark.fixture import BenchmarkFixture

RESOLVE_EVENT = "/ipse.v1.IdentityService/ResolveEvent"
RESOLVE_EVENTS = "/ipse.v1.IdentityService/ResolveEvents"
GET_PROFILE = "/ipse.v1.IdentityService/GetProfile"

BATCH_EVENTS = 1_000

Prepared: TypeAlias = tuple[tuple[Engine, str, bytes], dict[str, object]]


@pytest.fixture
def engine() -> Iterator[Engine]:
    opened = Engine.open(None)
    yield opened
    opened.close()


def call(engine: Engine, method: str, request: bytes) -> bytes:
    _, code, payload = engine.call(method, request)
    assert code == 0, payload
    return payload


def each_prepared(benchmark: BenchmarkFixture, setup: Callable[[], Prepared], rounds: int) -> None:
    """Measures calls that change something: each gets a request of its own, made outside."""
    benchmark.pedantic(call, setup=setup, rounds=rounds)  # type: ignore[no-untyped-call]


def known_event() -> bytes:
    """A request with two identifiers that were seen together before."""
    request = identity_pb2.ResolveEventRequest()
    request.event.type = "track"
    request.event.identifiers.add(namespace="user_id", value="u1")
    request.event.identifiers.add(namespace="anonymous_id", value="a1")
    return request.SerializeToString()


def test_steady_event(benchmark: BenchmarkFixture, engine: Engine) -> None:
    """An event of a known person that teaches nothing: most of all events."""
    request = known_event()
    call(engine, RESOLVE_EVENT, request)
    benchmark(call, engine, RESOLVE_EVENT, request)


def test_steady_raw_event(benchmark: BenchmarkFixture, engine: Engine) -> None:
    """The same as an SDK sends it: JSON, from which the mapping takes the identifiers."""
    raw = (
        b'{"type":"track","event":"Product Viewed","userId":"u1","anonymousId":"a1",'
        b'"context":{"library":{"name":"analytics.js","version":"2.1.0"},"locale":"en-GB"},'
        b'"properties":{"sku":"shoe-1","price":79.9}}'
    )
    request = encode_raw_events("", [raw])
    call(engine, RESOLVE_EVENT, request)
    benchmark(call, engine, RESOLVE_EVENT, request)


def test_new_person(benchmark: BenchmarkFixture, engine: Engine) -> None:
    """An event that creates a profile with two identifiers."""
    numbers = itertools.count()

    def setup() -> Prepared:
        request = identity_pb2.ResolveEventRequest()
        number = next(numbers)
        request.event.identifiers.add(namespace="user_id", value=f"u{number}")
        request.event.identifiers.add(namespace="anonymous_id", value=f"a{number}")
        return (engine, RESOLVE_EVENT, request.SerializeToString()), {}

    each_prepared(benchmark, setup, 20_000)


def test_merge(benchmark: BenchmarkFixture, engine: Engine) -> None:
    """An event that joins a stranger's profile to a known person's."""
    numbers = itertools.count()

    def setup() -> Prepared:
        number = next(numbers)
        pairs = (("email", f"e{number}@example.com"), ("anonymous_id", f"a{number}"))
        together = identity_pb2.ResolveEventRequest()
        for namespace, value in pairs:
            alone = identity_pb2.ResolveEventRequest()
            alone.event.identifiers.add(namespace=namespace, value=value)
            call(engine, RESOLVE_EVENT, alone.SerializeToString())
            together.event.identifiers.add(namespace=namespace, value=value)
        return (engine, RESOLVE_EVENT, together.SerializeToString()), {}

    each_prepared(benchmark, setup, 10_000)


def test_steady_batch(benchmark: BenchmarkFixture, engine: Engine) -> None:
    """A batch of 1,000 raw events of a crowd; the number is for the whole batch."""
    customers = Customers(people=500, seed=1)
    for _ in range(10):
        call(engine, RESOLVE_EVENTS, encode_raw_events("", customers.events(BATCH_EVENTS)))

    def setup() -> Prepared:
        request = encode_raw_events("", customers.events(BATCH_EVENTS))
        return (engine, RESOLVE_EVENTS, request), {}

    each_prepared(benchmark, setup, 200)


def test_get_profile(benchmark: BenchmarkFixture, engine: Engine) -> None:
    """A profile of two identifiers, found by one of them."""
    call(engine, RESOLVE_EVENT, known_event())
    request = identity_pb2.GetProfileRequest()
    request.lookup.identifier.namespace = "user_id"
    request.lookup.identifier.value = "u1"
    benchmark(call, engine, GET_PROFILE, request.SerializeToString())


def test_resolver_steady_event(benchmark: BenchmarkFixture) -> None:
    """The steady event through `ipse.Resolver`: what the Python objects around it cost."""
    with Resolver() as resolver:
        event = Event(type="track", identifiers={"user_id": "u1", "anonymous_id": "a1"})
        resolver.resolve(event)
        benchmark(resolver.resolve, event)
