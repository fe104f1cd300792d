"""A log in SQLite: what only this store promises. The rest is in its contract."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.children import said_by_child

from tinyagent.cli import main
from tinyagent.runtime.errors import (
    CorruptLogError,
    ForkedProcessError,
    LogBehindError,
    LogError,
    LogFailedError,
    LogFencedError,
    LogNotFoundError,
    LogOwnedError,
)
from tinyagent.runtime.load import LostValue, read_log
from tinyagent.runtime.log import open_log_at
from tinyagent.runtime.stores.sqlite import SqliteLog
from tinyagent.runtime.stores.sqlite_writer import warn_of_old_sqlite

ID = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"
NOW_US = 1_795_420_800_000_000


def opened(address: str) -> SqliteLog:
    return SqliteLog(address, now_us=lambda: NOW_US)


def append(log: SqliteLog, count: int, text: str = "hello") -> None:
    for _ in range(count):
        seq = log.seq + 1
        payload = b'{"content":"%s %d"}' % (text.encode(), seq)
        log.append(seq, NOW_US + seq, None, "user.said", 1, seq - 1, payload)


def written(address: str, count: int) -> None:
    log = opened(address)
    append(log, count)
    asyncio.run(log.close())


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/logs.db#trip"


def changed(address: str, statement: str, *values: object) -> None:
    with sqlite3.connect(address.removeprefix("sqlite:///").partition("#")[0]) as connection:
        connection.execute(statement, values)
    connection.close()


async def test_the_worked_example_of_the_format_is_in_the_table_to_the_byte(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/logs.db"
    log = SqliteLog(address, now_us=lambda: NOW_US, log_id=ID)
    log.append(1, 1795420800000210, None, "session.started", 1, 0, b"{}")
    log.append(
        2, 1795420800051400, None, "user.said", 1, 0, b'{"content":"Remind Ann about INV-7."}'
    )
    await log.close()
    connection = sqlite3.connect(tmp_path / "logs.db")
    asked = "SELECT seq, k, a, c, ts, line FROM record WHERE log = ? AND seq = 2"
    assert connection.execute(asked, (ID,)).fetchall() == [
        (
            2,
            "user.said",
            None,
            0,
            1795420800051400,
            b'{"seq":2,"d":0,"ts":1795420800051400,"k":"user.said","v":1,"c":0,'
            b'"e":{"content":"Remind Ann about INV-7."},"x":"c7617ef3"}\n',
        )
    ]
    question = "SELECT json_extract(line, '$.e.content') FROM record WHERE k = 'user.said'"
    assert connection.execute(question).fetchall() == [("Remind Ann about INV-7.",)]
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


async def test_a_database_holds_many_logs_by_name_or_id(tmp_path: Path) -> None:
    file = f"sqlite:///{tmp_path}/logs.db"
    one, two = opened(f"{file}#one"), opened(f"{file}#two")
    append(one, 3, "one")
    append(two, 5, "two")
    await one.close()
    await two.close()
    assert (read_log(f"{file}#one").seq, read_log(f"{file}#{two.meta.log}").seq) == (3, 5)
    assert read_log(f"{file}#two").records[0].payload == b'{"content":"two 1"}'
    with pytest.raises(ValueError, match=r"holds 2 logs, name one of them: #\w+, #\w+"):
        read_log(file)
    with pytest.raises(LogNotFoundError, match=r"there is no such log \(known: #\w+, #\w+\)"):
        read_log(f"{file}#three")


@pytest.mark.parametrize("address", ["sqlite:", "sqlite:///", "sqlite://runs.db", "sqlite:runs.db"])
def test_what_is_no_address_is_refused_with_its_form(address: str) -> None:
    with pytest.raises(ValueError, match="expected sqlite:///FILE or sqlite:///FILE#NAME"):
        opened(address)


def test_a_place_without_a_log_says_so(tmp_path: Path) -> None:
    with pytest.raises(LogNotFoundError, match="there is no file"):
        read_log(f"sqlite:///{tmp_path}/none.db")
    (tmp_path / "text.db").write_text("x" * 5_000)
    with pytest.raises(CorruptLogError, match="not a database"):
        read_log(f"sqlite:///{tmp_path}/text.db")
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE t (a)").connection.close()
    with pytest.raises(LogNotFoundError, match="a database without logs"):
        read_log(f"sqlite:///{tmp_path}/other.db")
    with pytest.raises(LogFailedError):
        opened(f"sqlite:///{tmp_path}/text.db/below.db")


def test_open_log_and_the_command_line_take_addresses(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log = open_log_at(address, now_us=lambda: NOW_US, durability="group")
    assert isinstance(log, SqliteLog)
    assert (log.durability, log.meta.name) == ("group", "trip")
    log.append(1, NOW_US, None, "user.said", 1, 0, b'{"content":"Remind Ann."}')
    asyncio.run(log.close())
    assert main(["show", address]) == 0
    assert "Remind Ann." in capsys.readouterr().out
    assert main(["verify", address]) == 0
    assert f"{address}   ok       1 records" in capsys.readouterr().out
    with pytest.raises(ValueError, match="durability 'memory' has no file"):
        open_log_at(address, now_us=lambda: NOW_US, durability="memory")


def test_another_process_is_refused_with_the_first_ones_number(address: str) -> None:
    log = opened(address)
    code = f"""
        from tinyagent.runtime.stores.sqlite import SqliteLog
        from tinyagent.runtime.errors import LogOwnedError
        try:
            SqliteLog({address!r}, now_us=lambda: 1)
        except LogOwnedError as error:
            print(error)
    """
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert f"is being written by process {os.getpid()} on " in said.stdout
    append(log, 1)
    asyncio.run(log.close())


def test_a_killed_process_loses_nothing_that_it_was_told_is_durable(address: str) -> None:
    code = f"""
        import asyncio, sys
        from tinyagent.runtime.stores.sqlite import SqliteLog
        log = SqliteLog({address!r}, now_us=lambda: 1)
        async def main():
            while True:
                for _ in range(7):
                    seq = log.seq + 1
                    log.append(seq, seq, None, "user.said", 1, 0, b'{{"content":"%d"}}' % seq)
                await log.durable(seq)
                print(seq, flush=True)
        asyncio.run(main())
    """
    told = 0
    for _ in range(5):
        program = [sys.executable, "-c", textwrap.dedent(code)]
        with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(20):
                told = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            told = max([told, *map(int, process.stdout.read().split())])
        loaded = read_log(address)
        assert loaded.seq >= told
        assert [r.payload for r in loaded.records] == [
            b'{"content":"%d"}' % seq for seq in range(1, loaded.seq + 1)
        ]
        assert (loaded.damage, loaded.durable_seq) == (None, loaded.seq)
    assert told >= 5 * 20 * 7


@pytest.mark.parametrize("ending", ["pass", "raise SystemExit(3)", "1 / 0"])
def test_a_program_may_end_at_any_time_and_what_it_accepted_is_written(
    address: str, ending: str
) -> None:
    code = f"""
        import asyncio
        from tinyagent.runtime.stores.sqlite import SqliteLog
        log = SqliteLog({address!r}, now_us=lambda: 1)
        async def main():
            for seq in range(1, 5001):
                log.append(seq, seq, None, "user.said", 1, 0, b'{{"content":"x"}}')
            waiting = asyncio.create_task(log.durable(6000))
            await asyncio.sleep(0)
            {ending}
        asyncio.run(main())
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, check=False, timeout=20
    )
    assert read_log(address).seq == 5000


