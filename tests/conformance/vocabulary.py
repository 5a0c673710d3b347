"""The one place where other systems' words meet ours.

Scenario files speak the vendor's language; nothing outside this table knows it. A word
that is not here is a failed check, so that a new file cannot pass by being misread.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from ipse import Decision, Rule


@dataclass(frozen=True)
class Vocabulary:
    """How one system's scenario files name what we also have."""

    preset: str
    """The preset that the system's scenarios start from."""
    decisions: dict[str, frozenset[Decision]]
    """Their word for what an event did, to the `Decision`s that it covers."""
    drop_reasons: dict[str, Rule]
    """Their reason for an identifier that was left out, to our `Rule`."""
    violations: dict[str, Rule]
    """Their diagnostic, by name or by code, to our `Rule`."""
    violation_names: dict[Rule, str]
    """Our `Rule`, to the name that our answers print for it."""
    errors: dict[Decision, str]
    """The `Decision` that is an error to them, to their name of the error."""
    windows: dict[str, str]
    """Their word for a limit's window, to ours in the rules."""
    survivors: dict[str, str]
    """Their word for who survives a merge, to ours in the rules."""
    conflicts: dict[str, str]
    """Their word for the drop policy, to our word for the conflict policy in the rules."""


SEGMENT: Final = Vocabulary(
    preset="segment",
    decisions={
        "create": frozenset({Decision.CREATED}),
        # To Segment an event that found one profile was added to it, whether or not it
        # brought a new identifier; `added` says which of the two it was.
        "add": frozenset({Decision.ATTACHED, Decision.ALREADY_ATTACHED}),
        "merge": frozenset({Decision.MERGED}),
        "unresolved": frozenset({Decision.UNRESOLVED}),
    },
    drop_reasons={
        "blocked": Rule.BLOCKED_VALUE,
        "value_limit": Rule.VALUE_LIMIT,
        "value_time_limit": Rule.VALUE_TIME_LIMIT,
        "merge_limit": Rule.MERGE_LIMIT,
        "mapping_limit": Rule.IDENTIFIER_LIMIT,
    },
    violations={
        "ID value blocked": Rule.BLOCKED_VALUE,
        "blocked": Rule.BLOCKED_VALUE,
        "Identifier value limit exceeded": Rule.VALUE_LIMIT,
        "value_limit": Rule.VALUE_LIMIT,
        "Identifier value time limit exceeded": Rule.VALUE_TIME_LIMIT,
        "value_time_limit": Rule.VALUE_TIME_LIMIT,
        "Profile merge limit exceeded": Rule.MERGE_LIMIT,
        "merge_limit": Rule.MERGE_LIMIT,
        "Identifier mapping limit exceeded": Rule.IDENTIFIER_LIMIT,
        "mapping_limit": Rule.IDENTIFIER_LIMIT,
    },
    violation_names={
        Rule.BLOCKED_VALUE: "ID value blocked",
        Rule.VALUE_LIMIT: "Identifier value limit exceeded",
        Rule.VALUE_TIME_LIMIT: "Identifier value time limit exceeded",
        Rule.MERGE_LIMIT: "Profile merge limit exceeded",
        Rule.IDENTIFIER_LIMIT: "Identifier mapping limit exceeded",
    },
    errors={Decision.UNRESOLVED: "No matching identifiers on event"},
    windows={
        "ever": "ever",
        "daily": "daily",
        "weekly": "weekly",
        "monthly": "monthly",
        "annually": "annually",
    },
    survivors={"oldest_profile": "oldest", "oldest": "oldest"},
    conflicts={"drop_lowest": "drop_lowest", "legacy_2020": "legacy_2020"},
)


@dataclass(frozen=True)
class Strategies:
    """How mParticle's scenario files name what we also have."""

    presets: dict[str, str]
    """Their identity strategy, to our preset."""
    fixed_ids: dict[str, dict[str, list[str]]]
    """Their strategies that come with settings of their own, and those settings."""
    clean_cut: frozenset[str]
    """Their strategies under which a login without a login id is an error of theirs."""
    aliasing_off: frozenset[str]
    """Their strategies under which an alias is forbidden."""


