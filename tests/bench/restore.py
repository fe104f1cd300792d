"""What it costs to take up a long log, beside reading and folding it alone.

``python tests/bench/restore.py [records]`` prints CPU milliseconds, the least of fifteen rounds:
reading with every payload decoded, the bare fold after that, and opening an agent's session. Then
the same of a log in a folder, opening it included, from its snapshot and without one.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.traces import MODEL, Scripted, calls, result, text, tool

from tinyagent import Agent, AgentOptions, AgentState
from tinyagent.events import Conversation
from tinyagent.runtime.clock import SystemClock
from tinyagent.runtime.stores import Log, as_record
from tinyagent.runtime.stores.files import FileLog
from tinyagent.runtime.stores.memory import MemoryLog

ROUNDS = 15
RATIO_MAX = 2.0


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


async def long_log(records: int) -> MemoryLog:
    """Return a log of at least *records* records, of runs with a tool each."""
    log = MemoryLog()
    await fill(log, records)
    return log


async def fill(log: Log, records: int) -> None:
    """Write at least *records* records into *log*."""
    agent = build(log)
    while log.seq < records:
        await agent.prompt("Look it up, please.")


def least_ms(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the least CPU time of each of *works*, in milliseconds, taken in turns."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            start = time.process_time()
            work()
            found[name].append((time.process_time() - start) * 1e3)
    return {name: min(costs) for name, costs in found.items()}


def main(records: int) -> None:
    log = asyncio.run(long_log(records))
    stored = list(log.read())

    def read() -> list[Any]:
        return [as_record(one) for one in stored]

    def fold() -> None:
        conversation = Conversation()
        for record in read():
            conversation.evolve(record)

    def restore() -> None:
        agent = build(MemoryLog(log_id=log.meta.log, records=stored))
        agent.take_up(on_unknown=None, on_approval=None, on_interrupted="retry")

    costs = least_ms({"read": read, "read and fold": fold, "restore": restore})
    for name, cost in costs.items():
        print(f"{name:16} {cost:8.1f} ms")
    ratio = costs["restore"] / costs["read and fold"]
    print(f"{len(stored)} records; restore is {ratio:.2f} x the bare fold, at most {RATIO_MAX}")
    with TemporaryDirectory() as folder:
        in_a_folder(Path(folder), records)


def in_a_folder(folder: Path, records: int) -> None:
    """Print what it costs to take up a log on disk, from its snapshot and without one."""

    def opened(place: Path) -> FileLog:
        return FileLog(place, now_us=SystemClock().now_us)

    async def record() -> None:
        log = opened(folder / "kept")
        await fill(log, records)
        await log.close()

    def take_up(name: str) -> None:
        log = opened(folder / name)
        build(log).take_up(on_unknown=None, on_approval=None, on_interrupted="retry")
        asyncio.run(log.close())

    asyncio.run(record())
    shutil.copytree(folder / "kept", folder / "bare", ignore=shutil.ignore_patterns("snap"))
    costs = least_ms({name: partial(take_up, name) for name in ("kept", "bare")})
    print(
        f"in a folder: {costs['kept']:.1f} ms from the snapshot, {costs['bare']:.1f} ms without: "
        f"{costs['bare'] / costs['kept']:.1f} x"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
