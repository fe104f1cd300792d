"""A log in memory: a list that keeps the promises of a log."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from tinyagent.runtime.errors import LogClosedError, OutOfOrderError
from tinyagent.runtime.stores import Stored
from tinyagent.runtime.stores.memory import MemoryLog

ID = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"


def filled(count: int) -> MemoryLog:
    log = MemoryLog(log_id=ID)
    for seq in range(1, count + 1):
        log.append(seq, seq, None, "user.said", 1, seq - 1, b'{"n":%d}' % seq)
    return log


def test_records_come_back_as_they_were_given() -> None:
    log = MemoryLog(log_id=ID, name="trip")
    log.append(1, 1795420800000210, "critic", "unheard.of", 7, 0, b'{"a":"\\u00d3"}')
    assert list(log.read()) == [
        Stored(
            seq=1,
            ts_us=1795420800000210,
            actor="critic",
            kind="unheard.of",
            v=7,
            cause=0,
            payload=b'{"a":"\\u00d3"}',
        )
    ]
    assert (log.meta.log, log.meta.name, log.durability) == (ID, "trip", "memory")


def test_an_id_is_drawn_if_none_is_given() -> None:
    ids = {MemoryLog().meta.log for _ in range(3)}
    assert len(ids) == 3
    assert all(len(one) == 32 for one in ids)


def test_everything_is_as_safe_as_it_gets_at_once() -> None:
    log = filled(3)
    assert (log.seq, log.written_seq, log.durable_seq) == (3, 3, 3)


def test_a_record_out_of_order_is_refused_with_both_numbers() -> None:
    log = filled(2)
    with pytest.raises(OutOfOrderError, match=r"memory: record 5 was appended, but the next is 3"):
        log.append(5, 5, None, "user.said", 1, 0, b"{}")
    with pytest.raises(OutOfOrderError):
        log.append(2, 2, None, "user.said", 1, 1, b'{"n":99}')
    assert log.seq == 2


def test_the_same_record_again_is_no_error_and_no_record() -> None:
    log = filled(2)
    log.append(2, 2, None, "user.said", 1, 1, b'{"n":2}')
    assert log.seq == 2


@pytest.mark.parametrize(("first", "last", "found"), [(1, None, 5), (2, 3, 2), (6, None, 0)])
def test_a_range_can_be_read(first: int, last: int | None, found: int) -> None:
    seqs = [record.seq for record in filled(5).read(first, last)]
    assert seqs == list(range(first, first + found))


async def test_a_tail_catches_up_and_then_follows_to_the_end() -> None:
    log = filled(3)
    seen: list[int] = []

    async def follow() -> None:
        seen.extend([record.seq async for record in log.tail(2)])

    task = asyncio.create_task(follow())
    await asyncio.sleep(0)
    for seq in (4, 5):
        log.append(seq, seq, None, "user.said", 1, 0, b"{}")
        await asyncio.sleep(0)
    await log.close()
    await task
    assert seen == [2, 3, 4, 5]


async def test_a_tail_that_does_not_keep_up_misses_nothing() -> None:
    log = filled(1)
    tail = log.tail(1)
    assert (await anext(tail)).seq == 1
    for seq in range(2, 5_000):
        log.append(seq, seq, None, "user.said", 1, 0, b"{}")
    await log.close()
    assert [record.seq async for record in tail] == list(range(2, 5_000))


async def test_a_closed_log_takes_nothing_but_still_can_be_read() -> None:
    log = filled(2)
    await log.close()
    await log.close()
    with pytest.raises(LogClosedError, match=r"record 3 was appended, but the log was closed"):
        log.append(3, 3, None, "user.said", 1, 0, b"{}")
    assert len(list(log.read())) == 2


def test_memory_needs_no_extension() -> None:
    code = (
        "import sys; sys.modules['tinyagent._alchemy'] = None\n"
        "from tinyagent.runtime.stores.memory import MemoryLog\n"
        "log = MemoryLog(); log.append(1, 1, None, 'a.b', 1, 0, b'{}'); assert log.seq == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
