"""Sessions of our own making: each records itself, with a clock that is stepped.

``python -m tests.recordings NAME`` writes ``replays/NAME.jsonl`` if it is not there yet.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from tinyagent.actors.transports import Failure
from tinyagent.agent import Agent, AgentOptions
from tinyagent.agent_types import (
    AgentState,
    AgentTool,
    AgentToolResult,
    MessageUpdateEvent,
    TextContent,
    ToolLoopControl,
)
from tinyagent.alchemy_provider import OpenAICompatModel
from tinyagent.events import Event, encode
from tinyagent.runtime.log import write_packed
from tinyagent.runtime.stores import Log, LogMeta, Stored
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import RecordedTransport, VirtualClock, chat
from tinyagent.verbs import Recording

REPLAYS = Path(__file__).resolve().parents[1] / "replays"
Json = dict[str, Any]
Play = Callable[[Log], Awaitable[None]]

SCHEMA: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "$comment": "keys with a dollar survive",
}
PARIS = ("call_p", "weather", {"city": "Paris"})
ROME = ("call_r", "weather", {"city": "Rome"})


def result(text: str, **more: Any) -> AgentToolResult:
    """Return a tool result of one text."""
    return AgentToolResult(content=[TextContent(text=text)], **more)


async def weather(call_id: str, args: Json, signal: Any, on_update: Any) -> AgentToolResult:
    """A tool that answers at once."""
    return result(f"{args['city']}: 21 °C, “sunny”", details={"source": "hand"})


def agent(log: Log | None, answers: list[Any], *, execute: Any = weather, **options: Any) -> Agent:
    """Return an agent on recorded answers and a stepped clock."""
    tool = AgentTool(name="weather", description="The weather.", parameters=SCHEMA, execute=execute)
    model = OpenAICompatModel(
        provider="demo",
        id="planner-1",
        api="openai-completions",
        base_url="http://127.0.0.1/v1/chat/completions",
    )
    bodies = [answer if isinstance(answer, tuple | Failure) else answer.body for answer in answers]
    clock = VirtualClock()
    return Agent(
        AgentOptions(
            initial_state=AgentState(system_prompt="Be brief.", model=model, tools=[tool]),
            log=log,
            clock=clock,
            transport=RecordedTransport(bodies, chunk_sizes=(90, 200, 700), gap_us=1500),
            **options,
        )
    )


async def plain_text(log: Log) -> None:
    """A question and an answer, with characters of many scripts."""
    await agent(log, [chat(text="Grüße aus Köln 🙂, 你好, \u2028 «ok»")]).prompt("Say hello.")


async def thinking(log: Log) -> None:
    """An answer that was thought about."""
    await agent(log, [chat(thinking="Easy.", text="42.")]).prompt("Six times seven?")


async def one_tool(log: Log) -> None:
    """A tool, then an answer; then a second run on the same log."""
    answers = [chat(text="I look.", calls=[PARIS]), chat(text="Sunny."), chat(text="Welcome.")]
    planner = agent(log, answers)
    await planner.prompt("Weather in Paris?")
    await planner.prompt("Thanks.")


async def parallel_tools_out_of_order(log: Log) -> None:
    """Two calls in one turn; the second ends first, both have something to say meanwhile."""
    second_done = asyncio.Event()

    async def execute(call_id: str, args: Json, signal: Any, on_update: Any) -> AgentToolResult:
        on_update(result(f"asking about {args['city']}"))
        if call_id == "call_p":
            await second_done.wait()
        else:
            second_done.set()
        return await weather(call_id, args, signal, on_update)

    answers = [chat(calls=[PARIS, ROME]), chat(text="Both sunny.")]
    await agent(log, answers, execute=execute).prompt("Paris and Rome?")


async def tool_error(log: Log) -> None:
    """A tool that raises, and one that is given no valid arguments."""

    async def execute(*_: Any) -> AgentToolResult:
        raise RuntimeError("503 Service Unavailable")

    broken = ("call_x", "weather", '{"city": "Par')
    answers = [chat(calls=[PARIS, broken]), chat(text="I could not look it up.")]
    await agent(log, answers, execute=execute).prompt("Weather in Paris?")


async def unknown_tool(log: Log) -> None:
    """The model calls a tool that there is not."""
    answers = [chat(calls=[("call_u", "tides", {})]), chat(text="No such tool.")]
    await agent(log, answers).prompt("Tides?")


async def terminate(log: Log) -> None:
    """A result that ends the run; steering that stays queued for the next."""

    async def execute(*_: Any) -> AgentToolResult:
        planner.steer("And Rome?")
        return result("done", terminate=True)

    planner = agent(log, [chat(calls=[PARIS]), chat(text="Rome too.")], execute=execute)
    await planner.prompt("Finish.")
    await planner.prompt("Go on.")


async def provider_error_in_mid_stream(log: Log) -> None:
    """The connection breaks in the middle of an answer; the next run works."""
    whole = chat(text="This answer is going to be cut off in the middle of a sentence.").body
    cut = (whole[:900], Failure("network", "HTTP request failed: error decoding response body"))
    planner = agent(log, [cut, chat(text="Again, whole.")])
    await planner.prompt("Tell me.")
    await planner.prompt("Again?")


async def retry(log: Log) -> None:
    """Two attempts fail before the first delta, the third answers."""
    busy = Failure("overloaded", "API returned error: 529 - busy", status=529, retryable=True)
    soon = Failure("overloaded", "slow down", status=429, retry_after_s=0.0, retryable=True)
    planner = agent(log, [soon, busy, chat(text="At last.")])
    clock = planner.clock
    assert isinstance(clock, VirtualClock)
    asking = asyncio.ensure_future(planner.prompt("Are you there?"))
    while not clock.sleeping:  # noqa: ASYNC110 - a clock that stands still has nothing to wait for
        await asyncio.sleep(0)
    await clock.advance(10)
    await asking


async def abort(log: Log) -> None:
    """The host aborts while the answer streams; the text so far stays."""
    planner = agent(log, [chat(text="A very long story about a very small fish. " * 5)])

    def stop(event: Any) -> None:
        if isinstance(event, MessageUpdateEvent) and len(planner.state.messages) == 1:
            planner.abort()

    planner.subscribe(stop)
    await planner.prompt("Tell me a story.")


async def steering_and_hooks(log: Log) -> None:
    """Every hook of the host, steering while tools run, a follow-up."""

    async def execute(call_id: str, args: Json, signal: Any, on_update: Any) -> AgentToolResult:
        if call_id == "call_p":
            planner.steer("Celsius, please.")
        return await weather(call_id, args, signal, on_update)

    def before(call: Any, tool: Any, args: Any) -> ToolLoopControl | None:
        return ToolLoopControl(result=result("not Rome")) if call.id == "call_r" else None

    def after(call: Any, message: Any) -> ToolLoopControl | None:
        return ToolLoopControl(result=result("21 °C")) if call.id == "call_p" else None

    async def last_two(messages: Any, signal: Any) -> Any:
        return messages[-2:]

    planner = agent(
        log,
        [chat(calls=[PARIS, ROME]), chat(text="21 °C."), chat(text="You are welcome.")],
        execute=execute,
        before_tool_call=before,
        after_tool_call=after,
        transform_context=last_two,
        should_stop_after_turn=lambda *_: False,
    )
    planner.follow_up("Thank you.")
    await planner.prompt("Paris and Rome?")


async def agent_below(log: Log) -> None:
    """An agent runs for a tool of another, and has a tool itself."""
    forecaster = agent(None, [chat(calls=[PARIS]), chat(text="Fair.")])
    asked = ("call_a", "forecast", {"task": "Paris, today?"})
    planner = agent(log, [chat(calls=[asked]), chat(text="Take no coat.")])
    planner.set_tools([forecaster.as_tool("forecast", "Asks the forecaster.")])
    await planner.prompt("Do I need a coat?")


ALL: dict[str, Play] = {
    play.__name__.replace("_", "-"): play
    for play in (
        plain_text,
        thinking,
        one_tool,
        parallel_tools_out_of_order,
        tool_error,
        unknown_tool,
        terminate,
        provider_error_in_mid_stream,
        retry,
        abort,
        steering_and_hooks,
        agent_below,
    )
}


def memory(name: str) -> MemoryLog:
    """Return an empty log whose id is derived from *name*."""
    return MemoryLog(log_id=hashlib.sha256(name.encode()).hexdigest()[:32], name=name)


async def recorded(name: str) -> MemoryLog:
    """Record the session *name* and return its log."""
    log = memory(name)
    await ALL[name](log)
    return log


CAUSES = (0, 0, 2, 3, 3, 5, 6, 6, 7, 8, 9)
"""Of a prompt, a request, a delta, its end, a call, its start, its end, and what follows."""


def made_of(
    *events: Event, causes: Sequence[int] = CAUSES, is_live: bool = False, at_us: int = 0
) -> Recording:
    """Return a log of *events*, one second apart, each with its cause in *causes*."""
    stored = [
        Stored(
            seq=seq,
            ts_us=at_us + seq * 1_000_000,
            actor=None,
            kind=event.kind,
            v=1,
            cause=cause,
            payload=encode(event),
        )
        for seq, (event, cause) in enumerate(zip(events, causes, strict=False), 1)
    ]
    return Recording("here", LogMeta(log="ab" * 16), stored, None, is_live=is_live)


def main(names: list[str]) -> None:
    """Write the recordings that are not there yet."""
    for name in names or list(ALL):
        path = REPLAYS / f"{name}.jsonl"
        if path.exists():
            print(f"{path.name} is there; recordings are never rewritten")
            continue
        write_packed(asyncio.run(recorded(name)), path)
        print(f"{path.name} written")


if __name__ == "__main__":
    main(sys.argv[1:])