MPARTICLE: Final = Strategies(
    presets={
        "default": "mparticle-conversion",
        "profile_default": "mparticle-conversion",
        "conversion": "mparticle-conversion",
        "profile_conversion": "mparticle-conversion",
        "link": "mparticle-link",
        "profile_link": "mparticle-link",
        "isolation": "mparticle-isolation",
        "profile_isolation": "mparticle-isolation",
        "best_match": "mparticle-best-match",
    },
    fixed_ids={
        name: {"login_ids": ["customerid"], "unique_ids": ["customerid"]}
        for name in ("default", "profile_default")
    },
    clean_cut=frozenset({"isolation", "profile_isolation"}),
    aliasing_off=frozenset({"isolation", "profile_isolation", "best_match"}),
)


@dataclass(frozen=True)
class Peer:
    """One system whose files put checks at moments."""

    preset: str
    """The preset that the system's scenarios start from."""
    identifiers_beside_cap: int = 0
    """How far our cap on identifiers is from their number: -1 where theirs is the first size
    that is refused."""
    ignored_verbs: frozenset[str] = frozenset()
    """Calls that the system accepts and does nothing about."""
    refuses_same_identifiers: bool = False
    """Whether a verb on one and the same identifier is a refusal there, not a call that does
    nothing."""
    stores_single_identifiers: bool = True
    """Whether an identifier that was seen alone is stored there."""
    forgets_anonymous_fields: bool = False
    """Whether the fields of an anonymous profile are lost when it becomes known."""
    accepts_every_event: bool = False
    """Whether an event is accepted there even where a rule keeps one of its identifiers
    where it is."""
    canonical_is_any_member: bool = False
    """Whether the system does not say which of a profile's identifiers is its public one."""


ADOBE: Final = Peer(preset="adobe", stores_single_identifiers=False)
PEERS: Final[dict[str, Peer]] = {
    "adobe": ADOBE,
    "adobe_iolr": ADOBE,
    "esputnik": Peer(preset="esputnik"),
    "mixpanel_simplified": Peer(
        preset="mixpanel-simplified",
        ignored_verbs=frozenset({"identify", "create_alias", "merge"}),
        forgets_anonymous_fields=True,
        accepts_every_event=True,
    ),
    "mixpanel_original": Peer(
        preset="mixpanel-original",
        identifiers_beside_cap=-1,
        refuses_same_identifiers=True,
        canonical_is_any_member=True,
    ),
    "posthog": Peer(preset="posthog", canonical_is_any_member=True),
}

SAME_IDENTIFIERS: Final = "same_identifiers"
"""What the runner calls a verb on one and the same identifier."""

_ILLEGAL: Final = frozenset(
    {Rule.BLOCKED_VALUE, Rule.INVALID_VALUE, Rule.NO_TARGET, "INVALID_FIELD"}
)
_KNOWN: Final = frozenset({Rule.KNOWN_SOURCE})
_UNKNOWN_IDENTIFIER: Final = frozenset(
    {Rule.NOT_ATTACHED, "INVALID_FIELD", "PROFILE_NOT_FOUND", "not_found"}
)
_FULL: Final = frozenset({Rule.IDENTIFIER_LIMIT})
_MOVES_TOO_MANY: Final = frozenset({Rule.MOVED_LIMIT})
_VALUES: Final = frozenset({Rule.VALUE_LIMIT, Rule.VALUE_TIME_LIMIT})
_AMBIGUOUS: Final = frozenset({Rule.AMBIGUOUS_EVENT})
_HELD: Final = frozenset(
    {Rule.HELD_ELSEWHERE, Rule.EXCLUSIVE_OWNER, Rule.VALUE_LIMIT, Rule.DISPLACED}
)

