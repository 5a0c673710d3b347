"""Every command as data: its method, its request, and how to read its answer. Carries nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from ipse._calls import Call, cut, item_result
from ipse._messages import (
    IdentifierPair,
    Identifiers,
    Lookup,
    event_message,
    identifier_message,
    identifier_messages,
    imported_message,
    lookup_message,
    lookup_messages,
    time_message,
)
from ipse._services import ADMIN, IDENTITY
from ipse.model import (
    AttributionAnswer,
    ErasureReceipt,
    Event,
    IdentifierChange,
    ImportedProfile,
    ItemError,
    MergeAnswer,
    Resolution,
    RevertAnswer,
)
from ipse.v1 import admin_pb2, identity_pb2


@dataclass(frozen=True, slots=True)
class Terms:
    """What commands take besides what they are about."""

    workspace: str
    read_only: bool
    operation_id: str = ""
    source: str = ""
    timestamp: datetime | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """A range of time, both ends included."""

    start_time: datetime
    end_time: datetime


def login(event: Event, anonymous: Identifiers, terms: Terms) -> Call[Resolution]:
    """Say that a person logged in."""
    request = identity_pb2.LoginRequest(
        workspace=terms.workspace,
        event=event_message(_identified(event, terms.operation_id), "event"),
        anonymous_identifiers=identifier_messages(anonymous, "anonymous_identifiers"),
        force=terms.force,
        read_only=terms.read_only,
    )

    def parse(payload: bytes) -> Resolution:
        return Resolution.from_proto(identity_pb2.LoginResponse.FromString(payload).resolution)

    return Call(f"/{IDENTITY}/Login", request, parse)


def logout(event: Event, terms: Terms) -> Call[Resolution]:
    """Say that a person logged out."""
    request = identity_pb2.LogoutRequest(
        workspace=terms.workspace,
        event=event_message(_identified(event, terms.operation_id), "event"),
        read_only=terms.read_only,
    )

    def parse(payload: bytes) -> Resolution:
        return Resolution.from_proto(identity_pb2.LogoutResponse.FromString(payload).resolution)

    return Call(f"/{IDENTITY}/Logout", request, parse)


def link_identifiers(event: Event, sources: Identifiers, terms: Terms) -> Call[Resolution]:
    """Say that identifiers are one person's."""
    request = identity_pb2.LinkIdentifiersRequest(
        workspace=terms.workspace,
        event=event_message(_identified(event, terms.operation_id), "event"),
        sources=identifier_messages(sources, "sources"),
        force=terms.force,
        read_only=terms.read_only,
    )

    def parse(payload: bytes) -> Resolution:
        response = identity_pb2.LinkIdentifiersResponse.FromString(payload)
        return Resolution.from_proto(response.resolution)

    return Call(f"/{IDENTITY}/LinkIdentifiers", request, parse)


def modify_identifiers(
    profile: Lookup, changes: Iterable[IdentifierChange], terms: Terms
) -> Call[Resolution]:
    """Change, add and remove identifiers of a profile."""
    request = identity_pb2.ModifyIdentifiersRequest(
        workspace=terms.workspace,
        operation_id=terms.operation_id,
        profile=lookup_message(profile, "profile"),
        changes=[
            identity_pb2.IdentifierChange(
                namespace=change.namespace, old_value=change.old_value, new_value=change.new_value
            )
            for change in changes
        ],
        timestamp=time_message(terms.timestamp, "timestamp"),
        source=terms.source,
        read_only=terms.read_only,
    )

    def parse(payload: bytes) -> Resolution:
        response = identity_pb2.ModifyIdentifiersResponse.FromString(payload)
        return Resolution.from_proto(response.resolution)

    return Call(f"/{IDENTITY}/ModifyIdentifiers", request, parse)


