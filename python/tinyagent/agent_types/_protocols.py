"""What hosts implement and what callbacks look like."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from tinyagent.agent_types._messages import (
    AgentMessage,
    AssistantMessage,
    AssistantMessageEvent,
    Message,
    Model,
    SimpleStreamOptions,
    ToolCallContent,
    ToolResultMessage,
)
from tinyagent.agent_types._tools import (
    AgentContext,
    AgentTool,
    AgentToolResult,
    Context,
    ToolLoopControl,
)

T = TypeVar("T")
MaybeAwaitable: TypeAlias = T | Awaitable[T]


class StreamResponse(Protocol):
    """An answer that streams, and its final message."""

    def result(self) -> Awaitable[AssistantMessage]:
        """Return the final message."""
        ...

    def __aiter__(self) -> AsyncIterator[AssistantMessageEvent]:
        """Return the events."""
        ...

    async def __anext__(self) -> AssistantMessageEvent:
        """Return the next event."""
        ...


@runtime_checkable
class ModelDumpable(Protocol):
    """Whatever dumps itself as our messages do."""

    def model_dump(self, *, exclude_none: bool = True) -> dict[str, Any]:
        """Return the fields."""
        ...


def dump_model_dumpable(value: object, *, where: str) -> dict[str, Any]:
    """Return the dump of *value*, without what is None.

    Raises:
        TypeError: it does not dump itself, or to something else than a dict.
    """
    if not isinstance(value, ModelDumpable):
        raise TypeError(f"{where}: expected model payload with model_dump(exclude_none=True)")
    dumped: Any = value.model_dump(exclude_none=True)
    if not isinstance(dumped, dict):
        raise TypeError(f"{where}: model_dump(exclude_none=True) must return a dict")
    return dumped


@dataclass
class ResponseStreamState:
    """How far an answer has come."""

    partial_message: AssistantMessage | None = None
    added_partial: bool = False


@dataclass
class TurnProcessingResult:
    """What a turn leaves to do."""

    pending_messages: list[AgentMessage]
    has_more_tool_calls: bool
    first_turn: bool
    should_continue: bool


StreamFn: TypeAlias = Callable[
    [Model, Context, SimpleStreamOptions], MaybeAwaitable[StreamResponse]
]
ConvertToLlmFn: TypeAlias = Callable[[list[AgentMessage]], MaybeAwaitable[list[Message]]]
TransformContextFn: TypeAlias = Callable[..., Awaitable[list[AgentMessage]]]
ApiKeyResolver: TypeAlias = Callable[[str], MaybeAwaitable[str | None]]
AgentMessageProvider: TypeAlias = Callable[[], Awaitable[list[AgentMessage]]]
BeforeToolCallFn: TypeAlias = Callable[
    [ToolCallContent, AgentTool | None, dict[str, Any]], MaybeAwaitable[ToolLoopControl | None]
]
AfterToolCallFn: TypeAlias = Callable[
    [ToolCallContent, ToolResultMessage], MaybeAwaitable[ToolLoopControl | None]
]
ShouldStopAfterTurnFn: TypeAlias = Callable[
    [AssistantMessage, list[ToolResultMessage], AgentContext, list[AgentMessage]],
    MaybeAwaitable[bool],
]
AgentToolUpdateCallback: TypeAlias = Callable[[AgentToolResult], None]
