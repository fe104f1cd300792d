"""The log of an agent: it is read while it is written, by whoever has it."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.agents import until

from tinyagent import Agent, OpenLog, ToolRequested, load, open_log, tool
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import scripted


@tool(effect="read")
async def look(where: str) -> str:
    """Look somewhere."""
    return f"seen {where}"


def build(*, log: Any = None) -> Agent:
    """Return an agent that looks once, then answers."""
    model = scripted(["Let me see.", ("look", {"where": "here"})], "All is well.").chunks(4)
    return Agent(model=model, tools=[look], log=log)


async def test_an_open_log_reads_like_a_recording_while_it_grows() -> None:
    agent = build()
    assert (agent.log.status, agent.log.tool_calls, len(agent.log.records)) == ("empty", {}, 0)
    async with agent.events("How is it?") as run:
        async for event in run:
            if isinstance(event, ToolRequested):
                assert agent.log.status == "running"
                assert agent.log.tool_calls["c1"].name == "look"
    read = load(agent.log)
    assert (agent.log.usage, agent.log.status, agent.log.ref) == (read.usage, "answered", read.ref)
    assert agent.log.tool_calls == read.tool_calls
    assert agent.log.request_at(3).is_verified == read.request_at(3).is_verified
    assert agent.log.records(since=3, kinds={"turn.ended"}) == [
        record for record in read.records if record.event.kind == "turn.ended"
    ]


async def test_the_log_that_was_given_is_the_agents_log() -> None:
    async with open_log() as log:
        agent = build(log=log)
        assert agent.log is log
        await agent.run("How is it?")
        assert log.tool_calls["c1"].content == "seen here"
    store = MemoryLog()
    assert build(log=store).log.store is store


async def test_who_follows_a_log_gets_what_comes_behind_a_number() -> None:
    agent = build()
    seen: list[int] = []

    async def follow(log: OpenLog) -> None:
        async for record in log.follow(after=2):
            seen.append(record.seq)

    following = asyncio.create_task(follow(agent.log))
    await agent.run("How is it?")
    await until(lambda: seen and seen[-1] == agent.log.seq)
    following.cancel()
    assert seen == list(range(3, agent.log.seq + 1))
