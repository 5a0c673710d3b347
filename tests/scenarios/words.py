"""Answers in the words of the scenario files."""

from __future__ import annotations

import json
from collections.abc import Callable

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
}

NumberOf = Callable[[str], int]
"""The number that the story gives a profile id."""


def resolution(answer: identity_pb2.Resolution, number_of: NumberOf, *, preview: bool) -> list[str]:
    """The lines that an answer to `observe` shows."""
    first = _first_line(answer, number_of)
    if answer.repeated:
        first += " (repeated)"
    if preview:
        first += " (preview)"
    attached = _attached(answer) if answer.decision == identity_pb2.DECISION_MERGED else []
    return [
        first,
        *(f"  attached {each}" for each in attached),
        *(line for v in answer.verdicts if (line := _left_out(v, number_of))),
    ]


def profile(found: identity_pb2.Profile) -> list[str]:
    """The lines of a profile: its identifiers, then its traits."""
    return [
        *(_identifier(each.identifier) for each in found.identifiers),
        *(f"trait.{trait.name}={_trait_value(trait)}" for trait in found.traits),
    ]


def _first_line(answer: identity_pb2.Resolution, number_of: NumberOf) -> str:
    match answer.decision:
        case identity_pb2.DECISION_UNRESOLVED:
            return "unresolved"
        case identity_pb2.DECISION_CREATED:
            return f"profile {number_of(answer.profile_id)} created"
        case identity_pb2.DECISION_ATTACHED:
            attached = " ".join(_attached(answer))
            return f"profile {number_of(answer.profile_id)}: attached {attached}"
        case identity_pb2.DECISION_ALREADY_ATTACHED:
            return f"profile {number_of(answer.profile_id)}: nothing new"
        case identity_pb2.DECISION_MERGED:
            absorbed = " ".join(str(number_of(each)) for each in answer.absorbed_profile_ids)
            return f"merged: survivor {number_of(answer.profile_id)}, absorbed {absorbed}"
        case decision:
            raise AssertionError(f"decision {decision} has no words")


def _attached(answer: identity_pb2.Resolution) -> list[str]:
    return [
        _identifier(verdict.identifier)
        for verdict in answer.verdicts
        if verdict.verdict == identity_pb2.VERDICT_ATTACHED
    ]


def _left_out(verdict: identity_pb2.IdentifierVerdict, number_of: NumberOf) -> str | None:
    words = {identity_pb2.VERDICT_DROPPED: "dropped", identity_pb2.VERDICT_REFUSED: "refused"}
    if verdict.verdict not in words:
        return None
    line = f"  {words[verdict.verdict]} {_identifier(verdict.identifier)}: {_RULES[verdict.rule]}"
    if verdict.limit_namespace:
        line += f" ({verdict.limit_namespace} limit {verdict.limit})"
    elif verdict.limit:
        line += f" (limit {verdict.limit})"
    if verdict.collided_profile_id:
        line += f" held by {number_of(verdict.collided_profile_id)}"
    return line


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
