"""The compatible types: messages, models, tools, events, and the stream that carries them.

Imports nothing of ours, and is cheap to import. There is no ``__all__``: a star import gives every
public name, as it always did.
"""

from tinyagent.agent_types._events import (
    AgentEndEvent as AgentEndEvent,
    AgentEvent as AgentEvent,
    AgentStartEvent as AgentStartEvent,
    MessageEndEvent as MessageEndEvent,
    MessageEvent as MessageEvent,
    MessageStartEvent as MessageStartEvent,
    MessageUpdateEvent as MessageUpdateEvent,
    ToolExecutionEndEvent as ToolExecutionEndEvent,
    ToolExecutionEvent as ToolExecutionEvent,
    ToolExecutionStartEvent as ToolExecutionStartEvent,
    ToolExecutionUpdateEvent as ToolExecutionUpdateEvent,
    TurnEndEvent as TurnEndEvent,
    TurnStartEvent as TurnStartEvent,
    is_agent_end_event as is_agent_end_event,
    is_message_end_event as is_message_end_event,
    is_message_event as is_message_event,
    is_message_start_or_update_event as is_message_start_or_update_event,
    is_tool_execution_end_event as is_tool_execution_end_event,
    is_tool_execution_event as is_tool_execution_event,
    is_tool_execution_start_event as is_tool_execution_start_event,
    is_turn_end_event as is_turn_end_event,
)
from tinyagent.agent_types._faults import ValidationError as ValidationError
from tinyagent.agent_types._json import (
    JsonObject as JsonObject,
    JsonPrimitive as JsonPrimitive,
    JsonValue as JsonValue,
)
from tinyagent.agent_types._messages import (
    STOP_REASONS as STOP_REASONS,
    STREAM_UPDATE_EVENTS as STREAM_UPDATE_EVENTS,
    ZERO_USAGE as ZERO_USAGE,
    AgentMessage as AgentMessage,
    AgentState as AgentState,
    AssistantContent as AssistantContent,
    AssistantMessage as AssistantMessage,
    AssistantMessageEvent as AssistantMessageEvent,
    CacheControl as CacheControl,
    CustomAgentMessage as CustomAgentMessage,
    ImageContent as ImageContent,
    Limits as Limits,
    Message as Message,
    Model as Model,
    SimpleStreamOptions as SimpleStreamOptions,
    StopReason as StopReason,
    TextContent as TextContent,
    ThinkingBudgets as ThinkingBudgets,
    ThinkingContent as ThinkingContent,
    ThinkingLevel as ThinkingLevel,
    ToolCall as ToolCall,
    ToolCallContent as ToolCallContent,
    ToolExecutionResult as ToolExecutionResult,
    ToolResultMessage as ToolResultMessage,
    UserMessage as UserMessage,
)
from tinyagent.agent_types._protocols import (
    AfterToolCallFn as AfterToolCallFn,
    AgentMessageProvider as AgentMessageProvider,
    AgentToolUpdateCallback as AgentToolUpdateCallback,
    ApiKeyResolver as ApiKeyResolver,
    BeforeToolCallFn as BeforeToolCallFn,
    ConvertToLlmFn as ConvertToLlmFn,
    MaybeAwaitable as MaybeAwaitable,
    ModelDumpable as ModelDumpable,
    ResponseStreamState as ResponseStreamState,
    ShouldStopAfterTurnFn as ShouldStopAfterTurnFn,
    StreamFn as StreamFn,
    StreamResponse as StreamResponse,
    TransformContextFn as TransformContextFn,
    TurnProcessingResult as TurnProcessingResult,
    dump_model_dumpable as dump_model_dumpable,
)
from tinyagent.agent_types._stream import (
    EventStream as EventStream,
    EventStreamQueueItem as EventStreamQueueItem,
)
from tinyagent.agent_types._tools import (
    AgentContext as AgentContext,
    AgentLoopConfig as AgentLoopConfig,
    AgentTool as AgentTool,
    AgentToolResult as AgentToolResult,
    Context as Context,
    Tool as Tool,
    ToolLoopControl as ToolLoopControl,
)
