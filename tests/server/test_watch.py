"""Who watches is told every change, once, in order, whatever becomes of the server meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import ipse
import pytest
from ipse import ChangeKind, Event, WatchedChanges, _native, server
from ipse.v1 import history_pb2

from tests.door.live import until
from tests.server.scenes import in_process, service_of
from tests.server.scenes import until as scene_until
from tests.server_process import ServerProcess

METHOD = "/ipse.v1.HistoryService/WatchChanges"
WATCHERS_MAX = 64
# What a client takes that nobody reads, else gRPC lets it grow to megabytes.
SMALL_WINDOW = [("grpc.http2.bdp_probe", 0)]
RULES = """
[workspace]
conflict = "transfer"
[namespaces.user_id]
limit = 1
login = true
[namespaces.email]
limit = 2
[namespaces.device_id]
limit = 100
"""

Held = set[tuple[str, str, str]]


@pytest.fixture
def process(engine_dir: Path, transport: str) -> Iterator[ServerProcess]:
    with ServerProcess(engine_dir, transport=transport) as running:
        yield running


class Copy:
    """Who holds what, made of nothing but changes."""

    def __init__(self) -> None:
        self.held: Held = set()
        self.sequence_number = 0

    def take(self, told: WatchedChanges) -> None:
        for record in told.records:
            assert record.sequence_number > self.sequence_number
            self.sequence_number = record.sequence_number
            for change in record.changes:
                self._apply(change)
        self.sequence_number = told.sequence_number

    def _apply(self, change: ipse.Change) -> None:
        before, after = change.before_profile_id or "", change.after_profile_id or ""
        if change.identifier is not None:
            name = (change.identifier.namespace, change.identifier.value)
            self.held.discard((*name, before))
            self.held |= {(*name, after)} if after else set()
        elif change.kind is ChangeKind.MERGED:
            self.held = {(n, v, after if p == before else p) for n, v, p in self.held}
        elif change.kind is ChangeKind.ERASED:
            self.held = {(n, v, p) for n, v, p in self.held if p != before}


def held(client: ipse.Client) -> Held:
    return {
        (each.identifier.namespace, each.identifier.value, profile.profile_id)
        for profile in client.list_profiles()
        for each in profile.identifiers
    }


def act(client: ipse.Client, dice: random.Random) -> None:
    """One thing or another; it may be refused."""

    def some(count: int) -> list[tuple[str, str]]:
        names = ("user_id", "email", "device_id")
        return [(dice.choice(names), f"v{dice.randrange(8)}") for _ in range(count)]

    with contextlib.suppress(ipse.Refused):
        match dice.randrange(12):
            case 0:
                one, other = (ipse.Identifier(*pair) for pair in some(2))
                client.merge_profiles(one, [other], force=True)
            case 1:
                [pair] = some(1)
                client.split_profile(ipse.Identifier(*pair), [pair])
            case _:
                client.resolve(Event(identifiers=some(dice.randrange(1, 4))))


def newest(client: ipse.Client) -> int:
    return client.get_workspace().sequence_number


def test_a_copy_is_what_the_server_has_also_after_it_was_killed(process: ServerProcess) -> None:
    dice, copy = random.Random(1), Copy()
    with ipse.Client(process.address) as client:
        client.set_rules(RULES)
        watching = client.watch_changes(0, heartbeat_s=1)

        def catch_up() -> None:
            while copy.sequence_number < newest(client):
                copy.take(next(watching))

        for turn in range(6):
            for _ in range(60):
                act(client, dice)
            catch_up()
            assert copy.held == held(client)
            client.delete_profile(dice.choice(sorted(copy.held))[2])
            catch_up()
            assert copy.held == held(client)
            if turn % 2:
                process.kill()
                process.start()
                client.wait_until_ready()
        assert copy.held


def test_the_asyncio_client_follows_too(process: ServerProcess) -> None:
    async def follow() -> list[WatchedChanges]:
        told: list[WatchedChanges] = []
        async with ipse.aio.Client(process.address) as client:
            async for changes in client.watch_changes(kinds=["created"], heartbeat_s=1):
                told.append(changes)
                if len(told) == 1:
                    await client.resolve(Event(identifiers={"user_id": "ann"}, event_id="e-1"))
                    process.kill()
                    process.start()
                elif not changes.records:
                    # Silence, after it has called again.
                    return told
        raise AssertionError("it goes on")

    first, *others = asyncio.run(follow())
    assert (first.records, first.sequence_number, first.newest_sequence_number) == ((), 1, 1)
    [record] = [record for changes in others for record in changes.records]
    [change] = record.changes
    assert (record.event_id, change.kind, record.sequence_number) == ("e-1", "created", 2)


def test_a_server_that_stops_says_so_at_once(process: ServerProcess) -> None:
    with ipse.Client(process.address) as client, ipse.Client(process.address) as other:
        watching = client.watch_changes(0, resume=False)
        next(watching)
        unread = other.watch_changes(0, resume=False)
        next(unread)
        began = time.monotonic()
        process.stop()
        assert time.monotonic() - began < 5.0
        with pytest.raises(ipse.Unavailable, match="shutting down") as caught:
            list(watching)
        assert caught.value.reason == "NOT_SERVING"


def test_who_is_refused_is_told_why(process: ServerProcess) -> None:
    with ipse.Client(process.address) as client:
        with pytest.raises(ipse.InvalidArgument, match="after_sequence_number") as refused:
            next(client.watch_changes(99))
        assert refused.value.reason == "INVALID_FIELD"
        with pytest.raises(ipse.InvalidArgument, match="'made'"):
            next(client.watch_changes(0, kinds=["made"]))
        with pytest.raises(ipse.NotFound) as missing:
            next(client.watch_changes(0, workspace="nowhere"))
        assert missing.value.reason == "WORKSPACE_NOT_FOUND"


def memory_kib(process: ServerProcess) -> int:
    assert process.process is not None
    text = Path(f"/proc/{process.process.pid}/status").read_text(encoding="ascii")
    return int(text.split("VmRSS:")[1].split()[0])


def test_those_who_never_read_slow_nobody_and_cost_little(process: ServerProcess) -> None:
    with ipse.Client(process.address, timeout_s=60) as client:
        # More than all windows and buffers on the way hold.
        large = [
            Event(identifiers={"user_id": f"u{number}"}, traits={"text": "x" * 8_000})
            for number in range(600)
        ]
        client.resolve_many(large)
        before = memory_kib(process)
        with grpc.insecure_channel(process.address, SMALL_WINDOW) as channel:
            stream: Any = channel.unary_stream(METHOD)
            request = history_pb2.WatchChangesRequest(after_sequence_number=0)
            unread = [stream(request.SerializeToString()) for _ in range(WATCHERS_MAX + 36)]
            until(lambda: sum(call.done() for call in unread) == 36)
            refused = [call for call in unread if call.done()]
            assert {call.code() for call in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
            assert "64 calls watch already" in refused[0].details()
            answers = client.resolve_many(
                Event(identifiers={"anonymous_id": f"d{number}"}) for number in range(5_000)
            )
            assert all(isinstance(answer, ipse.Resolution) for answer in answers)
            assert memory_kib(process) - before < 160 * 1_024
            for call in unread:
                call.cancel()
        # Their places are free as soon as the server knows.
        began = time.monotonic()
        until(lambda: _may_watch(client))
        assert time.monotonic() - began < 2.0
        assert "Traceback" not in process.log()


def _may_watch(client: ipse.Client) -> bool:
    try:
        return bool(next(client.watch_changes(0, resume=False)).sequence_number)
    except ipse.ResourceExhausted:
        return False


def test_who_takes_nothing_for_too_long_is_told_where_to_go_on(
    engine_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_native, "WATCH_SEND_S_MAX", 0.3)

    async def scene(running: server.Server, client: ipse.aio.Client) -> None:
        await running.recover()
        await client.resolve_many(
            Event(identifiers={"user_id": f"u{number}"}, traits={"text": "x" * 8_000})
            for number in range(600)
        )
        async with grpc.aio.insecure_channel(running.address, SMALL_WINDOW) as channel:
            stream: Any = channel.unary_stream(METHOD)
            request = history_pb2.WatchChangesRequest(after_sequence_number=0)
            unread = stream(request.SerializeToString())
            first = history_pb2.WatchChangesResponse.FromString(await unread.read())
            assert first.records
            watchers = service_of(running)._watchers
            await scene_until(lambda: not watchers._news)
            number = first.sequence_number
            with contextlib.suppress(grpc.aio.AioRpcError):
                while payload := await unread.read():
                    told = history_pb2.WatchChangesResponse.FromString(payload)
                    number = told.sequence_number
            assert await unread.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            words = await unread.details()
            assert words.startswith("nothing was taken for")
            # What was on its way then may have come all the same.
            assert first.sequence_number <= int(words.rpartition(" ")[2]) <= number < 601

    monkeypatch.delenv("IPSE_TRANSPORT", raising=False)
    in_process(scene, engine_dir)
