"""K, X11: Anthropic's protocol, spoken by Kimi too; and the other protocols, by their names."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from tests.wire import (
    MARK,
    called,
    deltas,
    heard_by_agent,
    of,
    result,
    sent,
    user,
    ways,
)

from tinyagent import AgentMessage, AgentTool, ImageContent, UserMessage
from tinyagent.agent_types import (
    AssistantMessage,
    Context,
    Model,
    SimpleStreamOptions,
    TextContent,
    ThinkingContent,
    ToolCallContent,
)
from tinyagent.rust_binding_provider import RustBindingModel, stream_rust_binding
from tinyagent.testing import rechunked, sse


def event(kind: str, **fields: Any) -> bytes:
    return sse({"type": kind, **fields}, event=kind)


def start(**usage: int) -> bytes:
    counted = {"input_tokens": 10, "output_tokens": 1, **usage}
    return event("message_start", message={"id": "msg_1", "usage": counted}) + event("ping")


def block(index: int, opening: dict[str, Any], *pieces: dict[str, Any]) -> bytes:
    return (
        event("content_block_start", index=index, content_block=opening)
        + b"".join(event("content_block_delta", index=index, delta=piece) for piece in pieces)
        + event("content_block_stop", index=index)
    )


def text(index: int, *said: str) -> bytes:
    pieces = [{"type": "text_delta", "text": part} for part in said]
    return block(index, {"type": "text", "text": ""}, *pieces)


def tool_use(index: int, id_: str, name: str, *fragments: str) -> bytes:
    pieces = [{"type": "input_json_delta", "partial_json": part} for part in fragments]
    return block(index, {"type": "tool_use", "id": id_, "name": name, "input": {}}, *pieces)


def stop(reason: str = "end_turn", **usage: int) -> bytes:
    counted = {"output_tokens": 7, **usage}
    return event("message_delta", delta={"stop_reason": reason}, usage=counted) + event(
        "message_stop"
    )


OK = start() + text(0, "Hi.") + stop()
asked = partial(sent, script=OK)


def kimi(url: str) -> RustBindingModel:
    return RustBindingModel(provider="kimi", id="m", base_url=f"{url}/")


KIMI: dict[str, Any] = {
    "model": kimi,
    "stream_fn": stream_rust_binding,
    "path": "/coding",
    "api_key": "k",
}
CLAUDE: dict[str, Any] = {
    "model": of("anthropic", api="anthropic-messages", max_tokens=8000),
    "path": "",
    "api_key": "k",
}


@ways
async def test_k1_the_request(heard: Any) -> None:
    history: list[AgentMessage] = [user(), called("c1", "c2")]
    history += [result("c1", "one"), result("c2", "two", is_error=True)]
    tool = AgentTool(name="f", description="d", parameters={"type": "object"})
    request = await asked(
        heard, *history, **KIMI, system="S", tools=[tool], temperature=0.5, max_tokens=64
    )
    assert request.path == "/coding/v1/messages"
    assert request.headers["authorization"] == "Bearer k"
    assert "x-api-key" not in request.headers
    assert request.json == {
        "model": "m",
        "stream": True,
        "max_tokens": 64,
        "temperature": 0.5,
        "system": "S",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "c1", "name": "f", "input": {"n": 0}},
                    {"type": "tool_use", "id": "c2", "name": "f", "input": {"n": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "c1",
                        "content": "one",
                        "is_error": False,
                    },
                    {
                        "type": "tool_result",
                        "tool_use_id": "c2",
                        "content": "two",
                        "is_error": True,
                    },
                ],
            },
        ],
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
    }


@ways
async def test_k1_the_headers_of_anthropic_and_the_limit_of_the_model(heard: Any) -> None:
    request = await asked(heard, **CLAUDE)
    headers = request.headers
    assert request.path == "/v1/messages"
    assert (headers["x-api-key"], headers["anthropic-version"]) == ("k", "2023-06-01")
    assert headers["anthropic-beta"] == "interleaved-thinking-2025-05-14"
    assert "authorization" not in headers
    assert request.json["max_tokens"] == 8000


@ways
@pytest.mark.parametrize(
    ("reasoning", "limit", "thinking"),
    [
        (True, 8000, {"type": "enabled", "budget_tokens": 7900}),
        ("low", 8000, {"type": "enabled", "budget_tokens": 2048}),
        ("high", 8000, {"type": "enabled", "budget_tokens": 6976}),
        (True, 1000, None),
        (False, 8000, None),
    ],
)
async def test_k1_thinking(heard: Any, reasoning: Any, limit: int, thinking: Any) -> None:
    model = of("anthropic", api="anthropic-messages", reasoning=reasoning)
    body = (
        await asked(heard, **{**CLAUDE, "model": model}, max_tokens=limit, temperature=0.5)
    ).json
    assert body.get("thinking") == thinking
    assert ("temperature" in body) is (thinking is None)


@ways
async def test_k1_images_empty_texts_and_signatures(heard: Any) -> None:
    thinks = AssistantMessage(
        content=[
            ThinkingContent(thinking="Hm.", thinking_signature="sig"),
            TextContent(text=" "),
            ToolCallContent(id="c1", name="f"),
        ],
        stop_reason="tool_calls",
    )
    data, url = (
        ImageContent(url="AAAA", mime_type="image/jpeg"),
        ImageContent(url="https://x/a.png"),
    )
    given = UserMessage(content=[TextContent(text=""), data, url])
    messages = (await asked(heard, given, thinks, result("c1", "r", data), **CLAUDE)).json[
        "messages"
    ]
    base64 = {"type": "base64", "media_type": "image/jpeg", "data": "AAAA"}
    assert messages[0]["content"] == [
        {"type": "image", "source": base64},
        {"type": "image", "source": {"type": "url", "url": "https://x/a.png"}},
    ]
    assert messages[1]["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
    ]
    assert messages[2]["content"][0]["content"] == [
        {"type": "text", "text": "r"},
        {"type": "image", "source": base64},
    ]


async def test_k1_cache_marks_through_an_agent() -> None:
    request = await asked(
        heard_by_agent, user("a"), user("b"), **CLAUDE, system="S", enable_prompt_caching=True
    )
    body = request.json
    assert body["system"] == [{"type": "text", "text": "S", "cache_control": MARK}]
    assert all(m["content"][-1]["cache_control"] == MARK for m in body["messages"])


@ways
@pytest.mark.parametrize("size", [1, 10_000])
async def test_k2_the_answer(heard: Any, size: int) -> None:
    thought = block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Let "},
        {"type": "thinking_delta", "thinking": "me."},
        {"type": "signature_delta", "signature": "sig"},
    )
    calls = tool_use(2, "c1", "f", "", '{"a": ', "1}") + tool_use(3, "c2", "g", "")
    body = start(cache_read_input_tokens=4, cache_creation_input_tokens=2)
    body += thought + text(1, "Now", ".") + calls + stop("tool_use")
    found = await heard(rechunked(body, [size]), **CLAUDE)
    assert found.words == (
        "start think_start0 think_delta0 think_end0 text_start1 text_delta1 text_end1 "
        "call_start2 call_delta2 call_end2 call_start3 call_delta3 call_end3 done"
    )
    assert found.blocks == [
        ("thinking", "Let me.", "sig"),
        ("text", "Now."),
        ("call", "c1", "f", {"a": 1}),
        ("call", "c2", "g", {}),
    ]
    assert deltas(found.events, 2) == ["", '{"a": ', "1}"]
    message = found.message
    assert (message.stop_reason, message.api) == ("tool_calls", "anthropic-messages")
    assert message.usage == {
        "input": 10,
        "output": 7,
        "cache_read": 4,
        "cache_write": 2,
        "total_tokens": 17,
        "cost": {"input": 0.0, "output": 0.0, "cache_read": 0.0, "cache_write": 0.0, "total": 0.0},
    }


@ways
async def test_k2b_the_end_corrects_the_usage_of_the_start(heard: Any) -> None:
    body = start(input_tokens=0) + text(0, "Hi.") + stop(input_tokens=50, output_tokens=3)
    usage = (await heard(body, **KIMI)).message.usage
    assert (usage["input"], usage["output"], usage["total_tokens"]) == (50, 3, 53)


@ways
@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
    ],
)
async def test_k2_stop_reasons(heard: Any, reason: str, told: str) -> None:
    found = await heard(start() + text(0, "Hi.") + stop(reason), **KIMI)
    assert (found.message.stop_reason, found.message.error_message) == (told, None)


@ways
async def test_k3_an_error_event_keeps_what_was_said(heard: Any) -> None:
    error = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    found = await heard(start() + text(0, "Half") + error, **KIMI)
    message = found.message
    assert found.blocks == [("text", "Half")]
    assert (message.stop_reason, message.error_kind) == ("error", "overloaded")
    assert "Overloaded" in message.error_message


@ways
async def test_k3_a_refusal_and_a_stream_that_breaks_off_are_errors(heard: Any) -> None:
    refused = await heard(start() + text(0, "No") + stop("refusal"), **KIMI)
    assert (refused.message.stop_reason, refused.message.error_kind) == ("error", "filtered")
    cut = await heard(start() + text(0, "Half") + tool_use(1, "c1", "f", '{"a": '), **KIMI)
    assert (cut.blocks, cut.message.stop_reason) == ([("text", "Half")], "error")


async def test_k4_without_a_url_the_known_one_is_asked() -> None:
    from tinyagent._provider.resolve import resolve_rust

    assert resolve_rust(RustBindingModel(provider="kimi", base_url="  "))["base_url"] == (
        "https://api.kimi.com/coding"
    )
    with pytest.raises(ValueError, match="must be set for unknown providers"):
        await stream_rust_binding(Model(provider="demo", id="m"), Context(), SimpleStreamOptions())


# The other protocols


@ways
async def test_x11_openai_responses(heard: Any) -> None:
    item = {"type": "message", "id": "m1", "role": "assistant", "content": []}
    body = (
        sse({"type": "response.created", "response": {"id": "r"}})
        + sse({"type": "response.output_item.added", "output_index": 0, "item": item})
        + sse({"type": "response.output_text.delta", "output_index": 0, "delta": "Hi."})
        + sse(
            {
                "type": "response.completed",
                "response": {"id": "r", "usage": {"input_tokens": 3, "output_tokens": 2}},
            }
        )
    )
    model = of("openai", api="openai-responses")
    found = await heard(body, model=model, path="/v1/responses", api_key="k", system="S")
    assert found.blocks == [("text", "Hi.")]
    assert found.message.usage["total_tokens"] == 5
    request = found.requests[0]
    assert (request.path, request.headers["authorization"]) == ("/v1/responses", "Bearer k")
    assert (request.json["instructions"], request.json["stream"]) == ("S", True)


@ways
async def test_x11_google(heard: Any) -> None:
    said = {
        "candidates": [
            {"content": {"role": "model", "parts": [{"text": "Hi."}]}, "finishReason": "STOP"}
        ],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
    }
    model = of("google", api="google-generative-ai")
    found = await heard(sse(said), model=model, path="/v1beta", api_key="k", system="S")
    assert found.blocks == [("text", "Hi.")]
    assert found.message.usage["total_tokens"] == 5
    request = found.requests[0]
    assert request.path == "/v1beta/models/m:streamGenerateContent?alt=sse"
    assert request.headers["x-goog-api-key"] == "k"
