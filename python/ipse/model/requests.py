"""What commands and reads take, where plain arguments would not be enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ipse.model.values import Identifier, TraitValue
from ipse.model.words import ValueChoice, ValueForm


@dataclass(frozen=True, slots=True)
class IdentifierChange:
    """One change of an identifier: with both values it is replaced."""

    namespace: str
    old_value: str = ""
    """The value to give up; empty to add one."""
    new_value: str = ""
    """The value to take; empty to remove one."""


@dataclass(frozen=True, slots=True)
class IdentityTarget:
    """One thing that a destination needs to know a profile by."""

    namespaces: str | tuple[str, ...]
    """One, or several in order of preference: the first that the profile has one of is given."""
    choice: ValueChoice = ValueChoice.NEWEST
    form: ValueForm = ValueForm.NORMAL


@dataclass(frozen=True, slots=True)
class ImportedIdentifier:
    """An identifier of a profile of another system."""

    namespace: str
    value: str | int
    attached_time: datetime | None = None
    """With a time zone. None: the profile's creation."""


@dataclass(frozen=True, slots=True)
class ImportedTrait:
    """A trait of a profile of another system, with its time."""

    value: TraitValue
    set_time: datetime | None = None
    """With a time zone. None: the profile's creation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedProfile:
    """A profile of another system."""

    former_id: str = ""
    """The id it had there, at most 1,024 bytes: it resolves for ever, see `FormerId`. Empty: none,
    and the import of this profile cannot be repeated harmlessly."""
    created_time: datetime | None = None
    """When it was created there, with a time zone. None: now."""
    known: bool = False
    """Whether it was known there."""
    identifiers: (
        Mapping[str, object] | Iterable[ImportedIdentifier | Identifier | tuple[str, str | int]]
    ) = ()
    """At most 1,000. Of a mapping the values are text, whole numbers, or lists of these."""
    traits: Mapping[str, TraitValue | ImportedTrait] = field(default_factory=dict)
    """By name, at most 300."""