def test_a_log_that_is_dropped_leaves_what_was_accepted_and_frees_the_lock(address: str) -> None:
    log = opened(address)
    append(log, 100)
    del log
    gc.collect()
    again = opened(address)
    assert (again.seq, again.epoch) == (100, 2)
    asyncio.run(again.close())


def test_a_child_of_fork_may_read_but_not_append(address: str) -> None:
    log = opened(address)
    append(log, 1)
    asyncio.run(log.durable(1))

    def act() -> str:
        with pytest.raises(ForkedProcessError) as refused:
            append(log, 1)
        return f"{refused.value} {read_log(address).seq}"

    pid, said = said_by_child(act)
    assert f"opened by process {os.getpid()}, this is its child {pid}" in said
    assert said.endswith(" 1")
    append(log, 1)
    asyncio.run(log.close())
    assert read_log(address).seq == 2


async def test_a_log_that_was_deleted_is_not_written_any_more(address: str) -> None:
    log = opened(address)
    append(log, 1)
    await log.durable(1)
    changed(address, "DELETE FROM log")
    append(log, 1)
    with pytest.raises(LogFencedError, match="it was deleted; records after 1 were never"):
        await log.durable(2)
    with pytest.raises(LogFencedError):
        await log.close()


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("UPDATE record SET line = replace(line, 'hello 3', 'hallo 3') WHERE seq = 3", "checksum"),
        ("UPDATE record SET line = substr(line, 1, 60) WHERE seq = 3", "checksum"),
        ("DELETE FROM record WHERE seq = 3", "record 3: is missing, the next is 4"),
        ("DELETE FROM record WHERE seq = 1", "record 1: is missing, the next is 2"),
        ("UPDATE record SET seq = 9 WHERE seq = 5", "record 5: is missing, the next is 9"),
    ],
)
def test_damage_is_found_when_it_is_read(address: str, statement: str, complaint: str) -> None:
    written(address, 5)
    changed(address, statement)
    with pytest.raises(CorruptLogError, match=complaint) as caught:
        read_log(address)
    assert caught.value.seq in (1, 3, 5)
    assert "logs.db#trip" in str(caught.value)


