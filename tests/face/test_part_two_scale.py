"""Part two: what is shared, and what one more costs. Counted, not timed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests import wire
from tests.agents import live, make, ok, until
from tests.traces import calls, said, text, tool
from tests.wire import delta, demo, end, user

from tinyagent import Agent, AgentOptions, AgentState, Context, SimpleStreamOptions, open_log
from tinyagent._alchemy import openai_completions_stream
from tinyagent.alchemy_provider import (
    AlchemyStreamResponse,
    OpenAICompatModel,
    stream_alchemy_openai_completions,
)
from tinyagent.testing import ProviderServer, RecordedTransport, Reply, chat, stall


class Refusing(concurrent.futures.ThreadPoolExecutor):
    """An executor that takes no work."""

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("asyncio's default executor was used")


# 52: one runtime, one pool, no executor


async def test_row_52_agents_share_connections_threads_and_no_executor(tmp_path: Path) -> None:
    asyncio.get_running_loop().set_default_executor(Refusing())
    async with ProviderServer(chat(text="Hello!")) as server, open_log(tmp_path / "log") as log:
        await live(server.chat_url, log=log).prompt("hi")
        for _ in range(20):
            await live(server.chat_url).prompt("hi")
        assert (len(server.requests), server.connections) == (21, 1)
        response = await stream_alchemy_openai_completions(
            demo(server.chat_url), Context("", [user()]), SimpleStreamOptions()
        )
        assert said(await response.result()) == "Hello!"
        assert server.connections == 1
    before = threading.active_count()
    async with ProviderServer(stall(chat(text="x" * 400), 600)) as server:
        agents = [live(server.chat_url) for _ in range(50)]
        running = [asyncio.create_task(agent.prompt("hi")) for agent in agents]
        await until(lambda: len(server.requests) == 50)
        assert threading.active_count() == before
        for agent in agents:
            agent.abort()
        await asyncio.gather(*running)


async def test_row_52_a_blocking_handle_gets_no_thread_of_the_executor() -> None:
    asyncio.get_running_loop().set_default_executor(Refusing())
    async with ProviderServer(chat(text="Hello!")) as server:
        model = {"id": "m", "provider": "demo", "api": "", "base_url": server.chat_url}
        told = {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}
        response = AlchemyStreamResponse(_handle=openai_completions_stream(model, told, {}))
        assert [event.type async for event in response][-1] == "done"
        assert said(await response.result()) == "Hello!"


PROGRAM = """
import asyncio, sys, threading, time
from tinyagent import *
from tinyagent.agent_types import Context, SimpleStreamOptions
from tinyagent.alchemy_provider import *

model = OpenAICompatModel(provider="demo", id="m", base_url=sys.argv[1])

class Silent:
    def next_event(self):
        threading.Event().wait()
    result = next_event

async def agent():
    await Agent(AgentOptions(AgentState(model=model))).prompt("hi")

async def hand():
    options = SimpleStreamOptions()
    response = await stream_alchemy_openai_completions(model, Context("", [UserMessage()]), options)
    await response.result()

async def handle():
    await anext(AlchemyStreamResponse(_handle=Silent()))

async def tool():
    def execute(*_):
        return asyncio.Event().wait()
    call = AssistantMessage(content=[ToolCallContent(id="c1", name="f")])
    tools = [AgentTool(name="f", execute=execute)]
    await execute_tool_calls(tools, call, None, create_agent_stream())

start = time.monotonic()
try:
    asyncio.run(asyncio.wait_for(globals()[sys.argv[2]](), 0.3))
except TimeoutError:
    print(time.monotonic() - start)
