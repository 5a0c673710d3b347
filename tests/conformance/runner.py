"""Plays scenario files against every target and gathers what failed.

Each scenario gets a fresh workspace of each target. When all have been played, the target
is restarted and the final states are checked once more, as read back from disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.conformance import moments, mparticle, segment
from tests.conformance.case import Case
from tests.target import Target

FORMS: Sequence[ModuleType] = (segment, mparticle, moments)
"""The ways that files write expectations; the first that accepts a scenario plays it."""
_UNREADABLE = "unreadable"


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
        line = json.dumps(
            {"name": self.name, "passed": self.passed, "failed_checks": self.failed_checks},
            ensure_ascii=False,
        )
        # Half of a surrogate pair may stand in a file, and cannot be printed as it is.
        return line.encode(errors="backslashreplace").decode()


def load(paths: Iterable[Path]) -> list[Any]:
    """The scenarios of files, and of the `.json` files of directories, in order.

    What holds no list of scenarios stands in the list itself and fails there, so that one bad
    file does not end the run of the others.
    """
    return [scenario for path in paths for scenario in _scenarios(path)]


def _scenarios(path: Path) -> list[Any]:
    if not path.is_dir():
        return _read(path)
    found = [scenario for file in sorted(path.glob("*.json")) for scenario in _read(file)]
    return found or [_unreadable(path, "the directory has no scenarios")]


def _read(path: Path) -> list[Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as error:
        return [_unreadable(path, str(error))]
    if not isinstance(content, list) or not content:
        return [_unreadable(path, "not a list of scenarios")]
    return content


def _no_number(word: str) -> None:
    """NaN and infinities, which JSON has not: nothing is before or after them."""
    raise ValueError(f"{word} is not JSON")


def _unreadable(path: Path, problem: str) -> dict[str, Any]:
    return {"name": str(path), _UNREADABLE: problem}


def run(scenarios: Sequence[Any], targets: Sequence[Target]) -> list[Outcome]:
    """Plays all scenarios against all targets; one outcome for each scenario, in order."""
    failed: list[list[str]] = [[] for _ in scenarios]
    for target in targets:
        for index, case in enumerate(_run_target(scenarios, target)):
            failed[index].extend(f"{target.name}: {check}" for check in case.failed_checks)
    return [
        Outcome(_name(scenario), checks) for scenario, checks in zip(scenarios, failed, strict=True)
    ]


def _run_target(scenarios: Sequence[Any], target: Target) -> list[Case]:
    cases = [
        _play(scenario, target, f"scenario_{number}") for number, scenario in enumerate(scenarios)
    ]
    for case in cases:
        _check_state(case, "")
    target.restart()
    for case in cases:
        _check_state(case, "after restart: ")
    return cases


def _name(scenario: Any) -> str:
    return str(scenario.get("name") if isinstance(scenario, dict) else None)


def _play(scenario: Any, target: Target, workspace: str) -> Case:
    case = Case()
    case.guard("play", lambda: _play_form(scenario, target, workspace, case))
    return case


def _play_form(scenario: Any, target: Target, workspace: str, case: Case) -> None:
    if not isinstance(scenario, dict) or _UNREADABLE in scenario:
        problem = scenario[_UNREADABLE] if isinstance(scenario, dict) else "not an object"
        case.fail("scenario", problem)
        return
    form = next((form for form in FORMS if form.accepts(scenario)), None)
    if form is None:
        system = (scenario.get("config") or {}).get("system")
        case.fail("form", f"no form plays scenarios of the system {system!r}")
        return
    form.play(scenario, target, workspace, case)
    if not scenario["expected"]:
        case.fail("expected", "the scenario expects nothing")


def _check_state(case: Case, prefix: str) -> None:
    before = len(case.failed_checks)
    for check in case.state_checks:
        case.guard("state", check)
    case.failed_checks[before:] = [prefix + each for each in case.failed_checks[before:]]
