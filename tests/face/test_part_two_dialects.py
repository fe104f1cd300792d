"""Part two: what differs between providers: roles, fields, reasoning, Anthropic's rules."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.agents import live
from tests.wire import anthropic, called, delta, demo, end, of, result, sent, user, ways

from tinyagent import (
    Agent,
    AgentMessage,
    AgentOptions,
    AgentState,
    AgentTool,
    AssistantMessage,
    TextContent,
    UserMessage,
)
from tinyagent.agent_types import ThinkingContent
from tinyagent.alchemy_provider import OpenAICompatModel
from tinyagent.testing import ProviderServer, RecordedTransport, chat, sse

HELLO = delta(content="Hello!") + end()
ANTHROPIC: dict[str, Any] = {"path": "", "api_key": "k", "script": anthropic("Hi.")}


def url_of(host: str) -> str:
    return f"https://{host}/v1/chat/completions"


async def body_for(provider: str, host: str, **more: Any) -> Any:
    """Return the body of a request that is looked at and not sent."""
    transport = RecordedTransport([HELLO])
    model = OpenAICompatModel(provider=provider, id="m", base_url=url_of(host), **more)
    tools = [AgentTool(name="f", execute=lambda *_: "ok")]
    state = AgentState(system_prompt="S", model=model, tools=tools)
    options = AgentOptions(
        initial_state=state, transport=transport, get_api_key=lambda _: "k", max_tokens=99
    )
    await Agent(options).prompt("hi")
    return json.loads(transport.requests[0].body)


@pytest.mark.parametrize(
    ("provider", "host", "role"),
    [
        ("openai", "proxy.example.org", "developer"),
        ("openrouter", "proxy.example.org", "developer"),
        ("azure", "proxy.example.org", "developer"),
        ("mine", "api.openai.com", "developer"),
        ("mine", "openrouter.ai", "developer"),
        ("mine", "x.openai.azure.com", "developer"),
        ("mine", "proxy.example.org", "system"),
        ("groq", "proxy.example.org", "system"),
        ("openai", "api.mistral.ai", "system"),
    ],
)
async def test_row_59_developer_is_only_for_those_who_take_it(
    provider: str, host: str, role: str
) -> None:
    body = await body_for(provider, host, reasoning="high")
    assert body["messages"][0] == {"role": role, "content": "S"}
    assert (await body_for(provider, host))["messages"][0]["role"] == "system"


@pytest.mark.parametrize(
    ("provider", "host", "without"),
    [
        ("xai", "api.x.ai", "store developer reasoning_effort"),
        ("zai", "api.z.ai", "store developer reasoning_effort"),
        ("moonshot", "api.moonshot.ai", "store developer reasoning_effort strict"),
        ("together", "api.together.xyz", "store developer reasoning_effort strict"),
        ("cerebras", "api.cerebras.ai", "store developer reasoning_effort"),
        ("chutes", "llm.chutes.ai", "store developer reasoning_effort"),
        ("deepseek", "api.deepseek.com", "store developer reasoning_effort"),
        ("cloudflare", "gateway.ai.cloudflare.com", "store developer reasoning_effort strict"),
        ("mistral", "api.mistral.ai", "store developer"),
        ("mine", "proxy.example.org", "developer"),
        ("openai", "api.openai.com", ""),
    ],
)
@pytest.mark.parametrize("by", ["provider", "host"])
async def test_row_59_what_a_provider_does_not_take_is_not_sent(
    provider: str, host: str, without: str, by: str
) -> None:
    where = (provider, "proxy.example.org") if by == "provider" else ("mine", host)
    body = await body_for(*where, reasoning="high")
    function = body["tools"][0]["function"]
    found = {"store", "reasoning_effort"} & body.keys() | {"strict"} & function.keys()
    found |= {body["messages"][0]["role"]} - {"system"}
    refused = set(without.split())
    assert found == {"store", "reasoning_effort", "strict", "developer"} - refused


# W4d


@ways
@pytest.mark.parametrize(
    ("provider", "extra"),
    [
        (
            "mistral",
            {"max_tokens": 9, "reasoning_effort": "high", "prompt_cache_key": "s"},
        ),
        ("xai", {"max_completion_tokens": 9}),
        ("cerebras", {"max_completion_tokens": 9}),
        ("groq", {"max_completion_tokens": 9, "reasoning_effort": "high", "store": False}),
        ("featherless", {"max_tokens": 9, "reasoning_effort": "high", "store": False}),
        ("anthropic", {"max_completion_tokens": 9, "reasoning_effort": "high", "store": False}),
        ("custom", {"max_completion_tokens": 9, "reasoning_effort": "high", "store": False}),
        ("zai", {"max_completion_tokens": 9, "thinking": {"type": "enabled"}}),
    ],
)
async def test_w4d_the_whole_body_with_reasoning(
    heard: Any, provider: str, extra: dict[str, Any]
) -> None:
    model = of(provider, reasoning="high")
    request = await sent(heard, model=model, api_key="k", system="S", max_tokens=9, session_id="s")
    assert request.json == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [
            {"role": "system", "content": "S"},
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        ],
        **extra,
    }


# 59: reasoning, and what Anthropic wants


def thinks(field: str, **origin: Any) -> AssistantMessage:
    answer = AssistantMessage(content=[TextContent(text="So.")], stop_reason="stop", **origin)
    answer.content.insert(0, ThinkingContent(thinking="Hm.", thinking_signature=field))
    return answer


@ways
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_text"])
async def test_row_59_reasoning_goes_back_in_its_own_field_and_only_where_it_came_from(
    heard: Any, field: str
) -> None:
    own = {"provider": "demo", "model": "m", "api": "openai-completions"}
    history: list[AgentMessage] = [user()]
    for other in ({}, {"provider": "elsewhere"}, {"model": "n"}, {"api": "anthropic-messages"}):
        history += [thinks(field, **{**own, **other}), user()]
    answers = (await sent(heard, *history)).json["messages"][1::2]
    said = {"role": "assistant", "content": [{"type": "text", "text": "So."}]}
    assert answers == [{**said, field: "Hm."}, said, said, said]


async def test_row_59_what_a_model_thought_is_sent_to_it_with_the_next_prompt() -> None:
    script = [chat(thinking="Hm.", text="So."), chat(text="Done."), chat(text="Other.")]
    async with ProviderServer(script) as server:
        agent = live(server.chat_url)
        await agent.prompt("hi")
        await agent.prompt("and?")
        agent.set_model(demo(server.chat_url, id="n"))
        await agent.prompt("and now?")
        second, third = (request.json["messages"][1] for request in server.requests[1:])
    assert second["reasoning_content"] == "Hm."
    assert "reasoning_content" not in third
    assert third["content"] == [{"type": "text", "text": "So."}]


@ways
async def test_row_59_anthropic_gets_signatures_one_message_of_results_and_no_empty_text(
    heard: Any,
) -> None:
    asks = called("c1", "c2", provider="anthropic", model="m", api="anthropic-messages")
    asks.content[:0] = [
        ThinkingContent(thinking="Hm.", thinking_signature="sig"),
        TextContent(text=""),
        TextContent(text=" \n"),
    ]
    foreign = thinks("sig", provider="anthropic", model="n", api="anthropic-messages")
    empty = UserMessage(content=[TextContent(text=""), TextContent(text="go on")])
    history: list[AgentMessage] = [user(), asks]
    history += [result("c1", "one"), result("c2", "two"), foreign, empty]
    model = of("anthropic", api="anthropic-messages", reasoning="low", max_tokens=9000)
    body = (await sent(heard, *history, model=model, temperature=0.5, **ANTHROPIC)).json
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
                {"type": "tool_use", "id": "c1", "name": "f", "input": {"n": 0}},
                {"type": "tool_use", "id": "c2", "name": "f", "input": {"n": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": i, "content": c, "is_error": False}
                for i, c in (("c1", "one"), ("c2", "two"))
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "So."}]},
        {"role": "user", "content": [{"type": "text", "text": "go on"}]},
    ]
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2048}
    assert "temperature" not in body


async def test_row_59_redacted_thoughts_go_back_to_anthropic_as_they_came() -> None:
    redacted = {"type": "redacted_thinking", "data": "c2VjcmV0"}
    opened = {"type": "content_block_start", "index": 0, "content_block": redacted}
    stopped = {"type": "content_block_stop", "index": 0}
    said = anthropic("So.").replace(b'"index":0', b'"index":1')
    first, rest = said.split(b"event: content_block_start", 1)
    body = first + sse(opened, event="content_block_start")
    body += sse(stopped, event="content_block_stop") + b"event: content_block_start" + rest
    async with ProviderServer([body, anthropic("Done."), anthropic("Other.")]) as server:
        model = of("anthropic", api="anthropic-messages")(server.url)
        state = AgentState(model=model)
        agent = Agent(AgentOptions(initial_state=state, get_api_key=lambda _: "k"))
        await agent.prompt("hi")
        await agent.prompt("and?")
        agent.set_model(of("anthropic", id="n", api="anthropic-messages")(server.url))
        await agent.prompt("and now?")
        second, third = (request.json["messages"][1] for request in server.requests[1:])
    text = {"type": "text", "text": "So."}
    assert (second["content"], third["content"]) == ([redacted, text], [text])
