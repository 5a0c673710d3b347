"""The events of `ipse bench`: customers who begin as strangers and sign in sooner or later.

Seeded, so that two runs send the same events; made from templates, so that making them costs
little beside sending them. Knows nothing about servers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

# A customer is a stranger for this many events on average, signs in, and then comes back; at
# each return it is with a small chance on a new device, which a sign-in then ties to the rest.
_ANONYMOUS_EVENTS_MEAN = 3
_NEW_DEVICE_CHANCE = 0.02
_DEVICES_MAX = 5


class Customers:
    """A crowd of customers, each with its own past."""

    def __init__(self, people: int, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 -- repeatable, not secret
        # A server that had other events of this seed must not take these for them.
        self._prefix = f"s{seed}p{people}"
        self._people = people
        self._sent = 0
        # By customer: devices so far, and whether the newest has been signed in on.
        self._devices = [0] * people
        self._signed_in = [False] * people

    def events(self, count: int) -> list[bytes]:
        """The next events, as raw JSON."""
        return [self._event() for _ in range(count)]

    def __iter__(self) -> Iterator[bytes]:
        """Events without end."""
        while True:
            yield self._event()

    def _event(self) -> bytes:
        chance = self._random.random
        who = int(chance() * self._people)
        if not self._devices[who] or self._takes_a_new_device(who):
            self._devices[who] += 1
            self._signed_in[who] = False
        elif not self._signed_in[who] and chance() < 1 / _ANONYMOUS_EVENTS_MEAN:
            self._signed_in[who] = True
            return self._identify(who)
        return self._track(who)

    def _takes_a_new_device(self, who: int) -> bool:
        is_possible = self._signed_in[who] and self._devices[who] < _DEVICES_MAX
        return is_possible and self._random.random() < _NEW_DEVICE_CHANCE

    def _identify(self, who: int) -> bytes:
        return (
            f'{{{self._head("identify", who)},"userId":"{self._prefix}-u{who}",'
            f'"traits":{{"email":"{self._prefix}-u{who}@example.com"}}}}'
        ).encode()

    def _track(self, who: int) -> bytes:
        user = f',"userId":"{self._prefix}-u{who}"' if self._signed_in[who] else ""
        return (
            f'{{{self._head("track", who)},"event":"Product Viewed"{user},'
            f'"properties":{{"sku":"shoe-{who % 97}","price":79.9}}}}'
        ).encode()

    def _head(self, kind: str, who: int) -> str:
        self._sent += 1
        device = f"{self._prefix}-d{who}-{self._devices[who]}"
        return (
            f'"messageId":"{self._prefix}-{self._sent}","type":"{kind}",'
            f'"anonymousId":"{device}",'
            f'"context":{{"library":{{"name":"analytics.js","version":"2.1.0"}},'
            f'"page":{{"path":"/shoes/{who % 97}"}},"locale":"en-GB"}}'
        )
