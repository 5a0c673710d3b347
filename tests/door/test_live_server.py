"""A server with tokens, and what callers send it: every method, reflection, health, our clients."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import ipse
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from ipse import server as servers

from tests.door.keys import Key, file_of
from tests.door.live import told, until
from tests.door.requests import METHODS, ROLES, request
from tests.server_process import ServerProcess
from tests.status import reason_of

READ, WRITE, ADMIN = (Key(role, role) for role in ("read", "write", "admin"))
SHOP = Key("shop", "write", ("shop",), source="web")
KEYS = (READ, WRITE, ADMIN, SHOP)

_Metadata = tuple[tuple[str, str | bytes], ...]
GOOD = ADMIN.metadata
BAD = (("authorization", "Bearer x"),)
WRONG: dict[str, _Metadata] = {
    "none": (),
    "an unknown one": (("authorization", "Bearer ipse_" + "a" * 43),),
    "another scheme": (("authorization", f"Basic {ADMIN.token}"),),
    "upper case": (("authorization", f"Bearer {ADMIN.token.upper()}"),),
    "twice": GOOD + GOOD,
    "a bad one first": BAD + GOOD,
    "a bad one last": GOOD + BAD,
    "binary": (("authorization-bin", ADMIN.bearer),),
    "another key": (("x-authorization", f"Bearer {ADMIN.token}"),),
    "long": (("authorization", "Bearer " + "a" * 4_000),),
    "two in one": (("authorization", f"Bearer {ADMIN.token}, Bearer {ADMIN.token}"),),
}


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "tokens.toml"
    path.write_text(file_of(*KEYS))
    return path


@pytest.fixture(scope="module")
def guarded(
    tokens: Path, tmp_path_factory: pytest.TempPathFactory, transport: str
) -> Iterator[ServerProcess]:
    data_dir = tmp_path_factory.mktemp("guarded") / "data"
    with ServerProcess(data_dir, ["--tokens", str(tokens)], transport=transport) as process:
        with ipse.Client(process.address, token=ADMIN.token) as admin:
            admin.create_workspace("shop")
        yield process


@pytest.mark.parametrize("method", METHODS)
def test_no_method_is_open(guarded: ServerProcess, method: str) -> None:
    for what, metadata in WRONG.items():
        for sent in (request(method), b"\xff"):
            failure = _failure(guarded, method, sent, metadata)
            assert failure.code() is grpc.StatusCode.UNAUTHENTICATED, what
            assert reason_of(failure) == "UNAUTHENTICATED", what
    if ROLES[METHODS[method].name] != "read":
        failure = _failure(guarded, method, request(method), READ.metadata)
        assert failure.code() is grpc.StatusCode.PERMISSION_DENIED
        assert reason_of(failure) == "PERMISSION_DENIED"


def test_more_metadata_than_a_server_reads_is_refused_before_it_is_looked_at(
    guarded: ServerProcess,
) -> None:
    method = "/ipse.v1.AdminService/GetStats"
    huge = (("authorization", "Bearer " + "a" * 100_000),)
    code = _failure(guarded, method, b"", huge).code()
    # gRPC's own refusal, or HTTP's (431), for which gRPC has no code.
    assert code in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNKNOWN}
    assert _call(guarded, method, b"", GOOD)


@pytest.mark.parametrize("package", ["grpc.reflection.v1alpha", "grpc.reflection.v1"])
def test_reflection_needs_any_token(guarded: ServerProcess, package: str) -> None:
    assert guarded.channel is not None
    ask = guarded.channel.stream_stream(
        f"/{package}.ServerReflection/ServerReflectionInfo",
        request_serializer=ServerReflectionRequest.SerializeToString,
        response_deserializer=lambda answer: answer,
    )
    question = ServerReflectionRequest(list_services="")
    for what, metadata in WRONG.items():
        # A stream that says nothing is refused, too: it does not wait for a first question.
        for questions in ([question], []):
            with pytest.raises(grpc.RpcError) as caught:
                list(ask(iter(questions), timeout=10, metadata=metadata))
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED, what
    for key in (READ, SHOP):
        assert len(list(ask(iter([question]), timeout=10, metadata=key.metadata))) == 1


def test_health_is_open(guarded: ServerProcess) -> None:
    for name in ("", *servers.HEALTH_NAMES):
        answer = guarded.health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_checkpoint_is_not_shared_with_a_stranger(guarded: ServerProcess) -> None:
    assert guarded.channel is not None
    method = "/ipse.v1.AdminService/Checkpoint"
    call: Any = guarded.channel.unary_unary(method)
    good = [call.future(b"", timeout=30, metadata=GOOD) for _ in range(8)]
    bad = [call.future(b"", timeout=30, metadata=WRITE.metadata) for _ in range(8)]
    assert {each.exception().code() for each in bad} == {grpc.StatusCode.PERMISSION_DENIED}
    assert all(each.result() for each in good)


def test_clients_show_their_token(guarded: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    event = ipse.Event(identifiers={"user_id": "ann"})
    with ipse.Client(guarded.address, token=SHOP.token) as client:
        found = client.resolve(event)
        assert client.get_profile(profile_id=found.profile_id).profile_id == found.profile_id
        with pytest.raises(ipse.PermissionDenied, match="not for this workspace"):
            client.resolve(event, workspace="default")
        with pytest.raises(ipse.PermissionDenied, match="another source"):
            client.resolve(ipse.Event(identifiers={"user_id": "ann"}, source="app"))
        with pytest.raises(ipse.PermissionDenied, match="needs the role admin"):
            client.stats()
    with ipse.Client(guarded.address) as client, pytest.raises(ipse.Unauthenticated):
        client.resolve(event)
    monkeypatch.setenv("IPSE_TOKEN", SHOP.token + "\n")
    with ipse.Client(guarded.address) as client:
        assert client.resolve(event).profile_id == found.profile_id
    with ipse.Client(guarded.address, token="") as client, pytest.raises(ipse.Unauthenticated):
        client.resolve(event)

    async def twin() -> None:
        async with ipse.aio.Client(guarded.address, token=SHOP.token) as client:
            await client.wait_until_ready()
            assert (await client.resolve(event)).profile_id == found.profile_id
        async with ipse.aio.Client(guarded.address, token="") as client:
            with pytest.raises(ipse.Unauthenticated):
                await client.resolve(event)

    asyncio.run(twin())


@pytest.mark.parametrize("address", ["10.0.0.1:4773", "example.com:4773", "[2001:db8::1]:4773"])
def test_a_token_does_not_travel_unencrypted_unasked(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ipse.ConfigError, match="unencrypted") as caught:
        ipse.Client(address, token=ADMIN.token)
    assert ADMIN.token not in str(caught.value)
    monkeypatch.setenv("IPSE_TOKEN", ADMIN.token)
    with pytest.raises(ipse.ConfigError, match="unencrypted"):
        ipse.Client(address)
    ipse.Client(address, tls=False).close()
    ipse.Client(address, token="").close()
    ipse.Client(address, tls=True).close()


@pytest.mark.parametrize("token", ["two words", "a\nb", "\N{SNOWMAN}", "a\0"])
def test_what_is_no_token_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(ipse.ConfigError) as caught:
        ipse.Client(token=token)
    assert token not in str(caught.value)


def test_commands_show_their_token(guarded: ServerProcess, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(ADMIN.token + "\n")
    events = tmp_path / "events.jsonl"
    events.write_text('{"type": "track", "event": "x", "userId": "bea"}\n')
    profiles = tmp_path / "profiles.jsonl"
    profiles.write_text('{"former_id": "f-1", "identifiers": {"user_id": ["bea"]}}\n')
    for words in (
        ["stats"],
        ["rules", "get"],
        ["load", str(events)],
        ["import", str(profiles)],
        ["profile", "get", "user_id=bea"],
        ["export", "id_map"],
        ["bench", "--seconds", "0.2", "--warmup", "0", "--concurrency", "2"],
        ["bench", "--seconds", "0.2", "--warmup", "0", "--concurrency", "2", "--mode", "batch"],
    ):
        command = [*words, "--address", guarded.address]
        refused = _ipse(command, cwd=tmp_path)
        assert refused.returncode == 1, words
        assert "UNAUTHENTICATED" in refused.stderr, (words, refused.stderr)
        shown = _ipse([*command, "--token-file", str(token_file)], cwd=tmp_path)
        assert shown.returncode == 0, (words, shown.stderr)
        inherited = _ipse(command, cwd=tmp_path, IPSE_TOKEN=ADMIN.token)
        assert inherited.returncode == 0, (words, inherited.stderr)
    missing = _ipse(["stats", "--token-file", str(tmp_path / "none")], cwd=tmp_path)
    assert missing.returncode == 2
    far = _ipse(["stats", "--address", "10.0.0.1:1"], cwd=tmp_path, IPSE_TOKEN=ADMIN.token)
    assert far.returncode == 2
    assert "--no-tls" in far.stderr


def test_tokens_come_and_go_while_it_serves(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    made = _ipse(["token", "create", "--name", "first", "--role", "read", "--tokens", str(path)])
    first = made.stdout.strip()
    with ServerProcess(tmp_path / "data", ["--tokens", str(path)]) as process:
        call = _caller(process, "/ipse.v1.IdentityService/ListProfiles")
        assert call(first) is grpc.StatusCode.OK
        made = _ipse(
            ["token", "create", "--name", "second", "--role", "read", "--json"],
            IPSE_TOKENS=str(path),
        )
        second = json.loads(made.stdout)["token"]
        until(lambda: call(second) is grpc.StatusCode.OK)
        assert call(first) is grpc.StatusCode.OK
        _ipse(["token", "revoke", "first", "--tokens", str(path)])
        until(lambda: call(first) is grpc.StatusCode.UNAUTHENTICATED)
        assert call(second) is grpc.StatusCode.OK
        good = path.read_text()
        for broken in ("[tokens.a]\nrole = 1\n", "\0\0\0", good + f"\n{second} = 1\n", "[tokens"):
            path.write_text(broken)
            until(told(process, "the old ones stay"))
            assert call(second) is grpc.StatusCode.OK
        path.unlink()
        until(lambda: "cannot be read" in process.log())
        assert call(second) is grpc.StatusCode.OK
        path.write_text("")
        until(lambda: call(second) is grpc.StatusCode.UNAUTHENTICATED)
        path.write_text(good)
        until(lambda: call(second) is grpc.StatusCode.OK)
        process.stop()
        log = process.log()
    assert first not in log
    assert second not in log


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "cannot be read"),
        ("[tokens.a]\nrole = 1\n", "tokens.a: sha256: must be"),
        ("[tokens.a\n", "line 1: is not TOML"),
        ("token = 1\n", "an unknown key"),
    ],
)
def test_a_server_does_not_start_with_tokens_that_it_cannot_read(
    tmp_path: Path, text: str | None, problem: str
) -> None:
    path = tmp_path / "tokens.toml"
    if text is not None:
        path.write_text(text)
    process = ServerProcess(tmp_path / "data", ["--tokens", str(path)])
    assert process.run_to_end() == servers.EXIT_OPEN_FAILED
    assert problem in process.log()
    assert str(path) in process.log()


def _call(process: ServerProcess, method: str, sent: bytes, metadata: _Metadata) -> bytes:
    assert process.channel is not None
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = process.channel.unary_unary(method)
    return call(sent, timeout=30, metadata=metadata)


def _failure(process: ServerProcess, method: str, sent: bytes, metadata: _Metadata) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        _call(process, method, sent, metadata)
    return caught.value


def _caller(process: ServerProcess, method: str) -> Callable[[str], grpc.StatusCode]:
    def call(token: str) -> grpc.StatusCode:
        try:
            _call(process, method, b"", (("authorization", f"Bearer {token}"),))
        except grpc.RpcError as failure:
            return failure.code()
        return grpc.StatusCode.OK

    return call


def _ipse(
    words: Sequence[str], cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ipse", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=cwd,
        env={**os.environ, **environment},
    )
