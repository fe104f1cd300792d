"""Part two: what goes wrong in a run: one shape of error, nothing lost, attempts on record."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

import pytest
from tests.agents import heard, live, make, ok, recorded, until
from tests.traces import Scripted, calls, said, text, tool, trace
from tests.wire import call, delta, demo, end, user, ways

from tinyagent import (
    Agent,
    AgentContext,
    AgentEndEvent,
    AgentLoopConfig,
    AgentMessage,
    AssistantMessage,
    TextContent,
    agent_loop,
    load,
)
from tinyagent.agent_types import Limits
from tinyagent.events import kinds as k
from tinyagent.testing import (
    ProviderServer,
    Reply,
    VirtualClock,
    chat,
    close_after,
    reset,
    sse,
    stall,
    status,
)

HELLO = delta(content="Hel") + delta(content="lo")
WHOLE = call(0, "c1", "f", '{"a": 1}') + delta(content="And")
HALF = call(1, "c2", "g", '{"b": ')


# 20: what was said before it broke


@ways
@pytest.mark.parametrize(
    "broken",
    [
        lambda body: close_after(len(body), body + end()),
        lambda body: reset(body + end(), len(body)),
        lambda body: body + sse({"error": {"message": "The engine fell over"}}),
        lambda body: body,
    ],
    ids=["closed", "reset", "error", "short"],
)
async def test_row_20_every_block_so_far_is_kept_and_half_a_call_is_not(
    heard: Any, broken: Any
) -> None:
    found = await heard(broken(HELLO + WHOLE + HALF))
    assert found.message.stop_reason == "error"
    assert found.blocks == [("text", "Hello"), ("call", "c1", "f", {"a": 1}), ("text", "And")]
    half = await heard(broken(HELLO + HALF))
    assert half.blocks == [("text", "Hello")]


async def test_row_20_a_whole_call_of_a_broken_answer_is_neither_run_nor_sent_again() -> None:
    ran: list[Any] = []
    body = HELLO + WHOLE
    script = [close_after(len(body), body), chat(text="Back."), chat(text="Done.")]
    async with ProviderServer(script) as server:
        agent = live(server.chat_url, tool("f", lambda *_: ran.append(1)))
        broken = await agent.prompt("hi")
        assert await agent.prompt_text("again") == "Back."
        sent = server.requests[1].json["messages"]
    assert broken in agent.state.messages
    assert ran == []
    assert [message["role"] for message in sent] == ["user", "assistant", "user"]
    assert "tool_calls" not in sent[1]
    assert load(agent.log).replay().ok


# 33: one shape of error


class Wordless(Exception):
    """Says nothing."""


async def fails(*_: Any) -> Any:
    raise Wordless


def fails_at_once(*_: Any) -> Any:
    raise ValueError("boom")


ONE_TURN = "as ts ms(U) me(U) ms(A) me(A) te ae"


@pytest.mark.parametrize(("fault", "told"), [(fails, "Wordless"), (fails_at_once, "boom")])
@pytest.mark.parametrize(
    "where", ["stream_fn", "transform_context", "convert_to_llm", "get_api_key"]
)
async def test_row_33_whatever_fails_before_the_answer_ends_the_run_with_a_message(
    where: str, fault: Any, told: str
) -> None:
    async with ProviderServer([chat(text="Back.")]) as server:
        agent = live(server.chat_url, **{where: fault})
        events = heard(agent)
        message = await agent.prompt("hi")
        assert server.requests == []
    assert isinstance(message, AssistantMessage)
    assert (message.stop_reason, message.error_message) == ("error", told)
    assert (message.error_kind, message.content) == ("host", [TextContent(text="")])
    assert trace(events) == ONE_TURN
    assert agent.state.messages == [agent.state.messages[0], message]
    assert agent.state.messages[-1] is message
    assert agent.state.error == told
    ended = events[-1]
    assert isinstance(ended, AgentEndEvent)
    assert ended.messages == agent.state.messages


@pytest.mark.parametrize("calls_a_tool", [False, True])
async def test_row_33_should_stop_that_fails_closes_the_run_in_a_turn_of_its_own(
    calls_a_tool: bool,
) -> None:
    first = chat(calls=[("c1", "f", {"a": 1})]) if calls_a_tool else chat(text="Hello!")
    async with ProviderServer([first, chat(text="never")]) as server:
        agent = live(server.chat_url, tool("f", ok), should_stop_after_turn=fails)
        events = heard(agent)
        message = await agent.prompt("hi")
        assert len(server.requests) == 1
    assert isinstance(message, AssistantMessage)
    assert message.error_message == "Wordless"
    assert trace(events).endswith("te ts ms(A) me(A) te ae")
    ended = events[-1]
    assert isinstance(ended, AgentEndEvent)
    roles = [m.role for m in ended.messages]
    results = ["tool_result"] if calls_a_tool else []
    assert roles == ["user", "assistant", *results, "assistant"]


async def test_row_33_a_broken_answer_starts_once_and_ends() -> None:
    for body in (HELLO, b""):
        async with ProviderServer([close_after(len(body), body + b"data: x")]) as server:
            agent = live(server.chat_url)
            events = heard(agent)
            await agent.prompt("hi")
        shown = [event.type for event in events if event.type.startswith("message")]
        assert shown.count("message_start") == shown.count("message_end") == 2
        assert trace(events).endswith("me(A) te ae")


async def test_row_33_a_replaced_execution_that_fails_ends_the_run_so_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = importlib.import_module("tinyagent.agent_loop")
    monkeypatch.setattr(module, "execute_tool_calls", fails)
    async with ProviderServer([chat(calls=[("c1", "f", {})]), chat(text="never")]) as server:
        agent = live(server.chat_url, tool("f", ok))
        events = heard(agent)
        message = await agent.prompt("hi")
    assert isinstance(message, AssistantMessage)
    assert (message.stop_reason, message.error_message) == ("error", "Wordless")
    assert trace(events).endswith("ms(A) me(A) te ae")


async def test_row_33_the_loop_functions_raise_what_their_queues_raise() -> None:
    async def convert(messages: list[AgentMessage]) -> list[AgentMessage]:
        return messages

    async with ProviderServer(chat(text="Hello!")) as server:
        model = demo(server.chat_url)
        for queue in ("get_steering_messages", "get_follow_up_messages"):
            config = AgentLoopConfig(model=model, convert_to_llm=convert)
            setattr(config, queue, fails)
            with pytest.raises(Wordless):
                await agent_loop([user()], AgentContext(), config).result()


# 39: attempts


def attempts(agent: Agent) -> list[tuple[int, float]]:
    return [(e.attempt, e.delay_s) for e in recorded(agent, k.ModelRetrying.kind)]


async def answered(agent: Agent, clock: VirtualClock) -> AgentMessage:
    """Return the answer of *agent*, whose waits cost no time."""
    running = asyncio.create_task(agent.prompt("hi"))
    while not running.done():
        await until(lambda: clock.sleeping or running.done())
        await clock.advance(200)
    return await running


def refused(code: int, after: str = "0") -> Reply:
    return status(code, f"busy {code}", {"retry-after": after})


@pytest.mark.parametrize("code", [408, 409, 429, 500, 502, 503, 529])
async def test_row_39_what_may_pass_is_tried_twice_more_and_attempts_are_records(
    code: int,
) -> None:
    async with ProviderServer([refused(code), refused(code), chat(text="Hello!")]) as server:
        agent = live(server.chat_url, retries_max=None)
        events = heard(agent)
        assert await agent.prompt_text("hi") == "Hello!"
        assert len(server.requests) == 3
        assert len({request.body for request in server.requests}) == 1
    assert attempts(agent) == [(2, 0), (3, 0)]
    assert trace(events).startswith("as ts ms(U) me(U) ms(A) mu:text_start")
    assert trace(events).count("ms(A)") == 1


async def test_row_39_no_more_than_retries_max_and_the_last_answer_is_told() -> None:
    async with ProviderServer([refused(429), refused(500), refused(503)]) as server:
        message = await live(server.chat_url, retries_max=None).prompt("hi")
        assert len(server.requests) == 3
    assert isinstance(message, AssistantMessage)
    assert message.error_message == "API returned error: 503 - busy 503"
    async with ProviderServer([refused(429), reset(), reset()]) as server:
        clock = VirtualClock()
        agent = live(server.chat_url, retries_max=2, clock=clock)
        message = await answered(agent, clock)
        assert len(server.requests) == 3
    assert isinstance(message, AssistantMessage)
    assert message.error_message == "API returned error: 429 - busy 429"


@pytest.mark.parametrize("code", [400, 401, 402, 403, 404, 410, 413, 422])
async def test_row_39_other_refusals_are_final(code: int) -> None:
    async with ProviderServer([refused(code), chat(text="never")]) as server:
        agent = live(server.chat_url, retries_max=5)
        await agent.prompt("hi")
        assert len(server.requests) == 1
    assert attempts(agent) == []


async def test_row_39_never_after_the_first_delta() -> None:
    async with ProviderServer([close_after(len(HELLO), HELLO), chat(text="never")]) as server:
        agent = live(server.chat_url, retries_max=5)
        await agent.prompt("hi")
        assert len(server.requests) == 1
    assert attempts(agent) == []


@pytest.mark.parametrize(("after", "is_waited"), [("120", True), ("121", False)])
async def test_row_39_retry_after_is_obeyed_up_to_two_minutes(after: str, is_waited: bool) -> None:
    clock = VirtualClock()
    async with ProviderServer([refused(429, after), chat(text="Hello!")]) as server:
        agent = live(server.chat_url, retries_max=1, clock=clock)
        message = await answered(agent, clock)
    assert attempts(agent) == ([(2, 120)] if is_waited else [])
    assert said(message) == ("Hello!" if is_waited else "")


async def test_row_39_without_it_the_wait_doubles_up_to_eight_seconds_less_jitter() -> None:
    clock = VirtualClock()
    async with ProviderServer(status(503, "busy")) as server:
        agent = live(server.chat_url, retries_max=7, clock=clock)
        await answered(agent, clock)
        assert len(server.requests) == 8
    most = [0.5, 1, 2, 4, 8, 8, 8]
    waits = [delay_s for _, delay_s in attempts(agent)]
    assert all(0.75 * top <= wait <= top for wait, top in zip(waits, most, strict=True))
    assert any(wait < top for wait, top in zip(waits, most, strict=True))


async def test_row_39_a_refused_connection_is_tried_again() -> None:
    clock = VirtualClock()
    agent = live("http://127.0.0.1:9/v1", retries_max=2, clock=clock)
    message = await answered(agent, clock)
    assert isinstance(message, AssistantMessage)
    assert message.error_kind == "network"
    assert [number for number, _ in attempts(agent)] == [2, 3]


async def test_row_39_a_stream_function_of_the_host_is_called_once() -> None:
    called: list[Any] = []

    def once(*_: Any) -> Any:
        called.append(1)
        raise ConnectionError("gone")

    message = await live("http://127.0.0.1:9", stream_fn=once, retries_max=5).prompt("hi")
    assert isinstance(message, AssistantMessage)
    assert (message.error_message, called) == ("gone", [1])


# 41: kinds


@ways
@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (status(401, "no"), "refused"),
        (status(403, "no"), "refused"),
        (status(400, "no"), "invalid"),
        (status(404, "no"), "invalid"),
        (status(413, "no"), "overflow"),
        (
            status(
                400,
                {
                    "error": {
                        "message": "This model's maximum context length is 8192 tokens.",
                        "code": "context_length_exceeded",
                    }
                },
            ),
            "overflow",
        ),
        (status(429, "no"), "overloaded"),
        (status(500, "no"), "overloaded"),
        (status(529, "no"), "overloaded"),
        (reset(), "network"),
        (HELLO, "network"),
        (HELLO + end("content_filter"), "filtered"),
        (stall(), "timeout"),
    ],
)
async def test_row_41_every_error_has_one_of_these_kinds(
    heard: Any, script: Any, kind: str
) -> None:
    found = await heard(script, first_byte_timeout_s=0.2)
    assert (found.message.stop_reason, found.message.error_kind) == ("error", kind)


async def test_row_41_what_the_host_does_has_kinds_too() -> None:
    limited = make(*[calls((f"c{n}", "f", {})) for n in range(3)], limits=Limits(turns_max=1))
    failed, aborted = make(ValueError("boom")), make(Scripted(text("Hello!"), deltas=2))
    aborted.subscribe(lambda event: aborted.abort() if event.type == "turn_start" else None)
    kinds = [(await agent.prompt("hi")) for agent in (limited, failed, aborted)]
    assert [message.error_kind for message in kinds] == ["limit", "host", "aborted"]  # type: ignore[union-attr] # answers


@ways
async def test_row_41_a_long_error_body_is_cut_at_4096_characters(heard: Any) -> None:
    found = await heard(status(502, "ü" * 100_000))
    assert found.message.error_message == "API returned error: 502 - " + "ü" * 4096
    short = await heard(status(502, "x" * 4096))
    assert short.message.error_message == "API returned error: 502 - " + "x" * 4096
