"""What a provider sends, piece by piece, and what comes of it: by hand, and through an agent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from tinyagent import Agent, AgentOptions, AgentState, AgentTool, MessageUpdateEvent
from tinyagent.agent_types import (
    AgentMessage,
    AssistantMessage,
    AssistantMessageEvent,
    Context,
    Model,
    SimpleStreamOptions,
    StreamResponse,
    TextContent,
    ThinkingContent,
    ToolCallContent,
    ToolResultMessage,
    UserMessage,
)
from tinyagent.alchemy_provider import OpenAICompatModel, stream_alchemy_openai_completions
from tinyagent.testing import ProviderServer, Reply, VirtualClock, chat, sse
from tinyagent.testing.provider import Received

DONE = b"data: [DONE]\n\n"
Block = tuple[Any, ...]
_STARTS = ("text_start", "thinking_start", "tool_call_start")
_DELTAS = ("text_delta", "thinking_delta", "tool_call_delta")


def delta(finish: str | None = None, /, **fields: Any) -> bytes:
    """Return one chunk of chat/completions whose delta is *fields*."""
    return chunk([{"index": 0, "delta": fields, "finish_reason": finish}])


def chunk(choices: list[Any], **more: Any) -> bytes:
    """Return one chunk of chat/completions."""
    return sse({"id": "x", "object": "chat.completion.chunk", "choices": choices, **more})


def call(index: int | None, id_: str | None, name: str | None, arguments: Any) -> bytes:
    """Return one chunk with one entry of ``tool_calls``; None leaves a field out."""
    function = {
        key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None
    }
    entry: dict[str, Any] = {"type": "function", "function": function}
    if index is not None:
        entry["index"] = index
    if id_ is not None:
        entry["id"] = id_
    return delta(tool_calls=[entry])


def end(reason: str = "stop", /, **usage: Any) -> bytes:
    """Return the end of an answer: finish reason, usage if there is any, ``[DONE]``."""
    told = chunk([], usage=usage) if usage else b""
    return delta(reason) + told + DONE


OK = delta(content="Hi.") + end()
"""A whole answer."""
MARK = {"type": "ephemeral"}
"""A cache breakpoint as it is sent."""


def anthropic(said: str) -> bytes:
    """Return an answer in Anthropic's protocol."""
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "m1", "usage": {"input_tokens": 1}}},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        },
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": said},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}},
        {"type": "message_stop"},
    ]
    return b"".join(sse(event, event=event["type"]) for event in events)


def user(text: str = "hi") -> UserMessage:
    """Return a message of the user."""
    return UserMessage(content=[TextContent(text=text)], timestamp=5)


def demo(url: str, **more: Any) -> OpenAICompatModel:
    """Return a model of an unknown provider at *url*, without a key."""
    given: dict[str, Any] = {"provider": "demo", "id": "m", "base_url": url, "auth": "none"}
    return OpenAICompatModel(**{**given, **more})


def of(provider: str, **more: Any) -> Callable[[str], OpenAICompatModel]:
    """Return what makes a model of *provider* at a server's URL."""

    def model(url: str) -> OpenAICompatModel:
        given: dict[str, Any] = {"provider": provider, "id": "m", "base_url": url, **more}
        return OpenAICompatModel(**given)

    return model


def blocks(message: AssistantMessage | None) -> list[Block]:
    """Return the content of *message* in short form."""
    out: list[Block] = []
    for block in message.content if message is not None else ():
        match block:
            case TextContent():
                out.append(("text", block.text))
            case ThinkingContent():
                out.append(("thinking", block.thinking, block.thinking_signature))
            case ToolCallContent():
                raw = () if block.partial_json is None else (block.partial_json,)
                out.append(("call", block.id, block.name, block.arguments, *raw))
            case _:
                out.append(())
    return out


def words(events: Sequence[AssistantMessageEvent]) -> str:
    """Return the types of *events*, the block's number with each, runs of deltas as one."""
    out: list[str] = []
    for event in events:
        index = "" if event.content_index is None else str(event.content_index)
        word = (event.type or "").replace("tool_call", "call").replace("thinking", "think") + index
        if not out or out[-1] != word or "delta" not in word:
            out.append(word)
    return " ".join(out)


def deltas(events: Sequence[AssistantMessageEvent], index: int) -> list[str | None]:
    """Return the deltas of one block."""
    return [
        event.delta for event in events if event.content_index == index and event.delta is not None
    ]


