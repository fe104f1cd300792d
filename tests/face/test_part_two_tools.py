"""Part two: what tools and their hooks may do wrong, and what they are held to."""

from __future__ import annotations

import asyncio
import importlib
import math
import threading
from typing import Any

import pytest
from tests.agents import C1, C2, heard, live, make, ok, recorded, reported
from tests.traces import calls, result, said, text, tool, trace

from tinyagent import (
    AgentToolResult,
    AssistantMessage,
    TextContent,
    ToolExecutionEndEvent,
    ToolExecutionUpdateEvent,
    ToolResultMessage,
    execute_tool_calls,
    load,
)
from tinyagent.agent_types import Limits
from tinyagent.events import kinds as k
from tinyagent.testing import ProviderServer, chat


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


# 21: hooks that fail


def tools_of(server: ProviderServer) -> list[str]:
    """Return what the model was told by each tool result of the last request."""
    sent = server.requests[-1].json["messages"]
    return [message["content"] for message in sent if message["role"] == "tool"]


BOTH = chat(calls=[("c1", "f", {"a": 1}), ("c2", "g", {"b": 2})])


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (ValueError("no"), "no"),
        (KeyError(), "KeyError"),
        ("yes", "before_tool_call: expected ToolLoopControl or None"),
    ],
)
async def test_row_21_a_failing_before_hook_is_a_result_and_its_tool_does_not_run(
    fault: Any, told: str
) -> None:
    ran: list[str] = []

    def runs(call_id: str, *_: Any) -> str:
        ran.append(call_id)
        return f"ok {call_id}"

    def before(call: Any, *_: Any) -> Any:
        if call.id == "c2":
            return None
        if isinstance(fault, Exception):
            raise fault
        return fault

    async with ProviderServer([BOTH, chat(text="Done.")]) as server:
        agent = live(server.chat_url, tool("f", runs), tool("g", runs), before_tool_call=before)
        events = heard(agent)
        assert await agent.prompt_text("hi") == "Done."
        assert tools_of(server) == [told, "ok c2"]
    assert ran == ["c2"]
    results = [m for m in agent.state.messages if isinstance(m, ToolResultMessage)]
    assert [(r.tool_call_id, r.is_error) for r in results] == [("c1", True), ("c2", False)]
    batch = "tes:c1 tes:c2 tee:c1 ms(T) me(T) tee:c2 ms(T) me(T) te ts ms(A)"
    assert batch in trace(events)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (ValueError("no"), "after_tool_call failed: ValueError('no')."),
        ("yes", "after_tool_call: expected ToolLoopControl or None."),
    ],
)
async def test_row_21_a_failing_after_hook_withholds_the_result_which_the_log_keeps(
    fault: Any, told: str
) -> None:
    def after(call: Any, message: Any) -> Any:
        if call.id == "c2":
            return None
        if isinstance(fault, Exception):
            raise fault
        return fault

    async with ProviderServer([BOTH, chat(text="Done.")]) as server:
        agent = live(server.chat_url, tool("f", ok), tool("g", ok), after_tool_call=after)
        assert await agent.prompt_text("hi") == "Done."
        withheld = f"{told} The tool ran; its result was withheld."
        assert tools_of(server) == [withheld, "ok c2"]
    results = [m for m in agent.state.messages if isinstance(m, ToolResultMessage)]
    assert [r.is_error for r in results] == [True, False]
    real = [(event.call_id, event.content) for event in recorded(agent, k.ToolFinished.kind)]
    assert sorted(real) == [("c1", "ok c1"), ("c2", "ok c2")]


# 22: what tools give back


async def gives(value: Any) -> Any:
    return value


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (lambda *_: result("plain"), "plain"),
        (lambda *_: "text", "text"),
        (lambda *_: gives("awaited"), "awaited"),
        (lambda *_: gives(result("awaited")), "awaited"),
        (lambda *_: AgentToolResult(content="content"), "content"),  # type: ignore[arg-type] # the point
        (lambda *_: AgentToolResult(content=["one", {"type": "text", "text": "two"}]), "one\ntwo"),  # type: ignore[list-item] # the point
    ],
)
async def test_row_22_whatever_a_tool_gives_back_is_its_result(given: Any, told: str) -> None:
    threads: list[Any] = []

    def execute(*args: Any) -> Any:
        threads.append(threading.current_thread())
        return given(*args)

    async with ProviderServer([BOTH, chat(text="Done.")]) as server:
        agent = live(server.chat_url, tool("f", execute), tool("g", ok))
        assert await agent.prompt_text("hi") == "Done."
        assert tools_of(server) == [told, "ok c2"]
    assert threads == [threading.current_thread()]
    shown = agent.state.messages[2]
    assert isinstance(shown, ToolResultMessage)
    assert not shown.is_error
    assert all(isinstance(block, TextContent) for block in shown.content)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "Tool f returned NoneType, expected AgentToolResult"),
        (17, "Tool f returned int, expected AgentToolResult"),
        ({"content": []}, "Tool f returned dict, expected AgentToolResult"),
        (
            AgentToolResult(content=[17]),  # type: ignore[list-item] # the point
            "Tool f returned int in its content, expected blocks",
        ),
    ],
)
async def test_row_22_anything_else_is_an_error_and_costs_nobody_else_anything(
    given: Any, told: str
) -> None:
    async with ProviderServer([BOTH, chat(text="Done.")]) as server:
        agent = live(server.chat_url, tool("f", lambda *_: given), tool("g", ok))
        assert await agent.prompt_text("hi") == "Done."
        assert tools_of(server) == [told, "ok c2"]
    results = [m for m in agent.state.messages if isinstance(m, ToolResultMessage)]
    assert [r.is_error for r in results] == [True, False]


