"""What goes in: events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ipse.model.values import Identifier, TraitValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened, and the identifiers that it showed together.

    `identifiers` is `{"email": "ann@example.com", "phone": ["+4912", "+4913"]}` or a list of
    (namespace, value) pairs; whole numbers become decimal text. For an event as an SDK sends it
    use `from_json`. Bounds are those of `ipse.v1.Event`; the engine checks them.
    """

    identifiers: Mapping[str, object] | Iterable[tuple[str, str | int] | Identifier] = ()
    """Of a mapping the values are text, whole numbers, or lists of these."""
    traits: Mapping[str, TraitValue | None] = field(default_factory=dict)
    """By name; None removes one."""
    traits_once: Mapping[str, TraitValue] = field(default_factory=dict)
    """By name: taken only where the profile has no value yet. A name stands here or in `traits`."""
    event_id: str = ""
    """An id that comes again gets the recorded answer. Empty: not checked."""
    type: str = ""
    """What happened, for example `track`."""
    timestamp: datetime | None = None
    """When it happened, with a time zone. None: when the engine receives it."""
    source: str = ""
    """The app or feed that sent it."""
    profile_id: str = ""
    """The profile that the caller knows it belongs to: stronger than every identifier."""
    key_namespace: str = ""
    """The namespace that ranks first on this event."""
    raw_json: bytes = b""
    """The event as an SDK sends it, instead of `identifiers` and `traits`."""

    @classmethod
    def from_json(
        cls,
        raw: Mapping[str, Any] | str | bytes,
        *,
        event_id: str = "",
        type: str = "",  # noqa: A002 -- the field's name on the wire and in Segment's spec
        timestamp: datetime | None = None,
        source: str = "",
        profile_id: str = "",
        key_namespace: str = "",
    ) -> Event:
        """Take a raw event of the Segment spec: an object, or its JSON text.

        The workspace's mapping finds identifiers and traits in it. `event_id`, `type` and
        `timestamp` come from its `messageId`, `type` and `timestamp` unless they are given here.
        """
        return cls(
            raw_json=_json_bytes(raw),
            event_id=event_id,
            type=type,
            timestamp=timestamp,
            source=source,
            profile_id=profile_id,
            key_namespace=key_namespace,
        )


def _json_bytes(raw: Mapping[str, Any] | str | bytes) -> bytes:
    if isinstance(raw, bytes):
        return raw
    text = raw if isinstance(raw, str) else json.dumps(dict(raw), ensure_ascii=False)
    # Half a surrogate pair goes through as it is: the engine refuses it by name.
    return text.encode(errors="surrogatepass")
