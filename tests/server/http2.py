"""A client that speaks just enough HTTP/2 to behave badly, which a real one would not.

Literal headers only, no state: whoever wants answers uses a real client.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from types import TracebackType
from typing import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS = 1, 4
CANCEL = 8
FRAME_BYTES_MAX = 16_384
INITIAL_WINDOW_SIZE = 4


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def message(payload: bytes, *, compressed: bool = False) -> bytes:
    """A message as gRPC frames it."""
    return struct.pack(">BI", compressed, len(payload)) + payload


def headers(method: str, **more: str) -> bytes:
    """The header block of a call."""
    pairs = {
        ":method": "POST",
        ":scheme": "http",
        ":path": method,
        ":authority": "test",
        "content-type": "application/grpc",
        "te": "trailers",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in pairs.items())


class BadClient:
    """One connection."""

    def __init__(self, port: int, *, window_bytes: int | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._unread = b""
        settings = b""
        if window_bytes is not None:
            settings = struct.pack(">HI", INITIAL_WINDOW_SIZE, window_bytes)
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def send_message(self, stream: int, body: bytes) -> None:
        """Send what is larger than a frame, as fast as the server lets it."""
        self.socket.settimeout(0.05)
        window = 65_535
        for at in range(0, len(body), FRAME_BYTES_MAX):
            part = body[at : at + FRAME_BYTES_MAX]
            while window < len(part):
                window += self._granted()
            window -= len(part)
            last = at + FRAME_BYTES_MAX >= len(body)
            self.send(frame(DATA, END_STREAM if last else 0, stream, part))

    def _granted(self) -> int:
        """Read what the server sends; what it grants of the connection's window."""
        with contextlib.suppress(TimeoutError):
            part = self.socket.recv(65_536)
            if not part:
                raise ConnectionResetError
            self._unread += part
        granted = 0
        while len(self._unread) >= 9:
            length = int.from_bytes(self._unread[:3])
            if len(self._unread) < 9 + length:
                break
            kind, stream = self._unread[3], int.from_bytes(self._unread[5:9])
            if kind == WINDOW_UPDATE and stream == 0:
                granted += int.from_bytes(self._unread[9:13])
            if kind in {RST_STREAM, GOAWAY}:
                raise ConnectionResetError
            self._unread = self._unread[9 + length :]
        return granted

    def call(self, stream: int, method: str, payload: bytes, **more: str) -> None:
        """Ask, and do not wait for the answer."""
        body = message(payload)
        self.send(
            frame(HEADERS, END_HEADERS, stream, headers(method, **more))
            + frame(DATA, END_STREAM, stream, body)
        )

    def close(self) -> None:
        """Go away."""
        with contextlib.suppress(OSError):
            self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _text(text: str) -> bytes:
    raw = text.encode()
    assert len(raw) < 127, "one byte of length"
    return bytes([len(raw)]) + raw
