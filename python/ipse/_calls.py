"""Every call as data: its method, its request, and how to read its answer. Carries nothing.

The clients and the embedded resolver differ only in how bytes get to the engine and back; what
the bytes are is written once, here. Refuses only what a message cannot hold at all, in the
words the engine would use; every other check is the engine's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from ipse.errors import InvalidArgument
from ipse.model import (
    CheckpointInfo,
    Event,
    Identifier,
    ItemError,
    Profile,
    Resolution,
    RulesInfo,
    RulesProblem,
    Stats,
    WorkspaceInfo,
)
from ipse.v1 import admin_pb2, event_pb2, identity_pb2

if TYPE_CHECKING:
    from datetime import datetime

    from google.protobuf.message import Message

IDENTITY: Final = "ipse.v1.IdentityService"
ADMIN: Final = "ipse.v1.AdminService"

BATCH_EVENTS_MAX: Final = 1_000
"""The server's bound on one batch."""
BATCH_BYTES_MAX: Final = 4 * 1024 * 1024
"""A batch is sent before it grows beyond this, well below what a server accepts."""
PAGE_SIZE_MAX: Final = 1_000
CHECKPOINT_TIMEOUT_S: Final = 600.0

_INTEGER_MIN: Final = -(2**63)
_INTEGER_MAX: Final = 2**63 - 1

T = TypeVar("T")

IdentifierPair: TypeAlias = tuple[str, str | int] | Identifier
"""How a caller names an identifier."""
Lookup: TypeAlias = str | IdentifierPair
"""A profile id, or an identifier that the profile holds."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call: carry the request's bytes to the method, and the answer's bytes to `parse`."""

    method: str
    request: Message
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
    if not 1 <= batch_size <= BATCH_EVENTS_MAX:
        raise ValueError(f"batch_size must be from 1 to {BATCH_EVENTS_MAX}, not {batch_size}")
    batch: list[event_pb2.Event] = []
    batch_bytes = 0
    for index, event in enumerate(events):
        message = event_message(event, f"events[{index}]")
        size = message.ByteSize()
        if batch and (len(batch) == batch_size or batch_bytes + size > BATCH_BYTES_MAX):
            yield _resolve_batch(batch, workspace, read_only=read_only)
            batch, batch_bytes = [], 0
        batch.append(message)
        batch_bytes += size
    if batch:
        yield _resolve_batch(batch, workspace, read_only=read_only)


def get_profile(
    lookup: identity_pb2.ProfileLookup, workspace: str, page_size: int, page_token: str
) -> Call[Profile]:
    """Read one profile and one page of its identifiers."""
    request = identity_pb2.GetProfileRequest(
        workspace=workspace, lookup=lookup, page_size=page_size, page_token=page_token
    )

    def parse(payload: bytes) -> Profile:
        response = identity_pb2.GetProfileResponse.FromString(payload)
        return Profile.from_proto(response.profile, response.sequence_number)

    return Call(f"/{IDENTITY}/GetProfile", request, parse)


def get_profiles(
    lookups: Iterable[Lookup], workspace: str, page_size: int
) -> Call[list[Profile | ItemError]]:
    """Read several profiles."""
    request = identity_pb2.BatchGetProfilesRequest(
        workspace=workspace, lookups=map(lookup_message, lookups), page_size=page_size
    )

    def parse(payload: bytes) -> list[Profile | ItemError]:
        response = identity_pb2.BatchGetProfilesResponse.FromString(payload)
        return [_profile_result(item, response.sequence_number) for item in response.results]

    return Call(f"/{IDENTITY}/BatchGetProfiles", request, parse)


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


def checkpoint() -> Call[CheckpointInfo]:
    """Write a snapshot."""

    def parse(payload: bytes) -> CheckpointInfo:
        return CheckpointInfo.from_proto(admin_pb2.CheckpointResponse.FromString(payload))

    request = admin_pb2.CheckpointRequest()
    return Call(f"/{ADMIN}/Checkpoint", request, parse, CHECKPOINT_TIMEOUT_S)


def stats() -> Call[Stats]:
    """Read figures."""

    def parse(payload: bytes) -> Stats:
        return Stats.from_proto(admin_pb2.GetStatsResponse.FromString(payload))

    return Call(f"/{ADMIN}/GetStats", admin_pb2.GetStatsRequest(), parse)


