"""The answers of a worker under way: who takes one over, and what comes of one that raises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.onstage import serve

from tinyagent.events import Event, Record, decode, kinds as k
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.loops import Voice
from tinyagent.runtime.mailbox import Mailbox
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import VirtualClock

Answer = Callable[[str, Voice], Coroutine[Any, Any, None]]


class Worker:
    """Answers calls as the test says."""

    name = "tools"
    requests = frozenset({k.ToolRequested.kind})

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def is_asked(self, event: Event) -> bool:
        return True

    def fold(self, record: Record) -> None:
        raise NotImplementedError

    def answer(self, record: Record, voice: Voice) -> Coroutine[Any, Any, None]:
        assert isinstance(record.event, k.ToolRequested)
        return self._answer(record.event.call_id, voice)


async def served(answer: Answer, *calls: str) -> list[tuple[Event, int]]:
    """Let a worker answer *calls*; return what it said, each with its cause."""
    writing = Journal(MemoryLog(), VirtualClock())
    box = Mailbox("tools", Worker.requests)
    writing.join(box)
    for call_id in calls:
        writing.append(k.ToolRequested(call_id, "f"))
    box.close()
    await asyncio.wait_for(serve(Worker(answer), box, writing), 1)
    stored = writing.log.read(len(calls) + 1)
    return [(decode(one.kind, one.v, one.payload), one.cause) for one in stored]


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_what_takes_an_answer_over_speaks_in_its_place_and_nobody_waits_for_the_first() -> (
    None
):
    async def answer(call_id: str, voice: Voice) -> None:
        async def rest() -> None:
            await voice.tell(k.ToolFinished(call_id, "by another"))

        voice.hand_over(rest, "rest")
        await for_ever()

    assert await served(answer, "a") == [(k.ToolFinished("a", "by another"), 1)]


async def test_what_raises_in_the_place_of_an_answer_ends_the_loop() -> None:
    async def answer(call_id: str, voice: Voice) -> None:
        async def rest() -> None:
            raise ZeroDivisionError

        voice.hand_over(rest, "rest")
        await for_ever()

    with pytest.raises(BaseExceptionGroup) as caught:
        await served(answer, "a")
    assert caught.group_contains(ZeroDivisionError)


async def test_an_answer_that_raises_ends_the_others_and_is_the_first_that_is_named() -> None:
    ended: list[str] = []

    async def answer(call_id: str, voice: Voice) -> None:
        if call_id == "b":
            raise ZeroDivisionError
        try:
            await for_ever()
        finally:
            ended.append(call_id)
            raise OSError("the clean-up failed")

    with pytest.raises(BaseExceptionGroup) as caught:
        await served(answer, "a", "b", "c")
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError, OSError]
    assert ended == ["a"]


async def test_an_answer_that_waits_for_code_of_somebody_else_does_not_hold_up_the_end() -> None:
    let_go = asyncio.Event()

    async def answer(call_id: str, voice: Voice) -> None:
        voice.is_away = call_id == "a"
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                assert voice.is_over
                if call_id == "b":
                    raise

    serving = asyncio.create_task(served(answer, "a", "b"))
    for _ in range(10):
        await asyncio.sleep(0)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(serving, 1)
    let_go.set()