def test_a_line_of_another_log_does_not_pass_for_ours(address: str) -> None:
    written(address, 3)
    written(address.replace("trip", "other"), 3)
    ours, other = read_log(address).meta.log, read_log(address.replace("trip", "other")).meta.log
    line = "(SELECT line FROM record WHERE log = ? AND seq = 2)"
    changed(address, f"UPDATE record SET line = {line} WHERE log = ? AND seq = 2", other, ours)
    with pytest.raises(CorruptLogError, match="record 2: its line does not have the checksum"):
        read_log(address)


def test_a_large_value_that_is_lost_is_named_and_the_rest_is_read(address: str) -> None:
    log = opened(address)
    log.append(1, NOW_US, None, "tool.finished", 1, 0, b'{"content":"%s"}' % (b"x" * 70_000))
    append(log, 1)
    asyncio.run(log.close())
    changed(address, "UPDATE blob SET body = 'y'")
    loaded = read_log(address)
    assert loaded.seq == 2
    assert loaded.damage is not None
    [lost] = loaded.damage.lost_values
    assert isinstance(lost, LostValue)
    assert lost.seq == 1
    assert lost.digest.encode() in loaded.records[0].payload


async def test_the_disk_being_behind_is_said_at_once_and_ends(address: str) -> None:
    log = SqliteLog(address, now_us=lambda: NOW_US, queue_bytes_hard_max=0)
    with pytest.raises(LogBehindError, match=r"bytes wait for the disk, at most 0 may"):
        append(log, 10_000)
    await log.room()
    await log.durable(log.seq)
    append(log, 1)
    await log.close()


async def test_waiters_of_other_event_loops_are_told(address: str) -> None:
    log = opened(address)
    append(log, 10)
    reached: list[int] = []

    def elsewhere(seq: int) -> None:
        asyncio.run(log.durable(seq))
        reached.append(seq)

    threads = [threading.Thread(target=elsewhere, args=(seq,)) for seq in range(1, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert sorted(reached) == list(range(1, 11))
    await log.close()


async def test_only_the_owner_may_read_and_nothing_is_left_beside(tmp_path: Path) -> None:
    log = opened(f"sqlite:///{tmp_path}/runs/logs.db")
    append(log, 1)
    await log.durable(1)
    for path in (tmp_path / "runs").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    await log.close()
    left = {path.name for path in (tmp_path / "runs").iterdir()}
    assert left == {"logs.db", "logs.db-lock"}
    assert stat.S_IMODE((tmp_path / "runs").stat().st_mode) == 0o700


def test_another_id_is_refused_and_the_log_is_free_again(address: str) -> None:
    written(address, 1)
    with pytest.raises(ValueError, match=f"not {'0' * 32}"):
        SqliteLog(address, now_us=lambda: NOW_US, log_id="0" * 32)
    with pytest.raises(ValueError, match="is not 32 lower-case hexadecimal digits"):
        SqliteLog(address, now_us=lambda: NOW_US, log_id="trip")
    asyncio.run(opened(address).close())


async def test_many_logs_of_one_database_are_written_at_once(tmp_path: Path) -> None:
    logs = [opened(f"sqlite:///{tmp_path}/logs.db#{number}") for number in range(8)]

    async def fill(log: SqliteLog) -> None:
        for _ in range(20):
            append(log, 10)
            await log.durable(log.seq)
        await log.close()

    await asyncio.gather(*map(fill, logs))
    for number in range(8):
        assert read_log(f"sqlite:///{tmp_path}/logs.db#{number}").seq == 200


async def test_an_sqlite_that_can_damage_its_log_is_warned_of_once(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_old_sqlite.cache_clear()
    with caplog.at_level(logging.WARNING, "tinyagent"):
        await opened(address).close()
        await opened(address).close()
    is_old = sqlite3.sqlite_version_info < (3, 51, 3)
    assert [record.name for record in caplog.records] == ["tinyagent"] * is_old


def test_of_many_that_open_at_the_same_moment_one_is_the_owner(tmp_path: Path) -> None:
    start = threading.Barrier(4)

    def attempt(address: str) -> SqliteLog | LogError:
        start.wait()
        try:
            return opened(address)
        except LogError as error:
            return error

    with ThreadPoolExecutor(4) as threads:
        for number in range(40):
            # A new database each time: its journal mode is changed at the first opening.
            address = f"sqlite:///{tmp_path}/{number}.db#trip"
            outcomes = sorted(
                threads.map(attempt, [address] * 4), key=lambda each: each.__class__.__name__
            )
            *refused, owner = outcomes
            assert [type(each) for each in refused] == [LogOwnedError] * 3
            assert isinstance(owner, SqliteLog)
            asyncio.run(owner.close())
