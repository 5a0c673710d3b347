"""Answers in the words of the scenario files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from ipse.v1 import event_pb2, identity_pb2

from tests.scenarios.text import show_value

_RULES = {
    identity_pb2.RULE_UNKNOWN_NAMESPACE: "unknown namespace",
    identity_pb2.RULE_INVALID_VALUE: "invalid value",
    identity_pb2.RULE_BLOCKED_VALUE: "blocked value",
    identity_pb2.RULE_VALUE_LIMIT: "value limit",
    identity_pb2.RULE_VALUE_TIME_LIMIT: "value time limit",
    identity_pb2.RULE_MERGE_LIMIT: "merge limit",
    identity_pb2.RULE_IDENTIFIER_LIMIT: "identifier limit",
    identity_pb2.RULE_IMMUTABLE: "immutable",
    identity_pb2.RULE_HELD_ELSEWHERE: "held elsewhere",
    identity_pb2.RULE_EXCLUSIVE_OWNER: "exclusive owner",
    identity_pb2.RULE_KNOWN_SOURCE: "known source",
    identity_pb2.RULE_SOURCE_SHAPE: "source shape",
    identity_pb2.RULE_SOURCE_USED: "source used",
    identity_pb2.RULE_NO_TARGET: "no target",
    identity_pb2.RULE_PAIR_LIMIT: "pair limit",
    identity_pb2.RULE_MOVED_LIMIT: "moved limit",
    identity_pb2.RULE_HOLDER_LIMIT: "holder limit",
    identity_pb2.RULE_AMBIGUOUS_EVENT: "ambiguous event",
    identity_pb2.RULE_DISPLACED: "displaced",
    identity_pb2.RULE_DENIED_LINK: "denied link",
    identity_pb2.RULE_NOT_ATTACHED: "not attached",
    identity_pb2.RULE_ATTRIBUTION_OVERLAP: "attribution overlap",
    identity_pb2.RULE_ATTRIBUTION_CHAIN: "attribution chain",
    identity_pb2.RULE_ATTRIBUTION_OFF: "attribution off",
}

_CAUSES = {
    identity_pb2.MOVE_CAUSE_DISPLACED: "displaced",
    identity_pb2.MOVE_CAUSE_EVICTED: "evicted",
    identity_pb2.MOVE_CAUSE_SPLIT: "split",
    identity_pb2.MOVE_CAUSE_REVERTED: "reverted",
    identity_pb2.MOVE_CAUSE_REVERTED_SHARED: "reverted, and stays,",
}

_TRAIT_REASONS = {
    identity_pb2.TRAIT_REASON_OLDER: "older than the profile's",
    identity_pb2.TRAIT_REASON_SET_ALREADY: "set already",
    identity_pb2.TRAIT_REASON_UNRESOLVED: "the event is nobody's",
}

_CLOCK_START = datetime(2026, 1, 1, tzinfo=UTC)
"""Where the clock of the other runners starts; a live server's is past it."""

NumberOf = Callable[[str], int]
"""The number that the story gives a profile id."""


def resolution(
    answer: identity_pb2.Resolution,
    number_of: NumberOf,
    sources: Iterable[identity_pb2.SourceVerdict] = (),
    *,
    preview: bool,
) -> list[str]:
    """The lines that an answer to an event or command shows."""
    first = _first_line(answer, number_of) + _marks(repeated=answer.repeated, preview=preview)
    attached = _attached(answer) if answer.decision == identity_pb2.DECISION_MERGED else []
    return [
        first,
        *(f"  attached {each}" for each in attached),
        *(line for v in answer.verdicts if (line := _effect(v, number_of))),
        *(_move(each, number_of, preview=preview) for each in answer.moves),
        *(_source(each, number_of) for each in sources),
        *(
            f"  ignored trait.{each.name}: {_TRAIT_REASONS[each.reason]}"
            for each in answer.ignored_traits
        ),
        *_attributed_by(answer),
    ]


def attributed(
    answer: identity_pb2.AttributeHistoryResponse, number_of: NumberOf, *, preview: bool
) -> list[str]:
    """The line of an answer to `attribute`."""
    source = number_of(answer.attribution.source_profile_id)
    destination = number_of(answer.attribution.destination_profile_id)
    line = (
        f"history of {source} is {destination}'s"
        if answer.applied
        else f"history of {source} stays: {_RULES[answer.rule]}"
    )
    return [line + _marks(repeated=answer.repeated, preview=preview)]


def profile(found: identity_pb2.Profile) -> list[str]:
    """The lines of a profile: its identifiers, then its traits."""
    return [
        *(_identifier(each.identifier) for each in found.identifiers),
        *(f"trait.{trait.name}={_trait_value(trait)}" for trait in found.traits),
        *(f"trait.{name} set later" for name in found.traits_set_later),
    ]


def about(found: identity_pb2.Profile, number_of: NumberOf) -> list[str]:
    """What else is known of a profile. When it was created is told if an import said so: other
    times are the clock's."""
    lines = ["known" if found.known else "anonymous"]
    if found.created_time.ToDatetime(UTC) < _CLOCK_START:
        lines.append(f"created {_time(found.created_time)}")
    if found.canonical_id:
        lines.append(f"canonical id {found.canonical_id}")
    lines += [f"former id {each}" for each in found.former_ids]
    for each in found.attributions:
        source, destination = (
            number_of(each.source_profile_id),
            number_of(each.destination_profile_id),
        )
        start, end = _time(each.start_time), _time(each.end_time)
        lines.append(f"history of {source} from {start} to {end} is {destination}'s")
    return lines


