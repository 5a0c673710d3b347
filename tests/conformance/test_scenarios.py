"""The documented behaviour of every system in `data`, embedded and over gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import runner
from tests.target import Embedded, OverGrpc

_SCENARIOS = runner.load([Path(__file__).parent / "data"])
_NAMES = [scenario["name"] for scenario in _SCENARIOS]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, runner.Outcome]]:
    embedded = Embedded(tmp_path_factory.mktemp("embedded"))
    over_grpc = OverGrpc(tmp_path_factory.mktemp("grpc"))
    try:
        played = runner.run(_SCENARIOS, [embedded, over_grpc])
        yield {outcome.name: outcome for outcome in played}
    finally:
        over_grpc.close()
        embedded.close()


@pytest.mark.parametrize("name", _NAMES)
def test_scenario_holds(outcomes: dict[str, runner.Outcome], name: str) -> None:
    assert outcomes[name].failed_checks == []
