"""More of what must work here although it does not in the original: limits, edits, errors."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from tests.traces import MODEL, Scripted, calls, result, said, script, text, tool

from tinyagent import (
    Agent,
    AgentOptions,
    AgentState,
    AgentTool,
    AssistantMessage,
    MessageEndEvent,
    TextContent,
    ToolExecutionUpdateEvent,
    ToolResultMessage,
    UserMessage,
    load,
)
from tinyagent.agent_types import AgentEvent, Limits
from tinyagent.alchemy_provider import OpenAICompatModel

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


# 18


def test_row_18_an_extension_that_cannot_be_loaded_is_told_with_every_attempt() -> None:
    program = """
import sys
sys.modules["tinyagent._alchemy"] = None
from tinyagent.alchemy_provider import shared_transport
try:
    shared_transport()
except RuntimeError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Failed to import the optional alchemy binding. ")
    assert "Import failures: _alchemy: ModuleNotFoundError: No module named" in done.stdout
    assert "; tinyagent._alchemy: ModuleNotFoundError: " in done.stdout


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
