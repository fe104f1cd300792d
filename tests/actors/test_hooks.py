"""The host's callbacks are asked, and their answers are events."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from tests.onstage import serve

from tinyagent.actors.context import Contexts
from tinyagent.actors.hooks import Asked, Hooks
from tinyagent.events import Event, Failure, decode, kinds as k
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.loops import Live
from tinyagent.runtime.mailbox import Mailbox
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import VirtualClock

CONTROL = frozenset({k.CancelRequested.kind})
BEFORE = k.HostAsked("before_tool_call", "a")
ID = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"
CANCELLED = k.HostFailed("before_tool_call", Failure("cancelled", "cancelled"), "a")


class Stage:
    """The worker over a log in memory."""

    def __init__(self, **hooks: Asked) -> None:
        self.journal = Journal(MemoryLog(), VirtualClock())
        self.said = Mailbox("test", frozenset({"host.answered", "host.failed", "user.said"}))
        contexts = Contexts(ID, VirtualClock(), asyncio.Event())
        hook_worker = Hooks(lambda asked, seq: hooks[asked.hook](asked, seq), contexts)
        self._box = Mailbox("hooks", hook_worker.requests | CONTROL, control=CONTROL)
        self.journal.join(self._box)
        self.journal.join(self.said)
        self.task = asyncio.create_task(serve(hook_worker, self._box, self.journal))

    async def end(self) -> list[tuple[Event, int]]:
        """Let the worker end and return what it said, each with its cause."""
        self._box.close()
        async with asyncio.timeout(1):
            await self.task
        return [
            (decode(one.kind, one.v, one.payload), one.cause)
            for one in self.journal.log.read()
            if one.kind in (self.said.kinds or ())
        ]


async def answers(hook: Asked, asked: k.HostAsked = BEFORE) -> list[tuple[Event, int]]:
    stage = Stage(before_tool_call=hook)
    stage.journal.append(asked)
    return await stage.end()


async def test_a_hook_is_told_the_question_and_its_number_and_each_answer_names_it() -> None:
    told: list[tuple[k.HostAsked, int]] = []

    async def hook(asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        told.append((asked, seq))
        said = k.UserSaid("wait", "steer")
        return [Live(said, "mine"), k.HostAnswered(asked.hook, asked.call_id)]

    assert await answers(hook) == [
        (k.UserSaid("wait", "steer"), 1),
        (k.HostAnswered("before_tool_call", "a"), 1),
    ]
    assert told == [(BEFORE, 1)]


async def test_the_hosts_own_object_travels_beside_the_record() -> None:
    async def hook(asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        return [Live(k.UserSaid("hi"), "mine"), k.HostAnswered(asked.hook)]

    stage = Stage(before_tool_call=hook)
    stage.journal.append(BEFORE)
    await stage.end()
    first, second = [await stage.said.get() for _ in range(2)]
    assert first is not None
    assert second is not None
    assert (first.live, second.live, first.actor) == ("mine", None, "hooks")


async def test_hooks_asked_at_once_answer_as_they_are_done() -> None:
    other_has_answered = asyncio.Event()

    async def hook(asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        if asked.call_id == "a":
            await other_has_answered.wait()
        other_has_answered.set()
        return [k.HostAnswered(asked.hook, asked.call_id)]

    stage = Stage(before_tool_call=hook)
    stage.journal.append(BEFORE)
    stage.journal.append(k.HostAsked("before_tool_call", "b"))
    assert [cause for _, cause in await stage.end()] == [2, 1]


@pytest.mark.parametrize(("error", "message"), [(ValueError("no"), "no"), (KeyError(), "KeyError")])
async def test_a_hook_that_raises_has_failed(error: Exception, message: str) -> None:
    async def hook(asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        raise error

    failed = k.HostFailed("before_tool_call", Failure("host", message), "a")
    assert await answers(hook) == [(failed, 1)]


async def test_a_hook_that_cancels_itself_has_failed_alone() -> None:
    async def hook(asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        raise asyncio.CancelledError

    assert await answers(hook) == [(CANCELLED, 1)]


async def test_the_streamers_own_question_is_not_for_the_hooks() -> None:
    stage = Stage()
    stage.journal.append(k.HostAsked("get_api_key"))
    assert await stage.end() == []


async def waits(asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
    await asyncio.Event().wait()
    return []


async def asked_and_cancelled(hook: Asked) -> list[tuple[Event, int]]:
    stage = Stage(before_tool_call=hook)
    stage.journal.append(BEFORE)
    for _ in range(3):
        await asyncio.sleep(0)
    stage.journal.append(k.CancelRequested())
    return await stage.end()


async def test_a_cancel_ends_a_hook_that_waits() -> None:
    assert await asked_and_cancelled(waits) == [(CANCELLED, 1)]


async def test_after_a_cancel_a_hook_has_a_moment_to_answer() -> None:
    async def hook(asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        await asyncio.sleep(0.01)
        return [k.HostAnswered(asked.hook, "a", block={"content": "no", "ok": False})]

    ((answer, _),) = await asked_and_cancelled(hook)
    assert isinstance(answer, k.HostAnswered)


async def test_a_hook_asked_after_the_cancel_has_a_moment_to_answer_too() -> None:
    async def hook(asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        return [k.HostAnswered(asked.hook, asked.call_id)]

    stage = Stage(before_tool_call=hook)
    stage.journal.append(k.CancelRequested())
    stage.journal.append(BEFORE)
    assert await stage.end() == [(k.HostAnswered("before_tool_call", "a"), 2)]


async def test_a_hook_that_swallows_its_cancellation_is_left_behind() -> None:
    let_go = asyncio.Event()

    async def hook(asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        raise ValueError("late")

    try:
        assert await asked_and_cancelled(hook) == [(CANCELLED, 1)]
    finally:
        let_go.set()
        await asyncio.sleep(0)


async def test_when_the_session_is_torn_down_its_hooks_are_cancelled() -> None:
    ended = asyncio.Event()

    async def hook(asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        try:
            return await waits(asked, seq)
        finally:
            ended.set()

    stage = Stage(before_tool_call=hook)
    stage.journal.append(BEFORE)
    for _ in range(3):
        await asyncio.sleep(0)
    stage.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stage.task
    assert len(stage.said) == 0
    await asyncio.wait_for(ended.wait(), 1)
