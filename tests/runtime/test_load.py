"""A path to records: what is whole is used, what is not is named."""

from __future__ import annotations

import gc
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest

from tinyagent._alchemy import crc32c, header_line, line, seal_line
from tinyagent.events import UnknownEvent, decode, kinds as k
from tinyagent.runtime.errors import (
    CorruptLogError,
    LogClosedError,
    LogFailedError,
    LogLimitError,
    LogNotFoundError,
    LogVersionError,
)
from tinyagent.runtime.load import Damage, LostRecords, LostValue, decoded, read_log, read_records
from tinyagent.runtime.log import open_log_at, open_packed, pack, write_packed
from tinyagent.runtime.stores import Stored, as_record, records_of
from tinyagent.runtime.stores.files import FileLog
from tinyagent.runtime.stores.memory import MemoryLog

ID = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"


def now_us() -> int:
    return 1795420800000000


def fill(log: FileLog | MemoryLog, count: int, size: int = 5) -> None:
    for seq in range(log.seq + 1, log.seq + count + 1):
        payload = b'{"content":"%s %d"}' % (b"x" * size, seq)
        log.append(seq, now_us() + seq, None, "user.said", 1, seq - 1, payload)


async def written(path: Path, count: int = 6, size: int = 5) -> bytes:
    log = FileLog(path, now_us=now_us, log_id=ID, name="trip")
    fill(log, count, size)
    await log.durable(count)
    await log.close()
    return (path / "00000001.jsonl").read_bytes()


def test_lines_are_those_of_the_format() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    assert header_line(
        ID, seg=1, epoch=1, first=1, tail=0, at_us=1795420800000000, by="tinyagent 1.0.0"
    ).endswith(b',"x":"96c1ade0"}\n')
    said = b'{"content":"Remind Ann about INV-7."}'
    assert line(ID, 0, 2, 1795420800051400, None, "user.said", 1, 0, said).endswith(
        b',"x":"c7617ef3"}\n'
    )
    assert seal_line(ID, seg=1, last=18, d=18, why="close", at_us=1795420801803551).endswith(
        b',"x":"fc17e7c9"}\n'
    )


async def test_a_log_that_was_closed_has_no_damage(tmp_path: Path) -> None:
    await written(tmp_path / "trip")
    loaded = read_log(tmp_path / "trip")
    assert (loaded.seq, loaded.durable_seq, loaded.verdict, loaded.damage) == (6, 6, "clean", None)
    assert (loaded.meta.log, loaded.meta.name, loaded.at_us) == (ID, "trip", now_us())


async def test_a_log_cut_at_every_byte_loads_to_a_prefix_and_opens_again(tmp_path: Path) -> None:
    whole = await written(tmp_path / "whole")
    loaded = read_log(tmp_path / "whole")
    header = whole.index(b"\n") + 1
    for cut in range(len(whole)):
        path = tmp_path / "cut"
        path.mkdir()
        (path / "00000001.jsonl").write_bytes(whole[:cut])
        count = max(whole[:cut].count(b"\n") - 1, 0)
        if cut < header:
            with pytest.raises(LogNotFoundError):
                read_log(path)
        else:
            part = read_log(path)
            assert part.records == loaded.records[:count], cut
            assert part.damage is not None
            at_line_end = whole[cut - 1 : cut] == b"\n"
            assert part.verdict == ("unclean" if at_line_end else "torn")
            if not at_line_end:
                assert part.damage.offset == whole.rindex(b"\n", 0, cut) + 1
                assert part.damage.torn_bytes == cut - part.damage.offset
        # Each byte is opened in the tests of the crate; a real disk takes 20 ms for it.
        if cut % 13 == 0:
            log = FileLog(path, now_us=now_us, log_id=ID)
            assert log.seq == log.durable_seq == count, cut
            fill(log, 1)
            await log.close()
            assert read_log(path).seq == count + 1
        shutil.rmtree(path)


async def test_damage_to_what_was_acknowledged_is_named_to_the_byte(tmp_path: Path) -> None:
    whole = await written(tmp_path / "trip")
    segment = tmp_path / "trip" / "00000001.jsonl"
    at = whole.index(b'{"seq":3,')
    segment.write_bytes(whole.replace(b"xxxxx 3", b"xxxxy 3"))
    with pytest.raises(CorruptLogError, match=r"CRC [0-9a-f]{8}, expected [0-9a-f]{8}") as caught:
        read_log(tmp_path / "trip")
    error = caught.value
    assert (error.path, error.seq, error.offset) == (str(segment), 3, at)
    assert "edited by hand?" in str(error)
    assert "nothing was changed" in str(error)
    before = segment.read_bytes()
    with pytest.raises(CorruptLogError):
        FileLog(tmp_path / "trip", now_us=now_us)
    assert segment.read_bytes() == before


