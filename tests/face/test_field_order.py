"""Dataclasses of the compatible API may be built by position: the order of their fields."""

from __future__ import annotations

from dataclasses import fields

import pytest

from tinyagent import (
    AgentContext,
    AgentLoopConfig,
    AgentOptions,
    AgentTool,
    AgentToolResult,
    Context,
    ProxyStreamOptions,
    Tool,
    ToolExecutionEndEvent,
    ToolExecutionUpdateEvent,
    ToolLoopControl,
)
from tinyagent.provider_contracts import ResolvedModelMetadata

ORDER: dict[type, str] = {
    AgentToolResult: "content details terminate",
    ToolLoopControl: "terminate result is_error",
    Tool: "name description parameters",
    AgentTool: "name description parameters label execute effect timeout_s reconcile validate",
    Context: "system_prompt messages tools",
    AgentContext: "system_prompt messages tools",
    AgentLoopConfig: "model convert_to_llm transform_context get_api_key get_steering_messages"
    " get_follow_up_messages before_tool_call after_tool_call should_stop_after_turn api_key"
    " temperature max_tokens thinking_level thinking_budgets session_id limits",
    AgentOptions: "initial_state convert_to_llm transform_context steering_mode follow_up_mode"
    " stream_fn session_id get_api_key thinking_budgets enable_prompt_caching before_tool_call"
    " after_tool_call should_stop_after_turn temperature max_tokens limits log tool_timeout_s"
    " tools_parallel_max retries_max connect_timeout_s first_byte_timeout_s read_timeout_s",
    ProxyStreamOptions: "auth_token proxy_url temperature max_tokens reasoning signal",
    ResolvedModelMetadata: "name headers reasoning context_window max_tokens",
    ToolExecutionUpdateEvent: "type tool_call_id tool_name args partial_result",
    ToolExecutionEndEvent: "type tool_call_id tool_name result is_error args",
}


@pytest.mark.parametrize("kind", ORDER, ids=lambda kind: kind.__name__)
def test_fields_stand_in_the_order_that_code_may_rely_on(kind: type) -> None:
    wanted = ORDER[kind].split()
    assert [field.name for field in fields(kind)][: len(wanted)] == wanted
