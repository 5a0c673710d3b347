"""Random customers of a shop: enough people to be real, few enough to meet and merge.

All from one seed. People share devices and sign in late, so that events create, attach,
merge and are refused, in every mixture.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
_PEOPLE = 400
_SHARED_DEVICES = 20


def raw_events(seed: int, count: int, prefix: str = "e") -> Iterator[dict[str, Any]]:
    """Segment-spec events with message ids `<prefix>-<number>`, a minute apart."""
    chance = random.Random(seed)
    for number in range(count):
        yield _event(chance, f"{prefix}-{number}", _EPOCH + timedelta(minutes=number))


def _event(chance: random.Random, message_id: str, time: datetime) -> dict[str, Any]:
    # A square favours the first people: some customers are seen very often.
    person = int(_PEOPLE * chance.random() ** 2)
    event: dict[str, Any] = {
        "messageId": message_id,
        "type": "track",
        "timestamp": time.isoformat().replace("+00:00", "Z"),
        "anonymousId": f"browser-{person}-{chance.randrange(4)}",
    }
    if chance.random() < 0.5:
        event["userId"] = f"user-{person}"
    if chance.random() < 0.4:
        event |= {"type": "identify", "traits": {"email": _email(chance, person)}}
    if chance.random() < 0.4:
        event["context"] = {"device": {"type": "ios", "id": _device(chance, person)}}
    return event


def _email(chance: random.Random, person: int) -> str:
    return f"person-{person}-{chance.randrange(2)}@example.com"


def _device(chance: random.Random, person: int) -> str:
    if chance.random() < 0.1:
        return f"kiosk-{chance.randrange(_SHARED_DEVICES)}"
    return f"phone-{person}-{chance.randrange(2)}"


def lines(seed: int, count: int) -> str:
    """The events as JSON lines."""
    return "".join(json.dumps(event) + "\n" for event in raw_events(seed, count))


def identifiers(event: dict[str, Any]) -> list[tuple[str, str]]:
    """The identifiers that an event of this story carries."""
    found = [("anonymous_id", event["anonymousId"])]
    if "userId" in event:
        found.append(("user_id", event["userId"]))
    if "traits" in event:
        found.append(("email", event["traits"]["email"]))
    if "context" in event:
        found.append(("ios.id", event["context"]["device"]["id"]))
    return found
