"""Plays scenario files against every target and gathers what failed.

Each scenario gets a fresh workspace of each target. When all have been played, the target
is restarted and the final states are checked once more, as read back from disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.conformance import moments, mparticle, segment
from tests.conformance.case import Case
from tests.target import Target

FORMS: Sequence[ModuleType] = (segment, mparticle, moments)
"""The ways that files write expectations; the first that accepts a scenario plays it."""


@dataclass(frozen=True)
class Outcome:
    """What came of one scenario."""

    name: str
    failed_checks: list[str]

    @property
    def passed(self) -> bool:
        return not self.failed_checks

    def to_json(self) -> str:
        """One line for a machine."""
        return json.dumps(
            {"name": self.name, "passed": self.passed, "failed_checks": self.failed_checks},
            ensure_ascii=False,
        )


def load(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The scenarios of files, and of the `.json` files of directories, in order."""
    scenarios: list[dict[str, Any]] = []
    for path in _files(paths):
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, list):
            raise ValueError(f"{path}: not a list of scenarios")
        scenarios.extend(content)
    return scenarios


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(path.glob("*.json"))
        else:
            yield path


def run(scenarios: Sequence[dict[str, Any]], targets: Sequence[Target]) -> list[Outcome]:
    """Plays all scenarios against all targets; one outcome for each scenario, in order."""
    failed: list[list[str]] = [[] for _ in scenarios]
    for target in targets:
        for index, case in enumerate(_run_target(scenarios, target)):
            failed[index].extend(f"{target.name}: {check}" for check in case.failed_checks)
    return [
        Outcome(str(scenario.get("name")), checks)
        for scenario, checks in zip(scenarios, failed, strict=True)
    ]


def _run_target(scenarios: Sequence[dict[str, Any]], target: Target) -> list[Case]:
    cases = [
        _play(scenario, target, f"scenario_{number}") for number, scenario in enumerate(scenarios)
    ]
    for case in cases:
        _check_state(case, "")
    target.restart()
    for case in cases:
        _check_state(case, "after restart: ")
    return cases


def _play(scenario: dict[str, Any], target: Target, workspace: str) -> Case:
    case = Case()
    form = next((form for form in FORMS if form.accepts(scenario)), None)
    if form is None:
        system = scenario.get("config", {}).get("system")
        case.fail("form", f"no form plays scenarios of the system {system!r}")
        return case
    case.guard("play", lambda: form.play(scenario, target, workspace, case))
    return case


def _check_state(case: Case, prefix: str) -> None:
    before = len(case.failed_checks)
    for check in case.state_checks:
        case.guard("state", check)
    case.failed_checks[before:] = [prefix + each for each in case.failed_checks[before:]]
