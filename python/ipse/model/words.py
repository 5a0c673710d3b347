"""The words that answers are made of: one enum for each of the wire's, in its order.

What each rule does is said in `protos/ipse/v1/identity.proto` and by `ipse rules show`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Decision(StrEnum):
    """What an event or a command did as a whole."""

    UNRESOLVED = "unresolved"
    """No usable identifier: the event belongs to no profile."""
    CREATED = "created"
    """No identifier led to a profile, or the rules ask for one: a new profile."""
    ATTACHED = "attached"
    """One profile was found and identifiers were attached to it."""
    ALREADY_ATTACHED = "already_attached"
    """One profile was found and no identifier was attached to it."""
    MERGED = "merged"
    """Several profiles were found and became one."""


class Verdict(StrEnum):
    """What became of one identifier of an event or a command."""

    ATTACHED = "attached"
    """It is now on this profile and was not; of a shared namespace it may be on others as well."""
    ALREADY_ATTACHED = "already_attached"
    """It was on this profile, or on one that this event merged into it."""
    DROPPED = "dropped"
    """A rule took it off the event before matching."""
    REFUSED = "refused"
    """It took part in matching, but a rule kept it where it was."""
    TRANSFERRED = "transferred"
    """It was on another profile, `collided_profile_id`, and is now on this one."""
    REMOVED = "removed"
    """It was on this profile and is now on none."""


class Rule(StrEnum):
    """The rule behind what was dropped or refused."""

    UNKNOWN_NAMESPACE = "unknown_namespace"
    BLOCKED_VALUE = "blocked_value"
    VALUE_LIMIT = "value_limit"
    """A namespace's limit for the profile's lifetime."""
    VALUE_TIME_LIMIT = "value_time_limit"
    """A namespace's limit within its sliding window."""
    MERGE_LIMIT = "merge_limit"
    IDENTIFIER_LIMIT = "identifier_limit"
    INVALID_VALUE = "invalid_value"
    """Empty after normalising, or not a value of its kind."""
    IMMUTABLE = "immutable"
    """A value of an immutable namespace is set already."""
    HELD_ELSEWHERE = "held_elsewhere"
    """It is another profile's, and the rules neither join the two nor move it."""
    EXCLUSIVE_OWNER = "exclusive_owner"
    """It stays with its owner: the event does not name the key, or is older."""
    KNOWN_SOURCE = "known_source"
    """A source that is known already is not joined."""
    SOURCE_SHAPE = "source_shape"
    """The source's value has not the shape that the rules ask of it."""
    SOURCE_USED = "source_used"
    """The source was a source of a link before."""
    NO_TARGET = "no_target"
    """What the source was to be joined to is not usable."""
    PAIR_LIMIT = "pair_limit"
    """It would be seen with more of another namespace than it may be."""
    MOVED_LIMIT = "moved_limit"
    """The merge would move more identifiers than one merge may."""
    HOLDER_LIMIT = "holder_limit"
    """A shared identifier is on as many profiles as it may be."""
    AMBIGUOUS_EVENT = "ambiguous_event"
    """Two values of a namespace that allows one, on one event."""
    DISPLACED = "displaced"
    """Newer or stronger evidence keeps it apart from the event's profile."""
    DENIED_LINK = "denied_link"
    """Someone said that the two are different people."""
    NOT_ATTACHED = "not_attached"
    """The value to change or remove is not on the profile."""
    ATTRIBUTION_OVERLAP = "attribution_overlap"
    """The history of the source in that range is attributed already."""
    ATTRIBUTION_CHAIN = "attribution_chain"
    """The source was a destination before, or the destination a source."""
    ATTRIBUTION_OFF = "attribution_off"
    """The rules attribute no history."""
    SUPPRESSED = "suppressed"
    """The identifier was erased and is kept out; its value is not repeated."""
    CEILING = "ceiling"
    """Memory has reached its ceiling, and the identifier would be one more."""


class MoveCause(StrEnum):
    """Why an identifier left a profile without being on the event."""

    DISPLACED = "displaced"
    """Newer evidence displaced the links that held it there."""
    EVICTED = "evicted"
    """The profile was full."""
    SPLIT = "split"
    """The call split the profile."""
    REVERTED = "reverted"
    """The call undid a merge, and it belongs to the other side."""
    REVERTED_SHARED = "reverted_shared"
    """The call undid a merge, and both sides hold it."""