REFUSALS: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    # PostHog's warnings, and the verdicts of its identity service.
    ("cannot_merge_with_illegal_distinct_id", _ILLEGAL),
    ("cannot_merge_already_identified", _KNOWN),
    ("(skipped_)?already_identified", _KNOWN),
    ("skipped_refused", _KNOWN | _ILLEGAL),
    (
        "(skipped_|person_|merge_|cannot_merge_)*(move|merge)_limit(_hit|_exceeded)?",
        _MOVES_TOO_MANY,
    ),
    ("cannot_merge_too_many_(distinct_)?ids", _MOVES_TOO_MANY | _FULL),
    ("max_moved_ids(_exceeded)?", _MOVES_TOO_MANY),
    ("unknown_distinct_id", _UNKNOWN_IDENTIFIER),
    ("failed_(source|target)_not_found", _UNKNOWN_IDENTIFIER),
    # Mixpanel's failure reasons.
    ("errSameIDs", frozenset({SAME_IDENTIFIERS})),
    ("errAnonDistinctIdNonGUIDForm", frozenset({Rule.SOURCE_SHAPE})),
    ("errAnonDistinctIdAssignedAlready", frozenset({Rule.KNOWN_SOURCE, Rule.SOURCE_USED})),
    ("errAliasAlreadyExists", frozenset({Rule.SOURCE_USED})),
    ("errManyIDs", _FULL),
    # Adobe names no reasons; the files' own words.
    ("two_(values|identities)_of_(a_)?(unique|highest_priority)_namespace(_in_event)?", _AMBIGUOUS),
    # Words that any of them may use.
    (".*value_(time_)?limit.*|.*max_per_profile.*|.*unique_per_profile.*", _VALUES),
    (".*illegal.*|.*blocked.*|.*invalid.*", _ILLEGAL),
    (".*identified.*", _KNOWN),
    (".*same_(ids?|identifiers?).*", frozenset({SAME_IDENTIFIERS})),
    (".*(uuid|guid).*", frozenset({Rule.SOURCE_SHAPE})),
    (".*unique_namespace.*", _AMBIGUOUS),
    (".*(moved?|moves)_.*", _MOVES_TOO_MANY),
    (".*(max|limit|too_many).*", _FULL | _MOVES_TOO_MANY),
    (".*(unknown|not_found|not_on_).*", _UNKNOWN_IDENTIFIER),
    (".*(different|two|another)_(keys?|contacts?|users?|profiles?|unique_ids?).*", _HELD),
    ("held_elsewhere|already_bound|first_binding_wins|exclusive_owner", _HELD),
)
"""Their reasons for a refusal, as patterns of the whole word, to our rules and error reasons."""


def refusal(reason: str) -> frozenset[str] | None:
    """What one of their reasons may be called here; None if it is not in the vocabulary."""
    meanings = (ours for theirs, ours in REFUSALS if re.fullmatch(theirs, reason))
    return next(meanings, None)


TRIGGERS: Final = {
    "cooccurrence": "seen_together",
    "co-occurrence": "seen_together",
    "seen_together": "seen_together",
    "explicit": "explicit",
    "upsert_by_key": "key",
    "upsert": "key",
    "key": "key",
}
"""Their word for what joins two profiles, to ours in the rules."""

TRANSFER: Final = "transfer"
OWNER_TAKES: Final = "newest_owner_takes"
"""Says only of namespaces, not of the whole, that an identifier moves to its newest owner."""
CONFLICTS: Final = {
    "replay": "replay",
    "refuse": "refuse",
    "reject": "refuse",
    "first_binding_wins": "keep_first",
    "first": "keep_first",
    "keep_first": "keep_first",
    "keep_first_owner": "keep_first",
    TRANSFER: TRANSFER,
    "transfer_to_newest": TRANSFER,
    "newest_binding_wins": TRANSFER,
    "latest_binding_wins": TRANSFER,
    "last_binding_wins": TRANSFER,
    "newest": TRANSFER,
    OWNER_TAKES: TRANSFER,
    "drop_lowest": "drop_lowest",
}
"""Their words for what a conflict comes to, to ours in the rules. What follows is remark, but for
namespaces that it names: where an identifier moves, it is they that are meant."""

