"""The oracle is itself held to the documented behaviour before it judges the engine."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.laws.model import Limit, Model, Pair, Rules

_DATA = Path(__file__).parents[1] / "conformance" / "data" / "segment.json"
_SCENARIOS = json.loads(_DATA.read_text(encoding="utf-8"))


@pytest.mark.parametrize("scenario", _SCENARIOS, ids=lambda scenario: scenario["name"])
def test_the_model_follows_the_documents(scenario: dict[str, Any]) -> None:
    model = Model(_rules(scenario))
    *steps, last = scenario["expected"]
    for event, expected in zip(scenario["events"], steps, strict=True):
        now_ms = int(datetime.fromisoformat(event["timestamp"]).timestamp() * 1_000)
        answer = model.resolve(_pairs(event["ids"]), now_ms)
        label = f"P{answer.profile}" if answer.profile else None
        assert label == expected["profile"]
        assert answer.attached == _pairs(expected["added"])
        dropped = {
            (drop["type"], drop["id"]): drop.get("limit_of", "") for drop in expected["dropped"]
        }
        assert {pair: limit for pair, (_, limit) in answer.dropped.items()} == dropped
        assert [[f"P{n}", label] for n in answer.absorbed] == expected["merged"]
    final = {
        label: frozenset((name, value) for name, values in held.items() for value in values)
        for label, held in last["final"].items()
    }
    assert {f"P{number}": held for number, held in model.partition().items()} == final


def _rules(scenario: dict[str, Any]) -> Rules:
    types = scenario["config"]["types"]
    return Rules(
        priority={each["type"]: each["priority"] for each in types},
        limits={each["type"]: _limit(each["limit"]) for each in types},
        blocked=frozenset(
            pair
            for event in scenario["events"]
            for pair in _pairs(event["ids"])
            for each in types
            if each["type"] == pair[0] and _is_blocked(pair[1], each.get("blocked", []))
        ),
        conflict=scenario["config"]["drop_policy"],
        merges_max=scenario["config"]["max_merges"],
    )


def _limit(limit: dict[str, Any]) -> Limit:
    window = None if limit["frequency"] == "ever" else limit["frequency"]
    return Limit(limit["value"], window)


def _is_blocked(value: str, blocked: list[dict[str, str]]) -> bool:
    return any(
        re.search(each["value"], value) if each["kind"] == "regex" else each["value"] == value
        for each in blocked
    )


def _pairs(ids: list[list[str]]) -> frozenset[Pair]:
    return frozenset((namespace, value) for namespace, value in ids)
