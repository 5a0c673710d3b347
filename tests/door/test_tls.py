"""Encrypted connections: who is believed on either side, and certificates that change."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import ipse
import pytest
import trustme
from grpc_health.v1 import health_pb2
from ipse import server as servers

from tests.door.certificates import Pair, authority, issue
from tests.door.keys import Key, file_of
from tests.door.live import told, until
from tests.server_process import ServerProcess

pytestmark = pytest.mark.usefixtures("transport")

ADMIN = Key("admin", "admin")
EVENT = ipse.Event(identifiers={"user_id": "ann"})
HOST = "127.0.0.1"


@dataclass(frozen=True)
class World:
    """An authority that all believe in, another that nobody knows, and where their files are."""

    path: Path
    ours: trustme.CA
    other: trustme.CA

    @property
    def ca(self) -> Path:
        return self.path / "ours.pem"

    @property
    def other_ca(self) -> Path:
        return self.path / "other.pem"


@pytest.fixture
def world(tmp_path: Path) -> World:
    path = tmp_path / "tls"
    path.mkdir()
    return World(path, authority(path / "ours.pem"), authority(path / "other.pem"))


@contextmanager
def serving(world: World, pair: Pair, *flags: str) -> Iterator[ServerProcess]:
    """A server with a certificate; it is ready when it says so to one who believes it."""
    words = ["--tls-certificate", str(pair.certificate), "--tls-key", str(pair.key), *flags]
    process = ServerProcess(world.path.parent / "data", words)
    child = process.spawn()
    try:
        until(lambda: process._port() != 0 or child.poll() is not None)
        assert child.poll() is None, process.log()
        process.port = process._port()
        until(lambda: '"serving"' in process.log())
        yield process
    finally:
        process.close()


def test_both_clients_and_the_commands_speak_tls(world: World) -> None:
    pair = issue(world.ours, world.path, "server", HOST)
    tokens = world.path / "tokens.toml"
    tokens.write_text(file_of(ADMIN))
    tls = ipse.Tls(ca=world.ca)
    with serving(world, pair, "--tokens", str(tokens)) as process:
        with ipse.Client(process.address, tls=tls, token=ADMIN.token) as client:
            client.wait_until_ready(10)
            found = client.resolve(EVENT)

        async def twin() -> None:
            async with ipse.aio.Client(process.address, tls=tls, token=ADMIN.token) as client:
                await client.wait_until_ready(10)
                assert (await client.resolve(EVENT)).profile_id == found.profile_id

        asyncio.run(twin())
        shown = _ipse(
            ["stats", "--address", process.address, "--tls-ca", str(world.ca)], ADMIN.token
        )
        assert shown.returncode == 0, shown.stderr
        bench = ["bench", "--seconds", "0.2", "--warmup", "0", "--address", process.address]
        shown = _ipse([*bench, "--tls-ca", str(world.ca)], ADMIN.token)
        assert shown.returncode == 0, shown.stderr
        plain = _ipse(["stats", "--address", process.address], ADMIN.token)
        assert plain.returncode == 1
        wrong = _ipse(
            ["stats", "--address", process.address, "--tls-ca", str(world.other_ca)], ADMIN.token
        )
        assert wrong.returncode == 1
        assert "CERTIFICATE_VERIFY_FAILED" in wrong.stderr
        log = process.log()
    assert ADMIN.token not in log


def test_a_client_believes_only_who_it_knows(world: World) -> None:
    pair = issue(world.ours, world.path, "server", HOST)
    with serving(world, pair) as process:
        assert _resolves(process.address, ipse.Tls(ca=world.ca))
        assert not _resolves(process.address, ipse.Tls(ca=world.other_ca))
        assert not _resolves(process.address, tls=True)
        assert not _resolves(process.address, tls=None)
        name = ipse.Tls(ca=world.ca, server_name="elsewhere.example.com")
        assert not _resolves(process.address, name)


@pytest.mark.parametrize(
    ("hosts", "expired", "server_name", "believed"),
    [
        ([HOST], True, "", False),
        (["elsewhere.example.com"], False, "", False),
        (["elsewhere.example.com"], False, "elsewhere.example.com", True),
    ],
)
def test_a_certificate_must_be_of_the_address_and_not_over(
    world: World, hosts: list[str], expired: bool, server_name: str, believed: bool
) -> None:
    pair = issue(world.ours, world.path, "server", *hosts, expired=expired)
    with serving(world, pair) as process:
        tls = ipse.Tls(ca=world.ca, server_name=server_name)
        assert _resolves(process.address, tls) is believed


def test_a_server_that_asks_for_certificates_believes_only_its_authority(world: World) -> None:
    pair = issue(world.ours, world.path, "server", HOST)
    good = issue(world.ours, world.path, "good", "client")
    over = issue(world.ours, world.path, "over", "client", expired=True)
    foreign = issue(world.other, world.path, "foreign", "client")
    with serving(world, pair, "--tls-client-ca", str(world.ca)) as process:
        assert _resolves(process.address, _client_tls(world, good))
        assert not _resolves(process.address, ipse.Tls(ca=world.ca))
        assert not _resolves(process.address, _client_tls(world, over))
        assert not _resolves(process.address, _client_tls(world, foreign))
        # Not even health, which is open to whoever is let in.
        credentials = grpc.ssl_channel_credentials(world.ca.read_bytes())
        with grpc.secure_channel(process.address, credentials) as channel:
            check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
                "/grpc.health.v1.Health/Check"
            )
            with pytest.raises(grpc.RpcError):
                check(b"", timeout=5)
        shown = _ipse(
            [
                *("stats", "--address", process.address, "--tls-ca", str(world.ca)),
                *("--tls-certificate", str(good.certificate), "--tls-key", str(good.key)),
            ]
        )
        assert shown.returncode == 0, shown.stderr


def test_a_new_certificate_is_for_new_connections_and_ends_no_stream(world: World) -> None:
    pair = issue(world.ours, world.path, "server", HOST)
    with serving(world, pair) as process:
        first = _serial(process, world)
        with _watching(process, world) as statuses:
            assert next(statuses).status == health_pb2.HealthCheckResponse.SERVING
            issue(world.ours, world.path, "server", HOST)
            until(lambda: _serial(process, world) != first)
            second = _serial(process, world)
            # What is broken keeps what was in force, for as long as it is broken.
            good = pair.certificate.read_bytes(), pair.key.read_bytes()
            for certificate, key in (
                (good[0], b"no key"),
                (b"", good[1]),
                (world.ca.read_bytes(), good[1]),
                (good[0], None),
            ):
                refused = told(process, "the old one stays")
                pair.certificate.write_bytes(certificate)
                pair.key.unlink(missing_ok=True)
                if key is not None:
                    pair.key.write_bytes(key)
                until(refused)
                assert _serial(process, world) == second
            pair.certificate.write_bytes(good[0])
            issue(world.ours, world.path, "server", HOST)
            until(lambda: _serial(process, world) not in (first, second))
            process_of_server = process.process
            assert process_of_server is not None
            process_of_server.send_signal(signal.SIGTERM)
            # The stream of the first certificate is told of the end: it was there all the time.
            assert next(statuses).status == health_pb2.HealthCheckResponse.NOT_SERVING


def test_an_authority_that_changes_is_believed(world: World) -> None:
    pair = issue(world.ours, world.path, "server", HOST)
    clients = world.path / "clients.pem"
    clients.write_bytes(world.ca.read_bytes())
    foreign = issue(world.other, world.path, "foreign", "client")
    with serving(world, pair, "--tls-client-ca", str(clients)) as process:
        assert not _resolves(process.address, _client_tls(world, foreign))
        clients.write_bytes(world.other_ca.read_bytes())
        until(lambda: _resolves(process.address, _client_tls(world, foreign)))


@pytest.mark.parametrize("what", ["no file", "no key", "another's key", "no authority"])
def test_a_server_does_not_start_with_what_nobody_could_believe(world: World, what: str) -> None:
    pair = issue(world.ours, world.path, "server", HOST)
    if what == "no file":
        pair.certificate.unlink()
    elif what == "no key":
        pair.key.write_bytes(pair.certificate.read_bytes())
    elif what == "another's key":
        pair.key.write_bytes(issue(world.ours, world.path, "another", HOST).key.read_bytes())
    flags = ["--tls-certificate", str(pair.certificate), "--tls-key", str(pair.key)]
    if what == "no authority":
        flags += ["--tls-client-ca", str(pair.key)]
    process = ServerProcess(world.path.parent / "data", flags)
    assert process.run_to_end() == servers.EXIT_OPEN_FAILED
    assert "tls_c" in process.log()
    assert "PRIVATE KEY" not in process.log()


def test_with_certificate_and_tokens_a_server_may_be_reached_by_others(world: World) -> None:
    pair = issue(world.ours, world.path, "server", HOST)
    tokens = world.path / "tokens.toml"
    tokens.write_text(file_of(ADMIN))
    every = "0.0.0.0"  # noqa: S104
    with serving(world, pair, "--tokens", str(tokens), "--host", every) as process:
        tls = ipse.Tls(ca=world.ca)
        with ipse.Client(process.address, tls=tls, token=ADMIN.token) as client:
            assert client.resolve(EVENT).profile_id


@pytest.mark.parametrize("half", [{"certificate": "a"}, {"key": "a"}, {"ca": "/none/there"}])
def test_a_client_says_what_it_cannot_read(half: dict[str, str]) -> None:
    with pytest.raises(ipse.ConfigError, match="tls: "):
        ipse.Client(tls=ipse.Tls(**half))


def _client_tls(world: World, pair: Pair) -> ipse.Tls:
    return ipse.Tls(ca=world.ca, certificate=pair.certificate, key=pair.key)


def _resolves(address: str, tls: ipse.Tls | bool | None) -> bool:
    with ipse.Client(address, tls=tls, timeout_s=3) as client:
        try:
            client.resolve(EVENT)
        except (ipse.Unavailable, ipse.DeadlineExceeded):
            return False
        return True


def _serial(process: ServerProcess, world: World) -> object:
    """The serial number of the certificate that a new connection is shown."""
    context = ssl.create_default_context(cafile=world.ca)
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((HOST, process.port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as encrypted,
    ):
        shown = encrypted.getpeercert()
        assert shown is not None
        return shown["serialNumber"]


@contextmanager
def _watching(
    process: ServerProcess, world: World
) -> Iterator[Iterator[health_pb2.HealthCheckResponse]]:
    credentials = grpc.ssl_channel_credentials(world.ca.read_bytes())
    with grpc.secure_channel(process.address, credentials) as channel:
        watch = channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        statuses = watch(health_pb2.HealthCheckRequest(service="ipse.writes"), timeout=60)
        yield statuses
        statuses.cancel()


def _ipse(words: Sequence[str], token: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ipse", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "IPSE_TOKEN": token},
    )
