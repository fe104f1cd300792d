"""Limits, all the way: a scripted agent that would never end, its log, its replay."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.agents import make, recorded, until
from tests.crashing import ID, cut
from tests.traces import MODEL, Scripted, calls, text, tool

from tinyagent import (
    Agent,
    AgentOptions,
    AgentState,
    Limits,
    Price,
    fork,
    load,
    open_log,
    replay,
    resume,
)
from tinyagent.events import kinds as k
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import VirtualClock

PRICES = {"test:m": Price(input_usd=1.0, output_usd=4.0)}
USAGE = {"input": 100, "output": 25, "cache_read": 0, "cache_write": 0, "total_tokens": 125}


def runaway(clock: VirtualClock | None = None) -> Callable[..., Any]:
    """A model that calls two tools in every answer; an answer takes ten seconds."""
    numbers = itertools.count()

    async def stream_fn(model: Any, context: Any, options: Any) -> Any:
        if clock is not None:
            await clock.advance(10)
        n = next(numbers)
        answer = calls((f"a{n}", "f", {}), (f"b{n}", "f", {}))
        answer.usage = dict(USAGE)
        return Scripted(answer)

    return stream_fn


async def done(call_id: str, args: Any, signal: Any, on_update: Any) -> str:
    return "done"


def build(log: Any, limits: Limits | None, **options: Any) -> Agent:
    given = AgentOptions(limits=limits, prices=PRICES, **options)
    tools = [tool("f", done, effect="read")]
    return Agent(given, model=MODEL, tools=tools, log=log)


def of(agent: Agent, *kinds: str) -> list[Any]:
    return recorded(agent, *kinds)


@pytest.mark.parametrize(
    ("limit", "allowed", "seen", "asked", "ran"),
    [
        ("turns_max", 3, 3, 3, 6),
        ("tokens_max", 300, 375, 3, 4),
        ("cost_usd_max", 0.0005, 0.0006, 3, 4),
        ("run_s_max", 25, None, 3, 4),
        ("tool_calls_max", 3, 4, 2, 3),
    ],
)
async def test_each_limit_stops_a_runaway_agent_and_is_recorded(
    tmp_path: Path, limit: str, allowed: Any, seen: Any, asked: int, ran: int
) -> None:
    clock = VirtualClock()
    limits = Limits.model_validate({limit: allowed})

    def made(*, log: Any) -> Agent:
        return build(log, limits, clock=clock, stream_fn=runaway(clock))

    async with open_log(tmp_path / "log", clock=clock) as log:
        agent = made(log=log)
        result = await agent.run("go")
        assert result.outcome == "over_budget"
        assert result.message is not None
        assert result.message.error_message is not None
        assert result.message.error_message.endswith(f"({limit})")
        (over,) = of(agent, "budget.exceeded")
        assert (over.limit, over.max) == (limit, allowed)
        assert over.seen == seen or (limit == "run_s_max" and 25 <= over.seen < 31)
        assert len(of(agent, "model.requested")) == asked
        assert len(of(agent, "tool.finished")) == ran
    recording = load(tmp_path / "log")
    assert (recording.status, recording.open_work) == ("over_budget", ())
    report = await replay(tmp_path / "log", made)
    assert report.ok, report.first_divergence


async def test_another_limit_today_is_named_by_the_replay(tmp_path: Path) -> None:
    async with open_log(tmp_path / "log") as log:
        await build(log, Limits(turns_max=2), stream_fn=runaway()).run("go")

    def today(*, log: Any) -> Agent:
        return build(log, Limits(turns_max=3), stream_fn=runaway())

    report = await replay(tmp_path / "log", today)
    assert report.first_divergence is not None
    assert report.first_divergence.recorded == (
        "budget.exceeded",
        {"limit": "turns_max", "seen": 2, "max": 2},
    )


async def test_run_goes_on_under_larger_limits_with_what_is_used_already() -> None:
    agent = build(None, Limits(turns_max=2), stream_fn=runaway())
    assert (await agent.run("go")).outcome == "over_budget"
    assert (await agent.run()).outcome == "over_budget"
    assert len(of(agent, "model.requested")) == 2
    agent.set_limits(Limits(turns_max=5))
    assert (await agent.run()).outcome == "over_budget"
    assert len(of(agent, "model.requested")) == 5
    assert [over.seen for over in of(agent, "budget.exceeded")] == [2, 2, 5]
    assert load(agent.log).replay().ok


async def test_run_goes_on_in_another_process_whose_agent_has_larger_limits(tmp_path: Path) -> None:
    async with open_log(tmp_path / "log") as log:
        await build(log, Limits(turns_max=2), stream_fn=runaway()).run("go")

    def larger(*, log: Any) -> Agent:
        return build(log, Limits(turns_max=3), stream_fn=runaway())

    async with resume(tmp_path / "log", larger) as agent:
        assert (await agent.run()).outcome == "over_budget"
        assert len(of(agent, "model.requested")) == 3
    assert load(tmp_path / "log").replay().ok


async def test_a_new_prompt_has_the_limits_to_itself() -> None:
    agent = build(None, Limits(turns_max=2), stream_fn=runaway())
    await agent.run("go")
    await agent.run("again")
    assert len(of(agent, "model.requested")) == 4


async def hung(clock: VirtualClock, running: Any, advance_s: float) -> None:
    await until(lambda: clock.sleeping)
    await clock.advance(advance_s)
    await asyncio.wait_for(running, 5)


async def test_the_seconds_end_a_model_call_that_hangs_and_keep_what_it_said() -> None:
    clock = VirtualClock()
    silent = Scripted(text("Hello, world."), deltas=3, gate=asyncio.Event())
    agent = make(silent, limits=Limits(run_s_max=60), clock=clock)
    running = asyncio.ensure_future(agent.run("go"))
    await until(lambda: of(agent, "model.delta"))
    await hung(clock, running, 61)
    result = running.result()
    assert (result.outcome, result.text) == ("over_budget", "Hello,")
    assert result.message is not None
    assert result.message.error_message == "Stopped after 60 s (run_s_max)"
    assert load(agent.log).replay().ok


async def test_the_seconds_end_tools_and_a_write_is_in_doubt() -> None:
    clock, signals = VirtualClock(), list[asyncio.Event]()

    async def endless(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        signals.append(signal)
        await asyncio.Event().wait()

    tools = [tool("f", endless, effect="read"), tool("g", endless)]
    answer = calls(("c1", "f", {}), ("c2", "g", {}))
    agent = make(answer, tools=tools, limits=Limits(run_s_max=60), clock=clock)
    running = asyncio.ensure_future(agent.run("go"))
    await until(lambda: len(signals) == 2)
    await hung(clock, running, 61)
    assert running.result().outcome == "over_budget"
    assert all(signal.is_set() for signal in signals)
    failed, doubted = of(agent, "tool.failed"), of(agent, "tool.in_doubt")
    assert [(event.call_id, event.failure.kind) for event in failed] == [("c1", "cancelled")]
    assert [(event.call_id, event.why) for event in doubted] == [("c2", "cancelled")]
    assert load(agent.log).replay().ok


async def test_a_run_that_ends_in_time_leaves_nobody_waiting() -> None:
    clock = VirtualClock()
    agent = make(text("Hi."), limits=Limits(run_s_max=60), clock=clock)
    assert (await agent.run("go")).text == "Hi."
    assert len(asyncio.all_tasks()) == 1
    assert load(agent.log).open_work == ()


async def test_a_loop_that_is_closed_under_a_run_with_seconds_leaves_a_run_that_ended() -> None:
    agent = make(
        Scripted(text("Hello"), deltas=3, gate=asyncio.Event()), limits=Limits(run_s_max=60)
    )
    running = asyncio.ensure_future(agent.run("go"))
    await until(lambda: of(agent, "model.delta"))
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert of(agent, "run.ended")[0].outcome == "cancelled"
    assert load(agent.log).replay().ok


async def test_the_face_of_keywords_has_a_hundred_turns_and_the_compatible_one_no_limit() -> None:
    by_keyword = Agent(model=MODEL)
    assert by_keyword.options.limits == Limits(turns_max=100)
    assert Agent(model=MODEL, limits=Limits(tokens_max=5)).options.limits == Limits(tokens_max=5)
    compatible = AgentOptions(initial_state=AgentState(model=MODEL))
    assert Agent(compatible).options.limits is None
    assert Agent(compatible, tools=[]).options.limits is None
    assert Agent().options.limits is None


async def test_a_limit_of_money_without_the_price_is_refused_when_the_agent_is_built() -> None:
    with pytest.raises(ValueError, match=r"needs the price of test:m, and prices has none"):
        Agent(model=MODEL, limits=Limits(cost_usd_max=1))
    with pytest.raises(ValueError, match=r"needs the price of test:m.*\(known: x\)"):
        Agent(model=MODEL, limits=Limits(cost_usd_max=1), prices={"x": PRICES["test:m"]})
    agent = Agent(model=MODEL, limits=Limits(cost_usd_max=1), prices={"m": PRICES["test:m"]})
    agent.set_model(MODEL.model_copy(update={"id": "other"}))
    with pytest.raises(ValueError, match="needs the price of test:other"):
        await agent.run("hi")
    with pytest.raises(ValueError, match="needs prices: what a model costs is not in"):
        Agent(limits=Limits(cost_usd_max=1))


def test_limits_are_not_given_both_ways() -> None:
    with pytest.raises(TypeError, match="limits was given twice"):
        Agent(AgentOptions(limits=Limits(turns_max=1)), limits=Limits(turns_max=2))


def test_a_negative_price_is_refused() -> None:
    with pytest.raises(ValueError, match="input_usd must be 0 or more"):
        Price(input_usd=-1, output_usd=0)


async def test_a_call_that_there_was_no_room_for_tells_the_model_so() -> None:
    agent = build(None, Limits(tool_calls_max=1), stream_fn=runaway())
    await agent.run("go")
    (blocked,) = of(agent, "tool.blocked")
    told = "Tool not run: the run has reached its limit (tool_calls_max)"
    assert blocked == k.ToolBlocked("b0", "limit", told)
    assert [message.role for message in agent.state.messages] == [
        "user",
        "assistant",
        "tool_result",
        "tool_result",
        "assistant",
    ]


async def test_cut_off_at_any_record_the_run_ends_and_what_it_used_is_not_forgotten() -> None:
    clock = VirtualClock()
    log = MemoryLog(log_id=ID)
    limits = Limits(run_s_max=25, tool_calls_max=9)
    await build(log, limits, clock=clock, stream_fn=runaway(clock)).run("go")
    outcomes: list[str] = []
    for after in range(2, log.seq):
        rest = cut(log, after)
        again = VirtualClock(start_us=list(log.read())[after - 1].ts_us)
        agent = build(rest, limits, clock=again, stream_fn=runaway(again))
        outcomes.append((await agent.run()).outcome)
        assert len(of(agent, "budget.exceeded")) == 1
        recording = load(rest)
        assert recording.open_work == ()
        report = recording.replay()
        assert report.ok, (after, report.first_divergence)
    assert set(outcomes) == {"over_budget"}


async def test_time_that_passed_while_no_process_ran_counts() -> None:
    clock = VirtualClock()
    log = MemoryLog(log_id=ID)
    agent = build(log, Limits(run_s_max=25), clock=clock, stream_fn=runaway(clock))
    await agent.run("go")
    began = next(s.ts_us for s in log.read() if s.kind == "timer.set")
    rest = cut(log, next(s.seq for s in log.read() if s.kind == "model.requested"))
    late = VirtualClock(start_us=began + 3_600_000_000)
    agent = build(rest, Limits(run_s_max=25), clock=late, stream_fn=runaway())
    assert (await agent.run()).outcome == "over_budget"
    assert 3600 <= of(agent, "budget.exceeded")[0].seen < 3601
    assert of(agent, "tool.started") == []


async def test_a_fork_has_the_seconds_of_its_run_anew() -> None:
    clock = VirtualClock()
    log = MemoryLog(log_id=ID)
    await build(log, Limits(run_s_max=25), clock=clock, stream_fn=runaway(clock)).run("go")
    at = next(s.seq for s in log.read() if s.kind == "model.requested")
    late = VirtualClock(start_us=clock.now_us() + 3_600_000_000)
    async with fork(log, at=at, clock=late, allow_effects=True) as child:
        agent = build(child, Limits(run_s_max=25), clock=late, stream_fn=runaway(late))
        assert (await agent.run()).outcome == "over_budget"
        assert 25 <= of(agent, "budget.exceeded")[0].seen < 31
        assert load(child).replay().ok
