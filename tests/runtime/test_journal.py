"""Where an event becomes a record: what is kept of it, who hears of it, how safe it is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tinyagent.events import Event, Record, UnknownEvent, decode, kinds as k
from tinyagent.runtime.errors import MailboxFullError
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.mailbox import Mailbox
from tinyagent.runtime.stores import Durability, Recovered
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import VirtualClock


def journal(log: MemoryLog | None = None) -> Journal:
    return Journal(log or MemoryLog(), VirtualClock(1_000_000))


class Notes:
    """A reader that notes who was posted what."""

    def __init__(self, name: str, notes: list[tuple[str, int]], *kinds: str) -> None:
        self.kinds = frozenset(kinds) or None
        self._name = name
        self._notes = notes

    def post(self, record: Record) -> None:
        self._notes.append((self._name, record.seq))


def test_numbers_are_contiguous_and_times_do_not_fall() -> None:
    writing = journal()
    records = [writing.append(k.UserContinued()) for _ in range(100)]
    assert [record.seq for record in records] == list(range(1, 101))
    times = [record.at_ns for record in records]
    assert times == sorted(times)
    assert all(at_ns % 1000 == 0 for at_ns in times)
    assert writing.seq == 100


def test_the_log_holds_what_the_record_says() -> None:
    writing = journal()
    record = writing.append(k.UserSaid("hi"), cause=0)
    (stored,) = writing.log.read()
    assert (stored.seq, stored.ts_us * 1000, stored.payload) == (1, record.at_ns, record.payload)
    assert decode(stored.kind, stored.v, stored.payload) == record.event


@pytest.mark.parametrize(
    ("actor", "recorded", "named"),
    [(None, None, "agent"), ("agent", None, "agent"), ("critic", "critic", "critic")],
)
def test_an_actor_is_recorded_only_if_it_is_not_the_usual_one(
    actor: str | None, recorded: str | None, named: str
) -> None:
    writing = journal()
    record = writing.append(k.ModelRequested(1), actor=actor)
    (stored,) = writing.log.read()
    assert (stored.actor, record.actor) == (recorded, named)


def test_a_kind_of_another_release_is_appended_as_it_is() -> None:
    writing = journal()
    event = UnknownEvent("weather.changed", 3, b'{ "sun":1 }')
    notes: list[tuple[str, int]] = []
    writing.join(Notes("all", notes))
    writing.join(Notes("weather", notes, "weather.changed"))
    record = writing.append(event, actor="sky")
    (stored,) = writing.log.read()
    assert (stored.kind, stored.v, stored.payload) == ("weather.changed", 3, b'{ "sun":1 }')
    assert (record.actor, record.event) == ("sky", event)
    assert notes == [("all", 1), ("weather", 1)]


def test_what_cannot_be_encoded_leaves_no_trace() -> None:
    writing = journal()
    box = Mailbox("reader", None)
    writing.join(box)
    with pytest.raises(TypeError):
        writing.append(k.ConfigChanged({"model": object()}))
    assert (writing.seq, len(box)) == (0, 0)
    assert writing.append(k.UserContinued()).seq == 1


def test_readers_are_posted_in_the_order_in_which_they_joined() -> None:
    writing = journal()
    notes: list[tuple[str, int]] = []
    first, second = Notes("first", notes), Notes("second", notes, "user.said")
    writing.join(first)
    writing.append(k.UserSaid("a"))
    writing.join(second)
    writing.append(k.UserSaid("b"))
    writing.append(k.UserContinued())
    writing.leave(first)
    writing.leave(first)
    writing.append(k.UserSaid("c"))
    assert notes == [("first", 1), ("first", 2), ("second", 2), ("first", 3), ("second", 4)]


def test_a_live_object_travels_in_this_process_only() -> None:
    writing = journal()
    seen: list[object] = []

    class Reader:
        kinds = None

        def post(self, record: Record) -> None:
            seen.append(record.live)

    mine = object()
    writing.join(Reader())
    writing.append(k.UserSaid("hi"), live=mine)
    assert seen == [mine]
    assert b"object" not in next(iter(writing.log.read())).payload


def test_a_record_that_finds_a_reader_stuck_is_in_the_log_all_the_same() -> None:
    writing = journal()
    writing.join(Mailbox("stuck", None, capacity=1))
    writing.append(k.UserContinued())
    with pytest.raises(MailboxFullError, match="stuck"):
        writing.append(k.UserContinued())
    assert writing.seq == 2


class Waiting(MemoryLog):
    """A log whose records become safe when the test says so."""

    def __init__(self, durability: Durability) -> None:
        super().__init__()
        self.durability = durability
        self.asked: list[str] = []
        self.safe = asyncio.Event()

    @property
    def written_seq(self) -> int:
        return self.seq if self.safe.is_set() else 0

    @property
    def durable_seq(self) -> int:
        return self.seq if self.safe.is_set() else 0

    async def written(self, seq: int) -> None:
        self.asked.append(f"written {seq}")
        await self.safe.wait()

    async def durable(self, seq: int) -> None:
        self.asked.append(f"durable {seq}")
        await self.safe.wait()


LEVELS: list[tuple[Event, list[str]]] = [
    (k.ToolStarted("a", "write"), ["durable 1"]),
    (k.ToolStarted("a", "read"), ["written 1"]),
    (k.ModelRequested(1), ["written 1"]),
    (k.RunEnded("answered"), ["durable 1"]),
    (k.ModelDelta([(0, "text", "x", 0)]), []),
]


@pytest.mark.parametrize(("event", "asked"), LEVELS)
async def test_a_record_is_waited_for_as_its_kind_demands(event: Event, asked: list[str]) -> None:
    log = Waiting("interval")
    writing = journal(log)
    waiting = asyncio.create_task(writing.reached(writing.append(event)))
    await asyncio.sleep(0)
    assert (log.asked, waiting.done()) == (asked, not asked)
    log.safe.set()
    await asyncio.wait_for(waiting, 1)


@pytest.mark.parametrize("event", [event for event, _ in LEVELS], ids=lambda event: event.kind)
async def test_a_record_that_is_safe_is_not_waited_for(event: Event) -> None:
    log = Waiting("interval")
    log.safe.set()
    writing = journal(log)
    await writing.reached(writing.append(event))
    assert log.asked == []


async def test_in_memory_nothing_is_waited_for() -> None:
    log = Waiting("memory")
    writing = journal(log)
    await asyncio.wait_for(writing.reached(writing.append(k.RunEnded("answered"))), 1)
    assert log.asked == []


def test_the_clock_is_read_once_for_each_record() -> None:
    read: list[int] = []

    class Clock(VirtualClock):
        def now_us(self) -> int:
            read.append(1)
            return super().now_us()

    log: Any = MemoryLog()
    writing = Journal(log, Clock())
    writing.append(k.UserContinued())
    writing.append(k.UserContinued())
    assert len(read) == 2


async def test_a_failed_fsync_is_put_on_record_once_after_the_barrier() -> None:
    log = Waiting("interval")
    log.safe.set()
    log.recovered = before = Recovered(torn_bytes=5, dropped=0, copied=0, segment=2)
    writing = journal(log)
    await writing.reached(writing.append(k.ModelRequested(1)))
    assert (log.seq, log.recovered) == (1, before)
    log.recovered = Recovered(torn_bytes=0, dropped=0, copied=3, segment=4, why="fsync")
    for _ in range(2):
        await writing.reached(writing.append(k.ModelRequested(1)))
    records = list(log.read())
    assert [record.kind for record in records] == [
        "model.requested",
        "model.requested",
        "log.recovered",
        "model.requested",
    ]
    assert records[2].payload == b'{"why":"fsync","copied":3,"segment":4}'
