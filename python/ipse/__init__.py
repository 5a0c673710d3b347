"""ipse: events in, one profile per person out.

    Resolver      the whole engine inside this process, with or without files
    Client        a server's client; `ipse.aio.Client` is its asyncio twin
    Event         what both take; Resolution, Profile and the rest are what they answer
    preset        the rules of a preset as TOML, by its name; None if there is none

Names are imported when they are first used: `import ipse` and the command line's `--help` must
not wait for gRPC, nor the embedded resolver ever load it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipse import aio, errors
    from ipse._native import __version__, preset
    from ipse._transport import Tls
    from ipse.client import Client
    from ipse.errors import (
        AlreadyExists,
        Code,
        ConfigError,
        DeadlineExceeded,
        Failed,
        FailedPrecondition,
        InternalError,
        InvalidArgument,
        IpseError,
        LogFailed,
        NotFound,
        OpenError,
        PermissionDenied,
        Refused,
        ResourceExhausted,
        Unauthenticated,
        Unavailable,
        Unimplemented,
    )
    from ipse.model import (
        AttributionAnswer,
        BackupInfo,
        CanonicalId,
        Change,
        ChangedRecord,
        ChangeKind,
        CheckpointInfo,
        Decision,
        ErasureReceipt,
        Event,
        FormerId,
        FoundProfiles,
        HistoryAttribution,
        Hop,
        Identifier,
        IdentifierChange,
        IdentifierHolding,
        IdentifierLink,
        IdentifierMove,
        IdentifierVerdict,
        IdentityTarget,
        IgnoredField,
        IgnoredTrait,
        ImportedIdentifier,
        ImportedProfile,
        ImportedTrait,
        ItemError,
        KnownRefusal,
        LinkStory,
        LoggedRecord,
        MergeAnswer,
        MergeVerdict,
        MoveCause,
        Parting,
        PastHolder,
        Profile,
        ProfileIdentifier,
        ProfileMerge,
        ProfilePage,
        ProfileStory,
        RecordKind,
        RecoveryInfo,
        Resolution,
        RevertAnswer,
        RevertedMerge,
        Rule,
        RulesInfo,
        RulesProblem,
        SourceVerdict,
        Stats,
        Step,
        Trace,
        TraitReason,
        TranslatedIdentity,
        TranslatedProfile,
        ValueChoice,
        ValueForm,
        Verdict,
        WatchedChanges,
        WorkspaceInfo,
    )
    from ipse.resolver import Resolver
    from ipse.settings import ServerSettings

__all__ = [
    "AlreadyExists",
    "AttributionAnswer",
    "BackupInfo",
    "CanonicalId",
    "Change",
    "ChangeKind",
    "ChangedRecord",
    "CheckpointInfo",
    "Client",
    "Code",
    "ConfigError",
    "DeadlineExceeded",
    "Decision",
    "ErasureReceipt",
    "Event",
    "Failed",
    "FailedPrecondition",
    "FormerId",
    "FoundProfiles",
    "HistoryAttribution",
    "Hop",
    "Identifier",
    "IdentifierChange",
    "IdentifierHolding",
    "IdentifierLink",
    "IdentifierMove",
    "IdentifierVerdict",
    "IdentityTarget",
    "IgnoredField",
    "IgnoredTrait",
    "ImportedIdentifier",
    "ImportedProfile",
    "ImportedTrait",
    "InternalError",
    "InvalidArgument",
    "IpseError",
    "ItemError",
    "KnownRefusal",
    "LinkStory",
    "LogFailed",
    "LoggedRecord",
    "MergeAnswer",
    "MergeVerdict",
    "MoveCause",
    "NotFound",
    "OpenError",
    "Parting",
    "PastHolder",
    "PermissionDenied",
    "Profile",
    "ProfileIdentifier",
    "ProfileMerge",
    "ProfilePage",
    "ProfileStory",
    "RecordKind",
    "RecoveryInfo",
    "Refused",
    "Resolution",
    "Resolver",
    "ResourceExhausted",
    "RevertAnswer",
    "RevertedMerge",
    "Rule",
    "RulesInfo",
    "RulesProblem",
    "ServerSettings",
    "SourceVerdict",
    "Stats",
    "Step",
    "Tls",
    "Trace",
    "TraitReason",
    "TranslatedIdentity",
    "TranslatedProfile",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "ValueChoice",
    "ValueForm",
    "Verdict",
    "WatchedChanges",
    "WorkspaceInfo",
    "__version__",
    "aio",
    "errors",
    "preset",
]

_ERRORS = {
    "AlreadyExists",
    "Code",
    "ConfigError",
    "DeadlineExceeded",
    "Failed",
    "FailedPrecondition",
    "InternalError",
    "InvalidArgument",
    "IpseError",
    "LogFailed",
    "NotFound",
    "OpenError",
    "PermissionDenied",
    "Refused",
    "ResourceExhausted",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
}
_HOMES = {
    "Client": "ipse.client",
    "Resolver": "ipse.resolver",
    "ServerSettings": "ipse.settings",
    "Tls": "ipse._transport",
    "__version__": "ipse._native",
    "preset": "ipse._native",
}
_MODULES = {"aio", "errors"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'ipse' has no attribute {name!r}")
    if name in _MODULES:
        return import_module(f"ipse.{name}")
    home = "ipse.errors" if name in _ERRORS else _HOMES.get(name, "ipse.model")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
