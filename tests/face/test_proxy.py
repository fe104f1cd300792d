"""An answer through a proxy: what is asked, what comes back, and how it ends."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from tests.traces import result, tool, trace

from tinyagent import Agent, AgentOptions, AgentState
from tinyagent.agent_types import (
    AssistantMessage,
    AssistantMessageEvent,
    Context,
    Message,
    Model,
    SimpleStreamOptions,
    TextContent,
    ThinkingLevel,
    UserMessage,
)
from tinyagent.proxy import (
    ProxyStreamOptions,
    ProxyStreamResponse,
    stream_proxy,
)
from tinyagent.testing import ProviderServer, Reply, rechunked, sse, stall, status

MODEL = Model(provider="openai", id="gpt", api="openai", thinking_level=ThinkingLevel.LOW)
HI: list[Message] = [UserMessage(content=[TextContent(text="hi")], timestamp=5)]
HELLO: Sequence[dict[str, Any]] = (
    {"type": "start"},
    {"type": "text_start", "contentIndex": 0},
    {"type": "text_delta", "contentIndex": 0, "delta": "Hel"},
    {"type": "text_delta", "contentIndex": 0, "delta": "lö"},
    {"type": "text_end", "contentIndex": 0},
    {"type": "done", "reason": "stop", "usage": {"input": 1}},
)


def answer(*events: dict[str, Any]) -> Reply:
    return Reply(chunks=tuple(sse(event) for event in events))


def ask(url: str, *, context: Context | None = None, **more: Any) -> ProxyStreamResponse:
    options = ProxyStreamOptions("secret", url, **more)
    return ProxyStreamResponse(
        model=MODEL, context=context or Context("S", list(HI)), options=options
    )


async def read(stream: AsyncIterator[AssistantMessageEvent]) -> list[str | None]:
    return [event.type async for event in stream]


async def test_the_stream_tells_the_answer_and_the_result_is_its_message() -> None:
    async with ProviderServer([answer(*HELLO)]) as server:
        stream = ask(server.url)
        events = [event async for event in stream]
        message = await stream.result()
    assert [event.type for event in events] == [
        "start",
        "text_start",
        "text_delta",
        "text_delta",
        "text_end",
        "done",
    ]
    assert events[-1].message is message
    assert message.timestamp is not None
    assert message.timestamp > 1_600_000_000_000
    assert message == AssistantMessage(
        content=[TextContent(text="Hellö")],
        stop_reason="stop",
        api="openai",
        provider="openai",
        model="gpt",
        usage={"input": 1},
        timestamp=message.timestamp,
    )
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_row_54_earlier_partials_never_change() -> None:
    call: Sequence[dict[str, Any]] = (
        {"type": "toolcall_start", "contentIndex": 1, "id": "c", "toolName": "f"},
        {"type": "toolcall_delta", "contentIndex": 1, "delta": '{"a": '},
        {"type": "toolcall_delta", "contentIndex": 1, "delta": "1}"},
        {"type": "toolcall_end", "contentIndex": 1},
        {"type": "text_delta", "contentIndex": 0, "delta": "!"},
    )
    async with ProviderServer([answer(*HELLO[:-1], *call, HELLO[-1])]) as server:
        seen = [event async for event in ask(server.url)]
    shown: list[Any] = []
    for event in seen[:-1]:
        assert event.partial is not None
        blocks: list[Any] = list(event.partial.content)
        texts = [block.text for block in blocks[:1]]
        shown.append(texts + [(block.arguments, block.partial_json) for block in blocks[1:]])
    assert shown == [
        [],
        [""],
        ["Hel"],
        ["Hellö"],
        ["Hellö"],
        ["Hellö", ({}, "")],
        ["Hellö", ({}, '{"a": ')],
        ["Hellö", ({"a": 1}, '{"a": 1}')],
        ["Hellö", ({"a": 1}, None)],
        ["Hellö!", ({"a": 1}, None)],
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
async def test_row_55_where_the_bytes_are_cut_makes_no_difference(size: int, end: bytes) -> None:
    body = b"\xef\xbb\xbf: hello\n\nevent: x\nid: 1\n" + b"".join(sse(event) for event in HELLO)
    body = body.replace(b'data: {"type":"start"}', b'data:{"type":\ndata: "start"}')
    body += b"data: not reached\n\n"
    async with ProviderServer([rechunked(body.replace(b"\n", end), [size])]) as server:
        stream = ask(server.url)
        events = await read(stream)
        message = await stream.result()
    assert events == ["start", "text_start", "text_delta", "text_delta", "text_end", "done"]
    assert message.content == [TextContent(text="Hellö")]


async def test_row_55_a_last_event_without_a_newline_counts() -> None:
    body = b"".join(sse(event) for event in HELLO).rstrip(b"\n")
    async with ProviderServer([body]) as server:
        message = await ask(server.url).result()
    assert (message.stop_reason, message.error_message) == ("stop", None)


async def test_row_55_an_answer_without_an_end_is_an_error_and_keeps_its_text() -> None:
    half = {"type": "toolcall_start", "contentIndex": 1, "id": "c", "toolName": "f"}
    async with ProviderServer([answer(*HELLO[:-1], half)]) as server:
        stream = ask(server.url)
        events = await read(stream)
        message = await stream.result()
    assert events[-1] == "error"
    assert message.content == [TextContent(text="Hellö")]
    assert (message.stop_reason, message.error_kind) == ("error", "network")
    assert message.error_message == "Proxy stream ended before the answer was complete"


@pytest.mark.parametrize(
    ("item", "told", "kind"),
    [
        (status(500, "oops"), "Proxy error: 500", "overloaded"),
        (status(401), "Proxy error: 401", "refused"),
        (
            answer({"type": "text_start"}, {"type": "thinking_delta", "delta": "x"}),
            "Received thinking_delta for non-thinking content",
            "invalid",
        ),
        (answer({"type": "error", "reason": "error", "errorMessage": "No."}), "No.", None),
    ],
)
async def test_what_goes_wrong_is_told_by_the_message(item: Reply, told: str, kind: Any) -> None:
    async with ProviderServer([item]) as server:
        stream = ask(server.url)
        events = [event async for event in stream]
        message = await stream.result()
    assert events[-1].type == "error"
    assert events[-1].error is message
    assert (message.stop_reason, message.error_message) == ("error", told)
    assert message.error_kind == kind


async def test_a_server_that_is_not_there_is_told_without_the_token() -> None:
    async with ProviderServer() as server:
        url = server.url
    message = await ask(url).result()
    assert (message.stop_reason, message.error_kind) == ("error", "network")
    assert "HTTP request failed" in str(message.error_message)
    assert "secret" not in str(message.error_message)


async def test_what_cannot_be_sent_is_told_by_the_message() -> None:
    messages: list[Any] = [object()]
    message = await ask("http://127.0.0.1:9", context=Context("S", messages)).result()
    assert message.error_kind == "host"
    assert message.error_message == (
        "context.messages: expected model payload with model_dump(exclude_none=True)"
    )


# Row 6: abort.


async def test_row_6_a_signal_that_is_a_function_aborts_within_100_ms() -> None:
    flag: list[bool] = []
    async with ProviderServer([stall(answer(*HELLO), 120)]) as server:
        stream = ask(server.url, signal=lambda: bool(flag))
        await anext(stream)
        start = asyncio.get_running_loop().time()
        flag.append(True)
        message = await stream.result()
        assert asyncio.get_running_loop().time() - start < 0.1
        await server.requests[0].wait_gone()
    assert (message.stop_reason, message.error_message) == ("aborted", "Request aborted by user")
    assert message.error_kind == "aborted"


async def test_row_6_a_silent_server_is_left_at_once_too() -> None:
    signal = asyncio.Event()
    async with ProviderServer([stall()]) as server:
        options = SimpleStreamOptions(api_key="t", signal=signal)
        stream = await stream_proxy(with_url(server.url), Context("S", list(HI)), options)
        while not server.requests:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.001)
        signal.set()
        async with asyncio.timeout(0.1):
            message = await stream.result()
    assert message.stop_reason == "aborted"
    assert message.content == []


async def test_a_signal_that_raises_is_told() -> None:
    asked: list[bool] = []

    def broken() -> bool:
        if asked:
            raise ValueError("signal broke")
        return False

    async with ProviderServer([stall(answer(*HELLO), 30)]) as server:
        stream = ask(server.url, signal=broken)
        await anext(stream)
        asked.append(True)
        message = await stream.result()
        await server.requests[0].wait_gone()
    assert (message.stop_reason, message.error_message) == ("error", "signal broke")


async def test_a_stream_that_nobody_holds_closes_its_request() -> None:
    async with ProviderServer([stall(answer(*HELLO), 120)]) as server:
        stream = ask(server.url)
        await anext(stream)
        del stream
        gc.collect()
        await server.requests[0].wait_gone()


async def test_a_stream_can_be_closed_and_waiting_for_it_be_given_up() -> None:
    async with ProviderServer([stall(answer(*HELLO), 30)]) as server:
        stream = ask(server.url)
        assert (await anext(stream)).type == "start"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(stream), 0.01)
        await stream.aclose()
        assert await read(stream) == ["error"]
        assert (await stream.result()).stop_reason == "aborted"
    early = ask("http://127.0.0.1:9")
    await early.aclose()
    assert (await early.result()).stop_reason == "aborted"


# Row 40: time limits. Row 51: who does not read.


@pytest.mark.parametrize(
    ("item", "limits"),
    [
        (stall(), {"first_byte_timeout_s": 0.05}),
        (stall(answer(*HELLO), 120), {"read_timeout_s": 0.05}),
    ],
)
async def test_row_40_a_hung_server_is_a_timeout(item: Reply, limits: dict[str, Any]) -> None:
    async with ProviderServer([item]) as server:
        options = SimpleStreamOptions(api_key="t", **limits)
        stream = await stream_proxy(with_url(server.url), Context("S", list(HI)), options)
        message = await stream.result()
    assert (message.stop_reason, message.error_kind) == ("error", "timeout")


async def test_row_51_who_does_not_read_holds_the_network_up_but_not_the_result() -> None:
    deltas = [{"type": "text_delta", "delta": "x"} for _ in range(5000)]
    async with ProviderServer([answer({"type": "text_start"}, *deltas, HELLO[-1])]) as server:
        stream = ask(server.url)
        assert (await stream.result()).content == [TextContent(text="x" * 5000)]
        assert len(await read(stream)) == 5002


# Row 8: as a stream_fn.


def with_url(url: str) -> Model:
    return MODEL.model_copy(update={"proxy_url": url})


async def test_row_8_an_agent_streams_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ok(*_: Any) -> Any:
        return result("3")

    call: Sequence[dict[str, Any]] = (
        {"type": "start"},
        {"type": "toolcall_start", "contentIndex": 0, "id": "c1", "toolName": "f"},
        {"type": "toolcall_delta", "contentIndex": 0, "delta": '{"a": 1}'},
        {"type": "toolcall_end", "contentIndex": 0},
        {"type": "done", "reason": "tool_calls"},
    )
    async with ProviderServer([answer(*call), answer(*HELLO)]) as server:
        monkeypatch.setenv("TINYAGENT_PROXY_URL", server.url)
        monkeypatch.setenv("TINYAGENT_PROXY_TOKEN", "secret")
        state = AgentState(model=MODEL, tools=[tool("f", ok)], thinking_level=ThinkingLevel.HIGH)
        options = AgentOptions(
            initial_state=state,
            stream_fn=stream_proxy,
            session_id="s1",
            max_tokens=9,
            temperature=0.5,
        )
        agent = Agent(options)
        events: list[Any] = []
        agent.subscribe(events.append)
        assert await agent.prompt_text("hi") == "Hellö"
    assert "tes:c1 tee:c1" in trace(events)
    first, second = (request.json for request in server.requests)
    assert first["options"] == {
        "temperature": 0.5,
        "maxTokens": 9,
        "reasoning": "high",
        "sessionId": "s1",
    }
    assert server.requests[0].headers["authorization"] == "Bearer secret"
    assert [message["role"] for message in second["context"]["messages"]] == [
        "user",
        "assistant",
        "tool_result",
    ]


async def test_row_8_without_an_address_the_error_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TINYAGENT_PROXY_URL", raising=False)
    monkeypatch.delenv("TINYAGENT_PROXY_TOKEN", raising=False)
    agent = Agent(AgentOptions(initial_state=AgentState(model=MODEL), stream_fn=stream_proxy))
    message = await agent.prompt("hi")
    assert isinstance(message, AssistantMessage)
    assert message.error_message == (
        "The proxy needs a URL (model.proxy_url or TINYAGENT_PROXY_URL) and a token "
        "(options.api_key or TINYAGENT_PROXY_TOKEN)"
    )


async def test_row_6_an_agent_that_is_aborted_leaves_the_proxy_within_100_ms() -> None:
    async with ProviderServer([stall(answer(*HELLO), 150)]) as server:
        state = AgentState(model=with_url(server.url))
        agent = Agent(
            AgentOptions(initial_state=state, stream_fn=stream_proxy, get_api_key=lambda _: "t")
        )
        aborted_s: list[float] = []
        async for event in agent.stream("hi"):
            if event.type == "message_update":
                aborted_s.append(asyncio.get_running_loop().time())
                agent.abort()
        assert asyncio.get_running_loop().time() - aborted_s[0] < 0.1
        await server.requests[0].wait_gone()
    last = agent.state.messages[-1]
    assert isinstance(last, AssistantMessage)
    assert last.stop_reason == "aborted"
