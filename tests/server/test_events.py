"""From Python values to messages: what is kept, what is turned, what cannot be sent at all."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from ipse import (
    CanonicalId,
    Decision,
    Event,
    FormerId,
    Identifier,
    IdentityTarget,
    ImportedIdentifier,
    ImportedProfile,
    ImportedTrait,
    InvalidArgument,
    MergeVerdict,
    MoveCause,
    Rule,
    ValueChoice,
    ValueForm,
    Verdict,
    _calls,
    _messages,
    _writes,
)
from ipse.model.values import found_by
from ipse.v1 import event_pb2, identity_pb2


def test_identifiers_come_as_a_mapping_or_as_pairs() -> None:
    mapping = Event(identifiers={"email": "a@b.c", "phone": ["+1", "+2"], "user_id": 7})
    pairs = Event(
        identifiers=[
            Identifier("email", "a@b.c"),
            ("phone", "+1"),
            ("phone", "+2"),
            ("user_id", "7"),
        ]
    )
    assert _message(mapping) == _message(pairs)
    assert [(one.namespace, one.value) for one in _message(pairs).identifiers] == [
        ("email", "a@b.c"),
        ("phone", "+1"),
        ("phone", "+2"),
        ("user_id", "7"),
    ]


@pytest.mark.parametrize("value", [True, 1.5, None, {"a": 1}, b"bytes"])
def test_an_identifier_of_another_type_is_refused_by_its_place(value: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        _message(Event(identifiers=[("a", "b"), ("email", value)]))
    assert caught.value.field == "event.identifiers[1].value"
    assert caught.value.reason == "INVALID_FIELD"


@pytest.mark.parametrize(
    ("value", "kind", "sent"),
    [
        ("text", "string_value", "text"),
        (7, "integer_value", 7),
        (-(2**63), "integer_value", -(2**63)),
        (1.5, "number_value", 1.5),
        (True, "bool_value", True),
        ([1, "ü"], "json_value", '[1,"ü"]'),
        ({"b": 1, "a": None}, "json_value", '{"a":null,"b":1}'),
        (None, None, None),
    ],
)
def test_traits_keep_their_type(value: Any, kind: str | None, sent: object) -> None:
    (trait,) = _message(Event(traits={"name": value})).traits
    assert trait.WhichOneof("value") == kind
    if kind is not None:
        assert getattr(trait, kind) == sent


@pytest.mark.parametrize("value", [2**63, b"bytes", object(), [object()], {"a": float("nan")}])
def test_a_trait_that_no_message_can_hold_is_refused_by_name(value: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        _message(Event(traits={"plan": value}))
    assert caught.value.field == "event.traits[plan]"


def test_a_time_without_a_zone_is_refused_and_any_zone_is_turned() -> None:
    naive = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001
    with pytest.raises(InvalidArgument, match="time zone"):
        _message(Event(timestamp=naive))
    elsewhere = naive.replace(tzinfo=timezone(timedelta(hours=2)))
    message = _message(Event(timestamp=elsewhere))
    assert message.timestamp.ToDatetime(tzinfo=UTC) == elsewhere
    assert not _message(Event()).HasField("timestamp")


@pytest.mark.parametrize(
    "event",
    [Event(event_id="\ud800"), Event(identifiers={"email": "\ud800"}), Event(traits={"\ud800": 1})],
)
def test_half_a_surrogate_pair_is_refused(event: Event) -> None:
    with pytest.raises(InvalidArgument, match="Unicode"):
        _message(event)


def test_a_raw_event_may_be_an_object_text_or_bytes() -> None:
    text = '{"type": "track", "userId": "ü"}'
    raw = [Event.from_json(given).raw_json for given in (text, text.encode())]
    assert raw == [text.encode()] * 2
    assert Event.from_json({"userId": "ü"}).raw_json == '{"userId": "ü"}'.encode()
    assert Event.from_json("\ud800").raw_json == b"\xed\xa0\x80"


def test_batches_are_cut_by_count_and_by_bytes() -> None:
    events = [Event(event_id=str(number)) for number in range(7)]
    assert _batch_sizes(events, 3) == [3, 3, 1]
    assert _batch_sizes([], 3) == []
    large = [Event(raw_json=b"x" * (_calls.BATCH_BYTES_MAX // 2 + 1))] * 3
    assert _batch_sizes(large, 1_000) == [1, 1, 1]


@pytest.mark.parametrize("batch_size", [0, -1, 1_001])
def test_a_batch_size_that_no_server_takes_is_refused(batch_size: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 1000"):
        _batch_sizes([Event()], batch_size)


def test_a_profile_is_named_in_one_way() -> None:
    for names in ((None, None, None), (None, "p", ("email", "a")), (FormerId("f"), "p", None)):
        with pytest.raises(TypeError, match="either"):
            _messages.one_lookup(*names)


@pytest.mark.parametrize(
    ("lookup", "kind", "value"),
    [
        ("p-1", "profile_id", "p-1"),
        (CanonicalId("$device:d"), "canonical_id", "$device:d"),
        (FormerId("f-1"), "former_id", "f-1"),
        (("user_id", 7), "identifier", event_pb2.Identifier(namespace="user_id", value="7")),
        (Identifier("a", "b"), "identifier", event_pb2.Identifier(namespace="a", value="b")),
    ],
)
def test_whatever_names_a_profile_comes_back_as_it_was(
    lookup: Any, kind: str, value: object
) -> None:
    message = _messages.lookup_message(lookup)
    assert message.WhichOneof("lookup") == kind
    assert getattr(message, kind) == value
    again = _messages.lookup_message(found_by(message))
    assert again == message


def test_nothing_names_nobody() -> None:
    assert found_by(identity_pb2.ProfileLookup()) is None
    with pytest.raises(TypeError, match="not by None"):
        _messages.lookup_message(None)


def test_a_mask_that_shows_identifiers_shows_where_they_go_on() -> None:
    lookup = _messages.lookup_message("p")
    for names, paths in (
        (["known"], ["known"]),
        (["identifiers", "traits"], ["identifiers", "traits", "next_page_token"]),
        ([], []),
    ):
        request = _calls.get_profile(_calls.ProfileQuery.of(lookup, "", 0, names, None), "").request
        assert isinstance(request, identity_pb2.GetProfileRequest)
        assert request.HasField("read_mask")
        assert list(request.read_mask.paths) == paths
    whole = _calls.get_profile(_calls.ProfileQuery.of(lookup, "", 0, None, None), "").request
    assert isinstance(whole, identity_pb2.GetProfileRequest)
    assert not whole.HasField("read_mask")
    with pytest.raises(TypeError, match="list of names"):
        _messages.mask_message("known")


def test_a_target_is_one_namespace_or_several() -> None:
    one = _messages.target_message(IdentityTarget("email", ValueChoice.ALL, ValueForm.SHA256))
    assert list(one.namespaces) == ["email"]
    assert (one.choice, one.form) == (identity_pb2.VALUE_CHOICE_ALL, identity_pb2.VALUE_FORM_SHA256)
    assert list(_messages.target_message(IdentityTarget(("a", "b"))).namespaces) == ["a", "b"]


def test_a_trait_that_is_set_once_says_so() -> None:
    event = Event(traits={"plan": "gold"}, traits_once={"first_seen": 7})
    assert [(one.name, one.set_once) for one in _message(event).traits] == [
        ("plan", False),
        ("first_seen", True),
    ]
    with pytest.raises(InvalidArgument, match="would remove it"):
        _message(Event(traits_once={"plan": None}))  # type: ignore[dict-item]


def test_an_operation_id_is_the_id_of_its_event() -> None:
    for event in (Event(), Event(event_id="o-1")):
        call = _writes.logout(event, _writes.Terms("", read_only=False, operation_id="o-1"))
        assert isinstance(call.request, identity_pb2.LogoutRequest)
        assert call.request.event.event_id == "o-1"
    with pytest.raises(ValueError, match="pass one"):
        _writes.logout(Event(event_id="e"), _writes.Terms("", read_only=False, operation_id="o-1"))


def test_an_imported_profile_keeps_its_times() -> None:
    then, later = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
    profile = ImportedProfile(
        former_id="f-1",
        created_time=then,
        known=True,
        identifiers=[("email", "a@b.c"), ImportedIdentifier("device_id", 7, later)],
        traits={"plan": "gold", "age": ImportedTrait(30, later)},
    )
    message = _messages.imported_message(profile, "profiles[0]")
    assert (message.former_id, message.known) == ("f-1", True)
    assert message.created_time.ToDatetime(tzinfo=UTC) == then
    email, device = message.identifiers
    assert not email.HasField("attached_time")
    assert (device.identifier.value, device.attached_time.ToDatetime(tzinfo=UTC)) == ("7", later)
    plan, age = message.traits
    assert (plan.trait.string_value, plan.HasField("set_time")) == ("gold", False)
    assert (age.trait.integer_value, age.set_time.ToDatetime(tzinfo=UTC)) == (30, later)
    mapping = ImportedProfile(identifiers={"email": "a@b.c", "device_id": [7, 8]})
    held = _messages.imported_message(mapping, "profiles[0]").identifiers
    assert [one.identifier.value for one in held] == ["a@b.c", "7", "8"]


def test_an_imported_profile_is_refused_by_its_place() -> None:
    naive = datetime(2020, 1, 1)  # noqa: DTZ001
    wrong: dict[str, ImportedProfile] = {
        "profiles[3].created_time": ImportedProfile(created_time=naive),
        "profiles[3].identifiers[0].value": ImportedProfile(identifiers={"email": [1.5]}),
        "profiles[3].traits[plan].set_time": ImportedProfile(
            traits={"plan": ImportedTrait("gold", naive)}
        ),
        "profiles[3]": ImportedProfile(former_id="\ud800"),
    }
    for field, profile in wrong.items():
        with pytest.raises(InvalidArgument) as caught:
            _messages.imported_message(profile, "profiles[3]")
        assert caught.value.field == field


@pytest.mark.parametrize(
    "enum", [Decision, Verdict, Rule, MoveCause, MergeVerdict, ValueChoice, ValueForm]
)
def test_the_words_of_the_wire_are_the_words_of_the_model(enum: Any) -> None:
    descriptor = identity_pb2.DESCRIPTOR.enum_types_by_name[enum.__name__]
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum.__name__).upper()
    wire = [value.name.removeprefix(f"{prefix}_").lower() for value in descriptor.values]
    assert wire == ["unspecified", *enum]


def _message(event: Event) -> event_pb2.Event:
    return _messages.event_message(event, "event")


def _batch_sizes(events: list[Event], batch_size: int) -> list[int]:
    sizes = []
    for call in _calls.resolve_batches(events, "", read_only=False, batch_size=batch_size):
        assert isinstance(call.request, identity_pb2.ResolveEventsRequest)
        sizes.append(len(call.request.events))
    return sizes
