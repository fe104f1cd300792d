"""Agents for tests: on scripted answers, or on a real server; and what is looked at afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.traces import MODEL, result, script, tool

from tinyagent import Agent, AgentOptions, AgentState, AgentTool
from tinyagent.agent_types import AgentEvent
from tinyagent.alchemy_provider import OpenAICompatModel
from tinyagent.events import kinds as k
from tinyagent.runtime.stores import as_record
from tinyagent.testing import scripted

C1: tuple[str, str, dict[str, Any]] = ("c1", "f", {"a": 1})
C2: tuple[str, str, dict[str, Any]] = ("c2", "g", {"b": 2})


async def ok(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
    """A tool that does its work."""
    return result(f"ok {call_id}")


def make(*answers: Any, tools: list[AgentTool] | None = None, **options: Any) -> Agent:
    """Return an agent that gets *answers* in turn; its tools are ``f`` and ``g``."""
    state = AgentState(model=MODEL, tools=tools or [tool("f", ok), tool("g", ok)])
    return Agent(AgentOptions(initial_state=state, stream_fn=script(*answers), **options))


def live(url: str, *tools: AgentTool, **options: Any) -> Agent:
    """Return an agent whose provider is at *url*, without a key."""
    model = OpenAICompatModel(provider="demo", id="m", base_url=url, auth="none")
    state = AgentState(model=model, tools=list(tools))
    given: dict[str, Any] = {"retries_max": 0, **options}
    return Agent(AgentOptions(initial_state=state, **given))


def heard(agent: Agent) -> list[AgentEvent]:
    """Return the list that every event of *agent* goes to."""
    events: list[AgentEvent] = []
    agent.subscribe(events.append)
    return events


def recorded(agent: Agent, *kinds: str) -> list[Any]:
    """Return the events of *kinds* in the log of *agent*."""
    return [as_record(stored).event for stored in agent.log.read() if stored.kind in kinds]


def reported(agent: Agent) -> list[tuple[str, str]]:
    """Return what was reported in the log of *agent*: name and text of each."""
    return [(event.name, event.message) for event in recorded(agent, k.DiagnosticReported.kind)]


async def until(condition: Callable[[], Any]) -> None:
    """Return when *condition* holds.

    Raises:
        TimeoutError: it did not in five seconds.
    """
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a condition of the test, not of ours
            await asyncio.sleep(0.002)


def elapsed_s(start: float) -> float:
    """Return the seconds since *start*, by the clock of the loop."""
    return asyncio.get_running_loop().time() - start


async def outcome(tool: AgentTool, **arguments: Any) -> Any:
    """Return what came of one call of *tool*."""
    agent = Agent(model=scripted((tool.name, arguments), "Done."), tools=[tool])
    await agent.run("go")
    return agent.log.tool_calls["c1"]