def one_lookup(
    profile_id: str | None, identifier: IdentifierPair | None
) -> identity_pb2.ProfileLookup:
    """Read the two ways of naming a profile, of which a caller uses one."""
    if (profile_id is None) == (identifier is None):
        raise TypeError("pass either profile_id or identifier")
    return lookup_message(profile_id if identifier is None else identifier)


def lookup_message(lookup: Lookup | None) -> identity_pb2.ProfileLookup:
    """Name a profile by its id or an identifier."""
    if isinstance(lookup, str):
        return identity_pb2.ProfileLookup(profile_id=lookup)
    if lookup is None:
        raise TypeError("a profile is looked up by an id or an identifier, not by None")
    return identity_pb2.ProfileLookup(identifier=_identifier_message(lookup, "lookup.identifier"))


def with_all_identifiers(first: Profile, pages: Iterable[Profile]) -> Profile:
    """Join the pages of a profile that were read after the first."""
    identifiers = list(first.identifiers)
    for page in pages:
        identifiers.extend(page.identifiers)
    return replace(first, identifiers=tuple(identifiers), next_page_token="")


def event_message(event: Event, path: str) -> event_pb2.Event:
    """Write an event as its message; `path` is what a refusal calls it."""
    try:
        message = event_pb2.Event(
            event_id=event.event_id,
            type=event.type,
            source=event.source,
            profile_id=event.profile_id,
            key_namespace=event.key_namespace,
            raw_json=event.raw_json,
            identifiers=_identifier_messages(event.identifiers, path),
            traits=[_trait_message(name, value, path) for name, value in event.traits.items()],
        )
    except UnicodeEncodeError as error:
        raise _invalid(path, f"holds text that is not valid Unicode: {error.reason}") from None
    if event.timestamp is not None:
        message.timestamp.FromDatetime(_aware(event.timestamp, path))
    return message


def _resolve_batch(
    batch: list[event_pb2.Event], workspace: str, *, read_only: bool
) -> Call[list[Resolution | ItemError]]:
    request = identity_pb2.ResolveEventsRequest(
        workspace=workspace, events=batch, read_only=read_only
    )

    def parse(payload: bytes) -> list[Resolution | ItemError]:
        response = identity_pb2.ResolveEventsResponse.FromString(payload)
        return [_resolve_result(item) for item in response.results]

    return Call(f"/{IDENTITY}/ResolveEvents", request, parse)


def _resolve_result(item: identity_pb2.ResolveEventsResult) -> Resolution | ItemError:
    if item.HasField("error"):
        return ItemError.from_proto(item.error)
    return Resolution.from_proto(item.resolution)


def _profile_result(
    item: identity_pb2.BatchGetProfilesResult, sequence_number: int
) -> Profile | ItemError:
    if item.HasField("error"):
        return ItemError.from_proto(item.error)
    return Profile.from_proto(item.profile, sequence_number)


def _identifier_messages(
    identifiers: Mapping[str, object] | Iterable[IdentifierPair], path: str
) -> list[event_pb2.Identifier]:
    pairs = _pairs(identifiers) if isinstance(identifiers, Mapping) else identifiers
    return [
        _identifier_message(pair, f"{path}.identifiers[{index}]")
        for index, pair in enumerate(pairs)
    ]


def _pairs(identifiers: Mapping[str, Any]) -> Iterator[IdentifierPair]:
    for namespace, values in identifiers.items():
        if isinstance(values, (list, tuple)):
            yield from ((namespace, value) for value in values)
        else:
            yield namespace, values


def _identifier_message(pair: IdentifierPair, path: str) -> event_pb2.Identifier:
    namespace, value = (pair.namespace, pair.value) if isinstance(pair, Identifier) else pair
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise _invalid(f"{path}.value", f"must be text or a whole number, not {_kind(value)}")
    return event_pb2.Identifier(namespace=namespace, value=str(value))


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


def _aware(timestamp: datetime, path: str) -> datetime:
    # A time without a zone would silently mean another instant on another machine.
    if timestamp.tzinfo is None:
        raise _invalid(f"{path}.timestamp", "has no time zone; use datetime.now(UTC) or the like")
    return timestamp


def _kind(value: object) -> str:
    return type(value).__name__


def _invalid(field: str, message: str) -> InvalidArgument:
    return InvalidArgument(f"{field} {message}", reason="INVALID_FIELD", field=field)
