"""The runner itself: every lie in a scenario, and everything it cannot express, is found."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import __main__, runner
from tests.target import Embedded

Scenario = dict[str, Any]

_DATA = Path(__file__).parent / "data" / "segment.json"
_TRUE = next(each for each in runner.load([_DATA]) if each["name"].startswith("seg_03"))
"""Creates two profiles and drops an e-mail on the way."""


def _set(*path: str | int, to: Any) -> Callable[[Scenario], None]:
    def change(scenario: Scenario) -> None:
        place: Any = scenario
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to

    return change


LIES: dict[str, tuple[Callable[[Scenario], None], str]] = {
    "another decision": (_set("expected", 2, "decision", to="create"), "e2.decision"),
    "another profile": (_set("expected", 2, "profile", to="P1"), "e2.profile"),
    "more added": (_set("expected", 2, "added", to=[["email", "x@example.com"]]), "e2.added"),
    "nothing dropped": (_set("expected", 1, "dropped", to=[]), "e1.dropped"),
    "another reason": (_set("expected", 1, "dropped", 0, "reason", to="blocked"), "e1.dropped"),
    "another limit": (_set("expected", 1, "dropped", 0, "limit_of", to="email"), "e1.dropped"),
    "a merge": (_set("expected", 2, "merged", to=[["P1", "P2"]]), "e2.merged"),
    "an error": (_set("expected", 2, "error", to="No matching identifiers on event"), "e2.error"),
    "a violation": (
        _set("expected", 2, "violations", to=["Profile merge limit exceeded"]),
        "e2.violations",
    ),
    "other extraction": (_set("events", 2, "ids", to=[["user_id", "abc457"]]), "e2.ids"),
    "one more in the end": (
        _set("expected", 3, "final", "P2", "email", to=["jane@example1.com"]),
        "final.P2",
    ),
    "nobody in the end": (_set("expected", 3, "final", to={}), "final.profile_count"),
    "a step less": (lambda scenario: scenario["expected"].pop(2), "expected"),
    "no final state": (lambda scenario: scenario["expected"].pop(), "final"),
    "an unknown decision": (_set("expected", 2, "decision", to="adopt"), "vocabulary"),
    "an unknown reason": (_set("expected", 1, "dropped", 0, "reason", to="mood"), "vocabulary"),
    "an unknown violation": (_set("expected", 2, "violations", to=["Mood"]), "vocabulary"),
    "an unknown expectation": (_set("expected", 2, "mood", to="good"), "e2.mood"),
    "an unknown setting": (_set("config", "mood", to="good"), "config: mood"),
    "an unknown setting of a type": (_set("config", "types", 0, "mood", to="good"), "mood"),
    "an unknown window": (
        _set("config", "types", 0, "limit", "frequency", to="hourly"),
        "vocabulary",
    ),
    "an unknown policy": (_set("config", "drop_policy", to="coin"), "vocabulary"),
    "an unknown part": (_set("appendix", to={}), "appendix"),
    "an unknown system": (_set("config", "system", to="acme"), "acme"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_found(tmp_path: Path, lie: str) -> None:
    change, where = LIES[lie]
    scenario = copy.deepcopy(_TRUE)
    change(scenario)
    with Embedded(tmp_path / "data") as target:
        (outcome,) = runner.run([scenario], [target])
    assert not outcome.passed
    assert any(where in check for check in outcome.failed_checks), outcome.failed_checks


def test_the_command_prints_a_line_for_each_scenario_and_exits_1_if_one_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    false = copy.deepcopy(_TRUE) | {"name": "false"}
    LIES["another profile"][0](false)
    path = tmp_path / "two.json"
    path.write_text(json.dumps([_TRUE, false]), encoding="utf-8")
    assert __main__.main([str(path)]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["name"], line["passed"]) for line in lines] == [
        (_TRUE["name"], True),
        ("false", False),
    ]
    assert lines[0]["failed_checks"] == []
    assert {check.split(":")[0] for check in lines[1]["failed_checks"]} == {"embedded", "grpc"}
