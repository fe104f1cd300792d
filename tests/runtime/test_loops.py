"""The three loops at their edges: the order of things, barriers, cancels, what raises."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar, copy_context
from typing import Any

import pytest
from tests.onstage import drive, serve

from tinyagent.events import Event, Record, decode, kinds as k
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.loops import Live, Machine, Stage, Voice
from tinyagent.runtime.mailbox import Mailbox
from tinyagent.runtime.stores import Durability
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import VirtualClock

SAID = frozenset({k.UserSaid.kind})
CONTROL = frozenset({k.CancelRequested.kind})


class Waiting(MemoryLog):
    """A log whose records become durable up to where the test says."""

    def __init__(self, durability: Durability) -> None:
        super().__init__()
        self.durability = durability
        self.safe = 0
        self._moved = asyncio.Event()

    @property
    def durable_seq(self) -> int:
        return self.safe

    async def durable(self, seq: int) -> None:
        while self.safe < seq:
            await self._moved.wait()

    def move(self, safe: int) -> None:
        self.safe = safe
        self._moved.set()
        self._moved = asyncio.Event()


def journal(log: MemoryLog | None = None) -> Journal:
    return Journal(log or MemoryLog(), VirtualClock())


def mailbox(writing: Journal, kinds: frozenset[str]) -> Mailbox:
    box = Mailbox("reader", kinds, control=CONTROL)
    writing.join(box)
    return box


def story(writing: Journal, first: int = 1) -> list[tuple[Event, int]]:
    return [(decode(s.kind, s.v, s.payload), s.cause) for s in writing.log.read(first)]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def echo(state: tuple[str, ...], record: Record) -> tuple[tuple[str, ...], tuple[Event, ...]]:
    """Decide two things about every word."""
    assert isinstance(record.event, k.UserSaid)
    word = str(record.event.content)
    return (*state, word), (k.TurnEnded(len(state) + 1), k.UserDelivered([record.seq]))


def machine() -> Machine[tuple[str, ...]]:
    return Machine("agent", echo, (), inputs=SAID, decisions=frozenset())


def test_a_machine_keeps_the_state_that_its_step_made() -> None:
    one = machine()
    record = Record(seq=4, at_ns=0, cause=0, actor="", event=k.UserSaid("a"))
    assert one.take(record) == (k.TurnEnded(1), k.UserDelivered([4]))
    assert one.state == ("a",)


async def test_what_one_step_decides_stands_together_and_in_its_order() -> None:
    writing = journal()
    box = mailbox(writing, SAID)
    for word in "ab":
        writing.append(k.UserSaid(word))
    box.close()
    await drive(machine(), box, writing, lambda: None)
    assert story(writing, 3) == [
        (k.TurnEnded(1), 1),
        (k.UserDelivered([1]), 1),
        (k.TurnEnded(2), 2),
        (k.UserDelivered([2]), 2),
    ]


async def test_what_the_host_changed_is_recorded_ahead_of_each_step() -> None:
    writing = journal()
    box = mailbox(writing, SAID)
    writing.append(k.UserSaid("a"))
    writing.append(k.UserSaid("b"))
    box.close()
    await drive(machine(), box, writing, lambda: void(writing.append(k.ConfigChanged({}))))
    kinds = [event.kind for event, _ in story(writing, 3)]
    assert kinds == ["config.changed", "turn.ended", "user.delivered"] * 2


def void(record: Record) -> None:
    del record


async def test_what_a_step_raises_ends_the_stage_and_nothing_of_it_is_recorded() -> None:
    def broken(state: int, record: Record) -> tuple[int, tuple[Event, ...]]:
        raise ZeroDivisionError

    writing = journal()
    box = mailbox(writing, SAID)
    writing.append(k.UserSaid("a"))
    one = Machine("agent", broken, 0, inputs=SAID, decisions=frozenset())
    with pytest.raises(BaseExceptionGroup) as caught:
        await drive(one, box, writing, lambda: None)
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]
    assert writing.seq == 1


async def test_in_mode_strict_a_machine_sees_only_what_is_durable() -> None:
    log = Waiting("strict")
    writing = journal(log)
    box = mailbox(writing, SAID)
    async with Stage(writing) as stage:
        stage.drive(machine(), box, lambda: None)
        writing.append(k.UserSaid("a"))
        await settle()
        assert writing.seq == 1
        log.move(1)
        await settle()
        assert writing.seq == 3
        stage.close()


class Worker:
    """Says what it is told to about each request, and notes what happens to it."""

    name = "tools"
    requests = frozenset({k.ToolRequested.kind})

    def __init__(self, *events: Event) -> None:
        self.notes: list[str] = []
        self._events = events

    def is_asked(self, event: Event) -> bool:
        return isinstance(event, k.ToolRequested | k.RunEnded)

    def fold(self, record: Record) -> None:
        self.notes.append(f"folded {record.seq}")

    async def answer(self, record: Record, voice: Voice) -> None:
        self.notes.append(f"asked {record.seq}")
        for event in self._events:
            await voice.tell(event)
            self.notes.append(f"said {event.kind}")


async def test_a_worker_is_asked_for_more_only_when_what_hangs_on_it_is_safe() -> None:
    log = Waiting("group")
    writing = journal(log)
    worker = Worker(k.ToolProgressed("a"), k.ToolStarted("a", "write"), k.ToolFinished("a"))
    box = mailbox(writing, worker.requests)
    writing.append(k.ToolRequested("a", "f"))
    serving = asyncio.create_task(serve(worker, box, writing))
    await settle()
    assert worker.notes == ["asked 1", "said tool.progressed"]
    log.move(2)
    await settle()
    assert worker.notes[-1] == "said tool.progressed"
    log.move(3)
    await settle()
    assert worker.notes[-2:] == ["said tool.started", "said tool.finished"]
    box.close()
    await serving


async def test_one_answer_that_waits_for_the_disk_does_not_keep_the_next_request_waiting() -> None:
    log = Waiting("group")
    writing = journal(log)
    worker = Worker(k.ToolStarted("a", "write"))
    box = mailbox(writing, worker.requests)
    serving = asyncio.create_task(serve(worker, box, writing))
    writing.append(k.ToolRequested("a", "f"))
    await settle()
    writing.append(k.ToolRequested("b", "f"))
    await settle()
    assert worker.notes == ["asked 1", "asked 3"]
    log.move(9)
    box.close()
    await serving


async def test_a_request_is_safe_itself_before_its_worker_is_asked() -> None:
    class Model(Worker):
        requests = frozenset({k.RunEnded.kind})  # a kind that must be durable

    log = Waiting("group")
    writing = journal(log)
    worker = Model(k.TurnEnded(1))
    box = mailbox(writing, worker.requests)
    serving = asyncio.create_task(serve(worker, box, writing))
    writing.append(k.RunEnded("answered"))
    await settle()
    assert worker.notes == []
    log.move(1)
    box.close()
    await serving
    assert worker.notes[0] == "asked 1"


async def test_a_cancel_is_folded_before_the_requests_that_waited_ahead_of_it() -> None:
    writing = journal()
    worker = Worker(k.ToolFinished("a"))
    box = mailbox(writing, worker.requests | CONTROL)
    for _ in range(3):
        writing.append(k.ToolRequested("a", "f"))
    writing.append(k.CancelRequested())
    box.close()
    await serve(worker, box, writing)
    asked = [note for note in worker.notes if not note.startswith("said")]
    assert asked == ["folded 4", "asked 1", "asked 2", "asked 3"]


async def test_a_closed_mailbox_lets_the_answers_under_way_end() -> None:
    writing = journal()
    worker = Worker(k.ToolStarted("a", "read"), k.ToolFinished("a"))
    box = mailbox(writing, worker.requests)
    writing.append(k.ToolRequested("a", "f"))
    box.close()
    await serve(worker, box, writing)
    assert story(writing, 2) == [(k.ToolStarted("a", "read"), 1), (k.ToolFinished("a"), 1)]


async def test_what_a_worker_says_carries_its_name_and_its_objects() -> None:
    class Critic(Worker):
        name = "critic"

        async def answer(self, record: Record, voice: Voice) -> None:
            await voice.tell(Live(k.ToolFinished("a"), "mine"))

    writing = journal()
    worker = Critic()
    box, seen = mailbox(writing, worker.requests), mailbox(writing, frozenset({"tool.finished"}))
    writing.append(k.ToolRequested("a", "f"))
    box.close()
    await serve(worker, box, writing)
    record = await seen.get()
    assert record is not None
    assert (record.actor, record.live, record.cause) == ("critic", "mine", 1)


async def test_what_a_worker_said_is_decided_on_before_the_worker_goes_on() -> None:
    class Host(Worker):
        requests = frozenset({k.RunEnded.kind})

    writing = journal()
    worker = Host(k.UserSaid("a"), k.UserSaid("b"))
    async with Stage(writing) as stage:
        stage.drive(machine(), mailbox(writing, SAID), lambda: None)
        writing.join(stage.serve(worker, CONTROL))
        writing.append(k.RunEnded("answered"))
        await settle()
        stage.close()
    kinds = [event.kind for event, _ in story(writing, 2)]
    assert kinds == ["user.said", "turn.ended", "user.delivered"] * 2


async def test_what_a_step_raises_while_a_worker_speaks_is_the_machines_error() -> None:
    class Host(Worker):
        requests = frozenset({k.RunEnded.kind})

    def broken(state: int, record: Record) -> tuple[int, tuple[Event, ...]]:
        raise ZeroDivisionError

    writing = journal()
    worker = Host(k.UserSaid("a"), k.UserSaid("b"))
    one = Machine("agent", broken, 0, inputs=SAID, decisions=frozenset())

    async def play() -> None:
        async with Stage(writing) as stage:
            stage.drive(one, mailbox(writing, SAID), lambda: None)
            writing.join(stage.serve(worker, CONTROL))
            writing.append(k.RunEnded("answered"))

    with pytest.raises(BaseExceptionGroup) as caught:
        await play()
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]
    assert worker.notes == ["asked 1", "said user.said", "said user.said"]
    assert writing.seq == 3


async def test_what_a_worker_says_as_it_is_asked_waits_for_the_disk_with_its_request() -> None:
    class Model(Worker):
        requests = frozenset({k.RunEnded.kind})  # a kind that must be durable

        def answer(self, record: Record, voice: Voice) -> Any:
            voice.say(k.ToolStarted("a", "write"))  # so must this one
            return super().answer(record, voice)

    log = Waiting("group")
    writing = journal(log)
    worker = Model(k.TurnEnded(1))
    box = mailbox(writing, worker.requests)
    serving = asyncio.create_task(serve(worker, box, writing))
    writing.append(k.RunEnded("answered"))
    await settle()
    assert story(writing, 2) == [(k.ToolStarted("a", "write"), 1)]
    log.move(1)
    await settle()
    assert worker.notes == []
    log.move(2)
    box.close()
    await serving
    assert worker.notes[0] == "asked 1"


async def test_an_answer_sees_nothing_of_the_context_in_which_it_was_asked_for() -> None:
    where = ContextVar("where", default="at home")

    def ask() -> None:
        where.set("elsewhere")
        writing.append(k.ToolRequested("a", "f"))

    class Here(Worker):
        async def answer(self, record: Record, voice: Voice) -> None:
            await voice.tell(k.ToolFinished("a", where.get()))

    writing = journal()
    worker = Here()
    async with Stage(writing) as stage:
        writing.join(stage.serve(worker, CONTROL))
        copy_context().run(ask)
        stage.close()
    assert story(writing, 2) == [(k.ToolFinished("a", "at home"), 1)]
