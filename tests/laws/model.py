"""A naive identity resolver: the oracle that the engine is compared with.

It has dictionaries and brute force and nothing else: no union-find, no counters, no
index, no log. It must stay short enough to be believed by reading it. It covers the
documented rules but for the cap on identifiers of one profile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

Pair = tuple[str, str]

DAY_MS: Final = 24 * 60 * 60 * 1_000
WINDOWS_MS: Final = {
    "daily": DAY_MS,
    "weekly": 7 * DAY_MS,
    "monthly": 30 * DAY_MS,
    "annually": 365 * DAY_MS,
}


@dataclass(frozen=True)
class Limit:
    """How many values of one namespace a profile may hold or, in a window, gain."""

    values: int
    window: str | None = None

    def counts(self, attached_ms: int, now_ms: int) -> bool:
        """Whether an attachment still counts now."""
        return self.window is None or attached_ms > now_ms - WINDOWS_MS[self.window]


@dataclass(frozen=True)
class Rules:
    """What the model knows of a workspace's rules."""

    priority: dict[str, int]
    limits: dict[str, Limit] = field(default_factory=dict)
    blocked: frozenset[Pair] = frozenset()
    conflict: str = "drop_lowest"
    merges_max: int = 100


@dataclass
class Profile:
    """One person, as far as the model can tell."""

    number: int
    identifiers: dict[Pair, int] = field(default_factory=dict)
    absorbed: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """What an event did."""

    decision: str
    profile: int | None
    attached: frozenset[Pair]
    dropped: dict[Pair, tuple[str, str]]
    """Identifier to the rule and to the namespace whose limit it was (empty if none)."""
    refused: frozenset[Pair]
    absorbed: list[int]


class Model:
    """A workspace."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.profiles: dict[int, Profile] = {}
        self.created = 0

    def resolve(self, identifiers: frozenset[Pair], now_ms: int) -> Answer:
        """Resolves an event and learns from it."""
        dropped: dict[Pair, tuple[str, str]] = {
            pair: ("blocked value", "") for pair in identifiers if pair in self.rules.blocked
        }
        left = set(identifiers) - set(dropped)
        while left and (broken := self._broken_limit(left, now_ms)) is not None:
            rule = "value time limit" if self.rules.limits[broken].window else "value limit"
            loser = self._loser(left, broken)
            dropped[loser] = (rule, broken)
            left.remove(loser)
        if not left:
            return Answer("unresolved", None, frozenset(), dropped, frozenset(), [])
        return self._settle(left, dropped, now_ms)

    def owner(self, pair: Pair) -> int | None:
        """The number of the profile that holds an identifier."""
        for profile in self.profiles.values():
            if pair in profile.identifiers:
                return profile.number
        return None

    def survivor(self, number: int) -> int:
        """The profile that a number answers to, itself unless it was absorbed."""
        for profile in self.profiles.values():
            if number == profile.number or number in profile.absorbed:
                return profile.number
        raise KeyError(number)

    def partition(self) -> dict[int, frozenset[Pair]]:
        """Who holds what."""
        return {n: frozenset(profile.identifiers) for n, profile in self.profiles.items()}

    def _matches(self, left: set[Pair]) -> list[Profile]:
        """The profiles that hold any of the identifiers, oldest first."""
        return [p for _, p in sorted(self.profiles.items()) if left & p.identifiers.keys()]

    def _rank(self, pair: Pair) -> tuple[int, str]:
        """Strongest first; among one namespace the value that sorts last is weakest."""
        return (self.rules.priority[pair[0]], pair[1])

    def _broken_limit(self, left: set[Pair], now_ms: int) -> str | None:
        """The strongest namespace whose limit this event would pass."""
        matches = self._matches(left)
        final = dict.fromkeys(left, now_ms)
        for profile in matches:
            final |= profile.identifiers
        for namespace in sorted(self.rules.limits, key=self.rules.priority.__getitem__):
            limit = self.rules.limits[namespace]
            before = [self._live(p.identifiers, namespace, limit, now_ms) for p in matches]
            after = self._live(final, namespace, limit, now_ms)
            if after > limit.values and after > max(before, default=0):
                return namespace
        return None

    def _live(self, identifiers: dict[Pair, int], namespace: str, limit: Limit, now_ms: int) -> int:
        return sum(
            1
            for (name, _), attached in identifiers.items()
            if name == namespace and limit.counts(attached, now_ms)
        )

    def _loser(self, left: set[Pair], broken: str) -> Pair:
        """The identifier that goes: the weakest of all. Under legacy_2020, unless the limit is
        one for ever, the weakest of the namespace whose limit is broken, new ones first."""
        unique = self.rules.limits[broken] == Limit(1)
        if self.rules.conflict == "legacy_2020" and not unique:
            own = [pair for pair in left if pair[0] == broken]
            new = [pair for pair in own if self.owner(pair) is None]
            return max(new or own or left, key=self._rank)
        return max(left, key=self._rank)

    def _strongest_owner(self, left: set[Pair]) -> int | None:
        """The profile of the strongest identifier that has one."""
        owners = (self.owner(pair) for pair in sorted(left, key=self._rank))
        return next((owner for owner in owners if owner is not None), None)

    def _settle(self, left: set[Pair], dropped: dict[Pair, tuple[str, str]], now_ms: int) -> Answer:
        matches = self._matches(left)
        if not matches:
            self.created += 1
            profile = Profile(self.created)
            self.profiles[profile.number] = profile
            return self._attach(profile, left, dropped, "created", [], now_ms)
        if len(matches) == 1:
            return self._attach(matches[0], left, dropped, "found", [], now_ms)
        merges = sum(len(profile.absorbed) for profile in matches) + len(matches) - 1
        if merges > self.rules.merges_max:
            number = self._strongest_owner(left)
            target = next(profile for profile in matches if profile.number == number)
            return self._attach(target, left, dropped, "found", [], now_ms)
        return self._merge(matches, left, dropped, now_ms)

    def _merge(
        self,
        matches: list[Profile],
        left: set[Pair],
        dropped: dict[Pair, tuple[str, str]],
        now_ms: int,
    ) -> Answer:
        oldest, *others = matches
        for other in others:
            oldest.identifiers |= other.identifiers
            oldest.absorbed += [other.number, *other.absorbed]
            del self.profiles[other.number]
        oldest.absorbed.sort()
        absorbed = [other.number for other in others]
        return self._attach(oldest, left, dropped, "merged", absorbed, now_ms)

    def _attach(
        self,
        target: Profile,
        left: set[Pair],
        dropped: dict[Pair, tuple[str, str]],
        decision: str,
        absorbed: list[int],
        now_ms: int,
    ) -> Answer:
        elsewhere = frozenset(p for p in left if self.owner(p) not in (None, target.number))
        new = frozenset(p for p in left if self.owner(p) is None)
        target.identifiers |= dict.fromkeys(new, now_ms)
        return Answer(decision, target.number, new, dropped, elsewhere, absorbed)
