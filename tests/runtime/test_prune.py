"""Logs whose beginning was removed on purpose: read, shown, verified; refused where it matters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.crashing import ID, World, text, turns

from tinyagent import fork, load, open_log, replay
from tinyagent.cli import main
from tinyagent.runtime.ancestry import children
from tinyagent.runtime.archive import archive
from tinyagent.runtime.chain import head
from tinyagent.runtime.errors import LogOwnedError, PrunedLogError
from tinyagent.runtime.load import read_log
from tinyagent.runtime.log import pack, write_packed
from tinyagent.runtime.prune import NeededError, Pruned, prunable, prune
from tinyagent.runtime.redact import Redaction, redact
from tinyagent.runtime.repair import repair, verify
from tinyagent.runtime.stores import Level
from tinyagent.runtime.stores.files import FileLog

SCRIPT = turns(*[text(f"Answer {n}.") for n in range(3)])


async def recorded(where: Path, level: Level = "crc", padding: str = "") -> Path:
    """A session of three openings, each closed; and an empty one before, for the level."""
    await FileLog(where, now_us=lambda: 1, log_id=ID, level=level).close()
    for n in range(3):
        async with open_log(where) as log:
            await World().build(log, SCRIPT, []).prompt(f"Question {n}{padding}")
    return where


def numbers(log: Path) -> list[int]:
    return [record.seq for record in read_log(log).records]


@pytest.mark.parametrize("level", ["crc", "chain"])
@pytest.mark.parametrize("is_archived", [False, True])
async def test_what_is_left_is_whole_and_says_what_is_gone(
    tmp_path: Path, level: Level, is_archived: bool
) -> None:
    trip = await recorded(tmp_path / "trip", level)
    before = read_log(trip).records
    second = next(r.seq for r in before if b"Question 1" in r.payload)
    if is_archived:
        archive(trip)
    found = prunable(trip, second + 3)
    assert (found.upto, found.segments) == (second - 2, 2)
    assert len(numbers(trip)) == len(before)
    assert prune(trip, second + 3) == found
    left = read_log(trip)
    assert [r.line for r in left.records] == [r.line for r in before[found.upto :]]
    assert left.base == found.upto + 1
    assert verify(trip).verdict == "clean"
    # What makes another log of it says it too.
    write_packed(trip, tmp_path / "packed.jsonl")
    repair(trip, tmp_path / "repaired")
    redact(trip, tmp_path / "redacted", [Redaction(second, "/content")])
    for name in ("packed.jsonl", "repaired", "redacted"):
        again = read_log(tmp_path / name)
        assert again.base == left.base, name
        assert verify(tmp_path / name).verdict == "clean", name
    assert pack(read_log(tmp_path / "packed.jsonl")) == (tmp_path / "packed.jsonl").read_bytes()


async def test_the_anchor_of_a_log_is_the_same_when_its_beginning_is_gone(tmp_path: Path) -> None:
    trip = await recorded(tmp_path / "trip")

    async def anchor() -> Any:
        log = FileLog(trip, now_us=lambda: 1)
        found = head(log)
        await log.close()
        return found

    before = await anchor()
    assert prune(trip, 12).upto > 0
    assert await anchor() == before


async def test_large_values_go_with_the_records_that_hold_them(tmp_path: Path) -> None:
    trip = await recorded(tmp_path / "trip", padding="x" * 70_000)
    blobs = {path for path in (trip / "blobs").rglob("*") if path.is_file()}
    assert len(blobs) == 3
    gone = prune(trip, numbers(trip)[-1])
    assert gone.upto > 0
    left = {path for path in (trip / "blobs").rglob("*") if path.is_file()}
    assert len(left) == 1
    assert read_log(trip).damage is None


async def test_it_is_shown_and_told_of_but_not_replayed_nor_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trip = await recorded(tmp_path / "trip")
    upto = prune(trip, 12).upto
    recording = load(trip)
    assert recording.records[0].seq == upto + 1
    for command in ("show", "tail", "verify", "stats"):
        assert main([command, str(trip)]) == 0, command
    assert main(["show", str(trip), "--view", "events"]) == 0
    assert main(["why", f"{trip}:{recording.records[-1].seq}"]) == 0
    capsys.readouterr()
    told = rf"records 1\.\.{upto} were removed on purpose \(pruned\); a replay begins with record 1"
    with pytest.raises(PrunedLogError, match=told):
        await replay(trip)
    assert main(["replay", str(trip), "--json"]) == 4
    assert json.loads(capsys.readouterr().err)["error"] == "PrunedLogError"
    async with open_log(trip) as log:
        size = log.seq
        with pytest.raises(PrunedLogError, match="needs what it began with"):
            await World().build(log, SCRIPT, []).prompt("More")
        assert log.seq == size


async def test_nothing_is_removed_that_a_fork_shares_or_that_is_open(tmp_path: Path) -> None:
    trip = await recorded(tmp_path / "trip")
    size = len(numbers(trip))
    with pytest.raises(NeededError, match="record 3 is of work that is still open"):
        prune(trip, 12, open_work=[3])
    async with open_log(trip):
        with pytest.raises(LogOwnedError):
            prune(trip, 12)
    async with fork(trip, at=2, into=tmp_path / "child"):
        pass
    with pytest.raises(NeededError, match="child is a fork of it behind record 2"):
        prune(trip, 12)
    assert len(numbers(trip)) == size
    assert prune(trip, 1) == Pruned(0, 0, 0)
    for path in (tmp_path / "child").iterdir():
        path.unlink()
    assert prune(trip, 12, open_work=[size]).upto > 0


def test_a_fork_is_found_by_the_first_of_its_headers_that_can_be_read(tmp_path: Path) -> None:
    child = tmp_path / "child"
    child.mkdir()
    (child / "00000001.jsonl").write_text('{"tinyagent_log":1,"log"\n')
    (child / "00000002.jsonl").write_text('{"log":"b","fork":{"log":"a","at":3}}\n')
    assert list(children(tmp_path / "parent", "a")) == [(child, 3)]
