"""What goes in and what comes out: plain values, the same for every client and the resolver.

Nothing here knows a transport or the engine. Each type that comes out is made from its message
by a `from_proto`; the messages themselves are described in `protos/ipse/v1`.
"""

from __future__ import annotations

from ipse.model.answers import (
    AttributionAnswer,
    IdentifierMove,
    IdentifierVerdict,
    IgnoredField,
    IgnoredTrait,
    ItemError,
    MergeAnswer,
    Resolution,
    RevertAnswer,
    RevertedMerge,
    SourceVerdict,
)
from ipse.model.events import (
    Event,
)
from ipse.model.operations import (
    BackupInfo,
    CheckpointInfo,
    ErasureReceipt,
    RecoveryInfo,
    RulesInfo,
    RulesProblem,
    Stats,
    WorkspaceInfo,
)
from ipse.model.profiles import (
    FoundProfiles,
    HistoryAttribution,
    Profile,
    ProfileIdentifier,
    ProfilePage,
    TranslatedIdentity,
    TranslatedProfile,
)
from ipse.model.requests import (
    IdentifierChange,
    IdentityTarget,
    ImportedIdentifier,
    ImportedProfile,
    ImportedTrait,
)
from ipse.model.values import (
    CanonicalId,
    FormerId,
    FoundBy,
    Identifier,
    TraitValue,
)
from ipse.model.words import (
    Decision,
    MergeVerdict,
    MoveCause,
    Rule,
    TraitReason,
    ValueChoice,
    ValueForm,
    Verdict,
)

__all__ = [
    "AttributionAnswer",
    "BackupInfo",
    "CanonicalId",
    "CheckpointInfo",
    "Decision",
    "ErasureReceipt",
    "Event",
    "FormerId",
    "FoundBy",
    "FoundProfiles",
    "HistoryAttribution",
    "Identifier",
    "IdentifierChange",
    "IdentifierMove",
    "IdentifierVerdict",
    "IdentityTarget",
    "IgnoredField",
    "IgnoredTrait",
    "ImportedIdentifier",
    "ImportedProfile",
    "ImportedTrait",
    "ItemError",
    "MergeAnswer",
    "MergeVerdict",
    "MoveCause",
    "Profile",
    "ProfileIdentifier",
    "ProfilePage",
    "RecoveryInfo",
    "Resolution",
    "RevertAnswer",
    "RevertedMerge",
    "Rule",
    "RulesInfo",
    "RulesProblem",
    "SourceVerdict",
    "Stats",
    "TraitReason",
    "TraitValue",
    "TranslatedIdentity",
    "TranslatedProfile",
    "ValueChoice",
    "ValueForm",
    "Verdict",
    "WorkspaceInfo",
]
