"""Places that are not what they should be: a named error, and nothing is damaged by the attempt."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.disks import small_disk

from tinyagent.runtime import stores
from tinyagent.runtime.archive import archive
from tinyagent.runtime.errors import (
    CorruptLogError,
    LogError,
    LogFailedError,
    LogLimitError,
    LogNotFoundError,
)
from tinyagent.runtime.load import read_log
from tinyagent.runtime.log import open_log_at, write_packed
from tinyagent.runtime.repair import verify

LARGE = 90_000


def write(where: str | Path) -> None:
    """Open the log at *where* and append three records, one with a large value."""

    async def append() -> None:
        log = open_log_at(where, now_us=lambda: 1)
        try:
            for size in (3, LARGE, 3):
                seq = log.seq + 1
                text = b"x" * (size - 2) + b"%2d" % seq
                log.append(seq, seq, None, "user.said", 1, 0, b'{"content":"%s"}' % text)
        finally:
            await log.close()

    asyncio.run(append())


def test_a_segment_of_another_log_is_no_part_of_this_one_and_not_passed_over(
    tmp_path: Path,
) -> None:
    log, other = tmp_path / "log", tmp_path / "other"
    for _ in range(2):
        write(log)
        write(other)
    segments = [path.read_bytes() for path in sorted(log.glob("*.jsonl"))]
    for number, body in enumerate(segments, 1):
        there = log / f"{number:08}.jsonl"
        there.write_bytes((other / there.name).read_bytes())
        for lock in (log / "LOCK").read_bytes(), b"":  # with the hint, and without
            (log / "LOCK").write_bytes(lock)
            for use in (read_log, write):
                told = f"{log}.*: a segment of log .*, among those of log .*: files of two logs"
                with pytest.raises(CorruptLogError, match=told):
                    use(log)
        there.write_bytes(body)
        assert read_log(log).seq == 6


def test_a_name_that_no_reader_would_take_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    where = tmp_path / "log"
    with pytest.raises(LogLimitError, match="at most 65536 may be; give a shorter name"):
        open_log_at(where, now_us=lambda: 1, name="x" * 65_536)
    with pytest.raises(LogNotFoundError):
        read_log(where)
    write(where)
    assert read_log(where).seq == 3


def folder_for(name: str) -> Callable[[Path], None]:
    def replace(log: Path) -> None:
        (log / name).unlink(missing_ok=True)
        (log / name).mkdir()

    return replace


def loop_for(name: str) -> Callable[[Path], None]:
    def replace(log: Path) -> None:
        (log / name).unlink()
        (log / name).symlink_to(name)

    return replace


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (folder_for("00000001.jsonl"), "00000001.jsonl: reading failed: "),
        (folder_for("00000002.jsonl"), "00000002.jsonl: reading failed: "),
        (loop_for("00000001.jsonl"), "00000001.jsonl: reading failed: "),
    ],
)
def test_what_cannot_be_read_as_a_segment_is_named(
    tmp_path: Path, change: Callable[[Path], None], told: str
) -> None:
    log = tmp_path / "log"
    write(log)
    change(log)
    for use in (read_log, verify, write):
        with pytest.raises(LogFailedError, match=told):
            use(log)


@pytest.mark.parametrize("name", ["RESERVE", "snap/00000000000000000003.json"])
def test_a_folder_where_a_hint_or_a_cache_should_be_is_no_hindrance(
    tmp_path: Path, name: str
) -> None:
    write(tmp_path / "log")
    (tmp_path / "log" / name).mkdir(parents=True)
    write(tmp_path / "log")
    assert read_log(tmp_path / "log").seq == 6


def test_a_lock_that_is_a_folder_hinders_whoever_writes_alone(tmp_path: Path) -> None:
    write(tmp_path / "log")
    folder_for("LOCK")(tmp_path / "log")
    assert read_log(tmp_path / "log").seq == 3
    with pytest.raises(LogFailedError, match=r"locking failed: .*; look at that path, and try"):
        write(tmp_path / "log")


@pytest.mark.parametrize("start", ["", "sqlite:///"])
@pytest.mark.parametrize("name", ["n" * 300, "loop", "file/below"])
def test_a_place_that_cannot_be_is_a_log_error(tmp_path: Path, start: str, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("text")
    for use in (read_log, write):
        with pytest.raises(LogError):
            use(f"{start}{tmp_path / name}")
    there = {path.name for path in tmp_path.iterdir()}
    assert there - {"loop-lock"} == {"file", "loop"}


def test_of_the_logs_of_a_large_database_an_error_names_some(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/runs.db"
    write(f"{database}#n0")
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection, connection:
        for number in range(1, 1100):
            row = f"{number:032x}", f'{{"name":"n{number}"}}'
            connection.execute("INSERT INTO log VALUES (?, ?)", row)
    with pytest.raises(LogNotFoundError, match=r"no such log .known: #n1, #n2, .*, and 1,080 more"):
        read_log(f"{database}#none")
    with pytest.raises(ValueError, match=r"holds 1100 logs, name one of them: #n1, .* and 1,080"):
        read_log(database)


@pytest.mark.parametrize("start", ["", "sqlite:///"])
def test_whoever_opens_a_log_that_has_become_long_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    monkeypatch.setattr(stores, "RECORDS_WARN", 3)
    where = f"{start}{tmp_path / 'log'}"
    write(where)
    with pytest.warns(UserWarning, match="log: the log holds 3 records, and every opening reads"):
        write(where)


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(LogFailedError, match="a folder, and no database; name a file"):
        read_log(f"sqlite:///{tmp_path}")
    with pytest.raises(LogFailedError, match="a folder, and no database; name a file"):
        write(f"sqlite:///{tmp_path}")


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux alone")
def test_names_that_are_no_text_are_names(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    write(odd)
    write(f"sqlite:///{odd}.db#trip")
    packed = Path(f"{odd}.jsonl")
    write_packed(odd, packed)
    for where in (odd, f"sqlite:///{odd}.db#trip", packed):
        assert read_log(where).seq == 3
        assert read_log(where).damage is None
    assert packed.is_file()


def test_of_many_processes_that_open_at_once_one_writes_and_the_others_are_told(
    tmp_path: Path,
) -> None:
    code = f"""
        import sys
        from tinyagent.runtime.errors import LogFencedError, LogOwnedError
        from tinyagent.runtime.stores.files import FileLog
        sys.stdin.readline()
        try:
            log = FileLog({str(tmp_path / "log")!r}, now_us=lambda: 1)
            print("owner", flush=True)
            sys.stdin.readline()
        except (LogOwnedError, LogFencedError) as error:
            print(type(error).__name__, flush=True)
    """
    program = [sys.executable, "-c", textwrap.dedent(code)]
    pipe = subprocess.PIPE
    started: list[Any] = [
        subprocess.Popen(program, stdin=pipe, stdout=pipe, text=True) for _ in range(4)
    ]
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.stdout.readline().strip() for process in started]
    for process in started:
        process.communicate("\n", timeout=60)
    assert sorted(said) == ["LogOwnedError"] * 3 + ["owner"]
    write(tmp_path / "log")
    assert read_log(tmp_path / "log").seq == 3


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A file system with a log and a database, that is then made read-only."""
    disk = tmp_path / "disk"
    with small_disk(disk, "4m"):
        write(disk / "log")
        write(f"sqlite:///{disk}/runs.db#trip")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        yield disk


def test_what_lies_where_nothing_can_be_written_is_read_and_not_written(read_only: Path) -> None:
    database = f"sqlite:///{read_only}/runs.db#trip"
    assert read_log(read_only / "log").seq == read_log(database).seq == 3
    assert verify(read_only / "log").verdict == "clean"
    for attempt in (
        lambda: write(read_only / "log"),
        lambda: write(read_only / "new"),
        lambda: write(database),
        lambda: archive(read_only / "log"),
        lambda: write_packed(read_only / "log", read_only / "packed.jsonl"),
    ):
        with pytest.raises(LogFailedError, match="Read-only file system"):
            attempt()
