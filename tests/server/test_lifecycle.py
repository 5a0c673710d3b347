"""A server's life: recovering, serving, draining, and the ways it can end."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import grpc.aio
import ipse
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from ipse import Event, server

from tests.server.scenes import in_process
from tests.server_process import ServerProcess

pytestmark = pytest.mark.usefixtures("transport")

NAMES = ("", *server.HEALTH_NAMES)
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
EXIT_SECONDS_MAX = 30.0


@pytest.fixture
def process(engine_dir: Path) -> Iterator[ServerProcess]:
    with ServerProcess(engine_dir) as running:
        yield running


async def health_of(address: str) -> dict[str, int]:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return {
            name: (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status
            for name in NAMES
        }


def test_health_says_when_the_server_is_ready(engine_dir: Path) -> None:
    async def scene(running: server.Server, client: ipse.aio.Client) -> None:
        assert await health_of(running.address) == {
            name: SERVING if name == "" else NOT_SERVING for name in NAMES
        }
        with pytest.raises(ipse.Unavailable, match="recovering") as caught:
            await client.stats()
        assert caught.value.reason == "NOT_SERVING"
        await running.recover()
        assert await health_of(running.address) == dict.fromkeys(NAMES, SERVING)
        await client.stats()

    in_process(scene, engine_dir)


def test_a_client_waits_until_recovery_is_done(engine_dir: Path) -> None:
    async def scene(running: server.Server, client: ipse.aio.Client) -> None:
        waiting = asyncio.create_task(client.wait_until_ready(30))
        with pytest.raises(ipse.Unavailable):
            await client.stats()
        assert not waiting.done()
        await running.recover()
        await waiting

    in_process(scene, engine_dir)


def test_health_of_a_name_that_nobody_has_is_not_found(server: ServerProcess) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.health.Check(health_pb2.HealthCheckRequest(service="ipse.nothing"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_request_that_is_too_large_is_refused_by_name(engine_dir: Path) -> None:
    async def scene(running: server.Server, client: ipse.aio.Client) -> None:
        await running.recover()
        with pytest.raises(ipse.InvalidArgument) as caught:
            await client.set_rules("#" * 70_000)
        assert caught.value.reason == "LIMIT_EXCEEDED"
        assert caught.value.field == "request"
        assert caught.value.metadata["limit"] == "message_bytes_max"
        assert caught.value.metadata["bound"] == "65536"
        assert int(caught.value.metadata["found"]) > 70_000

    in_process(scene, engine_dir, message_bytes_max=65_536)


def test_a_read_whose_answer_is_too_large_is_refused_by_name(engine_dir: Path) -> None:
    async def scene(running: server.Server, client: ipse.aio.Client) -> None:
        await running.recover()
        answer = await client.resolve(
            Event(identifiers={"user_id": "u"}, traits={"t": "x" * 8_000})
        )
        with pytest.raises(ipse.InvalidArgument) as caught:
            await client.get_profiles([answer.profile_id] * 10)
        assert caught.value.reason == "LIMIT_EXCEEDED"
        assert caught.value.metadata["limit"] == "response_bytes_max"

    in_process(scene, engine_dir, response_bytes_max=65_536)


def test_a_caller_that_gives_up_loses_only_the_answer(engine_dir: Path) -> None:
    async def scene(running: server.Server, client: ipse.aio.Client) -> None:
        await running.recover()
        calls = [
            asyncio.create_task(client.resolve(Event(identifiers={"user_id": f"u-{number}"})))
            for number in range(50)
        ]
        await asyncio.sleep(0)
        for call in calls[::2]:
            call.cancel()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        answered = [one for one in answers if isinstance(one, ipse.Resolution)]
        assert len(answered) >= 25
        for one in answered:
            assert (await client.get_profile(profile_id=one.profile_id)).known

    in_process(scene, engine_dir)


def test_sigterm_drains_and_exits_with_0_and_a_snapshot(process: ServerProcess) -> None:
    answered: list[str] = []
    with ipse.Client(process.address) as client:

        def resolve_until_away() -> None:
            with contextlib.suppress(ipse.Unavailable):
                for number in range(100_000):
                    user = f"u-{number}"
                    client.resolve(Event(identifiers={"user_id": user}))
                    answered.append(user)
                    if number == 50:
                        warm.set()

        warm = threading.Event()
        writer = threading.Thread(target=resolve_until_away)
        writer.start()
        assert warm.wait(EXIT_SECONDS_MAX)
        process.stop()
        writer.join()
    process.start()
    with ipse.Client(process.address) as client:
        recovery = client.stats().recovery
        assert recovery.clean_shutdown
        assert recovery.replayed_record_count == 0
        for user in answered:
            assert client.get_profile(identifier=("user_id", user)).known


def test_a_kill_loses_nothing_that_was_answered(process: ServerProcess) -> None:
    events = [Event(identifiers={"user_id": f"u-{number}"}) for number in range(100)]
    with ipse.Client(process.address) as client:
        before = [client.resolve(event).profile_id for event in events]
    process.kill()
    process.start()
    with ipse.Client(process.address) as client:
        assert not client.stats().recovery.clean_shutdown
        assert [client.resolve(event).profile_id for event in events] == before


def test_who_watches_health_does_not_hold_up_the_end(engine_dir: Path) -> None:
    with ServerProcess(engine_dir, ["--drain-grace-s", "600"]) as running:
        watch = running.health.Watch(health_pb2.HealthCheckRequest(service="ipse.reads"))
        assert next(watch).status == SERVING
        child = running.process
        assert child is not None
        child.send_signal(signal.SIGTERM)
        assert next(watch).status == NOT_SERVING
        assert child.wait(EXIT_SECONDS_MAX) == 0


def test_the_second_signal_ends_it_at_once(engine_dir: Path) -> None:
    with ServerProcess(engine_dir, ["--drain-delay-s", "600"]) as running:
        child = running.process
        assert child is not None
        watch = running.health.Watch(health_pb2.HealthCheckRequest(service="ipse.reads"))
        assert next(watch).status == SERVING
        child.send_signal(signal.SIGTERM)
        # Draining: health says so, and calls are still served.
        assert next(watch).status == NOT_SERVING
        with ipse.Client(running.address) as client:
            client.stats()
        child.send_signal(signal.SIGTERM)
        assert child.wait(EXIT_SECONDS_MAX) == 128 + signal.SIGTERM


def test_a_log_that_fails_ends_the_process_and_the_next_start_recovers(
    process: ServerProcess,
) -> None:
    child = process.process
    assert child is not None
    # From here on no file takes a byte beyond this: a group's write fails.
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (_FILE_BYTES_MAX, _FILE_BYTES_MAX))
    answered: list[str] = []

    def resolve_until_refused(client: ipse.Client) -> None:
        for number in range(2 * _FILE_BYTES_MAX // _NOTE_BYTES):
            user, traits = f"u-{number}", {"note": "x" * _NOTE_BYTES}
            client.resolve(Event(identifiers={"user_id": user}, traits=traits))
            answered.append(user)

    with ipse.Client(process.address) as client, pytest.raises(ipse.Unavailable):
        resolve_until_refused(client)
    assert child.wait(EXIT_SECONDS_MAX) == server.EXIT_ENGINE_FAILED
    process.close()
    process.start()
    with ipse.Client(process.address) as client:
        assert not client.stats().recovery.clean_shutdown
        assert answered
        for user in answered:
            assert client.get_profile(identifier=("user_id", user)).known


def test_a_snapshot_that_finds_no_room_at_the_end_costs_only_itself(engine_dir: Path) -> None:
    flags = ["--segment-size-bytes", "1048576"]
    events = [
        Event(identifiers={"user_id": f"u-{number}"}, traits={"note": "x" * _NOTE_BYTES})
        for number in range(800)
    ]
    with ServerProcess(engine_dir, flags) as running:
        with ipse.Client(running.address) as client:
            client.resolve_many(events, batch_size=50)
        child = running.process
        assert child is not None
        # Enough for each segment of the log, and too little for a snapshot of all of it.
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (2_097_152, 2_097_152))
        running.stop()
        assert "snapshot failed" in running.log()
        assert '"event": "stopped"' in running.log()
        running.start()
        with ipse.Client(running.address) as client:
            stats = client.stats()
            assert stats.recovery.clean_shutdown
            assert stats.recovery.snapshot_file_name == ""
            assert stats.workspaces[0].profile_count == len(events)


_FILE_BYTES_MAX = 262_144
_NOTE_BYTES = 4_000


def test_a_directory_in_use_is_refused(process: ServerProcess) -> None:
    second = ServerProcess(process.data_dir)
    second._log_file = process.data_dir.with_name("second.log")
    child = second.spawn()
    assert child.wait(EXIT_SECONDS_MAX) == server.EXIT_OPEN_FAILED
    assert str(process.data_dir) in second.log()


def test_a_port_in_use_is_refused(engine_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        second = ServerProcess(engine_dir)
        second.port = taken.getsockname()[1]
        child = second.spawn()
        assert child.wait(EXIT_SECONDS_MAX) == server.EXIT_OPEN_FAILED
        assert str(second.port) in second.log()


def test_an_address_that_others_can_reach_is_refused(engine_dir: Path) -> None:
    second = ServerProcess(engine_dir, ["--host", "0.0.0.0"])  # noqa: S104
    assert second.spawn().wait(EXIT_SECONDS_MAX) != 0
    assert "no encryption" in second.log()


def test_a_log_that_grows_is_snapshotted_without_being_asked(engine_dir: Path) -> None:
    events = [
        Event(identifiers={"user_id": f"u-{number}"}, traits={"note": "x" * 200})
        for number in range(1_000)
    ]
    with (
        ServerProcess(engine_dir, ["--snapshot-log-bytes", "65536"]) as running,
        ipse.Client(running.address) as client,
    ):
        client.resolve_many(events)
        deadline = time.monotonic() + EXIT_SECONDS_MAX
        while client.stats().log_bytes_since_snapshot > 65_536:
            assert time.monotonic() < deadline, running.log()
        # The figures change a moment before the log says so.
        while "snapshot written" not in running.log():
            assert time.monotonic() < deadline, running.log()
            time.sleep(0.01)