LEFT_OPEN: Final = ""
"""Leaves the survivor to the preset."""
SURVIVORS: Final = {
    "target": "target",
    "any": LEFT_OPEN,
    "any_member": LEFT_OPEN,
    "random": LEFT_OPEN,
    "key_holder": LEFT_OPEN,
    "call_target": "target",
    "oldest": "oldest",
    "oldest_profile": "oldest",
    "strongest_identifier": "strongest_identifier",
    "holder_of_strongest": "strongest_identifier",
    "primary": "strongest_identifier",
    "value_of": "strongest_identifier",
}
"""Their word for who survives a merge, to ours in the rules; what follows it is remark."""

OVER_LIMIT: Final = {
    "refuse": "refuse",
    "reject": "refuse",
    "dead_letter": "refuse",
    "evict": "evict_oldest",
    "evict_oldest": "evict_oldest",
    "evict_by_kind": "evict_by_kind",
    "evict_oldest_by_kind": "evict_by_kind",
}
"""Their words for what happens to a profile that is full, to ours in the rules."""

HISTORIES: Final = {
    "retroactive_to_bound_user": "retroactive",
    "retroactive": "retroactive",
    "bound_owner": "retroactive",
    "current_owner": "moves",
    "current_owner_moving": "moves",
    "moves": "moves",
    "nobody": "nobody",
    "none": "nobody",
    "owner": "retroactive",
    "bound": "retroactive",
    "moving": "moves",
}
"""Their word for whose anonymous events are, to ours in the rules."""

KINDS: Final = {
    "person": "person",
    "cross_device": "person",
    "email": "email",
    "phone": "phone",
    "device": "device",
    "cookie": "cookie",
    "token": "token",
    "partner": "partner",
}
"""Their kinds of namespaces, to ours."""

NO_KIND: Final = "any"
"""A kind that says nothing."""

_HEX: Final = "[0-9a-f]"
_UUID_V4: Final = {
    "login": {
        "source_pattern": f"(?i-u)^{_HEX * 8}-{_HEX * 4}-4{_HEX * 3}-[89ab]{_HEX * 3}-{_HEX * 12}$"
    }
}
EVICT_ORDER: Final = ("partner", "cookie", "device")
"""Which kinds give way first where neither the scenario nor the preset says it."""

GUARDS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "source_must_not_be_identified": {
        "login": {"unknown_source": True},
        "link": {"unknown_source": True},
    },
    "anon_must_be_uuid": _UUID_V4,
    "anon_must_be_uuidv4": _UUID_V4,
    "anon_must_look_like_uuidv4": _UUID_V4,
    "alias_used_once": {"link": {"source_once": True}},
    "none": {"login": {"unknown_source": False}, "link": {"unknown_source": False}},
}
"""Their guards, to settings of our commands; what follows is remark."""

CHANGES: Final = {
    "created": "created",
    "create": "created",
    "attached": "attached",
    "attach": "attached",
    "merged": "merged",
    "merge": "merged",
    "transferred": "transferred",
    "transfer": "transferred",
    "moved": "transferred",
    "displaced": "displaced",
    "unlinked": "displaced",
    "evicted": "evicted",
    "evict": "evicted",
    "refused": "refused",
    "refuse": "refused",
    "split": "split",
    "removed": "removed",
    "link": "attached",
    "unlink": "displaced",
    "move": "transferred",
}
"""What their kinds of change records name, to what our answers say."""
_ABOUT_CHANGES: Final = re.compile(
    "(person|profile|contact|cluster|graph|identity|identifier|id|device|token|ownership|"
    "merge|change|event|events|record|records)"
)


def change(kind: str) -> str | None:
    """What one of their kinds of change records is called here, whatever it says it is about;
    None if it is not in the vocabulary."""
    if kind in CHANGES:
        return CHANGES[kind]
    words = [each for each in kind.lower().split("_") if not _ABOUT_CHANGES.fullmatch(each)]
    if not words and "merge" in kind.lower().split("_"):
        return CHANGES["merge"]
    return CHANGES.get(words[0]) if len(words) == 1 else None
