"""Marks with fields of a later release: kept as they are by whoever writes the log again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinyagent._alchemy import crc32c
from tinyagent.runtime.load import read_log
from tinyagent.runtime.log import forked_from, open_packed, pack, write_packed
from tinyagent.runtime.redact import Redaction, redact
from tinyagent.runtime.repair import repair
from tinyagent.runtime.sinks.files import FileSink
from tinyagent.runtime.stores import Log, as_record
from tinyagent.runtime.stores.files import FileLog
from tinyagent.runtime.stores.memory import MemoryLog

ID, CHILD = "11" * 16, "22" * 16
FIRST, LAST = b'"colour":{"of":[1,2.50,"\\u00e9}"]}', b'"moon":null'
MORE = (("level", FIRST.decode()), ("by", LAST.decode()))


def now_us() -> int:
    return 1795420800000000


def say(log: Log, *texts: str) -> None:
    for text in texts:
        seq = log.seq + 1
        payload = b'{"content":"%s"}' % text.encode()
        log.append(seq, now_us() + seq, None, "user.said", 1, seq - 1, payload)


def of_the_future(header: bytes, log_id: str) -> bytes:
    """Return *header* as a later release wrote it: a field in the middle, and one at the end."""
    body = header[: header.index(b',"x":')].replace(b'"level":"crc"', b'"level":"crc",' + FIRST)
    body += b"," + LAST
    return b'%s,"x":"%08x"}\n' % (body, crc32c(bytes.fromhex(log_id) + body))


def sealed_anew(seal: bytes, log_id: str = ID) -> bytes:
    """Return *seal* as a later release wrote it, likewise."""
    body = seal[: seal.index(b',"x":')].replace(b'"why":', FIRST + b',"why":') + b"," + LAST
    return b'%s,"x":"%08x"}\n' % (body, crc32c(bytes.fromhex(log_id) + body))


def packed(*texts: str) -> bytes:
    log = MemoryLog(log_id=ID, name="trip")
    say(log, *texts)
    header, *rest, seal = pack(log).splitlines(keepends=True)
    return of_the_future(header, ID) + b"".join(rest) + sealed_anew(seal)


def headers(folder: Path) -> list[bytes]:
    return [path.read_bytes().splitlines()[0] for path in sorted(folder.glob("*.jsonl"))]


def keeps_all(header: bytes) -> bool:
    is_in_place = b'"level":"crc",' + FIRST + b"," in header
    return is_in_place and header[:-16].endswith(b"," + LAST)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A log in a folder whose only segment was written by a later release, and not closed."""
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "00000001.jsonl").write_bytes(b"".join(packed("a", "b").splitlines(True)[:-1]))
    return folder


async def test_a_packed_log_is_written_back_byte_for_byte(tmp_path: Path) -> None:
    once = packed("a", "b")
    (tmp_path / "once.jsonl").write_bytes(once)
    write_packed(tmp_path / "once.jsonl", tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == once
    assert pack(open_packed(tmp_path / "once.jsonl")) == once
    assert read_log(tmp_path / "once.jsonl").meta.more == MORE


async def test_every_further_segment_says_it_too(folder: Path) -> None:
    log = FileLog(folder, now_us=now_us, segment_bytes_max=100)
    assert (log.meta.more, log.meta.name) == (MORE, "trip")
    for text in ("c", "d", "e"):
        say(log, text)
        await log.durable(log.seq)
    await log.close()
    found = headers(folder)
    assert len(found) >= 3
    assert [keeps_all(header) for header in found] == [True] * len(found)
    assert read_log(folder).meta.more == MORE
    assert keeps_all(pack(read_log(folder)).splitlines()[0])


async def test_a_fork_keeps_its_own_and_takes_none_of_its_parent(folder: Path) -> None:
    parent = FileLog(folder, now_us=now_us)
    place = folder.parent / "child"
    child = FileLog(place, now_us=now_us, log_id=CHILD, fork=forked_from(parent, 1))
    say(child, "x")
    await child.close()
    await parent.close()
    assert child.meta.more == ()
    first = place / "00000001.jsonl"
    header, *rest = first.read_bytes().splitlines(keepends=True)
    first.write_bytes(of_the_future(header, CHILD) + b"".join(rest))
    again = FileLog(place, now_us=now_us)
    say(again, "y")
    await again.close()
    assert [keeps_all(header) for header in headers(place)] == [True, True]
    loaded = read_log(place)
    assert (loaded.meta.more, loaded.seq) == (MORE, 3)
    write_packed(loaded, folder.parent / "alone.jsonl")
    write_packed(folder.parent / "alone.jsonl", folder.parent / "again.jsonl")
    assert (folder.parent / "alone.jsonl").read_bytes() == pack(loaded)
    assert (folder.parent / "again.jsonl").read_bytes() == pack(loaded)
    assert keeps_all(pack(loaded).splitlines()[0])


async def test_a_repaired_a_redacted_and_a_mirrored_log_say_it_too(folder: Path) -> None:
    repair(folder, folder.parent / "repaired")
    redact(folder, folder.parent / "redacted", [Redaction(1)])
    sink = FileSink(folder.parent / "mirrored")
    log = read_log(folder)
    sink.begin(log.meta)
    for stored in log.records:
        sink.write(as_record(stored))
    await sink.close()
    for name in ("repaired", "redacted", "mirrored"):
        [header] = headers(folder.parent / name)
        assert keeps_all(header), name
        assert read_log(folder.parent / name).meta.more == MORE


async def test_a_seal_that_is_written_anew_says_what_the_last_one_said(folder: Path) -> None:
    (folder / "00000001.jsonl").write_bytes(packed("a", "b"))
    seal = b',"d":2,' + FIRST + b',"why":'
    repair(folder, folder.parent / "repaired")
    redact(folder, folder.parent / "redacted", [Redaction(1)])
    for place in (folder, folder.parent / "repaired", folder.parent / "redacted"):
        last = pack(read_log(place)).splitlines()[-1]
        assert seal in last, place
        assert last[:-16].endswith(b"," + LAST), place
    broken = (folder / "00000001.jsonl").read_bytes().replace(b'"content":"a"', b'"content":"?"')
    (folder / "00000001.jsonl").write_bytes(broken)
    repair(folder, folder.parent / "mended")
    assert seal in (folder.parent / "mended" / "00000001.jsonl").read_bytes()


async def test_a_log_that_was_masked_says_so_when_it_is_packed(folder: Path) -> None:
    log = FileLog(folder.parent / "chained", now_us=now_us, log_id=ID, level="chain")
    say(log, "secret", "b")
    await log.close()
    redact(folder.parent / "chained", folder.parent / "masked", [Redaction(1, "/content")])
    [header] = headers(folder.parent / "masked")
    said = header[header.index(b',"redacted":') : header.index(b',"at":')]
    assert said in pack(read_log(folder.parent / "masked")).splitlines()[0]
