"""The ten lifecycle events, ``type`` first, and the guards that tell them apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard, Union

from tinyagent.agent_types._messages import (
    AgentMessage,
    AssistantMessageEvent,
    ToolResultMessage,
)
from tinyagent.agent_types._tools import AgentToolResult


@dataclass
class AgentStartEvent:
    """A run begins."""

    type: Literal["agent_start"] = "agent_start"


@dataclass
class AgentEndEvent:
    """The run is over. ``messages``: the new ones, in order, prompts included."""

    type: Literal["agent_end"] = "agent_end"
    messages: list[AgentMessage] = field(default_factory=list)


@dataclass
class TurnStartEvent:
    """A model call, with its tools, begins."""

    type: Literal["turn_start"] = "turn_start"


@dataclass
class TurnEndEvent:
    """The turn is over."""

    type: Literal["turn_end"] = "turn_end"
    message: AgentMessage | None = None
    tool_results: list[ToolResultMessage] = field(default_factory=list)


@dataclass
class MessageStartEvent:
    """A message begins; of an answer that streams, empty."""

    type: Literal["message_start"] = "message_start"
    message: AgentMessage | None = None


@dataclass
class MessageUpdateEvent:
    """An answer grew. ``message`` is it as of this event."""

    type: Literal["message_update"] = "message_update"
    message: AgentMessage | None = None
    assistant_message_event: AssistantMessageEvent | None = None


@dataclass
class MessageEndEvent:
    """The message is complete."""

    type: Literal["message_end"] = "message_end"
    message: AgentMessage | None = None


@dataclass
class ToolExecutionStartEvent:
    """A tool call begins; all of a batch before any tool runs."""

    type: Literal["tool_execution_start"] = "tool_execution_start"
    tool_call_id: str = ""
    tool_name: str = ""
    args: dict[str, Any] | None = None


@dataclass
class ToolExecutionUpdateEvent:
    """A running tool had something to say."""

    type: Literal["tool_execution_update"] = "tool_execution_update"
    tool_call_id: str = ""
    tool_name: str = ""
    args: dict[str, Any] | None = None
    partial_result: AgentToolResult | None = None


@dataclass
class ToolExecutionEndEvent:
    """A tool call is over; in call order, whatever ended first."""

    type: Literal["tool_execution_end"] = "tool_execution_end"
    tool_call_id: str = ""
    tool_name: str = ""
    result: AgentToolResult | None = None
    is_error: bool = False
    args: dict[str, Any] | None = None


MessageEvent = Union[MessageStartEvent, MessageUpdateEvent, MessageEndEvent]  # noqa: UP007 - isinstance
ToolExecutionEvent = Union[  # noqa: UP007 - isinstance
    ToolExecutionStartEvent, ToolExecutionUpdateEvent, ToolExecutionEndEvent
]
AgentEvent = Union[  # noqa: UP007 - isinstance
    AgentStartEvent,
    AgentEndEvent,
    TurnStartEvent,
    TurnEndEvent,
    MessageStartEvent,
    MessageUpdateEvent,
    MessageEndEvent,
    ToolExecutionStartEvent,
    ToolExecutionUpdateEvent,
    ToolExecutionEndEvent,
]


def is_agent_end_event(event: object) -> TypeGuard[AgentEndEvent]:
    """Whether the run ends here."""
    return isinstance(event, AgentEndEvent)


def is_turn_end_event(event: object) -> TypeGuard[TurnEndEvent]:
    """Whether a turn ends here."""
    return isinstance(event, TurnEndEvent)


def is_message_start_or_update_event(
    event: object,
) -> TypeGuard[MessageStartEvent | MessageUpdateEvent]:
    """Whether a message begins or grows here."""
    return isinstance(event, MessageStartEvent | MessageUpdateEvent)


def is_message_end_event(event: object) -> TypeGuard[MessageEndEvent]:
    """Whether a message is complete here."""
    return isinstance(event, MessageEndEvent)


def is_message_event(event: object) -> TypeGuard[MessageEvent]:
    """Whether this is about a message."""
    return isinstance(event, MessageStartEvent | MessageUpdateEvent | MessageEndEvent)


def is_tool_execution_start_event(event: object) -> TypeGuard[ToolExecutionStartEvent]:
    """Whether a tool call begins here."""
    return isinstance(event, ToolExecutionStartEvent)


def is_tool_execution_end_event(event: object) -> TypeGuard[ToolExecutionEndEvent]:
    """Whether a tool call ends here."""
    return isinstance(event, ToolExecutionEndEvent)


def is_tool_execution_event(event: object) -> TypeGuard[ToolExecutionEvent]:
    """Whether this is about a tool call."""
    return isinstance(
        event, ToolExecutionStartEvent | ToolExecutionUpdateEvent | ToolExecutionEndEvent
    )
