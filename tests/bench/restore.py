"""What it costs to take up a long log, beside reading and folding its lines alone.

``python tests/bench/restore.py [records]`` prints the least CPU milliseconds of a few rounds.
"""

from __future__ import annotations

import asyncio
import gc
import shutil
import sys
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import msgspec
from tests.traces import MODEL, Scripted, calls, result, text, tool

from tinyagent import Agent, AgentOptions, AgentState
from tinyagent.events import KINDS
from tinyagent.runtime.clock import SystemClock
from tinyagent.runtime.stores import Log
from tinyagent.runtime.stores.files import FileLog
from tinyagent.runtime.stores.snapshots import newest

ROUNDS = 5
BEHIND = range(500, 520)
"""So many records are behind the newest snapshot, of a long log as of a short one: a run has 18."""


async def ok(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
    return result("It is there, as it was.")


def build(log: Log) -> Agent:
    async def stream_fn(model: Any, context: Any, options: Any) -> Any:
        last = context.messages[-1]
        asked = getattr(last, "tool_call_id", None)
        n = len(context.messages)
        answer = calls((f"c{n}", "f", {"n": n}), says="I look.") if asked is None else text("Done.")
        return Scripted(answer)

    tools = [tool("f", ok, effect="read")]
    state = AgentState(model=MODEL, tools=tools)
    return Agent(AgentOptions(initial_state=state, stream_fn=stream_fn, log=log))


def opened(place: Path) -> FileLog:
    return FileLog(place, now_us=SystemClock().now_us)


async def fill(place: Path, records: int, *, behind: range | None = None) -> None:
    """Write at least *records* records into a log at *place*: runs with a tool each.

    *behind*: until so many of them are behind its newest snapshot.
    """
    log = opened(place)
    agent = build(log)
    while log.seq < records or (behind and log.seq - newest(place) not in behind):
        await agent.prompt("Look it up, please.")
    await log.close()


def take_up(place: Path) -> None:
    """Open the log at *place*, and an agent on it that could go on."""
    log = opened(place)
    build(log).take_up(on_unknown=None, on_approval=None, on_interrupted="retry")
    asyncio.run(log.close())


class Line(msgspec.Struct):
    """What a fold needs of a line."""

    kind: str = msgspec.field(default="", name="k")
    event: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw, name="e")


def fold(place: Path) -> None:
    """The messages that the lines at *place* make: checked, decoded, joined, and no more."""
    read = msgspec.json.Decoder(Line).decode
    decoders = {kind: msgspec.json.Decoder(cls).decode for kind, cls in KINDS.items()}
    messages: list[tuple[str, str]] = []
    words: list[str] = []
    for segment in sorted(place.glob("*.jsonl")):
        for line in segment.read_bytes().splitlines()[1:]:
            zlib.crc32(line)
            found = read(line)
            if found.kind not in decoders:
                continue  # the seal
            event: Any = decoders[found.kind](found.event)
            match found.kind:
                case "user.said" | "tool.finished":
                    messages.append((found.kind, event.content))
                case "model.delta":
                    words += [said for _, what, said, _ in event.pieces if what == "text"]
                case "model.finished":
                    messages.append((found.kind, "".join(words)))
                    words.clear()
                case _:
                    pass
    assert messages


def restore(records: int) -> dict[str, float]:
    """Return what a log of *records* costs, and one of a quarter."""
    with TemporaryDirectory() as folder:
        whole, quarter = Path(folder) / "whole", Path(folder) / "quarter"
        works: dict[str, Callable[[], None]] = {}
        for place, name, count in ((whole, "", records), (quarter, "small_", records // 4)):
            asyncio.run(fill(place, count))
            bare = place.with_suffix(".bare")
            shutil.copytree(place, bare, ignore=shutil.ignore_patterns("snap"))
            asyncio.run(fill(place, count, behind=BEHIND))
            works[f"{name}cpu_ms"] = partial(take_up, bare)
            works[f"{name}snapshot_ms"] = partial(take_up, place)
        works["fold_ms"] = partial(fold, whole.with_suffix(".bare"))
        costs = least_ms(works)
    return {**costs, "quarters_ms": 4 * costs["small_cpu_ms"]}


def least_ms(works: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Return the least CPU time of each of *works*, in milliseconds, taken in turns."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            gc.collect()  # what the one before it left is not its own
            start = time.process_time()
            work()
            found[name].append((time.process_time() - start) * 1e3)
    return {name: min(costs) for name, costs in found.items()}


if __name__ == "__main__":
    for name, cost in restore(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000).items():
        print(f"{name:18} {cost:8.1f}")
