"""How batches are sent: the method, the request's bytes, the answer's type.

Requests of raw events are written by hand, two bytes strings a line: building a message object for
each line costs several times more than what the server does with it. The layout is that of
protobuf and is held to the generated classes by a test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from ipse.v1 import identity_pb2


class Batch(Protocol):
    """What is sent in one call, and where the file stands behind it."""

    end_offset: int
    end_line: int

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to send: only lines that were refused here."""


BatchT = TypeVar("BatchT", bound=Batch)
ResponseT = TypeVar(
    "ResponseT", bound="identity_pb2.ResolveEventsResponse | identity_pb2.ImportProfilesResponse"
)


@dataclass(frozen=True, slots=True)
class Wire(Generic[BatchT, ResponseT]):
    """How a batch becomes a call."""

    method: str
    response: type[ResponseT]
    encode: Callable[[BatchT], bytes]
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
    name = workspace.encode()
    parts = [_WORKSPACE_TAG, _varint(len(name)), name] if name else []
    for event in events:
        parts.append(_header(len(event)))
        parts.append(event)
    return b"".join(parts)


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
