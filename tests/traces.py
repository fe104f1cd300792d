"""Event traces as the specification writes them: ``as ts m(U) A te ae``; and scripted streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from tinyagent.agent_types import (
    AgentEvent,
    AgentMessage,
    AgentTool,
    AgentToolResult,
    AssistantMessage,
    AssistantMessageEvent,
    Model,
    TextContent,
    ThinkingContent,
    ToolCallContent,
)

MODEL = Model(provider="test", id="m", api="test-api")
_SHORT = {
    "agent_start": "as",
    "agent_end": "ae",
    "turn_start": "ts",
    "turn_end": "te",
    "message_start": "ms",
    "message_update": "mu",
    "message_end": "me",
    "tool_execution_start": "tes",
    "tool_execution_update": "teu",
    "tool_execution_end": "tee",
}
_ROLES = {"user": "U", "assistant": "A", "tool_result": "T"}


def trace(events: Sequence[AgentEvent]) -> str:
    """Return *events* in short form, updates by their inner type."""
    return " ".join(_word(event) for event in events)


def _word(event: Any) -> str:
    word = _SHORT[event.type]
    if word == "mu":
        return f"mu:{event.assistant_message_event.type}"
    if word in ("ms", "me"):
        return f"{word}({_ROLES.get(event.message.role, '?')})"
    if word.startswith("te") and word != "te":
        return f"{word}:{event.tool_call_id}"
    return word


def text(*parts: str) -> AssistantMessage:
    """Return a complete answer of text."""
    return AssistantMessage(
        content=[TextContent(text="".join(parts))],
        stop_reason="stop",
        api="test-api",
        provider="test",
        model="m",
        timestamp=1,
    )


def calls(*given: tuple[str, str, dict[str, Any]], says: str = "") -> AssistantMessage:
    """Return an answer that calls tools, as id, name, arguments."""
    content: list[Any] = [TextContent(text=says)] if says else []
    content += [ToolCallContent(id=i, name=n, arguments=a) for i, n, a in given]
    return AssistantMessage(content=content, stop_reason="tool_calls", timestamp=1)


class Scripted:
    """A stream response: events of a message built from its blocks, then the message.

    ``gate``: an event to wait for after the first delta.
    """

    def __init__(
        self,
        message: AssistantMessage,
        *,
        events: Sequence[AssistantMessageEvent] | None = None,
        gate: asyncio.Event | None = None,
        raises: Exception | None = None,
        deltas: int | None = None,
    ) -> None:
        self._message = message
        self._events = list(stream_of(message) if events is None else events)
        if deltas is not None:
            self._events = self._events[:deltas]
        self._gate = gate
        self._raises = raises
        self._at = 0

    def __aiter__(self) -> AsyncIterator[AssistantMessageEvent]:
        return self

    async def __anext__(self) -> AssistantMessageEvent:
        if self._at >= len(self._events):
            if self._raises is not None:
                raise self._raises
            if self._gate is not None:
                await self._gate.wait()
            raise StopAsyncIteration
        event = self._events[self._at]
        self._at += 1
        return event

    async def result(self) -> AssistantMessage:
        return self._message


def stream_of(message: AssistantMessage) -> list[AssistantMessageEvent]:
    """Return the events that a well-behaved provider sends for *message*."""
    events: list[AssistantMessageEvent] = []
    content: list[Any] = []

    def add(kind: Any, index: int | None = None, **more: Any) -> None:
        partial = message.model_copy(update={"content": list(content)})
        events.append(
            AssistantMessageEvent(type=kind, content_index=index, partial=partial, **more)
        )

    add("start")
    for index, block in enumerate(message.content):
        match block:
            case TextContent(text=said):
                content.append(TextContent(text=""))
                add("text_start", index)
                for part in _halves(said or ""):
                    content[index] = TextContent(text=(content[index].text or "") + part)
                    add("text_delta", index, delta=part)
                add("text_end", index, content=said)
            case ThinkingContent(thinking=said):
                content.append(ThinkingContent(thinking=""))
                add("thinking_start", index)
                content[index] = block
                add("thinking_delta", index, delta=said)
                add("thinking_end", index, content=said)
            case ToolCallContent():
                content.append(ToolCallContent(id=block.id, name=block.name))
                add("tool_call_start", index)
                content[index] = block
                import json

                add("tool_call_delta", index, delta=json.dumps(block.arguments))
                add("tool_call_end", index, tool_call=block)
            case _:
                pass
    events.append(AssistantMessageEvent(type="done", reason=message.stop_reason, message=message))
    return events


def _halves(said: str) -> list[str]:
    middle = len(said) // 2
    return [part for part in (said[:middle], said[middle:]) if part]


def script(*answers: Any) -> Callable[..., Any]:
    """Return a stream function that gives *answers* in turn: messages, responses or exceptions."""
    left = list(answers)

    async def stream_fn(model: Model, context: Any, options: Any) -> Any:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            answer = answer(context, options)
        return Scripted(answer) if isinstance(answer, AssistantMessage) else answer

    return stream_fn


def tool(name: str, execute: Callable[..., Any], **more: Any) -> AgentTool:
    """Return a tool with an open schema."""
    return AgentTool(name=name, description=name, parameters={}, execute=execute, **more)


def said(message: AgentMessage | None) -> str:
    """Return the text of a message."""
    from tinyagent import extract_text

    return extract_text(message)


def result(content: str, **more: Any) -> AgentToolResult:
    """Return a tool result of one text."""
    return AgentToolResult(content=[TextContent(text=content)], **more)
