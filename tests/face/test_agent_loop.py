"""The loop as functions: the same actors, no ``Agent``."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

import pytest
from tests.traces import MODEL, Scripted, calls, result, said, script, text, tool, trace

from tinyagent import (
    Agent,
    AgentContext,
    AgentLoopConfig,
    AgentMessage,
    AgentOptions,
    AgentState,
    UserMessage,
    agent_loop,
    agent_loop_continue,
    create_agent_stream,
    default_convert_to_llm,
    execute_tool_calls,
    skip_tool_call,
    stream_assistant_response,
    stream_simple,
)
from tinyagent.agent_loop import run_loop
from tinyagent.agent_types import (
    AssistantMessage,
    TextContent,
    ToolCallContent,
    ToolExecutionResult,
    ToolResultMessage,
)

A_TEXT = "ms(A) mu:text_start mu:text_delta mu:text_delta mu:text_end me(A)"
U, T = "ms(U) me(U)", "ms(T) me(T)"
C1 = ("c1", "f", {"a": 1})


def user(said_: str) -> UserMessage:
    return UserMessage(content=[TextContent(text=said_)])


def config(**more: Any) -> AgentLoopConfig:
    return AgentLoopConfig(model=MODEL, convert_to_llm=default_convert_to_llm, **more)


async def ok(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
    return result(f"ok {call_id}")


async def test_agent_loop_yields_the_run_and_its_result_is_the_new_messages() -> None:
    context = AgentContext("S", [user("before")], [tool("f", ok)])
    stream = agent_loop([user("hi")], context, config(), None, script(calls(C1), text("Done.")))
    events = [event async for event in stream]
    assert trace(events).startswith(f"as ts {U} ms(A)")
    assert trace(events).endswith(f"tes:c1 tee:c1 {T} te ts {A_TEXT} te ae")
    assert [m.role for m in await stream.result()] == [
        "user",
        "assistant",
        "tool_result",
        "assistant",
    ]
    assert len(context.messages) == 1


async def test_the_stream_function_sees_the_whole_context() -> None:
    seen: list[Any] = []

    def answer(context: Any, options: Any) -> Any:
        seen.append((context.system_prompt, [said(m) for m in context.messages]))
        return text("Hello!")

    context = AgentContext("S", [user("before")])
    await agent_loop([user("hi")], context, config(), None, script(answer)).result()
    assert seen == [("S", ["before", "hi"])]


async def test_what_a_stream_function_raises_comes_out_after_the_events_before_it() -> None:
    stream = agent_loop([user("hi")], AgentContext(), config(), None, script(ValueError("boom")))
    assert trace([await anext(stream) for _ in range(4)]) == f"as ts {U}"
    with pytest.raises(ValueError, match="boom"):
        await anext(stream)


async def test_what_a_callback_raises_comes_out_too() -> None:
    def convert(messages: Any) -> Any:
        raise KeyError("odd")

    stream = agent_loop(
        [user("hi")],
        AgentContext(),
        AgentLoopConfig(model=MODEL, convert_to_llm=convert),
        None,
        script(text("never")),
    )
    with pytest.raises(KeyError):
        await stream.result()


async def test_steering_and_follow_ups_are_polled_and_all_delivered() -> None:
    steering = [[], [user("s1"), user("s2")], []]
    follow_ups = [[user("f")], []]

    async def steer() -> Any:
        return steering.pop(0) if steering else []

    async def follow() -> Any:
        return follow_ups.pop(0)

    stream = agent_loop(
        [user("hi")],
        AgentContext(),
        config(get_steering_messages=steer, get_follow_up_messages=follow),
        None,
        script(text("One."), text("Two."), text("Three.")),
    )
    events = [event async for event in stream]
    assert trace(events) == (f"as ts {U} {A_TEXT} te ts {U} {U} {A_TEXT} te ts {U} {A_TEXT} te ae")


async def test_continue_needs_something_to_go_on_from() -> None:
    with pytest.raises(ValueError, match="Cannot continue: no messages in context"):
        agent_loop_continue(AgentContext(), config())
    with pytest.raises(ValueError, match="Cannot continue from message role: assistant"):
        agent_loop_continue(AgentContext("", [user("hi"), text("Hello!")]), config())


async def test_continue_after_an_error_tries_again_without_it() -> None:
    failed = AssistantMessage(content=[], stop_reason="error", error_message="x")
    context = AgentContext("", [user("hi"), failed])
    stream = agent_loop_continue(context, config(), None, script(text("Hello!")))
    assert trace([event async for event in stream]) == f"as ts {A_TEXT} te ae"
    assert len(context.messages) == 2


async def test_a_set_signal_ends_the_run_as_aborted() -> None:
    signal = asyncio.Event()

    def answer(context: Any, options: Any) -> Any:
        signal.set()
        return Scripted(text("Hello!"), deltas=3, gate=asyncio.Event())

    stream = agent_loop([user("hi")], AgentContext(), config(), signal, script(answer))
    async with asyncio.timeout(2):
        messages = await stream.result()
    assert isinstance(messages[-1], AssistantMessage)
    assert messages[-1].stop_reason == "aborted"


async def test_closing_the_stream_stops_the_run() -> None:
    started = asyncio.Event()

    def answer(context: Any, options: Any) -> Any:
        started.set()
        return Scripted(text("Hello!"), deltas=3, gate=asyncio.Event())

    stream = agent_loop([user("hi")], AgentContext(), config(), None, script(answer))
    await started.wait()
    async with asyncio.timeout(2):
        await stream.aclose()
    assert len(asyncio.all_tasks()) == 1


async def test_run_loop_appends_to_both_lists_and_begins_in_the_first_turn() -> None:
    context = AgentContext("", [user("hi")])
    new: list[AgentMessage] = [user("hi")]
    stream = create_agent_stream()
    await run_loop(context, new, config(), None, stream, script(text("Hello!")))
    assert trace([event async for event in stream]) == f"{A_TEXT} te ae"
    assert [m.role for m in context.messages] == ["user", "assistant"]
    assert await stream.result() is new


async def test_one_model_call_keeps_the_context_current_and_runs_no_tool() -> None:
    ran: list[str] = []
    context = AgentContext("", [user("hi")], [tool("f", lambda *_: ran.append("f"))])
    stream = create_agent_stream()
    answer = calls(C1)
    message = await stream_assistant_response(context, config(), None, stream, script(answer))
    assert message is answer
    assert context.messages[-1] is answer
    assert ran == []
    stream.end([])
    assert trace([event async for event in stream]).startswith("ms(A) mu:tool_call_start")


async def test_execute_tool_calls_runs_a_batch_on_its_own() -> None:
    stream = create_agent_stream()
    message = calls(C1, ("c2", "nope", {}))
    done = await execute_tool_calls([tool("f", ok)], message, None, stream)
    assert [(r.tool_call_id, r.is_error) for r in done.tool_results] == [
        ("c1", False),
        ("c2", True),
    ]
    assert (done.steering_messages, done.terminate) == (None, False)
    stream.end([])
    events = [event async for event in stream]
    assert trace(events) == f"tes:c1 tes:c2 tee:c1 {T} tee:c2 {T}"
    assert events[-1].message is done.tool_results[-1]  # type: ignore[union-attr] # message_end


async def test_execute_tool_calls_polls_steering_once_after_the_batch() -> None:
    polls = []

    async def steer() -> Any:
        polls.append(1)
        return [user("left")]

    done = await execute_tool_calls([tool("f", ok)], calls(C1), None, create_agent_stream(), steer)
    assert len(polls) == 1
    assert [said(m) for m in done.steering_messages or []] == ["left"]


def test_a_skipped_call_says_so() -> None:
    stream = create_agent_stream()
    message = skip_tool_call(ToolCallContent(id="c1", name="f", arguments={"a": 1}), stream)
    assert said(message) == "Skipped due to queued user message."
    assert message.is_error


async def test_stream_simple_must_be_provided() -> None:
    with pytest.raises(NotImplementedError, match="stream_simple must be provided"):
        await stream_simple(MODEL, None, None)  # type: ignore[arg-type] # never read


async def test_a_replaced_execute_tool_calls_is_used_through_an_agent_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    async def mine(*given: Any) -> ToolExecutionResult:
        asked.append(given)
        result_ = ToolResultMessage(
            tool_call_id="c1", tool_name="f", content=[TextContent(text="mine")]
        )
        return ToolExecutionResult(tool_results=[result_])

    module = importlib.import_module("tinyagent.agent_loop")
    monkeypatch.setattr(module, "execute_tool_calls", mine)
    state = AgentState(model=MODEL, tools=[tool("f", ok)])
    agent = Agent(AgentOptions(initial_state=state, stream_fn=script(calls(C1), text("Done."))))
    assert await agent.prompt_text("hi") == "Done."
    assert [said(m) for m in agent.state.messages] == ["hi", "", "mine", "Done."]
    assert len(asked[0]) == 7
    assert asked[0][0] == [agent.state.tools[0]]
