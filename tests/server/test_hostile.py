"""What clients can do to a server that means no good to it, or do not know better.

Each case ends alike: the server lives, has not grown beyond what it may, and answers others.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import ipse
import pytest
from ipse import Event
from ipse.v1 import event_pb2, identity_pb2

from tests.server import http2
from tests.server_process import ServerProcess

SECONDS_MAX = 60.0
RESOLVE = "/ipse.v1.IdentityService/ResolveEvent"
RESOLVE_MANY = "/ipse.v1.IdentityService/ResolveEvents"
GET = "/ipse.v1.IdentityService/GetProfile"
MIB = 1024 * 1024
HELD_BYTES_MAX = 8 * MIB


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, transport: str) -> Iterator[ServerProcess]:
    flags = ["--held-bytes-max", str(HELD_BYTES_MAX)]
    data_dir = tmp_path_factory.mktemp("hostile") / "data"
    with ServerProcess(data_dir, flags, transport=transport) as process:
        yield process


@pytest.fixture(autouse=True)
def survives(server: ServerProcess) -> Iterator[None]:
    """After each case: it lives, answers, keeps nobody's bytes, and says nothing of a bug."""
    yield
    with ipse.Client(server.address, timeout_s=SECONDS_MAX) as client:
        answer = client.resolve(Event(identifiers={"user_id": "survivor"}))
        assert answer.profile_id
    assert server.process is not None
    assert server.process.poll() is None
    log = server.log()
    assert "Traceback" not in log, log[-4_000:]
    assert '"a bug"' not in log, log[-4_000:]


def memory_kib(server: ServerProcess, field: str = "VmRSS") -> int:
    """What the process holds, or `VmHWM`: what it has ever held."""
    assert server.process is not None
    text = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    return int(text.split(f"{field}:")[1].split()[0])


def forget_peak(server: ServerProcess) -> None:
    """Let `VmHWM` begin again."""
    assert server.process is not None
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5", encoding="ascii")


def call(
    server: ServerProcess, method: str, request: bytes, **options: Any
) -> tuple[grpc.StatusCode, str]:
    """What a call comes to."""
    assert server.channel is not None
    send: Any = server.channel.unary_unary(method)
    try:
        send(request, timeout=SECONDS_MAX, **options)
    except grpc.RpcError as failure:
        return failure.code(), failure.details() or ""
    return grpc.StatusCode.OK, ""


def event_of(*identifiers: tuple[str, str]) -> event_pb2.Event:
    return event_pb2.Event(
        identifiers=[
            event_pb2.Identifier(namespace=namespace, value=value)
            for namespace, value in identifiers
        ]
    )


def test_ten_thousand_identifiers_in_an_event_are_refused_by_name(server: ServerProcess) -> None:
    event = event_of(*(("user_id", f"u{number}") for number in range(10_000)))
    request = identity_pb2.ResolveEventRequest(event=event)
    code, text = call(server, RESOLVE, request.SerializeToString())
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "10000 identifiers" in text


