"""An event-sourced actor runtime for LLM agents: record, replay, resume, fork.

To read the source, take this order: ``events/kinds.py`` (what can happen), a file in ``replays/``
(it happening), ``actors/agent.py`` (what is done about it), ``runtime/loops.py`` (how that is
run), ``actors/session.py`` (all of it), ``tests/test_session.py`` (and replayed).

Names are resolved on first use, so that importing this costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from tinyagent.agent_loop import agent_loop

if TYPE_CHECKING:
    from tinyagent.agent import (
        Agent as Agent,
    )
    from tinyagent.agent import (
        AgentOptions as AgentOptions,
    )
    from tinyagent.agent import (
        default_convert_to_llm as default_convert_to_llm,
    )
    from tinyagent.agent import (
        extract_text as extract_text,
    )
    from tinyagent.agent_loop import (
        agent_loop_continue as agent_loop_continue,
    )
    from tinyagent.agent_loop import (
        create_agent_stream as create_agent_stream,
    )
    from tinyagent.agent_loop import (
        stream_assistant_response as stream_assistant_response,
    )
    from tinyagent.agent_loop import (
        stream_simple as stream_simple,
    )
    from tinyagent.agent_tool_execution import (
        execute_tool_calls as execute_tool_calls,
    )
    from tinyagent.agent_tool_execution import (
        skip_tool_call as skip_tool_call,
    )
    from tinyagent.agent_tool_execution import (
        validate_tool_arguments as validate_tool_arguments,
    )
    from tinyagent.agent_types import (
        AfterToolCallFn as AfterToolCallFn,
    )
    from tinyagent.agent_types import (
        AgentContext as AgentContext,
    )
    from tinyagent.agent_types import (
        AgentEndEvent as AgentEndEvent,
    )
    from tinyagent.agent_types import (
        AgentEvent as AgentEvent,
    )
    from tinyagent.agent_types import (
        AgentLoopConfig as AgentLoopConfig,
    )
    from tinyagent.agent_types import (
        AgentMessage as AgentMessage,
    )
    from tinyagent.agent_types import (
        AgentStartEvent as AgentStartEvent,
    )
    from tinyagent.agent_types import (
        AgentState as AgentState,
    )
    from tinyagent.agent_types import (
        AgentTool as AgentTool,
    )
    from tinyagent.agent_types import (
        AgentToolResult as AgentToolResult,
    )
    from tinyagent.agent_types import (
        AgentToolUpdateCallback as AgentToolUpdateCallback,
    )
    from tinyagent.agent_types import (
        AssistantMessage as AssistantMessage,
    )
    from tinyagent.agent_types import (
        AssistantMessageEvent as AssistantMessageEvent,
    )
    from tinyagent.agent_types import (
        BeforeToolCallFn as BeforeToolCallFn,
    )
    from tinyagent.agent_types import (
        Context as Context,
    )
    from tinyagent.agent_types import (
        CustomAgentMessage as CustomAgentMessage,
    )
    from tinyagent.agent_types import (
        EventStream as EventStream,
    )
    from tinyagent.agent_types import (
        ImageContent as ImageContent,
    )
    from tinyagent.agent_types import (
        Limits as Limits,
    )
    from tinyagent.agent_types import (
        Message as Message,
    )
    from tinyagent.agent_types import (
        MessageEndEvent as MessageEndEvent,
    )
    from tinyagent.agent_types import (
        MessageStartEvent as MessageStartEvent,
    )
    from tinyagent.agent_types import (
        MessageUpdateEvent as MessageUpdateEvent,
    )
    from tinyagent.agent_types import (
        Model as Model,
    )
    from tinyagent.agent_types import (
        ShouldStopAfterTurnFn as ShouldStopAfterTurnFn,
    )
    from tinyagent.agent_types import (
        SimpleStreamOptions as SimpleStreamOptions,
    )
    from tinyagent.agent_types import (
        StreamFn as StreamFn,
    )
    from tinyagent.agent_types import (
        StreamResponse as StreamResponse,
    )
    from tinyagent.agent_types import (
        TextContent as TextContent,
    )
    from tinyagent.agent_types import (
        ThinkingLevel as ThinkingLevel,
    )
    from tinyagent.agent_types import (
        Tool as Tool,
    )
    from tinyagent.agent_types import (
        ToolCall as ToolCall,
    )
    from tinyagent.agent_types import (
        ToolCallContent as ToolCallContent,
    )
    from tinyagent.agent_types import (
        ToolExecutionEndEvent as ToolExecutionEndEvent,
    )
    from tinyagent.agent_types import (
        ToolExecutionStartEvent as ToolExecutionStartEvent,
    )
    from tinyagent.agent_types import (
        ToolExecutionUpdateEvent as ToolExecutionUpdateEvent,
    )
    from tinyagent.agent_types import (
        ToolLoopControl as ToolLoopControl,
    )
    from tinyagent.agent_types import (
        ToolResultMessage as ToolResultMessage,
    )
    from tinyagent.agent_types import (
        TurnEndEvent as TurnEndEvent,
    )
    from tinyagent.agent_types import (
        TurnStartEvent as TurnStartEvent,
    )
    from tinyagent.agent_types import (
        UserMessage as UserMessage,
    )
    from tinyagent.proxy import (
        ProxyStreamOptions as ProxyStreamOptions,
    )
    from tinyagent.proxy import (
        ProxyStreamResponse as ProxyStreamResponse,
    )
    from tinyagent.proxy import (
        create_proxy_stream as create_proxy_stream,
    )
    from tinyagent.proxy import (
        stream_proxy as stream_proxy,
    )
    from tinyagent.proxy_event_handlers import (
        parse_streaming_json as parse_streaming_json,
    )
    from tinyagent.verbs import (
        Recording as Recording,
    )
    from tinyagent.verbs import (
        load as load,
    )
    from tinyagent.verbs import (
        open_log as open_log,
    )
    from tinyagent.verbs import (
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
        "AssistantMessage": "agent_types",
        "AssistantMessageEvent": "agent_types",
        "BeforeToolCallFn": "agent_types",
        "Context": "agent_types",
        "CustomAgentMessage": "agent_types",
        "EventStream": "agent_types",
        "ImageContent": "agent_types",
        "Limits": "agent_types",
        "Message": "agent_types",
        "MessageEndEvent": "agent_types",
        "MessageStartEvent": "agent_types",
        "MessageUpdateEvent": "agent_types",
        "Model": "agent_types",
        "ProxyStreamOptions": "proxy",
        "ProxyStreamResponse": "proxy",
        "Recording": "verbs",
        "ShouldStopAfterTurnFn": "agent_types",
        "SimpleStreamOptions": "agent_types",
        "StreamFn": "agent_types",
        "StreamResponse": "agent_types",
        "TextContent": "agent_types",
        "ThinkingLevel": "agent_types",
        "Tool": "agent_types",
        "ToolCall": "agent_types",
        "ToolCallContent": "agent_types",
        "ToolExecutionEndEvent": "agent_types",
        "ToolExecutionStartEvent": "agent_types",
        "ToolExecutionUpdateEvent": "agent_types",
        "ToolLoopControl": "agent_types",
        "ToolResultMessage": "agent_types",
        "TurnEndEvent": "agent_types",
        "TurnStartEvent": "agent_types",
        "UserMessage": "agent_types",
        "agent_loop_continue": "agent_loop",
        "create_agent_stream": "agent_loop",
        "create_proxy_stream": "proxy",
        "default_convert_to_llm": "agent",
        "execute_tool_calls": "agent_tool_execution",
        "extract_text": "agent",
        "load": "verbs",
        "open_log": "verbs",
        "parse_streaming_json": "proxy_event_handlers",
        "replay": "verbs",
        "skip_tool_call": "agent_tool_execution",
        "stream_assistant_response": "agent_loop",
        "stream_proxy": "proxy",
        "stream_simple": "agent_loop",
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
