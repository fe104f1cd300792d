"""What every store must keep to before it is called a ``Log``: subclass, give it ``make_log``.

No network; under a minute per store. Nothing here knows which store it is.
"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from tinyagent.runtime.errors import (
    LogClosedError,
    LogError,
    LogFencedError,
    LogOwnedError,
    OutOfOrderError,
)
from tinyagent.runtime.load import read_log
from tinyagent.runtime.log import line_of as exported_line, pack, write_packed
from tinyagent.runtime.stores import Log
from tinyagent.runtime.stores.files import FileLog
from tinyagent.testing._crashing import (
    BEGAN_US,
    CrashHook,
    MakeLog,
    append,
    line_of,
    payloads,
    runs,
    timeless,
)
from tinyagent.testing._log_reading import LogReadingContract

MEMORY_BYTES_MAX = 64 << 20
ESCAPES = (
    rb'{"content":"quote \" backslash \\ slash / newline \n return \r tab \t \b \f"}',
    rb'{"content":"\u0000\u0001\u001f"}',
    '{"content":"Ó ☃ 😀 \u2028\u2029 \x7f"}'.encode(),
    rb'{"content":"\ud83d\ude00 \u00d3"}',
    b"{}",
    b'{"$b64":"aGk="}',
    b'{"a":{"$esc":{"$blob":"sha256:%s","n":1,"t":"text"}}}' % (b"0" * 64),
    b'{"n":[1,-1,1.5,1e300,null,true,false,[],{}]}',
)
LARGE = (
    b'{"content":"%s"}' % (b"x" * 65_510),
    b'{"content":"%s"}' % (b"x" * 65_530),
    b'{"content":"%s","more":"%s"}' % (b"x" * 70_000, b"x" * 70_000),
    b'{"content":"%s"}' % (rb"\n\"" * 50_000 + "Ó".encode() * 1_000),
    rb'{"content":"%s"}' % (rb"\/" * 50_000),
    b'{"many":[%s1]}' % (b'"small",' * 20_000),
    b'{"data":{"$b64":"%s"}}' % (b"QUJD" * 30_000),
    msgspec.json.encode({"all": "".join(map(chr, (*range(0xD800), 0xFEFF, 0xFFFF, 0x1F600)))}),
    b'{"content":"%s"}' % (b"y" * (8 << 20)),
)


class LogContract(LogReadingContract):
    """A subclass has a fixture ``make_log``, which returns a ``MakeLog``.

    Attributes:
        survives: False for a store of which nothing outlives its object.
    """

    survives = True

    def _needs_survival(self) -> None:
        if not self.survives:
            pytest.skip("nothing of this store outlives its object")

    # Order

    @runs
    async def test_records_are_numbered_without_gaps(self, make_log: MakeLog) -> None:
        log = make_log(CrashHook())
        assert log.seq == 0, "a new log is empty"
        append(log, 100)
        assert log.seq == 100
        assert [record.seq for record in log.read()] == list(range(1, 101))
        assert [record.payload for record in log.read()] == payloads(100)
        await log.close()

    @runs
    async def test_a_wrong_expectation_is_refused_with_both_numbers(
        self, make_log: MakeLog
    ) -> None:
        log = make_log(CrashHook())
        append(log, 2)
        for wrong in (4, 9, 2**53 - 1):
            with pytest.raises(OutOfOrderError) as refused:
                log.append(wrong, BEGAN_US, None, "user.said", 1, 0, b"{}")
            assert (refused.value.expected, refused.value.actual) == (wrong, 3)
        assert log.seq == 2
        append(log, 1)
        await log.durable(3)
        assert [record.payload for record in log.read()] == payloads(3)
        await log.close()

    @runs
    async def test_the_same_record_again_is_success_and_any_other_a_conflict(
        self, make_log: MakeLog
    ) -> None:
        log = make_log(CrashHook())
        append(log, 3)
        same = (2, BEGAN_US + 2, None, "user.said", 1, 1, b'{"content":"said 2"}')
        log.append(*same)
        log.append(*same)
        others = (
            (2, BEGAN_US + 9, None, "user.said", 1, 1, b'{"content":"said 2"}'),
            (2, BEGAN_US + 2, "critic", "user.said", 1, 1, b'{"content":"said 2"}'),
            (2, BEGAN_US + 2, None, "user.sang", 1, 1, b'{"content":"said 2"}'),
            (2, BEGAN_US + 2, None, "user.said", 2, 1, b'{"content":"said 2"}'),
            (2, BEGAN_US + 2, None, "user.said", 1, 0, b'{"content":"said 2"}'),
            (2, BEGAN_US + 2, None, "user.said", 1, 1, b'{"content":"said two"}'),
        )
        for other in others:
            with pytest.raises(OutOfOrderError):
                log.append(*other)
        assert log.seq == 3
        assert len(list(log.read())) == 3
        await log.close()

    # Bytes

    @runs
    async def test_unknown_kinds_fields_and_actors_come_back_as_they_were(
        self, make_log: MakeLog
    ) -> None:
        log = make_log(CrashHook())
        log.append(1, BEGAN_US, "agent:main/research#1", "un_heard.of", 65_535, 0, b'{"new":[1]}')
        log.append(2, BEGAN_US, None, "x", 1, 1, b'{"z":1,"a":2}')
        first, second = log.read()
        assert (first.actor, first.kind, first.v) == ("agent:main/research#1", "un_heard.of", 65535)
        assert (first.ts_us, first.cause, first.payload) == (BEGAN_US, 0, b'{"new":[1]}')
        assert (second.actor, second.kind, second.cause) == (None, "x", 1)
        assert second.payload == b'{"z":1,"a":2}'
        await log.close()

    @pytest.mark.parametrize("payload", [*ESCAPES, *LARGE], ids=lambda p: f"{p[:24]!r}~{len(p)}")
    @runs
    async def test_a_payload_comes_back_to_the_byte(
        self, make_log: MakeLog, payload: bytes
    ) -> None:
        log = make_log(CrashHook())
        log.append(1, BEGAN_US, None, "tool.finished", 1, 0, payload)
        log.append(2, BEGAN_US, None, "tool.finished", 1, 0, payload)  # equal values are one
        await log.durable(2)
        assert [record.payload == payload for record in log.read()] == [True, True]
        await log.close()
        if self.survives:
            log = make_log(CrashHook())
            assert [record.payload == payload for record in log.read()] == [True, True]
            await log.close()

    @runs
    async def test_the_line_is_what_the_format_says(self, make_log: MakeLog) -> None:
        log = make_log(CrashHook())
        for seq, payload in enumerate(ESCAPES, 1):
            log.append(seq, BEGAN_US, "critic" if seq % 2 else None, "a.b", seq, seq - 1, payload)
            await log.durable(seq)
        for record in log.read():
            line, blobs = exported_line(log.meta, record)
            assert line == line_of(log.meta.log, record)
            assert record.d < record.seq, "a watermark is never ahead"
            assert blobs == {}
        await log.close()

    @runs
    async def test_an_export_has_the_bytes_that_a_file_has(
        self, make_log: MakeLog, tmp_path: Path
    ) -> None:
        log = make_log(CrashHook())
        meta = log.meta
        file = FileLog(tmp_path / "file", now_us=lambda: BEGAN_US, log_id=meta.log)
        for seq, payload in enumerate((*ESCAPES, *LARGE[:-1]), 1):
            for each in (log, file):
                each.append(seq, BEGAN_US + seq, None, "tool.finished", 1, seq - 1, payload)
        there = [exported_line(meta, record)[0] for record in log.read()]
        assert list(map(timeless, there)) == [timeless(record.line) for record in file.read()]
        write_packed(log, tmp_path / "export.jsonl")
        back = read_log(tmp_path / "export.jsonl")
        assert (back.verdict, back.meta.log, back.meta.name) == ("clean", meta.log, meta.name)
        assert [record.payload for record in back.records] == [*ESCAPES, *LARGE[:-1]]
        await file.close()
        await log.close()

    # Durability

    @runs
    async def test_durable_covers_all_before_it(self, make_log: MakeLog) -> None:
        log = make_log(CrashHook())
        append(log, 50)
        await log.written(20)
        assert log.written_seq >= 20
        await log.durable(30)
        assert log.durable_seq >= 30
        await asyncio.gather(*(log.durable(seq) for seq in range(1, 51)))
        assert (log.written_seq, log.durable_seq) == (50, 50)
        await log.room()
        await log.close()

    @runs
    async def test_nothing_durable_is_lost_however_often_it_dies(self, make_log: MakeLog) -> None:
        self._needs_survival()
        accepted: list[bytes] = []
        durable, epoch = 0, 0
        for _ in range(5):
            hook = CrashHook()
            log = make_log(hook)
            there = [record.payload for record in log.read()]
            assert there == accepted[: len(there)], "what is there is a prefix of what was accepted"
            assert len(there) >= durable, "a record was lost that was acknowledged as durable"
            assert log.epoch > epoch
            accepted, epoch = there, log.epoch
            append(log, 40)
            await log.durable(log.seq)
            durable = log.seq
            append(log, 5)
            accepted = payloads(log.seq)
            assert hook.kill is not None, "make_log has filled in the hook"
            hook.kill()
        log = make_log(CrashHook())
        assert log.seq >= durable
        await log.close()

    @runs
    async def test_a_failing_disk_is_told_to_every_waiter(self, make_log: MakeLog) -> None:
        self._needs_survival()
        hook = CrashHook()
        log = make_log(hook)
        append(log, 10)
        await log.durable(10)
        if hook.failing is None:
            await log.close()
            pytest.skip("make_log says no way to make this store fail")
        with hook.failing():
            waits = [asyncio.ensure_future(each) for each in (log.durable(11), log.written(20))]
            await asyncio.sleep(0)
            with suppress(LogError):  # the disk may have failed before the last is taken
                append(log, 10, "x" * 10_000)
            waits.append(asyncio.ensure_future(log.durable(11)))
            told = await asyncio.gather(*waits, return_exceptions=True)
            assert [isinstance(error, LogError) for error in told] == [True] * 3, told
            with pytest.raises(LogError):
                append(log, 1)
            with pytest.raises(LogError):
                await log.close()
        log = make_log(hook)
        assert [record.payload for record in log.read()][:10] == payloads(10)
        await log.close()

    # Fencing

    @runs
    async def test_of_two_openers_one_wins(self, make_log: MakeLog) -> None:
        self._needs_survival()
        log = make_log(CrashHook())
        append(log, 1)
        with pytest.raises(LogOwnedError):
            make_log(CrashHook())
        append(log, 1)
        await log.durable(2)
        await log.close()
        log = make_log(CrashHook())
        assert [record.payload for record in log.read()] == payloads(2)
        await log.close()

    @runs
    async def test_a_writer_that_was_replaced_cannot_come_back(self, make_log: MakeLog) -> None:
        self._needs_survival()
        hook = CrashHook()
        old = make_log(hook)
        append(old, 2)
        await old.durable(2)
        assert hook.kill is not None
        hook.kill()
        new = make_log(CrashHook())
        append(old, 1, "late")
        with pytest.raises(LogFencedError):
            await old.durable(3)
        with pytest.raises(LogFencedError):
            append(old, 1, "late")
        append(new, 2, "new")
        await new.durable(4)
        with pytest.raises(LogFencedError):
            await old.close()
        with pytest.raises(LogOwnedError):
            make_log(CrashHook())  # the old one has not taken the lock of the new one along
        await new.close()
        log = make_log(CrashHook())
        assert [r.payload for r in log.read()] == [*payloads(2), *payloads(2, "new", 3)]
        await log.close()

    # Meta

    @runs
    async def test_who_the_log_is_survives(self, make_log: MakeLog) -> None:
        self._needs_survival()
        log = make_log(CrashHook())
        meta, epoch = log.meta, log.epoch
        assert len(bytes.fromhex(meta.log)) == 16
        append(log, 3)
        await log.close()
        log = make_log(CrashHook())
        assert (log.meta, log.epoch, log.seq) == (meta, epoch + 1, 3)
        assert (log.written_seq, log.durable_seq, log.recovered) == (3, 3, None)
        append(log, 1)
        await log.close()
        log = make_log(CrashHook())
        assert [record.payload for record in log.read()] == payloads(4)
        await log.close()

    @runs
    async def test_a_closed_log_takes_nothing_and_closes_twice(self, make_log: MakeLog) -> None:
        log = make_log(CrashHook())
        append(log, 2)
        await log.close()
        await log.close()
        with pytest.raises(LogClosedError):
            append(log, 1)
        assert [record.payload for record in log.read()] == payloads(2)

    # Load

    @runs
    async def test_sixteen_tasks_append_a_thousand_records_each(self, make_log: MakeLog) -> None:
        log = make_log(CrashHook())
        gc.collect()
        tracemalloc.start()
        try:
            await asyncio.gather(*(_writer(log, number) for number in range(16)))
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak_bytes < MEMORY_BYTES_MAX
        seen: dict[int, list[int]] = {}
        for number, stored in enumerate(log.read(), 1):
            assert stored.seq == number
            seen.setdefault(stored.v, []).append(stored.cause)
        assert len(seen) == 16
        assert all(len(causes) == 1_000 and causes == sorted(causes) for causes in seen.values())
        await log.close()

    @runs
    async def test_packing_is_the_same_twice(self, make_log: MakeLog) -> None:
        log = make_log(CrashHook())
        append(log, 20)
        await log.durable(20)
        once = pack(log)
        assert pack(log) == once
        assert once.count(b"\n") == 22
        await log.close()


async def _writer(log: Log, number: int) -> None:
    for count in range(1_000):
        seq = log.seq + 1
        log.append(seq, BEGAN_US, None, "user.said", number + 1, seq - 1, b'{"content":"text"}')
        if count % 100 == 99:
            await log.durable(seq)
        else:
            await asyncio.sleep(0)
