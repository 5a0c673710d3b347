"""Every reason that a caller can meet, in the same words from the embedded engine and a server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ipse
import pytest
from ipse import Event, _native, errors
from ipse._calls import Call
from ipse._services import IDENTITY
from ipse._sync import SyncCalls
from ipse.v1 import admin_pb2, event_pb2, identity_pb2

from tests.server_process import TRANSPORTS, ServerProcess

ANN = ("email", "ann@example.com")


@pytest.fixture(scope="module", params=["embedded", *TRANSPORTS])
def calls(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SyncCalls]:
    if request.param == "embedded":
        with ipse.Resolver(tmp_path_factory.mktemp("embedded") / "data") as resolver:
            yield resolver
    else:
        data_dir = tmp_path_factory.mktemp("server") / "data"
        with (
            ServerProcess(data_dir, transport=request.param) as process,
            ipse.Client(process.address) as client,
        ):
            yield client


def refused(
    kind: type[ipse.IpseError], reason: str, do: Any, *arguments: Any, **named: Any
) -> ipse.IpseError:
    with pytest.raises(kind) as caught:
        do(*arguments, **named)
    error = caught.value
    assert type(error) is kind
    assert error.reason == reason
    assert error.message
    return error


@pytest.mark.parametrize(
    ("event", "reason", "field"),
    [
        (Event(identifiers=[("", "x")]), "INVALID_FIELD", "event.identifiers[0].namespace"),
        (Event(identifiers=[ANN, ("É", "x")]), "INVALID_FIELD", "event.identifiers[1].namespace"),
        (Event(traits={"": 1}), "INVALID_FIELD", "event.traits[0].name"),
        (Event(traits={"n": float("nan")}), "INVALID_FIELD", "event.traits[0].number_value"),
        (Event(event_id="x" * 129), "LIMIT_EXCEEDED", "event.event_id"),
        (Event(type="x" * 65), "LIMIT_EXCEEDED", "event.type"),
        (Event(source="x" * 129), "LIMIT_EXCEEDED", "event.source"),
        (Event(identifiers=[ANN] * 65), "LIMIT_EXCEEDED", "event.identifiers"),
        (Event(traits=dict.fromkeys(map(str, range(301)), 1)), "LIMIT_EXCEEDED", "event.traits"),
        (Event(raw_json=b"x" * 65_537), "LIMIT_EXCEEDED", "event.raw_json"),
        (Event(raw_json=b"{"), "MALFORMED_JSON", "event.raw_json"),
        (Event(raw_json=b"[]"), "MALFORMED_JSON", "event.raw_json"),
        (Event(raw_json=b'"\xff"'), "MALFORMED_JSON", "event.raw_json"),
        (Event.from_json("\ud800"), "MALFORMED_JSON", "event.raw_json"),
        (Event(raw_json=b"{}", identifiers=[ANN]), "EVENT_FORM_AMBIGUOUS", None),
        (Event(raw_json=b"{}", traits={"a": 1}), "EVENT_FORM_AMBIGUOUS", None),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_an_event_that_is_not_allowed_names_its_field(
    calls: SyncCalls, event: Event, reason: str, field: str | None
) -> None:
    error = refused(ipse.InvalidArgument, reason, calls.resolve, event)
    if field is not None:
        assert error.field == field


def test_a_time_more_than_a_day_ahead(calls: SyncCalls) -> None:
    event = Event(identifiers=[ANN], timestamp=datetime.now(UTC) + timedelta(days=2))
    refused(ipse.InvalidArgument, "TIMESTAMP_IN_FUTURE", calls.resolve, event)


def test_an_event_id_of_another_event(calls: SyncCalls) -> None:
    calls.resolve(Event(identifiers=[("email", "one@example.com")], event_id="e-1"))
    again = Event(identifiers=[("email", "two@example.com")], event_id="e-1")
    refused(ipse.AlreadyExists, "EVENT_ID_REUSED", calls.resolve, again)


def test_a_batch_refuses_an_item_and_resolves_the_others(calls: SyncCalls) -> None:
    bad = Event(raw_json=b"{")
    first, second, third = calls.resolve_many([Event(identifiers=[ANN]), bad, Event()])
    assert isinstance(first, ipse.Resolution)
    assert isinstance(second, ipse.ItemError)
    assert (second.code, second.reason) == (ipse.Code.INVALID_ARGUMENT, "MALFORMED_JSON")
    assert second.message
    assert isinstance(third, ipse.Resolution)
    assert third.decision is ipse.Decision.UNRESOLVED


def test_a_batch_of_too_many(calls: SyncCalls) -> None:
    request = identity_pb2.ResolveEventsRequest(events=[event_pb2.Event()] * 1_001)
    error = refused(ipse.InvalidArgument, "LIMIT_EXCEEDED", carry, calls, "ResolveEvents", request)
    assert error.field == "events"
    lookups = [identity_pb2.ProfileLookup(profile_id="p")] * 1_001
    reads = identity_pb2.BatchGetProfilesRequest(lookups=lookups)
    error = refused(ipse.InvalidArgument, "LIMIT_EXCEEDED", carry, calls, "BatchGetProfiles", reads)
    assert error.field == "lookups"


def test_bytes_that_are_no_message(calls: SyncCalls) -> None:
    # A message of another type whose first field is no text.
    garbage = admin_pb2.GetRulesResponse(version=1)
    refused(ipse.InvalidArgument, "MALFORMED_REQUEST", carry, calls, "ResolveEvent", garbage)


def test_a_method_that_does_not_exist(calls: SyncCalls) -> None:
    request = admin_pb2.GetStatsRequest()
    refused(ipse.Unimplemented, "METHOD_NOT_FOUND", carry, calls, "ForgetEverything", request)


@pytest.mark.parametrize("lookup", [{"profile_id": "nobody"}, {"identifier": ("email", "x@y.z")}])
def test_nobody_of_that_name(calls: SyncCalls, lookup: dict[str, Any]) -> None:
    refused(ipse.NotFound, "PROFILE_NOT_FOUND", calls.get_profile, **lookup)


def test_an_event_that_names_nobody(calls: SyncCalls) -> None:
    event = Event(identifiers=[ANN], profile_id="nobody")
    refused(ipse.NotFound, "PROFILE_NOT_FOUND", calls.resolve, event)


def test_a_batch_of_reads_answers_each(calls: SyncCalls) -> None:
    calls.resolve(Event(identifiers=[ANN]))
    found, missing = calls.get_profiles([ANN, "nobody"])
    assert isinstance(found, ipse.Profile)
    assert isinstance(missing, ipse.ItemError)
    assert missing.reason == "PROFILE_NOT_FOUND"


def test_a_workspace_that_does_not_exist(calls: SyncCalls) -> None:
    where, rules = {"workspace": "elsewhere"}, calls.get_rules().toml
    refused(ipse.NotFound, "WORKSPACE_NOT_FOUND", calls.resolve, Event(), **where)
    refused(ipse.NotFound, "WORKSPACE_NOT_FOUND", calls.resolve_many, [Event()], **where)
    refused(ipse.NotFound, "WORKSPACE_NOT_FOUND", calls.get_profile, identifier=ANN, **where)
    refused(ipse.NotFound, "WORKSPACE_NOT_FOUND", calls.get_profiles, [ANN], **where)
    refused(ipse.NotFound, "WORKSPACE_NOT_FOUND", calls.get_rules, **where)
    refused(ipse.NotFound, "WORKSPACE_NOT_FOUND", calls.set_rules, rules, **where)
    refused(ipse.NotFound, "WORKSPACE_NOT_FOUND", calls.get_workspace, "elsewhere")


def test_a_workspace_that_exists(calls: SyncCalls) -> None:
    refused(ipse.AlreadyExists, "WORKSPACE_EXISTS", calls.create_workspace, "default")


@pytest.mark.parametrize("name", ["", "Upper", "1st", "a b", "x" * 65])
def test_a_workspace_name_that_is_not_allowed(calls: SyncCalls, name: str) -> None:
    with pytest.raises(ipse.InvalidArgument) as caught:
        calls.create_workspace(name)
    assert caught.value.field == "name"


def test_rules_with_problems(calls: SyncCalls) -> None:
    wrong = '[namespaces.email]\nlimit = "many"\n'
    refused(ipse.InvalidArgument, "INVALID_RULES", calls.set_rules, wrong)
    refused(ipse.InvalidArgument, "INVALID_RULES", calls.create_workspace, "w", rules_toml=wrong)
    problems = calls.validate_rules(wrong)
    assert problems
    assert problems[0].line == 2
    assert "limit" in problems[0].key
    assert str(problems[0]).startswith("line 2, ")


def test_rules_that_are_too_long(calls: SyncCalls) -> None:
    long = "#" * 262_145
    error = refused(ipse.InvalidArgument, "LIMIT_EXCEEDED", calls.set_rules, long)
    assert error.field == "rules_toml"


def test_rules_that_somebody_else_changed(calls: SyncCalls) -> None:
    rules = calls.get_rules()
    error = refused(
        ipse.FailedPrecondition,
        "RULES_VERSION_MISMATCH",
        calls.set_rules,
        rules.toml,
        expected_version=rules.version + 1,
    )
    assert str(rules.version) in error.metadata.values()


def test_a_page_token_that_nobody_gave_out(calls: SyncCalls) -> None:
    calls.resolve(Event(identifiers=[ANN]))
    lookup = identity_pb2.ProfileLookup(
        identifier=event_pb2.Identifier(namespace=ANN[0], value=ANN[1])
    )
    request = identity_pb2.GetProfileRequest(lookup=lookup, page_token="made up")  # noqa: S106
    refused(ipse.InvalidArgument, "INVALID_PAGE_TOKEN", carry, calls, "GetProfile", request)


def test_a_page_of_less_than_nothing(calls: SyncCalls) -> None:
    with pytest.raises(ipse.InvalidArgument) as caught:
        calls.get_profiles([ANN], page_size=-1)
    assert caught.value.field == "page_size"


def test_a_deadline_that_has_passed_writes_nothing() -> None:
    engine = _native.Engine.open(None)
    event = event_pb2.Event(identifiers=[event_pb2.Identifier(namespace=ANN[0], value=ANN[1])])
    request = identity_pb2.ResolveEventRequest(event=event).SerializeToString()
    _, code, payload = engine.call(f"/{IDENTITY}/ResolveEvent", request, 0)
    error = errors.from_status_bytes(payload)
    assert code == error.code == ipse.Code.DEADLINE_EXCEEDED
    assert error.reason == "DEADLINE_EXCEEDED"
    position, code, _ = engine.call(f"/{IDENTITY}/ResolveEvent", request, 1_000)
    assert code == 0
    response = identity_pb2.ResolveEventResponse.FromString(
        engine.call(f"/{IDENTITY}/ResolveEvent", request)[2]
    )
    assert response.resolution.decision == identity_pb2.DECISION_ALREADY_ATTACHED
    engine.wait_synced(position)
    engine.close()


def test_a_closed_resolver_is_not_serving(engine_dir: Path) -> None:
    resolver = ipse.Resolver(engine_dir)
    resolver.close()
    refused(ipse.Unavailable, "NOT_SERVING", resolver.resolve, Event(identifiers=[ANN]))


def carry(calls: SyncCalls, method: str, request: Any) -> bytes:
    """Carry any bytes to any method of IdentityService."""
    return calls._carry(Call(f"/{IDENTITY}/{method}", request, bytes))
