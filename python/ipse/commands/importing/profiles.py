"""Makes a profile of what a row says by name. Knows no file.

    {"former_id": "p-1", "created_time": "2024-05-01T10:00:00Z", "known": true,
     "identifiers": {"email": "ann@example.com",
                     "device_id": ["d-1", {"value": "d-2", "time": "2024-06-01T00:00:00Z"}]},
     "traits": {"plan": "gold"}, "trait_times": {"plan": "2024-06-01T00:00:00Z"}}

Only `former_id` has to be there. What has no time has the profile's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from ipse._messages import imported_message
from ipse.errors import InvalidArgument
from ipse.model import ImportedIdentifier, ImportedProfile, ImportedTrait
from ipse.v1 import identity_pb2

FIELDS: Final = ("former_id", "created_time", "known", "identifiers", "traits", "trait_times")
_TRUE: Final = ("true", "yes", "1")
_FALSE: Final = ("false", "no", "0")


def message_of(fields: Mapping[str, Any], ignored: frozenset[str]) -> identity_pb2.ImportedProfile:
    """Reads a row; ValueError says what is wrong with it."""
    try:
        return imported_message(_profile(fields, ignored), "profile")
    except InvalidArgument as error:
        raise ValueError(error.message) from None


def _profile(fields: Mapping[str, Any], ignored: frozenset[str]) -> ImportedProfile:
    unknown = [name for name in fields if name not in FIELDS and name not in ignored]
    if unknown:
        raise ValueError(
            f"has unknown fields: {', '.join(unknown)}; fields are {', '.join(FIELDS)}; leave "
            "others out with --ignore"
        )
    taken = {name: value for name, value in fields.items() if name not in ignored}
    return ImportedProfile(
        former_id=_former_id(taken.get("former_id")),
        created_time=_time(taken.get("created_time"), "created_time"),
        known=_known(taken.get("known")),
        identifiers=list(_identifiers(_object(taken, "identifiers"))),
        traits=_traits(_object(taken, "traits"), _object(taken, "trait_times")),
    )


def _former_id(value: Any) -> str:
    # Without one, a second run after an interruption would bring the profile twice.
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise ValueError("has no former_id: the id of the profile in its former system")
    return str(value)


def _known(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    word = str(value).strip().lower()
    if word not in (*_TRUE, *_FALSE):
        raise ValueError(f"known is {value!r}; it is true or false")
    return word in _TRUE


def _object(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is not an object")
    return value


def _identifiers(identifiers: Mapping[str, Any]) -> Iterator[ImportedIdentifier]:
    for namespace, values in identifiers.items():
        for value in values if isinstance(values, list) else [values]:
            if value is not None:
                yield _identifier(namespace, value)


def _identifier(namespace: str, value: Any) -> ImportedIdentifier:
    if not isinstance(value, Mapping):
        return ImportedIdentifier(namespace, value)
    if "value" not in value or not set(value) <= {"value", "time"}:
        raise ValueError(f"an identifier {namespace} is an object without value and time alone")
    time = _time(value.get("time"), f"the time of an identifier {namespace}")
    return ImportedIdentifier(namespace, value["value"], time)


def _traits(traits: Mapping[str, Any], times: Mapping[str, Any]) -> dict[str, ImportedTrait]:
    stray = [name for name in times if traits.get(name) is None]
    if stray:
        raise ValueError(f"trait_times names traits that are not there: {', '.join(stray)}")
    return {
        name: ImportedTrait(value, _time(times.get(name), f"the time of trait {name}"))
        for name, value in traits.items()
        if value is not None
    }


def _time(value: Any, what: str) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        time = value
    else:
        try:
            time = datetime.fromisoformat(str(value))
        except ValueError:
            raise ValueError(
                f"{what} is {value!r}; it is RFC 3339, as 2024-05-01T10:00:00Z"
            ) from None
    if time.tzinfo is None:
        raise ValueError(f"{what} is {value!r}, without a time zone; in UTC it ends in Z")
    return time
