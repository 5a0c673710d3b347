"""Writes `ResolveEventsRequest` of raw events by hand: two bytes strings a line.

Building a message object for each line costs several times more than what the server does with
it. The layout is that of protobuf and is held to the generated classes by a test.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

_WORKSPACE_TAG = b"\x0a"  # ResolveEventsRequest.workspace: field 1, length-delimited
_EVENTS_TAG = b"\x12"  # ResolveEventsRequest.events: field 2, length-delimited
_RAW_JSON_TAG = b"\x4a"  # Event.raw_json: field 9, length-delimited


def encode_raw_events(workspace: str, events: Iterable[bytes]) -> bytes:
    """A `ResolveEventsRequest` with an `Event` for each raw event."""
    name = workspace.encode()
    parts = [_WORKSPACE_TAG, _varint(len(name)), name] if name else []
    for event in events:
        parts.append(_header(len(event)))
        parts.append(event)
    return b"".join(parts)


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