"""


@pytest.mark.parametrize("what", ["agent", "hand", "handle", "tool"])
def test_row_52_a_program_ends_at_once_after_a_timeout(what: str) -> None:
    with ProviderServer.threaded(stall()) as server:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM, server.chat_url, what],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert 0.3 <= float(done.stdout) < 2.0


# 53: what one more costs


async def counted(run: Awaitable[Any]) -> Counter[str]:
    """Return how often each function was called while *run* was awaited, built-ins included."""
    made: Counter[str] = Counter()

    def profile(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            made[frame.f_code.co_qualname] += 1
        elif event == "c_call":
            made[argument.__qualname__] += 1

    sys.setprofile(profile)
    try:
        await run
    finally:
        sys.setprofile(None)
    return made


def recorded_agent(*answers: Reply, **options: Any) -> Agent:
    """Return an agent whose answers cost no socket."""
    transport = RecordedTransport([answer.body for answer in answers], chunk_sizes=[4000])
    model = OpenAICompatModel(provider="demo", id="m")
    state = AgentState(model=model, tools=[tool("f", ok)])
    return Agent(AgentOptions(initial_state=state, transport=transport, **options))


async def turns(n: int) -> Counter[str]:
    """*n* turns with a call each, over a history that grows."""
    script = [calls((f"c{i}", "f", {"a": i}), says="Next.") for i in range(n)]
    return await counted(make(*script, text("Done.")).prompt("hi"))


async def prompts(n: int) -> Counter[str]:
    """*n* runs, one after the other."""
    agent = make(*[text("Hello!") for _ in range(n)])

    async def all_of_them() -> None:
        for _ in range(n):
            await agent.prompt("hi")

    return await counted(all_of_them())


async def request(n: int) -> Counter[str]:
    """One request with a history of *n* messages, built for the first time."""
    agent = recorded_agent(chat(text="Hello!"))
    agent.replace_messages([user(f"q{i}") if i % 2 else wire.said(f"a{i}") for i in range(n)])
    return await counted(agent.prompt("hi"))


async def parallel(n: int) -> Counter[str]:
    """One turn with *n* calls."""
    many = chat(calls=[(f"c{i}", "f", {"a": i}) for i in range(n)])
    return await counted(recorded_agent(many, chat(text="Done.")).prompt("hi"))


async def deltas(n: int, listener: Callable[[Any], None] = lambda event: None) -> Counter[str]:
    """One answer of *n* deltas, each shown to a *listener*; this one reads no text."""
    agent = recorded_agent(chat(text="0123456789" * n, chunk_chars=10))
    agent.subscribe(listener)
    return await counted(agent.prompt("hi"))


async def blocks(n: int) -> Counter[str]:
    """One answer of *n* blocks by hand: thoughts and texts in turn."""
    body = b"".join(delta(**{("content", "reasoning")[i % 2]: f"part {i}"}) for i in range(n))
    async with ProviderServer(body + end()) as server:
        response = await stream_alchemy_openai_completions(
            demo(server.chat_url), Context("", [user()]), SimpleStreamOptions()
        )

        async def read() -> None:
            async for event in response:
                assert event.type

        return await counted(read())


@pytest.mark.parametrize("run", [turns, prompts, request, parallel, deltas, blocks])
async def test_row_53_twice_as_much_costs_twice_as_many_calls(run: Any) -> None:
    await run(3)
    small = (await run(60)).total()
    large = (await run(120)).total()
    assert large < 2.2 * small


async def test_row_53_each_message_is_encoded_once_however_often_it_is_sent() -> None:
    script = [chat(calls=[(f"c{i}", "f", {"a": i})], text="Next.") for i in range(40)]
    made = await counted(recorded_agent(*script, chat(text="Done.")).prompt("hi"))
    assert made["ChatCompletions.parts"] == 41
    # The prompt, 40 answers and 40 results; the last answer is not sent.
    assert made["_Dialect.message"] == 81


async def test_row_53_a_snapshot_is_made_when_it_is_read() -> None:
    def read(event: Any) -> None:
        if event.type == "message_update":
            assert event.message.content[0].text is not None

    unread, made = await deltas(500), await deltas(500, read)
    # Beside the deltas' there are the snapshots of the text's start and end.
    assert unread["Partial.message"] == made["Partial.message"] == 502
    assert (unread["_Shown._text"], made["_Shown._text"]) == (0, 502)
    # The first snapshot begins the message.
    assert (unread["_Shown._block"], made["_Shown._block"]) == (1, 502)
