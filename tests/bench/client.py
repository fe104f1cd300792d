"""Our side of the comparison: one scenario in a process of its own, its costs as a line of JSON.

``python client.py SCENARIO URL``; peers are measured the same way by files of their own. Each
agent writes a log of its own in a folder, in the default mode; an agent and its open log are there
before the measure begins, as the peers' agents are. ``TINYAGENT_BENCH_EFFECT`` is the effect of the
tool: ``read`` starts it as soon as the log has its start, ``write`` when that is on disk.
With ``TINYAGENT_BENCH_LOG=memory`` the logs are in memory; ``off``: there are none, nothing is
written down. With ``TINYAGENT_BENCH_FACE=stream`` it is the compatible face that is read.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import counting

from tinyagent import (
    Agent,
    AgentOptions,
    AgentTool,
    AgentToolResult,
    ModelDelta,
    TextContent,
    tool,
)
from tinyagent.agent_types import MessageUpdateEvent
from tinyagent.alchemy_provider import OpenAICompatModel
from tinyagent.runtime import stores
from tinyagent.runtime.clock import system_clock
from tinyagent.runtime.log import open_log_at
from tinyagent.runtime.stores.memory import MemoryLog

PARAMETERS = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "pattern": {"type": "string"},
        "limit": {"type": "integer"},
    },
    "required": ["path", "pattern", "limit"],
    "additionalProperties": False,
}
EFFECT: Any = os.environ.get("TINYAGENT_BENCH_EFFECT", "read")
LOG = os.environ.get("TINYAGENT_BENCH_LOG", "disk")
IS_STREAM = os.environ.get("TINYAGENT_BENCH_FACE") == "stream"
os.environ["OPENAI_API_KEY"] = "x"
Costs = dict[str, float]


@tool(effect=EFFECT)
async def work(path: str, pattern: str, limit: int) -> str:
    """Search a file for a pattern."""
    return "3 matches"


async def execute(
    call_id: str, args: dict[str, Any], signal: Any, on_update: Any
) -> AgentToolResult:
    return AgentToolResult(content=[TextContent(text="3 matches")])


class Heard:
    """What user code saw of the answers."""

    def __init__(self) -> None:
        self.count = 0
        self.first_s = 0.0
        self.late_ms: list[float] = []

    def take(self, delta: str, count: int = 1) -> None:
        if not self.count:
            self.first_s = time.perf_counter()
        self.count += count
        if delta.startswith(" t0"):
            now_ns = time.monotonic_ns()
            self.late_ms += [(now_ns - int(at)) / 1e6 for at in delta.split(" t")[1:]]


class NoLog(MemoryLog):
    """A log that is off: it counts, and keeps nothing."""

    count = 0

    @property
    def seq(self) -> int:
        return self.count

    def append(
        self, seq: int, ts_us: int, actor: str | None, kind: str, v: int, cause: int, payload: bytes
    ) -> None:
        self.count = seq


class Bench:
    """Makes agents with a log each, and runs them to the end of their answer."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url + "/chat/completions"
        self.folder = folder
        self.made = 0

    def agent(self, model: str) -> Agent:
        self.made += 1
        where = self.folder / str(self.made) if LOG == "disk" else None
        log = NoLog() if LOG == "off" else open_log_at(where, now_us=system_clock().now_us)
        asked = OpenAICompatModel(provider="openai", id=model, base_url=self.url)
        prompt = "You are a helpful assistant."
        if not IS_STREAM:
            return Agent(model=asked, system_prompt=prompt, tools=[work], log=log)
        agent = Agent(AgentOptions(log=log, get_api_key=lambda provider: "x"))
        agent.set_system_prompt(prompt)
        agent.set_model(asked)
        about = "Search a file for a pattern."
        agent.set_tools([AgentTool("work", about, PARAMETERS, execute=execute, effect=EFFECT)])
        return agent

    async def run(self, agent: Agent, heard: Heard) -> None:
        if IS_STREAM:
            await self.stream(agent, heard)
            return
        async with agent.events("Do the work.") as run:
            async for event in run:
                if isinstance(event, ModelDelta) and (said := event.text):
                    heard.take(said, sum(map(counting.deltas_of, event.pieces)))
        if run.result.outcome != "answered":
            raise RuntimeError(agent.state.error)

    async def stream(self, agent: Agent, heard: Heard) -> None:
        async for event in agent.stream("Do the work."):
            if isinstance(event, MessageUpdateEvent):
                said = event.assistant_message_event
                if said is not None and said.type == "text_delta" and said.delta:
                    heard.take(said.delta)
        if agent.state.error:
            raise RuntimeError(agent.state.error)

    async def one(self, model: str) -> tuple[float, float, Heard, float]:
        """Run a new agent; return CPU and wall time in seconds, what was heard, and the start."""
        heard, agent = Heard(), self.agent(model)
        cpu_s, start_s = used_s(), time.perf_counter()
        await self.run(agent, heard)
        cost = used_s() - cpu_s, time.perf_counter() - start_s
        await agent.log.close()
        return (*cost, heard, start_s)

    async def several(self, model: str, warm: int, count: int) -> list[Any]:
        for _ in range(warm):
            await self.one(model)
        gc.collect()
        return [await self.one(model) for _ in range(count)]

    async def close(self, agents: Sequence[Agent]) -> None:
        await asyncio.gather(*(agent.log.close() for agent in agents))