class Hurried(VirtualClock):
    """A clock on which every sleep is over at once, and noted."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@dataclass
class Heard:
    """An answer: its events, its final message, the requests that were made for it."""

    events: list[AssistantMessageEvent]
    message: AssistantMessage
    requests: list[Received]

    @property
    def words(self) -> str:
        return words(self.events)

    @property
    def blocks(self) -> list[Block]:
        return blocks(self.message)

    @property
    def body(self) -> Any:
        return self.requests[0].json


async def read(response: StreamResponse) -> tuple[list[AssistantMessageEvent], AssistantMessage]:
    """Return all events of *response*, each looked at when it came, and its final message."""
    events: list[AssistantMessageEvent] = []
    seen: list[str] = []
    async for event in response:
        events.append(event)
        seen.append(event.model_dump_json())
    message = await response.result()
    assert [event.model_dump_json() for event in events] == seen
    assert await response.result() is message
    last = events[-1]
    assert message in (last.message, last.error)
    check_partials(events, message)
    return events, message


async def heard_by_hand(
    script: Any,
    *messages: AgentMessage,
    model: Callable[[str], Model] = demo,
    stream_fn: Any = stream_alchemy_openai_completions,
    system: str = "",
    tools: Sequence[AgentTool] = (),
    path: str = "/v1/chat/completions",
    **options: Any,
) -> Heard:
    """Ask a server that answers *script*, and read the answer event by event."""
    async with ProviderServer(script) as server, asyncio.timeout(10):
        context = Context(system, list(messages or [user()]), list(tools) or None)
        given: dict[str, Any] = {"retries_max": 0, **options}
        asked = (model(server.url + path), context, SimpleStreamOptions(**given))
        response = await stream_fn(*asked)
        events, message = await read(response)
        return Heard(events, message, server.requests)


async def heard_by_agent(
    script: Any,
    *messages: AgentMessage,
    model: Callable[[str], Model] = demo,
    stream_fn: Any = stream_alchemy_openai_completions,
    system: str = "",
    tools: Sequence[AgentTool] = (),
    path: str = "/v1/chat/completions",
    api_key: str | None = None,
    **options: Any,
) -> Heard:
    """The same through an agent: the events of its first answer, framed as by hand."""
    items = [*script, chat(text="After.")] if isinstance(script, list) else [script, chat(text="")]
    async with ProviderServer(items) as server, asyncio.timeout(10):
        state = AgentState(system_prompt=system, model=model(server.url + path), tools=list(tools))
        given: dict[str, Any] = {"retries_max": 0, **options}
        agent = Agent(
            AgentOptions(
                initial_state=state,
                stream_fn=stream_fn,
                get_api_key=(lambda _: api_key) if api_key else None,
                **given,
            )
        )
        answers: list[AssistantMessage] = []
        events: list[AssistantMessageEvent] = []

        def listen(event: Any) -> None:
            if event.type == "message_end" and isinstance(event.message, AssistantMessage):
                answers.append(event.message)
            if isinstance(event, MessageUpdateEvent) and not answers:
                assert event.assistant_message_event is not None
                assert event.message is event.assistant_message_event.partial
                events.append(event.assistant_message_event)

        agent.subscribe(listen)
        await agent.prompt(list(messages) or [user()])
        message = answers[0]
        check_partials(events, message)
        how: Literal["done", "error"] = "done" if message.error_message is None else "error"
        framed = [AssistantMessageEvent(type=how)]
        start = [AssistantMessageEvent(type="start")] if events or how == "done" else []
        return Heard([*start, *events, *framed], message, server.requests)


def check_partials(events: Sequence[AssistantMessageEvent], message: AssistantMessage) -> None:
    """Hold the partial of each event to what was said until then, and to the final message."""
    said: list[str] = []
    for event in events:
        if event.type in ("done", "error"):
            continue
        partial = event.partial
        assert partial is not None
        assert (partial.api, partial.provider, partial.model) == (
            message.api,
            message.provider,
            message.model,
        )
        if event.type in _STARTS:
            said.append("")
        if event.type in _DELTAS:
            assert event.delta is not None
            said[event.content_index or 0] += event.delta
        assert [_said(block) for block in partial.content] == [
            text
            if not isinstance(block, ToolCallContent) or block.partial_json is not None
            else None
            for text, block in zip(said, partial.content, strict=True)
        ]
        if (event.type or "").endswith("_end"):
            block = partial.content[event.content_index or 0]
            assert event.tool_call is block or event.content == said[event.content_index or 0]


def _said(block: object) -> str | None:
    match block:
        case TextContent(text=text):
            return text
        case ThinkingContent(thinking=text):
            return text
        case ToolCallContent(partial_json=text):
            return text
        case _:
            return None


ways = pytest.mark.parametrize("heard", [heard_by_hand, heard_by_agent])
"""Runs a test by hand and through an agent."""


async def sent(
    heard: Any, *messages: AgentMessage | dict[str, Any], script: Any = OK, **how: Any
) -> Received:
    """Return the first request that *messages* make; the answer to it succeeds."""
    found: Heard = await heard(script, *messages, **how)
    assert found.message.error_message is None
    return found.requests[0]


def said(text: str) -> AssistantMessage:
    """Return an answer of the history."""
    return AssistantMessage(content=[TextContent(text=text)], stop_reason="stop")


def called(*ids: str | None, **more: Any) -> AssistantMessage:
    """Return an answer that calls ``f`` once for each of *ids*."""
    calls = [ToolCallContent(id=i, name="f", arguments={"n": n}) for n, i in enumerate(ids)]
    return AssistantMessage(content=list(calls), stop_reason="tool_calls", **more)


def result(id_: str, *content: Any, **more: Any) -> ToolResultMessage:
    """Return the result of a call of ``f``; strings become texts."""
    given = [TextContent(text=c) if isinstance(c, str) else c for c in content]
    return ToolResultMessage(tool_call_id=id_, tool_name="f", content=given, **more)


def arguments(request: Received) -> list[dict[str, Any]]:
    """Return the arguments of every call in a request's history."""
    calls = [one for message in request.json["messages"] for one in message.get("tool_calls", ())]
    return [json.loads(one["function"]["arguments"]) for one in calls]


def replying(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a stream with *status*, whatever *body* is."""
    fields = {"content-type": "text/event-stream", **(headers or {})}
    return Reply(status=status, chunks=(body,), headers=tuple(fields.items()))
