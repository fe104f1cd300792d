"""Many agents, many turns, many calls, many deltas: all are served, and nothing piles up."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import Any

from tests.traces import MODEL, calls, result, script, text, tool

from tinyagent import (
    Agent,
    AgentContext,
    AgentLoopConfig,
    AgentOptions,
    AgentState,
    agent_loop,
    default_convert_to_llm as convert,
)
from tinyagent.agent_types import AssistantMessageEvent, ToolResultMessage, UserMessage
from tinyagent.alchemy_provider import OpenAICompatModel
from tinyagent.testing import RecordedTransport, chat

MIB = 1024 * 1024


async def ok(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
    return result(f"ok {call_id}")


def make(*answers: Any) -> Agent:
    state = AgentState(model=MODEL, tools=[tool("f", ok)])
    return Agent(AgentOptions(initial_state=state, stream_fn=script(*answers)))


async def test_five_thousand_agents_answer_in_one_process() -> None:
    agents = [make(text(f"I am {n}.")) for n in range(5000)]
    answers = await asyncio.gather(*(agent.prompt_text("Who?") for agent in agents))
    assert answers == [f"I am {n}." for n in range(5000)]
    assert len(asyncio.all_tasks()) == 1


async def test_an_idle_agent_holds_no_task_and_a_bounded_amount_of_memory() -> None:
    await make(text("warm")).prompt("up")
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    agents = [make(text("Here.")) for _ in range(200)]
    await asyncio.gather(*(agent.prompt("Who?") for agent in agents))
    gc.collect()
    each = (tracemalloc.get_traced_memory()[0] - before) / len(agents)
    tracemalloc.stop()
    assert each < 32 * 1024
    assert len(asyncio.all_tasks()) == 1


async def test_three_hundred_tool_turns_in_one_run() -> None:
    turns = [calls((f"c{n}", "f", {"n": n})) for n in range(300)]
    agent = make(*turns, text("Done."))
    assert await agent.prompt_text("go") == "Done."
    results = [m for m in agent.state.messages if isinstance(m, ToolResultMessage)]
    assert [r.tool_call_id for r in results] == [f"c{n}" for n in range(300)]
    # Asked, two deltas, the end of the answer, the call in three records, the end of the turn.
    assert agent.log.seq == 2 + 300 * 8 + 7


async def test_a_thousand_calls_in_one_turn() -> None:
    given: list[tuple[str, str, dict[str, Any]]] = [(f"c{n}", "f", {}) for n in range(1000)]
    agent = make(calls(*given), text("Done."))
    assert await agent.prompt_text("go") == "Done."
    results = [m for m in agent.state.messages if isinstance(m, ToolResultMessage)]
    assert [r.tool_call_id for r in results] == [call[0] for call in given]


async def test_snapshots_of_a_long_answer_share_their_text() -> None:
    whole = chat(text="0123456789" * 20_000, chunk_chars=10).body
    model = OpenAICompatModel(provider="demo", id="m")
    agent = Agent(
        AgentOptions(
            initial_state=AgentState(model=model),
            transport=RecordedTransport([whole], chunk_sizes=[64_000]),
        )
    )
    kept: list[Any] = []
    agent.subscribe(kept.append)
    tracemalloc.start()
    await agent.prompt("Tell me everything.")
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    # 20,000 snapshots of up to 200,000 characters would be two thousand MiB.
    assert used < 200 * MIB
    assert len(kept) > 20_000


async def test_a_slow_reader_of_a_stream_holds_up_the_source_not_the_memory() -> None:
    pulled = 0

    class Endless:
        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> AssistantMessageEvent:
            nonlocal pulled
            pulled += 1
            await asyncio.sleep(0)
            partial = text("x")
            return AssistantMessageEvent(
                type="text_delta", content_index=0, delta="x", partial=partial
            )

        async def result(self) -> Any:
            return text("never")

    state = AgentState(model=MODEL)
    agent = Agent(AgentOptions(initial_state=state, stream_fn=lambda *_: Endless()))
    async with agent.stream("go") as stream:
        while not pulled:
            await anext(stream)
        for _ in range(20_000):
            await asyncio.sleep(0)
        assert 900 < pulled < 1_300

    config = AgentLoopConfig(model=MODEL, convert_to_llm=convert)
    pulled = 0
    events = agent_loop([UserMessage()], AgentContext(), config, None, lambda *_: Endless())
    for _ in range(60_000):
        await asyncio.sleep(0)
    assert 9_000 < pulled < 22_000
    await events.aclose()
