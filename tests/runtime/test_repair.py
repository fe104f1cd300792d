"""Damaged logs: what verify says, what salvage finds, what repair makes of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tinyagent._alchemy import line_under
from tinyagent.runtime.errors import CorruptLogError, LogNotFoundError
from tinyagent.runtime.load import LostRecords, LostValue, read_log
from tinyagent.runtime.log import forked_from, open_packed, write_packed
from tinyagent.runtime.repair import Gap, Report, repair, salvage, verify
from tinyagent.runtime.stores import Level, Log, SealKey, Stored
from tinyagent.runtime.stores.files import FileLog

ID = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"
KEY = SealKey("ed25519", bytes(32))


def now_us() -> int:
    return 1795420800000000


def append(log: Log, count: int, text: str = "text") -> None:
    for _ in range(count):
        seq = log.seq + 1
        payload = b'{"content":"%s %d"}' % (text.encode(), seq)
        log.append(seq, now_us() + seq, None, "user.said", 1, seq - 1, payload)


async def made(
    path: Path, count: int, level: Level = "crc", key: SealKey | None = None, text: str = "text"
) -> Path:
    """Two openings with half of the records each; returns the first segment."""
    for _ in range(2):
        log = FileLog(path, now_us=now_us, log_id=ID, level=level, key=key)
        append(log, count // 2, text)
        await log.close()
    return path / "00000001.jsonl"


def damage(path: Path, text: bytes) -> int:
    """Change one byte of *text*; returns where the line with it starts."""
    bytes_ = path.read_bytes()
    at = bytes_.index(text)
    path.write_bytes(bytes_[:at] + b"?" + bytes_[at + 1 :])
    return bytes_.rfind(b"\n", 0, at) + 1


def seqs(records: list[Stored]) -> list[int]:
    return [record.seq for record in records]


def said(report: Report) -> list[tuple[str, str]]:
    return [(segment.name, segment.verdict) for segment in report.segments]


async def test_a_sound_log_is_clean_segment_by_segment(tmp_path: Path) -> None:
    await made(tmp_path, 6)
    report = verify(tmp_path)
    assert (report.log, report.verdict) == (ID, "clean")
    assert said(report) == [("00000001.jsonl", "sealed"), ("00000002.jsonl", "sealed")]
    assert [segment.records for segment in report.segments] == [3, 3]
    assert all(segment.complaints == () for segment in report.segments)
    found = salvage(tmp_path)
    assert [seqs(part) for part in found.parts if not isinstance(part, Gap)] == [[1, 2, 3, 4, 5, 6]]
    assert found.gaps == []


async def test_a_damaged_record_is_named_with_its_segment_and_byte(tmp_path: Path) -> None:
    segment = await made(tmp_path, 6)
    at = damage(segment, b"text 2")
    length = len(segment.read_bytes().splitlines(keepends=True)[2])
    report = verify(tmp_path)
    assert report.verdict == "corrupt"
    assert said(report) == [("00000001.jsonl", "corrupt"), ("00000002.jsonl", "sealed")]
    assert f"records 2..2 are lost, from byte {at} on" in report.segments[0].complaints
    assert salvage(tmp_path).gaps == [Gap(2, 2, "00000001.jsonl", at, length)]


async def test_a_repaired_log_has_one_record_for_each_gap_and_its_lines_unchanged(
    tmp_path: Path,
) -> None:
    segment = await made(tmp_path / "log", 8)
    before = segment.read_bytes()
    damage(segment, b"text 2")
    damage(segment, b"text 3")
    with pytest.raises(CorruptLogError):
        read_log(tmp_path / "log")
    found = repair(tmp_path / "log", tmp_path / "new")
    assert [(gap.first, gap.last) for gap in found.gaps] == [(2, 3)]
    loaded = read_log(tmp_path / "new")
    assert (loaded.meta.log, loaded.seq, loaded.verdict) == (ID, 8, "clean")
    assert seqs(loaded.records) == [1, 3, 4, 5, 6, 7, 8]
    lost = loaded.records[1]
    assert (lost.kind, lost.actor) == ("log.lost", None)
    assert lost.payload.startswith(b'{"first":2,"last":3,"bytes":')
    assert loaded.damage is not None
    assert loaded.damage.lost_records == (LostRecords(2, 3),)
    assert loaded.records[2].line in before.splitlines(keepends=True)
    assert verify(tmp_path / "new").verdict == "clean"


async def test_a_missing_segment_is_a_gap_too(tmp_path: Path) -> None:
    segment = await made(tmp_path / "log", 6)
    segment.unlink()
    assert [(gap.first, gap.last) for gap in salvage(tmp_path / "log").gaps] == [(1, 3)]
    repair(tmp_path / "log", tmp_path / "new")
    assert seqs(read_log(tmp_path / "new").records) == [3, 4, 5, 6]


async def test_records_missing_at_the_end_are_a_gap_up_to_the_evidence(tmp_path: Path) -> None:
    await made(tmp_path / "log", 6)
    second = tmp_path / "log" / "00000002.jsonl"
    rows = second.read_bytes().splitlines(keepends=True)
    second.write_bytes(b"".join(rows[:2]))
    # The hint in LOCK knows that 6 was durable.
    assert [(gap.first, gap.last) for gap in salvage(tmp_path / "log").gaps] == [(5, 6)]


@pytest.mark.parametrize("text", [b"tinyagent_log", b"text 1", b"text 3", b"tinyagent_seal"])
@pytest.mark.parametrize("ordinal", [1, 2])
async def test_whatever_is_damaged_runs_and_gaps_cover_the_log(
    tmp_path: Path, text: bytes, ordinal: int
) -> None:
    await made(tmp_path / "log", 6)
    texts = {b"text 1": b"text 4", b"text 3": b"text 6"}
    wanted = texts.get(text, text) if ordinal == 2 else text
    damage(tmp_path / "log" / f"0000000{ordinal}.jsonl", wanted)
    found = salvage(tmp_path / "log")
    covered: list[int] = []
    for part in found.parts:
        covered += range(part.first, part.last + 1) if isinstance(part, Gap) else seqs(part)
    assert covered == [1, 2, 3, 4, 5, 6]
    assert sum(gap.last - gap.first + 1 for gap in found.gaps) == (1 if b"text" in text else 0)
    repair(tmp_path / "log", tmp_path / "new")
    assert read_log(tmp_path / "new").seq == 6


async def test_a_repaired_log_is_gone_on_with_only_on_demand(tmp_path: Path) -> None:
    damage(await made(tmp_path / "log", 6), b"text 2")
    repair(tmp_path / "log", tmp_path / "new")
    with pytest.raises(CorruptLogError, match=r"records 2\.\.2 are lost, .*accept_loss=True"):
        FileLog(tmp_path / "new", now_us=now_us)
    log = FileLog(tmp_path / "new", now_us=now_us, accept_loss=True)
    append(log, 1)
    await log.close()
    assert (log.seq, verify(tmp_path / "new").verdict) == (7, "clean")


async def test_two_gaps_in_a_row_of_repairs_stay_two(tmp_path: Path) -> None:
    damage(await made(tmp_path / "log", 8), b"text 2")
    repair(tmp_path / "log", tmp_path / "new")
    damage(tmp_path / "new" / "00000001.jsonl", b"text 4")
    repair(tmp_path / "new", tmp_path / "newer")
    loaded = read_log(tmp_path / "newer")
    assert loaded.damage is not None
    assert loaded.damage.lost_records == (LostRecords(2, 2), LostRecords(4, 4))
    write_packed(loaded, tmp_path / "packed.jsonl")
    packed = open_packed(tmp_path / "packed.jsonl")
    assert (packed.seq, [record.seq for record in packed.read(4)]) == (8, [4, 5, 6, 7, 8])


async def test_a_chained_log_is_repaired_gone_on_with_and_still_found_out(tmp_path: Path) -> None:
    damage(await made(tmp_path / "log", 8, "chain"), b"text 2")
    repair(tmp_path / "log", tmp_path / "new")
    assert verify(tmp_path / "new").verdict == "clean"
    log = FileLog(tmp_path / "new", now_us=now_us, accept_loss=True)
    append(log, 2)
    await log.close()
    assert verify(tmp_path / "new").verdict == "clean"
    forge(tmp_path / "new" / "00000002.jsonl", b"text 9", b"TEXT 9")
    report = verify(tmp_path / "new")
    assert said(report) == [("00000001.jsonl", "sealed"), ("00000002.jsonl", "corrupt")]
    assert "record 9: it carries the chain hash" in report.segments[1].complaints[0]


def forge(path: Path, old: bytes, new: bytes) -> None:
    rows = path.read_bytes().replace(old, new).splitlines(keepends=True)
    path.write_bytes(b"".join(line_under(row, ID) for row in rows))


async def test_signatures_are_checked_with_the_key_and_only_then(tmp_path: Path) -> None:
    await made(tmp_path, 6, "signed", KEY)
    report = verify(tmp_path, key=KEY)
    assert (report.verdict, report.signatures) == ("clean", 2)
    assert verify(tmp_path).signatures == 0
    other = verify(tmp_path, key=SealKey("ed25519", b"\1" * 32))
    assert other.verdict == "corrupt"
    assert other.segments[0].complaints == ("the seal after record 3 was not signed with this key",)


async def test_a_lost_value_is_named(tmp_path: Path) -> None:
    await made(tmp_path / "log", 2, text="long " * 20_000)
    assert verify(tmp_path / "log").blobs == 2
    blob = sorted((tmp_path / "log" / "blobs").glob("*/*"))[0]
    blob.write_bytes(b"other")
    report = verify(tmp_path / "log")
    assert (report.verdict, report.blobs) == ("corrupt", 1)
    [lost] = report.lost_values
    assert lost in (LostValue(1, blob.name), LostValue(2, blob.name))
    # What is left is repaired with the values that are left.
    repair(tmp_path / "log", tmp_path / "new")
    assert len(list((tmp_path / "new" / "blobs").glob("*/*"))) == 1


async def test_a_torn_end_is_no_gap(tmp_path: Path) -> None:
    log = FileLog(tmp_path, now_us=now_us, log_id=ID)
    append(log, 2)
    await log.durable(2)
    await log.close()
    shutil.copytree(tmp_path, tmp_path / "copy")
    first = tmp_path / "copy" / "00000001.jsonl"
    rows = first.read_bytes().splitlines(keepends=True)
    first.write_bytes(b"".join(rows[:-1]) + b'{"seq":3,"d":2,"ts')
    report = verify(tmp_path / "copy")
    assert (report.verdict, said(report)) == ("torn", [("00000001.jsonl", "torn")])
    assert salvage(tmp_path / "copy").gaps == []


async def test_packed_logs_and_forks_are_verified_and_repaired_too(tmp_path: Path) -> None:
    await made(tmp_path / "parent", 4)
    write_packed(tmp_path / "parent", tmp_path / "packed.jsonl")
    assert verify(tmp_path / "packed.jsonl").verdict == "clean"
    parent = FileLog(tmp_path / "parent", now_us=now_us)
    fork = forked_from(parent, 2)
    await parent.close()
    child = FileLog(tmp_path / "child", now_us=now_us, fork=fork)
    append(child, 3)
    await child.close()
    damage(tmp_path / "child" / "00000001.jsonl", b"text 4")
    found = repair(tmp_path / "child", tmp_path / "mended")
    assert [(gap.first, gap.last) for gap in found.gaps] == [(4, 4)]
    assert seqs(read_log(tmp_path / "mended").records) == [1, 2, 3, 4, 5]


def test_nothing_is_not_a_log(tmp_path: Path) -> None:
    for look in (verify, salvage):
        with pytest.raises(LogNotFoundError):
            look(tmp_path / "none")
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(LogNotFoundError):
            look(tmp_path / "empty")


async def test_a_log_is_not_repaired_onto_another(tmp_path: Path) -> None:
    await made(tmp_path / "log", 2)
    with pytest.raises(ValueError, match="there is a log in this folder; name one that is new"):
        repair(tmp_path / "log", tmp_path / "log")
