"""Any sequence of events, previews, repeats, checkpoints and restarts: the engine and a
naive model agree on every answer and on who is who.

A failure prints the shortest sequence that Hypothesis found, as a test to paste. Set
`IPSE_LAWS_EXAMPLES` for a longer search.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import ipse
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from ipse import Decision, Resolution, Resolver, Verdict

from tests.laws import events
from tests.laws.model import DAY_MS, Answer, Model, Pair

_EXAMPLES = int(os.environ.get("IPSE_LAWS_EXAMPLES", "60"))
_WORKSPACE = "laws"
_DECISIONS = {
    "unresolved": {Decision.UNRESOLVED},
    "created": {Decision.CREATED},
    "found": {Decision.ATTACHED, Decision.ALREADY_ATTACHED},
    "merged": {Decision.MERGED},
}
_RULES = {
    ipse.Rule.BLOCKED_VALUE: "blocked value",
    ipse.Rule.VALUE_LIMIT: "value limit",
    ipse.Rule.VALUE_TIME_LIMIT: "value time limit",
}


class EngineAgainstModel(RuleBasedStateMachine):
    """One workspace of the engine, on disk, and the same workspace of the model."""

    def __init__(self) -> None:
        super().__init__()
        self.data_dir = Path(tempfile.mkdtemp(prefix="ipse-laws-"))
        self.now_ms = 0
        self.event_count = 0
        self.ids: dict[int, str] = {}
        """The public id that each of the model's profiles was first given."""
        self.last: tuple[ipse.Event, Resolution] | None = None

    @initialize(
        policy=st.sampled_from(["drop_lowest", "legacy_2020"]), merges_max=st.sampled_from([1, 100])
    )
    def open(self, policy: str, merges_max: int) -> None:
        self.workspace_rules = replace(events.RULES, conflict=policy, merges_max=merges_max)
        self.model = Model(self.workspace_rules)
        self.resolver = self._opened()
        self.resolver.create_workspace(
            _WORKSPACE, rules_toml=events.rules_toml(self.workspace_rules)
        )

    @rule(identifiers=events.observations(), hours=st.integers(0, 5 * 24))
    def observe(self, identifiers: frozenset[Pair], hours: int) -> None:
        # A minute more, so that no event falls on the very edge of a window.
        self.now_ms += hours * DAY_MS // 24 + 60_000
        self.event_count += 1
        event = events.event(identifiers, self.now_ms, f"event-{self.event_count}")
        answer = self.resolver.resolve(event, workspace=_WORKSPACE)
        self._compare(answer, self.model.resolve(identifiers, self.now_ms))
        self.last = (event, answer)

    @rule(identifiers=events.observations())
    def preview(self, identifiers: frozenset[Pair]) -> None:
        """Answers what the same event then does, and writes nothing."""
        before = self._state()
        event = events.event(identifiers, self.now_ms)
        foretold = self.resolver.resolve(event, workspace=_WORKSPACE, read_only=True)
        assert not foretold.recorded
        assert self._state() == before
        answer = self.resolver.resolve(event, workspace=_WORKSPACE)
        assert _comparable(answer) == _comparable(foretold)
        self._compare(answer, self.model.resolve(identifiers, self.now_ms))

    @precondition(lambda self: self.last is not None)
    @rule()
    def repeat(self) -> None:
        """An event that comes again changes nothing and belongs to the same profile."""
        assert self.last is not None
        event, first = self.last
        before = self._state()
        again = self.resolver.resolve(event, workspace=_WORKSPACE)
        assert self._state() == before
        assert again.repeated or not again.recorded
        assert self._survivor(again.profile_id) == self._survivor(first.profile_id)
        if again.repeated:
            assert again.verdicts == first.verdicts
            assert again.decision == first.decision

    @rule()
    def checkpoint(self) -> None:
        before = self._state()
        self.resolver.checkpoint()
        assert self._state() == before

    @rule()
    def restart(self) -> None:
        before = self._state()
        self.resolver.close()
        self.resolver = self._opened()
        assert self._state() == before

    @invariant()
    def everyone_is_who_the_model_says(self) -> None:
        for number, identifiers in self.model.partition().items():
            profile = self.resolver.get_profile(profile_id=self.ids[number], workspace=_WORKSPACE)
            held = {(h.identifier.namespace, h.identifier.value) for h in profile.identifiers}
            assert profile.profile_id == self.ids[number]
            assert held == identifiers
            assert profile.identifier_count == len(identifiers)
            assert profile.known == any(name == "user_id" for name, _ in identifiers)

    @invariant()
    def absorbed_ids_answer_their_survivors(self) -> None:
        for number, profile_id in self.ids.items():
            found = self.resolver.get_profile(profile_id=profile_id, workspace=_WORKSPACE)
            assert found.profile_id == self.ids[self.model.survivor(number)]

    @invariant()
    def the_counts_are_right(self) -> None:
        if not hasattr(self, "resolver"):
            return
        described = self.resolver.get_workspace(_WORKSPACE)
        held = [len(identifiers) for identifiers in self.model.partition().values()]
        assert described.profile_count == len(held)
        assert described.absorbed_profile_count == self.model.created - len(held)
        assert described.identifier_count == sum(held)

    def teardown(self) -> None:
        if hasattr(self, "resolver"):
            self.resolver.close()
        shutil.rmtree(self.data_dir)

    def _opened(self) -> Resolver:
        # Neither changes what answers say; a search has no time for syncs and large files.
        return Resolver(self.data_dir, sync="off", segment_size_bytes=65_536)

    def _state(self) -> tuple[int, str]:
        described = self.resolver.get_workspace(_WORKSPACE)
        return described.sequence_number, described.state_hash

    def _survivor(self, profile_id: str) -> str:
        if not profile_id:
            return ""
        return self.resolver.get_profile(profile_id=profile_id, workspace=_WORKSPACE).profile_id

    def _compare(self, actual: Resolution, expected: Answer) -> None:
        assert actual.decision in _DECISIONS[expected.decision]
        assert actual.created == (expected.decision == "created")
        if expected.decision == "created":
            assert expected.profile is not None
            assert actual.profile_id not in self.ids.values()
            self.ids[expected.profile] = actual.profile_id
        assert actual.profile_id == (self.ids[expected.profile] if expected.profile else "")
        assert actual.absorbed_profile_ids == tuple(self.ids[n] for n in expected.absorbed)
        assert _by_verdict(actual, Verdict.ATTACHED) == expected.attached
        assert _by_verdict(actual, Verdict.REFUSED) == expected.refused
        assert _dropped(actual) == expected.dropped


def _by_verdict(answer: Resolution, verdict: Verdict) -> frozenset[Pair]:
    return frozenset(
        (each.identifier.namespace, each.identifier.value)
        for each in answer.verdicts
        if each.verdict == verdict
    )


def _dropped(answer: Resolution) -> dict[Pair, tuple[str, str]]:
    return {
        (each.identifier.namespace, each.identifier.value): (
            _RULES[each.rule] if each.rule else "",
            each.limit_namespace,
        )
        for each in answer.verdicts
        if each.verdict == Verdict.DROPPED
    }


def _comparable(answer: Resolution) -> Resolution:
    """The answer without what only a record has: its number, and the id of a new profile."""
    plain = replace(answer, sequence_number=0, recorded=False)
    return replace(plain, profile_id="", attributed_by=None) if answer.created else plain


TestEngineAgainstModel = EngineAgainstModel.TestCase
TestEngineAgainstModel.settings = settings(
    max_examples=_EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    derandomize="IPSE_LAWS_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
