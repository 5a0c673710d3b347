"""Why a profile is what it is, and why two are one person or not, through every surface."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import ipse
import pytest
from ipse import Decision, Event, Identifier, IdentifierLink, RecordKind, Resolver, Rule
from ipse._sync import SyncCalls

from tests.server_process import TRANSPORTS, ServerProcess

RULES = """
[workspace]
trigger = "seen_together"
conflict = "keep_first"

[namespaces.user_id]
priority = 1
limit = 1
login = true

[namespaces.email]
priority = 2
limit = 5
normalise = "email"

[namespaces.device_id]
priority = 3
limit = "none"
"""


@pytest.fixture(params=["embedded", *TRANSPORTS])
def calls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SyncCalls]:
    if request.param == "embedded":
        with Resolver(tmp_path / "data") as resolver:
            resolver.set_rules(RULES)
            yield resolver
    else:
        with (
            ServerProcess(tmp_path / "data", transport=request.param) as process,
            ipse.Client(process.address) as client,
        ):
            client.set_rules(RULES)
            yield client


def seen(calls: SyncCalls, day: int, **identifiers: str) -> str:
    """An event of a day of January; the id of the profile that it belongs to."""
    event = Event(
        event_id=f"e-{day}",
        type="track",
        source="web",
        timestamp=datetime(2026, 1, day, tzinfo=UTC),
        identifiers=dict(identifiers),
        traits={"day": day},
    )
    return calls.resolve(event).profile_id


def test_a_story_is_the_records_and_what_rests_on_each(calls: SyncCalls) -> None:
    ann = seen(calls, 1, user_id="ann", email="Ann@Example.com")
    device = seen(calls, 2, device_id="phone")
    calls.merge_profiles(ann, [device], operation_id="m-1")

    story = calls.explain_profile(("email", "ann@example.com"))
    assert story == calls.explain_profile(device)
    assert (story.profile_id, story.step_count, story.next_page_token) == (ann, 3, "")
    told = [
        (step.record.kind, step.record.event_id, [trace.kind for trace in step.traces])
        for step in story.steps
    ]
    assert told == [
        (RecordKind.OBSERVE, "e-1", ["created", "attached", "attached", "linked", "trait"]),
        (RecordKind.OBSERVE, "e-2", ["created", "attached", "trait"]),
        (RecordKind.MERGE, "m-1", ["merged"]),
    ]
    first = story.steps[0].record
    assert (first.type, first.source, first.traits) == ("track", "web", ("day",))
    assert first.event_time == datetime(2026, 1, 1, tzinfo=UTC)
    assert first.resolution is not None
    assert (first.resolution.decision, first.resolution.profile_id) == (Decision.CREATED, ann)
    assert first.resolution.verdicts[1].raw_value == "Ann@Example.com"
    (source,) = story.steps[2].record.merges
    assert source.profile_id == device


def test_a_chain_leads_from_one_to_the_other(calls: SyncCalls) -> None:
    ann = seen(calls, 1, user_id="ann", email="ann@example.com")
    seen(calls, 2, email="ann@example.com", device_id="tablet")
    seen(calls, 3, email="other@example.com", device_id="tablet")

    story = calls.explain_link(("user_id", "ann"), ("email", "Other@example.com"))
    assert (story.joined, story.a_profile_id) == (True, ann)
    assert [hop.kind for hop in story.hops] == ["linked"] * 3
    assert [hop.record.event_id for hop in story.hops] == ["e-1", "e-2", "e-3"]
    assert story.hops[-1].to == Identifier("email", "other@example.com")
    # The stronger namespace comes first, whichever was asked for first.
    email, tablet = Identifier("email", "ann@example.com"), Identifier("device_id", "tablet")
    assert story.hops[1].what == IdentifierLink(email, tablet)
    back = calls.explain_link(("email", "other@example.com"), ("user_id", "ann"))
    assert [hop.record for hop in back.hops] == [hop.record for hop in reversed(story.hops)]
    assert calls.explain_link(ann, ann).hops == ()


def test_what_a_command_joined_is_a_hop_of_its_own(calls: SyncCalls) -> None:
    ann = seen(calls, 1, user_id="ann")
    device = seen(calls, 2, device_id="phone")
    calls.merge_profiles(ann, [device])
    story = calls.explain_link(("user_id", "ann"), ("device_id", "phone"))
    assert [hop.kind for hop in story.hops] == ["held", "merged", "held"]
    assert [hop.to for hop in story.hops] == [ann, device, Identifier("device_id", "phone")]
    assert story.hops[1].record.kind == RecordKind.MERGE
    assert [hop.kind for hop in calls.explain_link(device, ann).hops] == ["merged"]


def test_a_refusal_tells_what_kept_two_apart(calls: SyncCalls) -> None:
    ann = seen(calls, 1, user_id="ann", device_id="tablet")
    bob = seen(calls, 2, user_id="bob", device_id="tablet")
    seen(calls, 3, user_id="bob", device_id="tablet")
    story = calls.explain_link(("user_id", "ann"), ("user_id", "bob"))
    assert (story.joined, story.a_profile_id, story.b_profile_id) == (False, ann, bob)
    (refusal,) = story.refusals
    assert (refusal.identifier, refusal.rule) == (
        Identifier("device_id", "tablet"),
        Rule.VALUE_LIMIT,
    )
    assert (refusal.profile_id, refusal.record.event_id) == (bob, "e-2")
    assert story.would is not None
    assert story.would.verdicts[1].rule == Rule.VALUE_LIMIT
    assert not story.would.recorded


def test_a_parting_tells_who_said_so(calls: SyncCalls) -> None:
    ann = seen(calls, 1, user_id="ann", device_id="tablet")
    calls.split_profile(ann, [("device_id", "tablet")], operation_id="split-1")
    story = calls.explain_link(("device_id", "tablet"), ("user_id", "ann"))
    (parting,) = story.partings
    assert (parting.a, parting.b) == (
        (Identifier("device_id", "tablet"),),
        (Identifier("user_id", "ann"),),
    )
    assert parting.record.event_id == "split-1"
    steps = calls.explain_profile(ann).steps
    assert [(step.record.event_id, step.traces[-1].kind) for step in steps] == [
        ("e-1", "trait"),
        ("split-1", "changed"),
    ]
    assert [trace.kind for step in steps for trace in step.traces if trace.kind in "had left"] == [
        "had",
        "left",
    ]
    assert story.would is not None
    assert story.would.verdicts[1].rule == Rule.DENIED_LINK


def test_what_was_undone_or_denied_keeps_two_apart(calls: SyncCalls) -> None:
    ann = seen(calls, 1, user_id="ann")
    phone = seen(calls, 2, device_id="phone")
    calls.merge_profiles(ann, [phone])
    calls.revert_merge(phone, operation_id="undo-1")
    undone = calls.explain_link(("user_id", "ann"), ("device_id", "phone"))
    assert (undone.a_profile_id, undone.b_profile_id) == (ann, phone)
    (parting,) = undone.partings
    assert (parting.record.kind, parting.record.event_id) == (RecordKind.REVERT, "undo-1")
    (reverted,) = parting.record.reverted
    assert (reverted.absorbed_profile_id, reverted.survivor_profile_id) == (phone, ann)

    seen(calls, 3, user_id="bob")
    calls.deny_link(("user_id", "bob"), ("device_id", "phone"), operation_id="deny-1")
    denied = calls.explain_link(("user_id", "bob"), ("device_id", "phone"))
    assert [parting.record.event_id for parting in denied.partings] == ["deny-1"]
    calls.force_link(("user_id", "bob"), ("device_id", "phone"), operation_id="force-1")
    forced = calls.explain_link(("user_id", "bob"), ("device_id", "phone"))
    assert forced.joined
    assert forced.hops[0].record.event_id == "force-1"


def test_whoever_is_nobody_is_answered_and_what_cannot_be_is_refused(calls: SyncCalls) -> None:
    ann = seen(calls, 1, user_id="ann")
    story = calls.explain_link(ann, ("email", "nobody@example.com"))
    assert (story.a_profile_id, story.b_profile_id, story.would) == (ann, "", None)
    both = calls.explain_link(("email", "x@example.com"), ("email", "y@example.com"))
    assert both.would is not None
    assert both.would.decision == Decision.CREATED
    with pytest.raises(ipse.InvalidArgument) as caught:
        calls.explain_link(ann, ("email", "no address"))
    assert caught.value.field == "b.identifier.value"
    with pytest.raises(ipse.NotFound):
        calls.explain_profile(("email", "nobody@example.com"))


def test_nothing_of_whom_was_erased_is_told(calls: SyncCalls) -> None:
    ann = seen(calls, 1, user_id="ann", device_id="tablet")
    seen(calls, 2, user_id="bob", device_id="tablet")
    calls.delete_profile(ann)
    with pytest.raises(ipse.NotFound) as caught:
        calls.explain_profile(ann)
    assert caught.value.reason == "ERASED"
    # The refusal that named the tablet was Bob's, and is told without it.
    calls.checkpoint()
    story = calls.explain_profile(("user_id", "bob"))
    assert "tablet" not in str(story)


def test_a_record_that_is_not_kept_is_told_as_such(tmp_path: Path) -> None:
    resolver = Resolver(
        tmp_path / "data",
        segment_size_bytes=16_384,
        history_retention_days=0,
        history_retention_bytes=0,
    )
    with resolver:
        resolver.set_rules(RULES)
        ann = seen(resolver, 1, user_id="ann", email="ann@example.com")
        for number in range(400):
            resolver.resolve(Event(identifiers={"device_id": f"d-{number}"}))
            if number % 100 == 99:
                resolver.checkpoint()
        story = resolver.explain_profile(ann)
        (step,) = story.steps
        assert (step.record.sequence_number, step.record.expired) == (3, True)
        assert (step.record.log_time, step.record.resolution) == (None, None)
        assert [trace.kind for trace in step.traces] == [
            "created", "attached", "attached", "linked", "trait",
        ]  # fmt: skip
        newest = resolver.explain_profile(("device_id", "d-399"))
        assert not newest.steps[0].record.expired
    with Resolver(tmp_path / "data") as again:
        assert again.explain_profile(ann).steps == story.steps


def test_in_memory_memory_alone_tells() -> None:
    with Resolver() as resolver:
        ann = resolver.resolve(Event(identifiers={"email": "ann@example.com"})).profile_id
        (step,) = resolver.explain_profile(ann).steps
        assert step.record.expired


def test_a_long_story_is_read_page_by_page(tmp_path: Path) -> None:
    with Resolver(tmp_path / "data") as resolver:
        resolver.set_rules(RULES.replace("[workspace]", "[workspace]\nidentifiers_max = 2000"))
        events = [
            Event(identifiers={"user_id": "ann", "device_id": f"d-{number}"})
            for number in range(1_201)
        ]
        resolver.resolve_many(events)
        story = resolver.explain_profile(("user_id", "ann"))
        assert (len(story.steps), story.step_count) == (1_201, 1_201)
        numbers = [step.record.sequence_number for step in story.steps]
        assert numbers == sorted(set(numbers))


def test_asyncio_asks_the_same(tmp_path: Path) -> None:
    async def ask(address: str) -> None:
        async with ipse.aio.Client(address) as client:
            await client.resolve(Event(identifiers={"user_id": "ann", "email": "a@example.com"}))
            story = await client.explain_profile(("user_id", "ann"))
            assert story.step_count == 1
            link = await client.explain_link(("user_id", "ann"), ("email", "a@example.com"))
            assert len(link.hops) == 1

    with ServerProcess(tmp_path / "data") as process:
        asyncio.run(ask(process.address))


def test_after_a_kill_the_same_is_told(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as process, ipse.Client(process.address) as client:
        client.set_rules(RULES)
        seen(client, 1, user_id="ann", email="ann@example.com")
        before = client.explain_link(("user_id", "ann"), ("email", "ann@example.com"))
        process.kill()
    with ServerProcess(tmp_path / "data") as process, ipse.Client(process.address) as client:
        after = client.explain_link(("user_id", "ann"), ("email", "ann@example.com"))
        assert after.hops == before.hops