def _marks(*, repeated: bool, preview: bool) -> str:
    return (" (repeated)" if repeated else "") + (" (preview)" if preview else "")


def _first_line(answer: identity_pb2.Resolution, number_of: NumberOf) -> str:
    match answer.decision:
        case identity_pb2.DECISION_UNRESOLVED:
            return "unresolved"
        case identity_pb2.DECISION_CREATED:
            return f"profile {number_of(answer.profile_id)} created"
        case identity_pb2.DECISION_ATTACHED | identity_pb2.DECISION_ALREADY_ATTACHED:
            return f"profile {number_of(answer.profile_id)}{_what_happened(answer)}"
        case identity_pb2.DECISION_MERGED:
            absorbed = " ".join(str(number_of(each)) for each in answer.absorbed_profile_ids)
            return f"merged: survivor {number_of(answer.profile_id)}, absorbed {absorbed}"
        case decision:
            raise AssertionError(f"decision {decision} has no words")


def _what_happened(answer: identity_pb2.Resolution) -> str:
    attached = _attached(answer)
    if attached:
        assert answer.decision == identity_pb2.DECISION_ATTACHED
        return ": attached " + " ".join(attached)
    changed = {identity_pb2.VERDICT_TRANSFERRED, identity_pb2.VERDICT_REMOVED}
    if answer.moves or any(each.verdict in changed for each in answer.verdicts):
        return ""
    return ": nothing new"


def _attached(answer: identity_pb2.Resolution) -> list[str]:
    return [
        _identifier(verdict.identifier)
        for verdict in answer.verdicts
        if verdict.verdict == identity_pb2.VERDICT_ATTACHED
    ]


def _effect(verdict: identity_pb2.IdentifierVerdict, number_of: NumberOf) -> str | None:
    shown = _identifier(verdict.identifier)
    collided = verdict.collided_profile_id
    match verdict.verdict:
        case identity_pb2.VERDICT_TRANSFERRED:
            return f"  took {shown} from {number_of(collided)}"
        case identity_pb2.VERDICT_REMOVED:
            return f"  removed {shown}"
        case identity_pb2.VERDICT_DROPPED:
            line = f"  dropped {shown}: {_why(verdict)}"
        case identity_pb2.VERDICT_REFUSED:
            line = f"  refused {shown}: {_why(verdict)}"
        case _:
            return None
    return line + (f" held by {number_of(collided)}" if collided else "")


def _why(verdict: identity_pb2.IdentifierVerdict | identity_pb2.SourceVerdict) -> str:
    if verdict.limit_namespace:
        return f"{_RULES[verdict.rule]} ({verdict.limit_namespace} limit {verdict.limit})"
    return _RULES[verdict.rule] + (f" (limit {verdict.limit})" if verdict.limit else "")


def _move(move: identity_pb2.IdentifierMove, number_of: NumberOf, *, preview: bool) -> str:
    cause = _CAUSES[move.cause]
    if move.cause == identity_pb2.MOVE_CAUSE_EVICTED:
        to = "nobody"
    elif preview and not cause.startswith("reverted"):
        to = "a profile"
    else:
        to = str(number_of(move.to_profile_id)) if move.to_profile_id else "nobody"
    shown = _identifier(move.identifier)
    return f"  {cause} {shown} from {number_of(move.from_profile_id)} to {to}"


def _source(source: identity_pb2.SourceVerdict, number_of: NumberOf) -> str:
    profile = str(number_of(source.profile_id)) if source.profile_id else "nobody"
    match source.verdict:
        case identity_pb2.MERGE_VERDICT_MERGED:
            return f"  source {profile} merged"
        case identity_pb2.MERGE_VERDICT_ALREADY_MERGED:
            return f"  source {profile} merged already"
        case identity_pb2.MERGE_VERDICT_NOT_FOUND:
            return f"  source {profile} not found"
        case _:
            return f"  source {profile} refused: {_why(source)}"


def _attributed_by(answer: identity_pb2.Resolution) -> list[str]:
    """By what an event is attributed, where that is not simply its profile."""
    match answer.attributed_by.WhichOneof("lookup"):
        case "identifier":
            return [f"  attributed by {_identifier(answer.attributed_by.identifier)}"]
        case None if answer.profile_id:
            return ["  attributed to nobody"]
        case _:
            return []


def _time(time: Timestamp) -> str:
    return time.ToDatetime(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _identifier(identifier: event_pb2.Identifier) -> str:
    return f"{identifier.namespace}={show_value(identifier.value)}"


def _trait_value(trait: event_pb2.Trait) -> str:
    match trait.WhichOneof("value"):
        case "json_value":
            return trait.json_value
        case "string_value":
            return json.dumps(trait.string_value, ensure_ascii=False)
        case "integer_value":
            return str(trait.integer_value)
        case "number_value":
            return json.dumps(trait.number_value)
        case "bool_value":
            return json.dumps(trait.bool_value)
        case _:
            return "null"
