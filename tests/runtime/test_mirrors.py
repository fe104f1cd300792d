"""Sinks beside a session: slow, broken, lossy; and the mirrors that are shipped."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.traces import MODEL, Scripted, script, text

from tinyagent import (
    Agent,
    AgentOptions,
    AgentState,
    Dropped,
    FileSink,
    SqliteSink,
    UserMessage,
    load,
    open_log,
    replay,
    subscribe,
)
from tinyagent.events import Record, kinds as k
from tinyagent.runtime.load import read_log
from tinyagent.runtime.sinks.subscription import Subscription
from tinyagent.runtime.stores import Log
from tinyagent.runtime.stores.memory import MemoryLog


class Notes:
    """Keeps numbers; may be held up, or fail at a record, once."""

    kinds = None

    def __init__(self, *, fails_at: int = 0) -> None:
        self.seen: list[int] = []
        self.threads: set[str] = set()
        self.fails_at = fails_at
        self.let_go = threading.Event()
        self.let_go.set()
        self.is_closed = False

    def checkpoint(self) -> int:
        return self.seen[-1] if self.seen else 0

    def write(self, record: Record | Dropped) -> None:
        assert self.let_go.wait(20)
        assert isinstance(record, Record)
        if record.seq == self.fails_at:
            self.fails_at = 0
            raise OSError("out of paper")
        self.seen.append(record.seq)
        self.threads.add(threading.current_thread().name)

    async def close(self) -> None:
        self.is_closed = True


def make(*sinks: Any, log: Log | None = None, answers: int = 3) -> Agent:
    return Agent(
        AgentOptions(
            initial_state=AgentState(model=MODEL, system_prompt="S"),
            stream_fn=script(*(text(f"Answer {n}, at some length.") for n in range(answers))),
            sinks=sinks,
            log=log,
        )
    )


def kinds_of(log: Log) -> list[str]:
    return [stored.kind for stored in log.read()]


async def test_a_sink_writes_in_a_thread_of_its_own() -> None:
    notes = Notes()
    await make(notes).prompt("hi")
    assert notes.threads == {"writes Notes 1"}


async def test_a_sink_that_is_stuck_holds_up_a_run_for_a_while_only_and_misses_nothing() -> None:
    notes, quick = Notes(), Notes()
    agent = make(notes, quick)
    notes.let_go.clear()
    started_s = asyncio.get_running_loop().time()
    await agent.prompt("hi")
    assert asyncio.get_running_loop().time() - started_s < 10
    assert notes.seen == []
    assert quick.seen == list(range(1, agent.log.seq + 1))
    notes.let_go.set()
    await agent.prompt("ho")
    assert notes.seen == list(range(1, agent.log.seq + 1))


async def test_a_sink_that_failed_is_tried_again_in_the_next_run() -> None:
    notes = Notes(fails_at=3)
    agent = make(notes)
    await agent.prompt("hi")
    assert notes.seen == [1, 2]
    failed = [r.payload for r in agent.log.read() if r.kind == "sink.failed"]
    assert failed == [
        b'{"sink":"Notes 1","seq":3,"failure":{"kind":"host","message":"OSError: out of paper"}}'
    ]
    await agent.prompt("ho")
    assert notes.seen == list(range(1, agent.log.seq + 1))
    assert kinds_of(agent.log).count("sink.failed") == 1


async def test_subscribe_says_which_records(tmp_path: Path) -> None:
    notes = Notes()
    agent = make(subscribe(notes, frozenset({"user.said"})))
    await agent.prompt("hi")
    await agent.prompt("ho")
    kinds = kinds_of(agent.log)
    assert [kinds[seq - 1] for seq in notes.seen] == ["user.said"] * 2


async def test_the_sinks_of_a_log_get_everything_and_are_closed_with_it() -> None:
    notes, broken = Notes(), Notes(fails_at=2)
    async with open_log(sinks=[notes, broken]) as log:
        await make(log=log).prompt("hi")
        log.append(log.seq + 1, 1, None, "user.said", 1, 0, b'{"content":"after the run"}')
        last = log.seq
    assert notes.seen[:last] == list(range(1, last + 1))
    assert broken.seen[:last] == list(range(1, last + 1))
    assert notes.is_closed
    assert broken.is_closed


async def test_a_sink_that_cannot_even_begin_is_said() -> None:
    class Absent(Notes):
        def checkpoint(self) -> int:
            raise ConnectionError("nobody there")

    agent = make(Absent())
    await agent.prompt("hi")
    assert kinds_of(agent.log).count("sink.failed") == 1


async def test_being_behind_is_reported_once() -> None:
    notes, gate = Notes(), asyncio.Event()
    agent = make(notes)
    agent.stream_fn = script(Scripted(text("Yes."), gate=gate))
    notes.let_go.clear()
    async for event in agent.stream("hi"):
        if event.type == "message_update" and not gate.is_set():
            for _ in range(30):
                for _ in range(100):
                    agent.append_message(UserMessage())
                await asyncio.sleep(0.001)
            gate.set()
    notes.let_go.set()
    said = [stored.payload for stored in agent.log.read() if b"sink.behind" in stored.payload]
    assert len(said) == 1
    assert b"records behind; it reads the log" in said[0]


@pytest.mark.parametrize("durability", ["interval", "group", "strict"])
async def test_where_others_may_see_only_what_is_safe_a_sink_does(durability: Any) -> None:
    class Slow(MemoryLog):
        safe = asyncio.Event()

        async def written(self, seq: int) -> None:
            await self.safe.wait()

    log, notes = Slow(), Notes()
    log.durability = durability
    feeding = Subscription(log, notes)
    feeding.start()
    log.append(1, 1, None, "user.said", 1, 0, b"{}")
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert notes.seen == []
    log.safe.set()
    await feeding.stop()
    assert notes.seen == [1]


# The mirrors that are shipped


async def test_a_copy_in_a_folder_is_a_log_like_the_first(tmp_path: Path) -> None:
    async with open_log(tmp_path / "log", name="trip", sinks=[FileSink(tmp_path / "copy")]) as log:
        agent = make(log=log)
        await agent.prompt("hi")
        await agent.prompt("ho")
    first, copy = read_log(tmp_path / "log"), read_log(tmp_path / "copy")
    assert (copy.meta, copy.verdict) == (first.meta, "clean")
    assert [(r.ts_us, r.actor, r.kind, r.cause, r.payload) for r in copy.records] == [
        (r.ts_us, r.actor, r.kind, r.cause, r.payload) for r in first.records
    ]
    assert (await replay(tmp_path / "copy")).ok


async def test_a_copy_goes_on_after_both_were_closed(tmp_path: Path) -> None:
    for turn in range(3):
        async with open_log(tmp_path / "log", sinks=[FileSink(tmp_path / "copy")]) as log:
            await make(log=log).prompt(f"turn {turn}")
    assert load(tmp_path / "copy").messages == load(tmp_path / "log").messages
    assert read_log(tmp_path / "copy").seq == read_log(tmp_path / "log").seq


async def test_a_folder_with_another_log_is_not_overwritten(tmp_path: Path) -> None:
    async with open_log(tmp_path / "copy") as other:
        await make(log=other).prompt("mine")
    async with open_log(tmp_path / "log", sinks=[FileSink(tmp_path / "copy")]) as log:
        await make(log=log).prompt("hi")
    failed = [r.event for r in load(tmp_path / "log").records if r.event.kind == "sink.failed"]
    assert isinstance(failed[0], k.SinkFailed)
    assert "the log here has the id" in failed[0].failure.message
    assert b"mine" in (tmp_path / "copy" / "00000001.jsonl").read_bytes()


async def test_a_mirror_in_sqlite_can_be_asked_and_loaded(tmp_path: Path) -> None:
    mirror = tmp_path / "mirror.db"
    for name in ("one", "two"):
        async with open_log(tmp_path / name, name=name, sinks=[SqliteSink(mirror)]) as log:
            await make(log=log).prompt(f"hi {name}")
    for name in ("one", "two"):
        assert load(f"sqlite:///{mirror}#{name}").messages == load(tmp_path / name).messages
        assert (await replay(f"sqlite:///{mirror}#{name}")).ok
    connection = sqlite3.connect(mirror)
    question = "SELECT json_extract(line, '$.e.content') FROM record WHERE k = 'user.said'"
    assert sorted(connection.execute(question)) == [("hi one",), ("hi two",)]
    connection.close()


async def test_a_log_is_not_mirrored_into_its_own_database(tmp_path: Path) -> None:
    place = f"sqlite:///{tmp_path}/log.db"
    async with open_log(place, sinks=[SqliteSink(place)]) as log:
        await make(log=log).prompt("hi")
    failed = [r.event for r in load(place).records if r.event.kind == "sink.failed"]
    assert isinstance(failed[0], k.SinkFailed)
    assert "is written here itself; mirror it elsewhere" in failed[0].failure.message


class Counting(SqliteSink):
    """Counts what users say, in a table of its own; fails after having counted, once."""

    fails_at = 0

    def put(self, connection: sqlite3.Connection, record: Record) -> None:
        connection.execute("CREATE TABLE IF NOT EXISTS said (n INTEGER)")
        if record.event.kind == "user.said":
            connection.execute("INSERT INTO said VALUES (?)", (record.seq,))
        super().put(connection, record)
        if record.seq == self.fails_at:
            type(self).fails_at = 0
            raise OSError("died here")


async def test_what_a_sink_writes_in_the_transaction_is_there_once(tmp_path: Path) -> None:
    Counting.fails_at = 2
    async with open_log(tmp_path / "log", sinks=[Counting(tmp_path / "mirror.db")]) as log:
        agent = make(log=log)
        await agent.prompt("hi")
        await agent.prompt("ho")
    recording = load(tmp_path / "log")
    said = [record.seq for record in recording.records if record.event.kind == "user.said"]
    assert [record.event.kind for record in recording.records].count("sink.failed") == 1
    connection = sqlite3.connect(tmp_path / "mirror.db")
    assert [n for (n,) in connection.execute("SELECT n FROM said ORDER BY n")] == said
    connection.close()


def test_a_killed_process_leaves_each_record_in_the_mirror_once(tmp_path: Path) -> None:
    code = f"""
        import asyncio
        from tinyagent import SqliteSink, open_log
        from tinyagent.runtime.sinks.subscription import Subscription
        async def main():
            async with open_log({str(tmp_path / "log")!r}) as log:
                async with Subscription(log, SqliteSink({str(tmp_path / "mirror.db")!r})):
                    while True:
                        for _ in range(10):
                            seq = log.seq + 1
                            text = b'{{"content":"%d"}}' % seq
                            log.append(seq, seq, None, "user.said", 1, 0, text)
                        await log.durable(seq)
                        print(seq, flush=True)
        asyncio.run(main())
    """
    for _ in range(4):
        program = [sys.executable, "-c", textwrap.dedent(code)]
        with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(100):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        mirrored = read_log(f"sqlite:///{tmp_path}/mirror.db")
        records = read_log(tmp_path / "log").records
        assert 0 < mirrored.seq <= len(records)
        assert [r.payload for r in mirrored.records] == [r.payload for r in records[: mirrored.seq]]
