"""Forks in SQLite: the child holds its own records, the parent is found in the same database."""

from __future__ import annotations

import sqlite3
from itertools import pairwise
from pathlib import Path

import pytest
from tests.traces import MODEL, script, text

from tinyagent import (
    Agent,
    AgentOptions,
    AgentState,
    FileSink,
    SqliteSink,
    fork,
    load,
    open_log,
    replay,
)
from tinyagent.runtime.chain import forked_from
from tinyagent.runtime.errors import CorruptLogError, LogNotFoundError
from tinyagent.runtime.load import read_log
from tinyagent.runtime.log import open_log_at, write_packed
from tinyagent.runtime.stores import ForkedFrom, Log


def build(log: Log, answer: str) -> Agent:
    state = AgentState(model=MODEL, system_prompt="S")
    return Agent(AgentOptions(initial_state=state, stream_fn=script(text(answer)), log=log))


async def family(tmp_path: Path) -> tuple[str, str]:
    """Record a session and a fork of it after its first run; return both addresses."""
    parent, child = (f"sqlite:///{tmp_path}/logs.db#{name}" for name in ("parent", "child"))
    async with open_log(parent) as log:
        await build(log, "One.").prompt("first")
        cut = log.seq
    async with open_log(parent) as log:
        await build(log, "Two.").prompt("second")
    async with fork(parent, at=cut, into=child) as log:
        assert (log.seq > cut, log.meta.name) == (True, "child")
        await build(log, "Other.").prompt("another")
    return parent, child


def said(address: str | Path) -> list[str]:
    return [message.content[0].text for message in load(address).messages]  # type: ignore[union-attr, misc] # texts


async def test_a_fork_goes_on_after_the_cut_and_leaves_its_parent_alone(tmp_path: Path) -> None:
    parent, child = await family(tmp_path)
    assert said(parent) == ["first", "One.", "second", "Two."]
    assert said(child) == ["first", "One.", "another", "Other."]
    assert (await replay(child)).ok
    cut = read_log(child).meta.fork
    assert cut is not None
    assert cut.log == read_log(parent).meta.log
    connection = sqlite3.connect(tmp_path / "logs.db")
    own = "SELECT min(seq) FROM record WHERE log = ?"
    assert connection.execute(own, (read_log(child).meta.log,)).fetchone() == (cut.at + 1,)
    connection.close()


async def test_a_reopened_fork_reads_and_follows_over_the_cut(tmp_path: Path) -> None:
    _, child = await family(tmp_path)
    loaded = read_log(child)
    async with open_log(child) as log:
        assert (log.seq, log.meta) == (loaded.seq, loaded.meta)
        cut = loaded.meta.fork.at if loaded.meta.fork is not None else 0
        for first, last in ((1, None), (1, 2), (cut, cut + 1), (cut + 1, None)):
            expected = range(first, (last or loaded.seq) + 1)
            assert [record.seq for record in log.read(first, last)] == list(expected)
        tail = log.tail(2)
    assert [record.seq async for record in tail] == list(range(2, loaded.seq + 1))


async def test_an_empty_fork_can_be_closed_and_read_and_forked_again(tmp_path: Path) -> None:
    parent, _ = await family(tmp_path)
    places = [parent, *(f"sqlite:///{tmp_path}/logs.db#{name}" for name in ("a", "b"))]
    for source, into in pairwise(places):
        async with open_log(source) as log:
            left = forked_from(log, 3)
        made = open_log_at(into, now_us=lambda: 1, fork=left)
        assert (made.seq, made.durable_seq) == (3, 3)
        await made.close()
    records = read_log(places[-1]).records
    assert [r.payload for r in records] == [r.payload for r in read_log(parent).records[:3]]
    write_packed(places[-1], tmp_path / "packed.jsonl")
    assert read_log(tmp_path / "packed.jsonl").seq == 3


async def test_a_log_that_is_there_is_not_made_a_fork(tmp_path: Path) -> None:
    parent, child = await family(tmp_path)
    other = ForkedFrom(log="0" * 32, at=2, head="0" * 64)
    for address in (parent, child):
        with pytest.raises(ValueError, match="the log here is another fork, or none"):
            open_log_at(address, now_us=lambda: 1, fork=other)
    with pytest.raises(ValueError, match="integrity level 'chain' needs a folder"):
        open_log_at(child, now_us=lambda: 1, level="chain")


@pytest.mark.diverges  # it cannot be read any more
@pytest.mark.parametrize(
    ("statement", "error", "complaint"),
    [
        ("DELETE FROM log WHERE id = ?", LogNotFoundError, "which is not in this database"),
        ("DELETE FROM record WHERE log = ? AND seq > 2", CorruptLogError, "ends at record 2"),
        ("DELETE FROM record WHERE log = ? AND seq = 2", CorruptLogError, "record 2: is missing"),
    ],
)
async def test_a_parent_that_is_not_what_was_forked_is_told(
    tmp_path: Path, statement: str, error: type[Exception], complaint: str
) -> None:
    parent, child = await family(tmp_path)
    connection = sqlite3.connect(tmp_path / "logs.db")
    connection.execute(statement, (read_log(parent).meta.log,))
    connection.commit()
    connection.close()
    with pytest.raises(error, match=complaint):
        read_log(child)


async def test_the_mirrors_of_a_fork_hold_all_of_it(tmp_path: Path) -> None:
    _, child = await family(tmp_path)
    copy, mirror = FileSink(tmp_path / "copy"), SqliteSink(tmp_path / "mirror.db")
    async with open_log(child, sinks=[copy, mirror]) as log:
        await build(log, "More.").prompt("and")
    for place in (tmp_path / "copy", f"sqlite:///{tmp_path}/mirror.db"):
        assert said(place) == said(child)
        assert read_log(place).meta.log == read_log(child).meta.log
