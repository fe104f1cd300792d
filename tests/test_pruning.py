"""A log is pruned below a snapshot, and gone on with as if it was whole."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.crashing import ID, World, calls, conversation, text

from tinyagent import Agent, fork, load, open_log
from tinyagent.actors.snapshots import RECORDS_MIN
from tinyagent.cli import main
from tinyagent.pruning import detach, prune
from tinyagent.runtime.load import read_log
from tinyagent.runtime.prune import NeededError
from tinyagent.runtime.repair import repair, verify
from tinyagent.runtime.stores.files import FileLog
from tinyagent.testing import VirtualClock


def build(log: Any) -> Agent:
    """Return an agent whose model asks a tool, then answers; by what it was last told."""
    world = World()

    def script(messages: Any) -> Any:
        n = len(messages)
        if messages[-1].role == "tool_result":
            return text(f"Done {n}.")
        return calls((f"c{n}", "look", {"n": n}), says="I look.")

    return world.build(log, script, [world.tool("look", "read")])


def opened(place: Path) -> FileLog:
    return FileLog(place, now_us=VirtualClock().now_us, log_id=ID, segment_bytes_max=40_000)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of several segments, a snapshot behind record 1,0.., and records behind that."""
    place = tmp_path_factory.mktemp("logs") / "long"

    async def record() -> None:
        log = opened(place)
        agent = build(log)
        while log.seq < RECORDS_MIN + 200:
            await agent.prompt("Look it up, please.")
        await log.close()

    asyncio.run(record())
    return place


@pytest.fixture
def long(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "long"))


def snapshot(log: Path) -> int:
    [path] = (log / "snap").iterdir()
    return int(path.stem)


async def test_what_is_left_is_gone_on_with_from_the_snapshot_as_the_whole_is(long: Path) -> None:
    whole = Path(shutil.copytree(long, long.with_name("whole")))
    gone = prune(long, before=10_000_000)
    assert 0 < gone.upto < snapshot(long)
    assert read_log(long).records[0].seq == gone.upto + 1
    assert verify(long).verdict == "clean"
    said = []
    for place in (long, whole):
        log = opened(place)
        agent = build(log)
        await agent.prompt("And once more?")
        said.append(conversation(agent))
        await log.close()
    assert said[0] == said[1]
    tails = [[r.line for r in read_log(place).records[-6:]] for place in (long, whole)]
    assert [line[:40] for line in tails[0] if line] == [line[:40] for line in tails[1] if line]


async def test_without_a_snapshot_that_fits_nothing_is_removed(long: Path) -> None:
    size = len(read_log(long).records)
    shutil.rmtree(long / "snap")
    with pytest.raises(NeededError, match="no snapshot of it fits"):
        prune(long, before=900)
    assert len(read_log(long).records) == size


async def test_the_command_says_what_it_would_do_and_does_it_if_told(
    long: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = len(read_log(long).records)
    assert main(["prune", str(long), "--before", "900"]) == 4
    assert "bytes, for good; say --yes to do it" in capsys.readouterr().err
    assert len(read_log(long).records) == size
    assert main(["prune", str(long), "--before", "900", "--yes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["where"]) == ("tinyagent.prune/1", str(long))
    assert read_log(long).records[0].seq == told["removed"]["upto"] + 1
    assert main(["prune", str(long), "--before", "900", "--yes"]) == 0
    told = "removed nothing: no whole segment below a snapshot lies before record 900"
    assert told in capsys.readouterr().out
    assert main(["replay", str(long)]) == 4


async def test_what_a_fork_shares_stays(long: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with fork(long, at=2, into=long.with_name("child")):
        pass
    assert main(["prune", str(long), "--before", "900", "--yes", "--json"]) == 4
    told = json.loads(capsys.readouterr().err)
    assert told["error"] == "NeededError"
    assert f"let it have that itself: tinyagent prune {long} --detach" in told["message"]
    assert len(load(long.with_name("child")).records) > 2


async def test_a_fork_that_is_detached_needs_its_parent_no_more(
    long: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    child = long.with_name("child")
    asked = [r.seq for r in load(long).records if r.event.kind == "model.requested"]
    at = asked[5]
    async with fork(long, at=at, into=child, allow_effects=True) as log:
        await build(log).run()
    async with fork(child, at=at + 2, into=long.with_name("grandchild"), allow_effects=True):
        pass
    before = load(child)
    assert main(["prune", str(long), "--detach"]) == 4
    assert "detached child; removed nothing" in capsys.readouterr().err
    assert main(["prune", str(long), "--before", "900", "--detach", "--yes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["detached"] == [str(child)]
    assert told["removed"]["upto"] > at
    shutil.rmtree(long)
    after = load(child)
    assert (after.meta, after.records) == (before.meta, before.records)
    assert verify(child).verdict == "clean"
    assert after.replay().ok
    assert len(load(long.with_name("grandchild")).records) > at
    async with open_log(child) as log:
        assert [r.seq for r in log.records][:2] == [1, 2]
        assert [stored.seq for stored in log.store.read(at - 1, at + 1)] == [at - 1, at, at + 1]
        following = log.store.tail(at)
        assert (await anext(following)).seq == at
        await build(log).prompt("And once more?")
    assert load(child).replay().ok
    assert main(["prune", str(child)]) == 2
    assert "say which records may go" in capsys.readouterr().err


async def test_a_fork_at_level_chain_is_detached_with_its_large_values(tmp_path: Path) -> None:
    parent, child = tmp_path / "parent", tmp_path / "child"
    await FileLog(parent, now_us=lambda: 1, log_id=ID, level="chain").close()
    async with open_log(parent) as log:
        await build(log).prompt("x" * 70_000)
    async with fork(parent, at=load(parent).records[-1].seq, into=child):
        pass
    before = read_log(child)
    assert detach(child) == before.base - 1
    shutil.rmtree(parent)
    after = read_log(child)
    assert [r.payload for r in after.records] == [r.payload for r in before.records]
    assert (after.damage, after.base) == (None, 1)
    assert verify(child).verdict == "clean"
    repair(child, tmp_path / "repaired")
    assert verify(tmp_path / "repaired").verdict == "clean"
    assert detach(child) == 0


async def test_a_log_that_is_being_written_stays(long: Path, capsys: Any) -> None:
    async with open_log(long):
        assert main(["prune", str(long), "--before", "900", "--yes"]) == 3
    assert "is writing this log" in capsys.readouterr().err
