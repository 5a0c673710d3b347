"""The mParticle form: one expectation for each request, in order, then the final state.

Labels (M1, M2...) number profiles in the order of their creation, those that a scenario begins
with first. What the vendor's HTTP server answers is derived from our answers here: status codes
are no part of the product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ipse import (
    Decision,
    Event,
    Identifier,
    IdentifierChange,
    ImportedProfile,
    ItemError,
    Profile,
    Refused,
    Resolution,
    Rule,
    Verdict,
)

from tests.conformance.case import Case, Inexpressible
from tests.conformance.mparticle_rules import login_ids, rules_toml
from tests.conformance.vocabulary import MPARTICLE
from tests.target import Pair, Target

_SCENARIO_KEYS = frozenset({"name", "system", "source", "config", "events", "expected"})
_REMARKS = frozenset(
    {"status", "notes", "note", "why", "message", "compare", "source_mpid", "version"}
)
_EVENT_KEYS = frozenset(
    {
        "id",
        "op",
        "known_identities",
        "previous_mpid",
        "mpid",
        "identity_changes",
        "alias",
        "environment",
        "request_id",
        "request_timestamp_ms",
        "timestamp",
        "context",
        "client_sdk",
    }
)
_ALIAS_KEYS = frozenset(
    {"source_mpid", "destination_mpid", "start_unixtime_ms", "end_unixtime_ms", "scope"}
)
_NOBODY = "nobody"
"""The id of a profile that was never made."""


@dataclass
class Answer:
    """What the vendor's server would answer, and what stands behind it."""

    http: int
    mpid: str | None = None
    created: bool | None = None
    error: str | None = None
    applied: bool | None = None
    resolution: Resolution | None = None


class ApiError(Exception):
    """An error of the vendor's server."""

    def __init__(self, http: int, code: str) -> None:
        super().__init__(f"{http} {code}")
        self.answer = Answer(http, error=code)


def accepts(scenario: dict[str, Any]) -> bool:
    """Whether this form can play the scenario."""
    return bool(scenario.get("config", {}).get("system") == "mparticle")


def play(scenario: dict[str, Any], target: Target, workspace: str, case: Case) -> None:
    """Plays the scenario in a fresh workspace and checks every answer and the final state."""
    for key in sorted(set(scenario) - _SCENARIO_KEYS - _REMARKS):
        case.fail(key, "cannot be expressed")
    config = scenario["config"]
    rules = rules_toml(config)
    target.call.create_workspace(workspace, rules_toml=rules)
    run = Run(target, workspace, config, case, login_ids(rules))
    run.begin_with(config.get("initial_profiles") or {})
    steps = [entry for entry in scenario["expected"] if "final" not in entry]
    case.check("expected", len(scenario["events"]), len(steps))
    for number, (event, expectation) in enumerate(zip(scenario["events"], steps, strict=False)):
        where = str(event.get("id", f"event {number}"))
        case.check(f"{where}.event", expectation.get("event", event.get("id")), event.get("id"))
        case.guard(where, partial(run.step, where, event, expectation))
    for final in [entry["final"] for entry in scenario["expected"] if "final" in entry]:
        case.state_checks.append(partial(run.check_final, final))


