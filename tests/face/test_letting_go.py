"""Runs that are left in the midst of it, by ``break``: what the agent's next run does."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from typing import Any

import pytest
from tests.agents import until

from tinyagent import (
    Agent,
    AgentContext,
    AgentLoopConfig,
    AssistantMessage,
    RunEnded,
    TextContent,
    ToolCallContent,
    UserMessage,
    agent_loop,
    create_agent_stream,
    default_convert_to_llm,
    execute_tool_calls,
    extract_text,
    load,
    tool,
)
from tinyagent._run.running import BUSY, LEAVE
from tinyagent.agent import BUSY_CONTINUE
from tinyagent.testing import scripted

WATCHED = ["events", "records", "stream"]


@tool(effect="pure")
async def sleep() -> str:
    """Sleep."""
    await asyncio.sleep(60)
    return "awake"


def drowsy() -> Agent:
    return Agent(model=scripted(("sleep", {}), "Back."), tools=[sleep])


async def until_it_sleeps(watched: Any) -> None:
    async for each in watched:
        kind = getattr(getattr(each, "event", each), "kind", None) or getattr(each, "type", None)
        if kind in ("tool.requested", "tool_execution_start"):
            break


@pytest.mark.parametrize("way", WATCHED)
async def test_a_run_that_was_let_go_is_waited_for_by_the_next_one(way: str) -> None:
    agent = drowsy()
    await until_it_sleeps(getattr(agent, way)("hi"))
    began = time.monotonic()
    assert (await agent.run("again")).text == "Back."
    assert time.monotonic() - began < 10
    events = [record.event for record in agent.log.records(kinds=["run.ended"])]
    ends = [event.outcome for event in events if isinstance(event, RunEnded)]
    assert ends == ["cancelled", "answered"]
    assert load(agent.log).replay().ok


@pytest.mark.parametrize("way", WATCHED)
async def test_a_run_that_was_let_go_can_be_continued(way: str) -> None:
    agent = drowsy()
    await until_it_sleeps(getattr(agent, way)("hi"))
    assert extract_text(await agent.continue_()) == "Back."


@pytest.mark.parametrize("way", WATCHED)
async def test_a_run_that_is_still_held_is_in_the_way_and_the_error_says_how_to_end_it(
    way: str,
) -> None:
    agent = drowsy()
    held = getattr(agent, way)("hi")
    await until_it_sleeps(held)
    for run, told in ((agent.run("again"), BUSY), (agent.continue_(), BUSY_CONTINUE)):
        with pytest.raises(RuntimeError) as raised:
            await run
        assert (str(raised.value), raised.value.__notes__) == (told, [LEAVE])
    await held.aclose()
    assert (await agent.run("again")).text == "Back."


async def test_letting_go_of_a_stream_that_is_over_leaves_the_run_that_goes_on_alone() -> None:
    agent = Agent(model=scripted("One.", ("sleep", {}), "Back."), tools=[sleep])
    old, unused = agent.stream("hi"), agent.stream("never")
    assert [event.type async for event in old][-1] == "agent_end"
    held = agent.stream("more")
    await until_it_sleeps(held)
    del old, unused
    with pytest.raises(RuntimeError, match="already processing"):
        await agent.prompt("again")
    await held.aclose()


async def test_who_prompts_at_the_end_of_a_run_and_reads_on_leaves_the_next_run_alone() -> None:
    agent = Agent(model=scripted("One.", ("sleep", {}), "Two."), tools=[sleep])
    async for event in agent.stream("one"):
        if event.type == "agent_end":
            second = asyncio.create_task(agent.prompt("two"))
            await until(lambda: agent.state.pending_tool_calls)
    assert agent.state.is_streaming
    idle = asyncio.create_task(agent.wait_for_idle())
    with pytest.raises(RuntimeError, match=BUSY[:40]):
        await agent.prompt("three")
    assert not idle.done()
    agent.abort()
    assert (await second).stop_reason == "aborted"  # type: ignore[union-attr] # an answer
    await idle


@pytest.mark.parametrize("is_heard", [False, True])
@pytest.mark.parametrize("way", ["run", "prompt", *WATCHED, "agent_loop", "batch"])
def test_a_run_whose_loop_is_closed_by_hand_is_thrown_away_without_a_traceback(
    way: str, is_heard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", raised.append)
    agent = drowsy()
    began = asyncio.Event()
    if is_heard:
        agent.subscribe(lambda event: None)

    @tool(effect="pure", name="sleep")
    async def sleep_on() -> str:
        """Sleep."""
        began.set()
        return await sleep()

    async def begin(agent: Agent) -> Any:
        agent.set_tools([sleep_on])
        if way == "agent_loop":
            assert agent.state.model is not None
            config = AgentLoopConfig(agent.state.model, default_convert_to_llm)
            hi = UserMessage(content=[TextContent(text="hi")])
            run: Any = agent_loop([hi], AgentContext(tools=[sleep_on]), config)
        elif way == "batch":
            said = AssistantMessage(content=[ToolCallContent(id="c1", name="sleep")])
            run = execute_tool_calls([sleep_on], said, None, create_agent_stream())
        else:
            run = getattr(agent, way)("hi")
        if way in WATCHED:
            await until_it_sleeps(run)
        elif way != "agent_loop":
            run = asyncio.create_task(run)
        await began.wait()
        return run

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, told: None)  # that tasks of it were pending
    run = loop.run_until_complete(begin(agent))
    loop.close()
    del run, agent, loop
    gc.collect()
    assert raised == []
