"""Our log and our mailboxes, and what the standard library can do at least: one in a process.

``python floors.py WHO SCENARIO`` prints what it cost, as ``client.py`` does. The least of a few
runs is told: others only add. Wall time where a disk is waited for, else CPU of this process.

The raw file is favoured: it holds the payload behind four bytes of checksum, where ours are lines
with their place, and it is written and synced by whoever made the events, who does nothing else
meanwhile. Ours leaves the event loop free, so it hands over to a thread and back for each sync.
That costs tens of microseconds where cores have to be woken; ours stays awake between syncs that
follow each other at once, as here, if it has a core of its own: compare on a machine at rest.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
import zlib
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec
from tests.bench.line import LINE, TEXT, lines_in, read_lines
from tests.bench.restore import restore

from tinyagent import load
from tinyagent.events import Record, encode, kinds as k
from tinyagent.runtime.clock import SystemClock
from tinyagent.runtime.mailbox import Mailbox
from tinyagent.runtime.stores.files import FileLog

RUNS = 5
APPENDS, SYNCED, EACH, READ, LETTERS = 20_000, 64 * 60, 100, 20_000, 20_000
DELTA = k.ModelDelta([(0, "text", TEXT, 20_000)])
PAYLOAD = encode(DELTA)
assert PAYLOAD in LINE
Measure = Callable[[Path], Awaitable[float]]


def cpu_s() -> float:
    return time.process_time()


def wall_s() -> float:
    return time.perf_counter()


# Append


async def ours_buffered(folder: Path) -> float:
    log = FileLog(folder / "log", now_us=SystemClock().now_us)
    start = cpu_s()
    for seq in range(1, APPENDS + 1):
        log.append(seq, seq, None, DELTA.kind, 1, seq - 1, encode(DELTA))
    await log.written(APPENDS)
    cost = cpu_s() - start
    await log.close()
    return cost / APPENDS * 1e6


def raw(folder: Path, count: int, batch: int, *, sync: bool) -> float:
    file = os.open(folder / "raw", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    lines: list[bytes] = []
    start = wall_s() if sync else cpu_s()
    for _ in range(count):
        payload = encode(DELTA)
        lines.append(zlib.crc32(payload).to_bytes(4, "little") + payload)
        if len(lines) == batch:
            os.write(file, b"".join(lines))
            lines.clear()
            if sync:
                os.fdatasync(file)
    cost = (wall_s() if sync else cpu_s()) - start
    os.close(file)
    return cost / count * 1e6


def sqlite(folder: Path, count: int, mode: str) -> float:
    base = sqlite3.connect(folder / "rows", isolation_level=None)
    base.execute("pragma journal_mode=wal")
    base.execute(f"pragma synchronous={mode}")
    base.execute("create table event(seq integer primary key, data blob)")
    start = wall_s() if mode == "full" else cpu_s()
    for seq in range(count):
        base.execute("insert into event values(?,?)", (seq, encode(DELTA)))
    cost = (wall_s() if mode == "full" else cpu_s()) - start
    base.close()
    return cost / count * 1e6


async def ours_synced(folder: Path, count: int, batch: int) -> float:
    log = FileLog(folder / "log", now_us=SystemClock().now_us)
    start = wall_s()
    for seq in range(1, count + 1):
        log.append(seq, seq, None, DELTA.kind, 1, seq - 1, encode(DELTA))
        if seq % batch == 0:
            await log.durable(seq)
    cost = wall_s() - start
    await log.close()
    return cost / count * 1e6


def sync_p50_ms(folder: Path) -> float:
    """What a disk takes to sync the lines of a turn."""
    file = os.open(folder / "raw", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    took_s: list[float] = []
    for _ in range(200):
        os.write(file, LINE * 4)
        start = wall_s()
        os.fdatasync(file)
        took_s.append(wall_s() - start)
    os.close(file)
    return statistics.median(took_s) * 1e3


# Read back


async def ours_read(folder: Path) -> float:
    """To the list of its records, events and all; opening and judging the log is part of it."""
    log = FileLog(folder / "log", now_us=SystemClock().now_us)
    for seq in range(1, READ + 1):
        log.append(seq, seq, None, DELTA.kind, 1, seq - 1, PAYLOAD)
    await log.close()
    start = cpu_s()
    records = load(folder / "log").records
    cost = cpu_s() - start
    assert len(records) == READ
    return cost / READ * 1e6


class Line(msgspec.Struct):
    seq: int
    ts: int
    v: int
    c: int
    e: k.ModelDelta
    kind: str = msgspec.field(name="k")
    a: str | None = None


def reading(read: Callable[[bytes], object]) -> Measure:
    """Return what *read* takes for a line, to the list of what it makes of them."""

    def all_lines(folder: Path) -> float:
        file = lines_in(folder, READ)
        start = cpu_s()
        found = read_lines(file, read)
        cost = cpu_s() - start
        assert len(found) == READ
        return cost / READ * 1e6

    return later(all_lines)


# Mailboxes

LETTER = Record(seq=1, at_ns=1, cause=0, actor="model", event=DELTA, payload=PAYLOAD)


async def ours_one_way(folder: Path) -> float:
    box = Mailbox("bench", None)

    async def read() -> None:
        for _ in range(LETTERS):
            await box.get()

    reader = asyncio.create_task(read())
    start = cpu_s()
    for number in range(LETTERS):
        box.post(LETTER)
        if number % 64 == 63:
            await asyncio.sleep(0)
    await reader
    return (cpu_s() - start) / LETTERS * 1e6


async def queue_one_way(folder: Path) -> float:
    queue: asyncio.Queue[Record] = asyncio.Queue(1024)

    async def read() -> None:
        for _ in range(LETTERS):
            await queue.get()

    reader = asyncio.create_task(read())
    start = cpu_s()
    for number in range(LETTERS):
        await queue.put(LETTER)
        if number % 64 == 63:
            await asyncio.sleep(0)
    await reader
    return (cpu_s() - start) / LETTERS * 1e6


async def ours_round_trip(folder: Path) -> float:
    there, back = Mailbox("there", None), Mailbox("back", None)

    async def answer() -> None:
        while (letter := await there.get()) is not None:
            back.post(letter)

    answering = asyncio.create_task(answer())
    start = cpu_s()
    for _ in range(LETTERS // 4):
        there.post(LETTER)
        await back.get()
    cost = cpu_s() - start
    there.close()
    await answering
    return cost / (LETTERS // 4) * 1e6


async def deque_round_trip(folder: Path) -> float:
    loop = asyncio.get_running_loop()
    letters: deque[asyncio.Future[None]] = deque()
    woken = loop.create_future()

    async def answer() -> None:
        nonlocal woken
        for _ in range(LETTERS // 4):
            if not letters:
                woken = loop.create_future()
                await woken
            letters.popleft().set_result(None)

    answering = asyncio.create_task(answer())
    await asyncio.sleep(0)
    start = cpu_s()
    for _ in range(LETTERS // 4):
        asked = loop.create_future()
        letters.append(asked)
        if not woken.done():
            woken.set_result(None)
        await asked
    cost = cpu_s() - start
    await answering
    return cost / (LETTERS // 4) * 1e6


def later(measure: Callable[[Path], float]) -> Measure:
    """Return *measure* as the others are."""

    async def measured(folder: Path) -> float:
        return measure(folder)

    return measured


MEASURES: dict[tuple[str, str], dict[str, Measure]] = {
    ("tinyagent", "append"): {"cpu_us": ours_buffered},
    ("raw-file", "append"): {"cpu_us": later(lambda at: raw(at, APPENDS, 64, sync=False))},
    ("sqlite3", "append"): {"cpu_us": later(lambda at: sqlite(at, 4000, "normal"))},
    ("tinyagent", "by64"): {
        "wall_us": lambda at: ours_synced(at, SYNCED, 64),
        "pipelined_us": lambda at: ours_synced(at, APPENDS, APPENDS),
    },
    ("raw-file", "by64"): {"wall_us": later(lambda at: raw(at, SYNCED, 64, sync=True))},
    ("tinyagent", "each"): {"wall_us": lambda at: ours_synced(at, EACH, 1)},
    ("raw-file", "each"): {"wall_us": later(lambda at: raw(at, EACH, 1, sync=True))},
    ("sqlite3", "each"): {"wall_us": later(lambda at: sqlite(at, EACH, "full"))},
    ("tinyagent", "read"): {"cpu_us": ours_read},
    ("json.loads", "read"): {"cpu_us": reading(json.loads)},
    ("msgspec", "read"): {"cpu_us": reading(msgspec.json.Decoder(Line).decode)},
    ("tinyagent", "letter"): {"cpu_us": ours_one_way},
    ("asyncio.Queue", "letter"): {"cpu_us": queue_one_way},
    ("tinyagent", "ask"): {"cpu_us": ours_round_trip},
    ("deque", "ask"): {"cpu_us": deque_round_trip},
    ("fdatasync", "tools"): {"p50_ms": later(sync_p50_ms)},
}


async def measured(who: str, scenario: str) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for _ in range(RUNS):
        for name, measure in MEASURES[who, scenario].items():
            with tempfile.TemporaryDirectory() as folder:
                found.setdefault(name, []).append(await measure(Path(folder)))
    return {name: min(values) for name, values in found.items()}


if __name__ == "__main__":
    is_restore = sys.argv[1:3] == ["tinyagent", "restore"]
    costs = restore(10_000) if is_restore else asyncio.run(measured(*sys.argv[1:3]))
    print(json.dumps({"client": sys.argv[1], "scenario": sys.argv[2], **costs}))
