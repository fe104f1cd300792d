"""``tinyagent tail``: the last records, and those that come while it looks."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.crashing import ID, World, calls, text, turns
from tests.recordings import REPLAYS

from tinyagent import load, open_log
from tinyagent.cli.tail import arriving
from tinyagent.events import Record
from tinyagent.runtime import load as load_module
from tinyagent.runtime.stores import Stored

Run = Callable[..., tuple[int, str, str]]
LOG = str(REPLAYS / "one-tool.jsonl")
LINES = Path(LOG).read_bytes().splitlines(keepends=True)
SCRIPT = turns(calls(("s1", "send", {"to": "ann"})), text("It is sent."))


def test_the_last_records_are_shown(run: Run) -> None:
    code, out, err = run("tail", LOG, "-n", "2")
    assert (code, err) == (0, "")
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["20", "turn.ended"],
        ["21", "run.ended"],
    ]
    assert run("tail", LOG, "-n", "0") == (0, "", "")
    assert len(run("tail", LOG, "-n", "99")[1].splitlines()) == 21
    assert len(run("tail", LOG)[1].splitlines()) == 10


def test_records_behind_one_that_is_named(run: Run) -> None:
    _, out, _ = run("tail", f"{LOG}:19")
    assert [line.split()[0] for line in out.splitlines()] == ["20", "21"]


def test_following_behind_the_last_record_shows_none_of_those_before(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def nothing(where: object, last: int) -> Iterator[tuple[list[Record], int]]:
        seen.append(last)
        return iter(())

    monkeypatch.setattr("tinyagent.cli.tail.arriving", nothing)
    assert run("tail", f"{LOG}:21", "-f") == (0, "", "")
    assert run("tail", LOG, "-f", "-n", "0") == (0, "", "")
    assert seen == [21, 21]


@pytest.mark.parametrize("count", [1, 3, 5, 40])
def test_the_end_of_a_fork_reaches_into_its_parent(tmp_path: Path, run: Run, count: int) -> None:
    assert run("export", LOG, "--to", "jsonl", "-o", str(tmp_path / "trip.jsonl"))[0] == 0
    assert run("fork", f"{tmp_path / 'trip.jsonl'}:9", "--into", str(tmp_path / "fork"))[0] == 0
    every = load(tmp_path / "fork").records
    _, out, _ = run("tail", str(tmp_path / "fork"), "-n", str(count))
    assert [int(line.split()[0]) for line in out.splitlines()] == [r.seq for r in every][-count:]
    for behind in range(len(every) + 2):
        shown = run("tail", f"{tmp_path / 'fork'}:{behind}")[1].splitlines()
        assert [int(line.split()[0]) for line in shown] == [r.seq for r in every if r.seq > behind]


def test_the_end_of_a_long_log_is_decoded_and_nothing_else(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def decoded(stored: list[Stored], *rest: Any) -> list[Record]:
        seen.extend(record.seq for record in stored)
        return load_module.decoded(stored, *rest)

    monkeypatch.setattr("tinyagent.cli.tail.decoded", decoded)
    run("tail", LOG, "-n", "2")
    assert seen == [20, 21]


def test_a_stream_has_the_names_of_the_log(run: Run) -> None:
    _, out, _ = run("tail", str(REPLAYS / "tool-error.jsonl"), "-n", "50", "--jsonl")
    failed = [
        line["seq"] for line in map(json.loads, out.splitlines()) if line["k"] == "tool.failed"
    ]
    assert failed == [11, 12]


@pytest.mark.parametrize(
    ("argv", "told"),
    [(["-n", "-1"], "-1"), (["-f", "--json"], "--json is one document: --jsonl")],
)
def test_wrong_use_is_told(run: Run, argv: list[str], told: str) -> None:
    code, out, err = run("tail", LOG, *argv)
    assert (code, out, told in err) == (2, "", True), err


def test_records_are_seen_as_they_come_and_a_line_that_is_not_whole_is_waited_for(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log" / "00000001.jsonl"
    path.parent.mkdir()
    path.write_bytes(b"".join(LINES[:4]) + LINES[4][:30])
    seen = arriving(path.parent, 1)
    first, _ = next(seen)
    assert [record.seq for record in first] == [2, 3]
    with path.open("ab") as file:
        file.write(LINES[4][30:] + LINES[5] + LINES[6][:-1])
    second, _ = next(seen)
    assert [record.seq for record in second] == [4, 5]
    with path.open("ab") as file:
        file.write(LINES[6][-1:])
    third, _ = next(seen)
    assert [record.seq for record in third] == [6]


def test_what_is_not_yet_durable_is_told(tmp_path: Path, run: Run) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "00000001.jsonl").write_bytes(b"".join(LINES[:3]))  # nobody synced it
    _, out, _ = run("tail", str(tmp_path / "log"))
    assert [line.endswith("(not yet durable)") for line in out.splitlines()] == [True, True]
    assert "not yet durable" not in run("tail", LOG)[1]


async def test_a_run_is_followed_to_its_end_by_another_process(tmp_path: Path) -> None:
    async with open_log(tmp_path / "trip", log_id=ID) as log:
        world = World()
        agent = world.build(log, SCRIPT, [world.tool("send", "write")])
        tail = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tinyagent", "tail", str(tmp_path / "trip")),
            *("--until-end", "--jsonl", "-n", "999"),
            stdout=subprocess.PIPE,
            env=dict(os.environ),
        )
        await agent.prompt("Send it")
        last = log.seq
    out, _ = await asyncio.wait_for(tail.communicate(), 60)
    assert tail.returncode == 0
    assert [json.loads(line)["seq"] for line in out.splitlines()] == list(range(1, last + 1))
