"""A large value that is gone: shown as lost to who reads, refused to who would go on with it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tinyagent import Agent, CorruptLogError, fork, load, open_log, tool
from tinyagent.cli import main
from tinyagent.events import kinds as k
from tinyagent.runtime.stores import Stored, as_record, records_of
from tinyagent.runtime.stores.files import FileLog
from tinyagent.testing import scripted

SCRIPT: tuple[Any, ...] = (("look", {}), "Seen.", "And again.")
pytestmark = pytest.mark.diverges  # what is gone was in requests


@tool(effect="read")
def look() -> dict[str, str]:
    """Look at much."""
    return {"text": "x" * 90_000}


def build(*, log: Any = None) -> Agent:
    return Agent(model=scripted(*SCRIPT), tools=[look], log=log)


async def run(where: str | Path) -> None:
    async with open_log(where) as log:
        await build(log=log).run("Look.")


async def once_more(where: str | Path) -> list[Any]:
    async with open_log(where, accept_loss=True) as log:
        agent = build(log=log)
        assert (await agent.run("And now?")).text == "And again."
        return list(agent.state.messages)


def of_files(folder: Path) -> tuple[str | Path, Callable[[], None]]:
    where = folder / "trip"
    return where, lambda: shutil.rmtree(where / "blobs")


def of_sqlite(folder: Path) -> tuple[str | Path, Callable[[], None]]:
    path = folder / "runs.db"

    def lose() -> None:
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("DELETE FROM blob")

    return f"sqlite:///{path}#trip", lose


@pytest.mark.parametrize("store", [of_files, of_sqlite])
def test_who_would_go_on_without_it_is_told_which_one_and_what_to_do(
    tmp_path: Path, store: Callable[[Path], tuple[str | Path, Callable[[], None]]]
) -> None:
    where, lose = store(tmp_path)
    asyncio.run(run(where))
    lose()
    recording = load(where)
    assert recording.damage is not None
    [value] = recording.damage.lost_values
    told = (
        f"record {value.seq}: its large value {value.digest} is missing or damaged; put it back "
        "from a copy, or fork the log before that record"
    )
    with pytest.raises(CorruptLogError, match=told) as raised:
        asyncio.run(run(where))
    assert raised.value.seq == value.seq


async def test_a_fork_from_before_it_goes_on(tmp_path: Path) -> None:
    where, lose = of_files(tmp_path)
    await run(where)
    lose()
    damage = load(where).damage
    assert damage is not None
    with pytest.raises(CorruptLogError, match="its large value"):
        async with fork(where):
            pass
    async with fork(where, at=damage.lost_values[0].seq - 1, into=tmp_path / "fork") as child:
        assert (await build(log=child).run()).text == "Seen."


def test_verify_repair_and_doctor_say_that_it_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o700)
    where, lose = of_files(tmp_path)
    asyncio.run(run(where))
    lose()
    damage = load(where).damage
    assert damage is not None
    value = damage.lost_values[0]
    told = (
        f"corrupt{{}}1 large values are missing or damaged, the first is {value.digest} of record "
        f"{value.seq}; put it back from a copy, or fork before that record"
    )
    assert main(["verify", str(where)]) == 1
    assert told.format("  ") in capsys.readouterr().out
    assert main(["doctor", "--dir", str(tmp_path)]) == 1
    assert f"! log        {where}: {told.format(', ')}" in capsys.readouterr().out
    assert main(["repair", str(where), "-o", str(tmp_path / "new")]) == 0
    told = "  1 large values are missing in it, too, and shown as lost\n"
    assert told in capsys.readouterr().out


@pytest.mark.parametrize("store", [of_files, of_sqlite])
def test_who_accepts_the_loss_goes_on_and_is_shown_what_is_lost(
    tmp_path: Path, store: Callable[[Path], tuple[str | Path, Callable[[], None]]]
) -> None:
    where, lose = store(tmp_path)
    asyncio.run(run(where))
    lose()

    said = asyncio.run(once_more(where))
    [result] = [message for message in said if message.role == "tool_result"]
    assert "(lost: 90011 bytes, sha256:" in result.content[0].text
    recording = load(where)
    assert recording.status == "answered"
    assert recording.damage is not None
    [value] = recording.damage.lost_values
    with pytest.raises(CorruptLogError, match=f"record {value.seq}: its large value"):
        asyncio.run(run(where))


@pytest.mark.parametrize("store", [of_files, of_sqlite])
def test_a_replay_ends_before_it_and_says_so(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    store: Callable[[Path], tuple[str | Path, Callable[[], None]]],
) -> None:
    where, lose = store(tmp_path)
    asyncio.run(run(where))
    lose()
    for go_on in (False, True):
        if go_on:
            asyncio.run(once_more(where))
        recording = load(where)
        assert recording.damage is not None
        [value] = recording.damage.lost_values
        report = recording.replay()
        assert (report.first_divergence, report.result) == (None, None)
        assert (report.records, report.lost) == (value.seq - 1, (value.seq, value.seq))
        assert main(["replay", str(where)]) == 0
        assert (
            f"ended there: a large value of record {value.seq} is lost ({value.digest[:8]}…), and "
            "none behind it is compared\n" in capsys.readouterr().out
        )


async def test_a_sink_that_reads_on_from_the_log_is_shown_it_as_lost(tmp_path: Path) -> None:
    where, lose = of_files(tmp_path)
    await run(where)
    lose()
    log = FileLog(where, now_us=lambda: 1, accept_loss=True)
    shown = [as_record(stored) async for stored in until(log, log.seq)]
    assert [stored.seq for stored in shown] == list(range(1, log.seq + 1))
    assert [r.seq for r in shown] == [r.seq for r in records_of(log)]
    assert sum("(lost: " in repr(record.event) for record in shown) == 1
    await log.close()


async def until(log: FileLog, last: int) -> AsyncIterator[Stored]:
    async for stored in log.tail(1):
        yield stored
        if stored.seq == last:
            return


async def test_a_record_that_cannot_be_shown_without_it_is_lost_as_a_whole(tmp_path: Path) -> None:
    log = FileLog(tmp_path / "log", now_us=lambda: 1)
    many = b",".join(b'"%d%s"' % (n, b"x" * 3000) for n in range(40))
    log.append(1, 1, None, "tool.failed", 1, 0, b'{"call_id":"a","more":[%s]}' % many)
    log.append(2, 2, None, "user.said", 1, 0, b'{"content":"hi"}')
    await log.close()
    shutil.rmtree(tmp_path / "log" / "blobs")
    log = FileLog(tmp_path / "log", now_us=lambda: 1, accept_loss=True)
    assert [r.event for r in records_of(log)] == [k.LogLost(1, 1, 0), k.UserSaid("hi")]
    await log.close()


def test_the_command_goes_on_without_it_if_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where, lose = of_files(tmp_path)
    asyncio.run(run(where))
    lose()
    asyncio.run(once_more(where))
    segment = Path(where) / "00000002.jsonl"
    lines = segment.read_bytes().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if b'"k":"model.requested"' in line)
    segment.write_bytes(b"".join(lines[: at + 1]))  # the run was cut off behind it
    (Path(where) / "LOCK").unlink()
    app = ("--app", f"{__name__}:build", "--yes")
    assert main(["resume", str(where), *app]) == 1
    assert "accept_loss=True" in capsys.readouterr().err
    assert main(["resume", str(where), *app, "--accept-loss"]) == 0
