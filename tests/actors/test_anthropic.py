"""Anthropic's messages: blocks, thinking, breakpoints, headers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tinyagent.actors.providers import provider_for
from tinyagent.events.fact import ToolSpec
from tinyagent.events.messages import Assistant, Block, Message, Outcome, Result, User
from tinyagent.events.settings import Settings

ADD = ToolSpec("add", "Add", {"type": "object", "properties": {"b": {}, "a": {}}})
MARK = {"type": "ephemeral"}


def model(provider: str = "anthropic", **more: Any) -> dict[str, Any]:
    return {"provider": provider, "id": "claude-x", "api": "anthropic-messages", **more}


def text(messages: list[Message], *, said: dict[str, Any] | None = None, **more: Any) -> str:
    system, tools = more.pop("system", ""), more.pop("tools", ())
    settings = Settings(model=said or model(), system=system, tools=tools, options=more)
    return provider_for("anthropic-messages").body(settings, messages).decode()


def body(messages: list[Message], **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text(messages, **more))
    return found


def answer(*blocks: Block, of: dict[str, Any] | None = None, outcome: Outcome = "ok") -> Assistant:
    return Assistant(2, blocks, of or model(), outcome)


def call(arguments: str = "{}", call_id: str = "c1") -> Block:
    return Block("call", arguments, call_id, "add")


def test_a_whole_turn_is_sent_in_the_form_of_the_specification() -> None:
    history: list[Message] = [
        User(1, "hi"),
        answer(Block("think", "hm", sign="SIG"), Block("text", "one"), call('{"b": 1, "a": 2}')),
        Result(3, "c1", "add", "3"),
    ]
    assert body(history, system="S", tools=(ADD,), temperature=0.5, max_tokens=9) == {
        "model": "claude-x",
        "stream": True,
        "max_tokens": 9,
        "temperature": 0.5,
        "system": "S",
        "tools": [{"name": "add", "description": "Add", "input_schema": ADD.schema}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "SIG"},
                    {"type": "text", "text": "one"},
                    {"type": "tool_use", "id": "c1", "name": "add", "input": {"b": 1, "a": 2}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "c1",
                        "content": "3",
                        "is_error": False,
                    }
                ],
            },
        ],
    }


def test_arguments_are_spliced_in_as_the_model_wrote_them() -> None:
    assert '"input":{"b": 1,  "a": 2}' in text([answer(call('{"b": 1,  "a": 2}'))])


@pytest.mark.parametrize("written", ["", "null", "[1]", '{"a":', '"x"'])
def test_arguments_that_are_no_object_go_out_empty(written: str) -> None:
    assert body([answer(call(written))])["messages"][0]["content"][0]["input"] == {}


def test_all_results_of_a_turn_are_in_one_message_of_the_user() -> None:
    history: list[Message] = [
        answer(call(call_id="a"), call(call_id="b")),
        Result(3, "a", "add", "1"),
        Result(4, "b", "add", "2", ok=False),
        User(5, "and?"),
    ]
    found = body(history)["messages"]
    assert [message["role"] for message in found] == ["assistant", "user", "user"]
    assert [block["is_error"] for block in found[1]["content"]] == [False, True]


def test_blank_texts_and_messages_of_nothing_are_left_out() -> None:
    history: list[Message] = [
        User(1, [{"type": "text", "text": " "}]),
        User(2, [{"type": "text", "text": ""}, {"type": "text", "text": "x"}]),
        answer(Block("text", "\n"), Block("think", "hm", sign="S")),
    ]
    assert body(history)["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "x"}]}
    ]


def test_an_empty_error_says_something() -> None:
    found = body([answer(call()), Result(3, "c1", "add", [], ok=False)])["messages"]
    assert found[1]["content"][0]["content"]


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://x/y.png", {"type": "url", "url": "https://x/y.png"}),
        (
            "data:image/png;base64,AAAA",
            {"type": "base64", "media_type": "image/png", "data": "AAAA"},
        ),
        ("AAAA", {"type": "base64", "media_type": "image/webp", "data": "AAAA"}),
    ],
)
def test_images_are_sent_from_users_and_inside_results(url: str, source: dict[str, str]) -> None:
    image = {"type": "image", "url": url, "mime_type": "image/webp"}
    found = body([User(1, [image]), answer(call()), Result(3, "c1", "add", [image])])["messages"]
    block = {"type": "image", "source": source}
    assert found[0]["content"] == [block]
    assert found[2]["content"][0]["content"] == [block]


# Thinking


def test_blocks_that_only_anthropic_reads_go_back_unchanged_and_only_to_the_same_model() -> None:
    kept = {"type": "redacted_thinking", "data": "xyz"}
    said = answer(Block("keep", keep=kept), Block("think", "", sign="S"), Block("text", "x"))
    assert body([said])["messages"][0]["content"][:2] == [
        kept,
        {"type": "thinking", "thinking": "", "signature": "S"},
    ]
    other = body([said], said=model() | {"id": "claude-y"})["messages"][0]["content"]
    assert other == [{"type": "text", "text": "x"}]


def test_what_a_block_carries_besides_goes_back_to_the_same_model() -> None:
    cited = Block("text", "x", keep={"citations": [{"type": "page_location"}]})
    called = Block("call", "{}", "c1", "add", keep={"caller": {"type": "direct"}})
    text, asked = body([answer(cited, called)])["messages"][0]["content"]
    assert text["citations"] == [{"type": "page_location"}]
    assert asked["caller"] == {"type": "direct"}


def test_thoughts_alone_are_no_message() -> None:
    kept = {"type": "thinking", "thinking": "", "signature": "S"}
    assert body([answer(Block("keep", keep=kept))])["messages"] == []


def test_a_thought_without_signature_goes_back_to_all_but_anthropic() -> None:
    thought = Block("think", "hm")
    kimi = model("kimi")
    assert len(body([answer(thought, call())])["messages"][0]["content"]) == 1
    found = body([answer(thought, call(), of=kimi)], said=kimi)["messages"][0]["content"]
    assert found[0] == {"type": "thinking", "thinking": "hm", "signature": ""}


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
def test_of_a_broken_answer_only_its_texts_are_sent(outcome: Outcome) -> None:
    broken = answer(Block("think", "hm", sign="S"), Block("text", "so"), call(), outcome=outcome)
    assert body([broken])["messages"] == [
        {"role": "assistant", "content": [{"type": "text", "text": "so"}]}
    ]


@pytest.mark.parametrize(
    ("reasoning", "limit", "budget", "expected"),
    [
        ("minimal", 40_000, None, 1024),
        ("low", 40_000, None, 2048),
        ("medium", 40_000, None, 8192),
        ("high", 40_000, None, 16384),
        ("xhigh", 40_000, None, 32768),
        ("xhigh", 10_000, None, 8976),
        ("high", 40_000, 5_000, 5_000),
        ("high", 2_047, None, None),
        (True, 4_096, None, 3_996),
        (True, 1_000, None, None),
        ("off", 40_000, 5_000, None),
        (False, 40_000, None, None),
    ],
)
def test_the_budget_for_thinking_follows_the_level_and_the_limit(
    reasoning: str | bool, limit: int, budget: int | None, expected: int | None
) -> None:
    options = {"thinking_budget_tokens": budget} if budget else {}
    found = body([], said=model(reasoning=reasoning), max_tokens=limit, **options)
    assert found.get("thinking") == (
        {"type": "enabled", "budget_tokens": expected} if expected else None
    )


def test_there_is_no_temperature_with_thinking() -> None:
    said = model(reasoning="low")
    assert "temperature" not in body([], said=said, max_tokens=9_000, temperature=0.2)
    assert body([], said=said, max_tokens=900, temperature=0.2)["temperature"] == 0.2


def test_models_that_refuse_a_budget_get_an_effort() -> None:
    said = model() | {"id": "claude-opus-4-7", "reasoning": "high"}
    found = body([], said=said, max_tokens=9_000)
    assert (found["thinking"], found["output_config"]) == ({"type": "adaptive"}, {"effort": "high"})


@pytest.mark.parametrize(
    ("options", "described", "expected"), [({"max_tokens": 5}, 9, 5), ({}, 9, 9), ({}, None, 4096)]
)
def test_there_is_always_a_limit(
    options: dict[str, int], described: int | None, expected: int
) -> None:
    assert body([], said=model(max_tokens=described), **options)["max_tokens"] == expected


def test_calls_one_at_a_time_are_asked_for_with_the_tools() -> None:
    found = body([], tools=(ADD,), parallel_tool_calls=False)
    assert found["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert "tool_choice" not in body([], parallel_tool_calls=False)


# Cache breakpoints


def test_at_most_four_breakpoints_are_set_the_systems_and_the_last_three() -> None:
    history: list[Message] = [User(seq, f"u{seq}") for seq in range(1, 6)]
    found = body(history, system="S", prompt_caching=True)
    assert found["system"] == [{"type": "text", "text": "S", "cache_control": MARK}]
    marked = [message["content"][-1].get("cache_control") for message in found["messages"]]
    assert marked == [None, None, MARK, MARK, MARK]


def test_a_message_that_ends_in_an_image_is_not_marked() -> None:
    image = {"type": "image", "url": "https://x/y.png"}
    found = body([User(1, [{"type": "text", "text": "x"}, image])], system="S", prompt_caching=True)
    assert found["system"] == "S"
    assert "cache_control" not in json.dumps(found)


def test_marks_inside_results_are_sent() -> None:
    content = [{"type": "text", "text": "3", "cache_control": MARK}]
    found = body([answer(call()), Result(3, "c1", "add", content)])["messages"]
    assert found[1]["content"][0]["content"] == content


def test_a_mark_that_moves_on_leaves_the_earlier_message_unmarked() -> None:
    settings = Settings(model=model(), options={"prompt_caching": True})
    provider = provider_for("anthropic-messages")
    history: list[Message] = []
    for seq in range(1, 7):
        history.append(User(seq, f"u{seq}"))
        found = provider.body(settings, history)
        assert found == provider_for("anthropic-messages").body(settings, history)
        assert found.count(b"cache_control") == min(seq, 3)


# The request


def headers(said: dict[str, Any], key: str | None = "k") -> tuple[str, dict[str, str]]:
    found = provider_for("anthropic-messages").request(
        Settings(model=said), b"{}", key=key, headers={}
    )
    return found.url, dict(found.headers)


def test_anthropic_gets_its_own_key_header_version_and_beta() -> None:
    url, found = headers(model(base_url="https://api.anthropic.com"))
    assert url == "https://api.anthropic.com/v1/messages"
    assert found == {
        "content-type": "application/json",
        "accept": "text/event-stream",
        "x-api-key": "k",
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "interleaved-thinking-2025-05-14",
    }


def test_kimi_gets_a_bearer_key() -> None:
    url, found = headers(model("kimi", base_url="https://api.kimi.com/coding/"))
    assert url == "https://api.kimi.com/coding/v1/messages"
    assert found["authorization"] == "Bearer k"
    assert "x-api-key" not in found


def test_ids_that_anthropic_refuses_are_spelled_otherwise_in_call_and_result() -> None:
    history: list[Message] = [
        answer(call(call_id="functions.add:0"), call(call_id="functions_add_0")),
        Result(3, "functions.add:0", "add", "3"),
        Result(4, "functions_add_0", "add", "3"),
    ]
    asked, given = (message["content"] for message in body(history)["messages"])
    ids = [block["id"] for block in asked]
    assert ids == [block["tool_use_id"] for block in given]
    assert len(set(ids)) == 2
    assert ids[1] == "functions_add_0"
    kimi = body(history, said=model("kimi"))["messages"][0]["content"]
    assert kimi[0]["id"] == "functions.add:0"
