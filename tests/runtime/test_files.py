"""A log in a folder: what is promised, to whom, and what is said when it cannot be kept."""

from __future__ import annotations

import asyncio
import threading
import weakref
from pathlib import Path

import pytest

from tinyagent.runtime.errors import LogBehindError, LogClosedError, OutOfOrderError
from tinyagent.runtime.load import read_log
from tinyagent.runtime.stores import Durability
from tinyagent.runtime.stores.files import FileLog

ID = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"


def now_us() -> int:
    return 1795420800000000


def opened(path: Path, durability: Durability = "interval") -> FileLog:
    return FileLog(path, now_us=now_us, durability=durability, log_id=ID)


def append(log: FileLog, count: int, text: str = "hello") -> None:
    for _ in range(count):
        seq = log.seq + 1
        payload = b'{"content":"%s %d"}' % (text.encode(), seq)
        log.append(seq, now_us() + seq, None, "user.said", 1, seq - 1, payload)


def seqs(log: FileLog, first: int = 1, last: int | None = None) -> list[int]:
    return [record.seq for record in log.read(first, last)]


def files_in(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))


async def test_what_was_appended_is_there_after_reopening(tmp_path: Path) -> None:
    log = opened(tmp_path / "trip")
    log.append(
        1, 1795420800000210, "agent:main/research#1", "unheard.of", 7, 0, b'{"a":[1,"\xc3\x93"]}'
    )
    await log.durable(1)
    await log.close()
    log = opened(tmp_path / "trip")
    [record] = log.read()
    assert (record.actor, record.kind, record.v) == ("agent:main/research#1", "unheard.of", 7)
    assert record.payload == b'{"a":[1,"\xc3\x93"]}'
    assert (log.seq, log.written_seq, log.durable_seq, log.epoch) == (1, 1, 1, 2)
    assert (log.meta.log, log.recovered) == (ID, None)
    await log.close()


@pytest.mark.parametrize("name", ["trip", "a//b/", "./x/../y", "\udcff"])
async def test_a_log_says_where_it_is_as_it_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    for given in (name, Path(name)):
        log = FileLog(given, now_us=now_us)
        assert log.where == str(given)
        await log.close()


async def test_the_worked_example_of_the_format_is_on_disk_to_the_byte(tmp_path: Path) -> None:
    log = FileLog(tmp_path, now_us=now_us, log_id=ID)
    log.append(1, 1795420800000210, None, "session.started", 1, 0, b"{}")
    log.append(
        2, 1795420800051400, None, "user.said", 1, 0, b'{"content":"Remind Ann about INV-7."}'
    )
    await log.close()
    header, _, said, seal = (tmp_path / "00000001.jsonl").read_bytes().splitlines(True)
    assert header.startswith(b'{"tinyagent_log":1,"log":"%s","seg":1,' % ID.encode())
    assert said == (
        b'{"seq":2,"d":0,"ts":1795420800051400,"k":"user.said","v":1,"c":0,'
        b'"e":{"content":"Remind Ann about INV-7."},"x":"c7617ef3"}\n'
    )
    assert seal.startswith(b'{"tinyagent_seal":1,"seg":1,"last":2,"d":2,"why":"close",')


@pytest.mark.parametrize("durability", ["interval", "group", "strict"])
async def test_waiting_brings_each_promise(tmp_path: Path, durability: Durability) -> None:
    log = opened(tmp_path, durability)
    append(log, 3)
    await log.written(3)
    assert log.written_seq == 3
    if durability != "interval":
        assert log.durable_seq == 3
    await log.durable(2)
    assert log.durable_seq >= 2
    await log.room()
    await log.close()
    assert read_log(tmp_path).verdict == "clean"


@pytest.mark.parametrize("interval_ms", [20, 200])
async def test_without_a_barrier_records_become_durable_after_the_interval(
    tmp_path: Path, interval_ms: int
) -> None:
    log = FileLog(tmp_path, now_us=now_us, interval_ms=interval_ms)
    for seq in (1, 2):  # the second, while the thread rests from the sync of the first
        append(log, 1)
        await log.written(seq)
        for _ in range(500):
            if log.durable_seq == seq:
                break
            await asyncio.sleep(0.01)
        assert log.durable_seq == seq
    await log.close()


