"""W, X: what is sent: options, headers, reasoning, aliases."""

from __future__ import annotations

from typing import Any

import pytest
from tests.wire import (
    OK,
    demo,
    of,
    sent,
    ways,
)

from tinyagent import AgentTool, UserMessage


@ways
async def test_w1_the_least_request(heard: Any) -> None:
    request = await sent(heard)
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.json == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "store": False,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    }


@ways
async def test_w2_options_and_headers(heard: Any) -> None:
    headers = {"X-Title": "mine", "Accept": "text/plain", "bad name": "x", "X-Bad": "a\nb"}
    tool = AgentTool(
        name="f",
        description="d",
        parameters={"type": "object", "properties": {"z": {}, "a": {"$ref": "#/x"}}},
    )
    request = await sent(
        heard,
        model=of("openai", headers=headers),
        api_key="k",
        temperature=0.0,
        max_tokens=64,
        system="Be brief.",
        tools=[tool, AgentTool(name="g")],
    )
    body = request.json
    assert (body["temperature"], body["max_completion_tokens"]) == (0.0, 64)
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert body["tools"][0] == {
        "type": "function",
        "function": {
            "name": "f",
            "description": "d",
            "parameters": tool.parameters,
            "strict": False,
        },
    }
    assert list(body["tools"][0]["function"]["parameters"]["properties"]) == ["z", "a"]
    assert body["tools"][1]["function"]["parameters"] == {"type": "object", "properties": {}}
    got = request.headers
    assert (got["authorization"], got["content-type"]) == ("Bearer k", "application/json")
    assert (got["x-title"], got["accept"]) == ("mine", "text/plain")
    assert "x-bad" not in got


@ways
async def test_w2_headers_of_the_model_replace_any(heard: Any) -> None:
    model = of("openai", headers={"Authorization": "Basic abc"})
    request = await sent(heard, model=model, api_key="k")
    assert request.headers["authorization"] == "Basic abc"


@ways
async def test_w2_a_blank_system_prompt_and_no_content_stay_as_they_are(heard: Any) -> None:
    request = await sent(heard, UserMessage(content=[]), system=" \n")
    assert request.json["messages"] == [{"role": "user", "content": []}]


@ways
@pytest.mark.parametrize(
    ("provider", "name"),
    [("demo", "max_completion_tokens"), ("mistral", "max_tokens"), ("featherless", "max_tokens")],
)
async def test_row_10_the_limit_of_a_described_model_is_sent(
    heard: Any, provider: str, name: str
) -> None:
    described = of(provider, max_tokens=512)
    assert (await sent(heard, model=described, api_key="k")).json[name] == 512
    limited = await sent(heard, model=described, api_key="k", max_tokens=9)
    assert limited.json[name] == 9
    default = await sent(heard, model=of(provider), api_key="k")
    assert not {"max_tokens", "max_completion_tokens"} & default.json.keys()


@ways
async def test_row_2_the_session_is_named_to_those_who_cache_by_it(heard: Any) -> None:
    for provider, is_sent in (("openai", True), ("mistral", True), ("demo", False)):
        request = await sent(heard, model=of(provider), api_key="k", session_id="s-1")
        assert (request.json.get("prompt_cache_key") == "s-1") is is_sent


@ways
@pytest.mark.parametrize(
    ("provider", "reasoning", "effort", "role"),
    [
        ("openai", True, None, "developer"),
        ("openai", "high", "high", "developer"),
        ("openrouter", "low", "low", "developer"),
        ("custom", "high", "high", "system"),
        ("groq", "high", "high", "system"),
        ("xai", "high", None, "system"),
        ("cerebras", "high", None, "system"),
        ("openai", False, None, "system"),
    ],
)
async def test_w4_reasoning(
    heard: Any, provider: str, reasoning: Any, effort: str | None, role: str
) -> None:
    model = of(provider, reasoning=reasoning)
    body = (await sent(heard, model=model, api_key="k", system="S")).json
    assert (body.get("reasoning_effort"), body["messages"][0]["role"]) == (effort, role)
    assert ("store" in body) is (provider not in ("xai", "cerebras"))


@ways
async def test_w4c_the_thinking_level_of_the_model_is_asked_for(heard: Any) -> None:
    model = of("openai", thinking_level="high", reasoning="low")
    body = (await sent(heard, model=model, api_key="k", system="S")).json
    assert (body["reasoning_effort"], body["messages"][0]["role"]) == ("high", "developer")


@ways
@pytest.mark.parametrize("api", ["openai", " OpenAI-Compatible ", "chat-completions", ""])
async def test_x11b_aliases_of_the_api(heard: Any, api: str) -> None:
    found = await heard(OK, model=lambda url: demo(url, api=api))
    assert found.message.api == "openai-completions"
    assert found.requests[0].json["store"] is False
