"""Runs whose compatible events nobody hears: what the agent's state says before, in and after."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from tinyagent import Agent, Ctx, ToolRequested, tool
from tinyagent.agent import extract_text
from tinyagent.agent_types import AgentEvent, TextContent, UserMessage
from tinyagent.projection import Projection
from tinyagent.testing import scripted


def texts(messages: Any) -> list[str]:
    return [f"{m.role}: {extract_text(m)}" for m in messages]


SAID = ["user: Go", "assistant: ", "tool_result: done", "assistant: All is done."]


def agent_with(look: Any) -> Agent:
    @tool(effect="read")
    async def work() -> str:
        """Look around."""
        look()
        return "done"

    return Agent(model=scripted(("work", {}), "All is done.", "Again."), tools=[work])


async def test_no_compatible_event_is_made_in_a_run_that_nobody_hears(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[object] = []
    monkeypatch.setattr(Projection, "read", lambda self, record: made.append(record))
    agent = agent_with(lambda: None)
    result = await agent.run("Go")
    assert texts(result.messages) == SAID
    assert texts(agent.state.messages) == SAID
    assert made == []


async def test_the_state_follows_from_the_moment_that_somebody_looks_at_it() -> None:
    seen: list[Any] = []

    def look() -> None:
        state = agent.state
        seen.append((texts(state.messages), set(state.pending_tool_calls), state.is_streaming))

    agent = agent_with(look)
    result = await agent.run("Go")
    assert seen == [(SAID[:2], {"c1"}, True)]
    assert texts(agent.state.messages) == texts(result.messages) == SAID
    assert agent.state.pending_tool_calls == set()
    assert not agent.state.is_streaming


async def test_who_subscribes_in_the_midst_of_a_run_hears_the_rest_of_it() -> None:
    heard: list[str] = []

    def hear(event: AgentEvent) -> None:
        heard.append(event.type)

    agent: Agent = agent_with(lambda: agent.subscribe(hear))
    await agent.run("Go")
    assert heard[0] == "tool_execution_end"
    assert heard[-2:] == ["turn_end", "agent_end"]
    assert heard.count("turn_end") == 2


@pytest.mark.parametrize("is_heard", [False, True])
async def test_a_list_of_messages_that_the_host_holds_stays_as_he_got_it(is_heard: bool) -> None:
    agent = agent_with(lambda: None)
    if is_heard:
        agent.subscribe(lambda event: None)
    empty = agent.state.messages
    await agent.run("Go")
    held = agent.state.messages
    await agent.run("More")
    assert empty == []
    assert texts(held) == SAID
    assert texts(agent.state.messages) == [*SAID, "user: More", "assistant: Again."]


async def test_what_the_host_takes_out_between_two_runs_is_not_sent_again() -> None:
    agent = agent_with(lambda: None)
    await agent.run("Go")
    agent.state.messages = agent.state.messages[:1]
    await agent.run("More")
    assert texts(agent.state.messages) == ["user: Go", "user: More", "assistant: Again."]


async def test_leaving_a_run_early_tells_the_state_why_it_ended() -> None:
    agent = agent_with(lambda: None)
    async with agent.events("Go") as run:
        async for event in run:
            if isinstance(event, ToolRequested):
                break
    assert run.result.outcome == "cancelled"
    assert agent.state.error == "Request was aborted"
    assert texts(agent.state.messages)[:2] == SAID[:2]


async def test_a_run_whose_wait_is_cancelled_is_over_when_the_wait_is() -> None:
    started = asyncio.Event()

    @tool(effect="read")
    async def hang(ctx: Ctx[Any]) -> str:
        """Hang."""
        started.set()
        await asyncio.Event().wait()
        return ""

    agent = Agent(model=scripted(("hang", {}), "Never."), tools=[hang])
    running = asyncio.create_task(agent.run("Go"))
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert agent.log.status == "cancelled"
    assert not agent.state.is_streaming


async def test_another_thread_that_looks_finds_what_was_there_and_then_the_rest() -> None:
    found: list[list[str]] = []

    def look() -> None:
        thread = threading.Thread(target=lambda: found.append(texts(agent.state.messages)))
        thread.start()
        thread.join()

    agent = agent_with(look)
    await agent.run("Go")
    assert found == [[]]
    assert texts(agent.state.messages) == SAID


async def test_what_is_put_in_while_an_answer_arrives_is_behind_it() -> None:
    agent = Agent(model=scripted("word " * 20).chunks(5))
    is_noted = False
    async for event in agent.stream("Go"):
        if event.type == "message_update" and not is_noted:
            is_noted = True
            agent.append_message(UserMessage(content=[TextContent(text="A note.")]))
    said = texts(agent.state.messages)
    assert said == ["user: Go", f"assistant: {'word ' * 20}", "user: A note."]
    assert [m.role for m in agent.log.messages] == ["user", "assistant", "user"]


@pytest.mark.parametrize("is_heard", [False, True])
async def test_what_the_host_put_in_is_not_what_the_run_added(is_heard: bool) -> None:
    note = UserMessage(content=[TextContent(text="A note.")])
    agent: Agent = agent_with(lambda: agent.append_message(note))
    if is_heard:
        agent.subscribe(lambda event: None)
    result = await agent.run("Go")
    assert texts(result.messages) == SAID
    assert texts(agent.state.messages) == [*SAID[:3], "user: A note.", SAID[3]]
