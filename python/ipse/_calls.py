"""Every read and every event as data: its method, its request, and how to read its answer.

The clients and the embedded resolver differ only in how bytes get to the engine and back; what
the bytes are is written once, here and in `_commands`. Carries nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from ipse._messages import (
    IdentifierPair,
    Lookup,
    PastMoment,
    as_of_message,
    event_message,
    identifier_message,
    lookup_message,
    lookup_messages,
    mask_message,
    target_message,
)
from ipse._services import ADMIN, IDENTITY
from ipse.model import (
    BackupInfo,
    CheckpointInfo,
    Event,
    FoundProfiles,
    IdentityTarget,
    ItemError,
    Profile,
    ProfilePage,
    Resolution,
    RulesInfo,
    RulesProblem,
    Stats,
    TranslatedProfile,
    WorkspaceInfo,
)
from ipse.v1 import admin_pb2, event_pb2, identity_pb2

if TYPE_CHECKING:
    from pathlib import Path

    from google.protobuf.field_mask_pb2 import FieldMask
    from google.protobuf.message import Message

BATCH_ITEMS_MAX: Final = 1_000
"""The server's bound on one batch: of events, of profiles to import."""
BATCH_BYTES_MAX: Final = 4 * 1024 * 1024
"""A batch is sent before it grows beyond this, well below what a server accepts."""
PAGE_SIZE_MAX: Final = 1_000
CHECKPOINT_TIMEOUT_S: Final = 600.0
EXPORT_TIMEOUT_S: Final = 120.0
BACKUP_TIMEOUT_S: Final = 3_600.0

T = TypeVar("T")
M = TypeVar("M", bound="Message")


class Request(Protocol):
    """What a call sends: a message, or its bytes."""

    def SerializeToString(self) -> bytes:  # noqa: N802 -- as messages have it
        """Give the bytes."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call: carry the request's bytes to the method, and the answer's bytes to `parse`."""

    method: str
    request: Request
    parse: Callable[[bytes], T]
    timeout_s: float | None = None
    """Where the work takes longer than a client's calls otherwise may."""


def resolve(event: Event, workspace: str, *, read_only: bool) -> Call[Resolution]:
    """Resolve one event."""
    request = identity_pb2.ResolveEventRequest(
        workspace=workspace, event=event_message(event, "event"), read_only=read_only
    )

    def parse(payload: bytes) -> Resolution:
        response = identity_pb2.ResolveEventResponse.FromString(payload)
        return Resolution.from_proto(response.resolution)

    return Call(f"/{IDENTITY}/ResolveEvent", request, parse)


def resolve_batches(
    events: Iterable[Event], workspace: str, *, read_only: bool, batch_size: int
) -> Iterator[Call[list[Resolution | ItemError]]]:
    """Resolve events in order, cut into batches by count and bytes."""
    messages = (event_message(event, f"events[{index}]") for index, event in enumerate(events))
    for batch in cut(messages, batch_size):
        yield _resolve_batch(batch, workspace, read_only=read_only)


def cut(messages: Iterable[M], batch_size: int) -> Iterator[list[M]]:
    """Cut a stream of messages into batches, none longer than a call may be."""
    if not 1 <= batch_size <= BATCH_ITEMS_MAX:
        raise ValueError(f"batch_size must be from 1 to {BATCH_ITEMS_MAX}, not {batch_size}")
    batch: list[M] = []
    batch_bytes = 0
    for message in messages:
        size = message.ByteSize()
        if batch and (len(batch) == batch_size or batch_bytes + size > BATCH_BYTES_MAX):
            yield batch
            batch, batch_bytes = [], 0
        batch.append(message)
        batch_bytes += size
    if batch:
        yield batch


@dataclass(frozen=True, slots=True)
class ProfileQuery:
    """Which profile to read, and what of it."""

    lookup: identity_pb2.ProfileLookup
    workspace: str
    page_size: int
    read_mask: FieldMask | None
    as_of: identity_pb2.AsOf | None

    @classmethod
    def of(
        cls,
        lookup: identity_pb2.ProfileLookup,
        workspace: str,
        page_size: int,
        read_mask: Iterable[str] | None,
        as_of: PastMoment | None,
    ) -> ProfileQuery:
        """Ask for what leads to the next page too, wherever identifiers are asked for."""
        mask = mask_message(read_mask)
        if mask is not None and "identifiers" in mask.paths:
            mask.paths.append("next_page_token")
        return cls(lookup, workspace, page_size, mask, as_of_message(as_of))


def get_profile(query: ProfileQuery, page_token: str) -> Call[Profile]:
    """Read one profile and one page of its identifiers."""
    request = identity_pb2.GetProfileRequest(
        workspace=query.workspace,
        lookup=query.lookup,
        page_size=query.page_size,
        page_token=page_token,
        read_mask=query.read_mask,
        as_of=query.as_of,
    )

    def parse(payload: bytes) -> Profile:
        response = identity_pb2.GetProfileResponse.FromString(payload)
        return Profile.from_proto(response.profile, response.sequence_number)

    return Call(f"/{IDENTITY}/GetProfile", request, parse)


