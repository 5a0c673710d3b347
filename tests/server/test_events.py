"""From Python values to messages: what is kept, what is turned, what cannot be sent at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from ipse import Decision, Event, Identifier, InvalidArgument, Rule, Verdict, _calls
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
    for names in ((None, None), ("p", ("email", "a"))):
        with pytest.raises(TypeError, match="either"):
            _calls.one_lookup(*names)


@pytest.mark.parametrize("enum", [Decision, Verdict, Rule])
def test_the_words_of_the_wire_are_the_words_of_the_model(enum: Any) -> None:
    descriptor = identity_pb2.DESCRIPTOR.enum_types_by_name[enum.__name__]
    prefix = enum.__name__.upper()
    wire = [value.name.removeprefix(f"{prefix}_").lower() for value in descriptor.values]
    assert wire == ["unspecified", *enum]


def _message(event: Event) -> event_pb2.Event:
    return _calls.event_message(event, "event")


def _batch_sizes(events: list[Event], batch_size: int) -> list[int]:
    sizes = []
    for call in _calls.resolve_batches(events, "", read_only=False, batch_size=batch_size):
        assert isinstance(call.request, identity_pb2.ResolveEventsRequest)
        sizes.append(len(call.request.events))
    return sizes
