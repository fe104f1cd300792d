"""Part two: runs that nobody follows any more, and what is asked when everybody has seen it."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from tests.agents import C1, live, make, ok, until
from tests.traces import MODEL, Scripted, calls, said, text, tool
from tests.wire import user

from tinyagent import (
    Agent,
    AgentContext,
    AgentLoopConfig,
    AgentMessage,
    AssistantMessageEvent,
    Context,
    SimpleStreamOptions,
    agent_loop,
    agent_loop_continue,
    load,
)
from tinyagent.agent_types import AgentEvent
from tinyagent.alchemy_provider import stream_alchemy_openai_completions
from tinyagent.testing import ProviderServer, chat, paced

ENDLESS = paced(chat(text="x" * 4000), 0.01)


async def convert(messages: list[AgentMessage]) -> list[AgentMessage]:
    return messages


# 46: the last reference, and what is held


def streamed(agent: Agent) -> Any:
    return agent.stream("hi")


def texts_of(agent: Agent) -> Any:
    return agent.stream_text("hi")


def looped(agent: Agent) -> Any:
    model = agent.state.model
    assert model is not None
    return agent_loop([user()], AgentContext(), AgentLoopConfig(model, convert))


def continued(agent: Agent) -> Any:
    model = agent.state.model
    assert model is not None
    return agent_loop_continue(AgentContext("", [user()]), AgentLoopConfig(model, convert))


async def asked(agent: Agent) -> Any:
    assert agent.state.model is not None
    options = SimpleStreamOptions(retries_max=0)
    return await stream_alchemy_openai_completions(
        agent.state.model, Context("", [user()]), options
    )


RUNS = pytest.mark.parametrize("begin", [streamed, texts_of, looped, continued, asked])


async def begun(begin: Any, agent: Agent, server: ProviderServer) -> Any:
    """Return a run of which some events were read."""
    run = begin(agent)
    if asyncio.iscoroutine(run):
        run = await run
    while not server.requests or server.requests[0].sent_bytes < 500:
        await anext(run)
    return run


@RUNS
async def test_row_46_dropping_the_last_reference_closes_the_run(begin: Any) -> None:
    async with ProviderServer([ENDLESS]) as server:
        agent = live(server.chat_url)
        run = await begun(begin, agent, server)
        del run
        gc.collect()
        await server.requests[0].wait_gone(1)
        await agent.wait_for_idle()
    assert not agent.state.is_streaming
    await until(lambda: len(asyncio.all_tasks()) == 1)


async def test_row_46_a_loop_that_waits_for_its_reader_is_closed_too() -> None:
    pulled = 0

    class Endless:
        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> AssistantMessageEvent:
            nonlocal pulled
            pulled += 1
            await asyncio.sleep(0)
            return AssistantMessageEvent(type="text_delta", content_index=0, delta="x")

    config = AgentLoopConfig(MODEL, convert)
    run = agent_loop([user()], AgentContext(), config, None, lambda *_: Endless())  # type: ignore[arg-type] # no result
    await until(lambda: pulled > 12_000)
    del run
    gc.collect()
    await until(lambda: len(asyncio.all_tasks()) == 1)


@RUNS
async def test_row_46_a_held_iterator_is_closed_with_aclose(begin: Any) -> None:
    async with ProviderServer([ENDLESS, chat(text="Back.")]) as server:
        agent = live(server.chat_url)
        run = await begun(begin, agent, server)
        await run.aclose()
        assert not agent.state.is_streaming
        assert await agent.prompt_text("again") == "Back."
        await server.requests[0].wait_gone(1)


async def test_row_46_whoever_waits_is_independent_of_whoever_gives_up() -> None:
    gate = asyncio.Event()
    agent = make(Scripted(text("One."), deltas=3, gate=gate))
    running = asyncio.create_task(agent.prompt("hi"))
    await until(lambda: agent.state.is_streaming)
    waiters = [asyncio.create_task(agent.wait_for_idle()) for _ in range(3)]
    await asyncio.sleep(0)
    waiters[1].cancel()
    await asyncio.sleep(0)
    assert [waiter.done() for waiter in waiters] == [False, True, False]
    gate.set()
    await asyncio.gather(running, waiters[0], waiters[2])


# 56: polls


@pytest.mark.parametrize("reader", ["listener", "slow listener", "stream"])
@pytest.mark.parametrize("at", ["message_end", "turn_end"])
@pytest.mark.parametrize("queue", ["steer", "follow_up"])
async def test_row_56_a_poll_waits_until_every_event_so_far_was_delivered(
    reader: str, at: str, queue: str
) -> None:
    async with ProviderServer([chat(text="One."), chat(text="Two.")]) as server:
        agent = live(server.chat_url)
        seen: list[AgentEvent] = []

        def react(event: AgentEvent) -> None:
            seen.append(event)
            if event.type == at and len(agent.state.messages) == 2:
                getattr(agent, queue)("and?")

        async def slowly(event: AgentEvent) -> None:
            await asyncio.sleep(0.002)
            react(event)

        if reader == "stream":
            async for event in agent.stream("hi"):
                await asyncio.sleep(0.002)
                react(event)
        else:
            agent.subscribe(react if reader == "listener" else slowly)
            await agent.prompt("hi")
        assert len(server.requests) == 2
    assert [said(message) for message in agent.state.messages] == ["hi", "One.", "and?", "Two."]
    assert [event.type for event in seen].count("agent_start") == 1


# 58: the process is to end


@pytest.mark.parametrize("fault", [KeyboardInterrupt, SystemExit])
def test_row_58_the_run_is_closed_and_then_it_propagates(fault: type[BaseException]) -> None:
    def interrupts(*_: Any) -> Any:
        raise fault

    agent = make(calls(C1), text("Back."), tools=[tool("f", interrupts)])
    with pytest.raises(fault):
        asyncio.run(agent.prompt("hi"))
    assert not agent.state.is_streaming
    agent.set_tools([tool("f", ok)])
    assert asyncio.run(agent.prompt_text("again")) == "Back."
    assert agent.state.messages[1].role == "assistant"


# 23: the loop is closed under the run


def closed_under(agent: Agent, ready: Any) -> None:
    """Let the loop end while *agent* is in the middle of a run."""

    async def main() -> None:
        running = asyncio.create_task(agent.prompt("hi"))
        await until(lambda: ready() or running.done())
        assert not running.done()

    asyncio.run(main())


async def endless(*_: Any) -> Any:
    await asyncio.Event().wait()


def held(effect: Any) -> tuple[Agent, Any]:
    agent = make(calls(C1), text("Back."), tools=[tool("f", endless, effect=effect)])
    return agent, lambda: agent.state.pending_tool_calls


def held_by(hook: str) -> tuple[Agent, Any]:
    asked: list[int] = []

    async def waits(*_: Any) -> Any:
        if not asked:
            asked.append(1)
            await asyncio.Event().wait()

    options: dict[str, Any] = {hook: waits}
    return make(calls(C1), text("Back."), **options), lambda: asked


def held_in_an_answer() -> tuple[Agent, Any]:
    agent = make(Scripted(text("Hello!"), deltas=3, gate=asyncio.Event()), text("Back."))
    return agent, lambda: agent.state.stream_message


DOUBT = "Tool execution cancelled. It may or may not have taken effect."
WITHHELD = "after_tool_call was cancelled. The tool ran; its result was withheld."
ABORTED = "Request was aborted"


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (held_in_an_answer(), ["hi", "Hel", "again", "Back."]),
        (held("write"), ["hi", "", DOUBT, "", "again", "Back."]),
        (held("read"), ["hi", "", "Tool execution cancelled", "", "again", "Back."]),
        (
            held_by("before_tool_call"),
            ["hi", "", "Tool not run: the request was aborted", "", "again", "Back."],
        ),
        (held_by("after_tool_call"), ["hi", "", WITHHELD, "", "again", "Back."]),
        (held_by("should_stop_after_turn"), ["hi", "", "ok c1", "", "again", "Back."]),
    ],
    ids=["answer", "write", "read", "before", "after", "stop"],
)
def test_row_23_a_run_whose_loop_is_closed_ends_and_the_agent_can_be_used_in_another(
    given: Any, left: list[str]
) -> None:
    agent, ready = given
    closed_under(agent, ready)
    assert not agent.state.is_streaming
    assert agent.state.messages[-1].stop_reason == "aborted"
    assert agent.state.error == ABORTED
    assert asyncio.run(asyncio.wait_for(agent.prompt_text("again"), 5)) == "Back."
    assert [said(message) for message in agent.state.messages] == left
    assert load(agent.log).replay().ok