def get_profiles(
    lookups: Iterable[Lookup],
    workspace: str,
    page_size: int,
    read_mask: Iterable[str] | None,
    as_of: PastMoment | None,
) -> Call[list[Profile | ItemError]]:
    """Read several profiles."""
    request = identity_pb2.BatchGetProfilesRequest(
        workspace=workspace,
        lookups=lookup_messages(lookups, "lookups"),
        page_size=page_size,
        read_mask=mask_message(read_mask),
        as_of=as_of_message(as_of),
    )

    def parse(payload: bytes) -> list[Profile | ItemError]:
        response = identity_pb2.BatchGetProfilesResponse.FromString(payload)
        return [_profile_result(item, response.sequence_number) for item in response.results]

    return Call(f"/{IDENTITY}/BatchGetProfiles", request, parse)


def lookup_profiles(
    identifier: IdentifierPair,
    workspace: str,
    page_size: int,
    read_mask: Iterable[str] | None,
    as_of: PastMoment | None,
) -> Call[FoundProfiles]:
    """Find every profile that holds an identifier."""
    request = identity_pb2.LookupProfilesRequest(
        workspace=workspace,
        identifier=identifier_message(identifier, "identifier"),
        page_size=page_size,
        read_mask=mask_message(read_mask),
        as_of=as_of_message(as_of),
    )

    def parse(payload: bytes) -> FoundProfiles:
        return FoundProfiles.from_proto(identity_pb2.LookupProfilesResponse.FromString(payload))

    return Call(f"/{IDENTITY}/LookupProfiles", request, parse)


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which profiles to list, and what of them. `known` is None: both kinds."""

    workspace: str
    has_namespace: str
    known: bool | None
    changed_after_sequence_number: int
    page_size: int
    read_mask: FieldMask | None


def list_profiles(query: ListQuery, page_token: str) -> Call[ProfilePage]:
    """Read a page of the profiles."""
    request = identity_pb2.ListProfilesRequest(
        workspace=query.workspace,
        filter=identity_pb2.ProfileFilter(
            has_namespace=query.has_namespace,
            known=query.known,
            changed_after_sequence_number=query.changed_after_sequence_number,
        ),
        page_size=query.page_size,
        page_token=page_token,
        read_mask=query.read_mask,
    )

    def parse(payload: bytes) -> ProfilePage:
        return ProfilePage.from_proto(identity_pb2.ListProfilesResponse.FromString(payload))

    return Call(f"/{IDENTITY}/ListProfiles", request, parse)


def translate_identities(
    lookups: Iterable[Lookup], targets: Iterable[IdentityTarget], workspace: str
) -> Call[list[TranslatedProfile | ItemError]]:
    """Read the identifiers that a destination needs."""
    request = identity_pb2.TranslateIdentitiesRequest(
        workspace=workspace,
        lookups=lookup_messages(lookups, "lookups"),
        targets=map(target_message, targets),
    )

    def parse(payload: bytes) -> list[TranslatedProfile | ItemError]:
        response = identity_pb2.TranslateIdentitiesResponse.FromString(payload)
        return [_translated_result(item) for item in response.results]

    return Call(f"/{IDENTITY}/TranslateIdentities", request, parse)


def export_person(profile: Lookup, workspace: str, page_token: str) -> Call[tuple[list[str], str]]:
    """Read a page of all that is held on someone, and the token of the next page."""
    request = identity_pb2.ExportPersonRequest(
        workspace=workspace, profile=lookup_message(profile, "profile"), page_token=page_token
    )

    def parse(payload: bytes) -> tuple[list[str], str]:
        response = identity_pb2.ExportPersonResponse.FromString(payload)
        return list(response.lines), response.next_page_token

    return Call(f"/{IDENTITY}/ExportPerson", request, parse, EXPORT_TIMEOUT_S)


def create_workspace(name: str, rules_toml: str) -> Call[WorkspaceInfo]:
    """Create a workspace."""
    request = admin_pb2.CreateWorkspaceRequest(name=name, rules_toml=rules_toml)

    def parse(payload: bytes) -> WorkspaceInfo:
        response = admin_pb2.CreateWorkspaceResponse.FromString(payload)
        return WorkspaceInfo.from_proto(response.workspace)

    return Call(f"/{ADMIN}/CreateWorkspace", request, parse)


def list_workspaces(page_token: str) -> Call[tuple[list[WorkspaceInfo], str]]:
    """Read a page of workspaces, and the token of the next page."""
    request = admin_pb2.ListWorkspacesRequest(page_size=PAGE_SIZE_MAX, page_token=page_token)

    def parse(payload: bytes) -> tuple[list[WorkspaceInfo], str]:
        response = admin_pb2.ListWorkspacesResponse.FromString(payload)
        page = [WorkspaceInfo.from_proto(workspace) for workspace in response.workspaces]
        return page, response.next_page_token

    return Call(f"/{ADMIN}/ListWorkspaces", request, parse)


def get_workspace(name: str) -> Call[WorkspaceInfo]:
    """Describe a workspace."""

    def parse(payload: bytes) -> WorkspaceInfo:
        response = admin_pb2.GetWorkspaceResponse.FromString(payload)
        return WorkspaceInfo.from_proto(response.workspace)

    return Call(f"/{ADMIN}/GetWorkspace", admin_pb2.GetWorkspaceRequest(name=name), parse)


def get_rules(workspace: str) -> Call[RulesInfo]:
    """Read a workspace's rules."""

    def parse(payload: bytes) -> RulesInfo:
        return RulesInfo.from_proto(admin_pb2.GetRulesResponse.FromString(payload))

    return Call(f"/{ADMIN}/GetRules", admin_pb2.GetRulesRequest(workspace=workspace), parse)


