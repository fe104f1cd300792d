"""What one more costs, however many there are already: turns, prompts, deltas, agents.

``python growth.py tinyagent WHAT URL`` prints the CPU of one more at each size, as ``client.py``
prints costs: of the second half of so many, the first half being there already. Logs are on disk
where the name does not say otherwise.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.restore import ok
from tests.traces import MODEL, Scripted, calls, text, tool

from tinyagent import Agent, AgentOptions, AgentState
from tinyagent.agent_types import MessageUpdateEvent
from tinyagent.alchemy_provider import OpenAICompatModel
from tinyagent.runtime.clock import SystemClock
from tinyagent.runtime.log import open_log_at
from tinyagent.testing import RecordedTransport, chat

Costs = dict[str, float]
Grow = Callable[[Path, str], Awaitable[Costs]]


class Marks:
    """The CPU time when so many were done."""

    def __init__(self) -> None:
        self.at_s: list[float] = []

    def take(self, *_: object) -> None:
        self.at_s.append(time.process_time())

    def costs(self, sizes: tuple[int, ...]) -> Costs:
        """Return what one more took at each size, microseconds."""
        halves = [(size // 2, size) for size in sizes if size <= len(self.at_s)]
        return {
            str(size): (self.at_s[size - 1] - self.at_s[half - 1]) / (size - half) * 1e6
            for half, size in halves
        }


def agent_on(where: Path | None, **options: Any) -> Agent:
    log = open_log_at(where, now_us=SystemClock().now_us)
    return Agent(AgentOptions(log=log, **options))


async def turns(folder: Path, url: str) -> Costs:
    """One run, a tool in each turn."""
    return await _turns(folder / "log", 10_000)


async def _turns(where: Path | None, count: int) -> Costs:
    marks = Marks()

    async def stream_fn(model: Any, context: Any, options: Any) -> Any:
        marks.take()
        n = len(marks.at_s)
        return Scripted(calls((f"c{n}", "f", {"n": n})) if n <= count else text("Done."))

    state = AgentState(model=MODEL, tools=[tool("f", ok, effect="read")])
    agent = agent_on(where, initial_state=state, stream_fn=stream_fn)
    await agent.prompt("Look it up, please.")
    await agent.log.close()
    return marks.costs((10, 30, 100, 300, 1000, 3000, 10_000))


async def prompts(folder: Path, url: str) -> Costs:
    """One conversation, a prompt after the other; the answer is safe on disk each time."""
    marks = Marks()

    async def stream_fn(model: Any, context: Any, options: Any) -> Any:
        return Scripted(text("Done."))

    state = AgentState(model=MODEL)
    agent = agent_on(folder / "log", initial_state=state, stream_fn=stream_fn)
    for _ in range(10_000):
        await agent.prompt("Go on.")
        marks.take()
    await agent.log.close()
    return marks.costs((10, 30, 100, 300, 1000, 3000, 10_000))


async def requests(folder: Path, url: str) -> Costs:
    """Turns that are asked over HTTP: the request says the whole conversation."""
    marks = Marks()

    async def work(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        marks.take()
        return await ok(call_id, args, signal, on_update)

    model = OpenAICompatModel(
        provider="openai", id="tools-1000", base_url=f"{url}/chat/completions"
    )
    state = AgentState(model=model, tools=[tool("work", work, effect="read")])
    agent = agent_on(folder / "log", initial_state=state, get_api_key=lambda provider: "x")
    await agent.prompt("Look it up, please.")
    await agent.log.close()
    return marks.costs((10, 30, 100, 300, 1000))


async def deltas(folder: Path, url: str) -> Costs:
    """One answer, shown to a listener piece by piece."""
    marks = Marks()
    body = chat(text="0123456789" * 100_000, chunk_chars=10).body
    agent = agent_on(
        folder / "log",
        initial_state=AgentState(model=OpenAICompatModel(provider="demo", id="m")),
        transport=RecordedTransport([body], chunk_sizes=[4000]),
    )
    async for event in agent.stream("Go on."):
        inner = event.assistant_message_event if isinstance(event, MessageUpdateEvent) else None
        if inner is not None and inner.type == "text_delta":
            marks.take()
    await agent.log.close()
    return marks.costs((10, 100, 1000, 10_000, 100_000))


async def agents(folder: Path, url: str) -> Costs:
    """Agents that stay, each made and asked once after the other; a log on disk for each."""
    return await _agents(lambda number: folder / str(number), 1000)


async def agents_in_memory(folder: Path, url: str) -> Costs:
    return await _agents(lambda number: None, 10_000)


async def _agents(where: Callable[[int], Path | None], count: int) -> Costs:
    kept, marks, memory_kb = list[Agent](), Marks(), list[int]()

    async def stream_fn(model: Any, context: Any, options: Any) -> Any:
        return Scripted(text("Done."))

    for number in range(count):
        state = AgentState(model=MODEL)
        kept.append(agent_on(where(number), initial_state=state, stream_fn=stream_fn))
        await kept[-1].prompt("Go on.")
        marks.take()
        memory_kb.append(resident_kb())
    for at in range(0, count, 100):
        await asyncio.gather(*(agent.log.close() for agent in kept[at : at + 100]))
    sizes = (10, 30, 100, 300, 1000, 3000, 10_000)
    held = {
        f"{size} KB": (memory_kb[size - 1] - memory_kb[size // 2 - 1]) / (size - size // 2)
        for size in sizes
        if size <= count
    }
    return {**marks.costs(sizes), **held}


def resident_kb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


async def at_once(folder: Path, url: str) -> Costs:
    """Agents that all run at the same time, made before, logs in memory; each size anew."""

    async def stream_fn(model: Any, context: Any, options: Any) -> Any:
        return Scripted(text("Done."))

    found: Costs = {}
    for size in (1, 10, 100, 1000, 10_000):
        state = partial(AgentState, model=MODEL)
        made = [agent_on(None, initial_state=state(), stream_fn=stream_fn) for _ in range(size)]
        start = time.process_time()
        await asyncio.gather(*(agent.prompt("Go on.") for agent in made))
        found[str(size)] = (time.process_time() - start) / size * 1e6
    return found


GROWING: dict[str, Grow] = {
    "turns": turns,
    "prompts": prompts,
    "requests": requests,
    "deltas": deltas,
    "agents": agents,
    "agents-memory": agents_in_memory,
    "at-once": at_once,
}


async def main(name: str, url: str) -> Costs:
    """Grow one of them, after a small one to warm up."""
    with TemporaryDirectory() as folder:
        await _turns(None, 100)
        return await GROWING[name](Path(folder), url)


if __name__ == "__main__":
    costs = asyncio.run(main(sys.argv[2], sys.argv[3]))
    print(json.dumps({"client": sys.argv[1], "scenario": sys.argv[2], **costs}))