def used_s() -> float:
    """Return the CPU time of this process, all its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_kb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


async def tools(bench: Bench) -> Costs:
    """20 turns with a tool, one after the other, and the answer."""
    runs = await bench.several("tools-20", 3, 10)
    return {
        "cpu_ms_per_turn": median(run[0] / 21 * 1e3 for run in runs),
        "wall_ms_per_turn": median(run[1] / 21 * 1e3 for run in runs),
    }


async def ptools(bench: Bench) -> Costs:
    """16 tools at once."""
    runs = await bench.several("ptools-16", 3, 10)
    return {"cpu_ms": median(run[0] * 1e3 for run in runs)}


async def text(bench: Bench) -> Costs:
    """2,000 deltas at once."""
    runs = await bench.several("text-2000", 2, 6)
    assert all(run[2].count == 2000 for run in runs)
    return {
        "cpu_us_per_delta": median(run[0] / 2000 * 1e6 for run in runs),
        "deltas_per_s": median(2000 / run[1] for run in runs),
    }


async def first(bench: Bench) -> Costs:
    """The time until user code has the first delta."""
    runs = await bench.several("text-20", 5, 40)
    return {
        "first_delta_ms": median((run[2].first_s - run[3]) * 1e3 for run in runs),
        "text20_cpu_ms": median(run[0] * 1e3 for run in runs),
    }


async def conc(bench: Bench) -> Costs:
    """200 agents at once, each hears 100 deltas, 50 a second."""
    await bench.one("text-20")
    gc.collect()
    heard = [Heard() for _ in range(200)]
    agents = [bench.agent("text-100@20") for _ in heard]
    cpu_s, start_s = used_s(), time.perf_counter()
    await asyncio.gather(*(bench.run(agent, its) for agent, its in zip(agents, heard, strict=True)))
    cpu_s, wall_s = used_s() - cpu_s, time.perf_counter() - start_s
    await bench.close(agents)
    late_ms = sorted(late for its in heard for late in its.late_ms)
    return {
        "cpu_us_per_delta": cpu_s / len(late_ms) * 1e6,
        "wall_s": wall_s,
        "ideal_s": 100 * 0.020,
        "lat_p50_ms": late_ms[len(late_ms) // 2],
        "lat_p99_ms": late_ms[len(late_ms) * 99 // 100],
    }


async def burst(bench: Bench) -> Costs:
    """200 agents at once as fast as they can, each five turns with a tool and an answer."""
    await bench.one("tools-2")
    gc.collect()
    agents = [bench.agent("tools-5") for _ in range(200)]
    cpu_s, start_s = used_s(), time.perf_counter()
    await asyncio.gather(*(bench.run(agent, Heard()) for agent in agents))
    cpu_s, wall_s = used_s() - cpu_s, time.perf_counter() - start_s
    await bench.close(agents)
    return {"cpu_ms_per_turn": cpu_s / 200 / 6 * 1e3, "sessions_per_s": 200 / wall_s}


async def idle(bench: Bench) -> Costs:
    """1,000 agents that do nothing: only made, and after an answer of 20 deltas."""
    for _ in range(20):
        await bench.one("text-20")
    gc.collect()
    before_kb = resident_kb()
    agents = [bench.agent("text-20") for _ in range(1000)]
    gc.collect()
    made_kb = resident_kb()
    for at in range(0, len(agents), 20):
        await asyncio.gather(*(bench.run(agent, Heard()) for agent in agents[at : at + 20]))
    gc.collect()
    after_kb = resident_kb()
    await bench.close(agents)
    return {
        "kb_per_session_made": (made_kb - before_kb) / 1000,
        "kb_per_session_after_run": (after_kb - before_kb) / 1000,
    }


async def counts(bench: Bench) -> Costs:
    """What crosses the boundary to the extension."""
    return await counting.counts(bench.one)


Scenario = Callable[[Bench], Awaitable[Costs]]
SCENARIOS: dict[str, Scenario] = {
    "tools": tools,
    "text": text,
    "conc": conc,
    "ttfd": first,
    "burst": burst,
    "ptools": ptools,
    "idle": idle,
    "counts": counts,
}


async def main(name: str, url: str) -> Costs:
    """Run one scenario in a folder that is thrown away."""
    folder = Path(tempfile.mkdtemp())
    if LOG == "off":
        stores.__dict__["encode"] = lambda event: b"{}"  # what is not kept need not be written
    try:
        return await SCENARIOS[name](Bench(url, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    is_counted = sys.argv[1] == "counts"
    if is_counted:
        counting.count_the_extension()
    with asyncio.Runner(loop_factory=counting.Loop if is_counted else None) as runner:
        costs = runner.run(main(sys.argv[1], sys.argv[2]))
    print(json.dumps({"client": "tinyagent", "scenario": sys.argv[1], **costs}))