def set_rules(
    rules_toml: str, workspace: str, expected_version: int, *, read_only: bool
) -> Call[int]:
    """Put rules in force; the answer is their version."""
    request = admin_pb2.SetRulesRequest(
        workspace=workspace,
        rules_toml=rules_toml,
        expected_version=expected_version,
        read_only=read_only,
    )

    def parse(payload: bytes) -> int:
        return admin_pb2.SetRulesResponse.FromString(payload).version

    return Call(f"/{ADMIN}/SetRules", request, parse)


def validate_rules(rules_toml: str) -> Call[list[RulesProblem]]:
    """Say what is wrong with rules."""
    request = admin_pb2.ValidateRulesRequest(rules_toml=rules_toml)

    def parse(payload: bytes) -> list[RulesProblem]:
        response = admin_pb2.ValidateRulesResponse.FromString(payload)
        return [RulesProblem.from_proto(problem) for problem in response.problems]

    return Call(f"/{ADMIN}/ValidateRules", request, parse)


def explain_rules(rules_toml: str) -> Call[list[str]]:
    """Say in words what rules do."""
    request = admin_pb2.ValidateRulesRequest(rules_toml=rules_toml)

    def parse(payload: bytes) -> list[str]:
        return list(admin_pb2.ValidateRulesResponse.FromString(payload).explanation)

    return Call(f"/{ADMIN}/ValidateRules", request, parse)


def checkpoint() -> Call[CheckpointInfo]:
    """Write a snapshot."""

    def parse(payload: bytes) -> CheckpointInfo:
        return CheckpointInfo.from_proto(admin_pb2.CheckpointResponse.FromString(payload))

    request = admin_pb2.CheckpointRequest()
    return Call(f"/{ADMIN}/Checkpoint", request, parse, CHECKPOINT_TIMEOUT_S)


def backup(directory: str | Path, label: str, *, history: bool) -> Call[BackupInfo]:
    """Write a backup."""

    def parse(payload: bytes) -> BackupInfo:
        return BackupInfo.from_proto(admin_pb2.BackupResponse.FromString(payload))

    request = admin_pb2.BackupRequest(directory=str(directory), label=label, history=history)
    return Call(f"/{ADMIN}/Backup", request, parse, BACKUP_TIMEOUT_S)


def stats() -> Call[Stats]:
    """Read figures."""

    def parse(payload: bytes) -> Stats:
        return Stats.from_proto(admin_pb2.GetStatsResponse.FromString(payload))

    return Call(f"/{ADMIN}/GetStats", admin_pb2.GetStatsRequest(), parse)


def with_all_identifiers(first: Profile, pages: Iterable[Profile]) -> Profile:
    """Join the pages of a profile that were read after the first."""
    identifiers = list(first.identifiers)
    for page in pages:
        identifiers.extend(page.identifiers)
    return replace(first, identifiers=tuple(identifiers), next_page_token="")


def _resolve_batch(
    batch: list[event_pb2.Event], workspace: str, *, read_only: bool
) -> Call[list[Resolution | ItemError]]:
    request = identity_pb2.ResolveEventsRequest(
        workspace=workspace, events=batch, read_only=read_only
    )

    def parse(payload: bytes) -> list[Resolution | ItemError]:
        response = identity_pb2.ResolveEventsResponse.FromString(payload)
        return [item_result(item) for item in response.results]

    return Call(f"/{IDENTITY}/ResolveEvents", request, parse)


def item_result(
    item: identity_pb2.ResolveEventsResult | identity_pb2.ImportProfilesResult,
) -> Resolution | ItemError:
    """Read the result for one item of a batch that writes."""
    if item.HasField("error"):
        return ItemError.from_proto(item.error)
    return Resolution.from_proto(item.resolution)


def _profile_result(
    item: identity_pb2.BatchGetProfilesResult, sequence_number: int
) -> Profile | ItemError:
    if item.HasField("error"):
        return ItemError.from_proto(item.error)
    return Profile.from_proto(item.profile, sequence_number)


def _translated_result(
    item: identity_pb2.TranslateIdentitiesResult,
) -> TranslatedProfile | ItemError:
    if item.HasField("error"):
        return ItemError.from_proto(item.error)
    return TranslatedProfile.from_proto(item.profile)
