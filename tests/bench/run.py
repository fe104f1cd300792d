"""What the hot path costs, beside the numbers last agreed on (``make bench-quick``).

Every number is the median of rounds taken in turns, so that a busy moment of the machine meets
all alike. ``--agree`` writes them to agreed.json: commit that when you know why they moved.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from tinyagent import Agent, AgentOptions, AssistantMessage, AssistantMessageEvent, _alchemy
from tinyagent.agent_types import AgentState, Context, Model, SimpleStreamOptions, TextContent
from tinyagent.runtime.clock import SystemClock
from tinyagent.runtime.stores import Log
from tinyagent.runtime.stores.files import FileLog
from tinyagent.runtime.stores.memory import MemoryLog

AGREED = Path(__file__).with_name("agreed.json")
STRIPPED_BYTES_MAX = 20_000_000
ROUNDS = 9
APPENDS = 20_000
TURNS, DELTAS = 50, 40
PAYLOAD = b'{"pieces":[[0,"text","some words of an answer",20000]]}'

Measure = Callable[[], Awaitable[float]]


def refuse_debug() -> None:
    """Exit if the extension was built for development: its numbers mean nothing."""
    # Cargo's dev profile leaves debug information in the file, ten times what the release
    # profile strips it to.
    if Path(str(_alchemy.__file__)).stat().st_size > STRIPPED_BYTES_MAX:
        sys.exit("bench: this is a debug build of the extension; press `make bench`")


async def import_asyncio() -> float:
    return cost_of("import asyncio, msgspec")


async def import_tinyagent() -> float:
    return cost_of("from tinyagent import Agent")


def cost_of(statement: str) -> float:
    """Return the CPU of *statement* in a fresh interpreter, in milliseconds."""
    clock = "time.process_time()"
    program = f"import time; a = {clock}; {statement}; print({clock} - a)"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, check=True
    )
    return float(done.stdout) * 1e3


async def append_memory() -> float:
    return append_to(MemoryLog())


async def append_file() -> float:
    with tempfile.TemporaryDirectory() as folder:
        log = FileLog(Path(folder) / "log", now_us=SystemClock().now_us)
        cost = append_to(log)
        await log.close()
    return cost


def append_to(log: Log) -> float:
    """Return the CPU of one append of a delta, in microseconds; the writer's thread included."""
    start = time.process_time()
    for seq in range(1, APPENDS + 1):
        log.append(seq, seq * 1_000, None, "model.delta", 1, seq - 1, PAYLOAD)
    return (time.process_time() - start) / APPENDS * 1e6


class Words:
    """An answer of *DELTAS* pieces that is there at once."""

    def __init__(self) -> None:
        self.message = AssistantMessage(
            content=[TextContent(text="word " * DELTAS)], stop_reason="stop"
        )
        self.events = self.stream()

    async def stream(self) -> AsyncIterator[AssistantMessageEvent]:
        growing = AssistantMessage(content=[TextContent(text="")])
        yield AssistantMessageEvent(type="start", partial=growing)
        for _ in range(DELTAS):
            yield AssistantMessageEvent(
                type="text_delta", partial=growing, content_index=0, delta="word "
            )
        yield AssistantMessageEvent(type="done", reason="stop", message=self.message)

    def __aiter__(self) -> AsyncIterator[AssistantMessageEvent]:
        return self

    async def __anext__(self) -> AssistantMessageEvent:
        return await anext(self.events)

    async def result(self) -> AssistantMessage:
        return self.message


async def answer(model: Model, context: Context, options: SimpleStreamOptions) -> Words:
    return Words()


async def turn() -> float:
    """Return the CPU of one turn of a session in memory, in microseconds per delta."""
    state = AgentState(system_prompt="Be brief.", model=Model(provider="none", id="none"))
    agent = Agent(AgentOptions(initial_state=state, stream_fn=answer))
    await agent.prompt("warm up")
    start = time.process_time()
    for _ in range(TURNS):
        await agent.prompt("go on")
    return (time.process_time() - start) / (TURNS * DELTAS) * 1e6


MEASURES: dict[str, Measure] = {
    "import asyncio, msgspec: ms": import_asyncio,
    "from tinyagent import Agent: ms": import_tinyagent,
    "append to memory: us": append_memory,
    "append to a file: us": append_file,
    "session turn, per delta: us": turn,
}


async def main() -> None:
    refuse_debug()
    rounds: dict[str, list[float]] = {name: [] for name in MEASURES}
    for _ in range(1 + ROUNDS):  # the first only warms up
        for name, measure in MEASURES.items():
            rounds[name].append(await measure())
    medians = {name: round(statistics.median(found[1:]), 2) for name, found in rounds.items()}
    agreed: dict[str, float] = json.loads(AGREED.read_text()) if AGREED.exists() else {}
    print(f"{'median of ' + str(ROUNDS):34} {'now':>9} {'least':>9} {'agreed':>9} {'ratio':>6}")
    for name, median in medians.items():
        before = agreed.get(name, median)
        print(
            f"{name:34} {median:9.2f} {min(rounds[name]):9.2f} {before:9.2f} {median / before:6.2f}"
        )
    if "--agree" in sys.argv[1:]:
        AGREED.write_text(json.dumps(medians, indent=2) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
