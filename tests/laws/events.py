"""Events and rules to try laws on: few values, so that people meet often.

All generators are Hypothesis strategies; the pools are small on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import ipse
from hypothesis import strategies as st

from tests import toml_text
from tests.laws.model import Limit, Pair, Rules

EPOCH = datetime(2021, 1, 1, tzinfo=UTC)

NAMESPACES = ("user_id", "email", "device_id", "anonymous_id")
"""Strongest first."""

BLOCKED: Pair = ("user_id", "null")

RULES = Rules(
    priority={namespace: rank for rank, namespace in enumerate(NAMESPACES, start=1)},
    limits={
        "user_id": Limit(1),
        "email": Limit(2),
        "device_id": Limit(3),
        "anonymous_id": Limit(2, "weekly"),
    },
    blocked=frozenset({BLOCKED}),
)

UNLIMITED = Rules(priority=RULES.priority)
"""No limit that these few values could reach: a limit left out is five in the rules."""

_LIMIT_OUT_OF_REACH = 1_000_000


def rules_toml(rules: Rules) -> str:
    """The rules as the engine takes them."""
    return toml_text.dumps(
        {
            "workspace": {"conflict": rules.conflict, "merges_max": rules.merges_max},
            "namespaces": {name: _namespace(rules, name) for name in rules.priority},
        }
    )


def _namespace(rules: Rules, name: str) -> dict[str, Any]:
    settings: dict[str, Any] = {"priority": rules.priority[name], "login": name == "user_id"}
    limit = rules.limits.get(name, Limit(_LIMIT_OUT_OF_REACH))
    settings["limit"] = {"values": limit.values, "window": limit.window or "ever"}
    blocked = [value for namespace, value in rules.blocked if namespace == name]
    if blocked:
        settings["blocked"] = blocked
    return settings


def pairs(values: int) -> st.SearchStrategy[Pair]:
    """One identifier out of `values` for each namespace, or now and then the blocked one."""
    plain = st.tuples(
        st.sampled_from(NAMESPACES), st.integers(1, values).map(lambda number: f"v{number}")
    )
    return st.one_of(plain, plain, plain, plain, st.just(BLOCKED))


def observations(values: int = 5) -> st.SearchStrategy[frozenset[Pair]]:
    """The identifiers of one event."""
    return st.frozensets(pairs(values), min_size=1, max_size=4)


def event(
    identifiers: Sequence[Pair] | frozenset[Pair], now_ms: int, event_id: str = ""
) -> ipse.Event:
    """The event that shows these identifiers at that time."""
    return ipse.Event(
        identifiers=sorted(identifiers),
        timestamp=EPOCH + timedelta(milliseconds=now_ms),
        event_id=event_id,
        type="track",
    )
