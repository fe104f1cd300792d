"""Chat completions: what is sent, to whom, and how little of it is made anew."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tinyagent.actors.providers import openai, provider_for
from tinyagent.actors.providers.content import Mark
from tinyagent.actors.providers.history import History
from tinyagent.events.fact import ToolSpec
from tinyagent.events.messages import Assistant, Block, Message, Outcome, Result, User
from tinyagent.events.settings import Settings

ADD = ToolSpec("add", "Add", {"type": "object", "properties": {"b": {}, "a": {}}})
DATA = "data:image/png;base64,AAAA"


def model(provider: str = "openai", **more: Any) -> dict[str, Any]:
    return {"provider": provider, "id": "m", "api": "openai-completions", **more}


def body(
    messages: list[Message],
    *,
    said: dict[str, Any] | None = None,
    api: str = "openai-completions",
    system: str = "",
    tools: tuple[ToolSpec, ...] = (),
    **options: Any,
) -> dict[str, Any]:
    settings = Settings(model=said or model(), system=system, tools=tools, options=options)
    found: dict[str, Any] = json.loads(provider_for(api).body(settings, messages))
    return found


def answer(*blocks: Block, of: dict[str, Any] | None = None, outcome: Outcome = "ok") -> Assistant:
    return Assistant(2, blocks, of or model(), outcome)


def call(arguments: str = "{}", call_id: str = "c1", keep: Any = None) -> Block:
    return Block("call", arguments, call_id, "add", keep=keep)


def sent(*messages: Message, **more: Any) -> list[Any]:
    found: list[Any] = body(list(messages), **more)["messages"]
    return found


def test_a_whole_turn_is_sent_in_the_form_of_the_specification() -> None:
    history: list[Message] = [
        User(1, "hi"),
        answer(Block("text", "one"), call('{"b": 1, "a": 2}')),
        Result(3, "c1", "add", [{"type": "text", "text": "3"}, {"type": "text", "text": "!"}]),
    ]
    assert body(history, system="S", tools=(ADD,), temperature=0.5, max_tokens=9) == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "store": False,
        "max_completion_tokens": 9,
        "temperature": 0.5,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "add",
                    "description": "Add",
                    "parameters": {"type": "object", "properties": {"b": {}, "a": {}}},
                    "strict": False,
                },
            }
        ],
        "messages": [
            {"role": "system", "content": "S"},
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {
                "role": "assistant",
                "content": [{"type": "text", "text": "one"}],
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "add", "arguments": '{"b": 1, "a": 2}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "3\n!"},
        ],
    }


def test_keys_of_schemas_keep_the_order_that_the_user_wrote() -> None:
    settings = Settings(model=model(), tools=(ADD,))
    text = provider_for("openai-completions").body(settings, [])
    assert b'{"type":"object","properties":{"b":{},"a":{}}}' in text


def test_a_tool_without_schema_takes_an_empty_object() -> None:
    tools = body([], tools=(ToolSpec("now"),))["tools"]
    assert tools[0]["function"]["parameters"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize("written", ["", " ", "null", "[1]", '{"a":', '{"a": NaN}', '"x"'])
def test_arguments_that_are_no_object_go_out_empty(written: str) -> None:
    calls = sent(answer(call(written)))[0]["tool_calls"]
    assert calls[0]["function"]["arguments"] == "{}"


@pytest.mark.parametrize("blank", ["", "  \n"])
def test_a_blank_system_prompt_is_left_out(blank: str) -> None:
    assert sent(User(1, "hi"), system=blank)[0]["role"] == "user"


def test_user_content_is_always_a_list() -> None:
    assert sent(User(1, []), User(2, "x")) == [
        {"role": "user", "content": []},
        {"role": "user", "content": [{"type": "text", "text": "x"}]},
    ]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://x/y.png", "https://x/y.png"),
        (DATA, DATA),
        ("/9j/4AAQ", "data:image/jpeg;base64,/9j/4AAQ"),
    ],
)
def test_images_of_users_are_sent(url: str, expected: str) -> None:
    image = {"type": "image", "url": url, "mime_type": "image/jpeg"}
    assert sent(User(1, [image]))[0]["content"] == [
        {"type": "image_url", "image_url": {"url": expected}}
    ]


def test_images_in_results_follow_the_batch_in_a_message_of_the_user() -> None:
    image = {"type": "image", "url": DATA}
    history: list[Message] = [
        answer(call(call_id="a"), call(call_id="b")),
        Result(3, "a", "add", [{"type": "text", "text": "see"}, image]),
        Result(4, "b", "add", "plain"),
        User(5, "and?"),
    ]
    part = {"type": "image_url", "image_url": {"url": DATA}}
    assert sent(*history)[1:] == [
        {"role": "tool", "tool_call_id": "a", "content": "see\n(image follows)"},
        {"role": "tool", "tool_call_id": "b", "content": "plain"},
        {"role": "user", "content": [part]},
        {"role": "user", "content": [{"type": "text", "text": "and?"}]},
    ]


def test_an_answer_of_nothing_is_left_out() -> None:
    empty = answer(Block("text", ""), Block("think", "hm", sign="reasoning"))
    assert sent(User(1, "a"), empty, User(3, "b")) == sent(User(1, "a"), User(3, "b"))


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
def test_of_a_broken_answer_only_its_texts_are_sent(outcome: Outcome) -> None:
    broken = answer(
        Block("think", "hm", sign="reasoning"), Block("text", "so"), call(), outcome=outcome
    )
    assert sent(broken) == [{"role": "assistant", "content": [{"type": "text", "text": "so"}]}]


@pytest.mark.parametrize("field", openai.FIELDS)
def test_reasoning_goes_back_in_its_own_field(field: str) -> None:
    said = answer(
        Block("think", "a", sign=field), Block("text", "x"), Block("think", "b", sign=field)
    )
    assert sent(said)[0][field] == "ab"


@pytest.mark.parametrize(
    "other", [{"provider": "other"}, {"id": "other"}, {"api": "anthropic-messages"}]
)
def test_reasoning_of_another_model_is_left_out(other: dict[str, str]) -> None:
    thought = Block("think", "a", sign="reasoning", keep={"reasoning_details": [{}]})
    kept = call(keep={"extra_content": 1})
    said = sent(answer(thought, Block("text", "x"), kept, of=model() | other))[0]
    assert set(said) == {"role", "content", "tool_calls"}
    assert "extra_content" not in said["tool_calls"][0]


def test_details_of_reasoning_go_back_whole_and_instead_of_its_text() -> None:
    details = [{"type": "reasoning.encrypted", "data": "x", "index": 0}]
    thought = Block("think", "a", sign="reasoning", keep={"reasoning_details": details})
    said = sent(answer(thought, Block("text", "x")), said=model("openrouter"))
    assert sent(answer(thought, Block("text", "x")))[0]["reasoning_details"] == details
    assert "reasoning" not in said[0]


def test_reasoning_that_is_text_and_cipher_goes_back_as_both() -> None:
    thought = Block("think", "a", sign="reasoning_text", keep={"reasoning_opaque": "x"})
    said = sent(answer(thought, Block("text", "y")))[0]
    assert (said["reasoning_text"], said["reasoning_opaque"]) == ("a", "x")


def test_what_a_call_must_carry_back_is_in_it() -> None:
    kept = {"extra_content": {"google": {"thought_signature": "s"}}}
    assert sent(answer(call(keep=kept)))[0]["tool_calls"][0]["extra_content"] == {
        "google": {"thought_signature": "s"}
    }


def test_deepseek_gets_strings_and_reasoning_with_every_call() -> None:
    said = model("deepseek", reasoning=True)
    asked = body([User(1, "hi"), answer(call(), of=said)], said=said)
    assert asked["messages"][0]["content"] == "hi"
    assert asked["messages"][1]["reasoning_content"] == ""
    assert asked["messages"][1]["content"] == ""
    assert asked["thinking"] == {"type": "enabled"}


def test_mistral_gets_thoughts_as_parts_names_of_tools_and_ids_of_nine() -> None:
    said = model("mistral")
    thought = Block("think", "hm", sign="content[].thinking")
    asked, result = sent(
        answer(thought, Block("text", "x"), call(call_id="call_1"), of=said),
        Result(3, "call_1", "add", "3"),
        said=said,
    )
    assert asked["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "x"},
    ]
    assert len(result["tool_call_id"]) == 9
    assert asked["tool_calls"][0]["id"] == result["tool_call_id"]
    assert result["name"] == "add"


def test_openai_gets_ids_of_at_most_forty_characters() -> None:
    long = "call_" + "x" * 60
    asked, result = sent(answer(call(call_id=long)), Result(3, long, "add", "3"))
    assert len(result["tool_call_id"]) == 40
    assert asked["tool_calls"][0]["id"] == result["tool_call_id"]


# MiniMax


def minimax(*messages: Message, **more: Any) -> dict[str, Any]:
    said = model("minimax", api="minimax-completions", reasoning=more.pop("reasoning", False))
    return body(list(messages), said=said, api="minimax-completions", **more)


@pytest.mark.parametrize(
    ("asked", "expected"), [(0, 2.2250738585072014e-308), (0.7, 0.7), (1.5, 1.0)]
)
def test_minimax_gets_a_temperature_that_it_takes(asked: float, expected: float) -> None:
    assert minimax(temperature=asked)["temperature"] == expected


def test_minimax_splits_reasoning_when_it_is_on_and_keeps_nothing() -> None:
    assert minimax(reasoning=True, max_tokens=5) == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 5,
        "reasoning_split": True,
        "messages": [],
    }
    assert "reasoning_split" not in minimax()


def test_minimax_gets_thoughts_back_as_tags() -> None:
    of = model("minimax", api="minimax-completions")
    keep = {"reasoning_details": [{"text": "hm"}]}
    thought = Block("think", "hm", sign="reasoning_details", keep=keep)
    assert minimax(answer(thought, Block("text", "x"), of=of))["messages"] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "<think>hm</think>"},
                {"type": "text", "text": "x"},
            ],
        }
    ]


# Cache breakpoints


def test_only_openrouter_is_told_what_to_cache() -> None:
    history = [User(seq, f"u{seq}") for seq in range(1, 6)]
    assert "cache_control" not in json.dumps(body(list(history), system="S", prompt_caching=True))
    found = sent(*history, system="S", prompt_caching=True, said=model("openrouter"))
    marked = [message["content"][-1].get("cache_control") for message in found]
    mark = {"type": "ephemeral"}
    assert marked == [mark, None, None, mark, mark, mark]


def test_a_breakpoint_of_the_users_own_counts_without_the_option() -> None:
    block = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    found = sent(User(1, [block, {"type": "text", "text": "y"}]), said=model("openrouter"))
    assert found[0]["content"] == [block, {"type": "text", "text": "y"}]


# The request


def request(said: dict[str, Any], **more: Any) -> dict[str, str]:
    settings = Settings(model=said)
    found = provider_for("openai-completions").request(
        settings, b"{}", key=more.get("key", "k"), headers=more.get("headers", {})
    )
    return dict(found.headers)


def test_the_url_is_used_as_it_is_and_times_come_from_the_options() -> None:
    settings = Settings(
        model=model(base_url="http://x/v1/chat/completions?a=b"), options={"read_timeout_s": 5}
    )
    found = provider_for("openai-completions").request(settings, b"{}", key="k", headers={})
    assert (found.url, found.body) == ("http://x/v1/chat/completions?a=b", b"{}")
    assert found.api == "openai-completions"
    assert (found.connect_timeout_s, found.read_timeout_s) == (10.0, 5.0)


def test_headers_of_the_user_come_last_and_replace() -> None:
    found = request(model(), headers={"Authorization": "mine", "X-Title": "t", "bad name": "x"})
    assert found == {
        "content-type": "application/json",
        "accept": "text/event-stream",
        "authorization": "mine",
        "x-title": "t",
    }
    assert "x-cut" not in request(model(), headers={"x-cut": "a\r\nb"})


@pytest.mark.parametrize(("auth", "key"), [("none", "k"), ("bearer", None), ("bearer", "")])
def test_without_a_key_nothing_is_said_about_it(auth: str, key: str | None) -> None:
    assert "authorization" not in request(model(auth=auth), key=key)


def test_azure_gets_the_key_in_its_own_header() -> None:
    found = request(model("azure", base_url="https://r.openai.azure.com/openai/x?api-version=1"))
    assert found["api-key"] == "k"
    assert "authorization" not in found


# What is made anew


def test_of_a_longer_conversation_only_the_new_messages_are_encoded() -> None:
    encoded: list[Message] = []

    def encode(message: Message, mark: Mark) -> bytes:
        encoded.append(message)
        return b""

    history: list[Message] = [User(seq, "hi") for seq in range(1000)]
    kept = History[bytes]()
    kept.turns(history[:995], encode, list, style=1)
    encoded.clear()
    kept.turns(history, encode, list, style=1)
    assert encoded == history[995:]


def test_what_was_encoded_is_used_where_the_beginning_was_cut_off() -> None:
    history: list[Message] = [User(seq, f"u{seq}") for seq in range(9)]
    settings, provider = Settings(model=model()), provider_for("openai-completions")
    provider.body(settings, history)
    again = provider.body(settings, history[4:])
    assert again == provider_for("openai-completions").body(settings, history[4:])


def test_another_model_is_not_sent_what_was_encoded_for_the_last_one() -> None:
    thought = answer(Block("think", "hm", sign="reasoning"), Block("text", "x"))
    provider = provider_for("openai-completions")
    first = json.loads(provider.body(Settings(model=model()), [thought]))
    other = json.loads(provider.body(Settings(model=model() | {"id": "n"}), [thought]))
    assert "reasoning" in first["messages"][0]
    assert "reasoning" not in other["messages"][0]


def test_an_unknown_protocol_is_named() -> None:
    with pytest.raises(ValueError, match=r"^unsupported api `x`$"):
        provider_for("x")
