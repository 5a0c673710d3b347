"""The records in a segment's frames, as mappings by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ipse.wal.files import Damage, unpacked
from ipse.wal.segment import Frame, Segment

_RULES: Final = dict(enumerate((
    "unknown_namespace", "invalid_value", "blocked_value", "value_limit",
    "value_time_limit", "merge_limit", "identifier_limit", "immutable", "held_elsewhere",
    "exclusive_owner", "known_source", "source_shape", "source_used", "no_target", "pair_limit",
    "moved_limit", "holder_limit", "ambiguous_event", "displaced", "denied_link", "not_attached",
    "attribution_overlap", "attribution_chain", "attribution_off",
    "suppressed", "ceiling",
), start=1))  # fmt: skip
_VERBS: Final = dict(enumerate((
    "observe", "login", "logout", "link", "modify", "merge", "split", "attribute_history",
    "import", "revert", "deny",
)))  # fmt: skip
_CAUSES: Final = dict(enumerate((
    "displaced", "evicted", "split", "reverted", "reverted_shared",
)))  # fmt: skip
TRAIT_REASONS: Final = {0: "older", 1: "set_already", 2: "unresolved", 3: "ceiling"}
_TARGETS: Final = {0: "unresolved", 1: "created", 2: "found", 3: "merged"}
_PLAIN_VERDICTS: Final = {0: "attached", 1: "already_attached", 4: "removed"}
_REASONED_VERDICTS: Final = {2: "dropped", 3: "refused"}
_TRANSFERRED: Final = 5
_PLAIN_MERGE_VERDICTS: Final = {0: "merged", 1: "already_merged", 2: "not_found"}
_REASONED_MERGE_VERDICTS: Final = {3: "refused"}
_EVENT_FIELDS: Final = (
    "event_id", "digest", "kind", "source", "timestamp_ms", "rules_version", "named_profile",
    "key_namespace", "target", "identifiers", "traits",
)  # fmt: skip
_RECORD_FIELDS: Final = {
    1: ("workspace_created", ("name", "profile_key", "rules")),
    2: ("rules_set", ("version", "rules")),
    3: ("event_resolved", _EVENT_FIELDS),
    # The same change with what most events have not.
    4: ("event_resolved", (*_EVENT_FIELDS, "verb", "extra")),
    5: ("erased", ("operation", "digest", "profiles", "identifiers", "traits", "suppress")),
    6: ("erasure_completed", ("erasure", "segments", "records", "files")),
    7: ("workspace_deleted", ("key", "operation", "digest", "profiles", "identifiers")),
    8: ("gone", ()),
    9: ("expired", ("identifiers",)),
}


def records(segment: Segment) -> Iterator[dict[str, Any]]:
    """The records of a segment's sound frames, by name, with their log positions.

    Raises Damage if a frame whose checksum is right does not hold records: a bug, not a fault.
    """
    for frame in segment.frames:
        yield from records_of(frame)


def records_of(frame: Frame) -> Iterator[dict[str, Any]]:
    """The records of one frame, none if it is not a commit group. Raises Damage."""
    if not frame.is_group:
        return
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
            record = _named_event(record)
        elif change == "expired":
            record["identifiers"] = [_expired(*each) for each in record["identifiers"]]
        elif change == "erased":
            named = [
                dict(zip(("row", "hash"), each, strict=True)) for each in record["identifiers"]
            ]
            record["identifiers"] = named
    except (TypeError, ValueError, KeyError, IndexError) as wrong:
        raise Damage(offset, f"a record that is none: {wrong!r}") from None
    head = {"workspace": workspace, "sequence": sequence, "log_time_ms": log_time_ms}
    return head | {"change": change} | record


def named_command(values: Sequence[Any] | None) -> dict[str, Any] | None:
    """A record that a snapshot remembers; None if it remembers none."""
    if values is None:
        return None
    return _named_event(dict(zip(_RECORD_FIELDS[4][1], values, strict=True)))


def _named_event(record: dict[str, Any]) -> dict[str, Any]:
    verb, extra = record.pop("verb", 0), record.pop("extra", None)
    named = {"verb": _VERBS[verb]} | record
    named["target"] = named_target(record["target"])
    named["identifiers"] = [_identifier(*each) for each in record["identifiers"]]
    named["traits"] = {name: named_trait(value) for name, value in record["traits"]}
    return named | ({} if extra is None else {"extra": _named_extra(extra)})


def _named_extra(extra: Sequence[Any]) -> dict[str, Any]:
    """What there is of it: most extras have one of these."""
    marks_known, sources, moves, displaced, merges, reverted, *others = extra
    attribution, imported, ignored = others
    named = {
        "marks_known": marks_known,
        "sources": sources,
        "moves": [_move(*each) for each in moves],
        "displaced": [_pair(*each) for each in displaced],
        "merges": [_merge(*each) for each in merges],
        "reverted": [_reverted(*each) for each in reverted],
        "attribution": None if attribution is None else _attribution(*attribution),
        "imported": None if imported is None else _imported(*imported),
        "ignored_traits": {name: TRAIT_REASONS[reason] for name, reason in ignored},
    }
    return {name: value for name, value in named.items() if value}


def _move(
    namespace: str, value: str | int, origin: int, to: int | None, cause: int
) -> dict[str, Any]:
    named = {"namespace": namespace, "value": _told(value), "from": origin, "to": to}
    return named | {"cause": _CAUSES[cause]}


def _pair(
    namespace: str, value: str | int, other_namespace: str, other_value: str | int
) -> list[dict[str, Any]]:
    return [
        {"namespace": namespace, "value": _told(value)},
        {"namespace": other_namespace, "value": _told(other_value)},
    ]


def _merge(profile: int | None, verdict: Any) -> dict[str, Any]:
    if isinstance(verdict, int):
        return {"profile": profile, "verdict": _PLAIN_MERGE_VERDICTS[verdict]}
    number, *reason = verdict
    verdict = _REASONED_MERGE_VERDICTS[number]
    return {"profile": profile, "verdict": verdict} | _reason(*reason)


def _reverted(absorbed: int, survivor: int, merged: int) -> dict[str, int]:
    return {"absorbed": absorbed, "survivor": survivor, "merged": merged}


def _attribution(
    source: int, destination: int, start_ms: int, end_ms: int, refused: int | None
) -> dict[str, Any]:
    named: dict[str, Any] = {"source": source, "destination": destination}
    named |= {"start_ms": start_ms, "end_ms": end_ms}
    return named | ({} if refused is None else {"refused": _RULES[refused]})


def _imported(
    created_time_ms: int, identifier_times_ms: list[int], trait_times_ms: list[int]
) -> dict[str, Any]:
    return {
        "created_time_ms": created_time_ms,
        "identifier_times_ms": identifier_times_ms,
        "trait_times_ms": trait_times_ms,
    }


def named_target(array: Sequence[Any]) -> dict[str, Any]:
    """The decision, and the profiles that it names."""
    kind = _TARGETS[array[0]]
    names = {"unresolved": (), "merged": ("profile", "absorbed")}.get(kind, ("profile",))
    return {"decision": kind} | dict(zip(names, array[1:], strict=True))


def _told(value: str | int) -> str | dict[str, int]:
    """Of a value that was erased there is the number that stands for it."""
    return {"erased": value} if isinstance(value, int) else value


def _expired(
    row: int, namespace: str, value: str | int, profiles: list[int], last_seen_ms: int
) -> dict[str, Any]:
    return {
        "row": row,
        "namespace": namespace,
        "value": _told(value),
        "profiles": profiles,
        "last_seen_ms": last_seen_ms,
    }


def _identifier(namespace: str, value: str | int, raw: str | None, verdict: Any) -> dict[str, Any]:
    named: dict[str, Any] = {"namespace": namespace, "value": _told(value)}
    if raw is not None:
        named["raw"] = raw
    return named | named_verdict(verdict)


def named_verdict(verdict: Any) -> dict[str, Any]:
    """The verdict on an identifier, and the rule behind it."""
    if isinstance(verdict, int):
        return {"verdict": _PLAIN_VERDICTS[verdict]}
    number, *rest = verdict
    if number == _TRANSFERRED:
        (holder,) = rest
        return {"verdict": "transferred", "from": holder}
    return {"verdict": _REASONED_VERDICTS[number]} | _reason(*rest)


def _reason(rule: int, limit: Any, collided: int | None) -> dict[str, Any]:
    named: dict[str, Any] = {"rule": _RULES[rule]}
    if limit is not None:
        named["limit_namespace"], named["limit"] = limit
    if collided is not None:
        named["collided"] = collided
    return named


def named_trait(value: Any) -> Any:
    """JSON text stands as `{"json": text}`, so that it is not taken for plain text."""
    return {"json": value[0]} if isinstance(value, list) else value
