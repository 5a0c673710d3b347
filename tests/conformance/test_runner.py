"""The runner itself: every lie in a scenario, and everything it cannot express, is found."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import __main__, runner, vocabulary
from tests.target import Embedded

Scenario = dict[str, Any]

_DATA = Path(__file__).parent / "data"
_TRUTHS = {scenario["name"]: scenario for scenario in runner.load([_DATA])}
_SEG = "seg_03_priority_demotes_email"
_TRUE = _TRUTHS[_SEG]
"""Creates two profiles and drops an e-mail on the way."""


def _set(*path: str | int, to: Any) -> Callable[[Scenario], None]:
    def change(scenario: Scenario) -> None:
        place: Any = scenario
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to

    return change


def _check(at: int, check: str, **fields: Any) -> dict[str, Any]:
    return {"at": at, "check": check, **fields}


_IDS = [["distinct_id", value] for value in ("old", "new", "anon")]

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


_GUARDS = "posthog_identified_source_is_refused"
_FOLD = "posthog_identified_target_takes_anonymous_source"
_TABLET = "adobe_shared_tablet_last_authenticated_owner"
_SIGN_UP = "mixpanel_simplified_signup_then_second_device"
_FULL = "adobe_guardrails_bad_event_and_full_graph"
_ISOLATION = "mparticle_isolation_flow"
_UPSERT = "esputnik_key_by_email"

PEER_LIES: dict[str, tuple[str, Callable[[Scenario], None], str]] = {
    "a merge": (_GUARDS, _set("expected", 1, to=_check(3, "same", ids=_IDS[:2])), "at=3 same"),
    "nothing refused": (_GUARDS, _set("expected", 0, to=_check(3, "accepted")), "at=3 accepted"),
    "a refusal": (_GUARDS, _set("expected", 4, to=_check(5, "refused")), "at=5 refused"),
    "another reason": (
        _GUARDS,
        _set("expected", 0, "reason", to="skipped_move_limit"),
        "expected skipped_move_limit",
    ),
    "an unknown reason": (_GUARDS, _set("expected", 0, "reason", to="mood"), "vocabulary"),
    "another survivor": (
        _GUARDS,
        _set("expected", 5, "is", to=["distinct_id", "old"]),
        "at=5 survivor",
    ),
    "another property": (
        _FOLD,
        _set("expected", 1, "properties", "b", to="source"),
        "profile.properties",
    ),
    "not identified": (_FOLD, _set("expected", 1, "is_identified", to=False), "is_identified"),
    "another creation": (_FOLD, _set("expected", 1, "created_at", to=100), "created_at"),
    "another count": (_FOLD, _set("expected", 3, "n", to=2), "profile_count"),
    "no change": (_FOLD, _set("expected", 0, to=_check(3, "unchanged")), "at=3 unchanged"),
    "no record": (_FOLD, _set("expected", 0, to=_check(3, "emits", kind="split")), "emits"),
    "nobody": (_FOLD, _set("expected", 0, to=_check(3, "no_profile", id=_IDS[2])), "no_profile"),
    "nothing found": (_FOLD, _set("expected", 0, to=_check(3, "resolves", id="?")), "resolves"),
    "another owner": (_TABLET, _set("expected", 2, "owner", to="Kevin"), "at=3 event_owner"),
    "other clusters": (
        _TABLET,
        _set("expected", 1, "clusters", to=[[["CRMID", "Nora"], ["CRMID", "Kevin"]]]),
        "at=2 partition",
    ),
    "one profile": (
        _TABLET,
        _set(
            "expected", 0, to=_check(1, "different", ids=[["CRMID", "Kevin"], ["ECID", "tablet"]])
        ),
        "at=1 different",
    ),
    "another name": (_SIGN_UP, _set("expected", 0, "is", to="D1"), "at=2 canonical"),
    "another cap": (_FULL, _set("config", "max_ids", to=5), "at=end"),
    "another order of kinds": (
        _FULL,
        _set("config", "over_limit", to="evict oldest by kind order device < cookie"),
        "at=end",
    ),
    "another key": (
        _UPSERT,
        _set("config", "namespaces", "email", "dedupe_key", to=False),
        "at=end partition",
    ),
    "an unknown check": (_TABLET, _set("expected", 0, "check", to="mood"), "at=1 mood"),
    "an unknown part of a check": (_TABLET, _set("expected", 0, "mood", to=1), "same.mood"),
    "an unknown op": (_TABLET, _set("events", 0, "op", to="mood"), "'mood' cannot be expressed"),
    "an unknown part of an event": (_TABLET, _set("events", 0, "mood", to=1), "observe: mood"),
    "an unknown setting": (_TABLET, _set("config", "mood", to="good"), "config: mood"),
    "an unknown policy": (_TABLET, _set("config", "on_conflict", to="coin"), "vocabulary"),
    "another answer": (_ISOLATION, _set("expected", 2, "mpid", to="M3"), "e3.mpid"),
    "another status": (_ISOLATION, _set("expected", 8, "http", to=200), "e9.http"),
    "another error": (_ISOLATION, _set("expected", 8, "error", to="BAD"), "e9.error"),
    "a creation": (_ISOLATION, _set("expected", 2, "created", to=True), "e3.created"),
    "another final state": (
        _ISOLATION,
        _set("expected", 10, "final", "M3", to={"email": ["x"]}),
        "final.M3",
    ),
    "an unknown strategy": (_ISOLATION, _set("config", "strategy", to="coin"), "vocabulary"),
    "an unknown expectation": (_ISOLATION, _set("expected", 0, "mood", to=1), "e1.mood"),
}


@pytest.mark.parametrize("lie", [*LIES, *(f"peer: {lie}" for lie in PEER_LIES)])
def test_a_lie_is_found(tmp_path: Path, lie: str) -> None:
    name, change, where = PEER_LIES[lie[6:]] if lie.startswith("peer: ") else (_SEG, *LIES[lie])
    scenario = copy.deepcopy(_TRUTHS[name])
    change(scenario)
    with Embedded(tmp_path / "data") as target:
        (outcome,) = runner.run([scenario], [target])
    assert not outcome.passed
    assert any(where in check for check in outcome.failed_checks), outcome.failed_checks


_BROKEN: dict[str, Any] = {
    "a number": 5,
    "nothing": None,
    "an empty object": {},
    "no config": {key: value for key, value in _TRUE.items() if key != "config"},
    "no config but null": _TRUE | {"config": None},
    "a list for a config": _TRUE | {"config": []},
    "a list for a system": _TRUE | {"config": {"system": ["segment"]}},
    "no preset": _TRUE | {"config": {"system": "acme"}},
    "texts for events": _TRUE | {"events": ["e1"]},
    "nothing expected": _TRUTHS[_GUARDS] | {"events": [], "expected": []},
    "half a character": _TRUTHS[_GUARDS]
    | {"events": [{"t": 1, "op": "observe", "ids": [["distinct_id", "\ud800"]]}]},
    "a time that is a text": _TRUTHS[_GUARDS] | {"expected": [_check(0, "same") | {"at": "noon"}]},
}


def test_what_is_no_scenario_fails_alone_with_a_line_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "scenarios.json"
    path.write_text(json.dumps([*_BROKEN.values(), _TRUE]), encoding="utf-8")
    assert __main__.main([str(path)]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    passed = dict(zip([*_BROKEN, "true"], [line["passed"] for line in lines], strict=True))
    assert passed == dict.fromkeys(_BROKEN, False) | {"true": True}


_FILES = {
    "text": b"{nope",
    "nothing": b"",
    "an object": b'{"name": "one"}',
    "no scenario": b"[]",
    "not a number": b'[{"name": "x", "t": NaN}]',
    "no text": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("content", _FILES)
def test_a_file_without_scenarios_fails_by_its_path(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(_FILES[content])
    missing, empty = tmp_path / "missing.json", tmp_path / "empty"
    empty.mkdir()
    with Embedded(tmp_path / "data") as target:
        outcomes = runner.run(runner.load([path, missing, empty]), [target])
    assert [each.name for each in outcomes] == [str(path), str(missing), str(empty)]
    assert not any(each.passed for each in outcomes)


def test_a_check_before_the_first_event_sees_nothing_of_it(tmp_path: Path) -> None:
    scenario = _TRUTHS[_TABLET] | {"expected": [_check(0, "profile_count", n=0)]}
    with Embedded(tmp_path / "data") as target:
        (outcome,) = runner.run([scenario], [target])
    assert outcome.failed_checks == []


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


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("merged", "merged"),
        ("person_merge_events", "merged"),
        ("ownership_transfer", "transferred"),
        ("device_moved", "transferred"),
        ("merge_refused", "refused"),
        ("link_displaced_mood", None),
        ("person_event", None),
    ],
)
def test_a_kind_of_change_is_read_without_what_it_is_about(theirs: str, ours: str | None) -> None:
    assert vocabulary.change(theirs) == ours
