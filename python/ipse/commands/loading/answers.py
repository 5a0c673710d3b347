"""What a batch of events was answered: sums, and of the refused ones each with its place."""

from __future__ import annotations

from typing import NamedTuple


class Answers(NamedTuple):
    """The results of a `ResolveEventsResponse`."""

    payload: bytes
    # How many events it is about.
    events: int
    # By number of ipse.v1.Decision.
    decisions: list[int]
    # Recorded before.
    repeated: int
    # Identifiers that were dropped or refused, by number of ipse.v1.Rule.
    kept_out: dict[int, int]
    # (path, reason) of what was not read, by how many events had it.
    ignored: dict[tuple[str, str], int]
    # (place in the batch, reason, message, field) of the events that were refused.
    errors: list[tuple[int, str, str, str]]

    @classmethod
    def read(cls, payload: bytes) -> Answers:
        """Reads the message. ValueError: it is none."""
        # Help is not to wait for the engine to load.
        from ipse import _native

        return cls(payload, *_native.count_answers(payload))

    def refusals(self) -> list[tuple[str, str]]:
        """Reason and message of each event that was refused."""
        return [(reason, message) for _, reason, message, _ in self.errors]
