"""The records in a segment's frames, as mappings by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ipse.wal.files import Damage, unpacked
from ipse.wal.segment import Frame, Segment

_RULES: Final = (
    "", "unknown_namespace", "invalid_value", "blocked_value", "value_limit",
    "value_time_limit", "merge_limit", "identifier_limit",
)  # fmt: skip
_TARGETS: Final = ("unresolved", "created", "found", "merged")
_VERDICTS: Final = ("attached", "already_attached", "dropped", "refused")
_RECORD_FIELDS: Final = {
    1: ("workspace_created", ("name", "profile_key", "rules")),
    2: ("rules_set", ("version", "rules")),
    3: (
        "event_resolved",
        (
            "event_id", "digest", "kind", "source", "timestamp_ms", "rules_version",
            "named_profile", "key_namespace", "target", "identifiers", "traits",
        ),
    ),
}  # fmt: skip


def records(segment: Segment) -> Iterator[dict[str, Any]]:
    """The records of a segment's sound frames, by name, with their log positions.

    Raises Damage if a frame whose checksum is right does not hold records: a bug, not a fault.
    """
    for frame in segment.frames:
        yield from _records_of(frame)


def _records_of(frame: Frame) -> Iterator[dict[str, Any]]:
    arrays = unpacked(frame.payload, frame.offset)
    if len(arrays) != frame.record_count:
        raise Damage(
            frame.offset + 20, f"holds {len(arrays)} records and says {frame.record_count}"
        )
    for position, array in enumerate(arrays, start=frame.first_position):
        yield {"log_position": position, "frame_offset": frame.offset} | _named_record(
            array, frame.offset
        )


def _named_record(array: Any, offset: int) -> dict[str, Any]:
    try:
        workspace, sequence, log_time_ms, tag, *values = array
        change, names = _RECORD_FIELDS[tag]
        record = dict(zip(names, values, strict=True))
        if change == "event_resolved":
            record["target"] = named_target(record["target"])
            record["identifiers"] = [_identifier(*each) for each in record["identifiers"]]
            record["traits"] = {name: named_trait(value) for name, value in record["traits"]}
    except (TypeError, ValueError, KeyError, IndexError) as wrong:
        raise Damage(offset, f"a record that is none: {wrong!r}") from None
    head = {"workspace": workspace, "sequence": sequence, "log_time_ms": log_time_ms}
    return head | {"change": change} | record


def named_target(array: Sequence[Any]) -> dict[str, Any]:
    """The decision, and the profiles that it names."""
    kind = _TARGETS[array[0]]
    names = {"unresolved": (), "merged": ("profile", "absorbed")}.get(kind, ("profile",))
    return {"decision": kind} | dict(zip(names, array[1:], strict=True))


def _identifier(namespace: str, value: str, raw: str | None, verdict: Any) -> dict[str, Any]:
    named = {"namespace": namespace, "value": value}
    if raw is not None:
        named["raw"] = raw
    return named | named_verdict(verdict)


def named_verdict(verdict: Any) -> dict[str, Any]:
    """The verdict on an identifier, and the rule behind it."""
    if isinstance(verdict, int):
        return {"verdict": _VERDICTS[:2][verdict]}
    number, rule, limit, collided = verdict
    named: dict[str, Any] = {"verdict": _VERDICTS[number], "rule": _RULES[rule]}
    if limit is not None:
        named["limit_namespace"], named["limit"] = limit
    if collided is not None:
        named["collided"] = collided
    return named


def named_trait(value: Any) -> Any:
    """JSON text stands as `{"json": text}`, so that it is not taken for plain text."""
    return {"json": value[0]} if isinstance(value, list) else value
