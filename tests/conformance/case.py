"""What playing one scenario against one target yields: failed checks, and checks to repeat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class Inexpressible(Exception):
    """A setting or expectation of a scenario that has no counterpart here."""


@dataclass
class Case:
    """One scenario against one target."""

    failed_checks: list[str] = field(default_factory=list)
    state_checks: list[Callable[[], None]] = field(default_factory=list)
    """Checks of the state that the scenario ends in. They record what fails in
    `failed_checks` and write nothing, so that they can run again after a restart."""

    def check(self, where: str, expected: Any, actual: Any) -> None:
        """Records a failed check unless the two are equal."""
        if expected != actual:
            self.fail(where, f"expected {_show(expected)}, got {_show(actual)}")

    def fail(self, where: str, problem: str) -> None:
        """Records a failed check."""
        self.failed_checks.append(f"{where}: {problem}")

    def guard(self, where: str, step: Callable[[], None]) -> None:
        """Runs a step; whatever it raises is a failed check of this scenario alone."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 -- one scenario must not end the others
            self.fail(where, f"{type(error).__name__}: {error}")


def _show(value: Any) -> str:
    if isinstance(value, set | frozenset):
        return "{" + ", ".join(sorted(map(repr, value))) + "}"
    return repr(value)
