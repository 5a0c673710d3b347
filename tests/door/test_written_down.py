"""What the door writes down: a line for each call of an operator, and never a token or a person."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import ipse
import pytest

from tests.door.keys import Key, file_of
from tests.door.requests import METHODS, ROLES, request, short_field
from tests.server_process import ServerProcess

pytestmark = pytest.mark.usefixtures("transport")

ADMIN = Key("operator", "admin")
SHOP = Key("shop-operator", "admin", ("shop",))
WRITE = Key("shop-web", "write", source="web-of-the-shop")
STRANGER = Key("nobody", "admin")
KEYS = (ADMIN, SHOP, WRITE)

# How a header's value says a code, after its length: in letters, or in Huffman's code for them.
_CODES = {
    b"grpc-status\x0216": "16",
    b"grpc-status\x010": "0",
    b"\x82\x0b\x9f": "16",
    b"\x81\x07": "0",
}
# What must not be found in a log, wherever a caller puts it.
PERSON = "ann.somebody@example.com"
HIDDEN = (PERSON, "somebody", *(key.token for key in (*KEYS, STRANGER)), WRITE.source)


@contextmanager
def serving(tmp_path: Path, *flags: str, keys: tuple[Key, ...] = KEYS) -> Iterator[ServerProcess]:
    path = tmp_path / "tokens.toml"
    path.write_text(file_of(*keys))
    words = ["--tokens", str(path)] if keys else []
    with ServerProcess(tmp_path / "data", [*words, *flags]) as process:
        yield process


def test_each_call_of_an_operator_is_one_line(tmp_path: Path) -> None:
    # An audit is not a question of how talkative a server is.
    with serving(tmp_path, "--log-level", "error", "--log-format", "json") as process:
        calls: list[tuple[Key, str, bytes, str | None, str]] = [
            (ADMIN, "CreateWorkspace", _admin("CreateWorkspace", name="shop"), "shop", "OK"),
            (ADMIN, "CreateWorkspace", _admin("CreateWorkspace", name="shop"), "shop", "ALREADY"),
            (ADMIN, "CreateWorkspace", _admin("CreateWorkspace", name=PERSON), None, "INVALID"),
            (SHOP, "GetRules", _admin("GetRules"), "shop", "OK"),
            (SHOP, "SetRules", _admin("SetRules", workspace="other"), "other", "PERMISSION"),
            (ADMIN, "SetRules", _admin("SetRules"), "default", "OK"),
            (ADMIN, "SetRules", _admin("SetRules", rules_toml=PERSON), "default", "INVALID"),
            (ADMIN, "GetWorkspace", _admin("GetWorkspace", name="none"), "none", "NOT_FOUND"),
            (ADMIN, "ValidateRules", _admin("ValidateRules", rules_toml=PERSON), None, "OK"),
            (ADMIN, "Checkpoint", b"", None, "OK"),
            (ADMIN, "Checkpoint", b"\xff", None, "INVALID"),
            (ADMIN, "GetStats", b"", None, "OK"),
            (ADMIN, "ListWorkspaces", PERSON.encode(), None, "INVALID"),
            (SHOP, "GetStats", b"", None, "PERMISSION"),
            (WRITE, "GetStats", b"", None, "PERMISSION"),
            (STRANGER, "GetStats", b"", None, "UNAUTHENTICATED"),
            (STRANGER, "Checkpoint", b"", None, "UNAUTHENTICATED"),
            (STRANGER, "SetRules", _admin("SetRules"), "default", "UNAUTHENTICATED"),
        ]
        for key, name, sent, _, _ in calls:
            _call(process, f"/ipse.v1.AdminService/{name}", sent, key)
        _call(process, "/ipse.v1.IdentityService/ResolveEvent", b"", WRITE)
        process.stop()
        lines = _audited(process)
    assert len(lines) == len(calls)
    for line, (key, name, _, workspace, outcome) in zip(lines, calls, strict=True):
        assert line["method"] == f"/ipse.v1.AdminService/{name}"
        assert line["token"] == (None if key is STRANGER else key.name)
        assert line["workspace"] == workspace
        assert line["outcome"].startswith(outcome), line
        assert line["peer"].startswith("ipv4:127.0.0.1:")
        assert set(line) == {
            *("ts", "level", "event", "logger"),
            *("method", "token", "workspace", "outcome", "peer"),
        }
    assert not any(word in process.log() for word in HIDDEN)


def test_every_method_of_operators_is_audited_and_no_other(tmp_path: Path) -> None:
    with serving(tmp_path, "--log-format", "json") as process:
        for method in METHODS:
            _call(process, method, request(method), ADMIN)
        process.stop()
        audited = [line["method"] for line in _audited(process)]
    assert audited == [name for name in METHODS if ROLES[METHODS[name].name] == "admin"]


def test_operators_are_audited_where_nobody_has_a_token(tmp_path: Path) -> None:
    with serving(tmp_path, "--log-format", "json", keys=()) as process:
        with ipse.Client(process.address, token=STRANGER.token) as client:
            client.stats()
        process.stop()
        (line,) = _audited(process)
    assert (line["token"], line["outcome"]) == (None, "OK")
    assert STRANGER.token not in process.log()


@pytest.mark.parametrize("log_format", ["json", "human"])
def test_no_token_and_no_person_is_ever_in_a_log(tmp_path: Path, log_format: str) -> None:
    flags = ("--log-level", "debug", "--log-format", log_format)
    with serving(tmp_path, *flags) as process:
        for method in METHODS:
            for sent in _hostile(method):
                for key in (*KEYS, STRANGER):
                    _call(process, method, sent, key)
        for metadata in (
            (("authorization", PERSON),),
            (("authorization", f"Bearer {PERSON}"), *ADMIN.metadata),
            (("authorization-bin", ADMIN.bearer),),
            (("authorization", f"Bearer {ADMIN.token}" + "a" * 30_000),),
            (("x-person", PERSON), ("user-agent", PERSON)),
        ):
            _send(process, "/ipse.v1.AdminService/GetStats", b"", metadata)
            _send(process, f"/ipse.v1.IdentityService/{PERSON}", b"", metadata)
            _send(process, f"/{PERSON}/{ADMIN.token}", b"", metadata)
        for key in (ADMIN, STRANGER):
            # No client would send that, so that gRPC quotes it when it meets it.
            assert _sent_raw(process, key.bearer + b"\xff") == "16"
        assert _sent_raw(process, ADMIN.bearer) == "0"
        assert "serving" in process.log()
        process.stop()
        log = process.log()
    found = [word for word in HIDDEN if word in log]
    assert not found, log[-4_000:]


def _hostile(method: str) -> Iterator[bytes]:
    """A person in each place of a request that takes text, and in bytes that are no request."""
    yield request(method)
    yield PERSON.encode()
    yield b"\xff" + PERSON.encode()
    for field in METHODS[method].input_type.fields:
        if field.type in (field.TYPE_STRING, field.TYPE_BYTES, field.TYPE_MESSAGE):
            yield request(method) + short_field(field.number, PERSON.encode())
    if "Event" in method:
        yield request(method).replace(b"ann@example.com", PERSON.encode()[:15])
        raw = json.dumps({"userId": PERSON, "email": [PERSON], "type": {"a": PERSON}}).encode()
        yield short_field(2, short_field(9, raw))


def _admin(method: str, **fields: object) -> bytes:
    return request(f"/ipse.v1.AdminService/{method}", **fields)


def _call(process: ServerProcess, method: str, sent: bytes, key: Key) -> None:
    _send(process, method, sent, key.metadata)


def _send(process: ServerProcess, method: str, sent: bytes, metadata: Any) -> None:
    """Make a call; how it ends is in the log, or is not."""
    assert process.channel is not None
    described = METHODS.get(method)
    try:
        if described is not None and described.server_streaming:
            stream: Any = process.channel.unary_stream(method)
            answers = stream(sent, timeout=30, metadata=metadata)
            next(answers)
            answers.cancel()
            return
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = process.channel.unary_unary(method)
        call(sent, timeout=30, metadata=metadata)
    except grpc.RpcError as failure:
        assert failure.code() is not grpc.StatusCode.INTERNAL, failure  # noqa: PT017


def _sent_raw(process: ServerProcess, authorization: bytes) -> str:
    """Ask for the figures in frames of HTTP/2 that are written by hand; the status's code."""
    headers = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": b"/ipse.v1.AdminService/GetStats",
        b":authority": b"ipse",
        b"te": b"trailers",
        b"content-type": b"application/grpc",
        b"authorization": authorization,
    }
    # Each header is a literal: a zero, then name and value, each after its length.
    block = b"".join(
        bytes([0, len(name)]) + name + bytes([len(value)]) + value
        for name, value in headers.items()
    )
    ended, whole = 1, 4
    frames = (
        _frame(4, 0, 0, b""),  # SETTINGS
        _frame(1, whole, 1, block),  # HEADERS
        _frame(0, ended, 1, bytes(5)),  # DATA: an empty message
    )
    answer = b""
    with socket.create_connection(("127.0.0.1", process.port), timeout=10) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"".join(frames))
        while not (codes := [code for form, code in _CODES.items() if form in answer]):
            received = connection.recv(65_536)
            assert received, answer
            answer += received
    return codes[0]


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    length = len(payload).to_bytes(3, "big")
    return length + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _audited(process: ServerProcess) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in process.log().splitlines())
    return [line for line in lines if line.get("logger") == "ipse.audit"]
