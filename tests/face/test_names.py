"""Every name that code written for the original imports, from the module that it names."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

NAMES = {
    "agent": "Agent AgentOptions default_convert_to_llm extract_text ConvertToLlmCallback"
    " TransformContextCallback ApiKeyResolverCallback add_cache_breakpoints agent_loop"
    " agent_loop_continue AfterToolCallFn AgentContext AgentEndEvent AgentEvent AgentLoopConfig"
    " AgentMessage AgentState AgentTool AssistantMessage BeforeToolCallFn ImageContent"
    " MaybeAwaitable Message MessageUpdateEvent Model ShouldStopAfterTurnFn StreamFn TextContent"
    " ThinkingBudgets ThinkingContent ThinkingLevel ToolCallContent ToolResultMessage UserMessage"
    " ZERO_USAGE is_turn_end_event is_message_end_event is_message_start_or_update_event"
    " is_tool_execution_start_event is_tool_execution_end_event",
    "agent_options": "AgentOptions ConvertToLlmCallback TransformContextCallback"
    " ApiKeyResolverCallback",
    "agent_loop": "agent_loop agent_loop_continue create_agent_stream run_loop"
    " stream_assistant_response stream_simple ResponseStreamState TurnProcessingResult"
    " StreamEventHandler execute_tool_calls is_agent_end_event STREAM_UPDATE_EVENTS AgentContext"
    " AgentEndEvent AgentEvent AgentLoopConfig AgentMessage AgentStartEvent AssistantMessage"
    " AssistantMessageEvent Context EventStream MaybeAwaitable MessageEndEvent MessageStartEvent"
    " MessageUpdateEvent Model SimpleStreamOptions StreamFn StreamResponse ToolResultMessage"
    " TurnEndEvent TurnStartEvent",
    "agent_tool_execution": "execute_tool_calls skip_tool_call validate_tool_arguments"
    " ToolExecutionResult AfterToolCallFn AgentMessage AgentTool AgentToolResult AssistantMessage"
    " BeforeToolCallFn EventStream JsonObject MaybeAwaitable MessageEndEvent MessageStartEvent"
    " TextContent ToolCallContent ToolExecutionStartEvent ToolExecutionUpdateEvent"
    " ToolExecutionEndEvent ToolLoopControl ToolResultMessage",
    "agent_types": "JsonPrimitive JsonValue JsonObject ZERO_USAGE StopReason STOP_REASONS"
    " STREAM_UPDATE_EVENTS AssistantContent Message AgentMessage AgentEvent MessageEvent"
    " ToolExecutionEvent MaybeAwaitable ConvertToLlmFn TransformContextFn ApiKeyResolver"
    " AgentMessageProvider BeforeToolCallFn AfterToolCallFn ShouldStopAfterTurnFn StreamFn"
    " StreamResponse AgentToolUpdateCallback ModelDumpable dump_model_dumpable EventStream"
    " EventStreamQueueItem ValidationError is_agent_end_event is_turn_end_event"
    " is_message_start_or_update_event is_message_end_event is_message_event"
    " is_tool_execution_start_event is_tool_execution_end_event is_tool_execution_event",
    "alchemy_provider": "OpenAICompatModel AlchemyStreamResponse"
    " stream_alchemy_openai_completions DEFAULT_OPENAI_COMPAT_CHAT_COMPLETIONS_URL"
    " ReasoningEffort ReasoningMode BindingStreamHandle BindingStreamResponseBase"
    " ProviderMetadataModel resolve_model_metadata dump_model_dumpable AgentTool Context Model"
    " SimpleStreamOptions",
    "rust_binding_provider": "RustBindingModel RustBindingStreamResponse stream_rust_binding"
    " DEFAULT_BASE_URLS BindingApi BindingModelPayload BindingToolPayload BindingContextPayload"
    " BindingOptionsPayload ReasoningEffort ReasoningMode BindingStreamHandle"
    " BindingStreamResponseBase ProviderMetadataModel resolve_model_metadata dump_model_dumpable"
    " AgentTool Context Model SimpleStreamOptions JsonObject",
    "provider_contracts": "ReasoningEffort ReasoningMode BindingStreamHandle"
    " ProviderMetadataModel ResolvedModelMetadata BindingStreamResponseBase missing_keys"
    " validate_usage_contract validate_assistant_message_contract resolve_model_metadata"
    " dump_model_payload AssistantMessage AssistantMessageEvent JsonObject Model",
    "proxy": "ProxyStreamOptions ProxyStreamResponse stream_proxy create_proxy_stream"
    " process_proxy_event dump_model_dumpable",
    "proxy_event_handlers": "process_proxy_event parse_streaming_json ProxyEventHandler"
    " STOP_REASONS StopReason",
    "caching": "add_cache_breakpoints EPHEMERAL_CACHE AgentMessage CacheControl Context"
    " TextContent UserMessage ZERO_USAGE JsonObject",
}


@pytest.mark.parametrize("module", NAMES)
def test_a_module_has_its_names_and_they_are_the_same_objects(module: str) -> None:
    home, types = import_module(f"tinyagent.{module}"), import_module("tinyagent.agent_types")
    for name in NAMES[module].split():
        found = getattr(home, name)
        assert found is getattr(types, name, found), name


def test_only_the_proxy_limits_a_star_import() -> None:
    space: dict[str, object] = {}
    exec("from tinyagent.proxy import *", space)
    expected = "ProxyStreamOptions ProxyStreamResponse stream_proxy create_proxy_stream"
    assert space.keys() - {"__builtins__"} == set(expected.split())


@pytest.mark.parametrize("module", sorted(NAMES.keys() - {"proxy"}))
def test_a_star_import_of_any_other_module_gives_every_name(module: str) -> None:
    program = f"from tinyagent.{module} import *; print(*dir())"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert set(NAMES[module].split()) <= set(done.stdout.split())
    assert not hasattr(import_module(f"tinyagent.{module}"), "__all__")
