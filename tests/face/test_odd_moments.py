"""Runs that are cancelled before they have begun, and again while they end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from tinyagent import (
    Agent,
    AgentOptions,
    AgentState,
    Model,
    RunUnfinishedError,
    load,
    open_log,
    tool,
)
from tinyagent.events import kinds as k
from tinyagent.runtime.errors import LogClosedError
from tinyagent.testing import scripted


@tool(effect="read")
async def wait() -> str:
    """Wait until it is cancelled."""
    await asyncio.Event().wait()
    return "never"


def build(*, log: Any = None) -> Agent:
    """Return an agent whose first run does not end by itself."""
    return Agent(model=scripted(("wait", {}), "Done."), tools=[wait], log=log)


async def ran(agent: Agent) -> None:
    await agent.run("hi")


async def prompted(agent: Agent) -> None:
    await agent.prompt("hi")


async def streamed(agent: Agent) -> None:
    async with agent.stream("hi") as events:
        async for _ in events:
            pass


async def watched(agent: Agent) -> None:
    async with agent.events("hi") as run:
        async for _ in run:
            pass


Way = Callable[[Agent], Coroutine[Any, Any, None]]
WAYS = pytest.mark.parametrize("way", [ran, prompted, streamed, watched])


async def passes(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@WAYS
@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
async def test_an_abort_counts_from_the_moment_in_which_the_agent_is_busy(
    way: Way, count: int
) -> None:
    agent = build()
    running = asyncio.create_task(way(agent))
    await passes(count)
    assert agent.state.is_streaming
    agent.abort()
    async with asyncio.timeout(5):
        await running
    assert agent.log.status == "cancelled"
    assert not agent.state.is_streaming


async def test_an_abort_of_an_agent_at_rest_is_not_one_of_its_next_run() -> None:
    agent = Agent(model=scripted("One.", "Two."))
    agent.abort()
    assert (await agent.run("hi")).text == "One."
    agent.abort()
    assert (await agent.run("hi")).text == "Two."


async def test_a_watched_run_that_is_left_at_once_is_cancelled() -> None:
    agent = build()
    async with asyncio.timeout(5), agent.events("hi") as run:
        pass
    assert run.result.outcome == "cancelled"


@WAYS
@pytest.mark.parametrize("count", [4, 12])
@pytest.mark.parametrize("between", [1, 2, 3])
async def test_who_cancels_again_while_the_run_ends_finds_its_end_on_record(
    way: Way, count: int, between: int
) -> None:
    agent = build()
    running = asyncio.create_task(way(agent))
    await passes(count)
    for _ in range(3):
        running.cancel()
        await passes(between)
    with pytest.raises(asyncio.CancelledError):
        await running
    assert agent.log.status == "cancelled"
    assert not agent.state.is_streaming
    assert load(agent.log).replay().ok
    assert (await agent.run("again")).text == "Done."
    assert len(asyncio.all_tasks()) == 1


@WAYS
@pytest.mark.parametrize("count", [1, 4, 12])
async def test_behind_a_run_that_nobody_heard_and_somebody_cancelled_the_next_one_is_heard(
    way: Way, count: int
) -> None:
    agent = build()
    running = asyncio.create_task(ran(agent))
    await passes(count)
    running.cancel()
    await asyncio.wait({running})
    again = asyncio.create_task(way(agent))
    await passes(30)
    agent.abort()
    await again
    shown = [(m.role, m.model_dump()["content"]) for m in agent.state.messages]
    assert shown == [(m.role, m.model_dump()["content"]) for m in load(agent.log).messages]
    assert [role for role, _ in shown].count("user") == 2


@pytest.mark.parametrize("end", ["abort", "cancel"])
async def test_a_run_whose_log_was_closed_under_it_can_be_ended(end: str) -> None:
    async with open_log() as log:
        agent = build(log=log)
        running = asyncio.create_task(agent.run("hi"))
        await passes(20)
    if end == "abort":
        agent.abort()
    else:
        running.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(LogClosedError if end == "abort" else asyncio.CancelledError):
            await running
    assert len(asyncio.all_tasks()) == 1


async def test_how_a_run_failed_is_told_though_nobody_waits_for_it_any_more() -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(what))
    async with open_log() as log:
        running = asyncio.create_task(build(log=log).run("hi"))
        await passes(20)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [type(what["exception"]) for what in told if isinstance(what, dict)] == [LogClosedError]


async def test_an_agent_that_an_error_brought_down_names_its_run_and_what_goes_on_with_it() -> None:
    class Odd(BaseException):
        """Nothing that a tool may raise."""

    @tool(effect="read")
    async def wait() -> str:
        raise Odd

    agent = Agent(model=scripted(("wait", {}), "Done."), tools=[wait])
    with pytest.raises(Odd):
        await agent.run("hi")
    told = (
        "memory: the run that began with record 2 did not end; an error brought this agent down "
        "in it: resume(...) the log, or make another agent"
    )
    for again in (agent.run("again"), agent.run(), agent.prompt("again")):
        with pytest.raises(RunUnfinishedError) as raised:
            await again
        assert str(raised.value) == told


@pytest.mark.parametrize("durability", ["interval", "strict"])
async def test_the_log_names_the_actor_that_raised(durability: Any, tmp_path: Path) -> None:
    class Odd(BaseException):
        """Nothing that a tool or a model may raise."""

    @tool(effect="read")
    async def odd() -> str:
        raise Odd("out")

    async def stream(*_: object) -> Any:
        raise Odd("out")

    state = AgentState(model=Model(provider="own", id="m"))
    for name, agent in (
        ("tools", Agent(model=scripted(("odd", {}), "Done."), tools=[odd])),
        ("model", Agent(AgentOptions(stream_fn=stream, initial_state=state))),
    ):
        async with open_log(tmp_path / name, durability=durability) as log:
            agent.options.log = log
            with pytest.raises(Odd):
                await agent.run("hi")
        (failed,) = load(tmp_path / name).records(kinds=["actor.failed"])
        assert isinstance(failed.event, k.ActorFailed)
        assert (failed.event.actor, failed.event.error) == (name, "Odd")
