"""How a tool runs: in a thread, alone, for how long; and who is asked before it does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.agents import outcome, recorded, until

from tinyagent import Agent, AgentOptions, Ctx, current_ctx, replay, tool
from tinyagent.events import kinds as k
from tinyagent.runtime.stores import Log
from tinyagent.testing import scripted


@dataclass
class Place:
    name: str


# How it runs


async def test_a_plain_function_runs_in_a_thread_and_may_say_how_it_goes() -> None:
    here = threading.current_thread()

    @tool(effect="read")
    def look(ctx: Ctx) -> bool:
        current_ctx().progress("in it")
        return threading.current_thread() is here

    agent = Agent(model=scripted(("look", {}), "."), tools=[look])
    await agent.run("go")
    assert agent.log.tool_calls["c1"].content == "false"
    assert recorded(agent, "tool.progressed") == [k.ToolProgressed("c1", "in it")]


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """An event that a thread may wait for; set when the test is over."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize(
    ("effect", "kind"),
    [("read", "tool.failed"), ("idempotent", "tool.failed"), ("write", "tool.in_doubt")],
)
async def test_a_thread_that_takes_too_long_is_in_doubt_if_it_may_have_changed_the_world(
    effect: Any, kind: str, gate: threading.Event
) -> None:
    @tool(effect=effect, timeout_s=0.05)
    def wait() -> None:
        gate.wait()

    agent = Agent(model=scripted(("wait", {}), "."), tools=[wait])
    await agent.run("go")
    (event,) = recorded(agent, "tool.failed", "tool.in_doubt")
    assert event.kind == kind
    told = event.failure.message if kind == "tool.failed" else event.content
    assert told == "Tool wait timed out after 0.05 s"


async def test_a_thread_that_a_cancel_leaves_behind_is_in_doubt(gate: threading.Event) -> None:
    begun = threading.Event()

    @tool
    def wait() -> None:
        begun.set()
        gate.wait()

    agent = Agent(model=scripted(("wait", {}), "."), tools=[wait])
    running = asyncio.create_task(agent.run("go"))
    await until(begun.is_set)
    agent.abort()
    assert (await running).outcome == "cancelled"
    (doubt,) = recorded(agent, "tool.in_doubt")
    assert doubt.why == "cancelled"


async def test_silence_has_a_limit_of_its_own() -> None:
    @tool(effect="read", idle_timeout_s=0.05)
    async def wait(ctx: Ctx) -> None:
        ctx.progress("begun")
        await asyncio.Event().wait()

    call = await outcome(wait)
    assert (call.failure.kind, call.content) == (
        "timeout",
        "Tool wait timed out: silent for 0.05 s",
    )


async def test_who_goes_on_talking_is_not_silent() -> None:
    @tool(effect="read", idle_timeout_s=0.2)
    async def talk(ctx: Ctx) -> str:
        loop = asyncio.get_running_loop()
        end_s = loop.time() + 0.5
        while loop.time() < end_s:
            ctx.progress("still here")
            await asyncio.sleep(0.01)
        return "done"

    assert (await outcome(talk)).content == "done"


async def test_a_tool_that_wants_to_be_alone_is_alone() -> None:
    inside: list[str] = []
    beside: list[list[str]] = []

    async def work(name: str) -> None:
        inside.append(name)
        beside.append(sorted(inside))
        await asyncio.sleep(0.01)
        inside.remove(name)

    @tool(effect="read")
    async def shared(n: int) -> None:
        await work(f"shared {n}")

    @tool(effect="read", alone=True)
    async def single() -> None:
        await work("single")

    turn = [("shared", {"n": 1}), ("shared", {"n": 2}), ("single", {}), ("shared", {"n": 3})]
    await Agent(model=scripted([*turn], "."), tools=[shared, single]).run("go")
    assert beside == [["shared 1"], ["shared 1", "shared 2"], ["single"], ["shared 3"]]


# Who is asked about it


async def test_a_rule_decides_which_calls_wait_for_a_person() -> None:
    @tool(effect="read", approval=lambda ctx, arguments: arguments["place"].name == "Oslo")
    async def go(place: Place) -> str:
        return f"in {place.name}"

    turn = [("go", {"place": {"name": "Rome"}}), ("go", {"place": {"name": "Oslo"}})]
    agent = Agent(model=scripted([*turn], "Done."), tools=[go])
    assert (await agent.run("go")).outcome == "paused"
    assert [call.call_id for call in agent.log.approvals_pending] == ["c2"]
    assert agent.log.tool_calls["c1"].content == "in Rome"
    agent.approve("c2")
    assert (await agent.run()).text == "Done."
    decided = recorded(agent, "approval.decided")
    assert [(each.call_id, each.approved, each.by) for each in decided] == [
        ("c1", True, "tool"),
        ("c2", True, "host"),
    ]


async def test_after_a_crash_the_tool_is_asked_what_came_of_it_with_its_own_types() -> None:
    asked: list[Any] = []

    async def came_of(ctx: Ctx, arguments: dict[str, Any]) -> str:
        asked.append((ctx.call_id, ctx.attempt, arguments))
        return "booked before"

    @tool(timeout_s=0.05, reconcile=came_of)
    async def book(place: Place) -> None:
        await asyncio.Event().wait()

    agent = Agent(model=scripted(("book", {"place": {"name": "Oslo"}}), "Done."), tools=[book])
    assert (await agent.run("go")).text == "Done."
    assert asked == [("c1", 1, {"place": Place("Oslo")})]
    assert agent.log.tool_calls["c1"].content == "booked before"


async def test_replay_touches_no_tool_and_serves_what_it_said() -> None:
    touched: list[str] = []

    @tool(effect="read")
    async def draw(ctx: Ctx) -> str:
        touched.append("draw")
        await ctx.sleep(0)
        return f"{ctx.now(fresh=True)} {ctx.random.random()} {ctx.uuid()}"

    def build(*, log: Log | None = None) -> Agent:
        return Agent(model=scripted(("draw", {}), "Done."), tools=[draw], log=log)

    agent = build()
    await agent.run("go")
    report = await replay(agent.log, build)
    assert report.ok
    assert report.requests == 2
    assert touched == ["draw"]


async def test_a_hook_sees_what_the_model_wrote_and_the_tool_its_own_types() -> None:
    seen: list[Any] = []

    @tool(effect="read")
    async def go(place: Place) -> None:
        seen.append(place)

    def before(call: Any, tool: Any, arguments: dict[str, Any]) -> None:
        seen.append(arguments)

    options = AgentOptions(before_tool_call=before)
    turn = ("go", {"place": {"name": "Rome"}})
    await Agent(options, model=scripted(turn, "."), tools=[go]).run("go")
    assert seen == [{"place": {"name": "Rome"}}, Place("Rome")]
