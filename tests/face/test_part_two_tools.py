"""Part two: what tools and their hooks may do wrong, and what they are held to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.agents import C1, C2, heard, make
from tests.traces import calls, result, said, text, tool

from tinyagent import (
    AssistantMessage,
    ToolExecutionEndEvent,
    ToolExecutionUpdateEvent,
    ToolResultMessage,
)
from tinyagent.agent_types import Limits


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


def test_row_58_an_interrupt_in_a_tool_ends_the_program() -> None:
    def interrupts(*_: Any) -> Any:
        raise KeyboardInterrupt

    agent = make(calls(C1), tools=[tool("f", interrupts)])
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(agent.prompt("hi"))