class TraitReason(StrEnum):
    """Why a trait that was sent did not count."""

    OLDER = "older"
    """The profile's value is newer than the event."""
    SET_ALREADY = "set_already"
    """It was to be set once, and the profile has another value."""
    UNRESOLVED = "unresolved"
    """The event belongs to no profile."""
    CEILING = "ceiling"
    """Memory has reached its ceiling, and the trait is new or its value longer."""


class MergeVerdict(StrEnum):
    """What became of one source of a merge."""

    MERGED = "merged"
    """It is part of the target now."""
    ALREADY_MERGED = "already_merged"
    """It was the target, or part of it, already."""
    NOT_FOUND = "not_found"
    """There is no such profile."""
    REFUSED = "refused"
    """A rule kept it apart."""


class RecordKind(StrEnum):
    """What a record of the log is of."""

    OBSERVE = "observe"
    LOGIN = "login"
    LOGOUT = "logout"
    LINK = "link"
    MODIFY = "modify"
    MERGE = "merge"
    SPLIT = "split"
    ATTRIBUTE_HISTORY = "attribute_history"
    IMPORT = "import"
    ERASURE = "erasure"
    """An erasure, or the files that followed one."""
    EXPIRY = "expiry"
    """Identifiers that expired."""
    RULES = "rules"
    """The workspace began, or other rules came into force."""
    REVERT = "revert"
    DENY = "deny"


class ChangeKind(StrEnum):
    """What a change is; `before` and `after` are its two profiles."""

    CREATED = "created"
    """The profile after began. One that a split or a displacement begins is told by that alone."""
    MERGED = "merged"
    """All that before had is after's from here on."""
    ATTACHED = "attached"
    """The identifier came to after, and was on no profile, or is of a shared namespace."""
    TRANSFERRED = "transferred"
    """The identifier went from before to after."""
    REMOVED = "removed"
    """The identifier was taken off before, because a caller said so."""
    SPLIT = "split"
    """The identifier went from before to after, because a caller split the profile."""
    DISPLACED = "displaced"
    """The identifier left before for after, if there is one, because of newer evidence."""
    EVICTED = "evicted"
    """The identifier left before, because that was full."""
    EXPIRED = "expired"
    """The identifier left before, because it was not seen for as long as the rules keep it."""
    ERASED = "erased"
    """The profile before was erased; without one, an identifier was, and no record tells which."""
    TRAIT_SET = "trait_set"
    """A trait of after was set, or removed."""
    RULES_SET = "rules_set"
    """Rules came into force, those that the workspace began with too."""
    REVERTED = "reverted"
    """A merge was undone: after is a profile again beside before, or the identifier went there;
    without before it is on both. Traits are parted, too, and not told."""


class ValueChoice(StrEnum):
    """Which of a profile's values of a namespace to give."""

    NEWEST = "newest"
    """The one attached last, by event time."""
    FIRST = "first"
    """The one attached first, by event time."""
    ALL = "all"
    """All, oldest first."""


class ValueForm(StrEnum):
    """In what form to give a value."""

    NORMAL = "normal"
    """The normalised value."""
    SHA256 = "sha256"
    """SHA-256 of the normalised value in lower-case hex. A namespace that the rules declare to be
    the SHA-256 of another is given as it is."""


# By the numbers of the wire; 0 is never sent.
DECISIONS: Final = dict(enumerate(Decision, start=1))
VERDICTS: Final = dict(enumerate(Verdict, start=1))
RULES: Final = dict(enumerate(Rule, start=1))
MOVE_CAUSES: Final = dict(enumerate(MoveCause, start=1))
TRAIT_REASONS: Final = dict(enumerate(TraitReason, start=1))
MERGE_VERDICTS: Final = dict(enumerate(MergeVerdict, start=1))
RECORD_KINDS: Final = dict(enumerate(RecordKind, start=1))
CHANGE_KINDS: Final = dict(enumerate(ChangeKind, start=1))
