"""The one place where other systems' words meet ours.

Scenario files speak the vendor's language; nothing outside this table knows it. A word
that is not here is a failed check, so that a new file cannot pass by being misread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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
    drop_policies: dict[str, str]
    """Their word for the drop policy, to ours in the rules."""


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
    drop_policies={"drop_lowest": "drop_lowest", "legacy_2020": "legacy_2020"},
)
