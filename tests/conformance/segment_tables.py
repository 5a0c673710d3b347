"""The extras that some Segment scenarios carry: warehouse tables, and default ranks.

The tables are the vendor's export of the same story (one row for each creation, merge and
mapping). We have no such export; what a row states is checked against what our answers
said at that event and against what the profiles say now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ipse import Decision, Event

from tests import toml_text
from tests.conformance.case import Case
from tests.conformance.segment_rules import preset
from tests.target import Target

_TABLES = frozenset(
    {
        "id_graph_updates",
        "external_id_mapping_updates",
        "id_graph",
        "external_id_mapping",
        "profile_traits",
        "events_keep_observed_segment_id",
    }
)


@dataclass(frozen=True)
class Step:
    """What one event did, in labels."""

    event: dict[str, Any]
    label: str | None
    decision: Decision
    attached: list[tuple[str, str]]
    absorbed: list[str | None]


def check_history(tables: dict[str, Any], history: list[Step], case: Case) -> None:
    """Checks the tables that tell what happened."""
    for name in sorted(set(tables) - _TABLES):
        case.fail(f"tables.{name}", "cannot be expressed")
    if "id_graph_updates" in tables:
        expected = {tuple(row) for row in tables["id_graph_updates"]}
        case.check("tables.id_graph_updates", expected, set(_graph_updates(history)))
    if "external_id_mapping_updates" in tables:
        expected = {tuple(row) for row in tables["external_id_mapping_updates"]}
        actual = {
            (step.label, namespace, value, step.event["messageId"])
            for step in history
            for namespace, value in step.attached
        }
        case.check("tables.external_id_mapping_updates", expected, actual)
    if "events_keep_observed_segment_id" in tables:
        _check_observed(tables["events_keep_observed_segment_id"], history, case)


def _graph_updates(history: list[Step]) -> list[tuple[Any, ...]]:
    """One row for each creation, and one for each profile that a merge retired."""
    rows: list[tuple[Any, ...]] = []
    for step in history:
        about = (step.event["type"], step.event["messageId"], step.event["timestamp"])
        if step.decision == Decision.CREATED:
            rows.append((step.label, step.label, *about))
        rows.extend((absorbed, step.label, *about) for absorbed in step.absorbed)
    return rows


def _check_observed(observed: dict[str, str], history: list[Step], case: Case) -> None:
    """Segment stamps a merging event with the profile that it came through; we answer with the
    survivor and name the absorbed, so that profile must be among the two."""
    for step in history:
        expected = observed.get(step.event["messageId"])
        if expected not in [step.label, *step.absorbed]:
            where = f"tables.events_keep_observed_segment_id.{step.event['messageId']}"
            case.fail(where, f"expected {expected}, got {step.label} and {step.absorbed}")


def check_state(
    tables: dict[str, Any],
    labels: dict[str, str],
    target: Target,
    workspace: str,
    case: Case,
) -> None:
    """Checks the tables that tell how things stand."""
    for profile, canonical in tables.get("id_graph", []):
        found = target.profile(workspace, labels[profile])
        actual = found.profile_id if found else None
        case.check(f"tables.id_graph.{profile}", labels[canonical], actual)
    for profile, namespace, value in tables.get("external_id_mapping", []):
        owner = target.owner(workspace, (namespace, value))
        case.check(f"tables.external_id_mapping.{namespace}={value}", labels[profile], owner)
    for row in tables.get("profile_traits", []):
        _check_traits(row, labels, target, workspace, case)


def _check_traits(
    row: dict[str, Any], labels: dict[str, str], target: Target, workspace: str, case: Case
) -> None:
    where = f"tables.profile_traits.{row['canonical']}"
    found = target.profile(workspace, labels[row["canonical"]])
    if found is None:
        case.fail(where, "no such profile")
        return
    owner = row["merged_to"] or row["canonical"]
    case.check(f"{where}.merged_to", labels[owner], found.profile_id)
    for name, value in row.items():
        if name not in ("canonical", "merged_to"):
            case.check(f"{where}.{name}", value, found.traits.get(name))


def check_default_rank(rank: dict[str, Any], target: Target, workspace: str, case: Case) -> None:
    """Types that nobody ranked take their places as they are first seen.

    Our answers list verdicts strongest first, which shows the ranks.
    """
    target.call.create_workspace(workspace, rules_toml=_auto_adding_rules())
    seen = list(rank["seen"])
    case.check("default_rank.ranks", _by_rank(rank["ranks"]), _order(seen, target, workspace))
    seen.append(rank["then_seen"])
    case.check(
        "default_rank.ranks_after", _by_rank(rank["ranks_after"]), _order(seen, target, workspace)
    )


def _auto_adding_rules() -> str:
    """A workspace in which only the two types that Segment itself ranks have a rank."""
    rules = preset()
    return toml_text.dumps(
        {
            "workspace": rules["workspace"] | {"auto_add": True},
            "namespaces": {name: rules["namespaces"][name] for name in ("user_id", "email")},
            "mapping": rules["mapping"],
        }
    )


def _by_rank(ranks: dict[str, int]) -> list[str]:
    return sorted(ranks, key=ranks.__getitem__)


def _order(namespaces: list[str], target: Target, workspace: str) -> list[str]:
    event = Event(identifiers=[(name, f"value-of-{name}") for name in reversed(namespaces)])
    answer = target.call.resolve(event, workspace=workspace)
    return [verdict.identifier.namespace for verdict in answer.verdicts]
