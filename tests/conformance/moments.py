"""The form with checks at moments: events in the order of `t`, and checks after some of them.

Each event is one call or several (`moment_events`), each check a look at what it came to or at how
things stand (`moment_checks`). A check of how things stand at the end is repeated after a restart.
"""

from __future__ import annotations

import tomllib
from functools import partial
from typing import Any

from tests.conformance import peer_rules
from tests.conformance.case import Case
from tests.conformance.moment_checks import OF_STATE, Checks
from tests.conformance.moment_events import Stage
from tests.conformance.vocabulary import PEERS
from tests.target import Target

_SCENARIO_KEYS = frozenset({"name", "system", "source", "config", "events", "expected"})
_REMARKS = frozenset({"notes", "note", "why", "status"})
END = "end"


def accepts(scenario: dict[str, Any]) -> bool:
    """Whether this form can play the scenario."""
    return scenario.get("config", {}).get("system") in PEERS


def play(scenario: dict[str, Any], target: Target, workspace: str, case: Case) -> None:
    """Plays the scenario in a fresh workspace, checking at each moment that the file names."""
    for key in sorted(set(scenario) - _SCENARIO_KEYS - _REMARKS):
        case.fail(key, "cannot be expressed")
    config = scenario["config"]
    peer = PEERS[config["system"]]
    names = peer_rules.names(scenario, peer)
    rules = peer_rules.rules_toml(config, peer, names)
    target.call.create_workspace(workspace, rules_toml=rules)
    stage = Stage(target, workspace, names, peer, _prefixes(rules))
    _play(scenario, Checks(stage, case), case)


def _play(scenario: dict[str, Any], checks: Checks, case: Case) -> None:
    events = sorted(scenario["events"], key=lambda event: event["t"])
    # What is to hold before the first event is checked before it.
    _check_until(scenario, checks, case, float("-inf"), _time(events, 0))
    for place, event in enumerate(events):
        case.guard(f"t={event['t']} {event['op']}", partial(checks.play, event))
        _check_until(scenario, checks, case, event["t"], _time(events, place + 1))
    for check in scenario["expected"]:
        if check["at"] == END:
            _check_end(checks, check, case)


def _time(events: list[dict[str, Any]], place: int) -> float:
    """When the event at that place happens; never, if there is none."""
    return float(events[place]["t"]) if place < len(events) else float("inf")


def _check_until(
    scenario: dict[str, Any], checks: Checks, case: Case, since: float, until: float
) -> None:
    for check in scenario["expected"]:
        if check["at"] != END and since <= check["at"] < until:
            case.guard(_where(check), partial(checks.check, _where(check), check))


def _check_end(checks: Checks, check: dict[str, Any], case: Case) -> None:
    where = _where(check)
    look = partial(case.guard, where, partial(checks.check, where, check))
    if check["check"] in OF_STATE:
        case.state_checks.append(look)
    else:
        look()


def _where(check: dict[str, Any]) -> str:
    return f"at={check['at']} {check['check']}"


def _prefixes(rules: str) -> dict[str, str]:
    namespaces = tomllib.loads(rules)["namespaces"]
    return {name: entry.get("canonical_prefix", "") for name, entry in namespaces.items()}
