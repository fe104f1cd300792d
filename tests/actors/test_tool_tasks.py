"""The task in which a tool runs: it is its call's, and becomes nobody's when it is cut off."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from tests.actors.tooling import Stage, double, forever, said

from tinyagent.actors.tools import CANCELLED, Invocation, Returned
from tinyagent.events import Failure, kinds as k


async def test_a_tool_that_cancels_its_own_task_fails_alone_too() -> None:
    async def run(invocation: Invocation) -> Returned:
        if invocation.call_id == "a" and (task := asyncio.current_task()) is not None:
            task.cancel()
            await asyncio.sleep(0)
        return await double(invocation)

    assert (await said(run, "a", "b"))[2:] == [
        k.ToolFinished("b", "4"),
        k.ToolFailed("a", Failure("host", CANCELLED)),
    ]


async def test_all_calls_start_before_one_that_ends_at_once_does() -> None:
    kinds = [event.kind for event in await said(double, "a", "b")]
    assert kinds == ["tool.started"] * 2 + ["tool.finished"] * 2


async def test_nobody_waits_for_a_tool_that_swallows_the_end_of_its_session() -> None:
    let_go = asyncio.Event()
    tasks: list[asyncio.Task[Any] | None] = []

    async def run(invocation: Invocation) -> Returned:
        tasks.append(asyncio.current_task())
        while not let_go.is_set():
            with suppress(asyncio.CancelledError):
                await let_go.wait()
        return Returned(content="late")

    stage = Stage(run)
    stage.call("a")
    await stage.until("tool.started")
    await asyncio.sleep(0)
    stage.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(stage.task, 1)
    let_go.set()
    (task,) = tasks
    assert task is not None
    await asyncio.wait({task})
    assert stage.events() == [k.ToolStarted("a", "read")]


def test_when_its_loop_ends_a_tool_has_not_failed() -> None:
    async def main() -> Stage:
        stage = Stage(forever, effect="write")
        stage.call("a")
        await stage.until("tool.started")
        await asyncio.sleep(0)
        return stage

    assert asyncio.run(main()).events() == [k.ToolStarted("a", "write")]


async def test_what_is_done_in_the_grace_of_a_cancel_is_told_whatever_it_was() -> None:
    async def run(invocation: Invocation) -> Returned:
        await invocation.signal.wait()
        raise ValueError("no more")

    stage = Stage(run, effect="write")
    stage.call("a")
    await stage.until("tool.started")
    stage.signal.set()
    stage.journal.append(k.CancelRequested())
    assert (await stage.end())[-1] == k.ToolFailed("a", Failure("host", "no more"))


async def test_the_task_of_a_tool_says_which_call_it_runs() -> None:
    async def run(invocation: Invocation) -> Returned:
        task = asyncio.current_task()
        return Returned(content=task.get_name() if task is not None else "")

    assert (await said(run, "a"))[-1] == k.ToolFinished("a", "tool f, call a")
