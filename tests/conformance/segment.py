"""The Segment form: one expectation for each event, in order, then the final state.

Each event goes in raw, as an SDK sends it: extraction is part of what is checked. Labels
(P1, P2...) name profiles in the order of their creation and are bound to ids as events
create them. An order that the vendor does not promise is never compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ipse import Event, IdentifierVerdict, Resolution, Rule, Verdict

from tests.conformance import segment_tables
from tests.conformance.case import Case, Inexpressible
from tests.conformance.segment_rules import rules_toml
from tests.conformance.vocabulary import SEGMENT
from tests.target import Target

_SCENARIO_KEYS = frozenset(
    {"name", "system", "source", "config", "events", "expected", "tables", "default_rank"}
)
_EXPECTATION_KEYS = frozenset(
    {
        "event",
        "decision",
        "profile",
        "added",
        "dropped",
        "merged",
        "violations",
        "error",
    }
)
_REMARKS = frozenset({"status", "notes", "note", "why", "message", "compare"})
"""Keys for the reader of the file: nothing to check."""

Pair = tuple[str, str]


def accepts(scenario: dict[str, Any]) -> bool:
    """Whether this form can play the scenario."""
    return bool(scenario.get("config", {}).get("system") == "segment")


def play(scenario: dict[str, Any], target: Target, workspace: str, case: Case) -> None:
    """Plays the scenario in a fresh workspace and checks every step and the final state."""
    for key in sorted(set(scenario) - _SCENARIO_KEYS - _REMARKS):
        case.fail(key, "cannot be expressed")
    target.call.create_workspace(workspace, rules_toml=rules_toml(scenario["config"]))
    run = Run(target, workspace, case)
    steps = [entry for entry in scenario["expected"] if "final" not in entry]
    case.check("expected", len(scenario["events"]), len(steps))
    for number, (event, expectation) in enumerate(zip(scenario["events"], steps, strict=False)):
        where = str(expectation.get("event", event.get("messageId", f"event {number}")))
        case.guard(where, partial(run.step, where, event, expectation))
    finals = [entry["final"] for entry in scenario["expected"] if "final" in entry]
    for final in finals:
        case.state_checks.append(partial(run.check_final, final))
    if not finals:
        case.fail("final", "the scenario has no final state")
    if "tables" in scenario:
        tables = scenario["tables"]
        case.guard("tables", partial(segment_tables.check_history, tables, run.history, case))
        case.state_checks.append(
            partial(segment_tables.check_state, tables, run.labels, target, workspace, case)
        )
    if "default_rank" in scenario:
        rank = scenario["default_rank"]
        case.guard(
            "default_rank",
            partial(segment_tables.check_default_rank, rank, target, f"{workspace}_rank", case),
        )


@dataclass
class Run:
    """A scenario under way: which profile each label means, and what happened so far."""

    target: Target
    workspace: str
    case: Case
    labels: dict[str, str] = field(default_factory=dict)
    """Label to profile id, for every profile ever created."""
    history: list[segment_tables.Step] = field(default_factory=list)

    def step(self, where: str, event: dict[str, Any], expectation: dict[str, Any]) -> None:
        """Sends one event and checks the answer."""
        raw = {key: value for key, value in event.items() if key != "ids"}
        sent = Event.from_json(raw)
        preview = self.target.call.resolve(sent, workspace=self.workspace, read_only=True)
        answer = self.target.call.resolve(sent, workspace=self.workspace)
        self.case.check(f"{where}.preview", _preview_of(answer), _preview_of(preview))
        self.case.check(f"{where}.event", expectation.get("event"), event.get("messageId"))
        self._learn_label(where, answer)
        if "ids" in event:
            self._check_extraction(where, event["ids"], answer)
        self._check_expectation(where, expectation, answer)
        self.history.append(
            segment_tables.Step(
                event=event,
                label=self._label(answer.profile_id),
                decision=answer.decision,
                attached=sorted(_attached(answer)),
                absorbed=[self._label(profile) for profile in answer.absorbed_profile_ids],
            )
        )

    def check_final(self, final: dict[str, dict[str, list[str]]]) -> None:
        """Compares every profile that is left, and that no others are."""
        described = self.target.call.get_workspace(self.workspace)
        self.case.check("final.profile_count", len(final), described.profile_count)
        for label, expected in final.items():
            self.case.check(
                f"final.{label}",
                {namespace: sorted(values) for namespace, values in expected.items() if values},
                self._identifiers(label),
            )
            self._check_lookups(label, expected)

    def _learn_label(self, where: str, answer: Resolution) -> None:
        if answer.created:
            if answer.profile_id in self.labels.values():
                self.case.fail(where, f"created {answer.profile_id}, which existed")
            self.labels[f"P{len(self.labels) + 1}"] = answer.profile_id

    def _label(self, profile_id: str) -> str | None:
        if not profile_id:
            return None
        for label, known in self.labels.items():
            if known == profile_id:
                return label
        return f"unknown profile {profile_id}"

    def _check_extraction(self, where: str, ids: list[list[str]], answer: Resolution) -> None:
        """The pairs that extraction gave are the pairs that got a verdict.

        A type that is not in the workspace is named in our answer; the file's `ids` leave
        such pairs out, so they count only where the file has them.
        """
        expected = {(namespace, value) for namespace, value in ids}
        actual = {
            _sent(verdict)
            for verdict in answer.verdicts
            if verdict.rule != Rule.UNKNOWN_NAMESPACE or _sent(verdict) in expected
        }
        self.case.check(f"{where}.ids", expected, actual)

    def _check_expectation(
        self, where: str, expectation: dict[str, Any], answer: Resolution
    ) -> None:
        for key in sorted(set(expectation) - _EXPECTATION_KEYS - _REMARKS):
            self.case.fail(f"{where}.{key}", "cannot be expressed")
        check = self.case.check
        if "decision" in expectation:
            self._check_decision(where, expectation["decision"], answer)
        if "profile" in expectation:
            check(f"{where}.profile", expectation["profile"], self._label(answer.profile_id))
        if "added" in expectation:
            expected = {(namespace, value) for namespace, value in expectation["added"]}
            check(f"{where}.added", expected, _attached(answer))
        if "merged" in expectation:
            merged = {(source, into) for source, into in expectation["merged"]}
            into = self._label(answer.profile_id)
            actual = {(self._label(source), into) for source in answer.absorbed_profile_ids}
            check(f"{where}.merged", merged, actual)
        self._check_dropped(where, expectation, answer)
        self._check_violations(where, expectation, answer)
        check(f"{where}.error", expectation.get("error"), SEGMENT.errors.get(answer.decision))

    def _check_decision(self, where: str, word: str, answer: Resolution) -> None:
        if word not in SEGMENT.decisions:
            self.case.fail(f"{where}.decision", f"{word!r} is not in the vocabulary")
            return
        if answer.decision not in SEGMENT.decisions[word]:
            self.case.fail(f"{where}.decision", f"expected {word}, got {answer.decision}")
        self.case.check(f"{where}.created", word == "create", answer.created)

    def _check_dropped(self, where: str, expectation: dict[str, Any], answer: Resolution) -> None:
        expected = {_expected_drop(where, drop) for drop in expectation.get("dropped", [])}
        listed = {(drop[0], drop[1]) for drop in expected}
        actual = {
            (*_sent(verdict), verdict.rule, verdict.limit_namespace)
            for verdict in answer.verdicts
            if _is_theirs_to_list(verdict, listed)
        }
        self.case.check(f"{where}.dropped", _readable(expected), _readable(actual))

    def _check_violations(
        self, where: str, expectation: dict[str, Any], answer: Resolution
    ) -> None:
        """A cap that kept a profile as it was shows as a violation, which the file must name;
        a dropped identifier has its own list, and the file may name its violation too."""
        expected = {_expected_violation(where, each) for each in expectation.get("violations", [])}
        listed = {_expected_drop(where, drop)[2] for drop in expectation.get("dropped", [])}
        refused = _rules_behind(answer, Verdict.REFUSED)
        dropped = _rules_behind(answer, Verdict.DROPPED)
        for rule in sorted(expected - refused - dropped):
            self.case.fail(f"{where}.violations", f"missing {rule}")
        for rule in sorted(refused - expected - listed):
            self.case.fail(f"{where}.violations", f"unexpected {rule}")
        for verdict in answer.verdicts:
            if verdict.rule in SEGMENT.violation_names:
                name = SEGMENT.violation_names[verdict.rule]
                self.case.check(f"{where}.violation", name, verdict.violation)

    def _identifiers(self, label: str) -> dict[str, list[str]] | None:
        profile = self.target.profile(self.workspace, self.labels.get(label, label))
        if profile is None:
            return None
        self.case.check(f"final.{label}.id", self.labels.get(label), profile.profile_id)
        found: dict[str, list[str]] = {}
        for each in profile.identifiers:
            found.setdefault(each.identifier.namespace, []).append(each.identifier.value)
        return {namespace: sorted(values) for namespace, values in found.items()}

    def _check_lookups(self, label: str, expected: dict[str, list[str]]) -> None:
        for namespace, values in expected.items():
            for value in values:
                owner = self.target.owner(self.workspace, (namespace, value))
                self.case.check(
                    f"final.lookup.{namespace}={value}", label, self._label(owner or "")
                )


def _sent(verdict: IdentifierVerdict) -> Pair:
    return (verdict.identifier.namespace, verdict.raw_value or verdict.identifier.value)


def _attached(answer: Resolution) -> set[Pair]:
    return {_sent(v) for v in answer.verdicts if v.verdict == Verdict.ATTACHED}


def _rules_behind(answer: Resolution, verdict: Verdict) -> set[Rule]:
    return {v.rule for v in answer.verdicts if v.verdict == verdict and v.rule is not None}


def _is_theirs_to_list(verdict: IdentifierVerdict, listed: set[Pair]) -> bool:
    """Whether the vendor would list this identifier as dropped.

    It lists none of a type that it does not know, and what a cap refused shows as a
    violation instead; either counts here where the file does list it.
    """
    if _sent(verdict) in listed:
        return verdict.verdict in (Verdict.DROPPED, Verdict.REFUSED)
    return verdict.verdict == Verdict.DROPPED and verdict.rule != Rule.UNKNOWN_NAMESPACE


def _expected_drop(where: str, drop: dict[str, Any]) -> tuple[str, str, Rule | None, str]:
    unknown = sorted(set(drop) - {"type", "id", "reason", "limit_of"} - _REMARKS)
    if unknown:
        raise Inexpressible(f"{where}.dropped: {', '.join(unknown)} cannot be expressed")
    if drop["reason"] not in SEGMENT.drop_reasons:
        raise Inexpressible(f"{where}.dropped: reason {drop['reason']!r} is not in the vocabulary")
    return (
        drop["type"],
        drop["id"],
        SEGMENT.drop_reasons[drop["reason"]],
        drop.get("limit_of") or "",
    )


def _expected_violation(where: str, violation: Any) -> Rule:
    name = violation
    if isinstance(violation, dict):
        name = next((violation[key] for key in ("violation", "name") if key in violation), None)
    if name not in SEGMENT.violations:
        raise Inexpressible(f"{where}.violations: {violation!r} is not in the vocabulary")
    return SEGMENT.violations[name]


def _readable(drops: set[tuple[str, str, Rule | None, str]]) -> set[str]:
    return {
        f"{namespace}={value} {rule} of {limit_of or 'nothing'}"
        for namespace, value, rule, limit_of in drops
    }


def _preview_of(answer: Resolution) -> Resolution:
    """What a preview must foretell: everything but the id of a profile yet to be made, and
    the record that was written."""
    foretold = replace(answer, sequence_number=0, recorded=False)
    return replace(foretold, profile_id="", attributed_by=None) if answer.created else foretold
