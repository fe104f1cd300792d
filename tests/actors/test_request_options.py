"""What the host may ask of a request, in the words of each protocol."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tinyagent.actors.providers import provider_for, table
from tinyagent.events.codec import plain
from tinyagent.events.fact import ToolSpec
from tinyagent.events.messages import Assistant, Block, Message, Result, User
from tinyagent.events.settings import Settings

CHAT, MINIMAX = "openai-completions", "minimax-completions"
RESPONSES, ANTHROPIC, GEMINI = "openai-responses", "anthropic-messages", "google-generative-ai"
MODELS = {
    CHAT: {"provider": "openai", "id": "gpt-4o", "api": CHAT},
    MINIMAX: {"provider": "minimax", "id": "MiniMax-M2.1", "api": MINIMAX},
    RESPONSES: {"provider": "openai", "id": "gpt-5", "api": RESPONSES},
    ANTHROPIC: {"provider": "anthropic", "id": "claude-sonnet-4-6", "api": ANTHROPIC},
    GEMINI: {"provider": "google", "id": "gemini-2.5-flash", "api": GEMINI},
}
ADD = ToolSpec("add", "Adds.", {"type": "object", "properties": {}})
SCHEMA = {
    "$defs": {"n": {"type": "integer"}},
    "type": "object",
    "properties": {"total": {"$ref": "#/$defs/n"}},
    "required": ["total"],
}
OUTPUT = {"name": "An invoice!", "schema": plain(SCHEMA)}


def body(
    api: str,
    *,
    model: dict[str, Any] | None = None,
    tools: tuple[ToolSpec, ...] = (),
    messages: list[Message] | None = None,
    **options: Any,
) -> dict[str, Any]:
    settings = Settings(model={**MODELS[api], **(model or {})}, tools=tools, options=options)
    sent = messages if messages is not None else [User(1, "hi")]
    found: dict[str, Any] = json.loads(provider_for(api).body(settings, sent))
    return found


@pytest.mark.parametrize("api", [CHAT, MINIMAX])
def test_chat_is_told_where_to_stop(api: str) -> None:
    assert body(api, stop=["END", "\n\n"])["stop"] == ["END", "\n\n"]
    assert "stop" not in body(api)


def test_anthropic_is_told_where_to_stop() -> None:
    assert body(ANTHROPIC, stop=["END"])["stop_sequences"] == ["END"]
    assert "stop_sequences" not in body(ANTHROPIC)


def test_gemini_is_told_where_to_stop() -> None:
    assert body(GEMINI, stop=["END"])["generationConfig"] == {"stopSequences": ["END"]}
    assert "generationConfig" not in body(GEMINI)


def test_responses_has_no_place_for_it_and_says_so() -> None:
    with pytest.raises(ValueError, match="openai-responses has no stop sequences"):
        body(RESPONSES, stop=["END"])


@pytest.mark.parametrize("api", [CHAT, RESPONSES])
def test_openai_is_told_whether_calls_may_come_at_once(api: str) -> None:
    for said in (True, False):
        assert body(api, tools=(ADD,), parallel_tool_calls=said)["parallel_tool_calls"] is said
    assert "parallel_tool_calls" not in body(api, tools=(ADD,))
    assert "parallel_tool_calls" not in body(api, parallel_tool_calls=False)


NAMED = {"type": "function", "function": {"name": "add"}}


@pytest.mark.parametrize(
    ("api", "choice", "expected"),
    [
        (CHAT, "auto", "auto"),
        (CHAT, "required", "required"),
        (CHAT, "none", "none"),
        (CHAT, "add", NAMED),
        (RESPONSES, "required", "required"),
        (RESPONSES, "add", {"type": "function", "name": "add"}),
        (ANTHROPIC, "auto", {"type": "auto"}),
        (ANTHROPIC, "required", {"type": "any"}),
        (ANTHROPIC, "none", {"type": "none"}),
        (ANTHROPIC, "add", {"type": "tool", "name": "add"}),
    ],
)
def test_a_tool_may_be_demanded(api: str, choice: str, expected: Any) -> None:
    assert body(api, tools=(ADD,), tool_choice=choice)["tool_choice"] == expected
    assert "tool_choice" not in body(api, tools=(ADD,))
    assert "tool_choice" not in body(api, tool_choice=choice)  # without tools it is refused


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"mode": "AUTO"}),
        ("required", {"mode": "ANY"}),
        ("none", {"mode": "NONE"}),
        ("add", {"mode": "ANY", "allowedFunctionNames": ["add"]}),
    ],
)
def test_gemini_is_told_in_its_own_words(choice: str, expected: Any) -> None:
    found = body(GEMINI, tools=(ADD,), tool_choice=choice)["toolConfig"]
    assert found == {"functionCallingConfig": expected}
    assert "toolConfig" not in body(GEMINI, tool_choice=choice)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", {"type": "any", "disable_parallel_tool_use": True}),
        ("add", {"type": "tool", "name": "add", "disable_parallel_tool_use": True}),
        ("none", {"type": "none"}),
    ],
)
def test_anthropic_is_told_both_in_one_field(choice: str | None, expected: Any) -> None:
    found = body(ANTHROPIC, tools=(ADD,), parallel_tool_calls=False, tool_choice=choice)
    assert found["tool_choice"] == expected


# Answers of a given form


def test_chat_holds_an_answer_to_a_schema() -> None:
    form = {"name": "An_invoice_", "schema": SCHEMA, "strict": False}
    expected = {"type": "json_schema", "json_schema": form}
    assert body(CHAT, output=OUTPUT)["response_format"] == expected
    strict = body(CHAT, output={**OUTPUT, "strict": True})["response_format"]
    assert strict["json_schema"]["strict"] is True


def test_responses_holds_an_answer_to_a_schema() -> None:
    form = {"type": "json_schema", "name": "An_invoice_", "schema": SCHEMA, "strict": False}
    assert body(RESPONSES, output=OUTPUT)["text"] == {"format": form}


def test_anthropic_holds_an_answer_to_a_schema_beside_its_effort() -> None:
    form = {"type": "json_schema", "schema": SCHEMA}
    assert body(ANTHROPIC, output=OUTPUT)["output_config"] == {"format": form}
    adaptive = body(ANTHROPIC, model={"id": "claude-opus-4-7"}, output=OUTPUT, reasoning="high")
    assert adaptive["output_config"] == {"effort": "high", "format": form}


def test_gemini_holds_an_answer_to_a_schema() -> None:
    config = body(GEMINI, output=OUTPUT)["generationConfig"]
    assert config == {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
    newer = body(GEMINI, model={"id": "gemini-3-pro"}, tools=(ADD,), output=OUTPUT)
    assert newer["generationConfig"] == config


@pytest.mark.parametrize(
    ("api", "model", "tools"),
    [
        (CHAT, {"provider": "deepseek", "id": "deepseek-chat"}, ()),
        (CHAT, {"provider": "zai", "id": "glm-4.7"}, ()),
        (MINIMAX, {}, ()),
        (ANTHROPIC, {"id": "claude-sonnet-4-20250514"}, ()),
        (ANTHROPIC, {"provider": "kimi", "id": "kimi-for-coding"}, ()),
        (GEMINI, {"id": "gemini-2.5-flash"}, (ADD,)),
    ],
)
def test_who_holds_no_answer_to_a_schema_says_so_and_what_to_do(
    api: str, model: dict[str, Any], tools: tuple[ToolSpec, ...]
) -> None:
    with pytest.raises(ValueError, match="holds no answer to a schema") as caught:
        body(api, model=model, tools=tools, output=OUTPUT)
    assert str(caught.value).endswith("leave out `output`, or let a tool take the answer")
    assert not table.holds_schema({**MODELS[api], **model}, has_tools=bool(tools))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claude-opus-4-1-20250805", True),
        ("claude-opus-4-5", True),
        ("claude-opus-4.7", True),
        ("claude-sonnet-4-5-20250929", True),
        ("claude-haiku-4-5", True),
        ("claude-sonnet-5", True),
        ("claude-opus-4-20250514", False),
        ("claude-sonnet-4-20250514", False),
        ("claude-3-7-sonnet-latest", False),
    ],
)
def test_anthropics_newer_models_hold_answers_to_schemas(name: str, expected: bool) -> None:
    model = {**MODELS[ANTHROPIC], "id": name}
    assert table.holds_schema(model, has_tools=True) is expected


# Fields of a provider's own


@pytest.mark.parametrize("api", list(MODELS))
def test_fields_of_the_users_own_come_last_and_objects_are_merged(api: str) -> None:
    more = {"provider": {"order": ["a"]}, "model": "other", "$top": {"$x": 1}}
    found = body(api, temperature=0.5, extra_body=plain(more))
    assert found["provider"] == {"order": ["a"]}
    assert found["model"] == "other"
    assert found["$top"] == {"$x": 1}


def test_an_object_of_ours_keeps_what_the_user_does_not_replace() -> None:
    found = body(GEMINI, temperature=0.5, extra_body={"generationConfig": {"topK": 3}})
    assert found["generationConfig"] == {"temperature": 0.5, "topK": 3}
    chat = body(CHAT, extra_body={"stream_options": {"include_obfuscation": False}})
    assert chat["stream_options"] == {"include_usage": True, "include_obfuscation": False}


# Histories with tools


def test_litellm_is_sent_an_empty_list_of_tools_with_results_and_nobody_else() -> None:
    history: list[Message] = [
        User(1, "hi"),
        Assistant(2, (Block("call", "{}", "c1", "add"),), MODELS[CHAT]),
        Result(3, "c1", "add", "3"),
    ]
    litellm = {"provider": "litellm"}
    assert body(CHAT, model=litellm, messages=history)["tools"] == []
    assert "tools" not in body(CHAT, model=litellm)
    assert "tools" not in body(CHAT, messages=history)
