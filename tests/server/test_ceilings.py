"""Ceilings on memory: known people are answered, nobody new is taken in, and it is said why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ipse
import pytest
from ipse import Event, Resolver, Rule, memory
from ipse._sync import SyncCalls

from tests.server_process import TRANSPORTS, ServerProcess


@pytest.fixture(params=["resolver", *TRANSPORTS])
def calls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SyncCalls]:
    """A workspace that may hold four identifiers, in a process that may hold six."""
    if request.param == "resolver":
        with Resolver(identifiers_max=6, workspace_identifiers_max=4) as resolver:
            yield resolver
    else:
        flags = ["--identifiers-max", "6", "--workspace-identifiers-max", "4"]
        with (
            ServerProcess(tmp_path / "data", flags, transport=request.param) as server,
            ipse.Client(server.address) as client,
        ):
            yield client


def _seen(*identifiers: tuple[str, str]) -> Event:
    return Event(identifiers=list(identifiers))


def test_at_a_ceiling_known_people_are_answered_and_others_told_of_it(calls: SyncCalls) -> None:
    ann = calls.resolve(_seen(("user_id", "ann"), ("anonymous_id", "a1"), ("email", "a@x.org")))
    full = calls.resolve(_seen(("user_id", "ann"), ("anonymous_id", "a2"), ("anonymous_id", "a3")))

    assert full.profile_id == ann.profile_id
    rules = {verdict.identifier.value: verdict.rule for verdict in full.verdicts}
    assert rules == {"ann": None, "a2": None, "a3": Rule.CEILING}
    with pytest.raises(
        ipse.ResourceExhausted, match="the workspace may hold 4 identifiers"
    ) as told:
        calls.resolve(_seen(("user_id", "bob")))
    assert told.value.reason == "CEILING_REACHED"
    assert calls.resolve(_seen(("anonymous_id", "a1"))).profile_id == ann.profile_id

    described = calls.get_workspace("default")
    assert (described.identifier_count, described.identifiers_max) == (4, 4)
    assert described.largest_profile_identifier_count == 4
    assert described.largest_profile_id == ann.profile_id
    assert described.memory_bytes > 0


def test_workspaces_share_what_the_process_may_hold(calls: SyncCalls) -> None:
    calls.resolve(_seen(*[("anonymous_id", f"a{number}") for number in range(4)]))
    calls.create_workspace("other")
    two = [("anonymous_id", f"b{number}") for number in range(3)]

    answer = calls.resolve(_seen(*two), workspace="other")

    assert [verdict.rule for verdict in answer.verdicts] == [None, None, Rule.CEILING]
    with pytest.raises(ipse.ResourceExhausted, match="this server may hold 6 identifiers"):
        calls.resolve(_seen(("user_id", "bob")), workspace="other")
    stats = calls.stats()
    assert (stats.identifier_count, stats.identifiers_max) == (6, 6)
    assert stats.memory_bytes == sum(each.memory_bytes for each in stats.workspaces)


def test_the_least_memory_that_a_control_group_allows_counts(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/outer/inner\n")
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    (inner / "memory.max").write_text("max\n")
    assert memory.bytes_max(tmp_path, own) > 1 << 20
    (inner.parent / "memory.max").write_text("1048576\n")
    assert memory.bytes_max(tmp_path, own) == 1 << 20


def test_what_was_seen_today_does_not_expire() -> None:
    rules = "[namespaces.email]\n[namespaces.session]\nexpires_after_days = 1\n"
    with Resolver() as resolver:
        resolver.set_rules(rules)
        resolver.resolve(_seen(("session", "s1")))
        assert resolver.expire() == 0
        assert resolver.get_workspace("default").identifier_count == 1