async def test_many_waiters_are_all_told(tmp_path: Path) -> None:
    log = opened(tmp_path)

    async def record_and_wait() -> int:
        append(log, 1)
        seq = log.seq
        await asyncio.sleep(0)
        await log.durable(seq)
        assert log.durable_seq >= seq
        return seq

    waited = await asyncio.gather(*(record_and_wait() for _ in range(200)))
    assert sorted(waited) == list(range(1, 201))
    await log.close()


async def test_others_go_on_while_somebody_does_nothing_but_wait_for_syncs(tmp_path: Path) -> None:
    log = opened(tmp_path)
    met: set[int] = set()

    async def meet() -> None:
        while log.durable_seq < 200:
            met.add(log.seq)
            await asyncio.sleep(0)

    meeting = asyncio.create_task(meet())
    for seq in range(1, 201):
        append(log, 1)
        await log.durable(seq)
        assert log.durable_seq == seq
    await meeting
    assert len(met) > 100  # a sync may be done before anybody gets to wait for it
    await log.close()


async def test_waiters_of_other_event_loops_are_told(tmp_path: Path) -> None:
    log = opened(tmp_path)
    append(log, 10)
    reached: list[int] = []

    def elsewhere(seq: int) -> None:
        asyncio.run(log.durable(seq))
        reached.append(seq)

    threads = [threading.Thread(target=elsewhere, args=(seq,)) for seq in range(1, 11)]
    for thread in threads:
        thread.start()
    await log.durable(10)
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert sorted(reached) == list(range(1, 11))
    await log.close()


async def test_who_finds_a_promise_kept_that_he_was_about_to_wait_for_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, here = opened(tmp_path / "trip"), asyncio.get_running_loop()
    make, made = here.create_future, list[weakref.ref[asyncio.Future[None]]]()

    def late() -> asyncio.Future[None]:
        while log.durable_seq < 1:
            pass
        future = make()
        made.append(weakref.ref(future))
        return future

    monkeypatch.setattr(here, "create_future", late)
    append(log, 1)
    await log.durable(1)
    assert [future() for future in made] == [None]
    await log.close()


async def test_a_cancelled_wait_leaves_the_log_usable(tmp_path: Path) -> None:
    log = opened(tmp_path)
    append(log, 1)
    waits = [asyncio.create_task(log.durable(seq)) for seq in (1, 99)]
    await asyncio.sleep(0)
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    append(log, 1)
    await log.durable(2)
    await log.close()
    assert [record.seq for record in read_log(tmp_path).records] == [1, 2]


async def test_a_cancelled_close_still_closes(tmp_path: Path) -> None:
    log = opened(tmp_path)
    append(log, 1)
    task = asyncio.create_task(log.close())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await log.close()
    assert read_log(tmp_path).verdict == "clean"


async def test_a_wait_for_a_record_that_never_came_ends_with_the_log(tmp_path: Path) -> None:
    log = opened(tmp_path)
    wait = asyncio.create_task(log.durable(7))
    await asyncio.sleep(0)
    await log.close()
    with pytest.raises(LogClosedError, match="closed before that record"):
        await wait


async def test_a_record_out_of_order_is_refused_but_a_retry_is_not(tmp_path: Path) -> None:
    log = opened(tmp_path)
    append(log, 2)
    with pytest.raises(
        OutOfOrderError, match=r"record 9 was appended, but the next is 3"
    ) as caught:
        log.append(9, 1, None, "user.said", 1, 0, b"{}")
    assert (caught.value.expected, caught.value.actual) == (9, 3)
    log.append(2, now_us() + 2, None, "user.said", 1, 1, b'{"content":"hello 2"}')
    with pytest.raises(OutOfOrderError):
        log.append(2, now_us() + 2, None, "user.said", 1, 1, b'{"content":"other"}')
    assert log.seq == 2
    await log.close()
    with pytest.raises(LogClosedError, match=r"record 3 was appended after the log was closed"):
        append(log, 1)


@pytest.mark.parametrize(
    ("kind", "v", "cause", "payload", "complaint"),
    [
        ("User.said", 1, 0, b"{}", "kind"),
        ("user.said", 0, 0, b"{}", "version 0"),
        ("user.said", 1, 1, b"{}", "cause 1 of record 1 is not before it"),
        ("user.said", 1, 0, b"[]", "not a JSON object on one line"),
        ("user.said", 1, 0, b'{"a":\n1}', "not a JSON object on one line"),
    ],
)
async def test_what_cannot_be_a_record_is_refused(
    tmp_path: Path, kind: str, v: int, cause: int, payload: bytes, complaint: str
) -> None:
    log = opened(tmp_path)
    with pytest.raises(ValueError, match=complaint):
        log.append(1, 1, None, kind, v, cause, payload)
    append(log, 1)
    await log.close()


