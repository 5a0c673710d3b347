"""One surface three times: the blocking client, its asyncio twin, and the embedded resolver.

The two clients say each call's arguments and what it does twice, on purpose: an editor shows, and
mypy and pyright check, what stands in the source. A descriptor over one table of calls, or an
attribute typed by ParamSpec, keeps types but loses the docstring in editors, and `help()` shows
an attribute; generated source would be as long and could not be edited. So it stands twice, and
what follows proves that the two never part.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import ipse
import pytest
from ipse import Event, _transport
from ipse._sync import SyncCalls

from tests.server_process import TRANSPORTS, ServerProcess

LONG_AGO = datetime(2021, 1, 1, tzinfo=UTC)
CALLS = [name for name in vars(SyncCalls) if not name.startswith("_")]


@pytest.fixture(params=["embedded", *TRANSPORTS])
def calls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SyncCalls]:
    if request.param == "embedded":
        with ipse.Resolver() as resolver:
            resolver.create_workspace("people")
            yield resolver
    else:
        data_dir = tmp_path / "data"
        with (
            ServerProcess(data_dir, transport=request.param) as process,
            ipse.Client(process.address) as client,
        ):
            client.create_workspace("people")
            yield client


@pytest.fixture
def server(tmp_path: Path, transport: str) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data", transport=transport) as process:
        yield process


@pytest.mark.parametrize("name", [*CALLS, "wait_until_ready", "close"])
def test_all_three_take_the_same_arguments(name: str) -> None:
    first, *others = (
        inspect.signature(getattr(kind, name)).parameters
        for kind in (ipse.Client, ipse.aio.Client, ipse.Resolver)
    )
    for other in others:
        assert list(first.values()) == list(other.values())


@pytest.mark.parametrize("name", CALLS)
def test_the_asyncio_twin_says_the_same_and_answers_the_same(name: str) -> None:
    twin = getattr(ipse.aio.Client, name)
    blocking = getattr(SyncCalls, name)
    assert inspect.getdoc(twin)
    assert inspect.getdoc(twin) == inspect.getdoc(blocking)
    # Source text, as annotations are not evaluated: `Iterator` is `AsyncIterator` there.
    answers = inspect.signature(blocking).return_annotation
    expected = "Async" + answers if answers.startswith("Iterator[") else answers
    assert inspect.signature(twin).return_annotation == expected
    assert inspect.iscoroutinefunction(twin) is not answers.startswith("Iterator[")


def test_the_asyncio_twin_has_no_calls_of_its_own() -> None:
    own = {name for name in vars(ipse.aio.Client) if not name.startswith("_")}
    # An embedded resolver has no streams.
    assert own == {*CALLS, "wait_until_ready", "close", "watch_changes"}


def test_traits_that_do_not_count_are_told(calls: SyncCalls) -> None:
    ann = {"user_id": "u-1"}
    calls.resolve(Event(identifiers=ann, traits={"plan": "gold"}), workspace="people")
    late = Event(identifiers=ann, traits={"plan": "old", "age": 30}, timestamp=LONG_AGO)
    answer = calls.resolve(late, workspace="people")
    assert answer.ignored_traits == (ipse.IgnoredTrait("plan", ipse.TraitReason.OLDER),)
    nobodys = calls.resolve(Event(traits={"plan": "gold"}), workspace="people")
    assert nobodys.ignored_traits == (ipse.IgnoredTrait("plan", ipse.TraitReason.UNRESOLVED),)


def test_a_journey_without_asyncio(calls: SyncCalls) -> None:
    first = calls.resolve(Event(identifiers={"anonymous_id": "a-1"}), workspace="people")
    assert first.decision is ipse.Decision.CREATED
    assert first.created
    assert first.recorded
    assert not first.known
    login = Event(
        identifiers={"anonymous_id": "a-1", "user_id": 42, "email": "Ann@Example.com "},
        traits={"plan": "gold", "age": 30, "tags": ["a", "b"], "score": 1.5, "vip": True},
        event_id="e-1",
        type="identify",
        timestamp=LONG_AGO,
        source="web",
    )
    second = calls.resolve(login, workspace="people")
    assert second.profile_id == first.profile_id
    assert second.decision is ipse.Decision.ATTACHED
    assert second.known
    assert {verdict.identifier.namespace: verdict.verdict for verdict in second.verdicts} == {
        "user_id": ipse.Verdict.ATTACHED,
        "email": ipse.Verdict.ATTACHED,
        "anonymous_id": ipse.Verdict.ALREADY_ATTACHED,
    }
    assert calls.resolve(login, workspace="people").repeated

    profile = calls.get_profile(identifier=("user_id", 42), workspace="people")
    assert profile == calls.get_profile(profile_id=first.profile_id, workspace="people")
    assert profile.identifier_count == len(profile.identifiers) == 3
    assert profile.values("user_id") == ("42",)
    assert profile.traits == {
        "plan": "gold",
        "age": 30,
        "tags": ["a", "b"],
        "score": 1.5,
        "vip": True,
    }
    (email,) = [held for held in profile.identifiers if held.identifier.namespace == "email"]
    assert email.attached_time == LONG_AGO
    assert profile.created_time > LONG_AGO


def test_a_merge_and_its_absorbed_id(calls: SyncCalls) -> None:
    events = [
        Event(identifiers={"anonymous_id": "a-1"}),
        Event(identifiers={"anonymous_id": "a-2"}),
        Event(identifiers={"anonymous_id": ["a-1", "a-2"]}),
    ]
    first, second, both = calls.resolve_many(events, batch_size=2)
    assert isinstance(first, ipse.Resolution)
    assert isinstance(second, ipse.Resolution)
    assert isinstance(both, ipse.Resolution)
    assert both.decision is ipse.Decision.MERGED
    assert both.profile_id == first.profile_id
    assert both.absorbed_profile_ids == (second.profile_id,)
    profile = calls.get_profile(profile_id=second.profile_id)
    assert profile.profile_id == first.profile_id
    assert profile.absorbed_profile_ids == (second.profile_id,)
    assert profile.merge_count == 1


def test_asking_what_would_happen_writes_nothing(calls: SyncCalls) -> None:
    before = calls.get_workspace("people")
    event = Event(identifiers={"email": "ann@example.com"})
    answer = calls.resolve(event, workspace="people", read_only=True)
    assert answer.decision is ipse.Decision.CREATED
    assert not answer.recorded
    calls.resolve_many([event], workspace="people", read_only=True)
    assert calls.get_workspace("people") == before


def test_a_raw_event_tells_what_it_could_not_use(calls: SyncCalls) -> None:
    answer = calls.resolve(
        Event.from_json(
            {"type": "identify", "userId": "u-1", "anonymousId": None, "traits": {"plan": "gold"}}
        )
    )
    assert answer.decision is ipse.Decision.CREATED
    assert [ignored.path for ignored in answer.ignored] == ["anonymousId"]
    assert calls.get_profile(identifier=("user_id", "u-1")).traits["plan"] == "gold"


def test_a_dropped_identifier_names_its_rule(calls: SyncCalls) -> None:
    calls.resolve(Event(identifiers={"user_id": "u-1"}))
    answer = calls.resolve(Event(identifiers={"user_id": ["u-1", "u-2"]}))
    dropped = [one for one in answer.verdicts if one.verdict is ipse.Verdict.DROPPED]
    assert [one.rule for one in dropped] == [ipse.Rule.VALUE_LIMIT]
    assert dropped[0].limit == 1
    assert dropped[0].limit_namespace == "user_id"
    assert dropped[0].violation


def test_identifiers_come_in_pages_or_all_at_once(calls: SyncCalls) -> None:
    events = [Event(identifiers={"user_id": "u", "cart_id": f"c-{n}"}) for n in range(7)]
    calls.set_rules(calls.get_rules().toml + _CART)
    calls.resolve_many(events)
    pages = list(calls.get_profile_pages(identifier=("user_id", "u"), page_size=3))
    assert [len(page.identifiers) for page in pages] == [3, 3, 2]
    whole = calls.get_profile(identifier=("user_id", "u"))
    assert [held for page in pages for held in page.identifiers] == list(whole.identifiers)
    assert whole.identifier_count == 8
    (cut,) = calls.get_profiles([("user_id", "u")], page_size=2)
    assert isinstance(cut, ipse.Profile)
    assert len(cut.identifiers) == 2
    assert cut.next_page_token


_CART = "\n[namespaces.cart_id]\npriority = 99\nlimit = 100\n"


def test_workspaces_and_rules(calls: SyncCalls) -> None:
    calls.create_workspace("a-first")
    assert [info.name for info in calls.list_workspaces()] == ["a-first", "default", "people"]
    rules = calls.get_rules(workspace="people")
    assert rules.version == calls.get_workspace("people").rules_version == 1
    assert calls.validate_rules(rules.toml) == []
    assert calls.set_rules(rules.toml, workspace="people") == 1
    changed = rules.toml + "\n# changed\n"
    assert calls.set_rules(changed, workspace="people", read_only=True) == 2
    assert calls.get_rules(workspace="people") == rules
    assert calls.set_rules(changed, workspace="people", expected_version=1) == 2
    assert calls.get_rules(workspace="people").toml == changed
    assert calls.get_rules().version == 1


def test_figures(calls: SyncCalls) -> None:
    calls.resolve(Event(identifiers={"email": "ann@example.com"}))
    stats = calls.stats()
    assert stats.version == ipse.__version__
    assert stats.sync in {"always", "memory"}
    assert stats.synced_log_position == stats.log_position >= 3
    assert datetime.now(UTC) - stats.started_time < timedelta(hours=1)
    assert [info.name for info in stats.workspaces] == ["default", "people"]
    assert stats.workspaces[0].profile_count == 1
    assert len(stats.workspaces[0].state_hash) == 32


def test_a_journey_with_asyncio(server: ServerProcess) -> None:
    async def journey() -> None:
        async with ipse.aio.Client(server.address) as client:
            await client.wait_until_ready(10)
            events = [Event(identifiers={"anonymous_id": f"a-{n}"}) for n in range(5)]
            answers = await client.resolve_many(events, batch_size=2)
            ids = [one.profile_id for one in answers if isinstance(one, ipse.Resolution)]
            assert len(set(ids)) == 5
            same = await asyncio.gather(*(client.resolve(event) for event in events))
            assert [one.profile_id for one in same] == ids
            profile = await client.get_profile(identifier=("anonymous_id", "a-0"))
            assert profile.profile_id == ids[0]
            pages = [page async for page in client.get_profile_pages(profile_id=ids[0])]
            assert pages == [profile]
            assert len(await client.get_profiles(list(ids))) == 5
            with pytest.raises(ipse.NotFound):
                await client.get_profile(profile_id="nobody")
            info = await client.create_workspace("people")
            assert await client.get_workspace("people") == info
            assert [one.name for one in await client.list_workspaces()] == ["default", "people"]
            rules = await client.get_rules()
            assert await client.validate_rules(rules.toml) == []
            assert await client.set_rules(rules.toml) == rules.version
            written = await client.checkpoint()
            assert written.size_bytes > 0
            assert (await client.stats()).log_bytes_since_snapshot == 0

    asyncio.run(journey())


def test_a_client_finds_a_server_that_was_restarted(server: ServerProcess) -> None:
    event = Event(identifiers={"email": "ann@example.com"})
    with ipse.Client(server.address) as client:
        before = client.resolve(event)
        server.stop()
        with pytest.raises(ipse.Unavailable):
            client.resolve(event)
        server.start()
        client.wait_until_ready(30)
        assert client.resolve(event).profile_id == before.profile_id


def test_waiting_for_a_server_that_never_comes_ends() -> None:
    with (
        ipse.Client("127.0.0.1:1") as client,
        pytest.raises(ipse.DeadlineExceeded, match=r"within 0\.2 s"),
    ):
        client.wait_until_ready(0.2)


def test_a_call_ends_with_its_deadline() -> None:
    with (
        ipse.Client("127.0.0.1:1", timeout_s=0.2) as client,
        pytest.raises((ipse.DeadlineExceeded, ipse.Unavailable)),
    ):
        client.stats()


@pytest.mark.parametrize("reason", ["WRITE_QUEUE_FULL", "OVERLOADED", "RATE_LIMITED"])
def test_a_server_with_too_much_to_do_is_given_its_time_until_the_deadline(reason: str) -> None:
    full = ipse.ResourceExhausted("full", reason=reason, retry_delay_s=0.05)
    assert _transport.pause_s(full, 1, 10) == pytest.approx(0.05)
    assert _transport.pause_s(full, 3, 10) == pytest.approx(0.15)
    assert _transport.pause_s(full, 1_000, 10) == pytest.approx(0.4)
    assert _transport.pause_s(full, 1, 0.01) is None


@pytest.mark.parametrize(
    "error",
    [
        ipse.ResourceExhausted("at a bound on size", reason="CAPACITY_EXCEEDED"),
        ipse.Unavailable("away", retry_delay_s=0.05),
        ipse.NotFound("nobody"),
    ],
)
def test_nothing_else_is_retried_by_us(error: ipse.IpseError) -> None:
    assert _transport.pause_s(error, 1, 10) is None
