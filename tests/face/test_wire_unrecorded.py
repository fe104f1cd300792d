"""Providers of whom there is no recording. All answers are synthesised after what they document.

Each is asked by its name, all the way: request, stream, tool, what goes back.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.wire import DONE, Hurried, call, chunk, delta, end

from tinyagent import (
    Agent,
    AgentOptions,
    AgentState,
    AgentTool,
    AssistantMessage,
    ThinkingLevel,
    extract_text,
    named_model,
)
from tinyagent.agent_types import ThinkingContent
from tinyagent.testing import ProviderServer, chat, sse, status

Json = dict[str, Any]


class Talk:
    """An agent with one tool, its answers, and what its provider was asked."""

    def __init__(self) -> None:
        self.called: list[Json] = []
        self.messages: list[AssistantMessage] = []
        self.asked: list[Json] = []
        self.headers: list[dict[str, str]] = []

    @property
    def text(self) -> str:
        return extract_text(self.messages[-1])


async def talk(
    name: str,
    *script: Any,
    prompts: tuple[str, ...] = ("hi",),
    level: ThinkingLevel = ThinkingLevel.OFF,
    **options: Any,
) -> Talk:
    """Say *prompts* to the model *name*, whose provider answers with *script*."""
    talked = Talk()

    async def weather(call_id: str, args: Json, signal: Any, on_update: Any) -> str:
        talked.called.append(args)
        return f"{args['city']}: sunny"

    async with ProviderServer(script) as server:
        state = AgentState(thinking_level=level)
        given = AgentOptions(initial_state=state, get_api_key=lambda _: "k", **options)
        tool = AgentTool(name="weather", execute=weather)
        model = named_model(name, base_url=f"{server.url}/v1")
        agent = Agent(given, model=model, tools=[tool])
        for prompt in prompts:
            message = await agent.prompt(prompt)
            assert isinstance(message, AssistantMessage)
            talked.messages.append(message)
        talked.asked = [request.json for request in server.requests]
        talked.headers = [request.headers for request in server.requests]
    return talked


async def test_lm_studio_thinks_in_a_field_of_its_own_and_gets_it_back() -> None:
    stats = {"stats": {}, "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}}
    first = (
        delta(role="assistant", reasoning_content="Let me ")
        + delta(reasoning_content="see.")
        + delta(content="Hello.")
        + delta("stop")
        + chunk([], **stats)
        + DONE
    )
    found = await talk(
        "lmstudio:qwen3-8b", first, chat(text="Bye."), prompts=("hi", "bye"), max_tokens=64
    )
    thought = found.messages[0].content[0]
    assert isinstance(thought, ThinkingContent)
    assert (thought.thinking, found.text) == ("Let me see.", "Bye.")
    assert (found.messages[0].usage or {})["total_tokens"] == 8
    assert (found.asked[0]["max_tokens"], "max_completion_tokens" in found.asked[0]) == (64, False)
    assert found.asked[1]["messages"][1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "Hello."}],
        "reasoning_content": "Let me see.",
    }


async def test_lm_studio_says_what_went_wrong_in_a_named_event() -> None:
    failed = sse(
        {"error": {"message": "Model unloaded."}, "message": "Model unloaded."}, event="error"
    )
    found = await talk("lmstudio:qwen3-8b", failed, retries_max=0)
    assert found.messages[0].stop_reason == "error"
    assert "Model unloaded." in (found.messages[0].error_message or "")


def _together(finish: str | None = None, /, **fields: Any) -> bytes:
    """A chunk as Together sends it: text beside the delta, token ids, the seed at the end."""
    choice: Json = {"index": 0, "text": fields.get("content", ""), "delta": fields}
    choice["delta"]["token_id"] = 1
    usage: Json = {}
    if finish:
        choice |= {"finish_reason": finish, "seed": 1234567890123456789}
        usage = {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29}
        usage = {"usage": usage | {"cached_tokens": 16}}
    return chunk([choice], **usage)


async def test_together_calls_tools_in_pieces_and_takes_what_it_takes() -> None:
    def piece(function: Json, **more: Any) -> bytes:
        return _together(
            tool_calls=[{"index": 0, "type": "function", "function": function, **more}]
        )

    first = (
        _together(role="assistant", content="")
        + piece({"name": "weather", "arguments": ""}, id="call_p1")
        + piece({"arguments": '{"city":'})
        + piece({"arguments": '"Paris"}'})
        + _together("tool_calls", content="")
        + DONE
    )
    second = _together(content="Sunny.") + _together("eos", content="") + DONE
    found = await talk(
        "together:Qwen/Qwen3-32B", first, second, level=ThinkingLevel.HIGH, max_tokens=64
    )
    assert (found.called, found.text) == ([{"city": "Paris"}], "Sunny.")
    assert found.messages[0].stop_reason == "stop"
    assert (found.messages[0].usage or {})["cache_read"] == 16
    asked = found.asked[0]
    assert (asked["reasoning"], asked["max_tokens"]) == ({"enabled": True}, 64)
    assert not {"store", "reasoning_effort", "max_completion_tokens"} & set(asked)
    assert "strict" not in asked["tools"][0]["function"]
    assert found.asked[1]["messages"][-1]["tool_call_id"] == "call_p1"


async def test_sglang_calls_two_tools_without_indices() -> None:
    stopped: Json = {"index": 0, "delta": {}, "finish_reason": "tool_calls", "matched_stop": None}
    first = (
        delta(role="assistant", content="", reasoning_content=None)
        + call(None, "call_a", "weather", '{"city": "Paris"}')
        + call(None, "call_b", "weather", '{"city": "Rome"}')
        + chunk([stopped])
        + DONE
    )
    found = await talk("vllm:any", first, chat(text="Both sunny."))
    assert found.called == [{"city": "Paris"}, {"city": "Rome"}]
    results = [message["tool_call_id"] for message in found.asked[1]["messages"][-2:]]
    assert (results, found.text) == (["call_a", "call_b"], "Both sunny.")


async def test_chutes_says_its_thoughts_twice_and_they_count_once() -> None:
    both = {"reasoning_content": "Hm.", "reasoning": "Hm."}
    found = await talk(
        "chutes:Qwen/Qwen3-32B",
        delta(role="assistant", **both) + delta(content="Yes.") + end(),
        level=ThinkingLevel.HIGH,
        max_tokens=64,
    )
    thought = found.messages[0].content[0]
    assert isinstance(thought, ThinkingContent)
    assert (thought.thinking, found.text) == ("Hm.", "Yes.")
    assert not {"store", "reasoning_effort", "max_completion_tokens"} & set(found.asked[0])
    assert found.headers[0]["authorization"] == "Bearer k"


async def test_azures_filter_stops_an_answer_in_its_middle() -> None:
    safe = {"hate": {"filtered": False, "severity": "safe"}}
    filtered = {"hate": {"filtered": True, "severity": "high"}}
    body = (
        chunk([], prompt_filter_results=[{"prompt_index": 0, "content_filter_results": safe}])
        + chunk([{"index": 0, "finish_reason": None, "content_filter_results": {}}])
        + chunk([{"index": 0, "delta": {"content": "This much"}, "content_filter_results": safe}])
        + chunk(
            [
                {
                    "index": 0,
                    "delta": {},
                    "finish_reason": "content_filter",
                    "content_filter_results": filtered,
                }
            ]
        )
        + DONE
    )
    found = await talk("azure:my-deployment", body)
    message = found.messages[0]
    assert (message.stop_reason, message.error_kind) == ("error", "filtered")
    assert (found.text, len(found.asked)) == ("This much", 1)
    assert found.headers[0]["api-key"] == "k"
    assert "authorization" not in found.headers[0]


@pytest.mark.parametrize(
    ("headers", "waited_s"),
    [
        (
            {
                "retry-after": "2",
                "x-ratelimit-limit-requests": "500",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "120ms",
                "x-ratelimit-limit-tokens": "30000",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            2.0,
        ),
        # Azure really sends this nought.
        ({"retry-after": "7", "retry-after-ms": "0", "x-ratelimit-reset-requests": "7"}, 7.0),
        (
            {
                "retry-after": "3",
                "anthropic-ratelimit-requests-reset": "2026-01-01T00:01:00Z",
                "x-should-retry": "true",
            },
            3.0,
        ),
    ],
)
async def test_a_limit_with_all_its_headers_is_waited_for_as_it_asks(
    headers: dict[str, str], waited_s: float
) -> None:
    clock = Hurried()
    limited = status(429, {"error": {"message": "Rate limit reached"}}, headers)
    found = await talk("openai:gpt-4o", limited, chat(text="Now."), clock=clock)
    assert (found.text, clock.slept) == ("Now.", [waited_s])


async def test_an_overloaded_anthropic_says_so_after_a_good_start() -> None:
    start = sse({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 3}}})
    overloaded = sse(
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        event="error",
    )
    clock = Hurried()
    found = await talk(
        "anthropic:claude-sonnet-4-6", *[start + overloaded] * 3, clock=clock, retries_max=2
    )
    message = found.messages[0]
    assert (message.error_kind, len(found.asked), len(clock.slept)) == ("overloaded", 3, 2)
    assert "Overloaded" in (message.error_message or "")
