"""A stage: how it ends, whoever ends it, and that nothing goes on behind its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tinyagent.events import Event, Record, kinds as k
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.loops import Machine, Stage, Voice
from tinyagent.runtime.mailbox import Mailbox
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import VirtualClock

Answer = Callable[[str, Voice], Coroutine[Any, Any, None]]
CONTROL = frozenset({k.CancelRequested.kind})
SAID = frozenset({k.UserSaid.kind})


class Worker:
    """Answers calls as the test says; notes what it folds."""

    requests = frozenset({k.ToolRequested.kind})

    def __init__(self, answer: Answer, name: str = "tools") -> None:
        self.name = name
        self.folded: list[int] = []
        self._answer = answer

    def is_asked(self, event: Event) -> bool:
        return isinstance(event, k.ToolRequested)

    def fold(self, record: Record) -> None:
        self.folded.append(record.seq)

    def answer(self, record: Record, voice: Voice) -> Coroutine[Any, Any, None]:
        assert isinstance(record.event, k.ToolRequested)
        return self._answer(record.event.call_id, voice)


async def for_ever(call_id: str, voice: Voice) -> None:
    await asyncio.Event().wait()


def journal(durability: Any = "memory") -> Journal:
    log = MemoryLog()
    log.durability = durability
    return Journal(log, VirtualClock())


def counting(names: list[str]) -> Machine[int]:
    """A machine that notes the words it is told."""

    def step(state: int, record: Record) -> tuple[int, tuple[Event, ...]]:
        assert isinstance(record.event, k.UserSaid)
        names.append(str(record.event.content))
        return state + 1, ()

    return Machine("agent", step, 0, inputs=SAID, decisions=frozenset())


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_actors_that_have_nothing_to_say_have_no_task() -> None:
    writing, heard = journal(), list[str]()
    worker = Worker(for_ever)
    async with Stage(writing) as stage:
        mail = Mailbox("agent", SAID)
        stage.drive(counting(heard), mail, lambda: None)
        writing.join(mail, stage.serve(worker, CONTROL))
        writing.append(k.CancelRequested())
        writing.append(k.UserSaid("a"))
        assert worker.folded == [1]
        assert len(asyncio.all_tasks()) == 1
        await settle()
        assert heard == ["a"]
        stage.close()


async def test_who_speaks_when_the_stage_is_closed_speaks_to_the_end() -> None:
    async def answer(call_id: str, voice: Voice) -> None:
        await settle()
        await voice.tell(k.ToolFinished(call_id))

    writing = journal()
    async with Stage(writing) as stage:
        writing.join(stage.serve(Worker(answer), CONTROL))
        writing.append(k.ToolRequested("a", "f"))
        stage.close()
    assert writing.seq == 2


async def test_who_speaks_begins_behind_the_append_whatever_the_task_factory_of_the_loop() -> None:
    said = list[str]()

    def eager(loop: asyncio.AbstractEventLoop, coro: Any, **given: Any) -> asyncio.Task[Any]:
        said.append("eager")  # which would let it speak already
        return asyncio.Task(coro, loop=loop, **given)

    async def answer(call_id: str, voice: Voice) -> None:
        said.append("answer")

    writing = journal()
    asyncio.get_running_loop().set_task_factory(eager)
    async with Stage(writing) as stage:
        writing.join(stage.serve(Worker(answer), CONTROL))
        writing.append(k.ToolRequested("a", "f"))
        said.append("appended")
        stage.close()
    asyncio.get_running_loop().set_task_factory(None)
    assert said == ["appended", "answer"]


@pytest.mark.parametrize("durability", ["memory", "strict"])
async def test_behind_the_end_nobody_begins_folds_or_steps(durability: str) -> None:
    writing, heard = journal(durability), list[str]()
    worker, mail = Worker(for_ever), Mailbox("agent", SAID)
    async with Stage(writing) as stage:
        stage.drive(counting(heard), mail, lambda: None)
        writing.join(mail, stage.serve(worker, CONTROL))
        writing.append(k.UserSaid("a"))  # to be stepped on soon, and
        writing.settle()  # it is, at once
        stage.close()
    for event in (k.UserSaid("late"), k.CancelRequested(), k.ToolRequested("a", "f")):
        writing.append(event)
    writing.settle()
    await settle()
    assert (heard, worker.folded, len(mail)) == (["a"], [], 1)
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("durability", ["memory", "strict"])
async def test_what_one_worker_raises_cancels_all_and_comes_first(durability: str) -> None:
    ended: list[str] = []

    async def answer(call_id: str, voice: Voice) -> None:
        if call_id == "b":
            raise ZeroDivisionError
        try:
            await for_ever(call_id, voice)
        finally:
            assert voice.is_over
            ended.append(call_id)
            raise OSError("the clean-up failed")

    writing = journal(durability)

    async def play() -> None:
        async with Stage(writing) as stage:
            first, second = (stage.serve(Worker(answer, name), CONTROL) for name in "xy")
            writing.join(first)
            writing.append(k.ToolRequested("a", "f"))
            await settle()
            writing.leave(first)
            writing.join(second)
            writing.append(k.ToolRequested("b", "f"))

    with pytest.raises(BaseExceptionGroup) as caught:
        await play()
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError, OSError]
    assert ended == ["a"]


async def test_what_is_raised_in_its_context_ends_it_and_comes_behind_what_actors_raised() -> None:
    async def answer(call_id: str, voice: Voice) -> None:
        raise ZeroDivisionError

    writing = journal()

    async def play() -> None:
        async with Stage(writing) as stage:
            writing.join(stage.serve(Worker(answer), CONTROL))
            writing.append(k.ToolRequested("a", "f"))
            await settle()
            raise OSError

    with pytest.raises(BaseExceptionGroup) as caught:
        await play()
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError, OSError]


@pytest.mark.parametrize("durability", ["memory", "strict"])
async def test_who_cancels_it_waits_until_all_have_ended_and_cannot_hurry_them(
    durability: str,
) -> None:
    cleaning, is_clean = asyncio.Event(), asyncio.Event()

    async def answer(call_id: str, voice: Voice) -> None:
        try:
            await for_ever(call_id, voice)
        finally:
            cleaning.set()
            await is_clean.wait()
            voice.say(k.ToolProgressed(call_id, "clean"))

    writing = journal(durability)

    async def play() -> None:
        async with Stage(writing) as stage:
            writing.join(stage.serve(Worker(answer), CONTROL))
            writing.append(k.ToolRequested("a", "f"))

    playing = asyncio.create_task(play())
    await settle()
    playing.cancel()
    await asyncio.wait_for(cleaning.wait(), 1)
    playing.cancel()
    await settle()
    assert not playing.done()
    is_clean.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(playing, 1)
    assert writing.seq == 2
    assert len(asyncio.all_tasks()) == 1


async def test_an_answer_that_is_cancelled_before_it_began_does_not_hold_up_the_end() -> None:
    writing = journal()

    async def play() -> None:
        async with Stage(writing) as stage:
            writing.join(stage.serve(Worker(for_ever), CONTROL))
            writing.append(k.ToolRequested("a", "f"))
            raise OSError

    with pytest.raises(BaseExceptionGroup) as caught:
        await asyncio.wait_for(play(), 1)
    assert [type(error) for error in caught.value.exceptions] == [OSError]


@pytest.mark.parametrize("durability", ["memory", "strict"])
async def test_a_machine_that_comes_when_the_stage_is_closed_steps_on_what_it_has(
    durability: str,
) -> None:
    writing, heard, mail = journal(durability), list[str](), Mailbox("agent", SAID)
    writing.join(mail)
    async with asyncio.timeout(1), Stage(writing) as stage:
        writing.append(k.UserSaid("a"))
        stage.close()
        stage.drive(counting(heard), mail, lambda: None)
    assert heard == ["a"]


@pytest.mark.parametrize("durability", ["memory", "strict"])
async def test_a_machine_that_comes_when_an_actor_has_raised_steps_no_more(durability: str) -> None:
    writing, heard, mail = journal(durability), list[str](), Mailbox("agent", SAID)
    writing.join(mail)

    async def play() -> None:
        async with Stage(writing) as stage:
            stage.fail(ZeroDivisionError())
            writing.append(k.UserSaid("a"))
            stage.drive(counting(heard), mail, lambda: None)

    with pytest.raises(BaseExceptionGroup):
        await asyncio.wait_for(play(), 1)
    assert heard == []


async def test_in_mode_strict_what_the_disk_refuses_ends_the_stage() -> None:
    class Refusing(MemoryLog):
        async def durable(self, seq: int) -> None:
            raise OSError("no space left")

    log = Refusing()
    log.durability = "strict"
    writing = Journal(log, VirtualClock())
    worker = Worker(for_ever)

    async def play() -> None:
        async with Stage(writing) as stage:
            writing.join(stage.serve(worker, CONTROL))
            writing.append(k.CancelRequested())

    with pytest.raises(BaseExceptionGroup) as caught:
        await play()
    assert caught.group_contains(OSError, match="no space left")
    assert worker.folded == []