@pytest.mark.parametrize("where", ["identifier", "namespace", "event_id", "raw_json"])
def test_a_value_of_a_megabyte_is_refused_by_name(server: ServerProcess, where: str) -> None:
    long = "x" * MIB
    event = {
        "identifier": event_of(("user_id", long)),
        "namespace": event_of((long, "u")),
        "event_id": event_pb2.Event(event_id=long),
        "raw_json": event_pb2.Event(raw_json=b'{"userId":"' + long.encode() + b'"}'),
    }[where]
    request = identity_pb2.ResolveEventRequest(event=event)
    code, text = call(server, RESOLVE, request.SerializeToString())
    assert code in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OK}
    assert len(text) < 2_000, "what was sent does not come back"
    if code is grpc.StatusCode.OK:
        # A value that is too long is dropped from its event, which says so.
        assert where == "identifier"


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"traits":[['])
def test_json_as_deep_as_it_is_long_is_refused(server: ServerProcess, opening: bytes) -> None:
    deep = opening * (60_000 // len(opening))
    request = identity_pb2.ResolveEventRequest(event=event_pb2.Event(raw_json=deep))
    code, _ = call(server, RESOLVE, request.SerializeToString())
    assert code is grpc.StatusCode.INVALID_ARGUMENT


def test_groups_nested_without_end_are_refused(server: ServerProcess) -> None:
    """Of protobuf: a start-group tag is a byte, and a decoder that recurses has a stack."""
    code, _ = call(server, RESOLVE, b"\x7b" * MIB)
    assert code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("size", [16 * MIB + 1, 33 * MIB])
def test_a_message_that_is_too_large_is_refused_and_not_kept(
    server: ServerProcess, size: int
) -> None:
    before = memory_kib(server)
    for _ in range(24):
        code, _ = call(server, RESOLVE_MANY, bytes(size))
        assert code in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED}
    # A few of them may be on their way at once, and the allocator keeps some.
    assert memory_kib(server) < before + 256 * 1024


def test_a_length_that_is_only_claimed_reserves_nothing(server: ServerProcess) -> None:
    before = memory_kib(server)
    clients = [http2.BadClient(server.port) for _ in range(50)]
    for client in clients:
        for stream in range(1, 41, 2):
            client.send(
                http2.frame(http2.HEADERS, http2.END_HEADERS, stream, http2.headers(RESOLVE))
                + http2.frame(http2.DATA, 0, stream, struct.pack(">BI", 0, 30 * MIB) + b"x")
            )
    time.sleep(0.5)
    grown = memory_kib(server) - before
    for client in clients:
        client.close()
    assert grown < 256 * 1024, f"{grown} KiB for 1,000 claims of 30 MiB"


def test_a_compression_bomb_is_not_inflated(server: ServerProcess) -> None:
    """256 MiB of nothing is a quarter of a MiB with gzip."""
    packer = zlib.compressobj(level=1, wbits=31)
    bomb = b"".join(packer.compress(bytes(MIB)) for _ in range(256)) + packer.flush()
    assert len(bomb) < 2 * MIB
    before = memory_kib(server)
    forget_peak(server)
    with http2.BadClient(server.port) as client, contextlib.suppress(OSError):
        head = http2.headers(RESOLVE_MANY, grpc_encoding="gzip")
        client.send(http2.frame(http2.HEADERS, http2.END_HEADERS, 1, head))
        client.send_message(1, http2.message(bomb, compressed=True))
    grown = memory_kib(server, "VmHWM") - before
    assert grown < 96 * 1024, f"it took {grown} KiB"


def test_a_compression_bomb_of_a_real_client_is_refused(server: ServerProcess) -> None:
    before = memory_kib(server)
    forget_peak(server)
    code, _ = call(server, RESOLVE_MANY, bytes(256 * MIB), compression=grpc.Compression.Gzip)
    # gRPC's own refusal, or ours by name.
    assert code in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT}
    grown = memory_kib(server, "VmHWM") - before
    assert grown < 96 * 1024, f"it took {grown} KiB"


def test_a_compressed_message_of_good_size_is_taken_or_refused_by_name(
    server: ServerProcess,
) -> None:
    request = identity_pb2.ResolveEventRequest(event=event_of(("user_id", "zipped")))
    code, _ = call(server, RESOLVE, request.SerializeToString(), compression=grpc.Compression.Gzip)
    assert code in {grpc.StatusCode.OK, grpc.StatusCode.UNIMPLEMENTED}


def test_headers_without_end_are_cut_off(server: ServerProcess) -> None:
    before = memory_kib(server)
    with http2.BadClient(server.port) as client, contextlib.suppress(OSError):
        client.send(http2.frame(http2.HEADERS, 0, 1, http2.headers(RESOLVE)))
        for _ in range(4_000):
            more = b"".join(b"\x00\x05x-abc\x64" + b"v" * 100 for _ in range(100))
            client.send(http2.frame(9, 0, 1, more))
    assert memory_kib(server) < before + 64 * 1024


def test_clients_that_send_a_byte_at_a_time_keep_nobody_waiting(server: ServerProcess) -> None:
    request = identity_pb2.ResolveEventRequest(event=event_of(("user_id", "slow")))
    body = http2.message(request.SerializeToString())
    clients = [http2.BadClient(server.port) for _ in range(100)]
    for client in clients:
        head = http2.headers(RESOLVE)
        client.send(http2.frame(http2.HEADERS, http2.END_HEADERS, 1, head))
    with ipse.Client(server.address, timeout_s=SECONDS_MAX) as good:
        for byte in body[:10]:
            for client in clients:
                client.send(http2.frame(http2.DATA, 0, 1, bytes([byte])))
            assert good.resolve(Event(identifiers={"user_id": "quick"})).profile_id
    for client in clients:
        client.close()


def test_clients_that_never_read_are_counted_and_others_told_to_wait(
    server: ServerProcess,
) -> None:
    """Answers that nobody takes stay in memory: there is a bound on them."""
    with ipse.Client(server.address, timeout_s=SECONDS_MAX) as good:
        for number in range(10):
            traits = {f"text_{number}_{at}": "x" * 1_000 for at in range(12)}
            good.resolve(Event(identifiers={"user_id": "wide"}, traits=traits))
        lookup = identity_pb2.ProfileLookup(
            identifier=event_pb2.Identifier(namespace="user_id", value="wide")
        )
        request = identity_pb2.GetProfileRequest(lookup=lookup).SerializeToString()
        before = memory_kib(server)
        deaf = http2.BadClient(server.port, window_bytes=0)
        for number in range(300):
            deaf.call(2 * number + 1, GET, request)
        impatient = ipse.Client(server.address, timeout_s=0.3)
        with impatient:
            deadline = time.monotonic() + SECONDS_MAX
            refusal: ipse.IpseError | None = None
            while refusal is None and time.monotonic() < deadline:
                try:
                    impatient.get_profile(identifier=("user_id", "wide"))
                    time.sleep(0.01)
                except ipse.ResourceExhausted as error:
                    refusal = error
                except ipse.DeadlineExceeded:
                    continue
        assert refusal is not None, "300 answers of 120 KB were made for one who reads none"
        assert refusal.reason == "OVERLOADED"
        assert refusal.retry_delay_s is not None
        assert good.resolve(Event(identifiers={"user_id": "quick"})).profile_id
        assert memory_kib(server) < before + 4 * HELD_BYTES_MAX // 1024 + 64 * 1024
        deaf.close()
        # When they are gone there is room again, and the client's own delays get it in.
        assert good.get_profile(identifier=("user_id", "wide")).known


def test_streams_cancelled_as_soon_as_they_are_opened_keep_nobody_waiting(
    server: ServerProcess,
) -> None:
    request = identity_pb2.ResolveEventRequest(event=event_of(("user_id", "cancelled")))
    body = http2.message(request.SerializeToString())
    reset = struct.pack(">I", http2.CANCEL)
    before = memory_kib(server)
    for _ in range(10):
        with http2.BadClient(server.port) as client, contextlib.suppress(OSError):
            for number in range(1_000):
                stream = 2 * number + 1
                client.send(
                    http2.frame(http2.HEADERS, http2.END_HEADERS, stream, http2.headers(RESOLVE))
                    + http2.frame(http2.DATA, http2.END_STREAM, stream, body)
                    + http2.frame(http2.RST_STREAM, 0, stream, reset)
                )
    assert memory_kib(server) < before + 128 * 1024


def test_a_flood_of_pings_and_settings_is_ended(server: ServerProcess) -> None:
    with http2.BadClient(server.port) as client, contextlib.suppress(OSError):
        for _ in range(200):
            client.send(http2.frame(http2.PING, 0, 0, bytes(8)) * 100)
            client.send(http2.frame(http2.SETTINGS, 0, 0) * 100)


def test_bytes_that_are_no_http2_at_all_end_only_their_connection(server: ServerProcess) -> None:
    for junk in (b"GET / HTTP/1.1\r\n\r\n", bytes(10_000), b"\xff" * 10_000, http2.PREFACE * 100):
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection,
            contextlib.suppress(OSError),
        ):
            connection.sendall(junk)
            read_for(connection, 0.2)


