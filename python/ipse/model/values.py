"""The small values that events, answers and profiles share, and how messages hold them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from ipse.v1 import event_pb2, identity_pb2

TraitValue: TypeAlias = str | int | float | bool | list[Any] | dict[str, Any]
"""What a trait may be. On an event None removes the trait."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """A (namespace, value) pair, for example `email: ann@example.com`."""

    namespace: str
    value: str

    def __str__(self) -> str:
        return f"{self.namespace}: {self.value}"

    @classmethod
    def from_proto(cls, message: event_pb2.Identifier) -> Identifier:
        """Read the message."""
        return cls(message.namespace, message.value)


@dataclass(frozen=True, slots=True)
class CanonicalId:
    """Names a profile by its canonical id, as the rules' `canonical_id` make it."""

    value: str


@dataclass(frozen=True, slots=True)
class FormerId:
    """Names an imported profile by the id that it had in its former system."""

    value: str


FoundBy: TypeAlias = str | Identifier | CanonicalId | FormerId
"""How an answer names a profile: its id, or what finds it. Every lookup takes one."""


def found_by(message: identity_pb2.ProfileLookup) -> FoundBy | None:
    """Read what names a profile; None if nothing does."""
    match message.WhichOneof("lookup"):
        case "profile_id":
            return message.profile_id
        case "identifier":
            return Identifier.from_proto(message.identifier)
        case "canonical_id":
            return CanonicalId(message.canonical_id)
        case "former_id":
            return FormerId(message.former_id)
    return None


def utc(message: Timestamp) -> datetime:
    """Read a time; one that is absent is 1970."""
    return message.ToDatetime(tzinfo=UTC)


def trait_value(message: event_pb2.Trait) -> TraitValue:
    """Read a trait that is stored."""
    kind = message.WhichOneof("value")
    if kind == "json_value":
        value: TraitValue = json.loads(message.json_value)
        return value
    # A stored trait always has a value: None is how an event removes it.
    plain: TraitValue = getattr(message, kind or "string_value")
    return plain
