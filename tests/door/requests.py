"""Every method of all services, with a request that is good in a workspace where Ann is known.

From the descriptors: a method that is new is here by itself, and needs a request and a role below.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from ipse.errors import Code
from ipse.v1 import admin_pb2, event_pb2, history_pb2, identity_pb2

METHODS: Final[dict[str, MethodDescriptor]] = {
    f"/{service.full_name}/{method.name}": method
    for service in (
        identity_pb2.DESCRIPTOR.services_by_name["IdentityService"],
        history_pb2.DESCRIPTOR.services_by_name["HistoryService"],
        admin_pb2.DESCRIPTOR.services_by_name["AdminService"],
    )
    for method in service.methods
}

# What each needs of a token. A new method without a line here fails the tests, and it is a person
# who decides what the line says.
ROLES: Final = {
    "ResolveEvent": "write",
    "ResolveEvents": "write",
    "GetProfile": "read",
    "BatchGetProfiles": "read",
    "LookupProfiles": "read",
    "ListProfiles": "read",
    "TranslateIdentities": "read",
    "Login": "write",
    "Logout": "write",
    "LinkIdentifiers": "write",
    "ModifyIdentifiers": "write",
    "MergeProfiles": "write",
    "SplitProfile": "write",
    "RevertMerge": "write",
    "DenyLink": "write",
    "ForceLink": "write",
    "AttributeHistory": "write",
    "ImportProfiles": "write",
    "DeleteProfile": "admin",
    "ForgetIdentifier": "admin",
    "ExportPerson": "admin",
    "ExplainProfile": "read",
    "ExplainLink": "read",
    "WatchChanges": "read",
    "LookupAsOf": "read",
    "CreateWorkspace": "admin",
    "ListWorkspaces": "admin",
    "GetWorkspace": "admin",
    "DeleteWorkspace": "admin",
    "GetRules": "admin",
    "SetRules": "admin",
    "ValidateRules": "admin",
    "Checkpoint": "admin",
    "Backup": "admin",
    "GetStats": "admin",
}
# Those that are about no workspace in particular.
SERVER_WIDE: Final = {"ListWorkspaces", "Checkpoint", "Backup", "GetStats"}
WITHOUT_A_PLACE: Final = {"ValidateRules"}

ANN: Final = event_pb2.Identifier(namespace="user_id", value="ann")
BOB: Final = event_pb2.Identifier(namespace="user_id", value="bob")
_EMAIL: Final = event_pb2.Identifier(namespace="email", value="ann@example.com")
_EVENT: Final = event_pb2.Event(identifiers=[ANN, _EMAIL])
_ANN: Final = identity_pb2.ProfileLookup(identifier=ANN)
_BOB: Final = identity_pb2.ProfileLookup(identifier=BOB)
_TIME: Final = Timestamp(seconds=1_700_000_000)

REQUESTS: Final[dict[str, Message]] = {
    "ResolveEvent": identity_pb2.ResolveEventRequest(event=_EVENT),
    "ResolveEvents": identity_pb2.ResolveEventsRequest(events=[_EVENT, _EVENT]),
    "GetProfile": identity_pb2.GetProfileRequest(lookup=_ANN),
    "BatchGetProfiles": identity_pb2.BatchGetProfilesRequest(lookups=[_ANN]),
    "LookupProfiles": identity_pb2.LookupProfilesRequest(identifier=ANN),
    "ListProfiles": identity_pb2.ListProfilesRequest(),
    "TranslateIdentities": identity_pb2.TranslateIdentitiesRequest(
        lookups=[_ANN], targets=[identity_pb2.IdentityTarget(namespaces=["email"])]
    ),
    "Login": identity_pb2.LoginRequest(event=_EVENT),
    "Logout": identity_pb2.LogoutRequest(event=_EVENT),
    "LinkIdentifiers": identity_pb2.LinkIdentifiersRequest(event=_EVENT, sources=[BOB]),
    "ModifyIdentifiers": identity_pb2.ModifyIdentifiersRequest(
        profile=_ANN,
        changes=[identity_pb2.IdentifierChange(namespace="email", new_value="a@example.com")],
    ),
    "MergeProfiles": identity_pb2.MergeProfilesRequest(target=_ANN, sources=[_BOB]),
    "SplitProfile": identity_pb2.SplitProfileRequest(profile=_ANN, identifiers=[ANN]),
    "RevertMerge": identity_pb2.RevertMergeRequest(absorbed_profile_id="ip_0000000000000"),
    "DenyLink": identity_pb2.DenyLinkRequest(a=ANN, b=BOB),
    "ForceLink": identity_pb2.ForceLinkRequest(a=ANN, b=BOB),
    "AttributeHistory": identity_pb2.AttributeHistoryRequest(
        source_profile=_BOB, destination_profile=_ANN, start_time=_TIME, end_time=_TIME
    ),
    "ImportProfiles": identity_pb2.ImportProfilesRequest(
        profiles=[
            identity_pb2.ImportedProfile(
                former_id="f-1", identifiers=[identity_pb2.ImportedIdentifier(identifier=ANN)]
            )
        ]
    ),
    "DeleteProfile": identity_pb2.DeleteProfileRequest(profile=_ANN, read_only=True),
    "ForgetIdentifier": identity_pb2.ForgetIdentifierRequest(identifier=ANN, read_only=True),
    "ExportPerson": identity_pb2.ExportPersonRequest(profile=_ANN),
    "ExplainProfile": history_pb2.ExplainProfileRequest(profile=_ANN),
    "ExplainLink": history_pb2.ExplainLinkRequest(a=_ANN, b=_BOB),
    "WatchChanges": history_pb2.WatchChangesRequest(after_sequence_number=0),
    "LookupAsOf": history_pb2.LookupAsOfRequest(
        lookups=[
            history_pb2.PastLookup(
                identifier=_ANN.identifier, as_of=identity_pb2.AsOf(sequence_number=1)
            )
        ]
    ),
    "CreateWorkspace": admin_pb2.CreateWorkspaceRequest(name="new"),
    "ListWorkspaces": admin_pb2.ListWorkspacesRequest(),
    "GetWorkspace": admin_pb2.GetWorkspaceRequest(),
    "DeleteWorkspace": admin_pb2.DeleteWorkspaceRequest(read_only=True),
    "GetRules": admin_pb2.GetRulesRequest(),
    "SetRules": admin_pb2.SetRulesRequest(rules_toml="[namespaces.user_id]\n"),
    "ValidateRules": admin_pb2.ValidateRulesRequest(),
    "Checkpoint": admin_pb2.CheckpointRequest(),
    "Backup": admin_pb2.BackupRequest(directory="/nowhere/backup"),
    "GetStats": admin_pb2.GetStatsRequest(),
}


# What they come to where that is not OK: no merge is there to undo.
ANSWERS: Final = {
    "RevertMerge": Code.NOT_FOUND,
    # In memory there is nothing to watch.
    "WatchChanges": Code.FAILED_PRECONDITION,
}


def code_of(method: str) -> Code:
    """What the good request of a method comes to."""
    return ANSWERS.get(METHODS[method].name, Code.OK)


def request(method: str, **fields: object) -> bytes:
    """The good request of a method, with some fields set otherwise."""
    message = _copy(method)
    for name, value in fields.items():
        setattr(message, name, value)
    return message.SerializeToString()


def short_field(number: int, value: bytes) -> bytes:
    """A text, bytes or message of up to 127 bytes as it lies in a message."""
    return bytes([number << 3 | 2, len(value)]) + value


def workspace_field(method: str) -> str | None:
    """The field of a request that names the workspace."""
    fields = METHODS[method].input_type.fields_by_name
    names = ("workspace", "name") if METHODS[method].name.endswith("Workspace") else ("workspace",)
    return next((name for name in names if name in fields), None)


def has_read_only(method: str) -> bool:
    return "read_only" in METHODS[method].input_type.fields_by_name


def from_source(method: str, source: str) -> bytes | None:
    """The good request as from a source; None if the method asks for none."""
    message = _copy(method)
    fields = METHODS[method].input_type.fields_by_name
    if "source" in fields:
        message.source = source  # type: ignore[attr-defined]
    elif _is_event(fields.get("event")):
        message.event.source = source  # type: ignore[attr-defined]
    elif _is_event(fields.get("events")):
        # The last of several: each of them is looked at.
        message.events[-1].source = source  # type: ignore[attr-defined]
    else:
        return None
    return message.SerializeToString()


def _is_event(field: FieldDescriptor | None) -> bool:
    return field is not None and field.message_type is event_pb2.Event.DESCRIPTOR


def _copy(method: str) -> Message:
    good = REQUESTS[METHODS[method].name]
    copy = type(good)()
    copy.CopyFrom(good)
    return copy
