"""A golden log: one packed file, whole, for reading only; anything else is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinyagent import Agent, load, open_log
from tinyagent.interchange import export
from tinyagent.runtime.errors import (
    CorruptLogError,
    LogClosedError,
    LogNotFoundError,
)
from tinyagent.runtime.log import write_packed
from tinyagent.runtime.stores import Log
from tinyagent.testing import MemoryLog, effects, open_golden, scripted, transcript


def record(log: Log, said: str = "Paris.") -> None:
    """Run one turn on *log*."""
    agent = Agent(model=scripted(said), log=log)
    assert agent.run_sync("Capital of France?").text == said


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    log = MemoryLog(name="trip")
    record(log)
    (tmp_path / "trip.jsonl").write_bytes(export(log, "jsonl"))
    return tmp_path / "trip.jsonl"


def test_it_is_read_replayed_and_told_like_any_log(golden: Path) -> None:
    log = open_golden(golden)
    assert isinstance(log, MemoryLog)
    assert (log.meta.name, log.where) == ("trip", str(golden))
    assert load(log).replay().ok
    assert "model     Paris." in transcript(log)
    assert len(effects(log)) == 0
    assert [one.seq for one in log.read(1, 2)] == [1, 2]


def test_it_takes_no_record_and_its_file_stays_as_it_is(golden: Path) -> None:
    before = golden.read_bytes()
    with pytest.raises(LogClosedError, match=r"trip\.jsonl: record \d+ was .* opened for reading"):
        record(open_golden(golden))
    assert golden.read_bytes() == before


async def test_what_is_a_log_but_not_packed_is_refused_with_what_packs_it(
    tmp_path: Path,
) -> None:
    database = f"sqlite:///{tmp_path}/runs.db#trip"
    for where in (tmp_path / "trip", database):
        async with open_log(where) as log:
            await Agent(model=scripted("Paris."), log=log).run("Capital of France?")
        with pytest.raises(ValueError, match="a golden log is one packed file; tinyagent export "):
            open_golden(where)


def test_a_log_that_was_cut_short_is_no_golden_one_although_load_reads_it(
    golden: Path,
) -> None:
    lines = golden.read_bytes().splitlines(keepends=True)
    for kept in (b"".join(lines[:-1]), b"".join(lines[:-1])[:-20], lines[0]):
        golden.write_bytes(kept)
        assert load(golden).damage is not None
        with pytest.raises(CorruptLogError, match=r"trip\.jsonl: it ends without a seal, behind"):
            open_golden(golden)


def test_one_whose_large_value_is_not_beside_it_names_the_record(tmp_path: Path) -> None:
    log = MemoryLog()
    record(log, "word " * 20_000)
    write_packed(log, tmp_path / "big.jsonl")
    assert load(open_golden(tmp_path / "big.jsonl")).replay().ok
    (tmp_path / "big.blobs").rename(tmp_path / "away")
    with pytest.raises(CorruptLogError, match=r"record \d+: its large value .* in big\.blobs/"):
        open_golden(tmp_path / "big.jsonl")


def test_no_log_damage_and_a_later_format_are_told_apart(golden: Path) -> None:
    whole = golden.read_bytes()
    with pytest.raises(LogNotFoundError, match="there is no log here"):
        open_golden(golden.with_name("trap.jsonl"))
    golden.write_bytes(whole.replace(b"Capital", b"capital"))
    with pytest.raises(CorruptLogError, match="record 2 is damaged"):
        open_golden(golden)
    golden.write_bytes(b"hello\n")
    with pytest.raises(CorruptLogError, match="starts no header"):
        open_golden(golden)
