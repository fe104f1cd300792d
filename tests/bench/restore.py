"""What it costs to take up a long log, beside reading and folding it alone.

``python tests/bench/restore.py [records]`` prints CPU milliseconds, the least of fifteen rounds:
reading with every payload decoded, the bare fold after that, and opening an agent's session.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.traces import MODEL, Scripted, calls, result, text, tool

from tinyagent import Agent, AgentOptions, AgentState
from tinyagent.events import Conversation
from tinyagent.runtime.stores import as_record
from tinyagent.runtime.stores.memory import MemoryLog

ROUNDS = 15
RATIO_MAX = 2.0


async def ok(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
    return result("It is there, as it was.")


def build(log: MemoryLog) -> Agent:
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
    agent = build(log)
    while log.seq < records:
        await agent.prompt("Look it up, please.")
    return log


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


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
