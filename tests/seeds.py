"""Randomness that can be repeated: every random test says what it rolled.

pytest shows what a failed test printed; with `-rP` also what the others did.
"""

from __future__ import annotations


def announce(text: str) -> None:
    """Says with which seed, and where, a test does what it does."""
    print(text)
