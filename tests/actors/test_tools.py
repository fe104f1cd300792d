"""Tools run by their declared effect; what was cut off is said, never guessed."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable
from typing import Any

import pytest
from tests.actors.tooling import ASKED, Stage, double, forever, said
from tests.runtime.test_loops import Waiting

from tinyagent.actors.context import current_ctx
from tinyagent.actors.gate import NOT_RUN
from tinyagent.actors.tools import (
    CANCELLED,
    DOUBT,
    Invocation,
    OutcomeUnknownError,
    Refused,
    Returned,
)
from tinyagent.events import Event, Failure, kinds as k
from tinyagent.runtime.stores.memory import MemoryLog


async def test_a_call_starts_and_ends() -> None:
    assert await said(double, "a", effect="pure") == [
        k.ToolStarted("a", "pure"),
        k.ToolFinished("a", "2"),
    ]


async def test_calls_run_side_by_side_and_end_as_they_are_done() -> None:
    other_has_ended = asyncio.Event()

    async def run(invocation: Invocation) -> Returned:
        if invocation.call_id == "a":
            await other_has_ended.wait()
        other_has_ended.set()
        return Returned(content=invocation.call_id)

    assert await said(run, "a", "b") == [
        k.ToolStarted("a", "read"),
        k.ToolStarted("b", "read"),
        k.ToolFinished("b", "b"),
        k.ToolFinished("a", "a"),
    ]


async def test_no_more_than_the_limit_run_at_once_and_the_first_asked_is_the_first_to_run() -> None:
    running, most, order = 0, 0, list[int]()

    async def run(invocation: Invocation) -> Returned:
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        order.append(invocation.arguments["n"])
        await asyncio.sleep(0)
        running -= 1
        return Returned(content="")

    stage = Stage(run, parallel_max=2)
    for n in range(10):
        stage.call("a", arguments={"n": n})
    await stage.end()
    assert (most, order) == (2, list(range(10)))


async def test_the_tool_is_told_everything_about_its_call() -> None:
    told: list[Invocation] = []

    async def run(invocation: Invocation) -> Returned:
        told.append(invocation)
        assert current_ctx() is invocation.ctx
        return Returned(content=[{"type": "text", "text": "x"}], details={"n": 1}, terminate=True)

    stage = Stage(run, effect="write")
    stage.call("b", attempt=2)
    assert await stage.end() == [
        k.ToolStarted("b", "write", 2),
        k.ToolFinished("b", [{"type": "text", "text": "x"}], {"n": 1}, True),
    ]
    (one,) = told
    assert (one.call_id, one.name, one.arguments, one.attempt) == ("b", "f", {"x": 2}, 2)
    assert one.signal is stage.signal


async def test_changed_arguments_take_the_place_of_those_of_the_model() -> None:
    stage = Stage(double)
    stage.call("a", arguments={"x": 21})
    assert (await stage.end())[-1] == k.ToolFinished("a", "42")


async def test_the_hosts_own_object_travels_beside_the_end() -> None:
    mine = object()

    async def run(invocation: Invocation) -> Returned:
        return Returned(content="", live=mine)

    stage = Stage(run)
    stage.call("a")
    await stage.end()
    lives = [(await stage.said.get()) for _ in range(len(stage.said))]
    assert [record.live for record in lives if record is not None][-1] is mine


async def test_an_unknown_tool_and_arguments_that_do_not_fit_never_start() -> None:
    assert await said(None, "a") == [k.ToolFailed("a", Failure("invalid", "Tool f not found"))]
    assert await said(double, "c") == [k.ToolFailed("c", Failure("invalid", "not JSON: {broken"))]


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("no such city"), "host", "no such city"),
        (KeyError(), "host", "KeyError"),
        (Refused("x must be positive"), "invalid", "x must be positive"),
    ],
)
async def test_what_a_tool_raises_is_its_statement_that_it_failed(
    error: Exception, kind: Any, message: str
) -> None:
    async def run(invocation: Invocation) -> Returned:
        raise error

    assert (await said(run, "a", effect="write"))[1:] == [k.ToolFailed("a", Failure(kind, message))]


async def test_a_tool_that_raises_before_it_awaits_anything_has_failed_too() -> None:
    def run(invocation: Invocation) -> Awaitable[Returned]:
        raise ValueError("at once")

    assert (await said(run, "a"))[1:] == [k.ToolFailed("a", Failure("host", "at once"))]


async def test_a_tool_that_cancels_itself_fails_alone() -> None:
    async def run(invocation: Invocation) -> Returned:
        if invocation.call_id == "a":
            raise asyncio.CancelledError
        return await double(invocation)

    *_, first, second = await said(run, "a", "b")
    assert first == k.ToolFailed("a", Failure("host", CANCELLED))
    assert second == k.ToolFinished("b", "4")


async def test_progress_is_said_while_the_tool_runs_and_dropped_after_its_end() -> None:
    kept: list[Invocation] = []

    async def run(invocation: Invocation) -> Returned:
        kept.append(invocation)
        invocation.progress("half", {"n": 1})
        return Returned(content="whole")

    stage = Stage(run)
    stage.call("a")
    await stage.until("tool.finished")
    kept[0].progress("late", None)
    assert await stage.end() == [
        k.ToolStarted("a", "read"),
        k.ToolProgressed("a", "half", {"n": 1}),
        k.ToolFinished("a", "whole"),
    ]


@pytest.mark.parametrize("effect", ["pure", "read", "idempotent"])
async def test_a_tool_that_takes_too_long_has_failed(effect: k.Effect) -> None:
    end = (await said(forever, "a", effect=effect, timeout_s=0.01))[-1]
    assert end == k.ToolFailed("a", Failure("timeout", "Tool f timed out after 0.01 s"))


async def test_a_tool_that_may_have_changed_the_world_and_took_too_long_is_in_doubt() -> None:
    stage = Stage(forever, effect="write", timeout_s=0.01)
    stage.call("a", attempt=3)
    end = (await stage.end())[-1]
    assert end == k.ToolInDoubt("a", "timeout", 3, "Tool f timed out after 0.01 s")


@pytest.mark.parametrize(
    ("effect", "end"),
    [
        ("write", k.ToolInDoubt("a", "stopped", 1, "gone")),
        ("idempotent", k.ToolFailed("a", Failure("interrupted", "gone"))),
        ("read", k.ToolFailed("a", Failure("interrupted", "gone"))),
    ],
)
async def test_a_tool_that_was_parted_from_what_it_asked_for_does_not_say_that_it_failed(
    effect: k.Effect, end: Event
) -> None:
    async def parted(invocation: Invocation) -> Returned:
        raise OutcomeUnknownError("gone")

    assert (await said(parted, "a", effect=effect))[-1] == end


@pytest.mark.parametrize(
    ("effect", "end"),
    [
        ("read", k.ToolFailed("a", Failure("cancelled", CANCELLED))),
        ("write", k.ToolInDoubt("a", "cancelled", content=DOUBT)),
    ],
)
async def test_a_tool_that_is_cancelled_while_it_runs(effect: k.Effect, end: Event) -> None:
    stage = Stage(forever, effect=effect)
    stage.call("a")
    await stage.until("tool.started")
    stage.journal.append(k.CancelRequested())
    assert (await stage.end())[-1] == end
    assert stage.reports == []


async def test_after_a_cancel_a_tool_has_a_moment_to_end_by_itself() -> None:
    async def run(invocation: Invocation) -> Returned:
        await invocation.signal.wait()
        await asyncio.sleep(0.01)
        return Returned(content="half of it")

    stage = Stage(run, effect="write")
    stage.call("a")
    await stage.until("tool.started")
    stage.signal.set()
    stage.journal.append(k.CancelRequested())
    assert (await stage.end())[-1] == k.ToolFinished("a", "half of it")


async def test_calls_that_had_no_turn_before_the_cancel_are_not_run() -> None:
    runs = asyncio.Event()

    async def run(invocation: Invocation) -> Returned:
        runs.set()
        return await forever(invocation)

    stage = Stage(run, parallel_max=1)
    stage.call("a", "b")
    await runs.wait()
    stage.journal.append(k.CancelRequested())
    _, first, second = await stage.end()
    assert first == k.ToolFailed("a", Failure("cancelled", CANCELLED))
    assert second == k.ToolFailed("b", Failure("cancelled", NOT_RUN))


async def test_the_disk_is_asked_once_for_all_that_start_together() -> None:
    class Counting(MemoryLog):
        durability = "interval"
        asked: list[int] = []

        @property
        def written_seq(self) -> int:
            return max(self.asked, default=0)

        async def written(self, seq: int) -> None:
            self.asked.append(self.seq)

    log = Counting()
    stage = Stage(double, log=log)
    stage.call("a", "b")
    await stage.end()
    assert log.asked == [len(ASKED) + 4]


async def test_calls_that_start_together_run_in_order_however_soon_the_disk_has_them() -> None:
    class Ahead(Waiting):
        async def durable(self, seq: int) -> None:
            self.move(self.seq)  # of all, before the first is told
            await asyncio.sleep(0)

    ran: list[str] = []

    async def run(invocation: Invocation) -> Returned:
        ran.append(invocation.call_id)
        return Returned(content="done")

    stage = Stage(run, log=Ahead("interval"), effect="write")
    stage.call("a", "b")
    await stage.end()
    assert ran == ["a", "b"]


async def test_a_cancel_while_the_start_is_made_safe_keeps_the_tool_from_running() -> None:
    gate = asyncio.Event()

    class Slow(MemoryLog):
        durability = "interval"

        @property
        def durable_seq(self) -> int:
            return 0

        async def durable(self, seq: int) -> None:
            await gate.wait()

    ran: list[str] = []

    async def run(invocation: Invocation) -> Returned:
        ran.append(invocation.call_id)
        return Returned(content="")

    stage = Stage(run, effect="write", log=Slow())
    stage.call("a")
    await stage.until("tool.started")
    stage.journal.append(k.CancelRequested())
    await asyncio.sleep(0)
    gate.set()
    assert (await stage.end())[1:] == [k.ToolFailed("a", Failure("cancelled", NOT_RUN))]
    assert ran == []


async def test_a_tool_that_swallows_its_cancellation_is_left_behind_and_reported() -> None:
    let_go = asyncio.Event()

    async def run(invocation: Invocation) -> Returned:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                invocation.progress("not me", None)
        return Returned(content="late")

    stage = Stage(run, effect="write", timeout_s=0.01)
    stage.call("a")
    *_, end = await stage.end()
    let_go.set()
    assert isinstance(end, k.ToolInDoubt)
    told = "tool f, call a: swallowed its cancellation"
    assert stage.reports == [("tool.abandoned", told)]
    await asyncio.sleep(0)
    assert stage.events()[-1] == end


async def test_what_a_tool_raises_while_it_is_cut_off_is_reported_and_disturbs_nobody() -> None:
    disturbed: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, about: disturbed.append(about))

    async def run(invocation: Invocation) -> Returned:
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("the clean-up failed")

    stage = Stage(run, effect="write", timeout_s=0.01)
    stage.call("a")
    assert isinstance((await stage.end())[-1], k.ToolInDoubt)
    message = "raised while it was cancelled: OSError('the clean-up failed')"
    assert stage.reports == [("tool.cut_off", message)]
    gc.collect()
    assert disturbed == []


async def test_when_the_session_is_torn_down_its_tools_are_cancelled() -> None:
    ended = asyncio.Event()

    async def run(invocation: Invocation) -> Returned:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return Returned(content="")

    stage = Stage(run)
    stage.call("a")
    await stage.until("tool.started")
    await asyncio.sleep(0)
    stage.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stage.task
    await asyncio.wait_for(ended.wait(), 1)
