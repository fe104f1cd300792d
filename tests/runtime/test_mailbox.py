"""A mailbox at its edges: closing, giving up, catching up, control among control."""

from __future__ import annotations

import asyncio

import pytest

from tinyagent.events import Event, Record, UnknownEvent, kinds as k
from tinyagent.runtime.errors import MailboxFullError
from tinyagent.runtime.mailbox import CAPACITY, Mailbox

CONTROL = frozenset({k.CancelRequested.kind})


def record(seq: int, event: Event | None = None) -> Record:
    return Record(seq=seq, at_ns=0, cause=0, actor="", event=event or k.UserContinued())


def filled(count: int, *, capacity: int = CAPACITY) -> Mailbox:
    box = Mailbox("reader", None, capacity=capacity)
    for seq in range(1, count + 1):
        box.post(record(seq))
    return box


async def taken(box: Mailbox, count: int) -> list[int]:
    records = [await box.get() for _ in range(count)]
    return [one.seq for one in records if one is not None]


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_records_are_read_in_the_order_of_their_posting() -> None:
    box = filled(3)
    assert len(box) == 3
    assert await taken(box, 3) == [1, 2, 3]


async def test_control_is_control_only_where_it_is_named() -> None:
    box = filled(1)
    box.post(record(2, k.CancelRequested()))
    assert await taken(box, 2) == [1, 2]


async def test_a_kind_that_nobody_knows_is_not_control() -> None:
    box = Mailbox("reader", None, control=frozenset({"cancel.requested"}))
    box.post(record(1))
    box.post(record(2, UnknownEvent("cancel.requested", 2, b"{}")))
    assert await taken(box, 2) == [1, 2]


async def test_a_reader_that_waits_is_woken_by_control_too() -> None:
    box = Mailbox("reader", None, control=CONTROL)
    waiting = asyncio.create_task(box.get())
    await settle()
    box.post(record(1, k.CancelRequested()))
    one = await waiting
    assert one is not None
    assert one.seq == 1


async def test_a_reader_that_gave_up_waiting_has_lost_nothing() -> None:
    box = Mailbox("reader", None)
    waiting = asyncio.create_task(box.get())
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    box.post(record(1))
    assert await taken(box, 1) == [1]


async def test_a_reader_cancelled_after_it_was_woken_has_lost_nothing() -> None:
    box = Mailbox("reader", None)
    waiting = asyncio.create_task(box.get())
    await settle()
    box.post(record(1))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await taken(box, 1) == [1]


async def test_who_waits_for_news_is_told_once_of_all_that_came_and_asks_again_for_more() -> None:
    box = Mailbox("reader", None)
    first, seen = box.news(), list[int]()
    assert first is not None
    for seq in (1, 2):
        box.post(record(seq))
    await first
    while (one := box.take()) is not None:
        seen.append(one.seq)
    second = box.news()
    assert second is not None
    assert not second.done()
    box.close()
    await second
    assert (seen, box.take(), box.news()) == ([1, 2], None, None)


async def test_closing_ends_a_reader_that_waits() -> None:
    box = Mailbox("reader", None)
    waiting = asyncio.create_task(box.get())
    await settle()
    box.close()
    assert await waiting is None
    assert await box.get() is None
    box.close()


async def test_what_waits_when_it_is_closed_is_still_read() -> None:
    box = filled(2)
    box.close()
    assert await taken(box, 2) == [1, 2]
    assert await box.get() is None


def test_a_mailbox_is_full_at_its_capacity_and_not_before() -> None:
    box = filled(2, capacity=2)
    with pytest.raises(MailboxFullError) as raised:
        box.post(record(3))
    assert (raised.value.reader, raised.value.capacity) == ("reader", 2)
    assert len(box) == 2
    assert CAPACITY == 100_000


async def test_there_is_room_at_once_for_a_reader_that_is_not_behind() -> None:
    await asyncio.wait_for(filled(2).room(2), 1)


async def test_everybody_who_waits_for_room_goes_on_when_there_is() -> None:
    box = filled(4)
    waiting = [asyncio.create_task(box.room(behind)) for behind in (1, 3)]
    await settle()
    await box.get()
    await settle()
    assert [task.done() for task in waiting] == [False, True]
    await box.get()
    await box.get()
    await asyncio.wait_for(waiting[0], 1)


async def test_one_who_gives_up_waiting_for_room_does_not_take_the_others_along() -> None:
    box = filled(2)
    first, second = (asyncio.create_task(box.room(1)) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    assert not second.done()
    await box.get()
    await asyncio.wait_for(second, 1)
    assert first.cancelled()


async def test_nobody_waits_for_room_in_a_closed_mailbox() -> None:
    box = filled(3)
    waiting = asyncio.create_task(box.room(1))
    await settle()
    box.close()
    await asyncio.wait_for(waiting, 1)
    await asyncio.wait_for(box.room(0), 1)


def test_an_attendant_is_called_after_each_post_and_may_leave_what_comes_to_others() -> None:
    box, seen = filled(1), list[int]()
    box.attendant = lambda: seen.append(len(box))
    box.post(record(2))
    box.post(record(3))
    box.attendant = None
    box.post(record(4))
    assert seen == [2, 3]
    assert len(box) == 4
