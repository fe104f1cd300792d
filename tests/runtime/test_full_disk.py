"""A small disk that is full: nothing is there by half, and with room it goes on."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.disks import small_disk

from tinyagent import Agent, load, open_log
from tinyagent.cli import main
from tinyagent.events import Record, encode, kinds as k
from tinyagent.runtime.archive import archive
from tinyagent.runtime.errors import LogError, LogFullError
from tinyagent.runtime.load import read_log
from tinyagent.runtime.log import write_packed
from tinyagent.runtime.repair import repair
from tinyagent.runtime.sinks.files import FileSink
from tinyagent.runtime.sinks.sqlite import SqliteSink
from tinyagent.runtime.stores.files import FileLog
from tinyagent.runtime.stores.snapshots import Snapshots
from tinyagent.runtime.stores.sqlite import SqliteLog
from tinyagent.testing import scripted

ID = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"
ROOM = 100_000
Make = Callable[[Path], FileLog | SqliteLog]


class Disk:
    """A small file system: *path* is in it, and ``ballast`` takes what is to be full."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self, leave: int = ROOM) -> None:
        free = os.statvfs(self.path)
        self._ballast.write_bytes(bytes(max(free.f_bavail * free.f_frsize - leave, 0)))

    def free(self) -> None:
        self._ballast.unlink()

    @property
    def half_written(self) -> list[Path]:
        return list(self.path.rglob("*.tmp"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Four megabytes: one more than what a log sets aside, and some to go on with."""
    path = tmp_path / "small"
    with small_disk(path, "4m"):
        yield Disk(path)


def of_files(disk: Path) -> FileLog:
    return FileLog(disk / "log", now_us=lambda: 1)


def of_sqlite(disk: Path) -> SqliteLog:
    return SqliteLog(f"sqlite:///{disk}/runs.db#trip", now_us=lambda: 1)


def append(log: FileLog | SqliteLog, size: int) -> None:
    seq = log.seq + 1
    text = b"%d" % seq + os.urandom(size // 2).hex().encode()
    log.append(seq, seq, None, "user.said", 1, 0, b'{"content":"%s"}' % text)


async def until_full(log: FileLog | SqliteLog, size: int) -> int:
    """Return the last record that was acknowledged before the disk was full."""

    async def write() -> None:
        while True:
            append(log, size)
            await log.durable(log.seq)

    with pytest.raises(LogFullError, match=r"full.*make room"):
        await write()
    with suppress(LogError):
        await log.close()
    return log.durable_seq


@pytest.mark.parametrize("size", [300, 30_000, 90_000])
@pytest.mark.parametrize("make", [of_files, of_sqlite])
async def test_what_was_acknowledged_is_there_and_with_room_the_log_goes_on(
    disk: Disk, make: Make, size: int
) -> None:
    log = make(disk.path)
    append(log, size)
    await log.durable(1)
    disk.fill()
    last = await until_full(log, size)
    assert disk.half_written == []
    assert last >= 1
    found = read_log(log.where)
    assert found.seq >= last
    assert found.damage is None or not found.damage.lost_values
    disk.free()
    log = make(disk.path)
    append(log, size)
    await log.durable(log.seq)
    await log.close()
    assert read_log(log.where).seq == log.seq >= last + 1


async def test_a_reserve_that_finds_no_room_is_not_there_by_half(disk: Disk) -> None:
    disk.fill()
    log = of_files(disk.path)
    assert not (disk.path / "log" / "RESERVE").exists()
    await until_full(log, 3_000)
    disk.free()
    log = of_files(disk.path)
    assert (disk.path / "log" / "RESERVE").stat().st_size == 1 << 20
    await log.close()


async def test_a_log_that_cannot_be_opened_for_it_says_so_and_can_be_later(disk: Disk) -> None:
    log = of_files(disk.path)
    append(log, 300)
    await log.close()
    disk.fill(leave=0)
    told = "starting a segment failed: the disk is full; make room and try again"
    with pytest.raises(LogFullError, match=told):
        of_files(disk.path)
    assert read_log(log.where).seq == 1
    disk.free()
    log = of_files(disk.path)
    assert (log.seq, log.durable_seq) == (1, 1)
    await log.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A log of 600 KB, large values among it, on a disk with room."""

    async def write() -> None:
        log = of_files(tmp_path)
        for size in (*[3_000] * 60, 200_000, 200_000):
            append(log, size)
        await log.close()

    asyncio.run(write())
    return tmp_path / "log"


def packs(source: Path, disk: Path) -> Any:
    write_packed(source, disk / "packed.jsonl")
    return read_log(disk / "packed.jsonl").seq


def repairs(source: Path, disk: Path) -> Any:
    repair(source, disk / "repaired")
    return read_log(disk / "repaired").seq


@pytest.mark.parametrize("work", [packs, repairs])
def test_a_copy_is_whole_or_not_there_and_can_be_made_later(
    disk: Disk, source: Path, work: Callable[[Path, Path], Any]
) -> None:
    disk.fill()
    with pytest.raises(LogFullError, match="the disk is full; make room and try again"):
        work(source, disk.path)
    assert disk.half_written == []
    assert not list(disk.path.glob("*.jsonl"))
    disk.free()
    assert work(source, disk.path) == 62


@pytest.mark.parametrize("to", ["jsonl", "html"])
def test_an_export_is_whole_or_not_there(
    disk: Disk, source: Path, to: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = disk.path / f"page.{to}"
    command = ["export", str(source), "--to", to, "-o", str(file)]
    if to == "html":
        command[1] = str(recorded(disk.path.parent))
    disk.fill(leave=8_192)
    assert main(command) == 3
    assert f"{disk.path}" in capsys.readouterr().err
    assert disk.half_written == []
    assert not file.exists()
    disk.free()
    assert main(command) == 0


def recorded(folder: Path) -> Path:
    """Return the place of a session."""

    async def run() -> None:
        async with open_log(folder / "session") as log:
            await Agent(model=scripted("Yes."), log=log).run("Is it?")

    asyncio.run(run())
    return folder / "session"


def test_an_archive_that_finds_no_room_leaves_the_log_as_it_was(disk: Disk, source: Path) -> None:
    there = disk.path / "log"
    shutil.copytree(source, there)
    disk.fill(leave=8_192)
    with pytest.raises(LogFullError, match="the disk is full"):
        archive(there)
    assert disk.half_written == []
    assert [path.name for path in there.glob("0*")] == ["00000001.jsonl"]
    disk.free()
    assert [made.name for made in archive(there)] == ["00000001.jsonl.zst"]
    assert read_log(there).seq == 62


def test_a_snapshot_that_finds_no_room_is_none(disk: Disk) -> None:
    event = k.RunEnded("answered", "56af4bde70a47ae7")
    record = Record(seq=9, at_ns=10**18, cause=1, actor="a", event=event, payload=encode(event))
    snapshots = Snapshots(disk.path, ID)
    for is_full in (True, False):
        if is_full:
            disk.fill(leave=8_192)
        snapshots.keep(record, "0123456789abcdef", lambda: b'"%s"' % (b"x" * 50_000))
        snapshots.wait()
        assert len(snapshots.paths()) == (not is_full)
        assert disk.half_written == []
        if is_full:
            disk.free()


@pytest.mark.parametrize("kind", [FileSink, SqliteSink])
async def test_a_sink_without_room_is_on_record_and_catches_up_with_it(
    disk: Disk, tmp_path: Path, kind: type[FileSink] | type[SqliteSink]
) -> None:
    where = disk.path / "mirror"
    copy = where if kind is FileSink else f"sqlite:///{where}"
    disk.fill()
    texts = ("x" * 60_000, "y" * 60_000, "z")
    for text in texts:
        async with open_log(tmp_path / "trip", sinks=[kind(where)]) as log:
            await Agent(model=scripted(*texts), log=log).run("Go")
        if text[0] == "y":
            events = [record.event for record in load(tmp_path / "trip").records]
            failed = [event for event in events if isinstance(event, k.SinkFailed)]
            assert "full" in failed[0].failure.message.lower()
            disk.free()
    assert load(tmp_path / "trip").messages[:6] == load(copy).messages[:6]
