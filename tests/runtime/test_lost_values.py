"""A large value that is gone: shown as lost to who reads, refused to who would go on with it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tinyagent import Agent, CorruptLogError, fork, load, open_log, tool
from tinyagent.cli import main
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
