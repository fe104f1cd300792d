"""Part two: the 100 ms in which everything stops, measured on both sides of the wire."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from tests.agents import elapsed_s, live, until
from tests.traces import tool

from tinyagent import Agent, AgentTool, AssistantMessage
from tinyagent.testing import ProviderServer, Reply, chat, paced, stall

WITHIN_S = 0.1
TRIES = 5
"""The machine may be busy: the best of so many counts."""


async def endless(*_: Any) -> Any:
    await asyncio.Event().wait()


async def stubborn(*_: Any) -> Any:
    """Swallow one cancellation after the other, for a while."""
    for _again in range(4):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.2)
    return "late"


def aborts(agent: Agent, running: asyncio.Task[Any]) -> None:
    agent.abort()


def cancels(agent: Agent, running: asyncio.Task[Any]) -> None:
    running.cancel()


async def stopped_s(answer: Reply, stop: Any, *tools: AgentTool, **options: Any) -> float:
    """Return how long it takes from *stop* to the end of the run, and of its requests."""
    async with ProviderServer([answer, chat(text="Back.")]) as server:
        agent = live(server.chat_url, *tools, **options)
        running = asyncio.create_task(agent.prompt("hi"))

        def is_in_the_middle() -> bool:
            if tools or not server.requests:
                return bool(agent.state.pending_tool_calls)
            return not answer.headers_sent or server.requests[0].sent_bytes >= 300

        await until(is_in_the_middle)
        start = asyncio.get_running_loop().time()
        stop(agent, running)
        with contextlib.suppress(asyncio.CancelledError):
            await running
        took_s = elapsed_s(start)
        assert not agent.state.is_streaming
        last = agent.state.messages[-1]
        assert isinstance(last, AssistantMessage)
        assert last.stop_reason == "aborted"
        if not tools:
            took_s = max(took_s, await server.requests[0].wait_gone(1) - start)
        assert len(server.requests) == 1
        assert await agent.prompt_text("again") == "Back."
        return took_s


@pytest.mark.parametrize("stop", [aborts, cancels])
@pytest.mark.parametrize(
    "answer",
    [stall(), stall(chat(text="x" * 400), 600), paced(chat(text="x" * 4000), 0.01)],
    ids=["silent", "stalled", "streaming"],
)
async def test_row_6_a_request_is_closed_and_the_run_ended_within_100_ms(
    answer: Reply, stop: Any
) -> None:
    took = [await stopped_s(answer, stop) for _ in range(TRIES)]
    assert min(took) < WITHIN_S, took


@pytest.mark.parametrize("stop", [aborts, cancels])
@pytest.mark.parametrize("execute", [endless, stubborn])
async def test_row_6_tools_are_ended_or_left_behind_within_100_ms(execute: Any, stop: Any) -> None:
    answer = chat(calls=[("c1", "f", {}), ("c2", "f", {})])
    took = [await stopped_s(answer, stop, tool("f", execute)) for _ in range(TRIES)]
    assert min(took) < WITHIN_S, took


@pytest.mark.parametrize(
    "hook", ["transform_context", "get_api_key", "should_stop_after_turn", "stream_fn"]
)
async def test_row_6_so_are_callbacks(hook: str) -> None:
    took: list[float] = []
    for _ in range(TRIES):
        async with ProviderServer(chat(text="Hello!")) as server:
            entered: list[int] = []

            async def waits(*_: Any, entered: list[int] = entered) -> Any:
                entered.append(1)
                await asyncio.Event().wait()

            options: dict[str, Any] = {hook: waits}
            agent = live(server.chat_url, **options)
            running = asyncio.create_task(agent.prompt("hi"))
            await until(entered.copy)
            start = asyncio.get_running_loop().time()
            agent.abort()
            await running
            took.append(elapsed_s(start))
    assert min(took) < WITHIN_S, took