@dataclass
class Run:
    """A scenario under way: which profile each label means."""

    target: Target
    workspace: str
    config: dict[str, Any]
    case: Case
    login_ids: frozenset[str]
    labels: dict[str, str] = field(default_factory=dict)
    """Label to profile id, for every profile ever created."""

    def begin_with(self, profiles: dict[str, dict[str, list[str]]]) -> None:
        """Brings the profiles that exist before the first request."""
        given = [
            ImportedProfile(identifiers=identities, known=self._has_login(identities))
            for identities in profiles.values()
        ]
        results = self.target.call.import_profiles(given, workspace=self.workspace)
        for label, result in zip(profiles, results, strict=True):
            if isinstance(result, ItemError):
                raise Inexpressible(f"initial_profiles.{label}: {result}")
            self.labels[label] = result.profile_id

    def step(self, where: str, event: dict[str, Any], expectation: dict[str, Any]) -> None:
        """Sends one request and checks the answer."""
        for key in sorted(set(event) - _EVENT_KEYS - _REMARKS):
            self.case.fail(f"{where}.{key}", "cannot be expressed")
        try:
            answer = self._send(event)
        except ApiError as error:
            answer = error.answer
        self._learn_label(answer)
        self._check(where, expectation, answer)

    def check_final(self, final: dict[str, dict[str, list[str]]]) -> None:
        """Compares every profile that there is."""
        described = self.target.call.get_workspace(self.workspace)
        self.case.check("final.profile_count", len(final), described.profile_count)
        for label, expected in final.items():
            profile = self.target.profile(self.workspace, self.labels.get(label, _NOBODY))
            found = _held(profile) if profile else None
            self.case.check(f"final.{label}", _sorted(expected), found)
            self._check_lookups(label, expected)

    def _check_lookups(self, label: str, expected: dict[str, list[str]]) -> None:
        for namespace, values in expected.items():
            for value in values:
                identifier = Identifier(namespace, value)
                found = self.target.call.lookup_profiles(identifier, workspace=self.workspace)
                holders = {profile.profile_id for profile in found.profiles}
                where = f"final.{label}.{namespace}={value}"
                self.case.check(where, True, self.labels.get(label) in holders)

    def _send(self, event: dict[str, Any]) -> Answer:
        ops: dict[str, Callable[[dict[str, Any]], Answer]] = {
            "identify": self._identify,
            "login": self._login,
            "logout": self._logout,
            "search": self._search,
            "modify": self._modify,
            "alias": self._alias,
        }
        if event["op"] not in ops:
            raise Inexpressible(f"the op {event['op']!r} cannot be expressed")
        return ops[event["op"]](event)

    def _identify(self, event: dict[str, Any]) -> Answer:
        sent = self._event(event, self._identities(event))
        return _resolved(self.target.call.resolve(sent, workspace=self.workspace))

    def _login(self, event: dict[str, Any]) -> Answer:
        identities = self._identities(event)
        if self.config["strategy"] in MPARTICLE.clean_cut and not self._has_login(dict(identities)):
            raise ApiError(400, "LOOKUP_ERROR")
        sent = self._event(event, identities)
        return _resolved(self.target.call.login(sent, workspace=self.workspace))

    def _logout(self, event: dict[str, Any]) -> Answer:
        sent = self._event(event, self._identities(event))
        return _resolved(self.target.call.logout(sent, workspace=self.workspace))

    def _search(self, event: dict[str, Any]) -> Answer:
        identities = self._identities(event)
        if self.config.get("search_requires_immutable_match"):
            immutable = self.config.get("immutable_ids", ())
            identities = [pair for pair in identities if pair[0] in immutable]
        # A search looks at every identity, also where a login id that is new would begin a
        # profile: one that nobody has takes no part.
        identities = [pair for pair in identities if self._is_held(pair)]
        if not identities:
            raise ApiError(404, "NOT_FOUND_ERROR")
        sent = self._event(event, identities)
        found = self.target.call.resolve(sent, workspace=self.workspace, read_only=True)
        if found.created or found.decision == Decision.UNRESOLVED:
            raise ApiError(404, "NOT_FOUND_ERROR")
        return _resolved(found)

    def _is_held(self, identity: Pair) -> bool:
        found = self.target.call.lookup_profiles(identity, workspace=self.workspace)
        return found.profile_count > 0

    def _modify(self, event: dict[str, Any]) -> Answer:
        changes = [
            IdentifierChange(
                change["identity_type"],
                change.get("old_value") or "",
                change.get("new_value") or "",
            )
            for change in event["identity_changes"]
        ]
        profile_id = self.labels.get(event["mpid"], _NOBODY)
        try:
            answer = self.target.call.modify_identifiers(
                profile_id, changes, workspace=self.workspace
            )
        except Refused as refused:
            raise ApiError(400, "BAD_REQUEST") from refused
        return _resolved(answer)

    def _alias(self, event: dict[str, Any]) -> Answer:
        alias = event["alias"]
        unknown = sorted(set(alias) - _ALIAS_KEYS - _REMARKS)
        if unknown:
            raise Inexpressible(f"alias: {', '.join(unknown)} cannot be expressed")
        try:
            answer = self.target.call.attribute_history(
                self.labels.get(alias["source_mpid"], _NOBODY),
                self.labels.get(alias["destination_mpid"], _NOBODY),
                start_time=_time(alias["start_unixtime_ms"]),
                end_time=_time(alias["end_unixtime_ms"]),
                workspace=self.workspace,
            )
        except Refused:
            return Answer(400, applied=False)
        if answer.rule == Rule.ATTRIBUTION_OFF:
            return Answer(403, applied=False)
        return Answer(202, applied=answer.applied)

    def _identities(self, event: dict[str, Any]) -> list[Pair]:
        known = event.get("known_identities") or {}
        pairs = [(namespace, str(value)) for namespace, value in known.items() if value]
        if not pairs:
            raise ApiError(400, "LOOKUP_ERROR")
        return pairs

    def _event(self, event: dict[str, Any], identities: list[Pair]) -> Event:
        times = [event[key] for key in ("timestamp", "request_timestamp_ms") if event.get(key)]
        # Only a login looks at the user until then; every call carries the id.
        previous = event.get("previous_mpid") if event["op"] == "login" else None
        return Event(
            type=event["op"],
            identifiers=identities,
            timestamp=_time(times[0]) if times else None,
            profile_id=self.labels.get(previous, _NOBODY) if previous else "",
        )

    def _has_login(self, identities: dict[str, Any]) -> bool:
        return any(namespace in self.login_ids for namespace in identities)

    def _learn_label(self, answer: Answer) -> None:
        if answer.created and answer.mpid:
            self.labels[f"M{len(self.labels) + 1}"] = answer.mpid

    def _label(self, profile_id: str | None) -> str | None:
        known = (label for label, id_ in self.labels.items() if id_ == profile_id)
        return next(known, profile_id)

    def _check(self, where: str, expectation: dict[str, Any], answer: Answer) -> None:
        actual: dict[str, Callable[[], Any]] = {
            "event": lambda: expectation["event"],
            "http": lambda: answer.http,
            "mpid": lambda: self._label(answer.mpid),
            "created": lambda: bool(answer.created),
            "error": lambda: answer.error,
            "applied": lambda: answer.applied,
            "scope_profiles": lambda: self._scope(expectation["scope_profiles"]),
            "is_logged_in": lambda: answer.resolution and answer.resolution.known,
            "matched_identities": lambda: _matched(answer.resolution),
        }
        for key, expected in expectation.items():
            if key in actual:
                self.case.check(f"{where}.{key}", expected, actual[key]())
            elif key not in _REMARKS:
                self.case.fail(f"{where}.{key}", "cannot be expressed")
        if "error" not in expectation and answer.error and expectation.get("http", 200) < 400:
            self.case.fail(f"{where}.error", f"unexpected {answer.error}")

    def _scope(self, expected: Any) -> Any:
        """The profiles of the scope, in the form that the file gives them: counted, named, or
        each with its identities."""
        profiles = list(self.target.call.list_profiles(workspace=self.workspace))
        if isinstance(expected, int):
            return len(profiles)
        named = {str(self._label(profile.profile_id)): _held(profile) for profile in profiles}
        if isinstance(expected, list):
            return [label for label in expected if label in named] + sorted(
                set(named) - set(expected)
            )
        return named


def _resolved(resolution: Resolution) -> Answer:
    if resolution.decision == Decision.UNRESOLVED:
        raise ApiError(400, "LOOKUP_ERROR")
    return Answer(
        200, mpid=resolution.profile_id, created=resolution.created, resolution=resolution
    )


def _matched(resolution: Resolution | None) -> dict[str, str]:
    verdicts = resolution.verdicts if resolution else ()
    return {
        each.identifier.namespace: each.identifier.value
        for each in verdicts
        if each.verdict == Verdict.ALREADY_ATTACHED
    }


def _held(profile: Profile) -> dict[str, list[str]]:
    held: dict[str, list[str]] = {}
    for each in profile.identifiers:
        held.setdefault(each.identifier.namespace, []).append(each.identifier.value)
    return _sorted(held)


def _sorted(identities: dict[str, list[str]]) -> dict[str, list[str]]:
    return {namespace: sorted(values) for namespace, values in identities.items() if values}


def _time(time: Any) -> datetime:
    if isinstance(time, str):
        read = datetime.fromisoformat(time)
        return read if read.tzinfo else read.replace(tzinfo=UTC)
    return datetime.fromtimestamp(time / 1000, UTC)
