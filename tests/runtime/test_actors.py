"""Mailboxes, the journal, and the three loops that run every actor."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.onstage import drive, serve

from tinyagent.events import Event, Fact, Record, kinds as k
from tinyagent.runtime.errors import LogClosedError, MailboxFullError
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.loops import Live, Machine, Voice
from tinyagent.runtime.mailbox import Mailbox
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import VirtualClock

CONTROL = frozenset({"cancel.requested"})


def record(seq: int, event: Event) -> Record:
    return Record(seq=seq, at_ns=0, cause=0, actor="", event=event)


def journal(log: Any = None) -> Journal:
    return Journal(log or MemoryLog(), VirtualClock())


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a condition of the test, not of ours
            await asyncio.sleep(0)


async def test_control_overtakes_ten_thousand_others() -> None:
    box = Mailbox("tools", None, control=CONTROL)
    for seq in range(1, 10_001):
        box.post(record(seq, k.UserContinued()))
    box.post(record(10_001, k.CancelRequested()))
    first = await box.get()
    second = await box.get()
    assert first is not None
    assert second is not None
    assert (first.seq, second.seq) == (10_001, 1)


def test_a_full_mailbox_names_its_reader() -> None:
    box = Mailbox("slow reader", None, capacity=2)
    box.post(record(1, k.UserContinued()))
    box.post(record(2, k.UserContinued()))
    with pytest.raises(MailboxFullError, match="slow reader is 2 records behind"):
        box.post(record(3, k.UserContinued()))


async def test_a_closed_mailbox_is_read_to_its_end() -> None:
    box = Mailbox("reader", None)
    waiting = asyncio.create_task(box.get())
    await asyncio.sleep(0)
    box.post(record(1, k.UserContinued()))
    box.close()
    first = await waiting
    assert first is not None
    assert await box.get() is None


async def test_a_source_waits_until_the_reader_has_caught_up() -> None:
    box = Mailbox("reader", None)
    for seq in range(1, 4):
        box.post(record(seq, k.UserContinued()))
    waiting = asyncio.create_task(box.room(1))
    await asyncio.sleep(0)
    assert not waiting.done()
    await box.get()
    await box.get()
    await waiting


def test_an_event_is_numbered_dated_encoded_written_and_posted_in_that_order() -> None:
    seen: list[Any] = []

    class Log(MemoryLog):
        def append(
            self,
            seq: int,
            ts_us: int,
            actor: str | None,
            kind: str,
            v: int,
            cause: int,
            payload: bytes,
        ) -> None:
            seen.append(("written", seq, payload))
            super().append(seq, ts_us, actor, kind, v, cause, payload)

    class Reader:
        kinds = None

        def post(self, record: Record) -> None:
            seen.append(("posted", record.seq, record.payload))

    writing = journal(Log())
    writing.join(Reader())
    first = writing.append(k.UserSaid("hi"), live="mine")
    second = writing.append(k.UserContinued(), cause=1)
    payload = b'{"content":"hi"}'
    assert seen[:2] == [("written", 1, payload), ("posted", 1, payload)]
    assert (first.seq, second.seq, second.cause) == (1, 2, 1)
    assert second.at_ns > first.at_ns
    assert (first.live, first.actor) == ("mine", "host")


def test_readers_get_their_kinds_until_they_leave() -> None:
    writing = journal()
    box = Mailbox("reader", frozenset({"user.said"}))
    writing.join(box)
    writing.append(k.UserSaid("hi"))
    writing.append(k.UserContinued())
    writing.leave(box)
    writing.append(k.UserSaid("ho"))
    assert len(box) == 1


async def test_what_the_log_refuses_is_posted_to_nobody() -> None:
    log = MemoryLog()
    writing = journal(log)
    box = Mailbox("reader", None)
    writing.join(box)
    await log.close()
    with pytest.raises(LogClosedError):
        writing.append(k.UserSaid("hi"))
    assert len(box) == 0


def count(state: int, given: Record) -> tuple[int, tuple[Event, ...]]:
    return state + 1, (k.ModelRequested(state + 1),)


async def test_a_machine_steps_in_log_order_and_its_decisions_name_their_cause() -> None:
    writing = journal()
    kinds = frozenset({"user.said"})
    machine = Machine("agent", count, 0, inputs=kinds, decisions=frozenset({"model.requested"}))
    box = Mailbox("agent", kinds)
    writing.join(box)
    for word in "abc":
        writing.append(k.UserSaid(word))
    box.close()
    await drive(machine, box, writing, lambda: None)
    decided = [(s.kind, s.cause) for s in writing.log.read(4)]
    assert decided == [("model.requested", 1), ("model.requested", 2), ("model.requested", 3)]
    assert machine.state == 3


class Echo:
    """Answers each request when its gate opens; folds everything else."""

    name = "tools"
    requests = frozenset({"tool.requested"})

    def __init__(self, event: type[Fact] = k.ToolFinished) -> None:
        self.gates = {"a": asyncio.Event(), "b": asyncio.Event()}
        self.folded: list[str] = []
        self.went_on = False

    def is_asked(self, event: Event) -> bool:
        return isinstance(event, k.ToolRequested | k.RunEnded)

    def fold(self, record: Record) -> None:
        self.folded.append(record.event.kind)

    async def answer(self, record: Record, voice: Voice) -> None:
        assert isinstance(record.event, k.ToolRequested)
        call_id = record.event.call_id
        await voice.tell(k.ToolStarted(call_id, "write"))
        self.went_on = True
        voice.say(k.ToolProgressed(call_id, "half"))
        await self.gates[call_id].wait()
        await voice.tell(Live(k.ToolFinished(call_id), "mine"))


async def test_a_worker_answers_side_by_side_and_each_answer_names_its_request() -> None:
    writing = journal()
    echo = Echo()
    box = Mailbox("tools", echo.requests | CONTROL, control=CONTROL)
    writing.join(box)
    serving = asyncio.create_task(serve(echo, box, writing))
    writing.append(k.ToolRequested("a", "f"))
    writing.append(k.ToolRequested("b", "f"))
    await until(lambda: writing.seq == 6)
    echo.gates["b"].set()
    await until(lambda: writing.seq == 7)
    echo.gates["a"].set()
    writing.append(k.CancelRequested())
    box.close()
    await serving
    story = [(s.kind, s.cause) for s in writing.log.read(3)]
    assert story.count(("tool.progressed", 1)) == 1
    assert story[4] == ("tool.finished", 2)
    assert ("tool.finished", 1) in story
    assert echo.folded == ["cancel.requested"]


async def test_a_worker_goes_on_only_when_the_record_is_as_safe_as_its_kind_demands() -> None:
    class Slow(MemoryLog):
        durability = "interval"
        safe = 0

        @property
        def durable_seq(self) -> int:
            return self.safe

        async def durable(self, seq: int) -> None:
            await until(lambda: self.safe >= seq)

    log = Slow()
    writing = journal(log)
    echo = Echo()
    echo.gates["a"].set()
    box = Mailbox("tools", echo.requests)
    writing.join(box)
    serving = asyncio.create_task(serve(echo, box, writing))
    writing.append(k.ToolRequested("a", "f"))
    await until(lambda: writing.seq == 2)
    for _ in range(20):
        await asyncio.sleep(0)
    assert not echo.went_on
    log.safe = 2
    box.close()
    await serving
    assert echo.went_on


async def test_what_a_worker_raises_ends_its_loop() -> None:
    class Broken(Echo):
        async def answer(self, record: Record, voice: Voice) -> None:
            raise ValueError("boom")

    writing = journal()
    box = Mailbox("tools", Broken.requests)
    writing.join(box)
    writing.append(k.ToolRequested("a", "f"))
    box.close()
    with pytest.raises(BaseExceptionGroup, match="unhandled errors") as caught:
        await serve(Broken(), box, writing)
    assert caught.group_contains(ValueError, match="boom")
