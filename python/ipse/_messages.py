"""Values as messages: what callers pass, in the form of the wire.

Refuses only what a message cannot hold at all, in the words the engine would use; every other
check is the engine's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from ipse.errors import InvalidArgument
from ipse.model import (
    CanonicalId,
    Event,
    FormerId,
    FoundBy,
    Identifier,
    IdentityTarget,
    ImportedIdentifier,
    ImportedProfile,
    ImportedTrait,
)
from ipse.v1 import event_pb2, identity_pb2

_INTEGER_MIN: Final = -(2**63)
_INTEGER_MAX: Final = 2**63 - 1
_SEQUENCE_MAX: Final = 2**64 - 1

IdentifierPair: TypeAlias = tuple[str, str | int] | Identifier
"""How a caller names an identifier."""
Identifiers: TypeAlias = Mapping[str, object] | Iterable[IdentifierPair]
"""Several: of a mapping the values are text, whole numbers, or lists of these."""
Lookup: TypeAlias = FoundBy | tuple[str, str | int]
"""A profile id, an identifier that the profile holds, a CanonicalId or a FormerId."""
PastMoment: TypeAlias = int | datetime
"""As of a record, by its sequence number, or as of a log time."""


def event_message(event: Event, path: str) -> event_pb2.Event:
    """Write an event as its message; `path` is what a refusal calls it."""
    try:
        return event_pb2.Event(
            event_id=event.event_id,
            type=event.type,
            source=event.source,
            profile_id=event.profile_id,
            key_namespace=event.key_namespace,
            raw_json=event.raw_json,
            timestamp=time_message(event.timestamp, f"{path}.timestamp"),
            identifiers=identifier_messages(event.identifiers, f"{path}.identifiers"),
            traits=_trait_messages(event, path),
        )
    except UnicodeEncodeError as error:
        raise _not_unicode(path, error) from None


def one_lookup(
    lookup: Lookup | None, profile_id: str | None, identifier: IdentifierPair | None
) -> identity_pb2.ProfileLookup:
    """Read the ways of naming a profile, of which a caller uses one."""
    given = [way for way in (lookup, profile_id, identifier) if way is not None]
    if len(given) != 1:
        raise TypeError("pass either profile_id or identifier, or one lookup")
    return lookup_message(given[0])


def lookup_message(lookup: Lookup | None, path: str = "lookup") -> identity_pb2.ProfileLookup:
    """Name a profile; `path` is what a refusal calls it."""
    match lookup:
        case str():
            return identity_pb2.ProfileLookup(profile_id=lookup)
        case CanonicalId():
            return identity_pb2.ProfileLookup(canonical_id=lookup.value)
        case FormerId():
            return identity_pb2.ProfileLookup(former_id=lookup.value)
        case None:
            raise TypeError("a profile is looked up by an id or an identifier, not by None")
    return identity_pb2.ProfileLookup(identifier=identifier_message(lookup, f"{path}.identifier"))


def lookup_messages(lookups: Iterable[Lookup], path: str) -> list[identity_pb2.ProfileLookup]:
    """Name several profiles."""
    return [lookup_message(lookup, f"{path}[{index}]") for index, lookup in enumerate(lookups)]


def mask_message(read_mask: Iterable[str] | None) -> FieldMask | None:
    """Say which fields of a profile to read; None: all."""
    if read_mask is None:
        return None
    if isinstance(read_mask, str):
        raise TypeError(f"read_mask is a list of names of fields, as [{read_mask!r}]")
    return FieldMask(paths=read_mask)


def time_message(time: datetime | None, path: str) -> Timestamp | None:
    """Write a time, which has a zone; None: none."""
    if time is None:
        return None
    # A time without a zone would silently mean another instant on another machine.
    if time.tzinfo is None:
        raise _invalid(path, "has no time zone; use datetime.now(UTC) or the like")
    message = Timestamp()
    message.FromDatetime(time)
    return message


def as_of_message(moment: PastMoment | None, path: str = "as_of") -> identity_pb2.AsOf | None:
    """Write a moment in the past; None: now."""
    match moment:
        case None:
            return None
        case datetime():
            return identity_pb2.AsOf(log_time=time_message(moment, f"{path}.log_time"))
        case int() if 0 <= moment <= _SEQUENCE_MAX and not isinstance(moment, bool):
            return identity_pb2.AsOf(sequence_number=moment)
    raise _invalid(path, f"must be a sequence number or a time, not {moment!r}")


def target_message(target: IdentityTarget) -> identity_pb2.IdentityTarget:
    """Write what a destination needs."""
    names = target.namespaces
    return identity_pb2.IdentityTarget(
        namespaces=(names,) if isinstance(names, str) else names,
        choice=identity_pb2.ValueChoice.Value(f"VALUE_CHOICE_{target.choice.name}"),
        form=identity_pb2.ValueForm.Value(f"VALUE_FORM_{target.form.name}"),
    )


def imported_message(profile: ImportedProfile, path: str) -> identity_pb2.ImportedProfile:
    """Write a profile of another system; `path` is what a refusal calls it."""
    held = _imported_identifiers(profile.identifiers)
    try:
        return identity_pb2.ImportedProfile(
            former_id=profile.former_id,
            created_time=time_message(profile.created_time, f"{path}.created_time"),
            known=profile.known,
            identifiers=[
                _imported_identifier(each, f"{path}.identifiers[{index}]")
                for index, each in enumerate(held)
            ],
            traits=[_imported_trait(name, value, path) for name, value in profile.traits.items()],
        )
    except UnicodeEncodeError as error:
        raise _not_unicode(path, error) from None


def identifier_messages(identifiers: Identifiers, path: str) -> list[event_pb2.Identifier]:
    """Write identifiers, of a mapping or of pairs."""
    pairs = _pairs(identifiers) if isinstance(identifiers, Mapping) else identifiers
    return [identifier_message(pair, f"{path}[{index}]") for index, pair in enumerate(pairs)]


def identifier_message(pair: IdentifierPair, path: str) -> event_pb2.Identifier:
    """Write an identifier; whole numbers become decimal text."""
    namespace, value = (pair.namespace, pair.value) if isinstance(pair, Identifier) else pair
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise _invalid(f"{path}.value", f"must be text or a whole number, not {_kind(value)}")
    try:
        return event_pb2.Identifier(namespace=namespace, value=str(value))
    except UnicodeEncodeError as error:
        raise _not_unicode(path, error) from None


def _pairs(identifiers: Mapping[str, Any]) -> Iterator[IdentifierPair]:
    for namespace, values in identifiers.items():
        if isinstance(values, (list, tuple)):
            yield from ((namespace, value) for value in values)
        else:
            yield namespace, values


def _imported_identifiers(
    identifiers: Mapping[str, object]
    | Iterable[ImportedIdentifier | Identifier | tuple[str, str | int]],
) -> Iterator[ImportedIdentifier | IdentifierPair]:
    return iter(_pairs(identifiers) if isinstance(identifiers, Mapping) else identifiers)


def _imported_identifier(
    held: ImportedIdentifier | IdentifierPair, path: str
) -> identity_pb2.ImportedIdentifier:
    if not isinstance(held, ImportedIdentifier):
        return identity_pb2.ImportedIdentifier(identifier=identifier_message(held, path))
    return identity_pb2.ImportedIdentifier(
        identifier=identifier_message((held.namespace, held.value), path),
        attached_time=time_message(held.attached_time, f"{path}.attached_time"),
    )


def _imported_trait(name: str, value: object, path: str) -> identity_pb2.ImportedTrait:
    if not isinstance(value, ImportedTrait):
        return identity_pb2.ImportedTrait(trait=_trait_message(name, value, path))
    return identity_pb2.ImportedTrait(
        trait=_trait_message(name, value.value, path),
        set_time=time_message(value.set_time, f"{path}.traits[{name}].set_time"),
    )


def _trait_messages(event: Event, path: str) -> list[event_pb2.Trait]:
    traits = [_trait_message(name, value, path) for name, value in event.traits.items()]
    for name, value in event.traits_once.items():
        if value is None:
            raise _invalid(f"{path}.traits_once[{name}]", "must be a value; None would remove it")
        once = _trait_message(name, value, path)
        once.set_once = True
        traits.append(once)
    return traits


def _trait_message(name: str, value: object, path: str) -> event_pb2.Trait:
    match value:
        case None:
            return event_pb2.Trait(name=name)
        case bool():
            return event_pb2.Trait(name=name, bool_value=value)
        case str():
            return event_pb2.Trait(name=name, string_value=value)
        case int() if _INTEGER_MIN <= value <= _INTEGER_MAX:
            return event_pb2.Trait(name=name, integer_value=value)
        case float():
            return event_pb2.Trait(name=name, number_value=value)
        case list() | tuple() | Mapping():
            return event_pb2.Trait(name=name, json_value=_json_text(name, value, path))
    raise _invalid(
        f"{path}.traits[{name}]",
        "must be text, a whole number of 64 bits, a number, true, false, a list or an object, "
        f"not {_kind(value)}",
    )


def _json_text(name: str, value: object, path: str) -> str:
    # Sorted, so that equal objects are equal traits whatever order their keys came in.
    try:
        return json.dumps(
            value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False
        )
    except (TypeError, ValueError) as error:
        raise _invalid(f"{path}.traits[{name}]", f"cannot be JSON: {error}") from None


def _kind(value: object) -> str:
    return type(value).__name__


def _not_unicode(path: str, error: UnicodeEncodeError) -> InvalidArgument:
    return _invalid(path, f"holds text that is not valid Unicode: {error.reason}")


def _invalid(field: str, message: str) -> InvalidArgument:
    return InvalidArgument(f"{field} {message}", reason="INVALID_FIELD", field=field)
