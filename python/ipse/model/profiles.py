"""What comes out of reads: profiles, alone and several at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ipse.model.values import Identifier, TraitValue, trait_value, utc

if TYPE_CHECKING:
    from ipse.v1 import identity_pb2


@dataclass(frozen=True, slots=True)
class ProfileIdentifier:
    """An identifier as a profile holds it."""

    identifier: Identifier
    attached_time: datetime
    """Event time of the attachment."""
    sequence_number: int
    """The record that made it."""

    @classmethod
    def from_proto(cls, message: identity_pb2.ProfileIdentifier) -> ProfileIdentifier:
        """Read the message."""
        return cls(
            Identifier.from_proto(message.identifier),
            utc(message.attached_time),
            message.sequence_number,
        )


@dataclass(frozen=True, slots=True)
class HistoryAttribution:
    """History of one profile that counts as another's, both ends of the range included."""

    source_profile_id: str
    """Whose history it was."""
    destination_profile_id: str
    """Whose it is."""
    start_time: datetime
    end_time: datetime
    sequence_number: int = 0
    """The record that says so; 0 if none does."""

    @classmethod
    def from_proto(cls, message: identity_pb2.HistoryAttribution) -> HistoryAttribution:
        """Read the message."""
        return cls(
            message.source_profile_id,
            message.destination_profile_id,
            utc(message.start_time),
            utc(message.end_time),
            message.sequence_number,
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """What is held on one person.

    Read with a mask, fields that were not asked for are empty, and times 1970.
    """

    profile_id: str
    """The id, the same for ever; the survivor's, if an absorbed id was asked for."""
    known: bool
    """Whether it holds an identifier of a login namespace, or was said to be known."""
    created_time: datetime
    identifiers: tuple[ProfileIdentifier, ...]
    """Strongest namespace first, then oldest first; all, or the page that was asked for."""
    identifier_count: int
    traits: Mapping[str, TraitValue]
    absorbed_profile_ids: tuple[str, ...]
    """The profiles merged into it, oldest first, at most 1,000."""
    merge_count: int
    sequence_number: int
    """The newest record that the answer rests on."""
    next_page_token: str = ""
    """Not empty: there are more identifiers than `identifiers` shows."""
    canonical_id: str = ""
    """The value of the best of the rules' `canonical_id` namespaces that it holds, with that
    namespace's prefix; empty if the rules name none, or it holds none."""
    changed_sequence_number: int = 0
    """The newest record that changed it."""
    attributions: tuple[HistoryAttribution, ...] = ()
    """History attributed from or to it, oldest first, at most 1,000."""
    former_ids: tuple[str, ...] = ()
    """The ids that it, or profiles merged into it, had in former systems, at most 1,000."""
    traits_set_later: tuple[str, ...] = ()
    """As of a moment that is over: traits that were set or removed after it. What they were then
    is not kept."""

    @classmethod
    def from_proto(cls, message: identity_pb2.Profile, sequence_number: int) -> Profile:
        """Read the message; the number is that of the response around it."""
        return cls(
            profile_id=message.profile_id,
            known=message.known,
            created_time=utc(message.created_time),
            identifiers=tuple(map(ProfileIdentifier.from_proto, message.identifiers)),
            identifier_count=message.identifier_count,
            traits={trait.name: trait_value(trait) for trait in message.traits},
            absorbed_profile_ids=tuple(message.absorbed_profile_ids),
            merge_count=message.merge_count,
            sequence_number=sequence_number,
            next_page_token=message.next_page_token,
            canonical_id=message.canonical_id,
            changed_sequence_number=message.changed_sequence_number,
            attributions=tuple(map(HistoryAttribution.from_proto, message.attributions)),
            former_ids=tuple(message.former_ids),
            traits_set_later=tuple(message.traits_set_later),
        )

    def values(self, namespace: str) -> tuple[str, ...]:
        """List its values in one namespace."""
        return tuple(
            held.identifier.value
            for held in self.identifiers
            if held.identifier.namespace == namespace
        )


@dataclass(frozen=True, slots=True)
class FoundProfiles:
    """Every profile that holds an identifier."""

    profiles: tuple[Profile, ...]
    """In the order in which they got the identifier; as many as the answer has room for."""
    profile_count: int
    """How many hold it in all."""
    sequence_number: int
    """The newest record that the answer rests on."""

    @classmethod
    def from_proto(cls, message: identity_pb2.LookupProfilesResponse) -> FoundProfiles:
        """Read the message."""
        number = message.sequence_number
        profiles = tuple(Profile.from_proto(profile, number) for profile in message.profiles)
        return cls(profiles, message.profile_count, number)


@dataclass(frozen=True, slots=True)
class ProfilePage:
    """A page of a list of profiles; it may be empty and still have a next one."""

    profiles: tuple[Profile, ...]
    """In order of creation."""
    next_page_token: str
    """Empty at the end."""
    sequence_number: int
    """The newest record when this page was begun. That of the first page is what to list changes
    after, later on."""

    @classmethod
    def from_proto(cls, message: identity_pb2.ListProfilesResponse) -> ProfilePage:
        """Read the message."""
        number = message.sequence_number
        profiles = tuple(Profile.from_proto(profile, number) for profile in message.profiles)
        return cls(profiles, message.next_page_token, number)


@dataclass(frozen=True, slots=True)
class TranslatedIdentity:
    """A profile's values for one target."""

    namespace: str
    """The namespace they are of; empty if the profile has none of those asked for."""
    values: tuple[str, ...]

    @classmethod
    def from_proto(cls, message: identity_pb2.TranslatedIdentity) -> TranslatedIdentity:
        """Read the message."""
        return cls(message.namespace, tuple(message.values))


@dataclass(frozen=True, slots=True)
class TranslatedProfile:
    """A profile as a destination knows it."""

    profile_id: str
    identities: tuple[TranslatedIdentity, ...]
    """One for each target, in order."""

    @classmethod
    def from_proto(cls, message: identity_pb2.TranslatedProfile) -> TranslatedProfile:
        """Read the message."""
        identities = tuple(map(TranslatedIdentity.from_proto, message.identities))
        return cls(message.profile_id, identities)
