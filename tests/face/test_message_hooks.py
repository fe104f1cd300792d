"""Hooks that hear what is said to an agent, before it is recorded: prompts and queues."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.agents import recorded, until
from tests.crashing import cut
from tests.face.test_hooks import asked, look, said, shouted, shouted_later

from tinyagent import (
    Agent,
    Hooks,
    UserMessage,
    extract_text,
    load,
    open_log,
)
from tinyagent.events import Failure, kinds as k
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import scripted


@pytest.mark.parametrize("hook", [shouted, shouted_later])
async def test_a_message_hook_says_what_was_said(tmp_path: Path, hook: Any) -> None:
    async with open_log(tmp_path / "log") as log:
        agent = Agent(model=scripted("Hi."), hooks=[Hooks(message=hook)], log=log)
        await agent.run("hello")
    assert said(agent) == ["HELLO"]
    assert extract_text(agent.state.messages[0]) == "HELLO"
    assert b"hello" not in b"".join(record.payload for record in load(tmp_path / "log").records)
    assert asked(agent) == ["host.asked message", "host.answered message"]


async def test_hooks_of_one_seam_are_called_in_order_each_on_what_the_one_before_made() -> None:
    hooks = [
        Hooks(message=shouted),
        Hooks(message=lambda message: None),
        Hooks(message=lambda message: f"{extract_text(message)}!"),
    ]
    agent = Agent(model=scripted("Hi."), hooks=hooks)
    await agent.run("hello")
    assert said(agent) == ["HELLO!"]


async def test_a_message_hook_that_raises_is_on_record_and_nothing_was_said() -> None:
    def refuse(message: Any) -> None:
        if "bomb" in extract_text(message):
            raise ValueError("we do not talk about that")

    agent = Agent(model=scripted("Hi."), hooks=[Hooks(message=refuse)])
    with pytest.raises(ValueError, match="we do not talk about that"):
        await agent.run("a bomb")
    failure = Failure("host", "we do not talk about that")
    assert recorded(agent, "host.failed") == [k.HostFailed("message", failure)]
    assert said(agent) == []
    assert agent.state.messages == []
    assert (await agent.run("a cake")).text == "Hi."
    assert load(agent.log).replay().ok


async def test_a_message_hook_that_returns_nonsense_has_failed() -> None:
    agent = Agent(model=scripted("Hi."), hooks=[Hooks(message=lambda message: 5)])
    with pytest.raises(TypeError, match="expected a message, a text or None, got 5"):
        await agent.run("hello")


@pytest.mark.parametrize("hook", [shouted, shouted_later])
async def test_what_is_queued_is_heard_too(hook: Any) -> None:
    model = scripted(("look", {"where": "here"}), "Well.", "Again.")
    agent = Agent(model=model, tools=[look], hooks=[Hooks(message=hook)])
    agent.follow_up("and then")
    async with agent.events("first") as run:
        async for event in run:
            if isinstance(event, k.ToolRequested):
                agent.steer("wait")
    assert said(agent) == ["AND THEN", "FIRST", "WAIT"]
    texts = [extract_text(m) for m in agent.state.messages if isinstance(m, UserMessage)]
    assert texts == ["FIRST", "WAIT", "AND THEN"]
    assert load(agent.log).replay().ok


async def test_a_queued_message_that_a_hook_refuses_is_dropped_and_the_run_goes_on() -> None:
    def refuse(message: Any) -> None:
        if extract_text(message) == "stop":
            raise ValueError("no")

    model = scripted(("look", {"where": "here"}), "Well.")
    agent = Agent(model=model, tools=[look], hooks=[Hooks(message=refuse)])
    async with agent.events("first") as run:
        async for event in run:
            if isinstance(event, k.ToolRequested):
                agent.steer("stop")
    assert run.result.text == "Well."
    assert said(agent) == ["first"]
    assert recorded(agent, "host.failed") == [k.HostFailed("message", Failure("host", "no"))]


async def test_a_message_that_is_taken_back_while_it_is_heard_is_not_said() -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(message: Any) -> None:
        if extract_text(message) == "late":
            begun.set()
            await go.wait()

    agent = Agent(model=scripted("One."), hooks=[Hooks(message=slow)])
    agent.steer("late")
    running = asyncio.create_task(agent.run("first"))
    await begun.wait()
    agent.clear_steering_queue()
    go.set()
    await running
    assert said(agent) == ["first"]


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_run_that_is_stopped_while_its_message_is_heard_has_not_begun(
    is_cancelled: bool,
) -> None:
    begun = asyncio.Event()

    async def endless(message: Any) -> None:
        if extract_text(message) == "first":
            begun.set()
            await asyncio.Event().wait()

    agent = Agent(model=scripted("Hi."), hooks=[Hooks(message=endless)])
    running = asyncio.create_task(agent.run("first"))
    await begun.wait()
    if is_cancelled:
        running.cancel()
    else:
        await asyncio.to_thread(agent.abort)
    with pytest.raises(asyncio.CancelledError if is_cancelled else RuntimeError):
        await running
    cancelled = Failure("cancelled", "cancelled")
    await until(lambda: recorded(agent, "host.failed"))
    assert recorded(agent, "host.failed") == [k.HostFailed("message", cancelled)]
    assert said(agent) == []
    assert (await agent.run("second")).text == "Hi."
    assert load(agent.log).replay().ok


@pytest.mark.parametrize("kind", ["host.asked", "host.answered"])
async def test_a_crash_before_a_message_is_recorded_leaves_nothing_to_end(kind: str) -> None:
    whole = Agent(model=scripted("Hi."), hooks=[Hooks(message=shouted)], log=MemoryLog())
    await whole.run("hello")
    after = next(r.seq for r in whole.log.records if r.event.kind == kind)
    rest = cut(whole.log.store, after)
    agent = Agent(model=scripted("Hi."), hooks=[Hooks(message=shouted)], log=rest)
    with pytest.raises(RuntimeError, match="nothing to go on from"):
        await agent.run()
    assert (await agent.run("hello")).text == "Hi."
    assert said(agent) == ["HELLO"]
    assert load(agent.log).replay().ok
