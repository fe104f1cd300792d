"""A log that a later release wrote: what this one does not know is skipped, kept, never guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.crashing import ID, World, calls, conversation, text, turns

from tinyagent import fork, load, open_log, resume
from tinyagent.events import UnknownEvent
from tinyagent.runtime.errors import LogVersionError
from tinyagent.runtime.load import read_log
from tinyagent.runtime.log import pack, write_packed
from tinyagent.runtime.stores import Log
from tinyagent.runtime.stores.memory import MemoryLog

SCRIPT = turns(calls(("a1", "look", {}), says="I look."), text("Done."), text("Again."))
FUTURE = (
    ("weather.changed", 1, b'{"sky":"\\u00fcber \\ud83c\\udf27","deep":{"n":[1,2.50,1e3]}}'),
    ("model.weighed", 7, b'{ "blanks" : true }'),
    ("diagnostic.reported", 2, b'{"nothing":"of today"}'),
)


def build(log: Log) -> Any:
    world = World()
    return world.build(log, SCRIPT, [world.tool("look", "read")])


class Later(MemoryLog):
    """A log that is written by a release with more to say: fields, and records in between."""

    def append(
        self, seq: int, ts_us: int, actor: str | None, kind: str, v: int, cause: int, payload: bytes
    ) -> None:
        fields = msgspec.json.decode(payload)
        fields["future"] = {"since": 2, "says": None}
        if kind == "session.started":
            fields["tools"][0]["colour"] = "blue"
        super().append(seq, ts_us, actor, kind, v, cause, msgspec.json.encode(fields))
        for number, (name, version, raw) in enumerate(FUTURE, 1):
            super().append(seq + number, ts_us, "weather", name, version, seq, raw)


async def of_today() -> MemoryLog:
    log = MemoryLog(log_id=ID)
    await build(log).prompt("Go")
    return log


async def of_the_future() -> MemoryLog:
    log = Later(log_id=ID)
    await build(log).prompt("Go")
    return MemoryLog(log_id=ID, records=log.read())


def as_lines(log: Any) -> list[tuple[int, str, int, bytes]]:
    return [(stored.seq, stored.kind, stored.v, stored.payload) for stored in log]


async def test_what_is_not_known_is_skipped_by_the_fold_and_by_a_replay() -> None:
    log, later = await of_today(), await of_the_future()
    then, now = load(log), load(later)
    assert [m.model_dump() for m in now.messages] == [m.model_dump() for m in then.messages]
    assert [type(e).__name__ for e in now.events()] == [type(e).__name__ for e in then.events()]
    report = now.replay()
    assert report.ok, report.first_divergence
    assert (report.matched, report.requests) == (then.replay().matched, 2)
    unknown = [r.event for r in now.records if isinstance(r.event, UnknownEvent)]
    assert [(e.kind, e.v, e.raw) for e in unknown[:3]] == list(FUTURE)
    assert len(unknown) == 3 * log.seq


async def test_it_is_written_back_byte_for_byte(tmp_path: Path) -> None:
    later = await of_the_future()
    write_packed(later, tmp_path / "packed.jsonl")
    once = (tmp_path / "packed.jsonl").read_bytes()
    read = read_log(tmp_path / "packed.jsonl")
    assert as_lines(read.records) == as_lines(later.read())
    write_packed(read, tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == once
    async with open_log(tmp_path / "folder", log_id=ID) as log:
        for s in read.records:
            log.append(s.seq, s.ts_us, s.actor, s.kind, s.v, s.cause, s.payload)
    found = read_log(tmp_path / "folder")
    assert as_lines(found.records) == as_lines(later.read())
    assert b'"e":{ "blanks" : true }' in pack(found)


async def test_the_session_goes_on_behind_it_and_leaves_it_alone(tmp_path: Path) -> None:
    later = await of_the_future()
    async with open_log(tmp_path / "folder", log_id=ID) as log:
        for s in later.read():
            log.append(s.seq, s.ts_us, s.actor, s.kind, s.v, s.cause, s.payload)
    async with resume(tmp_path / "folder", build) as agent:
        await agent.prompt("Once more")
        assert conversation(agent)[-1] == ("assistant", ["Again."])
    recording = load(tmp_path / "folder")
    assert recording.replay().ok
    assert as_lines(read_log(tmp_path / "folder").records[: later.seq]) == as_lines(later.read())


@pytest.mark.diverges
@pytest.mark.parametrize(
    ("kind", "v", "payload"),
    [
        ("model.weighed", 1, b'{"must":true}'),
        ("tool.finished", 2, b'{"call_id":"a1"}'),
        ("model.requested", 3, b'{"n":1}'),
    ],
)
async def test_what_may_not_be_skipped_stops_a_resume_before_it_writes(
    tmp_path: Path, kind: str, v: int, payload: bytes
) -> None:
    later = await of_today()
    async with open_log(tmp_path / "folder", log_id=ID) as log:
        for s in later.read():
            log.append(s.seq, s.ts_us, s.actor, s.kind, s.v, s.cause, s.payload)
        log.append(log.seq + 1, 1_800_000_000_000_000, None, kind, v, 0, payload)
    before = as_lines(read_log(tmp_path / "folder").records)
    with pytest.raises(LogVersionError, match=rf"record {len(before)} {kind} version {v} is of a"):
        async with resume(tmp_path / "folder", build):
            pass
    assert as_lines(read_log(tmp_path / "folder").records) == before
    # It can be read, and forked before the record that nobody here understands.
    assert load(tmp_path / "folder").messages[-1].role == "assistant"
    async with fork(tmp_path / "folder", at=len(before) - 1) as child:
        await build(child).prompt("Once more")


async def test_a_replay_says_of_which_record_it_does_not_know_the_version() -> None:
    log = await of_today()
    records = [
        msgspec.structs.replace(stored, v=2) if stored.kind == "tool.finished" else stored
        for stored in log.read()
    ]
    report = load(MemoryLog(log_id=ID, records=records)).replay()
    assert not report.ok
    assert "tool.finished version 2 is of a newer release" in str(report.first_divergence)