@pytest.mark.parametrize("size", [65_000, 65_600, 8 << 20])
async def test_values_of_any_size_come_back(tmp_path: Path, size: int) -> None:
    log = opened(tmp_path)
    payload = b'{"content":"%s"}' % (b"x" * size)
    log.append(1, 1, None, "tool.finished", 1, 0, payload)
    log.append(2, 1, None, "tool.finished", 1, 0, payload)
    await log.durable(2)
    assert [record.payload == payload for record in log.read()] == [True, True]
    await log.close()
    assert max(map(len, (tmp_path / "00000001.jsonl").read_bytes().splitlines())) < 67_584
    assert len(files_in(tmp_path, "blobs/*/*")) == (1 if size > 65_536 else 0)


async def test_what_opening_has_read_is_read_once_more_only_when_more_has_come(
    tmp_path: Path,
) -> None:
    first = FileLog(tmp_path / "log", now_us=now_us)
    first.append(1, now_us(), None, "user.said", 1, 0, b'{"content":"a"}')
    await first.close()
    log = FileLog(tmp_path / "log", now_us=now_us)
    before = (tmp_path / "log" / "00000001.jsonl").rename(tmp_path / "aside")
    assert [record.payload for record in log.read()] == [b'{"content":"a"}']
    before.rename(tmp_path / "log" / "00000001.jsonl")
    log.append(2, now_us(), None, "user.said", 1, 0, b'{"content":"b"}')
    assert [record.seq for record in log.read()] == [1, 2]
    await log.close()


async def test_a_long_log_is_split_and_read_as_one(tmp_path: Path) -> None:
    log = FileLog(tmp_path, now_us=now_us, segment_bytes_max=2_000)
    for _ in range(20):
        append(log, 5)
        await log.durable(log.seq)
    assert seqs(log) == list(range(1, 101))
    assert seqs(log, 40, 60) == list(range(40, 61))
    await log.close()
    assert len(files_in(tmp_path, "*.jsonl")) > 3
    assert [record.seq for record in read_log(tmp_path).records] == list(range(1, 101))


async def test_a_tail_meets_each_record_once_also_over_segments(tmp_path: Path) -> None:
    log = FileLog(tmp_path, now_us=now_us, segment_bytes_max=2_000)
    append(log, 30)
    seen: list[tuple[int, bytes | None]] = []

    async def follow(first: int) -> None:
        seen.extend([(record.seq, record.line) async for record in log.tail(first)])

    task = asyncio.create_task(follow(11))
    for _ in range(20):
        await asyncio.sleep(0.001)
        append(log, 100)
    await log.close()
    await task
    on_disk = {record.seq: record.line for record in read_log(tmp_path).records}
    assert [seq for seq, _ in seen] == list(range(11, 2_031))
    assert all(on_disk[seq] == line for seq, line in seen)


async def test_the_disk_being_behind_is_said_at_once(tmp_path: Path) -> None:
    log = FileLog(tmp_path, now_us=now_us, queue_bytes_hard_max=0)
    with pytest.raises(LogBehindError, match=r"bytes wait for the disk, at most 0 may"):
        append(log, 10_000)
    await log.room()
    await log.close()


async def test_lines_that_nobody_waits_for_are_written_all_the_same(tmp_path: Path) -> None:
    log = opened(tmp_path)
    append(log, 3)
    async with asyncio.timeout(10):
        while log.written_seq < 3:  # noqa: ASYNC110 - that nobody is told is the point
            await asyncio.sleep(0)
    await log.close()


async def test_room_for_a_full_disk_is_taken_as_long_as_the_log_is_open(tmp_path: Path) -> None:
    log = opened(tmp_path)
    reserve = (tmp_path / "RESERVE").stat()
    assert (reserve.st_size, reserve.st_blocks * 512 >= 1 << 20) == (1 << 20, True)
    await log.close()
    assert not (tmp_path / "RESERVE").exists()