def test_calls_cancelled_while_they_wait_for_the_disk_leave_nothing_behind(
    server: ServerProcess,
) -> None:
    async def play() -> None:
        async with ipse.aio.Client(server.address, timeout_s=SECONDS_MAX) as client:
            for turn in range(20):
                calls = [
                    asyncio.create_task(
                        client.resolve(Event(identifiers={"user_id": f"c{turn}-{number}"}))
                    )
                    for number in range(100)
                ]
                await asyncio.sleep(0.002 * (turn % 5))
                for started in calls:
                    started.cancel()
                await asyncio.gather(*calls, return_exceptions=True)

    asyncio.run(play())


def test_ten_thousand_connections_are_borne(server: ServerProcess) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 10_000
    if hard != resource.RLIM_INFINITY and hard < wanted + 500:
        pytest.skip(f"this system lets a process have {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted + 500), hard))
    before = memory_kib(server)
    connections: list[socket.socket] = []
    try:
        for _ in range(wanted):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
            connections.append(connection)
            connection.sendall(http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0))
        with ipse.Client(server.address, timeout_s=SECONDS_MAX) as client:
            assert client.resolve(Event(identifiers={"user_id": "one of many"})).profile_id
        each_kib = (memory_kib(server) - before) / wanted
        assert each_kib < 100, f"{each_kib:.0f} KiB for each"
    finally:
        for connection in connections:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def read_for(connection: socket.socket, seconds: float) -> bytes:
    """What comes within a time, until the peer ends."""
    found = b""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            part = connection.recv(65_536)
        except OSError:
            break
        if not part:
            break
        found += part
    return found
