"""The scenarios of the compatible API: which events, in which order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests import traces
from tests.traces import MODEL, Scripted, calls, result, script, text, tool, trace

from tinyagent.agent import Agent, AgentOptions
from tinyagent.agent_types import (
    AgentEndEvent,
    AgentEvent,
    AgentState,
    AgentTool,
    AssistantMessage,
    AssistantMessageEvent,
    MessageEndEvent,
    TextContent,
    ThinkingContent,
    ToolExecutionEndEvent,
    ToolLoopControl,
    UserMessage,
)

A_TEXT = "ms(A) mu:text_start mu:text_delta mu:text_delta mu:text_end me(A)"
A_CALL = "ms(A) mu:tool_call_start mu:tool_call_delta mu:tool_call_end me(A)"
U, T = "ms(U) me(U)", "ms(T) me(T)"
C1 = ("c1", "f", {"a": 1})
C2 = ("c2", "g", {"b": 2})


async def ok(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
    return result(f"ok {call_id}")


def make(
    *answers: Any, tools: list[AgentTool] | None = None, **options: Any
) -> tuple[Agent, list[AgentEvent]]:
    """Return an agent on scripted answers, and the list that its events go to."""
    state = AgentState(system_prompt="S", model=MODEL, tools=tools or [tool("f", ok)])
    agent = Agent(AgentOptions(initial_state=state, stream_fn=script(*answers), **options))
    events: list[AgentEvent] = []
    agent.subscribe(events.append)
    return agent, events


async def test_t1_plain_text() -> None:
    agent, events = make(text("Hello!"))
    message = await agent.prompt("hi")
    assert trace(events) == f"as ts {U} {A_TEXT} te ae"
    assert traces.said(message) == "Hello!"
    assert agent.state.messages[-1] is message


@pytest.mark.parametrize("events_given", [1, 0])
async def test_t1b_t1c_only_the_result_counts(events_given: int) -> None:
    answer = text("Hello!")
    done = [AssistantMessageEvent(type="done", message=answer)][:events_given]
    agent, events = make(Scripted(answer, events=done))
    assert await agent.prompt("hi") is answer
    assert trace(events) == f"as ts {U} ms(A) me(A) te ae"


async def test_t1d_deltas_without_done() -> None:
    answer = text("Hello!")
    agent, events = make(Scripted(answer, events=traces.stream_of(answer)[:-1]))
    assert await agent.prompt("hi") is answer
    assert trace(events) == f"as ts {U} {A_TEXT} te ae"


async def test_t2_tool_then_text() -> None:
    agent, events = make(calls(C1), text("Done."))
    await agent.prompt("hi")
    assert trace(events) == f"as ts {U} {A_CALL} tes:c1 tee:c1 {T} te ts {A_TEXT} te ae"
    ended = events[-1]
    assert isinstance(ended, AgentEndEvent)
    roles = [message.role for message in ended.messages]
    assert roles == ["user", "assistant", "tool_result", "assistant"]


async def test_t3_results_come_in_call_order_whatever_ends_first() -> None:
    first = asyncio.Event()

    async def slow(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        on_update(result("half"))
        await first.wait()
        return result("slow")

    async def fast(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        on_update(result("half"))
        first.set()
        return result("fast")

    agent, events = make(calls(C1, C2), text("Done."), tools=[tool("f", slow), tool("g", fast)])
    await agent.prompt("hi")
    batch = f"tes:c1 tes:c2 teu:c1 teu:c2 tee:c1 {T} tee:c2 {T} te ts"
    assert batch in trace(events)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (tool("f", lambda *_: 1 / 0), "division by zero"),
        (tool("other", ok), "Tool f not found"),
        (AgentTool(name="f"), "Tool f has no execute function"),
    ],
)
async def test_t4_t5_a_broken_tool_is_an_error_result_and_the_loop_goes_on(
    broken: AgentTool, told: str
) -> None:
    agent, events = make(calls(C1), text("Done."), tools=[broken])
    await agent.prompt("hi")
    ended = next(e for e in events if isinstance(e, ToolExecutionEndEvent))
    assert (ended.is_error, ended.result.content[0].text) == (True, told)  # type: ignore[union-attr] # text
    assert trace(events).endswith(f"te ts {A_TEXT} te ae")


async def test_t6_abort_in_a_stream_that_raises_keeps_the_text() -> None:
    answer = text("Hello!")

    class Raises(Scripted):
        async def __anext__(self) -> AssistantMessageEvent:
            if self._at == 3:
                agent.abort()
                raise RuntimeError("stopped by signal")
            return await super().__anext__()

    agent, events = make(Raises(answer))
    message = await agent.prompt("hi")
    assert isinstance(message, AssistantMessage)
    assert (message.stop_reason, traces.said(message)) == ("aborted", "Hel")
    assert message.error_message == "stopped by signal"
    assert trace(events).endswith("mu:text_delta me(A) te ae")


async def test_t6d_abort_while_a_tool_runs_calls_no_model_again() -> None:
    async def finishes(call_id: str, args: Any, signal: asyncio.Event, on_update: Any) -> Any:
        agent.abort()
        await signal.wait()
        return result("own result")

    agent, events = make(calls(C1), text("never"), tools=[tool("f", finishes)])
    message = await agent.prompt("hi")
    assert isinstance(message, AssistantMessage)
    assert message.stop_reason == "aborted"
    assert message.error_message == "Request was aborted"
    assert trace(events).endswith(f"tee:c1 {T} te ts ms(A) me(A) te ae")


@pytest.mark.parametrize("deltas", [0, 3])
async def test_t7_a_stream_that_raises_gives_an_error_message_with_the_text_so_far(
    deltas: int,
) -> None:
    failing = Scripted(text("Hello!"), deltas=deltas, raises=ValueError("boom"))
    agent, events = make(failing)
    message = await agent.prompt("hi")
    assert isinstance(message, AssistantMessage)
    assert (message.stop_reason, message.error_message) == ("error", "boom")
    assert traces.said(message) == ("Hel" if deltas else "")
    assert agent.state.error == "boom"
    assert trace(events).endswith("me(A) te ae")


async def test_t8_terminate_ends_the_run_and_leaves_the_queues() -> None:
    async def ends(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        return result("bye", terminate=True)

    agent, events = make(calls(C1, C2), text("next"), tools=[tool("f", ends), tool("g", ok)])
    agent.steer("later")
    agent.follow_up("much later")
    await agent.prompt("hi")
    assert trace(events).endswith(f"tee:c1 {T} tee:c2 {T} te ae")


async def test_t9_should_stop_ends_the_run_after_the_turn() -> None:
    agent, events = make(calls(C1), should_stop_after_turn=lambda *_: True)
    await agent.prompt("hi")
    assert trace(events).endswith(f"tee:c1 {T} te ae")


async def test_t10_steering_while_tools_run_is_delivered_in_the_next_turn() -> None:
    async def steers(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        agent.steer("left")
        return result("ok")

    agent, events = make(calls(C1), text("Done."), tools=[tool("f", steers)])
    await agent.prompt("hi")
    assert trace(events).endswith(f"tee:c1 {T} te ts {U} {A_TEXT} te ae")


async def test_t10b_steering_from_a_listener_at_the_very_end_still_counts() -> None:
    agent, events = make(text("One."), text("Two."))

    def steer_once(event: AgentEvent) -> None:
        is_answer = isinstance(event, MessageEndEvent) and isinstance(
            event.message, AssistantMessage
        )
        if is_answer and len(agent.state.messages) == 2:
            agent.steer("and?")

    agent.subscribe(steer_once)
    await agent.prompt("hi")
    assert trace(events) == f"as ts {U} {A_TEXT} te ts {U} {A_TEXT} te ae"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("one-at-a-time", f"as ts {U} {U} {A_TEXT} te ts {U} {A_TEXT} te ae"),
        ("all", f"as ts {U} {U} {U} {A_TEXT} te ae"),
    ],
)
async def test_t10c_t10d_steering_queued_before_the_prompt(mode: str, expected: str) -> None:
    agent, events = make(text("One."), text("Two."), steering_mode=mode)
    agent.steer("s1")
    agent.steer("s2")
    await agent.prompt("hi")
    assert trace(events) == expected


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("one-at-a-time", f"te ts {U} {A_TEXT} te ts {U} {A_TEXT} te ae"),
        ("all", f"te ts {U} {U} {A_TEXT} te ae"),
    ],
)
async def test_t11_t18_follow_ups_come_when_nothing_else_is_left(mode: str, expected: str) -> None:
    agent, events = make(text("One."), text("Two."), text("Three."), follow_up_mode=mode)
    agent.follow_up("f1")
    agent.follow_up("f2")
    await agent.prompt("hi")
    assert trace(events).endswith(f"{A_TEXT} {expected}")


async def test_t12_continue_after_a_user_message() -> None:
    agent, events = make(text("Hello!"))
    agent.append_message(UserMessage(content=[TextContent(text="hi")]))
    await agent.continue_()
    assert trace(events) == f"as ts {A_TEXT} te ae"


async def test_t13_before_blocks_one_and_after_replaces_the_other() -> None:
    def before(call: Any, found: Any, args: Any) -> ToolLoopControl | None:
        return ToolLoopControl(result=result("blocked")) if call.id == "c1" else None

    def after(call: Any, message: Any) -> ToolLoopControl | None:
        return ToolLoopControl(result=result("replaced")) if call.id == "c2" else None

    agent, events = make(
        calls(C1, C2),
        text("Done."),
        tools=[tool("f", ok), tool("g", ok)],
        before_tool_call=before,
        after_tool_call=after,
    )
    await agent.prompt("hi")
    ended = [e for e in events if isinstance(e, ToolExecutionEndEvent)]
    assert [(e.tool_call_id, e.is_error, e.result.content[0].text) for e in ended] == [  # type: ignore[union-attr] # text
        ("c1", True, "blocked"),
        ("c2", False, "replaced"),
    ]


async def test_t13b_t22_failing_hooks_are_error_results() -> None:
    def before(call: Any, found: Any, args: Any) -> Any:
        raise ValueError("no") if call.id == "c1" else KeyError("odd")

    agent, events = make(calls(C1), text("Done."), before_tool_call=before)
    await agent.prompt("hi")
    assert trace(events).endswith(f"tes:c1 tee:c1 {T} te ts {A_TEXT} te ae")

    def after(call: Any, message: Any) -> Any:
        raise ValueError("no")

    agent, events = make(calls(C1), text("Done."), after_tool_call=after)
    await agent.prompt("hi")
    ended = next(e for e in events if isinstance(e, ToolExecutionEndEvent))
    told = "after_tool_call failed: ValueError('no'). The tool ran; its result was withheld."
    assert (ended.is_error, ended.result.content[0].text) == (True, told)  # type: ignore[union-attr] # text


async def test_t13c_before_terminates_without_a_result_and_the_tool_runs() -> None:
    agent, events = make(calls(C1), before_tool_call=lambda *_: ToolLoopControl(terminate=True))
    await agent.prompt("hi")
    ended = next(e for e in events if isinstance(e, ToolExecutionEndEvent))
    assert ended.result.content[0].text == "ok c1"  # type: ignore[union-attr] # text
    assert ended.result.terminate  # type: ignore[union-attr] # a result
    assert trace(events).endswith("te ae")


@pytest.mark.parametrize("given", [lambda *_: result("sync"), lambda *_: "sync"])
async def test_t14_t15_sync_tools_and_strings_are_results(given: Any) -> None:
    agent, events = make(calls(C1), text("Done."), tools=[tool("f", given)])
    await agent.prompt("hi")
    ended = next(e for e in events if isinstance(e, ToolExecutionEndEvent))
    assert (ended.is_error, ended.result.content[0].text) == (False, "sync")  # type: ignore[union-attr] # text


async def test_t16_thinking() -> None:
    answer = text("Hello!")
    answer.content.insert(0, ThinkingContent(thinking="hm"))
    agent, events = make(answer)
    await agent.prompt("hi")
    thought = "mu:thinking_start mu:thinking_delta mu:thinking_end mu:text_start"
    assert f"ms(A) {thought}" in trace(events)


async def test_t20_a_list_of_prompts() -> None:
    agent, events = make(text("Hello!"))
    messages: Any = [UserMessage(content=[TextContent(text=t)]) for t in ("a", "b")]
    await agent.prompt(messages)
    assert trace(events) == f"as ts {U} {U} {A_TEXT} te ae"
    assert agent.state.messages[0] is messages[0]


async def test_t21_stream_text_gives_every_character_once() -> None:
    agent, _ = make(
        calls(
            C1,
        ),
        text("Done."),
    )
    parts = [part async for part in agent.stream_text("hi")]
    assert "".join(parts) == "Done."


async def test_t23_after_hook_changes_only_the_flag() -> None:
    agent, events = make(
        calls(C1), text("Done."), after_tool_call=lambda *_: ToolLoopControl(is_error=True)
    )
    await agent.prompt("hi")
    ended = next(e for e in events if isinstance(e, ToolExecutionEndEvent))
    assert (ended.is_error, ended.result.content[0].text) == (True, "ok c1")  # type: ignore[union-attr] # text


async def test_t24_should_stop_that_raises_fails_the_run() -> None:
    def stop(*_: Any) -> bool:
        raise ValueError("boom")

    agent, events = make(text("Hello!"), should_stop_after_turn=stop)
    message = await agent.prompt("hi")
    assert isinstance(message, AssistantMessage)
    assert message.error_message == "boom"
    assert trace(events).endswith("me(A) te ts ms(A) me(A) te ae")