def merge_profiles(target: Lookup, sources: Iterable[Lookup], terms: Terms) -> Call[MergeAnswer]:
    """Merge profiles into a target."""
    request = identity_pb2.MergeProfilesRequest(
        workspace=terms.workspace,
        operation_id=terms.operation_id,
        target=lookup_message(target, "target"),
        sources=lookup_messages(sources, "sources"),
        force=terms.force,
        timestamp=time_message(terms.timestamp, "timestamp"),
        source=terms.source,
        read_only=terms.read_only,
    )

    def parse(payload: bytes) -> MergeAnswer:
        return MergeAnswer.from_proto(identity_pb2.MergeProfilesResponse.FromString(payload))

    return Call(f"/{IDENTITY}/MergeProfiles", request, parse)


def split_profile(
    profile: Lookup,
    identifiers: Identifiers,
    keep: IdentifierPair | None,
    *,
    together: bool,
    terms: Terms,
) -> Call[Resolution]:
    """Take identifiers out of a profile, or all but one."""
    request = identity_pb2.SplitProfileRequest(
        workspace=terms.workspace,
        operation_id=terms.operation_id,
        profile=lookup_message(profile, "profile"),
        identifiers=identifier_messages(identifiers, "identifiers"),
        together=together,
        source=terms.source,
        read_only=terms.read_only,
        keep=None if keep is None else identifier_message(keep, "keep"),
    )

    def parse(payload: bytes) -> Resolution:
        response = identity_pb2.SplitProfileResponse.FromString(payload)
        return Resolution.from_proto(response.resolution)

    return Call(f"/{IDENTITY}/SplitProfile", request, parse)


def revert_merge(absorbed_profile_id: str, *, chain: bool, terms: Terms) -> Call[RevertAnswer]:
    """Undo a merge."""
    request = identity_pb2.RevertMergeRequest(
        workspace=terms.workspace,
        operation_id=terms.operation_id,
        absorbed_profile_id=absorbed_profile_id,
        chain=chain,
        source=terms.source,
        read_only=terms.read_only,
    )

    def parse(payload: bytes) -> RevertAnswer:
        return RevertAnswer.from_proto(identity_pb2.RevertMergeResponse.FromString(payload))

    return Call(f"/{IDENTITY}/RevertMerge", request, parse)


def deny_link(a: IdentifierPair, b: IdentifierPair, terms: Terms) -> Call[Resolution]:
    """Say that two identifiers are of different people."""
    request = identity_pb2.DenyLinkRequest(
        workspace=terms.workspace,
        operation_id=terms.operation_id,
        a=identifier_message(a, "a"),
        b=identifier_message(b, "b"),
        source=terms.source,
        read_only=terms.read_only,
    )

    def parse(payload: bytes) -> Resolution:
        response = identity_pb2.DenyLinkResponse.FromString(payload)
        return Resolution.from_proto(response.resolution)

    return Call(f"/{IDENTITY}/DenyLink", request, parse)


def force_link(a: IdentifierPair, b: IdentifierPair, terms: Terms) -> Call[Resolution]:
    """Say that two identifiers are one person's."""
    request = identity_pb2.ForceLinkRequest(
        workspace=terms.workspace,
        operation_id=terms.operation_id,
        a=identifier_message(a, "a"),
        b=identifier_message(b, "b"),
        source=terms.source,
        read_only=terms.read_only,
    )

    def parse(payload: bytes) -> Resolution:
        response = identity_pb2.ForceLinkResponse.FromString(payload)
        return Resolution.from_proto(response.resolution)

    return Call(f"/{IDENTITY}/ForceLink", request, parse)


