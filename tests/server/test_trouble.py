"""What the server does when the engine meets a bug, or takes its time."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipse
import pytest
from ipse import Event, Resolver, ServerSettings, _native, server
from ipse._services import ADMIN
from ipse.errors import Code

from tests.server.scenes import Panic, Scene, TroubledEngine, in_process, service_of, trouble, until

SECONDS_MAX = 30.0


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_arguments: Any, **_named: Any) -> Any:
        raise error

    return fail


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_LOOK_AFTER_INTERVAL_S", 0.01)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is found out but by the call that meets it."""
    monkeypatch.setattr(server, "_LOOK_AFTER_INTERVAL_S", 3_600.0)


async def failure_of(running: server.Server) -> str:
    return await asyncio.wait_for(running.failure, SECONDS_MAX)


def in_trouble(scene: Scene, data_dir: Path) -> None:
    """Play a scene that ends with a failed engine: draining says so."""
    problems: list[BaseException] = []

    async def guarded(running: server.Server, client: ipse.aio.Client) -> None:
        # What draining raises would hide what the scene did.
        try:
            await scene(running, client)
        except BaseException as problem:  # noqa: BLE001
            problems.append(problem)

    with pytest.raises(ipse.errors.LogFailed):
        in_process(guarded, data_dir)
    for problem in problems:
        raise problem


