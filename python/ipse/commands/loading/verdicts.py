"""Which verdicts on identifiers keep one off its profile, and the words for the rules that do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipse.v1 import identity_pb2

KEPT_OUT: Final = (3, 4)
"""Dropped and refused, by their numbers in ipse.v1."""


def rule_of(verdict: identity_pb2.IdentifierVerdict) -> str:
    """The rule that decided."""
    return rule_name(verdict.rule)


def rule_name(number: int) -> str:
    """The rule of that number in ipse.v1."""
    from ipse.model.words import RULES

    rule = RULES.get(number)
    return str(rule) if rule else "unknown"
