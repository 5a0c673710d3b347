"""A few cycles of the campaign: what was answered is true after a kill, wherever it came.

The long one is `python -m tests.crash.campaign`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.campaign import Campaign
from tests.crash.points import POINTS
from tests.seeds import announce

_SEED = 7
_CYCLES = 10
_CLIENTS = 5


@pytest.mark.usefixtures("transport")
def test_what_was_answered_is_true_after_a_kill(tmp_path: Path) -> None:
    announce(f"seed {_SEED}")
    campaign = Campaign(tmp_path, _SEED, _CLIENTS)
    try:
        campaign.run(_CYCLES)
    finally:
        campaign.close()
    for kind in ("events", "commands", "reads", "snapshots"):
        assert campaign.counts[kind] > 0, f"no {kind} were answered: they were not tested"
    assert campaign.deaths["at random"] > 0
    assert campaign.deaths.keys() & POINTS, "no point was met"
