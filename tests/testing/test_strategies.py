"""Who goes first, by which strategy: what each tries, what it finds, how a tape gets short."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import Counter
from functools import partial
from typing import Any

import pytest

from tinyagent.testing import ScheduleError, Sim, explore, replay_tape
from tinyagent.testing.exploring import run
from tinyagent.testing.schedules import chooser
from tinyagent.testing.tapes import read


def orders(steps: int, seen: Counter[str]) -> Any:
    """Return a scenario in which so many steps are taken in some order."""

    async def scenario() -> None:
        order: list[str] = []
        for name in "abcdef"[:steps]:
            step = partial(order.append, name)
            setattr(step, "__qualname__", name)  # noqa: B010 - what the trace calls it
            asyncio.get_running_loop().call_soon(step)
        await asyncio.sleep(1)
        seen["".join(order)] += 1

    return scenario


def test_dfs_tries_every_order_once_and_says_that_there_are_no_others() -> None:
    seen: Counter[str] = Counter()
    found = explore(orders(3, seen), schedules=1000, strategy="dfs")
    assert found.complete
    assert set(seen) == {"abc", "acb", "bac", "bca", "cab", "cba"}
    assert (found.schedules, found.distinct) == (6, 6)


def test_dfs_within_a_bound_or_a_number_of_schedules_is_not_complete() -> None:
    few = explore(orders(4, Counter()), strategy="dfs(1)")
    assert (few.schedules, few.complete) == (4, False)
    some = explore(orders(4, Counter()), schedules=10, strategy="dfs")
    assert (some.schedules, some.complete) == (10, False)


def test_dfs_finds_the_one_order_that_fails_and_names_its_tape() -> None:
    async def scenario() -> None:
        seen: Counter[str] = Counter()
        await orders(4, seen)()
        assert "dcba" not in seen

    with pytest.raises(ScheduleError, match="   strategy dfs   ") as failed:
        explore(scenario, strategy="dfs")
    assert failed.value.seed is None
    with pytest.raises(AssertionError, match="dcba"):
        replay_tape(scenario, failed.value.tape)


async def unlucky(sim: Sim) -> None:
    """Wrong where the network fails twice in a row."""
    network = [sim.pick("network", "up", "down", "slow") for _ in range(6)]
    assert ("down", "down") not in itertools.pairwise(network)


def test_what_is_picked_is_on_the_tape_and_shrinks_with_it() -> None:
    assert explore(unlucky, schedules=20, strategy="fifo").distinct == 1
    with pytest.raises(ScheduleError, match="strategy faults") as failed:
        explore(unlucky, schedules=300, strategy="faults")
    assert re.search(
        r"in order, except choice \d of 6 \(network: down, of 3\); choice \d of 6 \(netw",
        str(failed.value),
    )
    assert sum(choice > 0 for choice in read(failed.value.tape)) == 2


def test_half_of_the_seeds_have_no_faults_of_a_kind() -> None:
    kinds: Counter[tuple[bool, bool]] = Counter()

    async def scenario(sim: Sim) -> None:
        disk = sum(sim.pick("disk", 0, 1) for _ in range(20)) > 0
        wire = sum(sim.pick("wire", 0, 1) for _ in range(20)) > 0
        kinds[disk, wire] += 1

    explore(scenario, schedules=200, strategy="random")
    assert min(kinds.values()) > 30
    assert len(kinds) == 4


def test_of_many_choices_the_first_are_named() -> None:
    async def scenario(sim: Sim) -> None:
        assert sum(sim.pick(f"n{n}", 0, 1) for n in range(10)) < 10

    with pytest.raises(ScheduleError, match=r"choice 8 of 10 \(n7: 1, of 2\); and 2 more\n"):
        explore(scenario, strategy="dfs", schedules=2000)


def test_shrinking_keeps_to_the_place_that_failed() -> None:
    async def scenario(sim: Sim) -> None:
        first, second = sim.pick("a", 0, 1), sim.pick("b", 0, 1)
        assert not (first and second)
        assert not second, "another bug, which fewer choices lead to"

    with pytest.raises(ScheduleError, match="shrunk from 2 choices to 2"):
        explore(scenario, seeds=[seed_of(scenario, [1, 1])], strategy="random")


def seed_of(scenario: Any, tape: list[int]) -> int:
    """Return the first seed under which *scenario* chooses *tape*."""
    return next(
        n for n in range(1000) if run(scenario, chooser("random", n)[1]).tape.chosen == tape
    )


def test_a_scenario_that_has_no_news_any_more_is_left() -> None:
    found = explore(orders(2, Counter()), schedules=5000)
    assert found.schedules == 500
    assert found.distinct < 10


@pytest.mark.parametrize(
    ("strategy", "seeded"), [("pct(3)", "pct(3)"), ("delay(2)", "delay(2)"), ("fifo", "fifo")]
)
def test_a_strategy_may_be_given_its_number(strategy: str, seeded: str) -> None:
    assert chooser(strategy, 7)[0] == seeded


@pytest.mark.parametrize("strategy", ["pct(0x3)", "random(2)", "pct()", "dfs 3"])
def test_a_strategy_without_sense_is_refused(strategy: str) -> None:
    with pytest.raises(ValueError, match=r"no strategy is named|takes no number"):
        explore(orders(2, Counter()), strategy=strategy)


def test_a_portfolio_is_a_tenth_faults_three_random_four_pct_two_delay() -> None:
    names = Counter(chooser("portfolio", seed)[0].split("(")[0] for seed in range(100))
    assert names == {"fifo": 1, "faults": 9, "random": 30, "pct": 40, "delay": 20}
