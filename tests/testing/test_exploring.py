"""The seeded scheduler: what it finds, that it repeats, and what no schedule could repeat."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from contextvars import Context, ContextVar
from typing import Any

import pytest

from tinyagent import Agent, AgentOptions, AgentState, AgentTool, current_ctx, load, tool
from tinyagent.runtime.stores import Log
from tinyagent.testing import (
    DeadlockError,
    NotRepeatableError,
    ScheduleError,
    Sim,
    SimLoop,
    SimViolationError,
    effects,
    explore,
    replay_tape,
    scripted,
    transcript,
)
from tinyagent.testing.schedules import Tape, chooser
from tinyagent.testing.tapes import read, written

SCHEMA = {
    "type": "object",
    "properties": {"cents": {"type": "integer"}},
    "required": ["cents"],
}
BILLS = [("pay", {"cents": 30}), ("pay", {"cents": 20})]


class Account:
    """Money. ``pay`` looks at it, waits, and only then takes: others come in between."""

    def __init__(self, cents: int) -> None:
        self.cents = cents

    async def pay(self, cents: int) -> str:
        if self.cents < cents:
            return "refused"
        await asyncio.sleep(0)
        self.cents -= cents
        return "paid"


def build(log: Log, sim: Sim, account: Account) -> Agent:
    """Return an agent that pays two bills at once."""

    async def execute(call_id: str, arguments: Any, signal: Any, on_update: Any) -> str:
        return await account.pay(arguments["cents"])

    tool = AgentTool(name="pay", parameters=SCHEMA, execute=execute)
    state = AgentState(model=scripted(BILLS, "Done."), tools=[tool])
    return Agent(AgentOptions(initial_state=state, log=log, clock=sim.clock))


async def paying(sim: Sim) -> None:
    """Both bills are paid, and the log tells the same whatever the order."""
    log = sim.log()
    account = Account(100)
    await build(log, sim, account).run("Pay both.")
    assert account.cents == 50
    assert [call.runs for call in effects(log)] == [1, 1]
    assert load(log).replay().ok
    assert sorted(transcript(log).splitlines()) == [
        "end       answered",
        "model     Done.",
        "model     → pay(cents=30), pay(cents=20)",
        "tool      pay paid",
        "tool      pay paid",
        "user      Pay both.",
    ]


async def first_come(sim: Sim) -> None:
    """Wrong: the bill that was asked for first need not be the first that is paid."""
    order: list[int] = []
    account = Account(100)
    pay = account.pay

    async def noted(cents: int) -> str:
        order.append(cents)
        return await pay(cents)

    account.pay = noted  # type: ignore[method-assign] # to see who comes first
    await build(sim.log(), sim, account).run("Pay both.")
    assert order == [30, 20]


def test_an_agent_with_two_tools_at_once_keeps_its_word_in_any_order() -> None:
    found = explore(paying, schedules=300)
    assert found.schedules == 300
    assert found.distinct >= 15


def test_a_task_keeps_what_it_sets_in_its_context_even_if_that_was_empty() -> None:
    where: ContextVar[str] = ContextVar("where", default="nowhere")

    async def work() -> str:
        where.set("here")
        await asyncio.sleep(0)
        return where.get()

    async def scenario() -> None:
        working = asyncio.get_running_loop().create_task(work(), context=Context())
        assert await working == "here"

    explore(scenario, schedules=3)


def test_a_seed_that_fails_is_named_and_repeats_exactly() -> None:
    with pytest.raises(ScheduleError) as failed:
        explore(first_come, schedules=300)
    seed, tape = failed.value.seed, failed.value.tape
    assert seed is not None
    assert seed > 0  # an ordinary loop does not show it
    assert f"  scenario   first_come   seed {seed}   strategy " in str(failed.value)
    assert str(failed.value).endswith(f'\n  reproduce  replay_tape(..., "{tape}")')
    assert "in order, except choice " in str(failed.value)
    assert 1 <= sum(choice > 0 for choice in read(tape)) <= 5  # of about twenty choices
    for _ in range(3):
        with pytest.raises(ScheduleError) as again:
            explore(first_come, seeds=[seed])
        assert str(again.value) == str(failed.value)
        with pytest.raises(AssertionError, match=r"\[20, 30\]"):
            replay_tape(first_come, tape)


@pytest.mark.parametrize("name", ["random", "pct", "delay"])
def test_each_strategy_finds_it(name: str) -> None:
    with pytest.raises(ScheduleError, match=f"strategy {name}"):
        explore(first_come, schedules=300, strategy=name)


def test_in_order_nothing_is_found() -> None:
    assert explore(first_come, schedules=5, strategy="fifo").distinct == 1


def test_hours_take_no_time() -> None:
    async def patient(sim: Sim) -> None:
        began = sim.clock.monotonic_s()
        await asyncio.gather(*(sim.clock.sleep(hours * 3600) for hours in (1, 24, 5)))
        assert sim.clock.monotonic_s() - began == 86_400
        assert sim.clock.now_us() == 1_767_225_600_000_000 + 86_400_000_000

    assert explore(patient, schedules=20).virtual_s == 20 * 86_400


def test_timers_of_one_time_may_go_in_any_order() -> None:
    seen: Counter[str] = Counter()

    async def two() -> None:
        order: list[str] = []

        async def sleeper(name: str) -> None:
            await asyncio.sleep(1)
            order.append(name)

        await asyncio.gather(sleeper("a"), sleeper("b"))
        seen["".join(order)] += 1

    explore(two, schedules=50)
    assert set(seen) == {"ab", "ba"}


def test_a_deadlock_says_who_waits_and_where() -> None:
    async def stuck() -> None:
        one, other = asyncio.Lock(), asyncio.Lock()

        async def takes(first: asyncio.Lock, second: asyncio.Lock) -> None:
            async with first:
                await asyncio.sleep(0)
                async with second:
                    pass

        async with asyncio.TaskGroup() as both:
            both.create_task(takes(one, other), name="left")
            both.create_task(takes(other, one), name="right")

    with pytest.raises(ScheduleError) as failed:
        explore(stuck)
    assert isinstance(failed.value.__cause__, DeadlockError)
    assert "nothing is ready and no timer is set" in str(failed.value)
    assert "  left  " in str(failed.value)
    assert f"{__file__}:" in str(failed.value)


def test_what_reads_chance_from_outside_is_told_so() -> None:
    async def gambling() -> None:
        if random.random() < 0.5:
            await asyncio.sleep(0)
        raise ValueError(f"at {time.monotonic_ns()}")

    with pytest.raises(NotRepeatableError, match="seed 0 went another way the second time"):
        explore(gambling)


def test_an_address_in_the_text_of_an_error_is_no_other_way() -> None:
    async def telling() -> None:
        raise ValueError(f"this one: {object()!r}")

    with pytest.raises(ScheduleError, match="this one: <object object at 0x"):
        explore(telling)


@pytest.mark.parametrize("leaving", ["socket", "process", "signal"])
def test_what_leaves_the_loop_is_refused(leaving: str) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        if leaving == "socket":
            await asyncio.open_connection("127.0.0.1", 1)
        elif leaving == "process":
            await asyncio.create_subprocess_exec("true")
        else:
            loop.add_signal_handler(1, print)

    with pytest.raises(SimViolationError, match="no schedule could repeat it"):
        SimLoop().run(scenario())


def test_what_is_given_to_a_thread_runs_in_the_loop() -> None:
    async def scenario() -> int:
        return sum(await asyncio.gather(*(asyncio.to_thread(int, n) for n in (1, 2))))

    assert SimLoop().run(scenario()) == 3


def test_what_a_callback_raises_ends_the_scenario() -> None:
    async def scenario() -> None:
        asyncio.get_running_loop().call_soon(lambda: [][0])
        await asyncio.sleep(1)

    with pytest.raises(IndexError):
        SimLoop().run(scenario())


def test_tasks_that_are_left_over_are_cancelled_and_generators_closed() -> None:
    ended: list[str] = []

    async def rest() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.append("task")

    async def numbers() -> Any:
        try:
            yield 1
            yield 2
        finally:
            ended.append("generator")

    async def scenario() -> int:
        scenario.rest = asyncio.create_task(rest())  # type: ignore[attr-defined] # kept alive
        await asyncio.sleep(0)
        scenario.numbers = numbers()  # type: ignore[attr-defined] # the same
        return await anext(scenario.numbers)  # type: ignore[attr-defined] # as above

    assert SimLoop().run(scenario()) == 1
    assert ended == ["task", "generator"]


async def test_in_a_running_loop_it_says_where_it_belongs() -> None:
    with pytest.raises(RuntimeError, match="call this from a plain def test"):
        explore(paying)


@pytest.mark.parametrize(
    "choices", [[], [0, 0, 0], [1], [0, 0, 3, 0, 1], [0] * 700 + [1], [200, 0, 70_000]]
)
def test_a_tape_is_read_as_it_was_written(choices: list[int]) -> None:
    word = written(choices)
    assert word.startswith("r1:")
    assert [*read(word), *[0] * len(choices)][: len(choices)] == choices
    assert len(word) < 40


def test_what_is_no_tape_and_no_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="a tape begins with 'r1:', got 'x'"):
        read("x")
    with pytest.raises(ValueError, match=r"no strategy is named 'luck' \(known: portfolio, fifo"):
        chooser("luck", 1)


def test_a_tape_that_is_too_long_or_out_of_range_goes_on_with_the_oldest() -> None:
    tape = Tape([5, 1])
    assert [tape(["a", "b"]), tape(["a", "b"]), tape(["a", "b"])] == [0, 1, 0]
    assert tape.choices == [(0, "a", 2), (1, "b", 2), (0, "a", 2)]


async def plain_tools(sim: Sim) -> None:
    said: list[str] = []

    @tool(effect="read")
    def look(at: str) -> str:
        """Look at something."""
        current_ctx().progress("looking")
        said.append(at)
        return f"{at} is there"

    @tool
    def fail() -> str:
        """Fail."""
        raise StopIteration("gone")

    asked = [("look", {"at": "one"}), ("look", {"at": "two"}), ("fail", {})]
    log = sim.log()
    await Agent(model=scripted(asked, "Done."), tools=[look, fail], log=log).run("Look.")
    assert sorted(said) == ["one", "two"]
    one, two, failed = load(log).tool_calls.values()
    assert (one.content, two.content) == ("one is there", "two is there")
    assert failed.outcome == "failed"
    assert load(log).replay().ok


def test_tools_that_run_in_threads_elsewhere_have_their_turn_in_the_loop() -> None:
    found = explore(plain_tools, schedules=40)
    assert found.distinct > 5
