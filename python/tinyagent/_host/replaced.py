"""A function that the host has put in the place of ``agent_loop.execute_tool_calls``.

It runs a whole batch. Start, end and results of the calls are told from what it returns; of what
it pushes itself, progress and events of the application's own are passed on at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, get_args

from tinyagent._reading.bodies import content_of, details_of
from tinyagent.agent_types import (
    AgentEvent,
    AgentToolResult,
    EventStream,
    ToolExecutionUpdateEvent,
    ToolResultMessage,
)
from tinyagent.events import Event, kinds as k

FOREIGN = "host.event"
_KNOWN = get_args(AgentEvent)


def replaced_execution() -> Callable[..., Any] | None:
    """Return what the host has put there, if it did."""
    loop = sys.modules.get("tinyagent.agent_loop")  # whoever put it there has imported it
    put = vars(loop).get("execute_tool_calls") if loop is not None else None
    if put is None or getattr(put, "__module__", "") == "tinyagent.agent_tool_execution":
        return None
    return put  # type: ignore[no-any-return] # whatever the host put there


def batch_result(result: ToolResultMessage, terminate: bool) -> dict[str, Any]:
    """Return one result of a batch that the host ran, as the log holds it."""
    return {
        "call_id": result.tool_call_id or "",
        "content": content_of(result.content),
        "ok": not result.is_error,
        "details": details_of(result.details),
        "terminate": bool(result.terminate or terminate),
    }


def batch_stream(append: Callable[[Event, object], object]) -> EventStream:
    """Return the stream that the function pushes its events to; *append* records what counts."""

    def push(event: AgentEvent) -> None:
        told = _told(event)
        if told is not None:
            append(*told)

    stream = EventStream(lambda event: False, lambda event: [])
    stream.push = push  # type: ignore[method-assign] # an ordinary attribute, as documented
    return stream


def _told(event: object) -> tuple[Event, object] | None:
    """Return *event* as it goes on record, None if the result of the batch tells it."""
    match event:
        case ToolExecutionUpdateEvent(partial_result=AgentToolResult() as given):
            details = details_of(given.details)
            progress: Event = k.ToolProgressed(
                event.tool_call_id, content_of(given.content), details
            )
            return progress, None
        case _ if isinstance(event, _KNOWN):
            return None
        case _:
            kind = getattr(event, "type", None) or type(event).__name__
            return k.DiagnosticReported(FOREIGN, f"an event of the type {kind}"), event
