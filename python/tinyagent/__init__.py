"""An event-sourced actor runtime for LLM agents: record, replay, debug.

To read the source, take this order: ``events/kinds.py`` (what can happen), a file in ``replays/``
(it happening), ``actors/agent.py`` (what is done about it), ``runtime/loops.py`` (how that is
run), ``actors/session.py`` (all of it), ``tests/test_session.py`` (and replayed).

Names are resolved on first use, so that importing this costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from tinyagent.agent_loop import agent_loop

if TYPE_CHECKING:
    from tinyagent._decisions import (
        Decision as Decision,
        PendingApproval as PendingApproval,
        UnknownOutcome as UnknownOutcome,
    )
    from tinyagent._hooks import Hooks as Hooks
    from tinyagent._limits import Price as Price
    from tinyagent._mcp import McpServer as McpServer, mcp_server as mcp_server
    from tinyagent._opened import OpenLog as OpenLog
    from tinyagent._runs import (
        NoOutputError as NoOutputError,
        Run as Run,
        RunFailedError as RunFailedError,
        RunResult as RunResult,
    )
    from tinyagent._tool import (
        FunctionTool as FunctionTool,
        ToolReturn as ToolReturn,
        tool as tool,
    )
    from tinyagent._vocabulary import Event as Event
    from tinyagent.actors.context import Ctx as Ctx, current_ctx as current_ctx
    from tinyagent.agent import (
        Agent as Agent,
        AgentOptions as AgentOptions,
        Compaction as Compaction,
        Retry as Retry,
        default_convert_to_llm as default_convert_to_llm,
        extract_text as extract_text,
    )
    from tinyagent.agent_loop import (
        agent_loop_continue as agent_loop_continue,
        create_agent_stream as create_agent_stream,
        stream_assistant_response as stream_assistant_response,
        stream_simple as stream_simple,
    )
    from tinyagent.agent_tool_execution import (
        execute_tool_calls as execute_tool_calls,
        skip_tool_call as skip_tool_call,
        validate_tool_arguments as validate_tool_arguments,
    )
    from tinyagent.agent_types import (
        AfterToolCallFn as AfterToolCallFn,
        AgentContext as AgentContext,
        AgentEndEvent as AgentEndEvent,
        AgentEvent as AgentEvent,
        AgentLoopConfig as AgentLoopConfig,
        AgentMessage as AgentMessage,
        AgentStartEvent as AgentStartEvent,
        AgentState as AgentState,
        AgentTool as AgentTool,
        AgentToolResult as AgentToolResult,
        AgentToolUpdateCallback as AgentToolUpdateCallback,
        AssistantMessage as AssistantMessage,
        AssistantMessageEvent as AssistantMessageEvent,
        BeforeToolCallFn as BeforeToolCallFn,
        Context as Context,
        CustomAgentMessage as CustomAgentMessage,
        EventStream as EventStream,
        ImageContent as ImageContent,
        Limits as Limits,
        Message as Message,
        MessageEndEvent as MessageEndEvent,
        MessageStartEvent as MessageStartEvent,
        MessageUpdateEvent as MessageUpdateEvent,
        Model as Model,
        ShouldStopAfterTurnFn as ShouldStopAfterTurnFn,
        SimpleStreamOptions as SimpleStreamOptions,
        StreamFn as StreamFn,
        StreamResponse as StreamResponse,
        TextContent as TextContent,
        ThinkingLevel as ThinkingLevel,
        Tool as Tool,
        ToolCall as ToolCall,
        ToolCallContent as ToolCallContent,
        ToolExecutionEndEvent as ToolExecutionEndEvent,
        ToolExecutionStartEvent as ToolExecutionStartEvent,
        ToolExecutionUpdateEvent as ToolExecutionUpdateEvent,
        ToolLoopControl as ToolLoopControl,
        ToolResultMessage as ToolResultMessage,
        TurnEndEvent as TurnEndEvent,
        TurnStartEvent as TurnStartEvent,
        UserMessage as UserMessage,
    )
    from tinyagent.continuing import (
        fork as fork,
        rerun as rerun,
        resume as resume,
    )
    from tinyagent.events import Record as Record, Redact as Redact
    from tinyagent.events.kinds import (
        ApprovalDecided as ApprovalDecided,
        ApprovalRequested as ApprovalRequested,
        BudgetExceeded as BudgetExceeded,
        ChildEnded as ChildEnded,
        ChildStarted as ChildStarted,
        ContextEdited as ContextEdited,
        ModelDelta as ModelDelta,
        ModelFailed as ModelFailed,
        ModelFinished as ModelFinished,
        ModelRequested as ModelRequested,
        ModelRetrying as ModelRetrying,
        OutputRejected as OutputRejected,
        RunEnded as RunEnded,
        ToolFailed as ToolFailed,
        ToolFinished as ToolFinished,
        ToolInDoubt as ToolInDoubt,
        ToolProgressed as ToolProgressed,
        ToolRequested as ToolRequested,
        TurnEnded as TurnEnded,
        UnknownEvent as UnknownEvent,
        UserSaid as UserSaid,
    )
    from tinyagent.models import named_model as named_model
    from tinyagent.proxy import (
        ProxyStreamOptions as ProxyStreamOptions,
        ProxyStreamResponse as ProxyStreamResponse,
        create_proxy_stream as create_proxy_stream,
        stream_proxy as stream_proxy,
    )
    from tinyagent.proxy_event_handlers import parse_streaming_json as parse_streaming_json
    from tinyagent.runtime.errors import ToolDefinitionError as ToolDefinitionError
    from tinyagent.runtime.sinks import Dropped as Dropped, subscribe as subscribe
    from tinyagent.runtime.sinks.files import FileSink as FileSink
    from tinyagent.runtime.sinks.sqlite import SqliteSink as SqliteSink
    from tinyagent.runtime.sinks.structured import StructlogSink as StructlogSink
    from tinyagent.runtime.sinks.telemetry import (
        DerivedIds as DerivedIds,
        OpenTelemetrySink as OpenTelemetrySink,
    )
    from tinyagent.verbs import (
        Recording as Recording,
        load as load,
        open_log as open_log,
        replay as replay,
    )
else:
    _HOME = {
        "AfterToolCallFn": "agent_types",
        "Agent": "agent",
        "AgentContext": "agent_types",
        "AgentEndEvent": "agent_types",
        "AgentEvent": "agent_types",
        "AgentLoopConfig": "agent_types",
        "AgentMessage": "agent_types",
        "AgentOptions": "agent",
        "AgentStartEvent": "agent_types",
        "AgentState": "agent_types",
        "AgentTool": "agent_types",
        "AgentToolResult": "agent_types",
        "AgentToolUpdateCallback": "agent_types",
        "ApprovalDecided": "events.kinds",
        "ApprovalRequested": "events.kinds",
        "AssistantMessage": "agent_types",
        "AssistantMessageEvent": "agent_types",
        "BeforeToolCallFn": "agent_types",
        "BudgetExceeded": "events.kinds",
        "ChildEnded": "events.kinds",
        "ChildStarted": "events.kinds",
        "Compaction": "agent",
        "Context": "agent_types",
        "ContextEdited": "events.kinds",
        "Ctx": "actors.context",
        "CustomAgentMessage": "agent_types",
        "Decision": "_decisions",
        "DerivedIds": "runtime.sinks.telemetry",
        "Dropped": "runtime.sinks",
        "Event": "_vocabulary",
        "EventStream": "agent_types",
        "FileSink": "runtime.sinks.files",
        "FunctionTool": "_tool",
        "Hooks": "_hooks",
        "ImageContent": "agent_types",
        "Limits": "agent_types",
        "McpServer": "_mcp",
        "Message": "agent_types",
        "MessageEndEvent": "agent_types",
        "MessageStartEvent": "agent_types",
        "MessageUpdateEvent": "agent_types",
        "Model": "agent_types",
        "ModelDelta": "events.kinds",
        "ModelFailed": "events.kinds",
        "ModelFinished": "events.kinds",
        "ModelRequested": "events.kinds",
        "ModelRetrying": "events.kinds",
        "OpenLog": "_opened",
        "OpenTelemetrySink": "runtime.sinks.telemetry",
        "NoOutputError": "_runs",
        "OutputRejected": "events.kinds",
        "PendingApproval": "_decisions",
        "Price": "_limits",
        "ProxyStreamOptions": "proxy",
        "ProxyStreamResponse": "proxy",
        "Record": "events",
        "Recording": "verbs",
        "Redact": "events",
        "Retry": "agent",
        "Run": "_runs",
        "RunEnded": "events.kinds",
        "RunFailedError": "_runs",
        "RunResult": "_runs",
        "ShouldStopAfterTurnFn": "agent_types",
        "SimpleStreamOptions": "agent_types",
        "SqliteSink": "runtime.sinks.sqlite",
        "StreamFn": "agent_types",
        "StreamResponse": "agent_types",
        "StructlogSink": "runtime.sinks.structured",
        "TextContent": "agent_types",
        "ThinkingLevel": "agent_types",
        "Tool": "agent_types",
        "ToolCall": "agent_types",
        "ToolCallContent": "agent_types",
        "ToolDefinitionError": "runtime.errors",
        "ToolExecutionEndEvent": "agent_types",
        "ToolExecutionStartEvent": "agent_types",
        "ToolExecutionUpdateEvent": "agent_types",
        "ToolFailed": "events.kinds",
        "ToolFinished": "events.kinds",
        "ToolInDoubt": "events.kinds",
        "ToolLoopControl": "agent_types",
        "ToolProgressed": "events.kinds",
        "ToolRequested": "events.kinds",
        "ToolResultMessage": "agent_types",
        "ToolReturn": "_tool",
        "TurnEndEvent": "agent_types",
        "TurnEnded": "events.kinds",
        "TurnStartEvent": "agent_types",
        "UnknownEvent": "events.kinds",
        "UnknownOutcome": "_decisions",
        "UserMessage": "agent_types",
        "UserSaid": "events.kinds",
        "agent_loop_continue": "agent_loop",
        "create_agent_stream": "agent_loop",
        "create_proxy_stream": "proxy",
        "current_ctx": "actors.context",
        "default_convert_to_llm": "agent",
        "execute_tool_calls": "agent_tool_execution",
        "extract_text": "agent",
        "fork": "continuing",
        "load": "verbs",
        "mcp_server": "_mcp",
        "named_model": "models",
        "open_log": "verbs",
        "parse_streaming_json": "proxy_event_handlers",
        "replay": "verbs",
        "rerun": "continuing",
        "resume": "continuing",
        "skip_tool_call": "agent_tool_execution",
        "stream_assistant_response": "agent_loop",
        "stream_proxy": "proxy",
        "stream_simple": "agent_loop",
        "subscribe": "runtime.sinks",
        "tool": "_tool",
        "validate_tool_arguments": "agent_tool_execution",
    }

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module 'tinyagent' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"tinyagent.{_HOME[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOME})


__all__ = [
    "AfterToolCallFn",
    "Agent",
    "AgentContext",
    "AgentEndEvent",
    "AgentEvent",
    "AgentLoopConfig",
    "AgentMessage",
    "AgentOptions",
    "AgentStartEvent",
    "AgentState",
    "AgentTool",
    "AgentToolResult",
    "AgentToolUpdateCallback",
    "AssistantMessage",
    "AssistantMessageEvent",
    "BeforeToolCallFn",
    "Context",
    "CustomAgentMessage",
    "EventStream",
    "ImageContent",
    "Message",
    "MessageEndEvent",
    "MessageStartEvent",
    "MessageUpdateEvent",
    "Model",
    "ProxyStreamOptions",
    "ProxyStreamResponse",
    "ShouldStopAfterTurnFn",
    "SimpleStreamOptions",
    "StreamFn",
    "StreamResponse",
    "TextContent",
    "ThinkingLevel",
    "Tool",
    "ToolCall",
    "ToolCallContent",
    "ToolExecutionEndEvent",
    "ToolExecutionStartEvent",
    "ToolExecutionUpdateEvent",
    "ToolLoopControl",
    "ToolResultMessage",
    "TurnEndEvent",
    "TurnStartEvent",
    "UserMessage",
    "agent_loop",
    "agent_loop_continue",
    "create_agent_stream",
    "create_proxy_stream",
    "default_convert_to_llm",
    "execute_tool_calls",
    "extract_text",
    "parse_streaming_json",
    "skip_tool_call",
    "stream_assistant_response",
    "stream_proxy",
    "stream_simple",
    "validate_tool_arguments",
]
