"""How batches are sent: the method, the request's bytes, how an answer is read.

Requests of raw events are written by hand, two bytes strings an event: building a message object
for each costs several times more than what the server does with it. The layout is that of
protobuf and is held to the generated classes by a test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Generic, Protocol, TypeVar


class Batch(Protocol):
    """What is sent in one call, and where the file stands behind it."""

    end_offset: int
    end_line: int

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to send: only lines that were refused here."""


BatchT = TypeVar("BatchT", bound=Batch)
ResponseT = TypeVar("ResponseT")


@dataclass(frozen=True, slots=True)
class Wire(Generic[BatchT, ResponseT]):
    """How a batch becomes a call."""

    method: str
    encode: Callable[[BatchT], bytes]
    parse: Callable[[bytes], ResponseT]
    # Reason and message of each item that was refused.
    refusals: Callable[[ResponseT], Iterable[tuple[str, str]]]
    # For messages: `events`.
    items: str


_WORKSPACE_TAG = b"\x0a"  # ResolveEventsRequest.workspace: field 1, length-delimited
_EVENTS_TAG = b"\x12"  # ResolveEventsRequest.events: field 2, length-delimited
_PROFILES_TAG = b"\x12"  # ImportProfilesRequest.profiles: field 2, length-delimited
_SOURCE_TAG = b"\x1a"  # ImportProfilesRequest.source: field 3, length-delimited
_READ_ONLY = b"\x20\x01"  # ImportProfilesRequest.read_only: field 4, true
_RAW_JSON_TAG = b"\x4a"  # Event.raw_json: field 9, length-delimited


def encode_raw_events(workspace: str, events: Iterable[bytes]) -> bytes:
    """A `ResolveEventsRequest` with an `Event` for each raw event."""
    parts = [encode_workspace(workspace)]
    for event in events:
        parts.append(_header(len(event)))
        parts.append(event)
    return b"".join(parts)


def decode_raw_events(parts: Iterable[bytes]) -> list[bytes]:
    """The raw events of a `ResolveEventsRequest`, which may be in parts."""
    from ipse.v1 import identity_pb2

    request = identity_pb2.ResolveEventsRequest.FromString(b"".join(parts))
    return [event.raw_json for event in request.events]


def encode_workspace(name: str) -> bytes:
    """The part of a request that names a workspace; an empty name needs none."""
    return _field(_WORKSPACE_TAG, name.encode()) if name else b""


def encode_import(
    workspace: str, profiles: Iterable[bytes], source: str, *, read_only: bool
) -> bytes:
    """An `ImportProfilesRequest` with these `ImportedProfile`s."""
    parts = [_field(_WORKSPACE_TAG, workspace.encode())]
    parts += (_field(_PROFILES_TAG, profile) for profile in profiles)
    parts.append(_field(_SOURCE_TAG, source.encode()))
    parts.append(_READ_ONLY if read_only else b"")
    return b"".join(parts)


def _field(tag: bytes, value: bytes) -> bytes:
    return tag + _varint(len(value)) + value


@cache
def _header(size_bytes: int) -> bytes:
    """What stands before a raw event of this size. At most as many as sizes: 65,536."""
    inner = _RAW_JSON_TAG + _varint(size_bytes)
    return _EVENTS_TAG + _varint(len(inner) + size_bytes) + inner


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
