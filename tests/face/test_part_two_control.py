"""Part two: abort, cancel, close, queues, reset; who listens, and who waits."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest
from tests.agents import C1, C2, elapsed_s, heard, live, make, until
from tests.traces import Scripted, calls, result, said, text, tool, trace

from tinyagent import (
    Agent,
    AssistantMessage,
    MessageUpdateEvent,
    TextContent,
    ToolResultMessage,
    UserMessage,
    load,
)
from tinyagent.agent_types import AgentEvent
from tinyagent.testing import ProviderServer, chat, paced, stall


@pytest.mark.parametrize("answer", [stall(), stall(chat(text="x" * 400), 600)])
async def test_row_6_abort_closes_the_request_at_once(answer: Any) -> None:
    async with ProviderServer([answer]) as server:
        agent = live(server.chat_url)
        running = asyncio.create_task(agent.prompt("hi"))
        await until(lambda: server.requests and server.requests[0].sent_bytes >= 0)
        await asyncio.sleep(0.05)
        start = asyncio.get_running_loop().time()
        agent.abort()
        message = await running
        assert elapsed_s(start) < 0.5
        await server.requests[0].wait_gone(1)
    assert isinstance(message, AssistantMessage)
    assert (message.stop_reason, message.error_message) == ("aborted", "Request was aborted")
    assert len(server.requests) == 1


async def test_row_6_abort_cancels_running_tools_and_calls_no_model_again() -> None:
    cancelled: list[str] = []

    async def endless(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(call_id)
            raise

    tools = [tool("f", endless), tool("g", endless, effect="read")]
    agent = make(calls(C1, C2), text("never"), tools=tools)
    events = heard(agent)
    running = asyncio.create_task(agent.prompt("hi"))
    await until(lambda: agent.state.pending_tool_calls == {"c1", "c2"})
    start = asyncio.get_running_loop().time()
    agent.abort()
    await running
    assert elapsed_s(start) < 0.5
    assert sorted(cancelled) == ["c1", "c2"]
    results = [m for m in agent.state.messages if isinstance(m, ToolResultMessage)]
    assert [said(r) for r in results] == [
        "Tool execution cancelled. It may or may not have taken effect.",
        "Tool execution cancelled",
    ]
    assert trace(events).endswith("te ts ms(A) me(A) te ae")


async def test_row_6_a_tool_that_swallows_its_cancellation_is_left_behind_and_reported() -> None:
    release = asyncio.Event()

    async def stubborn(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return result("late")

    agent = make(calls(C1), text("never"), tools=[tool("f", stubborn)])
    running = asyncio.create_task(agent.prompt("hi"))
    await until(lambda: agent.state.pending_tool_calls)
    agent.abort()
    async with asyncio.timeout(1):
        await running
    release.set()
    await asyncio.sleep(0.01)
    assert [m.role for m in agent.state.messages] == [
        "user",
        "assistant",
        "tool_result",
        "assistant",
    ]


async def test_row_7_continue_tries_again_after_an_error() -> None:
    agent = make(ValueError("boom"), text("Hello!"))
    await agent.prompt("hi")
    events = heard(agent)
    message = await agent.continue_()
    assert said(message) == "Hello!"
    assert [m.role for m in agent.state.messages] == ["user", "assistant"]
    assert trace(events).startswith("as ts ms(A)")
    with pytest.raises(RuntimeError, match="Cannot continue from message role: assistant"):
        await agent.continue_()


async def test_row_14_queues_and_abort_work_from_any_thread() -> None:
    gate = asyncio.Event()
    agent = make(Scripted(text("One."), deltas=3, gate=gate), text("Two."))
    running = asyncio.create_task(agent.prompt("hi"))
    await until(lambda: agent.state.stream_message is not None)
    thread = threading.Thread(target=lambda: agent.steer("from a thread"))
    thread.start()
    await asyncio.to_thread(thread.join)
    gate.set()
    await running
    texts = [said(m) for m in agent.state.messages]
    assert texts == ["hi", "One.", "from a thread", "Two."]


async def test_row_23_cancelling_prompt_stops_everything_and_the_agent_is_usable() -> None:
    async with ProviderServer([paced(chat(text="x" * 4000), 0.01), chat(text="Back.")]) as server:
        agent = live(server.chat_url)
        running = asyncio.create_task(agent.prompt("hi"))
        await until(lambda: agent.state.stream_message is not None)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await server.requests[0].wait_gone(1)
        assert not agent.state.is_streaming
        assert agent.state.messages[-1].stop_reason == "aborted"  # type: ignore[union-attr] # an answer
        assert await agent.prompt_text("again") == "Back."


async def fails_in(stream: Any) -> None:
    async with stream:
        async for event in stream:
            if isinstance(event, MessageUpdateEvent):
                raise ValueError("of the host")


@pytest.mark.parametrize("way", ["aclose", "context", "raise", "break"])
async def test_row_23_leaving_a_stream_stops_the_run(way: str) -> None:
    async with ProviderServer([paced(chat(text="x" * 4000), 0.01)]) as server:
        agent = live(server.chat_url)
        stream = agent.stream("hi")
        if way == "context":
            async with stream:
                async for event in stream:
                    if isinstance(event, MessageUpdateEvent):
                        break
        elif way == "raise":
            with pytest.raises(ValueError, match="of the host"):
                await fails_in(stream)
            assert not agent.state.is_streaming
        else:
            async for event in stream:
                if isinstance(event, MessageUpdateEvent):
                    break
            if way == "aclose":
                await stream.aclose()
            else:
                del stream
                gc.collect()
        await server.requests[0].wait_gone(2)
        await until(lambda: not agent.state.is_streaming)
        async with asyncio.timeout(1):
            await agent.wait_for_idle()


async def test_row_23_nothing_happens_before_the_first_event_is_asked_for() -> None:
    agent = make(text("Hello!"))
    stream = agent.stream("hi")
    await stream.aclose()
    assert agent.state.messages == []


async def test_row_24_listeners_in_order_awaited_and_a_raising_one_is_skipped() -> None:
    agent = make(text("Hello!"))
    seen: list[str] = []

    async def first(event: AgentEvent) -> None:
        await asyncio.sleep(0)
        seen.append(f"1 {event.type}")

    def broken(event: AgentEvent) -> None:
        raise ValueError("boom")

    def second(event: AgentEvent) -> None:
        seen.append(f"2 {event.type}")
        unsubscribe()

    agent.subscribe(first)
    agent.subscribe(broken)
    unsubscribe = agent.subscribe(second)
    agent.subscribe(first)
    await agent.prompt("hi")
    assert seen[:3] == ["1 agent_start", "2 agent_start", "1 turn_start"]
    assert "2 turn_start" not in seen


async def test_row_26_steering_polled_in_a_run_that_stops_stays_for_the_next() -> None:
    async def steers(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        agent.steer("later")
        return result("ok")

    agent = make(
        calls(C1),
        text("Done."),
        tools=[tool("f", steers)],
        should_stop_after_turn=lambda message, *_: bool(message.stop_reason == "tool_calls"),
    )
    await agent.prompt("hi")
    assert [said(m) for m in agent.state.messages][-1] == "ok"
    await agent.prompt("go on")
    assert [said(m) for m in agent.state.messages][-3:] == ["go on", "later", "Done."]


async def test_row_45_reset_aborts_the_run_and_nothing_of_it_touches_the_state() -> None:
    gate = asyncio.Event()
    agent = make(Scripted(text("One."), deltas=3, gate=gate), text("Two."))
    running = asyncio.create_task(agent.prompt("hi"))
    await until(lambda: agent.state.stream_message is not None)
    agent.reset()
    assert agent.state.messages == []
    assert await agent.prompt_text("new") == "Two."
    await running
    assert [said(m) for m in agent.state.messages] == ["new", "Two."]


async def test_row_46_waiters_are_independent() -> None:
    gate = asyncio.Event()
    agent = make(Scripted(text("One."), deltas=3, gate=gate))
    running = asyncio.create_task(agent.prompt("hi"))
    await until(lambda: agent.state.is_streaming)
    one, two = (asyncio.create_task(agent.wait_for_idle()) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    gate.set()
    await running
    async with asyncio.timeout(1):
        await two
    assert one.cancelled()


async def test_errors_that_are_raised_have_the_known_texts() -> None:
    with pytest.raises(RuntimeError, match="No model configured"):
        await Agent().prompt("hi")
    with pytest.raises(RuntimeError, match="No messages to continue from"):
        await make().continue_()
    gate = asyncio.Event()
    agent = make(Scripted(text("One."), gate=gate, deltas=3))
    running = asyncio.create_task(agent.prompt("hi"))
    await until(lambda: agent.state.is_streaming)
    with pytest.raises(RuntimeError, match="Agent is already processing a prompt"):
        await agent.prompt("again")
    gate.set()
    await running


async def test_a_listener_may_prompt_again_at_the_end() -> None:
    agent = make(text("One."), text("Two."))
    answers: list[str] = []

    async def again(event: AgentEvent) -> None:
        if event.type == "agent_end" and not answers:
            answers.append("")
            answers.append(await agent.prompt_text("again"))

    agent.subscribe(again)
    await agent.prompt("hi")
    assert answers == ["", "Two."]


async def test_one_agent_serves_several_loops_one_after_the_other() -> None:
    agent = make(calls(C1), text("One."), text("Two."))

    def elsewhere() -> list[str]:
        return [asyncio.run(agent.prompt_text("hi")), asyncio.run(agent.prompt_text("ho"))]

    assert await asyncio.to_thread(elsewhere) == ["One.", "Two."]


async def test_an_empty_prompt_goes_on_and_its_complaint_is_a_message() -> None:
    agent = make(text("One."), text("Two."))
    events = heard(agent)
    message = await agent.prompt([])
    assert isinstance(message, AssistantMessage)
    told = "Cannot continue: no messages in context"
    assert (message.stop_reason, message.error_message, agent.state.error) == ("error", told, told)
    assert [event.type for event in events][-3:] == ["message_end", "turn_end", "agent_end"]
    assert said(await agent.prompt("hi")) == "One."
    message = await agent.prompt([])
    assert isinstance(message, AssistantMessage)
    assert message.error_message == "Cannot continue from message role: assistant"
    agent.append_message(UserMessage(content=[TextContent(text="more")]))
    assert said(await agent.prompt([])) == "Two."
    assert load(agent.log).replay().ok
