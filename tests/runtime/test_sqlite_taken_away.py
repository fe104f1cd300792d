"""A database that is taken away under an open log; a child that would close its parent's."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.children import said_by_child

from tinyagent.runtime.errors import ForkedProcessError, LogFailedError, LogFencedError
from tinyagent.runtime.load import read_log
from tinyagent.runtime.stores import sqlite_checks
from tinyagent.runtime.stores.sqlite import SqliteLog

NOW_US = 1_795_420_800_000_000


def opened(path: Path) -> SqliteLog:
    return SqliteLog(f"sqlite:///{path}#trip", now_us=lambda: NOW_US)


def append(log: SqliteLog) -> None:
    log.append(log.seq + 1, NOW_US, None, "user.said", 1, 0, b'{"content":"hi"}')


def renamed(path: Path) -> None:
    path.rename(path.with_name("other.db"))


def replaced(path: Path) -> None:
    body = path.read_bytes()
    path.unlink()
    path.write_bytes(body)


def with_its_folder(path: Path) -> None:
    """Let something else be where its folder was."""
    path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.write_text("no folder")


@pytest.mark.parametrize("take_away", [Path.unlink, renamed, replaced, with_its_folder])
async def test_what_is_committed_to_a_file_that_nobody_finds_is_not_acknowledged(
    tmp_path: Path, take_away: Callable[[Path], None]
) -> None:
    path = tmp_path / "folder" / "runs.db"
    log = opened(path)
    append(log)
    await log.durable(1)
    take_away(path)
    append(log)
    told = "the database was removed, renamed or replaced; records after 1 were never acknowledged"
    with pytest.raises(LogFencedError, match=told):
        await log.durable(2)
    with pytest.raises(LogFencedError):
        await log.close()
    if not path.exists():
        with pytest.raises(LogFailedError, match="it was removed or renamed: put it back"):
            list(log.read())


async def test_nor_what_is_in_a_wal_that_nobody_finds_and_what_was_before_is_saved(
    tmp_path: Path,
) -> None:
    log = opened(tmp_path / "runs.db")
    append(log)
    await log.durable(1)
    (tmp_path / "runs.db-wal").unlink()
    append(log)
    told = "runs.db-wal was removed, renamed or replaced; records after 1 were never acknowledged;"
    for step in (log.durable(2), log.close()):
        with pytest.raises(LogFencedError, match=f"{told} close this log, which saves the others"):
            await step
    again = opened(tmp_path / "runs.db")
    assert again.seq >= 1
    await again.close()


def test_another_process_that_comes_and_goes_takes_nothing_away(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'runs.db'}"
    logs = [SqliteLog(f"{database}#{name}", now_us=lambda: NOW_US) for name in "ab"]
    code = f"""
        import asyncio
        from tinyagent.runtime.stores.sqlite import SqliteLog
        log = SqliteLog({database + "#c"!r}, now_us=lambda: 1)
        log.append(1, 1, None, "user.said", 1, 0, b"{{}}")
        asyncio.run(log.close())
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
    for log in logs:
        append(log)
        asyncio.run(log.durable(1))
    for log in logs:
        asyncio.run(log.close())
    assert [read_log(f"{database}#{name}").seq for name in "abc"] == [1, 1, 1]


async def test_what_sqlite_does_not_take_is_an_error_for_who_waits_and_not_silence(
    tmp_path: Path,
) -> None:
    log = opened(tmp_path / "runs.db")
    log.append(1, 2**63, None, "user.said", 1, 0, b'{"content":"hi"}')
    for step in (log.durable(1), log.close()):
        with pytest.raises(LogFailedError, match="too large to convert to SQLite INTEGER"):
            await step
    assert opened(tmp_path / "runs.db").seq == 0


async def test_who_waits_for_a_database_that_another_program_holds_is_told_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_checks, "LOCKED_S", 0.05)
    log = opened(tmp_path / "runs.db")
    with closing(sqlite3.connect(tmp_path / "runs.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        append(log)
        told = "is locked; durable up to record 0; another program held it for too long; open the "
        for step in (log.durable(1), log.close()):
            with pytest.raises(LogFailedError, match=told):
                await step
    log = opened(tmp_path / "runs.db")
    append(log)
    await log.close()


def test_a_child_does_not_close_the_log_of_its_parent(tmp_path: Path) -> None:
    log = opened(tmp_path / "runs.db")
    append(log)
    asyncio.run(log.durable(1))

    def act() -> str:
        with pytest.raises(ForkedProcessError) as refused:
            asyncio.run(log.close())
        return str(refused.value)

    assert "this is its child" in said_by_child(act)[1]
    append(log)
    asyncio.run(log.close())
    assert read_log(log.where).seq == 2
