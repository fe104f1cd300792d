"""Our log and our mailboxes beside what the standard library can do at least.

``python tests/bench/floors.py`` prints the table. Both sides of a ratio are of one round; what is
told is the median of the ratios. Wall time where a disk is waited for, else CPU of this process.
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
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec

from tinyagent import load
from tinyagent.events import Record, encode, kinds as k
from tinyagent.events.codec import decode
from tinyagent.runtime.clock import SystemClock
from tinyagent.runtime.mailbox import Mailbox
from tinyagent.runtime.stores.files import FileLog

APPENDS, SYNCED, EACH, READ, LETTERS = 20_000, 64 * 60, 100, 20_000, 20_000
DELTA = k.ModelDelta([(0, "text", "The handler reads the request body. " * 6, 20_000)])
PAYLOAD = encode(DELTA)
LINE = json.dumps({"seq": 1, "k": DELTA.kind, "e": json.loads(PAYLOAD)}).encode() + b"\n"
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


# Read back, restore


async def ours_read(folder: Path) -> float:
    log = FileLog(folder / "log", now_us=SystemClock().now_us)
    for seq in range(1, READ + 1):
        log.append(seq, seq, None, DELTA.kind, 1, seq - 1, PAYLOAD)
    await log.written(READ)
    start = cpu_s()
    for stored in log.read():
        decode(stored.kind, stored.v, stored.payload)
    cost = cpu_s() - start
    await log.close()
    return cost / READ * 1e6


class Line(msgspec.Struct):
    seq: int
    kind: str = msgspec.field(name="k")
    e: k.ModelDelta = msgspec.field()


def read_lines(read: Callable[[bytes], Any]) -> float:
    lines = [LINE] * READ
    start = cpu_s()
    for line in lines:
        zlib.crc32(line)
        read(line)
    return (cpu_s() - start) / READ * 1e6


async def ours_restored(folder: Path) -> float:
    """10,000 records: 2,000 prompts with an answer of three deltas each."""
    log = FileLog(folder / "log", now_us=SystemClock().now_us)
    seq = 0
    for _ in range(2000):
        answer = [k.UserSaid("Do the work."), k.ModelRequested(1), DELTA, DELTA]
        for event in (*answer, k.ModelFinished("end")):
            seq += 1
            log.append(seq, seq, None, event.kind, 1, seq - 1, encode(event))
    await log.close()
    start = cpu_s()
    restored = load(folder / "log")
    cost = cpu_s() - start
    assert len(restored.conversation.messages) == 4000
    return cost * 1e3


async def fold_of_lines(folder: Path) -> float:
    """The same lines, decoded by msgspec into a list of messages: what has to be done at least."""
    decoder = msgspec.json.Decoder(Line)
    lines = b"".join([LINE] * 10_000)
    start = cpu_s()
    messages: list[tuple[str, str]] = []
    for line in lines.splitlines():
        zlib.crc32(line)
        messages.append(("assistant", decoder.decode(line).e.text))
    return (cpu_s() - start) * 1e3


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


class Row(NamedTuple):
    """Ours beside a floor."""

    title: str
    ours: Measure
    floor_title: str
    floor: Measure


def later(measure: Callable[[Path], float]) -> Measure:
    """Return *measure* as the others are."""

    async def measured(folder: Path) -> float:
        return measure(folder)

    return measured


ROWS = (
    Row(
        "append, CPU µs",
        ours_buffered,
        "raw write, 64 at once",
        later(lambda folder: raw(folder, APPENDS, 64, sync=False)),
    ),
    Row(
        "append, CPU µs",
        ours_buffered,
        "sqlite3 WAL, commit each",
        later(lambda folder: sqlite(folder, 4000, "normal")),
    ),
    Row(
        "synced by 64, wall µs",
        lambda folder: ours_synced(folder, SYNCED, 64),
        "raw, fdatasync by 64",
        later(lambda folder: raw(folder, SYNCED, 64, sync=True)),
    ),
    Row(
        "pipelined, one wait at the end, wall µs",
        lambda folder: ours_synced(folder, APPENDS, APPENDS),
        "raw, fdatasync by 64",
        later(lambda folder: raw(folder, SYNCED, 64, sync=True)),
    ),
    Row(
        "synced each, wall µs",
        lambda folder: ours_synced(folder, EACH, 1),
        "raw, fdatasync each",
        later(lambda folder: raw(folder, EACH, 1, sync=True)),
    ),
    Row(
        "synced each, wall µs",
        lambda folder: ours_synced(folder, EACH, 1),
        "sqlite3 WAL, FULL, commit each",
        later(lambda folder: sqlite(folder, EACH, "full")),
    ),
    Row(
        "read back, CPU µs",
        ours_read,
        "crc32, json.loads",
        later(lambda folder: read_lines(json.loads)),
    ),
    Row(
        "read back, CPU µs",
        ours_read,
        "crc32, msgspec",
        later(lambda folder: read_lines(msgspec.json.Decoder(Line).decode)),
    ),
    Row("restore of 10,000 records, CPU ms", ours_restored, "msgspec and a list", fold_of_lines),
    Row("letter one way, CPU µs", ours_one_way, "asyncio.Queue", queue_one_way),
    Row("letter and answer, CPU µs", ours_round_trip, "deque and futures", deque_round_trip),
)


async def measured(measure: Measure) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return await measure(Path(folder))


async def table(rounds: int) -> list[str]:
    """Return the lines of the table."""
    lines = ["| | ours | beside | | ours / beside |", "|---|---:|---|---:|---:|"]
    for row in ROWS:
        ours, floors, ratios = list[float](), list[float](), list[float]()
        for _ in range(rounds):
            ours.append(await measured(row.ours))
            floors.append(await measured(row.floor))
            ratios.append(ours[-1] / floors[-1])
        mine, theirs, ratio = map(statistics.median, (ours, floors, ratios))
        span = f"{ratio:.2f} [{min(ratios):.2f}–{max(ratios):.2f}]"
        lines.append(f"| {row.title} | {mine:.2f} | {row.floor_title} | {theirs:.2f} | {span} |")
    return lines


if __name__ == "__main__":
    print("\n".join(asyncio.run(table(int(sys.argv[1]) if len(sys.argv) > 1 else 5))))
