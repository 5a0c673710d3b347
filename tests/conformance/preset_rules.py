"""A preset's rules, parsed, and the strict reading of what a scenario sets on top of them."""

from __future__ import annotations

import tomllib
from typing import Any

import ipse

from tests.conformance.case import Inexpressible

UNLIMITED = "none"
"""How rules say that a profile may take any number of values."""
CAP_MAX = 10_000_000
"""The largest cap that rules may set on a profile."""


def preset(name: str) -> dict[str, Any]:
    """A preset, parsed."""
    text = ipse.preset(name)
    if text is None:
        raise Inexpressible(f"there is no preset {name!r}")
    return tomllib.loads(text)


def word(words: dict[str, str], key: str, where: str) -> str:
    """Our word for one of theirs."""
    if key not in words:
        raise Inexpressible(f"{where}: {key!r} is not in the vocabulary")
    return words[key]


def only(table: dict[str, Any], allowed: frozenset[str], where: str) -> None:
    """Refuses a key that nothing here reads."""
    unknown = sorted(set(table) - allowed)
    if unknown:
        raise Inexpressible(f"{where}: {', '.join(unknown)} cannot be expressed")
