"""Answers for programs that block: plain dicts in, plain dicts out, no loop of their own.

``tinyagent._alchemy.openai_completions_stream`` is this function. All answers are read on one
loop, in a daemon thread, so that a silent provider keeps no process alive.
"""

from __future__ import annotations

import asyncio
import math
import queue
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from functools import lru_cache
from typing import Any

from tinyagent._provider.direct import DirectResponse
from tinyagent._provider.resolve import resolve_alchemy
from tinyagent.agent_types import (
    AgentTool,
    AssistantMessage,
    AssistantMessageEvent,
    Context,
    SimpleStreamOptions,
    TextContent,
    ThinkingContent,
    ToolCallContent,
)

CLOSED = "event stream closed unexpectedly"
_BLOCKS = {
    "user": ("text", "image"),
    "assistant": ("text", "thinking", "tool_call"),
    "tool_result": ("text", "image"),
}
_NUMBERS = ("temperature", "max_tokens")


def openai_completions_stream(
    model: dict[str, Any], context: dict[str, Any], options: dict[str, Any]
) -> StreamHandle:
    """Ask *model*, and return a handle of its answer at once.

    Raises:
        ValueError: *model*, *context* or *options* are not what they must be; it says which.
    """
    from tinyagent.alchemy_provider import OpenAICompatModel

    _check_model(model)
    _check_options(options)
    messages = _checked_messages(context)
    tools = [
        AgentTool(tool["name"], tool.get("description") or "", tool.get("parameters") or {})
        for tool in context.get("tools") or ()
    ]
    given = {name: value for name, value in model.items() if value is not None}
    asked = OpenAICompatModel(**given)
    options = {name: value for name, value in options.items() if name != "signal"}
    return StreamHandle(
        asked, Context(context.get("system_prompt") or "", messages, tools), options
    )


class StreamHandle:
    """An answer that is read by blocking calls, from any thread."""

    def __init__(self, model: Any, context: Context, options: dict[str, Any]) -> None:
        self._described = resolve_alchemy(model)
        self._asked = (model, context, options)
        self._events: queue.SimpleQueue[AssistantMessageEvent | RuntimeError | None]
        self._events = queue.SimpleQueue()
        self._result: Future[AssistantMessage] = Future()
        self._signal: asyncio.Event | None = None
        self._loop = shared_loop()
        self._is_cancelled = self._is_ended = False
        asyncio.run_coroutine_threadsafe(self._read(), self._loop)

    def next_event(self) -> dict[str, Any] | None:
        """Wait for the next event; None at the end.

        Raises:
            RuntimeError: the request could not be made, or the end was read before.
        """
        if self._is_ended:
            raise RuntimeError(CLOSED)
        event = self._events.get()
        if isinstance(event, AssistantMessageEvent):
            return _event(event)
        self._is_ended = True
        if event is not None:
            raise event
        return None

    def result(self) -> dict[str, Any]:
        """Wait for the final message. Can be asked again.

        Raises:
            RuntimeError: the request could not be made.
        """
        return _message(self._result.result())

    def cancel(self) -> None:
        """Give the request up; whoever waits gets the aborted message."""
        self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        self._is_cancelled = True
        if self._signal is not None:
            self._signal.set()

    async def _read(self) -> None:
        model, context, given = self._asked
        self._signal = asyncio.Event()
        if self._is_cancelled:
            self._signal.set()
        end: RuntimeError | None = None
        try:
            options = SimpleStreamOptions(**given, signal=self._signal)
            response = DirectResponse(model, self._described, context, options)
            async for event in response:
                self._events.put(event)
            self._result.set_result(await response.result())
        except Exception as error:
            end = error if isinstance(error, RuntimeError) else RuntimeError(str(error))
            self._result.set_exception(end)
        finally:
            self._events.put(end)


@lru_cache(maxsize=1)
def shared_loop() -> asyncio.AbstractEventLoop:
    """Return the loop that all handles of this process read on."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="tinyagent-handles", daemon=True).start()
    return loop


def _check_model(model: object) -> None:
    if not isinstance(model, Mapping):
        raise ValueError("invalid model: expected a dict")
    for name in ("id", "provider", "api", "base_url"):
        if not isinstance(model.get(name), str):
            raise ValueError(f"invalid model: `{name}` must be a string")


def _check_options(options: object) -> None:
    if not isinstance(options, Mapping):
        raise ValueError("invalid options: expected a dict")
    if not isinstance(options.get("api_key"), str | None):
        raise ValueError("invalid options: `api_key` must be a string")
    for name in _NUMBERS:
        value = options.get(name)
        is_one = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (is_one and abs(value) < math.inf):
            raise ValueError(f"invalid options: `{name}` must be a number")


def _checked_messages(context: object) -> list[Any]:
    if not isinstance(context, Mapping):
        raise ValueError("invalid context: expected a dict")
    messages: object = context.get("messages") or []
    if not isinstance(messages, list | tuple):
        raise ValueError("invalid context: `messages` must be a list")
    for message in messages:
        if not isinstance(message, Mapping):
            raise ValueError("invalid context: a message must be a dict")
        role: Any = message.get("role")
        known = _BLOCKS.get(role) if isinstance(role, str) else None
        if known is None:
            raise ValueError(f"invalid context: unknown role {role!r}")
        content = message.get("content")
        for block in content if isinstance(content, list | tuple) else ():
            kind = block.get("type") if isinstance(block, Mapping) else block
            if kind not in known and kind is not None:
                raise ValueError(f"invalid context: unknown type {kind!r} of content of {role}")
    return list(messages)


def _event(event: AssistantMessageEvent) -> dict[str, Any]:
    out: dict[str, Any] = {"type": event.type}
    for name in ("content_index", "delta", "content", "reason"):
        value = getattr(event, name)
        if value is not None:
            out[name] = value
    if event.tool_call is not None:
        out["tool_call"] = _block(event.tool_call)
    for name in ("partial", "message", "error"):
        value = getattr(event, name)
        if isinstance(value, AssistantMessage):
            out[name] = _message(value)
    return out


def _message(message: AssistantMessage) -> dict[str, Any]:
    out = message.model_dump(exclude={"error_kind", "content"})
    if message.error_kind is not None:
        out["error_kind"] = message.error_kind
    content = [_block(block) for block in message.content if block is not None]
    return {"role": out.pop("role"), "content": content, **out}


def _block(block: TextContent | ThinkingContent | ToolCallContent) -> dict[str, Any]:
    return {
        name: value
        for name, value in block.model_dump(exclude={"cache_control"}).items()
        if name != "partial_json" or value is not None
    }
