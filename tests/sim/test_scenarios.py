"""Every small world under many schedules: what must hold of each log, whoever goes first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.sim.run import explored
from tests.sim.scenarios import SCENARIOS

from tinyagent.testing import Sim, explore

pytestmark = pytest.mark.replays_itself
SCHEDULES, LONG = 60, 500


@pytest.mark.parametrize("name", SCENARIOS)
def test_in_any_order_the_invariants_hold(name: str) -> None:
    found = explore(SCENARIOS[name], schedules=SCHEDULES)
    assert found.schedules == SCHEDULES
    # In a run without tools there is but one task at a time that speaks.
    assert found.distinct > (1 if name == "one_run" else SCHEDULES // 3)


def test_there_are_twenty_one_of_them() -> None:
    assert len(SCENARIOS) == 21


@pytest.mark.slow
def test_ten_thousand_schedules() -> None:
    runs, distinct, hours = 0, 0, 0.0
    for play in SCENARIOS.values():
        found = explore(play, schedules=LONG)
        runs, distinct = runs + found.schedules, distinct + found.distinct
        hours += found.virtual_s / 3600
    print(f"{runs} schedules, {distinct} differ, {hours:.0f} h of virtual time")
    assert runs == len(SCENARIOS) * LONG >= 10_000
    assert distinct >= 5_000


def test_the_long_tier_counts_what_it_ran_in_all_worlds() -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("run.py")],
        env={**os.environ, "SCHEDULES": "42"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *worlds, told = done.stdout.splitlines()
    assert len(worlds) == 21
    assert told.startswith("42 schedules of 21 worlds, 41 differ")
    assert told.endswith("0 worlds failed")


def test_a_world_that_fails_is_told_with_the_tape_that_repeats_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(sim: Sim) -> None:
        assert sim.pick("weather", "fair", "foul") == "fair"

    monkeypatch.setitem(SCENARIOS, "broken", broken)
    told = explored("broken", 50)
    assert isinstance(told, str)
    assert 'reproduce  replay_tape(..., "r1:' in told
