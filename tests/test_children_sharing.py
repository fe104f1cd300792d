"""Agents that run side by side below one: what is left above is for all of them together."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.crashing import cut
from tests.test_children import look, of

from tinyagent import (
    Agent,
    AgentOptions,
    ChildEnded,
    ChildStarted,
    Ctx,
    Limits,
    RunFailedError,
    load,
    tool,
)
from tinyagent.events import kinds as k
from tinyagent.recording import Recording
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import crash_runs, scripted

ONE, OTHER = "agent:main/both#1", "agent:main/both#2"


class Book(msgspec.Struct):
    title: str
    pages: int


def beside(limits: Limits, own: Limits | None = None, log: Any = None) -> Agent:
    """Return an agent below which two run: the first goes on when the second has asked twice."""
    asked_twice, is_over = asyncio.Event(), asyncio.Event()

    @tool(effect="read")
    async def wait() -> str:
        await asked_twice.wait()
        return "seen"

    @tool(effect="read")
    async def hold() -> str:
        asked_twice.set()
        await is_over.wait()
        return "held"

    one = Agent(model=scripted(("wait", {}), ("wait", {}), "One."), tools=[wait], limits=own)
    other = Agent(
        model=scripted(("look", {"text": "x"}), ("hold", {}), "Other."), tools=[look, hold]
    )

    @tool(effect="read")
    async def both(ctx: Ctx, task: str) -> str:
        waiting = asyncio.create_task(ctx.run(other, task))
        result = await ctx.run(one, task)
        is_over.set()
        return f"{result.outcome} {(await waiting).outcome}"

    model = scripted(("both", {"task": "Go."}), "Done.")
    return Agent(model=model, tools=[both], limits=limits, log=log)


def budgets(recording: Recording) -> list[tuple[str, Any, Any]]:
    return [(name, event.seen, event.max) for name, event in of(recording, k.BudgetExceeded)]


async def test_what_one_has_used_counts_for_the_other_at_its_next_check() -> None:
    agent = beside(Limits(tokens_max=15))
    await agent.run("Go.")
    recording = agent.log.recording
    assert [event.limits for _, event in of(recording, ChildStarted)] == [{"tokens_max": 12}] * 2
    # When the other, which still runs, had used 3 and 4, and the one 2 and 3, nothing was left.
    assert budgets(recording) == [(ONE, 5, 5), (OTHER, 7, 7), ("", 15, 15)]
    assert recording.tool_calls["c1"].content == "over_budget over_budget"
    assert [event.used["tokens"] for _, event in of(recording, ChildEnded)] == [5, 7]
    assert recording.replay().ok


async def test_one_that_begins_later_gets_what_the_other_has_left() -> None:
    agent = one_after_the_other(Limits(tokens_max=12, tool_calls_max=9))
    await agent.run("Go.")
    recording = agent.log.recording
    assert [event.limits for _, event in of(recording, ChildStarted)] == [
        {"tokens_max": 9, "tool_calls_max": 8},
        {"tokens_max": 7, "tool_calls_max": 7},
    ]


def one_after_the_other(limits: Limits) -> Agent:
    """Return an agent below which a second begins while the first waits in its first call."""
    is_waiting, is_over = asyncio.Event(), asyncio.Event()

    @tool(effect="read")
    async def wait() -> str:
        is_waiting.set()
        await is_over.wait()
        return "seen"

    one = Agent(model=scripted(("wait", {}), "One."), tools=[wait])
    other = Agent(model=scripted("Other."))

    @tool(effect="read")
    async def both(ctx: Ctx, task: str) -> str:
        first = asyncio.create_task(ctx.run(one, task))
        await is_waiting.wait()
        await ctx.run(other, task)
        is_over.set()
        return (await first).outcome

    return Agent(model=scripted(("both", {"task": "Go."}), "Done."), tools=[both], limits=limits)


async def test_the_limits_of_its_own_stay_where_they_are_less() -> None:
    agent = beside(Limits(tokens_max=100), Limits(tokens_max=5, turns_max=7))
    await agent.run("Go.")
    changed = [
        (name, event.set["limits"]) for name, event in of(agent.log.recording, k.ConfigChanged)
    ]
    ones = [limits for name, limits in changed if name == ONE]
    assert set(map(str, ones)) == {"{'turns_max': 7, 'tokens_max': 5}"}
    others = [limits["tokens_max"] for name, limits in changed if name == OTHER]
    assert others == [95, 92]


async def test_without_a_limit_above_nothing_is_told() -> None:
    agent = beside(Limits(turns_max=9))
    await agent.run("Go.")
    assert of(agent.log.recording, k.ConfigChanged) == []
    assert agent.log.tool_calls["c1"].content == "answered answered"


@pytest.mark.replays_itself
async def test_after_a_crash_at_any_record_each_has_what_the_other_left() -> None:
    async for run in crash_runs(lambda log: beside(Limits(tokens_max=30), log=log), "Go."):
        recording = load(run.log)
        assert (run.outcome, recording.open_work) == ("answered", ()), run.after
        assert recording.replay().ok
        last = {name: event.set["limits"] for name, event in of(recording, k.ConfigChanged)}
        assert last[OTHER]["tokens_max"] == 30 - 3 - 9, run.after


# Answers of a type


async def test_an_agent_below_gives_an_answer_of_a_type() -> None:
    clerk = Agent(model=scripted(("final_answer", {"title": "Tea", "pages": 7})))
    found: list[Book] = []

    @tool(effect="read")
    async def look_up(ctx: Ctx, words: str) -> str:
        found.append((await ctx.run(clerk, words, output=Book)).output)
        return found[0].title

    agent = Agent(model=scripted(("look_up", {"words": "tea"}), "Done."), tools=[look_up])
    await agent.run("Go.")
    assert found == [Book("Tea", 7)]
    assert agent.log.tool_calls["c1"].content == "Tea"
    assert agent.log.recording.replay().ok


async def test_an_answer_below_that_has_not_the_form_is_told_so_and_then_fails() -> None:
    clerk = Agent(
        AgentOptions(output_retries_max=1),
        model=scripted(("final_answer", {"title": 1}), ("final_answer", {"title": 2})),
    )
    raised: list[str] = []

    @tool(effect="read")
    async def look_up(ctx: Ctx, words: str) -> str:
        try:
            return (await ctx.run(clerk, words, output=Book)).output.title
        except RunFailedError as error:
            raised.append(error.result.outcome)
            return "nothing"

    agent = Agent(model=scripted(("look_up", {"words": "tea"}), "Done."), tools=[look_up])
    await agent.run("Go.")
    rejected = [name for name, _ in of(agent.log.recording, k.OutputRejected)]
    assert (rejected, raised) == (["agent:main/look_up#1"] * 2, ["failed"])


async def test_after_a_crash_the_answer_below_is_read_from_the_log() -> None:
    found: list[Book] = []

    def build(*, log: Any = None) -> Agent:
        clerk = Agent(model=scripted(("final_answer", {"title": "Tea", "pages": 7})))

        @tool(effect="read")
        async def look_up(ctx: Ctx, words: str) -> str:
            found.append((await ctx.run(clerk, words, output=Book)).output)
            return "found"

        model = scripted(("look_up", {"words": "tea"}), "Done.")
        return Agent(model=model, tools=[look_up], log=log)

    whole = MemoryLog()
    await build(log=whole).run("Go.")
    [ended] = [r.seq for r in load(whole).records if r.event.kind == "child.ended"]
    log = cut(whole, ended)
    assert (await build(log=log).run()).text == "Done."
    assert found == [Book("Tea", 7)] * 2
    asked = [r for r in load(log).records if r.event.kind == "model.requested"]
    assert len(asked) == 3
