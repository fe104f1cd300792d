"""Damaged databases: whatever byte is wrong, a named error or the right records, never fewer."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from tinyagent.cli import main
from tinyagent.runtime.errors import CorruptLogError, LogError
from tinyagent.runtime.load import read_log
from tinyagent.runtime.stores import Stored
from tinyagent.runtime.stores.sqlite import SqliteLog
from tinyagent.runtime.stores.sqlite_checks import wrong_in

ID = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"
PAGE_BYTES = 4096
MASKS = (0x01, 0x80, 0xFF)


class Made(NamedTuple):
    """A database with one log of thirty records, one of them with a large value."""

    path: Path
    body: bytes
    records: list[Stored]

    @property
    def address(self) -> str:
        return f"sqlite:///{self.path}#trip"

    def hurt(self, damages: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Yield each of *damages*, a byte and what is flipped in it, while it is done."""
        for at, mask in damages:
            body = bytearray(self.body)
            body[at] ^= mask
            self.path.write_bytes(body)
            yield at, mask

    def outcome(self) -> str:
        """Return what reading it comes to."""
        try:
            found = read_log(self.address)
        except LogError as error:
            return type(error).__name__ if str(self.path) in str(error) else "nameless"
        if found.damage is not None:
            assert [value.seq for value in found.damage.lost_values] == [3]
            return "lost value"
        return "same" if found.records == self.records else f"{len(found.records)} records"


@pytest.fixture
def made(tmp_path: Path) -> Made:
    path = tmp_path / "runs.db"

    async def write() -> None:
        log = SqliteLog(f"sqlite:///{path}#trip", now_us=lambda: 1, log_id=ID)
        for seq in range(1, 31):
            text = b"x" * (70_000 if seq == 3 else 40)
            log.append(seq, seq, None, "user.said", 1, seq - 1, b'{"content":"%s"}' % text)
            if seq % 5 == 0:
                await log.durable(seq)
        await log.close()

    asyncio.run(write())
    records = read_log(f"sqlite:///{path}#trip").records
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Made(path, path.read_bytes(), records)


RIGHT = {"same", "lost value", "CorruptLogError", "LogFailedError", "LogNotFoundError"}


def test_a_flipped_byte_anywhere_never_costs_a_record_in_silence(made: Made) -> None:
    spots = ((at, mask) for at in range(0, len(made.body), 331) for mask in MASKS)
    told = Counter(made.outcome() for _ in made.hurt(spots))
    assert set(told) <= RIGHT, told
    assert told["CorruptLogError"] > 10


def test_nor_one_in_a_key_in_the_schema_or_in_the_table_of_logs(made: Made) -> None:
    keys = [at.start() + n for at in re.finditer(ID.encode(), made.body) for n in (0, 31)]
    schema = range(3640, PAGE_BYTES, 7)  # rows lie at the end of a page
    table = range(2 * PAGE_BYTES - 170, 2 * PAGE_BYTES, 3)
    spots = ((at, mask) for at in (*keys, *schema, *table) for mask in MASKS)
    told = Counter(made.outcome() for _ in made.hurt(spots))
    assert set(told) <= RIGHT, told
    assert told["CorruptLogError"] > 200


def test_one_in_the_head_of_a_page_is_found_by_verify_at_least(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = range(PAGE_BYTES, 7 * PAGE_BYTES, PAGE_BYTES)
    spots = [(page + at, 1 << bit) for page in pages for at in (0, 3, 4, 8, 11) for bit in range(8)]
    hidden = [spot for spot in made.hurt(spots) if made.outcome() not in RIGHT]
    assert len(hidden) < 8  # how many rows the last page of a table holds, nothing else
    for _ in made.hurt(hidden):
        assert main(["verify", made.address]) == 1
        assert f"{made.address}   corrupt  " in capsys.readouterr().out


def test_a_database_that_was_cut_short_is_told(made: Made) -> None:
    cuts = [*range(1, len(made.body), 9973), *range(PAGE_BYTES, len(made.body), PAGE_BYTES)]
    for cut in cuts:
        made.path.write_bytes(made.body[:cut])
        assert made.outcome() in RIGHT - {"same", "lost value"}, cut


async def gone_on(address: str) -> None:
    log = SqliteLog(address, now_us=lambda: 1)
    try:
        list(log.read())
    finally:
        await log.close()


async def test_a_log_whose_records_are_hidden_is_not_gone_on_with(made: Made) -> None:
    last = max(at.start() for at in re.finditer(ID.encode() + rb".{1,20}user\.said", made.body))
    for at in (made.body.index(ID.encode(), PAGE_BYTES), last):
        for _ in made.hurt([(at, 1)]):
            with pytest.raises(CorruptLogError):
                await gone_on(made.address)


@pytest.fixture
def killed(tmp_path: Path) -> Made:
    """What a writer leaves that is killed after thirty records, each of them committed."""
    path, left = tmp_path / "runs.db", tmp_path / "left" / "runs.db"
    left.parent.mkdir()

    async def write() -> None:
        log = SqliteLog(f"sqlite:///{path}#trip", now_us=lambda: 1, log_id=ID)
        for seq in range(1, 31):
            log.append(seq, seq, None, "user.said", 1, seq - 1, b'{"content":"%030d"}' % seq)
            await log.durable(seq)
        for name in ("runs.db", "runs.db-wal"):
            (left.parent / name).write_bytes(path.with_name(name).read_bytes())
        await log.close()

    asyncio.run(write())
    return Made(left, left.read_bytes(), read_log(f"sqlite:///{path}#trip").records)


def hurt_wals(made: Made, every: int) -> Iterator[tuple[int, bytes]]:
    """Yield places in the ``-wal`` file of *made*, and the file while a byte there is flipped."""
    wal = made.path.with_name("runs.db-wal")
    body = wal.read_bytes()
    for at in range(0, len(body), every):
        for beside in made.path.parent.iterdir():
            beside.unlink()
        made.path.write_bytes(made.body)
        wal.write_bytes(hurt := body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
        yield at, hurt


def test_what_was_committed_to_a_wal_that_is_damaged_since_is_missed(killed: Made) -> None:
    told = Counter(killed.outcome() for _ in hurt_wals(killed, 2003))
    # The last batch, of which nothing behind it says that it was committed.
    assert set(told) <= {"same", "29 records", "CorruptLogError"}, told
    assert told["CorruptLogError"] > 60
    assert told["29 records"] < 5


async def test_a_log_of_which_records_went_with_the_wal_is_not_gone_on_with(killed: Made) -> None:
    wal = killed.path.with_name("runs.db-wal")
    for at, hurt in hurt_wals(killed, 30_011):
        for address in (killed.address, f"sqlite:///{killed.path}#another"):
            with pytest.raises(CorruptLogError, match=f"{wal} (is damaged|holds records)") as told:
                await gone_on(address)
            assert "restore a copy of the database" in str(told.value)
            assert wal.read_bytes() == hurt, at


def test_verify_holds_the_columns_against_the_lines(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", made.address]) == 0
    assert list(wrong_in(made.path)) == []
    with closing(sqlite3.connect(made.path)) as connection, connection:
        connection.execute("UPDATE record SET k = 'user.sand' WHERE seq = 4")
    capsys.readouterr()
    assert main(["verify", made.address]) == 1
    told = "corrupt  record 4: its columns are not what its line says; restore a copy of the data"
    assert told in capsys.readouterr().out