def attribute_history(
    source_profile: Lookup, destination_profile: Lookup, span: Span, terms: Terms
) -> Call[AttributionAnswer]:
    """Let one profile's history count as another's."""
    request = identity_pb2.AttributeHistoryRequest(
        workspace=terms.workspace,
        operation_id=terms.operation_id,
        source_profile=lookup_message(source_profile, "source_profile"),
        destination_profile=lookup_message(destination_profile, "destination_profile"),
        start_time=time_message(span.start_time, "start_time"),
        end_time=time_message(span.end_time, "end_time"),
        source=terms.source,
        read_only=terms.read_only,
    )

    def parse(payload: bytes) -> AttributionAnswer:
        response = identity_pb2.AttributeHistoryResponse.FromString(payload)
        return AttributionAnswer.from_proto(response)

    return Call(f"/{IDENTITY}/AttributeHistory", request, parse)


def delete_profile(profile: Lookup, *, suppress: bool, terms: Terms) -> Call[ErasureReceipt]:
    """Erase a profile."""
    request = identity_pb2.DeleteProfileRequest(
        workspace=terms.workspace,
        operation_id=terms.operation_id,
        profile=lookup_message(profile, "profile"),
        suppress=suppress,
        read_only=terms.read_only,
    )

    def parse(payload: bytes) -> ErasureReceipt:
        response = identity_pb2.DeleteProfileResponse.FromString(payload)
        return ErasureReceipt.from_proto(response.receipt, repeated=response.repeated)

    return Call(f"/{IDENTITY}/DeleteProfile", request, parse)


def forget_identifier(
    identifier: IdentifierPair, *, suppress: bool, terms: Terms
) -> Call[ErasureReceipt]:
    """Erase an identifier."""
    request = identity_pb2.ForgetIdentifierRequest(
        workspace=terms.workspace,
        operation_id=terms.operation_id,
        identifier=identifier_message(identifier, "identifier"),
        suppress=suppress,
        read_only=terms.read_only,
    )

    def parse(payload: bytes) -> ErasureReceipt:
        response = identity_pb2.ForgetIdentifierResponse.FromString(payload)
        return ErasureReceipt.from_proto(response.receipt, repeated=response.repeated)

    return Call(f"/{IDENTITY}/ForgetIdentifier", request, parse)


def delete_workspace(name: str, *, terms: Terms) -> Call[ErasureReceipt]:
    """Delete a workspace."""
    request = admin_pb2.DeleteWorkspaceRequest(
        name=name, operation_id=terms.operation_id, read_only=terms.read_only
    )

    def parse(payload: bytes) -> ErasureReceipt:
        response = admin_pb2.DeleteWorkspaceResponse.FromString(payload)
        return ErasureReceipt.from_proto(response.receipt, repeated=response.repeated)

    return Call(f"/{ADMIN}/DeleteWorkspace", request, parse)


def import_batches(
    profiles: Iterable[ImportedProfile], batch_size: int, terms: Terms
) -> Iterator[Call[list[Resolution | ItemError]]]:
    """Bring profiles of another system in order, cut into batches by count and bytes."""
    messages = (
        imported_message(profile, f"profiles[{index}]") for index, profile in enumerate(profiles)
    )
    for batch in cut(messages, batch_size):
        yield _import_batch(batch, terms)


def _import_batch(
    batch: list[identity_pb2.ImportedProfile], terms: Terms
) -> Call[list[Resolution | ItemError]]:
    request = identity_pb2.ImportProfilesRequest(
        workspace=terms.workspace, profiles=batch, source=terms.source, read_only=terms.read_only
    )

    def parse(payload: bytes) -> list[Resolution | ItemError]:
        response = identity_pb2.ImportProfilesResponse.FromString(payload)
        return [item_result(item) for item in response.results]

    return Call(f"/{IDENTITY}/ImportProfiles", request, parse)


def _identified(event: Event, operation_id: str) -> Event:
    """Give the event the operation's id: on the wire the two are one field."""
    if not operation_id or event.event_id == operation_id:
        return event
    if event.event_id:
        raise ValueError(
            f"the event has the id {event.event_id!r} and the operation the id {operation_id!r}; "
            "an event's id is its operation id: pass one"
        )
    return replace(event, event_id=operation_id)