async def test_what_is_no_log_is_told_from_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LogNotFoundError, match="there is no log here"):
        read_log(tmp_path / "nowhere")
    with pytest.raises(LogNotFoundError, match="a folder without a log"):
        read_log(tmp_path)
    for garbage in (b"", b"hello\n", bytes(range(256)) * 300, b'{"seq":1,"d":0,"ts":1}\n'):
        path = tmp_path / "garbage.jsonl"
        path.write_bytes(garbage)
        with pytest.raises(CorruptLogError, match=r"garbage\.jsonl: byte 0 starts no"):
            read_log(path)


def test_a_newer_version_is_told_from_damage(tmp_path: Path) -> None:
    path = tmp_path / "new.jsonl"
    head = header_line(ID, seg=1, epoch=1, first=1, tail=0, at_us=1, by="tinyagent 9.0")
    body = head[:-17].replace(b'{"tinyagent_log":1', b'{"tinyagent_log":2')
    crc = crc32c(bytes.fromhex(ID) + body)
    path.write_bytes(body + b',"x":"%08x"}\n' % crc)
    with pytest.raises(LogVersionError, match=r"format 2, written by tinyagent 9\.0"):
        read_log(path)


def test_a_log_is_read_while_another_process_writes_it(tmp_path: Path) -> None:
    code = f"""
        import asyncio, sys
        from tinyagent.runtime.stores.files import FileLog
        async def main():
            log = FileLog({str(tmp_path)!r}, now_us=lambda: 1, segment_bytes_max=20_000)
            print("open", flush=True)
            for seq in range(1, 20_001):
                log.append(seq, seq, None, "user.said", 1, 0, b'{{"n":%d}}' % seq)
                if seq % 50 == 0:
                    await log.durable(seq)
            await log.close()
        asyncio.run(main())
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seen = [0]
        while process.poll() is None:
            loaded = read_log(tmp_path)
            assert [record.seq for record in loaded.records] == list(range(1, loaded.seq + 1))
            seen.append(loaded.seq)
    assert process.returncode == 0
    assert seen == sorted(seen)
    assert read_log(tmp_path).seq == 20_000


async def test_packing_keeps_each_line_and_says_so(tmp_path: Path) -> None:
    await written(tmp_path / "trip")
    whole = read_log(tmp_path / "trip")
    write_packed(tmp_path / "trip", tmp_path / "trip.jsonl")
    packed = read_log(tmp_path / "trip.jsonl")
    assert (packed.records, packed.meta, packed.damage) == (whole.records, whole.meta, None)
    assert (tmp_path / "trip.jsonl").read_bytes() == pack(whole)
    assert b'"why":"pack"' in pack(whole).splitlines()[-1]
    write_packed(packed, tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == pack(whole)


async def test_large_values_are_packed_beside_the_file(tmp_path: Path) -> None:
    log = MemoryLog(log_id=ID)
    fill(log, 2, size=100_000)
    with pytest.raises(ValueError, match="2 large values"):
        pack(log)
    write_packed(log, tmp_path / "big.jsonl")
    packed = read_log(tmp_path / "big.jsonl")
    assert [r.payload for r in packed.records] == [r.payload for r in log.read()]
    [first, _] = sorted((tmp_path / "big.blobs").glob("*/*"))
    first.unlink()
    damage = read_log(tmp_path / "big.jsonl").damage
    assert damage is not None
    assert [lost.digest for lost in damage.lost_values] == [first.name]


async def test_a_log_in_memory_packs_to_the_bytes_of_one_on_disk(tmp_path: Path) -> None:
    log = FileLog(tmp_path, now_us=now_us, log_id=ID)
    memory = MemoryLog(log_id=ID)
    for one in (log, memory):
        fill(one, 20)
    assert log.durable_seq == 0
    assert pack(memory).splitlines()[1:-1] == [r.line and r.line[:-1] for r in log.read()]
    await log.close()


async def test_a_packed_log_opens_for_reading_only(tmp_path: Path) -> None:
    await written(tmp_path / "trip")
    write_packed(tmp_path / "trip", tmp_path / "trip.jsonl")
    log = open_packed(tmp_path / "trip.jsonl")
    assert (log.seq, log.meta.log) == (6, ID)
    assert [record.seq async for record in log.tail(4)] == [4, 5, 6]
    with pytest.raises(LogClosedError, match="opened for reading"):
        fill(log, 1)
    with pytest.raises(ValueError, match="a packed log takes no records"):
        open_log_at(tmp_path / "trip.jsonl", now_us=now_us)


async def test_a_place_decides_where_the_log_lives(tmp_path: Path) -> None:
    assert isinstance(open_log_at(None, now_us=now_us), MemoryLog)
    log = open_log_at(tmp_path / "trip", now_us=now_us, durability="strict", name="trip")
    assert isinstance(log, FileLog)
    assert (log.durability, log.meta.name, log.where) == ("strict", "trip", str(tmp_path / "trip"))
    await log.close()
    with pytest.raises(ValueError, match="durability 'memory' has no file"):
        open_log_at(tmp_path / "trip", now_us=now_us, durability="memory")


@pytest.mark.parametrize("where", ["", "postgres://host/runs#trip"])
def test_a_place_that_is_none_is_refused_and_nothing_is_made(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="is no place for a log: give a folder, or sqlite:///"):
        open_log_at(where, now_us=now_us)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_says_no_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LogFailedError, match="creating the folder failed"):
        FileLog(tmp_path / "file" / "log", now_us=now_us)
    with pytest.raises(LogFailedError, match="writing failed"):
        write_packed(MemoryLog(log_id=ID), tmp_path / "file" / "log.jsonl")
    assert issubclass(LogLimitError, Exception)


def test_a_lost_value_that_has_no_place_in_its_event_leaves_the_event_unread() -> None:
    payload = b'{"tools":{"$blob":"sha256:%s","n":70000,"t":"json"}}' % (b"ab" * 32)
    stored = Stored(
        seq=1, ts_us=5, actor=None, kind="session.started", v=1, cause=0, payload=payload
    )
    damage = Damage(verdict="clean", path="x", lost_values=(LostValue(1, "ab" * 32),))
    (record,) = decoded([stored], damage)
    assert record.event == UnknownEvent("session.started", 1, payload)
    assert (record.seq, record.at_ns, record.payload) == (1, 5000, payload)


def odd_log(path: Path) -> None:
    """A packed log of every record that takes more than to read its payload, and plain ones."""
    big = b'{"content":{"$blob":"sha256:%s","n":70000,"t":"text"}}' % (b"ab" * 32)
    rows: list[tuple[str | None, str, int, bytes]] = [
        (None, "user.said", 1, b'{"content":"one"}'),
        ("agent/tools", "user.said", 1, b'{"content":"two"}'),
        (None, "user.said", 2, b'{"content":"of a newer release"}'),
        (None, "user.sang", 1, b'{"content":"of a kind that nobody knows"}'),
        (None, "user.said", 1, b'{"$redacted":"all of it"}'),
        (None, "model.requested", 1, b'{"n":{"$redacted":"a part"}}'),
        (None, "user.said", 1, b'{"content":{"$enc":{"kid":"a","n":"b","ct":"c"}}}'),
        (None, "tool.requested", 1, b'{"call_id":"c","name":"f","arguments":{"$esc":{"$a":1}}}'),
        (None, "user.said", 1, big),
        (None, "log.lost", 1, b'{"first":10,"last":12}'),
        (None, "user.said", 1, b'{"content":"{\\"$enc\\": quoted"}'),
    ]
    lines = [header_line(ID, seg=1, epoch=1, first=1, tail=0, at_us=now_us(), by="t")]
    for seq, (actor, kind, v, payload) in enumerate(rows, 1):
        at = seq + 2 if seq >= 10 else seq
        lines.append(line(ID, 0, at, now_us() + seq, actor, kind, v, seq - 1, payload))
    lines.append(seal_line(ID, seg=1, last=13, d=13, why="pack", at_us=now_us()))
    path.write_bytes(b"".join(lines))


def test_records_are_the_same_whichever_way_they_are_read(tmp_path: Path) -> None:
    odd_log(tmp_path / "odd.jsonl")
    found = read_log(tmp_path / "odd.jsonl")
    meta, records, damage = read_records(tmp_path / "odd.jsonl")
    assert records == decoded(found.records, found.damage)
    assert (meta, damage) == (found.meta, found.damage)
    assert damage is not None
    assert damage.lost_values == (LostValue(9, "ab" * 32),)
    assert damage.lost_records == (LostRecords(10, 12),)
    assert [(r.seq, r.actor, type(r.event)) for r in records[:5]] == [
        (1, "host", k.UserSaid),
        (2, "agent/tools", k.UserSaid),
        (3, "", UnknownEvent),
        (4, "", UnknownEvent),
        (5, "", UnknownEvent),
    ]
    assert records[-1].event == k.UserSaid('{"$enc": quoted')


@pytest.mark.parametrize("payload", [b'{"n":"many"}', b'{"n":2},{"n":3}', b"{}", b'{"n":2}}'])
def test_a_payload_that_does_not_fit_its_kind_is_refused_as_ever(
    tmp_path: Path, payload: bytes
) -> None:
    lines = [
        header_line(ID, seg=1, epoch=1, first=1, tail=0, at_us=now_us(), by="t"),
        line(ID, 0, 1, now_us(), None, "model.requested", 1, 0, b'{"n":1}'),
        line(ID, 0, 2, now_us(), None, "user.said", 1, 0, b'{"content":"x"}'),
        line(ID, 0, 3, now_us(), None, "model.requested", 1, 0, payload),
        seal_line(ID, seg=1, last=3, d=3, why="pack", at_us=now_us()),
    ]
    (tmp_path / "misfit.jsonl").write_bytes(b"".join(lines))
    with pytest.raises(msgspec.DecodeError) as slow:
        decode("model.requested", 1, payload)
    with pytest.raises(slow.type, match=re.escape(str(slow.value))):
        read_records(tmp_path / "misfit.jsonl")


async def test_large_records_are_read_however_many_there_are(tmp_path: Path) -> None:
    log = FileLog(tmp_path / "trip", now_us=now_us)
    fill(log, 60, size=60_000)
    records = records_of(log)
    assert [(r.seq, r.cause, len(r.payload)) for r in records[-2:]] == [
        (59, 58, 60_017),
        (60, 59, 60_017),
    ]
    assert records == [as_record(stored) for stored in log.read()]
    await log.close()


async def test_an_open_log_gives_its_records_with_events_from_any_number_on(tmp_path: Path) -> None:
    log = FileLog(tmp_path / "trip", now_us=now_us)
    fill(log, 3000)
    assert [r.seq for r in records_of(log)] == list(range(1, 3001))
    assert records_of(log, 2999) == [as_record(stored) for stored in log.read(2999)]
    assert records_of(log, 3001) == []
    await log.close()


async def test_what_a_model_said_on_end_may_be_read_as_one_record(tmp_path: Path) -> None:
    log = FileLog(tmp_path / "trip", now_us=now_us)
    rows: list[tuple[str | None, str, int, bytes]] = [
        (None, "model.delta", 0, b'{"pieces":[]}'),
        (None, "model.delta", 0, b'{"pieces":[[0,"text","a],",1]]}'),
        (None, "model.delta", 0, b'{"pieces":[]}'),
        (None, "model.delta", 0, b'{"pieces":[[0,"text","b",1],[0,"text","c",1]]}'),
        (None, "model.delta", 4, b'{"pieces":[[0,"text","of another cause",1]]}'),
        ("agent:main/x#1/model", "model.delta", 4, b'{"pieces":[[0,"text","another\'s",1]]}'),
        (None, "model.delta", 4, b'{"pieces":[[0,"text","d",1]],"of":"a later release"}'),
        (None, "model.delta", 4, b'{"pieces":[[0,"text","e",1]]}'),
        (None, "user.said", 0, b'{"content":"On."}'),
        (None, "model.delta", 4, b'{"pieces":[[0,"text","f",1]]}'),
    ]
    for seq, (actor, kind, cause, payload) in enumerate(rows, 1):
        log.append(seq, now_us() + seq, actor, kind, 1, cause, payload)
    assert [r.seq for r in records_of(log)] == list(range(1, 11))
    records = records_of(log, joined=True)
    assert [r.seq for r in records] == [4, 5, 6, 7, 8, 9, 10]
    first = records[0]
    assert (first.at_ns, first.cause, first.actor) == ((now_us() + 4) * 1000, 0, "model")
    assert first.payload == (b'{"pieces":[[0,"text","a],",1],[0,"text","b",1],[0,"text","c",1]]}')
    assert [r.event for r in records] == [decode(r.event.kind, 1, r.payload) for r in records]
    await log.close()


async def test_what_fits_no_kind_is_refused_though_it_is_joined(tmp_path: Path) -> None:
    log = FileLog(tmp_path / "trip", now_us=now_us)
    misfit = b'{"pieces":[1]}'
    for seq, payload in enumerate((b'{"pieces":[[0,"text","a",1]]}', misfit), 1):
        log.append(seq, now_us(), None, "model.delta", 1, 0, payload)
    with pytest.raises(msgspec.ValidationError) as alone:
        decode("model.delta", 1, misfit)
    with pytest.raises(msgspec.ValidationError, match=re.escape(str(alone.value))):
        records_of(log, joined=True)
    await log.close()


@pytest.mark.parametrize("is_on", [True, False])
async def test_reading_leaves_the_collector_as_it_was(tmp_path: Path, is_on: bool) -> None:
    log = FileLog(tmp_path / "trip", now_us=now_us)
    fill(log, 3)
    log.append(4, now_us(), None, "model.delta", 1, 0, b'{"pieces":[1]}')
    (gc.enable if is_on else gc.disable)()
    try:
        with pytest.raises(msgspec.ValidationError):
            records_of(log)
        assert gc.isenabled() is is_on
    finally:
        gc.enable()
    await log.close()
