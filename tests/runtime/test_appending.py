"""Two ways from an event to its record, the folder's own and everybody else's, are one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tinyagent.events import Event, Record, UnknownEvent, kinds as k
from tinyagent.runtime.errors import LogClosedError
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.stores import Durability, Stored, appending
from tinyagent.runtime.stores.files import FileLog
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import VirtualClock

ID = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"
AT_US = 1795420800000210
LIVE = object()

GIVEN: list[tuple[Event, int, str | None, object]] = [
    (k.UserSaid("Ann Ó Briain: \n“hi”"), 0, None, LIVE),
    (k.ModelRequested(1), 1, "agent", None),
    (k.ModelRequested(2), 1, "agent:main/research#1", None),
    (k.ToolStarted("call_a1", "read"), 3, None, None),
    (UnknownEvent("weather.changed", 65_535, b'{ "sun":1 }'), 4, "sky", LIVE),
    (UnknownEvent("user.said", 2, b'{"content":["new"]}'), 0, "host", None),
]


def now_us() -> int:
    return AT_US


def appended(log: FileLog | MemoryLog) -> list[Record]:
    append = appending(log)
    return [
        append(event, AT_US + seq, cause, actor, live)
        for seq, (event, cause, actor, live) in enumerate(GIVEN, 1)
    ]


async def test_a_folder_makes_the_records_that_are_made_of_events_elsewhere(tmp_path: Path) -> None:
    log, other = FileLog(tmp_path / "trip", now_us=now_us, log_id=ID), MemoryLog(log_id=ID)
    made = appended(log)
    assert made == appended(other)
    assert [record.live for record in made] == [live for *_, live in GIVEN]
    assert [record.actor for record in made] == [
        "host",
        "agent",
        "agent:main/research#1",
        "tools",
        "sky",
        "host",
    ]
    stored = [(r.seq, r.ts_us, r.actor, r.kind, r.v, r.cause, r.payload) for r in log.read()]
    assert stored == [
        (r.seq, r.ts_us, r.actor, r.kind, r.v, r.cause, r.payload) for r in other.read()
    ]
    await log.close()


async def test_who_reads_along_is_shown_them_as_they_are_stored(tmp_path: Path) -> None:
    log = FileLog(tmp_path / "trip", now_us=now_us, log_id=ID)
    seen: list[Stored] = []

    async def read_along() -> None:
        async for stored in log.tail(1):
            seen.append(stored)

    reading = asyncio.create_task(read_along())
    await asyncio.sleep(0)
    appended(log)
    await log.durable(len(GIVEN))
    await log.close()
    await reading
    assert seen == list(log.read())


@pytest.mark.parametrize("durability", ["interval", "group"])
async def test_what_has_reached_the_file_can_be_read_there(
    tmp_path: Path, durability: Durability
) -> None:
    log = FileLog(tmp_path / "trip", now_us=now_us, durability=durability)
    writing = Journal(log, VirtualClock())
    for n in range(1, 21):
        record = writing.append(k.ModelRequested(n))
        if not writing.has_reached(record):
            await writing.reached(record)
        assert b'"e":{"n":%d}' % n in (tmp_path / "trip" / "00000001.jsonl").read_bytes()
    await log.close()


async def test_what_cannot_be_encoded_or_written_leaves_no_trace(tmp_path: Path) -> None:
    log = FileLog(tmp_path / "trip", now_us=now_us, log_id=ID)
    append = appending(log)
    with pytest.raises(TypeError, match="object"):
        append(k.ConfigChanged({"model": object()}), AT_US, 0, None, None)
    with pytest.raises(ValueError, match="cause 1 of record 1 is not before it"):
        append(k.UserContinued(), AT_US, 1, None, None)
    assert log.seq == 0
    await log.close()
    with pytest.raises(LogClosedError):
        append(k.UserContinued(), AT_US, 0, None, None)
