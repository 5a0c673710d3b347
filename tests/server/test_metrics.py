"""What monitoring sees: figures, and whether the server lives and serves."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
from pathlib import Path
from typing import Any

import grpc
import ipse
import pytest
from ipse import Event, _native, server
from prometheus_client.parser import text_string_to_metric_families

from tests.server.scenes import in_process
from tests.server_process import ServerProcess

pytestmark = pytest.mark.usefixtures("transport")


def free_port() -> int:
    """A port that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def figures(port: int) -> dict[tuple[str, ...], float]:
    """Every sample: its name and the values of its labels, the method's first."""
    status, text = get(port, "/metrics")
    assert status == 200
    return {
        (sample.name, *(sample.labels[key] for key in sorted(sample.labels, reverse=True))): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_each_call_event_and_refusal_is_counted_where_it_belongs(tmp_path: Path) -> None:
    port = free_port()
    flags = ["--metrics-port", str(port)]
    with ServerProcess(tmp_path / "data", flags) as process, ipse.Client(process.address) as client:
        for name in ("ann", "bob", "ann"):
            client.resolve(Event(identifiers={"user_id": name}))
        with pytest.raises(ipse.NotFound):
            client.get_profile(identifier=("user_id", "nobody"))
        client.resolve(Event(identifiers=[("user_id", "a"), ("user_id", "b")]))
        client.checkpoint()

        found = figures(port)

        resolve = "/ipse.v1.IdentityService/ResolveEvent"
        assert found["ipse_calls_total", resolve, "OK"] == 4
        get_profile = "/ipse.v1.IdentityService/GetProfile"
        assert found["ipse_calls_total", get_profile, "NOT_FOUND"] == 1
        assert found["ipse_call_seconds_count", resolve] == 4
        assert found["ipse_call_seconds_bucket", resolve, "+Inf"] == 4
        assert found["ipse_call_seconds_sum", resolve] > 0
        assert found["ipse_profiles",] >= 3
        assert found["ipse_identifiers",] >= 3
        assert found["ipse_sync_seconds_count",] == found["ipse_commit_groups_total",] >= 3
        assert found["ipse_group_bytes_sum",] > 0
        assert found["ipse_state", "serving"] == 1
        assert found["ipse_state", "recovering"] == 0
        assert 0 <= found["ipse_snapshot_age_seconds",] < 60
        assert found["ipse_log_waiting_bytes",] == 0
        assert found["process_resident_memory_bytes",] > 0
        refused = {key[1]: value for key, value in found.items() if "refused_ident" in key[0]}
        assert sum(refused.values()) >= 1
        assert found["ipse_recovery_seconds",] >= 0


def test_names_that_callers_make_up_are_one(tmp_path: Path) -> None:
    port = free_port()
    with ServerProcess(tmp_path / "data", ["--metrics-port", str(port)]) as process:
        assert process.channel is not None
        for number in range(20):
            call: Any = process.channel.unary_unary(f"/ipse.v1.Made/Up{number}")
            with pytest.raises(grpc.RpcError, match="there is no method"):
                call(b"")
        found = figures(port)
        assert found["ipse_calls_total", "unknown", "UNIMPLEMENTED"] == 20
        assert not any("Made" in part for key in found for part in key)


def test_no_value_of_a_person_is_told(tmp_path: Path) -> None:
    port = free_port()
    flags = ["--metrics-port", str(port)]
    with ServerProcess(tmp_path / "data", flags) as process, ipse.Client(process.address) as client:
        client.resolve(Event(identifiers={"email": "secret-value@example.com"}))
        assert "secret-value" not in get(port, "/metrics")[1]


def test_health_and_readiness_say_what_the_server_does(engine_dir: Path) -> None:
    port = free_port()

    async def look(path: str) -> tuple[int, str]:
        return await asyncio.to_thread(get, port, path)

    async def scene(running: server.Server, client: ipse.aio.Client) -> None:
        assert await look("/readyz") == (503, "recovering\n")
        assert await look("/healthz") == (200, "ok\n")
        assert (await look("/metrics"))[0] == 200, "also before there is an engine"
        await running.recover()
        assert await look("/readyz") == (200, "serving\n")
        assert (await look("/else"))[0] == 404
        running._show("draining")
        assert await look("/readyz") == (503, "draining\n")
        await client.resolve(Event(identifiers={"user_id": "u"}))

    in_process(scene, engine_dir, metrics_port=port)
    with pytest.raises(ConnectionRefusedError):
        get(port, "/metrics")


class PartOfTheWay:
    """A recovery that stands still."""

    def now(self) -> tuple[int, int]:
        return 499_000_000, 1_200_000_000


def test_a_server_that_starts_says_how_far_it_has_come(
    engine_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_native, "RecoveryProgress", PartOfTheWay)
    port = free_port()

    async def scene(_running: server.Server, _client: ipse.aio.Client) -> None:
        looked = await asyncio.to_thread(get, port, "/readyz")
        assert looked == (503, "recovering: 41 % of 1.2 GB\n")
        found = await asyncio.to_thread(figures, port)
        assert found["ipse_recovery_bytes_read",] == 499_000_000
        assert found["ipse_recovery_bytes_to_read",] == 1_200_000_000

    in_process(scene, engine_dir, metrics_port=port)


def test_a_recovery_that_is_done_has_read_all_there_is(engine_dir: Path) -> None:
    port = free_port()

    async def write(running: server.Server, client: ipse.aio.Client) -> None:
        await running.recover()
        assert (await asyncio.to_thread(figures, port))["ipse_recovery_bytes_to_read",] == 0
        await client.resolve(Event(identifiers={"user_id": "u"}))

    async def read(running: server.Server, _client: ipse.aio.Client) -> None:
        await running.recover()
        found = await asyncio.to_thread(figures, port)
        assert found["ipse_recovery_bytes_read",] == size > 0
        assert found["ipse_recovery_bytes_to_read",] == size
        assert await asyncio.to_thread(get, port, "/readyz") == (200, "serving\n")

    in_process(write, engine_dir, metrics_port=port)
    on_disk = [*engine_dir.glob("*.snap"), *engine_dir.glob("*.wal")]
    size = sum(path.stat().st_size for path in on_disk)
    in_process(read, engine_dir, metrics_port=port)


def test_a_loop_that_hangs_is_not_healthy(
    engine_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ipse import metrics

    monkeypatch.setattr(metrics, "_LOOP_S_MAX", 0.05)
    port = free_port()

    async def scene(running: server.Server, _client: ipse.aio.Client) -> None:
        await running.recover()
        found: list[tuple[int, str]] = []
        looking = threading.Thread(target=lambda: found.append(get(port, "/healthz")))
        looking.start()
        # The loop does nothing else until the answer is there.
        looking.join(20)
        assert found == [(503, "the event loop hangs\n")]

    in_process(scene, engine_dir, metrics_port=port)


def test_a_port_that_is_taken_ends_the_start(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = ServerProcess(tmp_path / "data", ["--metrics-port", str(port)])
        assert process.run_to_end() == 74
        assert f"cannot listen for metrics on 127.0.0.1:{port}" in process.log()
