"""Every scenario of the specification's table, as the trace of its events.

What else a scenario promises is in ``test_scenarios``. A trace is looked at as a snapshot: it
changes only when somebody wants it to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.agents import C1, C2, heard, make, ok
from tests.traces import Scripted, calls, result, said, stream_of, text, tool, trace

from tinyagent import (
    Agent,
    AgentEndEvent,
    AgentTool,
    AssistantMessage,
    AssistantMessageEvent,
    MessageEndEvent,
    TextContent,
    ToolLoopControl,
    ToolResultMessage,
    UserMessage,
)
from tinyagent.agent_types import ThinkingContent

HELLO, CALL, DONE = text("Hello!"), calls(C1), text("Done.")
Given = Agent | tuple[Agent, Callable[[Agent], Awaitable[Any]]]
SCENARIOS: dict[str, Callable[[], Given]] = {}


def scenario(*names: str) -> Callable[[Any], Any]:
    """Put what makes an agent, and what is done with it if not ``prompt("hi")``, on the list."""

    def put(build: Any) -> Any:
        for name in names:
            SCENARIOS[name] = partial(build, name) if len(names) > 1 else build
        return build

    return put


async def prompt(agent: Agent) -> None:
    await agent.prompt("hi")


def user(said: str) -> UserMessage:
    return UserMessage(content=[TextContent(text=said)])


def aborted(said: str) -> AssistantMessage:
    return text(said).model_copy(
        update={"stop_reason": "aborted", "error_message": "Request was aborted"}
    )


def broken(said: str) -> AssistantMessage:
    return text(said).model_copy(update={"stop_reason": "error", "error_message": "boom"})


def gave_up(message: AssistantMessage) -> Scripted:
    """Return a stream whose last event is ``error``."""
    events = stream_of(message)[:3]
    return Scripted(message, events=[*events, AssistantMessageEvent(type="error", error=message)])


class Aborting(Scripted):
    """Aborts its agent after three events; then it goes on, or raises."""

    agent: Agent
    is_deaf = False

    async def __anext__(self) -> AssistantMessageEvent:
        if self._at == 3:
            self.agent.abort()
            if not self.is_deaf:
                raise RuntimeError("stopped by signal")
        return await super().__anext__()


@scenario("T1")
def plain() -> Given:
    return make(HELLO)


@scenario("T1b", "T1c")
def only_the_result(name: str) -> Given:
    done = [AssistantMessageEvent(type="done", message=HELLO)]
    return make(Scripted(HELLO, events=done if name == "T1b" else []))


@scenario("T1d")
def without_done() -> Given:
    return make(Scripted(HELLO, events=stream_of(HELLO)[:-1]))


@scenario("T2")
def tool_then_text() -> Given:
    return make(CALL, DONE)


@scenario("T3")
def slow_and_fast() -> Given:
    first = asyncio.Event()

    async def slow(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        on_update(result("half"))
        await first.wait()
        return result("slow")

    async def fast(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        on_update(result("half"))
        first.set()
        return result("fast")

    return make(calls(C1, C2), DONE, tools=[tool("f", slow), tool("g", fast)])


@scenario("T4", "T5", "T5b")
def broken_tool(name: str) -> Given:
    tools = {
        "T4": tool("f", lambda *_: 1 / 0),
        "T5": tool("other", ok),
        "T5b": AgentTool(name="f"),
    }
    return make(CALL, DONE, tools=[tools[name]])


@scenario("T6", "T6b")
def abort_in_a_stream(name: str) -> Given:
    stream = Aborting(HELLO)
    stream.is_deaf = name == "T6b"
    stream.agent = make(stream, text("never"))
    return stream.agent


@scenario("T6c")
def aborted_message() -> Given:
    return make(gave_up(aborted("Hel")))


@scenario("T6d", "T6e")
def abort_in_a_tool(name: str) -> Given:
    async def finishes(call_id: str, args: Any, signal: asyncio.Event, on_update: Any) -> Any:
        agent.abort()
        await signal.wait()
        return result("own result")

    both = calls(C1, C2) if name == "T6e" else CALL
    agent = make(both, text("never"), tools=[tool("f", finishes), tool("g", finishes)])
    return agent


@scenario("T7", "T7b")
def stream_that_raises(name: str) -> Given:
    failing = Scripted(HELLO, raises=ValueError("boom"), deltas=4)
    return make(ValueError("boom") if name == "T7" else failing)


@scenario("T7c")
def error_event() -> Given:
    return make(gave_up(broken("Hel")))


@scenario("T8")
def terminate() -> Given:
    def ends(*_: Any) -> Any:
        agent.steer("later")
        agent.follow_up("much later")
        return result("bye", terminate=True)

    agent = make(calls(C1, C2), text("never"), tools=[tool("f", ends), tool("g", ok)])
    return agent


@scenario("T9", "T9b")
def should_stop(name: str) -> Given:
    agent = make(CALL if name == "T9" else HELLO, should_stop_after_turn=lambda *_: True)
    agent.follow_up("later")
    return agent


@scenario("T10")
def steer_in_a_tool() -> Given:
    def steers(*_: Any) -> str:
        agent.steer("left")
        return "ok"

    agent = make(CALL, DONE, tools=[tool("f", steers)])
    return agent


@scenario("T17", "T10b")
def steer_from_a_listener(name: str) -> Given:
    agent = make(HELLO, DONE)

    def steer_once(event: Any) -> None:
        at = "message_update" if name == "T17" else "message_end"
        is_first = not isinstance(event, MessageEndEvent) or event.message is HELLO
        if event.type == at and is_first and not steered:
            steered.append(1)
            agent.steer("and?")

    steered: list[int] = []
    agent.subscribe(steer_once)
    return agent


@scenario("T10c", "T10d")
def steers_before(name: str) -> Given:
    agent = make(HELLO, DONE, steering_mode="all" if name == "T10d" else "one-at-a-time")
    agent.steer("s1")
    agent.steer("s2")
    return agent


@scenario("T11", "T18")
def follow_ups(name: str) -> Given:
    agent = make(
        HELLO, DONE, text("Bye."), follow_up_mode="all" if name == "T18" else "one-at-a-time"
    )
    agent.follow_up("f1")
    agent.follow_up("f2")
    return agent


@scenario("T12", "T19")
def goes_on(name: str) -> Given:
    agent = make(HELLO)
    agent.append_message(user("hi"))
    if name == "T19":
        agent.append_message(CALL)
        agent.append_message(
            ToolResultMessage(tool_call_id="c1", tool_name="f", content=[TextContent(text="r")])
        )
    return agent, Agent.continue_


@scenario("T13")
def blocks_and_replaces() -> Given:
    def before(call: Any, *_: Any) -> ToolLoopControl | None:
        return ToolLoopControl(result=result("blocked")) if call.id == "c1" else None

    def after(call: Any, message: Any) -> ToolLoopControl | None:
        return ToolLoopControl(result=result("replaced")) if call.id == "c2" else None

    return make(calls(C1, C2), DONE, before_tool_call=before, after_tool_call=after)


def raises(*_: Any) -> Any:
    raise ValueError("no")


@scenario("T13b", "T25", "T22", "T13c", "T23")
def hooks(name: str) -> Given:
    given: dict[str, dict[str, Any]] = {
        "T13b": {"before_tool_call": raises},
        "T25": {"before_tool_call": lambda *_: "yes"},
        "T22": {"after_tool_call": raises},
        "T13c": {"before_tool_call": lambda *_: ToolLoopControl(terminate=True)},
        "T23": {"after_tool_call": lambda *_: ToolLoopControl(is_error=True)},
    }
    return make(CALL, DONE, **given[name])


@scenario("T14", "T15")
def plain_results(name: str) -> Given:
    gives = (lambda *_: result("sync")) if name == "T14" else (lambda *_: "sync")
    return make(CALL, DONE, tools=[tool("f", gives)])


@scenario("T16")
def thinking() -> Given:
    answer = text("Hello!")
    answer.content.insert(0, ThinkingContent(thinking="hm"))
    return make(answer)


@scenario("T20")
def list_prompt() -> Given:
    return make(HELLO), lambda agent: agent.prompt([user("m1"), user("m2")])


@scenario("T21")
def stream_text() -> Given:
    async def read(agent: Agent) -> None:
        parts = [part async for part in agent.stream_text("hi")]
        assert parts == ["Let", " me.", "Do", "ne."]

    return make(calls(C1, says="Let me."), DONE), read


@scenario("T24")
def should_stop_raises() -> Given:
    return make(HELLO, should_stop_after_turn=raises)


SHORT = {
    "ms(U) me(U)": "m(U)",
    "ms(A) me(A)": "m(A)",
    "ms(T) me(T)": "m(T)",
    "mu:text_start mu:text_delta mu:text_delta mu:text_end": "mu:text..",
    "mu:tool_call_start mu:tool_call_delta mu:tool_call_end": "mu:call..",
    "mu:thinking_start mu:thinking_delta mu:thinking_end": "mu:thinking..",
}


def summary(agent: Agent, events: list[Any]) -> str:
    """Return the trace, and what each message that the run added says."""
    ended = events[-1]
    assert isinstance(ended, AgentEndEvent)
    shown = trace(events)
    for long, short in SHORT.items():
        shown = shown.replace(long, short)
    lines = [shown]
    for message in ended.messages:
        match message:
            case AssistantMessage(stop_reason=reason, error_message=told):
                lines.append(f"A {said(message)!r} {reason}" + (f": {told}" if told else ""))
            case ToolResultMessage(tool_call_id=call_id, is_error=is_error, terminate=last):
                marks = " error" * is_error + " terminate" * last
                lines.append(f"T {call_id} {said(message)!r}{marks}")
            case _:
                lines.append(f"U {said(message)!r}")
    return "\n".join(lines)


NAMES = """
T1 T1b T1c T1d T2 T3 T4 T5 T5b T6 T6b T6c T6d T6e T7 T7b T7c T8 T9 T9b T10 T17 T10b T10c T10d T11
T18 T12 T19 T13 T13b T25 T22 T13c T14 T15 T16 T20 T21 T23 T24
"""


def test_the_table_is_covered() -> None:
    assert sorted(SCENARIOS) == sorted(NAMES.split())


@pytest.mark.parametrize("name", NAMES.split())
async def test_scenario(name: str, snapshot: SnapshotAssertion) -> None:
    given = SCENARIOS[name]()
    agent, run = given if isinstance(given, tuple) else (given, prompt)
    events = heard(agent)
    async with asyncio.timeout(5):
        await run(agent)
    assert summary(agent, events) == snapshot
