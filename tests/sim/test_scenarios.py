"""Every small world under many schedules: what must hold of each log, whoever goes first."""

from __future__ import annotations

import pytest
from tests.sim.scenarios import SCENARIOS

from tinyagent.testing import explore

pytestmark = pytest.mark.replays_itself
SCHEDULES, LONG = 60, 500


@pytest.mark.parametrize("name", SCENARIOS)
def test_in_any_order_the_invariants_hold(name: str) -> None:
    found = explore(SCENARIOS[name], schedules=SCHEDULES)
    assert found.schedules == SCHEDULES
    assert found.distinct > SCHEDULES // 3


def test_there_are_twenty_of_them() -> None:
    assert len(SCENARIOS) == 20


@pytest.mark.slow
def test_ten_thousand_schedules() -> None:
    runs, distinct, hours = 0, 0, 0.0
    for play in SCENARIOS.values():
        found = explore(play, schedules=LONG)
        runs, distinct = runs + found.schedules, distinct + found.distinct
        hours += found.virtual_s / 3600
    print(f"{runs} schedules, {distinct} differ, {hours:.0f} h of virtual time")
    assert runs == 10_000
    assert distinct >= 7_000
