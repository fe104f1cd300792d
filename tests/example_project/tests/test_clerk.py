"""The clerk under test: recorded, in snapshots, under crashes, in every order."""

from __future__ import annotations

import contextlib

import pytest
from clerk.agents import Bank, build

from tinyagent import RunFailedError, load
from tinyagent.testing import Sim, effects, explore, scripted

WATER = (
    scripted.calls("look_up", name="water").calls("pay", name="water", cents=3_000).text("Done.")
)
BOTH = [
    ("pay", {"name": "water", "cents": 3_000}),
    ("pay", {"name": "power", "cents": 7_050}),
]


@pytest.mark.replay
async def test_the_recorded_session_still_goes_as_it_went(recorded, transcript_snapshot) -> None:
    # Recorded with WATER. A script without turns fails where it is asked; here nobody asks it.
    bank = Bank()
    result = await build(log=recorded, model=scripted(), bank=bank).run("Pay the water bill.")
    assert result.text == "Done."
    assert bank.paid == []  # no tool was run either
    assert recorded == transcript_snapshot


async def test_a_bill_is_looked_up_before_it_is_paid(agent_log, scripted_model, eventlog_snapshot):
    bank = Bank()
    await build(log=agent_log, model=scripted_model(WATER), bank=bank).run("Pay the water bill.")
    assert (bank.paid, bank.cents) == (["water"], 17_000)
    assert agent_log == eventlog_snapshot


async def test_every_tool_can_be_called(agent_log, echo_model) -> None:
    agent = build(log=agent_log, model=echo_model)
    await agent.run("Hello.")
    assert {call.name for call in effects(agent_log)} == {"look_up", "pay"}


async def test_no_bill_is_paid_twice_wherever_it_crashes(crash_everywhere) -> None:
    paused = 0
    async for run in crash_everywhere(
        lambda log: build(log=log, model=WATER), "Pay the water bill."
    ):
        assert run.effects["pay"].runs <= 1
        assert run.outcome in ("answered", "paused")
        paused += run.outcome == "paused"
    assert paused == 1


@pytest.mark.crash(points=["tool.started", "tool.finished"])
async def test_a_payment_that_nobody_knows_of_waits_for_a_person(crashed) -> None:
    run = await crashed(lambda log: build(log=log, model=WATER), "Pay the water bill.")
    assert run.effects["pay"].in_doubt == (run.outcome == "paused")


@pytest.mark.explore(schedules=100)
async def test_both_bills_are_paid_once_in_any_order(sim) -> None:
    bank, log = Bank(), sim.log()
    model = (
        scripted.fails() if sim.pick("model", "well", "overloaded") == "overloaded" else scripted()
    )
    agent = build(log=log, model=model.turn(*BOTH).text("Done."), bank=bank, clock=sim.clock)
    with contextlib.suppress(RunFailedError):
        await agent.run("Pay all bills.")
    assert sorted(bank.paid) in ([], ["power", "water"])
    assert bank.cents == (9_950 if bank.paid else 20_000)
    assert load(log).replay().ok


def test_two_lookups_are_told_in_every_order_there_is() -> None:
    async def scenario(sim: Sim) -> None:
        bank, log = Bank(), sim.log()
        model = scripted([("look_up", {"name": "water"}), ("look_up", {"name": "power"})], "Done.")
        await build(log=log, model=model, bank=bank, clock=sim.clock).run("How much?")
        assert len(effects(log)) == 2

    found = explore(scenario, schedules=300, strategy="dfs(6)")
    assert found.complete
    assert found.distinct > 1


async def test_time_is_moved_by_hand(virtual_clock) -> None:
    before = virtual_clock.monotonic_s()
    await virtual_clock.advance(3_600)
    assert virtual_clock.monotonic_s() - before == 3_600