class Odd:
    """No JSON."""

    def __repr__(self) -> str:
        return "<odd>"


async def test_row_22_a_detail_that_is_no_json_is_told_by_its_repr_and_reported() -> None:
    def execute(call_id: str, args: Any, signal: Any, on_update: Any) -> AgentToolResult:
        on_update(AgentToolResult(content="half", details={"how": Odd()}))  # type: ignore[arg-type] # a text
        return AgentToolResult([TextContent(text="whole")], {"n": 1, "what": Odd(), 2: [3]})  # type: ignore[dict-item] # the point

    async with ProviderServer([BOTH, chat(text="Done.")]) as server:
        agent = live(server.chat_url, tool("f", execute), tool("g", ok))
        events = heard(agent)
        assert await agent.prompt_text("hi") == "Done."
        assert tools_of(server) == ["whole", "ok c2"]
    shown = agent.state.messages[2]
    assert isinstance(shown, ToolResultMessage)
    assert shown.details == {"n": 1, "what": "<odd>", "2": [3]}
    (update,) = [e for e in events if isinstance(e, ToolExecutionUpdateEvent)]
    assert update.partial_result == AgentToolResult([TextContent(text="half")], {"how": "<odd>"})
    assert reported(agent) == [
        ("tool.details", "details of tool f that are no JSON, told by repr: how (Odd)"),
        ("tool.details", "details of tool f that are no JSON, told by repr: what (Odd)"),
    ]
    assert load(agent.log).replay().ok


async def test_details_reach_the_host_as_the_tool_gave_them() -> None:
    given = {"nan": math.nan, "big": 2**60, "$ref": "x", "deep": {"inf": [math.inf]}}

    def execute(*_: Any) -> AgentToolResult:
        return AgentToolResult([TextContent(text="ok")], given)

    for hooks in ({}, {"after_tool_call": lambda *_: None}):
        async with ProviderServer([BOTH, chat(text="Done.")]) as server:
            agent = live(server.chat_url, tool("f", execute), tool("g", ok), **hooks)
            await agent.prompt("hi")
        shown = agent.state.messages[2]
        assert isinstance(shown, ToolResultMessage)
        assert repr(shown.details) == repr(given)
        assert shown.details is not given
        kept = recorded(agent, k.ToolFinished.kind)[0].details
        assert kept["$esc"]["nan"] == "NaN"
        assert load(agent.log).replay().ok


async def test_progress_of_a_batch_that_the_host_runs_is_shown_as_it_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def execute(*args: Any) -> Any:
        return await execute_tool_calls(*args)

    module = importlib.import_module("tinyagent.agent_loop")
    monkeypatch.setattr(module, "execute_tool_calls", execute)

    def halfway(call_id: str, args: Any, signal: Any, on_update: Any) -> str:
        on_update(result("half"))
        return "whole"

    async with ProviderServer([BOTH, chat(text="Done.")]) as server:
        agent = live(server.chat_url, tool("f", halfway), tool("g", halfway))
        events = heard(agent)
        assert await agent.prompt_text("hi") == "Done."
    batch = "tes:c1 tes:c2 teu:c1 teu:c2 tee:c1 ms(T) me(T) tee:c2 ms(T) me(T) te"
    assert batch in trace(events)
    assert load(agent.log).replay().ok


@pytest.mark.parametrize(
    ("said_by_it", "told"), [("given up", "given up"), ("", "Tool execution cancelled")]
)
async def test_a_tool_that_raises_a_cancellation_has_failed_with_its_text(
    said_by_it: str, told: str
) -> None:
    async def gives_up(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        raise asyncio.CancelledError(*filter(None, [said_by_it]))

    agent = make(calls(C1, C2), text("Done."), tools=[tool("f", gives_up), tool("g", ok)])
    await agent.prompt("hi")
    first, second = (m for m in agent.state.messages if isinstance(m, ToolResultMessage))
    assert (said(first), first.is_error, second.is_error) == (told, True, False)