@pytest.mark.usefixtures("slow")
def test_a_bug_that_broke_the_engine_stops_the_server_at_the_call_that_met_it(
    engine_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken: list[str] = []

    def call(*_arguments: Any) -> tuple[int, int, bytes]:
        broken.append("half changed")
        return 0, *_native.bug("4711")

    faults = [[("4711", "panic at x.rs:1")], []]
    trouble(
        monkeypatch,
        call=call,
        failure=lambda: broken[0] if broken else None,
        take_faults=lambda: faults.pop(0) if broken else [],
    )

    async def scene(running: server.Server, client: ipse.aio.Client) -> None:
        await running.recover()
        with pytest.raises(ipse.InternalError) as caught:
            await client.resolve(Event(identifiers={"user_id": "u"}))
        assert caught.value.metadata["id"] == "4711"
        assert await failure_of(running) == "half changed"
        with pytest.raises(ipse.Unavailable, match="it has failed"):
            await client.stats()

    in_trouble(scene, engine_dir)
    (record,) = [one for one in caplog.records if one.getMessage() == "a bug"]
    assert (record.__dict__["fault"], record.__dict__["text"]) == ("4711", "panic at x.rs:1")


@pytest.mark.usefixtures("quick")
def test_a_broken_engine_is_found_also_if_nobody_calls(
    engine_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: list[str] = []
    trouble(monkeypatch, failure=lambda: broken[0] if broken else None)

    async def scene(running: server.Server, client: ipse.aio.Client) -> None:
        await running.recover()
        # Whatever the start wrote is on disk by then, and no wake-up is to come.
        await client.resolve(Event(identifiers={"user_id": "u"}))
        await asyncio.sleep(0.1)
        broken.append("broken")
        assert await failure_of(running) == "broken"

    in_trouble(scene, engine_dir)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("method", ["checkpoint_due", "checkpoint"])
def test_a_panic_while_a_snapshot_is_due_stops_the_server(
    engine_dir: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    methods = {"checkpoint_due": lambda: True, method: raising(Panic("poisoned"))}
    trouble(monkeypatch, **methods)

    async def scene(running: server.Server, _client: ipse.aio.Client) -> None:
        await running.recover()
        assert "bug" in await failure_of(running)

    in_trouble(scene, engine_dir)


@pytest.mark.usefixtures("quick")
def test_a_snapshot_that_the_disk_refuses_stops_nothing(
    engine_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trouble(monkeypatch, checkpoint_due=lambda: True, checkpoint=raising(OSError("disk full")))

    async def scene(running: server.Server, client: ipse.aio.Client) -> None:
        await running.recover()
        await until(lambda: "snapshot failed" in caplog.text)
        await client.resolve(Event(identifiers={"user_id": "u"}))
        assert not running.failure.done()

    in_process(scene, engine_dir)


def test_a_full_queue_refuses_writes_with_a_delay_and_lets_reads_pass(engine_dir: Path) -> None:
    async def scene(running: server.Server, client: ipse.aio.Client) -> None:
        await running.recover()
        await client.resolve(Event(identifiers={"user_id": "u"}))
        # With no place left every write is refused, whatever the disk's speed.
        service_of(running)._waiters._waiting_max = 0
        event = Event(identifiers={"user_id": "v"})
        with pytest.raises(ipse.ResourceExhausted) as caught:
            await client.resolve(event)
        assert caught.value.reason == "WRITE_QUEUE_FULL"
        assert caught.value.retry_delay_s is not None
        assert (await client.get_profile(identifier=("user_id", "u"))).known
        service_of(running)._waiters._waiting_max = 1
        await client.resolve(event)

    in_process(scene, engine_dir)


def test_a_panic_reaches_the_caller_as_an_id_and_not_as_its_text(
    engine_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    errors = [Panic("a secret"), RuntimeError("a secret")]

    def call(*_arguments: Any) -> Any:
        raise errors.pop()

    trouble(monkeypatch, call=call)

    async def scene(running: server.Server, client: ipse.aio.Client) -> None:
        await running.recover()
        for _ in range(2):
            caplog.clear()
            with pytest.raises(ipse.InternalError) as caught:
                await client.stats()
            error = caught.value
            assert (error.code, error.reason) == (Code.INTERNAL, "INTERNAL")
            assert "secret" not in error.message
            (record,) = [one for one in caplog.records if one.name == "ipse.service"]
            assert error.metadata["id"] == record.__dict__["fault"]
            assert record.exc_info

    in_process(scene, engine_dir)


def exit_code(data_dir: Path, monkeypatch: pytest.MonkeyPatch, **methods: Any) -> int:
    """Serve, and end by SIGTERM as soon as the engine is there."""

    def recovery() -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGTERM)
        return {}

    trouble(monkeypatch, recovery=recovery, **methods)
    return server.serve(ServerSettings(port=0, data_dir=str(data_dir)))


def test_a_snapshot_that_fails_at_the_end_is_logged_and_the_end_is_clean(
    engine_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    code = exit_code(engine_dir, monkeypatch, close=raising(OSError("disk full")))
    assert code == server.EXIT_OK
    assert "snapshot failed" in caplog.text


@pytest.mark.parametrize("error", [Panic("poisoned"), _native.LogFailedError("no disk")])
def test_a_close_that_fails_ends_with_70(
    engine_dir: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    code = exit_code(engine_dir, monkeypatch, close=raising(error))
    assert code == server.EXIT_ENGINE_FAILED


def test_a_panic_in_recovery_ends_with_70(
    engine_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Engine:
        open = staticmethod(raising(Panic("poisoned")))

    monkeypatch.setattr(_native, "Engine", Engine)
    code = server.serve(ServerSettings(port=0, data_dir=str(engine_dir)))
    assert code == server.EXIT_ENGINE_FAILED


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError("disk full"), ipse.Failed),
        (Panic("poisoned"), ipse.InternalError),
        (_native.LogFailedError("no disk"), ipse.errors.LogFailed),
    ],
)
def test_a_resolver_that_cannot_close_well_says_so_in_our_words(
    engine_dir: Path, error: BaseException, kind: type[ipse.IpseError]
) -> None:
    resolver = Resolver(engine_dir)
    troubled: Any = TroubledEngine(resolver._engine, close=raising(error))
    resolver._engine = troubled
    with pytest.raises(kind) as caught:
        resolver.close()
    assert type(caught.value) is kind
    troubled.real.close()


class Held:
    """Calls of some methods are held until they are let go, and counted."""

    def __init__(self, *methods: str) -> None:
        self.methods = frozenset(methods)
        self.begun: list[str] = []
        self.threads: set[str] = set()
        self.go = threading.Event()
        self.engine: _native.Engine | None = None

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real_open = server._open

        def open_held(settings: ServerSettings, *others: Any) -> Any:
            self.engine = real_open(settings, *others)
            return TroubledEngine(self.engine, call=self.call)

        monkeypatch.setattr(server, "_open", open_held)

    def call(
        self, method: str, request: bytes, time_left_ms: int | None, authorization: bytes | None
    ) -> Any:
        assert self.engine is not None
        # One whose time is up is refused at once, as the engine promises.
        name = method.rpartition("/")[2]
        if name in self.methods and (time_left_ms is None or time_left_ms > 0):
            self.begun.append(name)
            self.threads.add(threading.current_thread().name)
            assert self.go.wait(SECONDS_MAX)
        return self.engine.call(method, request, time_left_ms, authorization)


RULES = "[namespaces.email]\nlogin = true\n"


def test_rules_that_take_long_to_compile_hold_nobody_up_but_each_other(
    engine_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held("CreateWorkspace", "SetRules", "ValidateRules")
    held.install(monkeypatch)

    async def scene(running: server.Server, client: ipse.aio.Client) -> None:
        await running.recover()
        rules = (await client.get_rules()).toml
        first = asyncio.create_task(client.validate_rules(rules))
        await until(lambda: held.begun == ["ValidateRules"])
        second = asyncio.create_task(client.set_rules(rules + "\n"))
        await until(lambda: running._carrier.calls_in_flight == 2)
        third = asyncio.create_task(client.create_workspace("other"))
        await until(lambda: running._carrier.calls_in_flight == 3)
        # Everything else is answered meanwhile.
        await client.resolve(Event(identifiers={"user_id": "u"}))
        assert (await client.stats()).workspaces
        assert held.begun == ["ValidateRules"]
        held.go.set()
        assert await first == []
        assert await second == 2
        assert (await third).name == "other"
        assert held.begun == ["ValidateRules", "SetRules", "CreateWorkspace"]
        assert threading.main_thread().name not in held.threads

    in_process(scene, engine_dir)


def test_rules_that_are_decided_when_the_engine_fails_are_not_waited_for(
    engine_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held("SetRules")
    held.install(monkeypatch)

    async def scene(running: server.Server, client: ipse.aio.Client) -> None:
        await running.recover()
        rules = (await client.get_rules()).toml
        call = asyncio.create_task(client.set_rules(rules + "\n"))
        await until(lambda: bool(held.begun))
        running.fail("the disk is gone")
        held.go.set()
        with pytest.raises(ipse.Unavailable, match="it has failed"):
            await asyncio.wait_for(call, 3)
        assert len(service_of(running)._waiters) == 0

    in_trouble(scene, engine_dir)


def test_rules_whose_caller_has_no_time_left_are_not_looked_at(
    engine_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held("ValidateRules")
    held.install(monkeypatch)

    async def scene(running: server.Server, client: ipse.aio.Client) -> None:
        await running.recover()
        method = f"/{ADMIN}/ValidateRules"
        first = asyncio.create_task(client.validate_rules(RULES))
        await until(lambda: bool(held.begun))
        late = asyncio.ensure_future(
            service_of(running)._answer_of(method)(method, b"", 0.05, None)
        )
        await asyncio.sleep(0.1)
        held.go.set()
        await first
        assert (await late)[0] == Code.DEADLINE_EXCEEDED
        assert len(held.begun) == 1

    in_process(scene, engine_dir)


def test_a_long_batch_keeps_no_other_caller_waiting(
    engine_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held("ResolveEvents")
    held.install(monkeypatch)

    async def scene(running: server.Server, client: ipse.aio.Client) -> None:
        await running.recover()
        events = [ipse.Event(identifiers={"user_id": f"u-{n}"}) for n in range(100)]
        batch = asyncio.create_task(client.resolve_many(events))
        await until(lambda: bool(held.begun))
        await client.resolve(ipse.Event(identifiers={"user_id": "somebody-else"}))
        assert not batch.done()
        held.go.set()
        assert len(await batch) == 100

    in_process(scene, engine_dir)


def test_checkpoints_that_are_asked_for_at_once_are_one(
    engine_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held("Checkpoint")
    held.install(monkeypatch)

    async def scene(running: server.Server, client: ipse.aio.Client) -> None:
        await running.recover()
        calls = [asyncio.create_task(client.checkpoint()) for _ in range(100)]
        await until(lambda: running._carrier.calls_in_flight == 100)
        calls[0].cancel()
        await until(lambda: running._carrier.calls_in_flight == 99)
        method = f"/{ADMIN}/Checkpoint"
        code, _ = await service_of(running)._answer_checkpoint(method, b"", 0.0, None)
        assert code == Code.DEADLINE_EXCEEDED
        held.go.set()
        written = await asyncio.gather(*calls[1:])
        assert len(set(written)) == 1
        assert held.begun == ["Checkpoint"]
        await client.checkpoint()
        assert held.begun == ["Checkpoint"] * 2

    in_process(scene, engine_dir)


def test_a_checkpoint_with_bytes_that_are_no_message_is_refused_alone(engine_dir: Path) -> None:
    async def scene(running: server.Server, client: ipse.aio.Client) -> None:
        await running.recover()
        method = f"/{ADMIN}/Checkpoint"
        code, _ = await service_of(running)._answer_checkpoint(method, b"\xff", 9.0, None)
        assert code == Code.INVALID_ARGUMENT
        await client.checkpoint()

    in_process(scene, engine_dir)
