"""What must work here although it does not in the original; each test names its row."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest
from tests.traces import MODEL, Scripted, calls, result, said, script, text, tool, trace

from tinyagent import (
    Agent,
    AgentOptions,
    AgentState,
    AgentTool,
    AssistantMessage,
    ImageContent,
    MessageEndEvent,
    MessageUpdateEvent,
    TextContent,
    ToolExecutionEndEvent,
    ToolExecutionUpdateEvent,
    ToolResultMessage,
    UserMessage,
    load,
)
from tinyagent.agent_types import AgentEvent, Limits
from tinyagent.alchemy_provider import OpenAICompatModel
from tinyagent.testing import ProviderServer, chat, paced, stall

C1, C2 = ("c1", "f", {"a": 1}), ("c2", "g", {"b": 2})


async def ok(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
    return result(f"ok {call_id}")


def make(*answers: Any, tools: list[AgentTool] | None = None, **options: Any) -> Agent:
    state = AgentState(model=MODEL, tools=tools or [tool("f", ok), tool("g", ok)])
    return Agent(AgentOptions(initial_state=state, stream_fn=script(*answers), **options))


def live(url: str, *tools: AgentTool, **options: Any) -> Agent:
    model = OpenAICompatModel(provider="demo", id="m", base_url=url, auth="none")
    state = AgentState(model=model, tools=list(tools))
    return Agent(AgentOptions(initial_state=state, retries_max=0, **options))


def heard(agent: Agent) -> list[AgentEvent]:
    events: list[AgentEvent] = []
    agent.subscribe(events.append)
    return events


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a condition of the test, not of ours
            await asyncio.sleep(0.002)


def elapsed_s(start: float) -> float:
    return asyncio.get_running_loop().time() - start


# 6: abort


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


# 7: continue


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


# 14: threads


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


# 23: cancelling and closing


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


@pytest.mark.parametrize("way", ["aclose", "context", "break"])
async def test_row_23_leaving_a_stream_stops_the_run(way: str) -> None:
    async with ProviderServer([paced(chat(text="x" * 4000), 0.01)]) as server:
        agent = live(server.chat_url)
        stream = agent.stream("hi")
        if way == "context":
            async with stream:
                async for event in stream:
                    if isinstance(event, MessageUpdateEvent):
                        break
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


# 24: listeners


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


# 26 to 31


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


async def test_row_27_timestamps_are_of_this_century_and_given_ones_are_kept() -> None:
    agent = make(calls(C1), text("Done."))
    given = UserMessage(content=[TextContent(text="x")], timestamp=5)
    await agent.prompt("hi")
    await_result = agent.state.messages[2]
    assert (agent.state.messages[0].timestamp or 0) > 1_700_000_000_000
    assert (await_result.timestamp or 0) > 1_700_000_000_000
    agent.stream_fn = script(text("More."))
    await agent.prompt(given)
    assert given.timestamp == 5


async def test_row_28_a_tool_that_changes_its_arguments_changes_no_history() -> None:
    def greedy(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        args.clear()
        return "ok"

    agent = make(calls(C1), text("Done."), tools=[tool("f", greedy)])
    events = heard(agent)
    await agent.prompt("hi")
    assert agent.state.messages[1].content[0].arguments == {"a": 1}  # type: ignore[union-attr] # a call
    ended = next(e for e in events if isinstance(e, ToolExecutionEndEvent))
    assert ended.args == {"a": 1}


async def test_row_31_images_go_with_the_last_user_message() -> None:
    image = ImageContent(url="https://example.org/a.png")
    agent = make(text("Nice."), text("Nice."))
    given = UserMessage(content=[TextContent(text="look")])
    await agent.prompt(given, images=[image])
    assert [type(b) for b in agent.state.messages[0].content] == [TextContent, ImageContent]  # type: ignore[union-attr] # blocks
    assert len(given.content) == 1
    with pytest.raises(TypeError, match="user message"):
        await agent.prompt(text("answer"), images=[image])


# 42, 44


async def test_row_42_the_limit_of_turns_ends_the_run_with_a_message() -> None:
    agent = make(*[calls((f"c{n}", "f", {})) for n in range(5)], limits=Limits(turns_max=2))
    message = await agent.prompt("hi")
    assert isinstance(message, AssistantMessage)
    assert message.error_message == "Stopped after 2 turns (turns_max)"
    assert message.error_kind == "limit"


async def test_row_44_a_tool_is_cut_off_at_its_time_limit() -> None:
    async def endless(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        await asyncio.Event().wait()

    slow = [tool("f", endless, timeout_s=0.05, effect="read"), tool("g", endless)]
    agent = make(calls(C1, C2), text("Done."), tools=slow, tool_timeout_s=0.1)
    await agent.prompt("hi")
    results = [said(m) for m in agent.state.messages if isinstance(m, ToolResultMessage)]
    assert results == ["Tool f timed out after 0.05 s", "Tool g timed out after 0.1 s"]


async def test_row_44_at_most_so_many_tools_run_at_once_and_the_rest_in_call_order() -> None:
    running, peak, started = 0, 0, list[str]()

    async def counted(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        started.append(call_id)
        await asyncio.sleep(0.001)
        running -= 1
        return result("ok")

    given: list[tuple[str, str, dict[str, Any]]] = [(f"c{n:02}", "f", {}) for n in range(20)]
    agent = make(calls(*given), text("Done."), tools=[tool("f", counted)], tools_parallel_max=3)
    await agent.prompt("hi")
    assert peak == 3
    assert started == [call[0] for call in given]


# 45 to 49


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


async def test_row_47_two_agents_do_not_share_a_state() -> None:
    state = AgentState(model=MODEL)
    first = Agent(AgentOptions(initial_state=state, stream_fn=script(text("One."))))
    second = Agent(AgentOptions(initial_state=state, stream_fn=script(text("Two."))))
    await first.prompt("hi")
    assert first.state is state
    assert second.state is not state
    assert second.state.messages == []


async def test_row_48_edited_messages_are_what_the_model_sees_next() -> None:
    seen: list[list[str]] = []

    def answer(context: Any, options: Any) -> Any:
        seen.append([said(m) for m in context.messages])
        return text("Hello!")

    agent = make(answer, answer, answer)
    agent.append_message(UserMessage(content=[TextContent(text="before")]))
    await agent.prompt("one")
    agent.replace_messages([agent.state.messages[1]])
    await agent.prompt("two")
    agent.clear_messages()
    await agent.prompt("three")
    assert seen == [["before", "one"], ["one", "two"], ["three"]]


async def test_row_48_a_message_put_in_during_a_run_comes_after_the_open_batch() -> None:
    seen: list[list[str]] = []

    async def appends(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        agent.append_message(UserMessage(content=[TextContent(text="noted")]))
        return result("ok")

    def answer(context: Any, options: Any) -> Any:
        seen.append([said(m) or m.role for m in context.messages])
        return text("Done.")

    agent = make(calls(C1), answer, tools=[tool("f", appends)])
    await agent.prompt("hi")
    assert seen == [["hi", "assistant", "ok", "noted"]]
    texts = [said(m) or m.role for m in agent.state.messages]
    assert texts == ["hi", "assistant", "ok", "noted", "Done."]


async def test_row_49_an_update_after_the_end_is_dropped() -> None:
    late: list[Any] = []

    async def keeps(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        late.append(on_update)
        on_update(result("half"))
        return result("ok")

    agent = make(calls(C1), text("Done."), tools=[tool("f", keeps)])
    events = heard(agent)
    await agent.prompt("hi")
    late[0](result("late"))
    assert sum(isinstance(e, ToolExecutionUpdateEvent) for e in events) == 1


# 56 to 58


async def test_row_57_prompt_text_is_empty_for_an_error() -> None:
    agent = make(Scripted(text("Hello!"), deltas=3, raises=ValueError("boom")))
    assert await agent.prompt_text("hi") == ""


def test_row_58_an_interrupt_in_a_tool_ends_the_program() -> None:
    def interrupts(*_: Any) -> Any:
        raise KeyboardInterrupt

    agent = make(calls(C1), tools=[tool("f", interrupts)])
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(agent.prompt("hi"))


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


async def test_identity_of_messages_is_kept_everywhere() -> None:
    answer = text("Hello!")
    agent = make(answer)
    events = heard(agent)
    mine = UserMessage(content=[TextContent(text="hi")])
    assert await agent.prompt(mine) is answer
    ended = [e.message for e in events if isinstance(e, MessageEndEvent)]
    assert ended[0] is mine
    assert ended[1] is answer
    assert agent.state.messages[0] is mine


async def test_one_agent_serves_several_loops_one_after_the_other() -> None:
    agent = make(calls(C1), text("One."), text("Two."))

    def elsewhere() -> list[str]:
        return [asyncio.run(agent.prompt_text("hi")), asyncio.run(agent.prompt_text("ho"))]

    assert await asyncio.to_thread(elsewhere) == ["One.", "Two."]


async def test_every_session_of_these_agents_replays() -> None:
    agent = make(calls(C1, C2), text("Done."), text("More."))
    heard(agent)
    await agent.prompt("hi")
    await agent.prompt("ho")
    report = load(agent.log).replay()
    assert report.ok, report.first_divergence
    assert report.requests == 3
