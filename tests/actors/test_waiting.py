"""Who may run beside whom, in which order, and how long one run is waited for."""

from __future__ import annotations

import asyncio

import pytest

from tinyagent.actors.waiting import Slots


class Crowd:
    """Tasks that take slots and hold them until they are let go."""

    def __init__(self, slots_max: int) -> None:
        self.slots = Slots(slots_max)
        self.inside: list[str] = []
        self._gates: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, *, alone: bool = False) -> None:
        """Let *name* come, and do what it can."""
        self._gates[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._hold(name, alone))
        await settled()

    async def go(self, name: str) -> None:
        """Let *name* end."""
        self._gates[name].set()
        await settled()

    async def _hold(self, name: str, alone: bool) -> None:
        taken = await self.slots.take(alone=alone)
        self.inside.append(name)
        try:
            await self._gates[name].wait()
        finally:
            self.inside.remove(name)
            self.slots.give(taken)


async def settled() -> None:
    """Let every task do what it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_run_at_once_than_there_are_slots_and_in_the_order_of_their_coming() -> None:
    crowd = Crowd(2)
    for name in "abcd":
        await crowd.come(name)
    assert crowd.inside == ["a", "b"]
    await crowd.go("b")
    assert crowd.inside == ["a", "c"]
    await crowd.go("a")
    assert crowd.inside == ["c", "d"]


async def test_one_that_runs_alone_waits_for_all_and_is_not_overtaken() -> None:
    crowd = Crowd(3)
    await crowd.come("a")
    await crowd.come("alone", alone=True)
    await crowd.come("late")
    assert crowd.inside == ["a"]
    await crowd.go("a")
    assert crowd.inside == ["alone"]
    await crowd.go("alone")
    assert crowd.inside == ["late"]


@pytest.mark.parametrize("alone", [False, True])
async def test_who_is_cancelled_while_it_waits_is_in_nobodys_way(alone: bool) -> None:
    crowd = Crowd(1)
    await crowd.come("a")
    await crowd.come("gone", alone=alone)
    await crowd.come("c")
    crowd.tasks["gone"].cancel()
    await settled()
    assert crowd.inside == ["a"]
    await crowd.go("a")
    assert crowd.inside == ["c"]


async def test_a_slot_that_was_handed_to_somebody_cancelled_goes_to_the_next() -> None:
    crowd = Crowd(1)
    await crowd.come("a")
    await crowd.come("gone")
    await crowd.come("c")
    crowd.tasks["a"].add_done_callback(lambda _: crowd.tasks["gone"].cancel())
    await crowd.go("a")
    await settled()
    assert crowd.tasks["gone"].cancelled()
    assert crowd.inside == ["c"]
