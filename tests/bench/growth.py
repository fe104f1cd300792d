"""What one more costs: turns, calls, deltas, agents. Flat columns mean that nothing is quadratic.

``python tests/bench/growth.py`` prints the table: CPU of this process, one run a size.
"""

from __future__ import annotations

import asyncio
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.traces import MODEL, calls, result, script, text, tool

from tinyagent import Agent, AgentOptions, AgentState
from tinyagent.alchemy_provider import OpenAICompatModel
from tinyagent.testing import RecordedTransport, chat


async def ok(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
    return result("ok")


def make(*answers: Any) -> Agent:
    state = AgentState(model=MODEL, tools=[tool("f", ok)])
    return Agent(AgentOptions(initial_state=state, stream_fn=script(*answers)))


async def turns(n: int) -> None:
    """One run of *n* turns with a tool each."""
    await make(*(calls((f"c{i}", "f", {})) for i in range(n)), text("Done.")).prompt("hi")


async def parallel(n: int) -> None:
    """One turn of *n* calls."""
    await make(calls(*((f"c{i}", "f", {}) for i in range(n))), text("Done.")).prompt("hi")


async def deltas(n: int) -> None:
    """One answer of *n* deltas, each shown to a listener."""
    body = chat(text="0123456789" * n, chunk_chars=10).body
    model = OpenAICompatModel(provider="demo", id="m")
    transport = RecordedTransport([body], chunk_sizes=[4000])
    agent = Agent(AgentOptions(initial_state=AgentState(model=model), transport=transport))
    agent.subscribe(lambda event: None)
    await agent.prompt("hi")


async def agents(n: int) -> None:
    """*n* agents, one prompt each, all at once."""
    await asyncio.gather(*(make(text("Done.")).prompt("hi") for _ in range(n)))


def bytes_per_agent(n: int) -> float:
    """Return what one of *n* agents holds after its answer."""

    async def held() -> float:
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        kept = [make(text("Done.")) for _ in range(n)]
        await asyncio.gather(*(agent.prompt("hi") for agent in kept))
        each = (tracemalloc.get_traced_memory()[0] - before) / len(kept)
        tracemalloc.stop()
        return each

    return asyncio.run(held())


ROWS: list[tuple[Callable[[int], Awaitable[None]], list[int]]] = [
    (turns, [10, 100, 1000, 3000]),
    (parallel, [10, 100, 1000, 3000]),
    (deltas, [100, 1000, 10_000, 100_000]),
    (agents, [10, 100, 1000, 5000]),
]


async def measured(run: Callable[[int], Awaitable[None]], n: int) -> float:
    """Return the CPU time of one of *n*, microseconds."""
    start = time.process_time()
    await run(n)
    return (time.process_time() - start) / n * 1e6


def main() -> None:
    """Print the table."""
    asyncio.run(turns(2))
    asyncio.run(deltas(2))
    for run, sizes in ROWS:
        shown = [f"{n:>7,}: {asyncio.run(measured(run, n)):>7,.0f} us" for n in sizes]
        print(f"{run.__name__:9}", "  ".join(shown))
    held = [f"{n:>7,}: {bytes_per_agent(n):>7,.0f} B " for n in (10, 100, 1000)]
    print(f"{'held':9}", "  ".join(held))


if __name__ == "__main__":
    main()
