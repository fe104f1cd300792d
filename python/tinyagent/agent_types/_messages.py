"""Content blocks, messages, models, options, state: the mutable structs of the public face."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Literal, TypeAlias

from tinyagent.agent_types._json import JsonObject
from tinyagent.agent_types._module import Module
from tinyagent.agent_types._structure import Structure, reject
from tinyagent.agent_types._tools import AgentTool

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Module("asyncio")

StopReason: TypeAlias = Literal[
    "complete", "error", "aborted", "tool_calls", "stop", "length", "tool_use"
]
STOP_REASONS: frozenset[str] = frozenset(
    {"complete", "error", "aborted", "tool_calls", "stop", "length", "tool_use"}
)
STREAM_UPDATE_EVENTS: frozenset[str] = frozenset(
    f"{block}_{part}"
    for block in ("text", "thinking", "tool_call")
    for part in ("start", "delta", "end")
)
StreamEventWord: TypeAlias = Literal[
    "start",
    "text_start",
    "text_delta",
    "text_end",
    "thinking_start",
    "thinking_delta",
    "thinking_end",
    "tool_call_start",
    "tool_call_delta",
    "tool_call_end",
    "done",
    "error",
]
ZERO_USAGE: JsonObject = {
    "input": 0,
    "output": 0,
    "cache_read": 0,
    "cache_write": 0,
    "total_tokens": 0,
    "cost": {"input": 0.0, "output": 0.0, "cache_read": 0.0, "cache_write": 0.0, "total": 0.0},
}
"""The canonical usage. Messages get a copy, never this object."""


class ThinkingLevel(str, Enum):  # noqa: UP042 - str() of it is documented
    """How much a model shall think before it answers."""

    OFF = "off"
    MINIMAL = "minimal"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    XHIGH = "xhigh"


class CacheControl(Structure):
    """Marks a block up to which a provider shall cache the prompt."""

    type: str | None = None


class TextContent(Structure):
    """A block of text."""

    type: Literal["text"] = "text"
    text: str | None = None
    text_signature: str | None = None
    cache_control: CacheControl | None = None


class ImageContent(Structure):
    """An image: a URL, a data URL, or base64 with its type."""

    __told_by__ = ("url",)
    type: Literal["image"] = "image"
    url: str | None = None
    mime_type: str | None = None


class ThinkingContent(Structure):
    """What the model thought, and what its provider needs to take it back."""

    __told_by__ = ("thinking",)
    type: Literal["thinking"] = "thinking"
    thinking: str | None = None
    thinking_signature: str | None = None
    cache_control: CacheControl | None = None


class ToolCallContent(Structure):
    """A call of a tool. ``partial_json``: the arguments as text while they are no object."""

    __told_by__ = ("name", "arguments", "id")
    type: Literal["tool_call"] = "tool_call"
    id: str | None = None
    name: str | None = None
    arguments: JsonObject = {}
    partial_json: str | None = None


ToolCall = ToolCallContent
AssistantContent: TypeAlias = TextContent | ThinkingContent | ToolCallContent


class UserMessage(Structure):
    """What somebody said. ``timestamp``: milliseconds since 1970."""

    role: Literal["user"] = "user"
    content: list[TextContent | ImageContent] = []
    timestamp: int | None = None


class AssistantMessage(Structure):
    """What the model answered, or why it did not."""

    role: Literal["assistant"] = "assistant"
    content: list[TextContent | ThinkingContent | ToolCallContent | None] = []
    stop_reason: StopReason | None = None
    timestamp: int | None = None
    api: str | None = None
    provider: str | None = None
    model: str | None = None
    usage: JsonObject | None = None
    error_message: str | None = None
    error_kind: str | None = None


class ToolResultMessage(Structure):
    """What a tool gave back. ``terminate`` is of this run only, and never dumped."""

    __undumped__ = frozenset({"terminate"})
    role: Literal["tool_result"] = "tool_result"
    tool_call_id: str | None = None
    tool_name: str | None = None
    content: list[TextContent | ImageContent] = []
    details: JsonObject = {}
    is_error: bool = False
    terminate: bool = False
    timestamp: int | None = None


class CustomAgentMessage(Structure):
    """A message of a role that only the application knows; subclass it with annotated fields."""

    role: str = ""
    timestamp: int | None = None


Message: TypeAlias = UserMessage | AssistantMessage | ToolResultMessage
AgentMessage: TypeAlias = UserMessage | AssistantMessage | ToolResultMessage | CustomAgentMessage


class ThinkingBudgets(Structure):
    """Tokens for thinking, and for the whole answer."""

    thinking_budget: int | None = None
    max_tokens: int | None = None


class Model(Structure):
    """Which model. ``thinking_level`` may be given as a string."""

    provider: str = ""
    id: str = ""
    api: str = ""
    thinking_level: ThinkingLevel = ThinkingLevel.OFF


class SimpleStreamOptions(Structure):
    """What a stream function is given besides the context. All times are in seconds."""

    __undumped_in_json__ = frozenset({"signal"})
    api_key: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    signal: asyncio.Event | None = None
    session_id: str | None = None
    reasoning: str | None = None
    thinking_budget_tokens: int | None = None
    retries_max: int | None = None
    connect_timeout_s: float | None = None
    first_byte_timeout_s: float | None = None
    read_timeout_s: float | None = None


class AssistantMessageEvent(Structure):
    """One event of an answer that streams. ``partial``: the message as of this event."""

    type: StreamEventWord | None = None
    partial: AssistantMessage | None = None
    content_index: int | None = None
    delta: str | None = None
    content: str | TextContent | ThinkingContent | ToolCallContent | None = None
    tool_call: ToolCallContent | None = None
    reason: str | None = None
    message: AssistantMessage | None = None
    error: AssistantMessage | str | None = None


class AgentState(Structure):
    """What an agent is configured with and what it knows; follows the events delivered."""

    system_prompt: str = ""
    model: Model | None = None
    thinking_level: ThinkingLevel = ThinkingLevel.OFF
    tools: list[AgentTool] = []
    messages: list[AgentMessage] = []
    is_streaming: bool = False
    stream_message: AgentMessage | None = None
    pending_tool_calls: set[str] = set()
    error: str | None = None


class ToolExecutionResult(Structure):
    """What came of a batch of tool calls."""

    tool_results: list[ToolResultMessage] = []
    steering_messages: list[AgentMessage] | None = None
    terminate: bool = False


class Limits(Structure, forbid_unknown_fields=True):
    """Where a run ends although it is not done; None means no limit.

    Keeps no unknown keywords: a limit with a misspelt name would be none.

    >>> agent = Agent(model=scripted("Yes."), limits=Limits(turns_max=20, run_s_max=60))
    """

    turns_max: int | None = None
    tokens_max: int | None = None
    cost_usd_max: float | None = None
    run_s_max: float | None = None
    tool_calls_max: int | None = None

    @classmethod
    def __complete__(cls, given: dict[str, object]) -> None:
        for name, value in given.items():
            if value is None or name not in cls.__struct_fields__:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise reject(cls, name, f"must be a number, not {type(value).__name__}", value)
            if isinstance(value, float) and cls.__annotations__[name] == "int | None":
                raise reject(cls, name, f"must be a whole number, not {value}", value)
            if not value >= 0:
                raise reject(cls, name, "must not be negative", value)
