"""``tinyagent verify``, ``repair``, ``replay`` and ``resume`` on a log that lost records."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.crashing import ID, World, calls, text, turns
from tests.recordings import REPLAYS

from tinyagent import Agent, RunFailedError, load, open_log, resume
from tinyagent.events import kinds as k
from tinyagent.runtime.errors import CorruptLogError
from tinyagent.runtime.log import write_packed
from tinyagent.runtime.stores.memory import MemoryLog

Run = Callable[..., tuple[int, str, str]]
SCRIPT = turns(
    calls(("s1", "send", {"to": "ann"})), text("It is sent."), text("Nothing."), text("And that.")
)


def build(*, log: Any) -> Agent:
    """Return an agent with one tool that changes the world."""
    world = World()
    return world.build(log, SCRIPT, [world.tool("send", "write")])


APP = ("--app", f"{__name__}:build")


@pytest.fixture
def trip(tmp_path: Path) -> Path:
    """Two runs in a folder: one with a tool, one without."""

    async def record() -> None:
        async with open_log(tmp_path / "trip", log_id=ID) as log:
            agent = build(log=log)
            await agent.prompt("Send it")
            await agent.prompt("What now?")

    asyncio.run(record())
    return tmp_path / "trip"


def lose(trip: Path, kind: str, which: int = 0) -> int:
    """Damage a byte in a record of *kind*; return its number."""
    seq = [record.seq for record in load(trip).records if record.event.kind == kind][which]
    path = trip / "00000001.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[seq] = lines[seq].replace(b'"ts"', b'"t?"')
    path.write_bytes(b"".join(lines))
    return seq


def test_a_log_without_a_seal_is_usable_and_of_a_packed_one_its_end_may_be_missing(
    run: Run, trip: Path, tmp_path: Path
) -> None:
    segment = trip / "00000001.jsonl"
    count = len(load(trip).records)
    segment.write_bytes(b"".join(segment.read_bytes().splitlines(keepends=True)[: count + 1]))
    alone = shutil.copy(segment, tmp_path / "alone.jsonl")
    said = "there is no seal: it was not closed, or its end was cut off"
    assert f"unclean  {count} records usable; {said}\n" in run("verify", str(alone))[1]
    assert "usable; it was not closed, all is there\n" in run("verify", str(trip))[1]
    assert len(load(alone).records) == count


def test_sound_logs_are_a_line_each(run: Run, trip: Path) -> None:
    other = REPLAYS / "one-tool.jsonl"
    code, out, _ = run("verify", str(trip), str(other))
    wide = max(len(str(trip)), len(str(other)))
    count = len(load(trip).records)
    assert out.splitlines() == [
        f"{trip!s:{wide}}   ok       {count} records",
        f"{other!s:{wide}}   ok       21 records",
    ]
    assert code == 0


def test_a_damaged_log_is_named_with_its_segment_and_the_way_out(run: Run, trip: Path) -> None:
    sound = shutil.copytree(trip, trip.with_name("sound"))
    seq = lose(trip, "tool.finished")
    code, out, _ = run("verify", str(sound), str(trip))
    assert code == 1
    first, second, third, *complaints = out.splitlines()
    assert "   ok       " in first
    assert f"corrupt  records {seq}..{seq} are lost, from byte " in second
    assert second.endswith(f"; tinyagent repair {trip} -o {trip}-repaired")
    assert third.startswith("  00000001.jsonl   corrupt ")
    assert any(line.startswith(f"    records {seq}..{seq} are lost, ") for line in complaints)


def test_json_has_a_verdict_for_each_segment(run: Run, trip: Path) -> None:
    lose(trip, "tool.finished")
    code, out, _ = run("verify", str(trip), "--json")
    told = json.loads(out)
    assert (code, told["schema"]) == (1, "tinyagent.verify/1")
    [log] = told["logs"]
    assert (log["verdict"], log["report"]["log"]) == ("corrupt", ID)
    assert [s["verdict"] for s in log["report"]["segments"]] == ["corrupt"]


def test_a_torn_end_is_usable_and_no_damage(run: Run, trip: Path) -> None:
    lines = (trip / "00000001.jsonl").read_bytes().splitlines(keepends=True)
    path = trip.with_name("torn")
    path.mkdir()
    (path / "00000001.jsonl").write_bytes(b"".join(lines[:3]) + lines[3][:20])
    code, out, _ = run("verify", str(path))
    assert code == 0
    assert out.splitlines()[0] == (
        f"{path}   torn     2 records usable; the end was never acknowledged; "
        "opening to append sets it aside"
    )
    assert out.splitlines()[1].startswith("  00000001.jsonl   torn ")


def test_deep_decides_everything_anew(run: Run, trip: Path, tmp_path: Path) -> None:
    code, out, _ = run("verify", str(trip), "--deep")
    matched = load(trip).replay()
    count = matched.matched + matched.requests
    assert code == 0
    assert out.splitlines()[1] == (
        f"  {count} decisions and requests are what today's code makes of them"
    )
    loaded = load(trip)
    changed = MemoryLog(log_id=ID)
    for r in loaded.records:
        kind, payload = r.event.kind, r.payload.replace(b'"name":"send"', b'"name":"sent"')
        payload = payload if kind == "tool.requested" else r.payload
        changed.append(r.seq, r.at_ns // 1000, None, kind, 1, r.cause, payload)
    path = tmp_path / "changed.jsonl"
    write_packed(changed, path)
    assert run("verify", str(path))[0] == 0
    code, out, _ = run("verify", str(path), "--deep", "--json")
    assert code == 1
    assert "is not what agent decides today" in json.loads(out)["logs"][0]["deep"]["fault"]


def test_a_repaired_log_says_what_is_lost(run: Run, trip: Path) -> None:
    seq = lose(trip, "tool.finished")
    count = len((trip / "00000001.jsonl").read_bytes().splitlines()) - 3
    to = trip.with_name("new")
    code, out, _ = run("repair", str(trip), "-o", str(to))
    assert code == 0
    assert out.splitlines()[0] == f"{to}   {count} records kept, 1 lost"
    assert out.splitlines()[1].startswith(f"  records {seq}..{seq}: 00000001.jsonl, ")
    assert "--accept-loss" in out.splitlines()[2]
    code, out, _ = run("verify", str(to), "--deep")
    assert code == 0
    assert f"  records {seq}..{seq} are lost; the log was repaired" in out.splitlines()
    code, _, err = run("repair", str(trip), "-o", str(to))
    assert (code, "RefError" in err) == (2, True)


def test_json_of_a_repair_names_the_gaps(run: Run, trip: Path) -> None:
    seq = lose(trip, "tool.finished")
    code, out, _ = run("repair", str(trip), "-o", str(trip.with_name("new")), "--json")
    told = json.loads(out)
    assert (code, told["log"], told["lost"]) == (0, ID, 1)
    assert [(gap["first"], gap["last"]) for gap in told["gaps"]] == [(seq, seq)]


def repaired(run: Run, trip: Path, kind: str, which: int = 0) -> tuple[Path, int]:
    seq = lose(trip, kind, which)
    to = trip.with_name("new")
    run("repair", str(trip), "-o", str(to))
    return to, seq


def test_replay_ends_where_records_are_lost_and_says_so(run: Run, trip: Path) -> None:
    path, seq = repaired(run, trip, "tool.finished")
    report = load(path).replay()
    assert report.ok
    assert (report.lost, report.records) == ((seq, seq), seq - 1)
    code, out, _ = run("replay", str(path))
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == f"same: {seq - 1} records"
    assert (
        lines[2] == f"ended there: records {seq}..{seq} are lost, and none behind them is compared"
    )


def test_a_repaired_log_goes_on_only_if_the_loss_is_accepted(run: Run, trip: Path) -> None:
    path, _ = repaired(run, trip, "tool.finished")
    code, _, err = run("resume", str(path), *APP, "--yes")
    assert code == 1
    assert "accept_loss=True" in err

    async def go_on() -> None:
        with pytest.raises(CorruptLogError):
            async with open_log(path):
                pass
        async with open_log(path, accept_loss=True) as log:
            agent = build(log=log)
            await agent.prompt("And then?")

    asyncio.run(go_on())
    assert load(path).status == "answered"


def test_the_command_ends_the_run_that_lost_its_end(run: Run, trip: Path) -> None:
    path = trip / "00000001.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    end = next(r.seq for r in load(trip).records if isinstance(r.event, k.RunEnded))
    path.write_bytes(b"".join(lines[:end]))  # the first run has no end
    (trip / "LOCK").unlink()  # which knows of more
    to, _ = repaired(run, trip, "model.finished")
    code, _, err = run("resume", str(to), *APP, "--yes")
    assert (code, "accept_loss=True" in err) == (1, True)
    code, out, err = run("resume", str(to), *APP, "--yes", "--accept-loss", "--json")
    assert (code, json.loads(out)["status"]) == (1, "failed"), err


@pytest.mark.parametrize("kind", ["user.said", "model.finished", "tool.started"])
async def test_the_run_that_lost_its_end_is_over_as_failed(
    tmp_path: Path, run: Run, kind: str
) -> None:
    async with open_log(tmp_path / "log", log_id=ID) as log:
        await build(log=log).prompt("Send it")
    lines = (tmp_path / "log" / "00000001.jsonl").read_bytes().splitlines(keepends=True)
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "00000001.jsonl").write_bytes(b"".join(lines[:-2]))  # without run.ended
    path, _ = repaired(run, cut, kind)
    async with resume(path, build, accept_loss=True) as agent:
        with suppress(RunFailedError):  # a whole last answer is shown all the same
            await agent.run()
        await agent.prompt("And then?")
        said = [message.role for message in agent.state.messages]
    after = load(path)
    ends = [r.event.outcome for r in after.records if isinstance(r.event, k.RunEnded)]
    assert ends == ["failed", "answered"]
    assert said[-2:] == ["user", "assistant"]
    assert [message.role for message in after.messages] == said


def unfit(path: Path) -> Path:
    """Write a log of which every byte is right, and one record is not what its kind says."""
    log = MemoryLog(log_id=ID, name="strange")
    log.append(1, 1, None, "user.said", 1, 0, b'{"content":"Send it"}')
    log.append(2, 2, None, "tool.in_doubt", 1, 0, b'{"call_id":"c1","why":"nobody knows"}')
    write_packed(log, path)
    return path


def test_a_record_that_is_not_of_its_kind_is_named_with_the_way_out(
    run: Run, trip: Path, tmp_path: Path
) -> None:
    path = unfit(tmp_path / "strange.jsonl")
    told = f"{path}: record 2 is whole, but no tool.in_doubt of version 1: Invalid enum value"
    for argv in (["show"], ["tail"], ["stats"], ["fork"], ["export", "--to", "md"]):
        code, out, err = run(argv[0], str(path), *argv[1:])
        assert (code, out) == (1, "")
        assert err.startswith(f"CorruptLogError: {told}")
        assert err.endswith(f"tinyagent redact {path} --seq 2 -o NEW makes a log without it\n")
    code, out, _ = run("verify", str(path), str(trip), "--deep")
    assert (code, [line.split()[1] for line in out.splitlines() if "   " in line]) == (
        1,
        ["corrupt", "ok"],
    )
    code, out, _ = run("ls", str(tmp_path))
    assert (code, "Send it" in out, f"! {path}  CorruptLogError: {told}" in out) == (0, True, True)
    assert run("doctor", "--dir", str(tmp_path))[::2] == (1, "")
    assert run("redact", str(path), "--seq", "2", "-o", str(tmp_path / "new"))[0] == 0
    assert len(load(tmp_path / "new").records) == 2
