"""What a proxy is asked: the request word for word, and the history as it accepts it."""

from __future__ import annotations

from typing import Any

from tinyagent.agent_types import (
    AgentTool,
    AssistantMessage,
    CacheControl,
    Context,
    CustomAgentMessage,
    Model,
    SimpleStreamOptions,
    TextContent,
    ThinkingLevel,
    ToolCallContent,
    ToolResultMessage,
    UserMessage,
)
from tinyagent.provider_contracts import ProviderMetadataModel
from tinyagent.proxy import (
    ProxyStreamOptions,
    ProxyStreamResponse,
    create_proxy_stream,
    stream_proxy,
)
from tinyagent.testing import ProviderServer, sse

MODEL = Model(provider="openai", id="gpt", api="openai", thinking_level=ThinkingLevel.LOW)
DONE = sse({"type": "done", "reason": "stop"})


def ask(url: str, *, context: Context, **more: Any) -> ProxyStreamResponse:
    options = ProxyStreamOptions("secret", url, **more)
    return ProxyStreamResponse(model=MODEL, context=context, options=options)


async def test_the_request_says_everything_word_for_word() -> None:
    messages: list[Any] = [
        UserMessage(
            content=[TextContent(text="hi", cache_control=CacheControl(type="ephemeral"))],
            timestamp=5,
        ),
        AssistantMessage(
            content=[ToolCallContent(id="c1", name="f", arguments={"a": 1})],
            stop_reason="tool_calls",
            error_kind="limit",
        ),
        ToolResultMessage(
            tool_call_id="c1",
            tool_name="f",
            content=[TextContent(text="r")],
            terminate=True,
            ours="x",  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] - an extra
        ),
    ]
    tools = [AgentTool("f", "d", {"type": "object"}, label="L")]
    async with ProviderServer([DONE]) as server:
        stream = ask(
            server.url,
            context=Context("S", messages, tools),
            temperature=0.5,
            max_tokens=9,
            reasoning={"effort": "low"},
        )
        await stream.result()
    [request] = server.requests
    assert (request.method, request.path) == ("POST", "/api/stream")
    assert request.headers["authorization"] == "Bearer secret"
    assert request.headers["content-type"] == "application/json"
    user = {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}
    call = {"type": "tool_call", "id": "c1", "name": "f", "arguments": {"a": 1}}
    assert request.json == {
        "model": {"provider": "openai", "id": "gpt", "api": "openai", "thinking_level": "low"},
        "context": {
            "system_prompt": "S",
            "messages": [
                {"role": "user", "content": [user], "timestamp": 5},
                {"role": "assistant", "content": [call], "stop_reason": "tool_calls"},
                {
                    "role": "tool_result",
                    "tool_call_id": "c1",
                    "tool_name": "f",
                    "content": [{"type": "text", "text": "r"}],
                    "details": {},
                    "is_error": False,
                    "ours": "x",
                },
            ],
            "tools": [
                {"name": "f", "description": "d", "parameters": {"type": "object"}, "label": "L"}
            ],
        },
        "options": {"temperature": 0.5, "maxTokens": 9, "reasoning": {"effort": "low"}},
    }


async def test_without_tools_and_options_there_are_no_tools_and_three_nulls() -> None:
    async with ProviderServer([DONE]) as server:
        await (await create_proxy_stream(MODEL, Context("S", []), "t", server.url)).result()
    body = server.requests[0].json
    assert body["context"] == {"system_prompt": "S", "messages": []}
    assert body["options"] == {"temperature": None, "maxTokens": None, "reasoning": None}


async def test_row_50_the_request_is_repaired_and_the_messages_are_not() -> None:
    call = ToolCallContent(id="c", name="f", partial_json='{"a": 1}')
    messages: list[Any] = [
        UserMessage(content="a\ud800"),  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - hosts do this
        AssistantMessage(content=[None, call], stop_reason="tool_calls"),
        AssistantMessage(content=[call, ToolCallContent(name="g")], stop_reason="stop"),
        ToolResultMessage(tool_call_id="c", content=[TextContent(text="r")]),
        ToolResultMessage(tool_call_id="nobody"),
        CustomAgentMessage(role="note"),
        AssistantMessage(
            content=[TextContent(text=""), TextContent(text="ha")], stop_reason="error"
        ),
        AssistantMessage(content=[call], stop_reason="aborted"),
    ]
    before = [message.model_copy(deep=True) for message in messages]
    async with ProviderServer([DONE]) as server:
        await ask(server.url, context=Context("S", messages)).result()
    sent = server.requests[0].json["context"]["messages"]
    missing = [{"type": "text", "text": "No result was recorded for this call."}]
    assert [
        (m["role"], m.get("tool_call_id"), m["content"]) for m in sent if "tool" in m["role"]
    ] == [
        ("tool_result", "c", missing),
        ("tool_result", "c_2", [{"type": "text", "text": "r"}]),
        ("tool_result", "call_2", missing),
    ]
    assert sent[0]["content"] == [{"type": "text", "text": "a\ufffd"}]
    assert [block["id"] for block in sent[1]["content"] if block] == ["c"]
    assert sent[1]["content"][1]["arguments"] == {"a": 1}
    assert [block["id"] for block in sent[3]["content"]] == ["c_2", "call_2"]
    assert sent[6]["content"] == [{"type": "text", "text": "ha"}]
    assert len(sent) == 7
    assert messages == before


async def test_row_9_the_reasoning_of_simple_options_is_the_level_in_force() -> None:
    asked: list[tuple[Model, str | None, Any]] = [
        (MODEL, "high", "high"),
        (MODEL, None, "low"),
        (Model(), None, None),
        (ProviderMetadataModel(reasoning="medium"), None, "medium"),
        (ProviderMetadataModel(reasoning=True), None, True),
        (ProviderMetadataModel(), None, None),
    ]
    async with ProviderServer(DONE) as server:
        for model, reasoning, _ in asked:
            here = model.model_copy(update={"proxy_url": server.url})
            options = SimpleStreamOptions(api_key="t", reasoning=reasoning, session_id="s")
            await (await stream_proxy(here, Context(), options)).result()
    sent = [request.json["options"] for request in server.requests]
    assert [options["reasoning"] for options in sent] == [wanted for _, _, wanted in asked]
    assert {options["sessionId"] for options in sent} == {"s"}
