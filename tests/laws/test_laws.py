"""Laws that need no model: what must hold of the engine compared with itself."""

from __future__ import annotations

import itertools
import random
import shutil
from pathlib import Path

import ipse
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ipse import Resolver

from tests.laws import events
from tests.laws.model import Pair, Rules

_WORKSPACE = "laws"
_SEEDS = range(4)

Observations = list[frozenset[Pair]]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(observed=st.lists(events.observations(4), max_size=12), seed=st.integers(0, 2**32 - 1))
def test_without_limits_the_order_of_events_does_not_matter(
    observed: Observations, seed: int
) -> None:
    shuffled = random.Random(seed).sample(observed, len(observed))
    assert _partition(observed) == _partition(shuffled)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(observed=st.lists(events.observations(4), max_size=12))
def test_without_limits_people_are_the_connected_components(observed: Observations) -> None:
    assert _partition(observed) == _components(observed)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(observed=st.lists(events.observations(4), max_size=8))
def test_the_order_of_identifiers_on_an_event_does_not_matter(observed: Observations) -> None:
    with _workspace(events.RULES) as forward, _workspace(events.RULES) as backward:
        for number, identifiers in enumerate(observed):
            event = events.event(identifiers, number * 60_000)
            turned = ipse.Event(
                identifiers=sorted(identifiers, reverse=True),
                timestamp=event.timestamp,
                type=event.type,
            )
            first = forward.resolve(event, workspace=_WORKSPACE)
            second = backward.resolve(turned, workspace=_WORKSPACE)
            assert [v.identifier for v in first.verdicts] == [v.identifier for v in second.verdicts]
            assert [v.verdict for v in first.verdicts] == [v.verdict for v in second.verdicts]
            assert first.decision == second.decision


@pytest.mark.parametrize("seed", _SEEDS)
def test_replaying_the_log_gives_the_same_state(tmp_path: Path, seed: int) -> None:
    """The directory as a crash would leave it, without a snapshot: the log alone is replayed."""
    live = tmp_path / "live"
    with _on_disk(live) as resolver:
        _play(resolver, random.Random(seed), 300)
        expected = resolver.get_workspace(_WORKSPACE)
        crashed = Path(shutil.copytree(live, tmp_path / "crashed"))
    assert not list(crashed.glob("snapshot-*"))
    with _on_disk(crashed) as resolver:
        assert resolver.get_workspace(_WORKSPACE) == expected
        assert resolver.stats().recovery.replayed_record_count >= expected.sequence_number


@pytest.mark.parametrize("seed", _SEEDS)
def test_a_snapshot_and_the_log_behind_it_give_the_same_state(tmp_path: Path, seed: int) -> None:
    live = tmp_path / "live"
    chance = random.Random(seed)
    with _on_disk(live) as resolver:
        _play(resolver, chance, 200)
        resolver.checkpoint()
        for number in range(200, 300):
            resolver.resolve(_random_event(chance, number), workspace=_WORKSPACE)
        expected = resolver.get_workspace(_WORKSPACE)
        crashed = Path(shutil.copytree(live, tmp_path / "crashed"))
    with _on_disk(crashed) as resolver:
        assert resolver.get_workspace(_WORKSPACE) == expected
        assert resolver.stats().recovery.snapshot_file_name


@pytest.mark.parametrize("seed", _SEEDS)
def test_an_event_that_taught_nothing_wrote_nothing(seed: int) -> None:
    """The same story told twice: the second time has no new record, and the same people."""
    chance = random.Random(seed)
    with _workspace(events.UNLIMITED) as resolver:
        story = [_random_event(chance, number) for number in range(200)]
        for event in story:
            resolver.resolve(event, workspace=_WORKSPACE)
        before = resolver.get_workspace(_WORKSPACE)
        for event in story:
            again = resolver.resolve(event, workspace=_WORKSPACE)
            assert again.repeated or not again.recorded
        assert resolver.get_workspace(_WORKSPACE) == before


def _workspace(rules: Rules) -> Resolver:
    resolver = Resolver()
    resolver.create_workspace(_WORKSPACE, rules_toml=events.rules_toml(rules))
    return resolver


def _on_disk(data_dir: Path) -> Resolver:
    return Resolver(data_dir, segment_size_bytes=65_536)


def _play(resolver: Resolver, chance: random.Random, count: int) -> None:
    resolver.create_workspace(_WORKSPACE, rules_toml=events.rules_toml(events.RULES))
    for number in range(count):
        resolver.resolve(_random_event(chance, number), workspace=_WORKSPACE)


def _random_event(chance: random.Random, number: int) -> ipse.Event:
    identifiers = frozenset(
        (chance.choice(events.NAMESPACES), f"v{chance.randrange(40)}")
        for _ in range(chance.randint(1, 4))
    )
    event_id = f"event-{number}" if chance.random() < 0.5 else ""
    return events.event(identifiers, number * 3_600_000, event_id)


def _partition(observed: Observations) -> set[frozenset[Pair]]:
    """Who ends up together, by looking every identifier up."""
    with _workspace(events.UNLIMITED) as resolver:
        for number, identifiers in enumerate(observed):
            resolver.resolve(events.event(identifiers, number * 60_000), workspace=_WORKSPACE)
        people: dict[str, set[Pair]] = {}
        for pair in set(itertools.chain.from_iterable(observed)):
            found = resolver.get_profile(identifier=pair, workspace=_WORKSPACE)
            people.setdefault(found.profile_id, set()).add(pair)
    return {frozenset(person) for person in people.values()}


def _components(observed: Observations) -> set[frozenset[Pair]]:
    people: set[frozenset[Pair]] = set()
    for identifiers in observed:
        met = {person for person in people if person & identifiers}
        people = (people - met) | {frozenset(identifiers.union(*met))}
    return people
