"""Runs the tool calls of one answer, for code that has no ``Agent``: on the same actors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from tinyagent._host.arguments import (
    ToolArgumentsError as ToolArgumentsError,
    validate_tool_arguments as validate_tool_arguments,
)
from tinyagent._host.host import HostHooks
from tinyagent._reading.state import awaited
from tinyagent._run.binding import Binding, Setup
from tinyagent._run.streams import cancellable
from tinyagent.agent_types import (
    AfterToolCallFn as AfterToolCallFn,
    AgentMessage as AgentMessage,
    AgentTool as AgentTool,
    AgentToolResult as AgentToolResult,
    AssistantMessage as AssistantMessage,
    AssistantMessageEvent,
    BeforeToolCallFn as BeforeToolCallFn,
    EventStream as EventStream,
    JsonObject as JsonObject,
    MaybeAwaitable as MaybeAwaitable,
    MessageEndEvent as MessageEndEvent,
    MessageStartEvent as MessageStartEvent,
    Model,
    TextContent as TextContent,
    ToolCallContent as ToolCallContent,
    ToolExecutionEndEvent as ToolExecutionEndEvent,
    ToolExecutionResult as ToolExecutionResult,
    ToolExecutionStartEvent as ToolExecutionStartEvent,
    ToolExecutionUpdateEvent as ToolExecutionUpdateEvent,
    ToolLoopControl as ToolLoopControl,
    ToolResultMessage as ToolResultMessage,
)
from tinyagent.events import kinds as k
from tinyagent.runtime.clock import SystemClock
from tinyagent.runtime.loops import Live

SKIPPED = "Skipped due to queued user message."
_TOOL_EVENTS = (ToolExecutionStartEvent, ToolExecutionUpdateEvent, ToolExecutionEndEvent)


async def execute_tool_calls(
    tools: list[AgentTool] | None,
    assistant_message: AssistantMessage,
    signal: asyncio.Event | None,
    stream: EventStream,
    get_steering_messages: Callable[[], Any] | None = None,
    before_tool_call: BeforeToolCallFn | None = None,
    after_tool_call: AfterToolCallFn | None = None,
) -> ToolExecutionResult:
    """Run every call of *assistant_message* side by side; results come in call order.

    Events go to *stream*. What a tool raises is its result. A set *signal* cancels the tools.
    """
    steering: list[AgentMessage] = []

    async def poll() -> list[AgentMessage]:
        assert get_steering_messages is not None
        if not results:
            return []  # the poll at the start of a run is not this function's
        steering.extend(await awaited(get_steering_messages()) or [])
        return []

    def prepare(hooks: HostHooks) -> None:
        hooks.before, hooks.after = before_tool_call, after_tool_call
        hooks.polls = {"get_steering_messages": poll}

    polls = ("get_steering_messages",) if get_steering_messages is not None else ()
    binding = Binding(
        None,
        lambda: Setup(
            model=Model(),
            system="",
            stream_fn=lambda *_: _Given(assistant_message),
            limits={"turns_max": 1},
            polls=polls,
        ),
        tools=lambda: tools,
        prepare=prepare,
        signal=signal,
        is_batch=True,
    )
    results: list[ToolResultMessage] = []
    run = binding.run([Live(k.UserContinued(), None)], _nothing)
    async for event in cancellable(run, signal, binding.cancel):
        match event:
            case MessageStartEvent(message=ToolResultMessage()):
                stream.push(event)
            case MessageEndEvent(message=ToolResultMessage() as message):
                results.append(message)
                stream.push(event)
            case _ if isinstance(event, _TOOL_EVENTS):
                stream.push(event)
            case _:
                pass
    return ToolExecutionResult(
        tool_results=results,
        steering_messages=steering or None,
        terminate=any(result.terminate for result in results),
    )


def skip_tool_call(tool_call: ToolCallContent, stream: EventStream) -> ToolResultMessage:
    """Let *tool_call* end without running it; its events go to *stream*."""
    content: Sequence[Any] = [TextContent(text=SKIPPED)]
    message = ToolResultMessage(
        tool_call_id=tool_call.id or "",
        tool_name=tool_call.name or "",
        content=list(content),
        is_error=True,
        timestamp=SystemClock().now_us() // 1000,
    )
    names: dict[str, Any] = {
        "tool_call_id": message.tool_call_id,
        "tool_name": message.tool_name,
        "args": tool_call.arguments,
    }
    given = AgentToolResult(content=list(content))
    stream.push(ToolExecutionStartEvent(**names))
    stream.push(ToolExecutionEndEvent(**names, result=given, is_error=True))
    stream.push(MessageStartEvent(message=message))
    stream.push(MessageEndEvent(message=message))
    return message


class _Given:
    """The answer that is there already, as a stream of nothing."""

    def __init__(self, message: AssistantMessage) -> None:
        self._message = message

    def __aiter__(self) -> AsyncIterator[AssistantMessageEvent]:
        return self

    async def __anext__(self) -> AssistantMessageEvent:
        raise StopAsyncIteration

    async def result(self) -> AssistantMessage:
        return self._message


def _nothing(event: object) -> None:
    del event
