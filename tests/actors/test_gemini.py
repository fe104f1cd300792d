"""Gemini's contents: parts, and signatures that stay with theirs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tinyagent.actors.providers import provider_for
from tinyagent.actors.providers.gemini import FOREIGN
from tinyagent.events.fact import ToolSpec
from tinyagent.events.messages import Assistant, Block, Message, Outcome, Result, User
from tinyagent.events.settings import Settings

ADD = ToolSpec("add", "Add", {"type": "object", "properties": {"b": {}, "a": {}}})


def model(model_id: str = "gemini-2.5-flash", **more: Any) -> dict[str, Any]:
    return {"provider": "google", "id": model_id, "api": "google-generative-ai", **more}


def body(messages: list[Message], *, said: dict[str, Any] | None = None, **more: Any) -> Any:
    system, tools = more.pop("system", ""), more.pop("tools", ())
    settings = Settings(model=said or model(), system=system, tools=tools, options=more)
    return json.loads(provider_for("google-generative-ai").body(settings, messages))


def answer(*blocks: Block, of: dict[str, Any] | None = None, outcome: Outcome = "ok") -> Assistant:
    return Assistant(2, blocks, of or model(), outcome)


def call(call_id: str = "call_0", sign: str = "") -> Block:
    return Block("call", '{"b": 1}', call_id, "add", sign)


def test_a_whole_turn_is_contents_of_parts() -> None:
    history: list[Message] = [
        User(1, "hi"),
        answer(Block("think", "hm", sign="S1"), Block("text", "one"), call(sign="S2")),
        Result(3, "call_0", "add", "3"),
    ]
    assert body(history, system="S", tools=(ADD,), temperature=0.5, max_tokens=9) == {
        "systemInstruction": {"parts": [{"text": "S"}]},
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "add", "description": "Add", "parametersJsonSchema": ADD.schema}
                ]
            }
        ],
        "generationConfig": {"maxOutputTokens": 9, "temperature": 0.5},
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {
                "role": "model",
                "parts": [
                    {"text": "hm", "thought": True, "thoughtSignature": "S1"},
                    {"text": "one"},
                    {
                        "functionCall": {"name": "add", "args": {"b": 1}},
                        "thoughtSignature": "S2",
                    },
                ],
            },
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": "add", "response": {"output": "3"}}}],
            },
        ],
    }


def test_ids_that_the_model_gave_go_back_and_made_up_ones_do_not() -> None:
    history: list[Message] = [answer(call("abc"), call("call_1")), Result(3, "abc", "add", "3")]
    asked, given = body(history)["contents"]
    assert [part["functionCall"].get("id") for part in asked["parts"]] == ["abc", None]
    assert [part["functionResponse"].get("id") for part in given["parts"]] == ["abc", None]


def test_a_signature_on_an_empty_text_goes_back() -> None:
    said = answer(Block("text", "x"), Block("text", "", sign="S"))
    assert body([said])["contents"][0]["parts"] == [
        {"text": "x"},
        {"text": "", "thoughtSignature": "S"},
    ]


def test_signatures_go_back_only_to_the_model_that_they_came_from() -> None:
    said = answer(Block("think", "hm", sign="S1"), Block("text", "x", sign="S2"), call(sign="S3"))
    parts = body([said], said=model("gemini-2.5-pro"))["contents"][0]["parts"]
    assert parts == [{"text": "x"}, {"functionCall": {"name": "add", "args": {"b": 1}}}]


def test_the_first_call_of_another_model_is_excused_where_a_signature_is_demanded() -> None:
    said = answer(call("a"), call("b"))
    parts = body([said], said=model("gemini-3-pro-preview"))["contents"][0]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [FOREIGN, None]


def test_signatures_that_a_decoder_kept_go_back_on_their_parts() -> None:
    kept = {"thoughtSignature": "S"}
    said = answer(
        Block("think", "hm", keep=kept),
        Block("text", "x", keep=kept),
        Block("call", "{}", "call_0", "add", keep=kept),
        Block("think", "unsigned"),
    )
    assert body([said])["contents"][0]["parts"] == [
        {"text": "hm", "thought": True, **kept},
        {"text": "x", **kept},
        {"functionCall": {"name": "add", "args": {}}, **kept},
    ]


def test_parts_that_only_gemini_reads_go_back_unchanged() -> None:
    kept = {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "S"}
    assert body([answer(Block("keep", keep=kept))])["contents"][0]["parts"] == [kept]


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
def test_of_a_broken_answer_only_its_texts_are_sent(outcome: Outcome) -> None:
    broken = answer(Block("think", "hm", sign="S"), Block("text", "so"), call(), outcome=outcome)
    assert body([broken])["contents"] == [{"role": "model", "parts": [{"text": "so"}]}]


def test_results_of_a_turn_are_in_one_content_and_their_images_in_the_next() -> None:
    image = {"type": "image", "url": "AAAA", "mime_type": "image/png"}
    history: list[Message] = [
        answer(call("a"), call("b")),
        Result(3, "a", "add", [image]),
        Result(4, "b", "add", "no", ok=False),
        User(5, "and?"),
    ]
    given, images, said = body(history)["contents"][1:]
    assert [part["functionResponse"]["response"] for part in given["parts"]] == [
        {"output": "(image follows)"},
        {"error": "no"},
    ]
    assert images == {
        "role": "user",
        "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}],
    }
    assert said["parts"] == [{"text": "and?"}]


def test_an_image_elsewhere_is_named_by_its_address() -> None:
    image = {"type": "image", "url": "https://x/y.png"}
    assert body([User(1, [image])])["contents"][0]["parts"] == [
        {"fileData": {"fileUri": "https://x/y.png"}}
    ]


@pytest.mark.parametrize(
    ("model_id", "reasoning", "expected"),
    [
        ("gemini-2.5-flash", False, None),
        ("gemini-2.5-flash", "low", {"includeThoughts": True, "thinkingBudget": 2048}),
        ("gemini-2.5-flash", True, {"includeThoughts": True}),
        ("gemini-3-pro-preview", "medium", {"includeThoughts": True, "thinkingLevel": "high"}),
        ("gemini-3-flash", "medium", {"includeThoughts": True, "thinkingLevel": "medium"}),
        ("gemini-3-flash", "xhigh", {"includeThoughts": True, "thinkingLevel": "high"}),
    ],
)
def test_thinking_is_asked_for_by_budget_or_by_level(
    model_id: str, reasoning: str | bool, expected: dict[str, Any] | None
) -> None:
    config = body([], said=model(model_id, reasoning=reasoning)).get("generationConfig", {})
    assert config.get("thinkingConfig") == expected


def test_the_model_is_in_the_url_and_the_key_in_its_own_header() -> None:
    said = model(base_url="https://generativelanguage.googleapis.com/v1beta/")
    provider = provider_for("google-generative-ai")
    found = provider.request(Settings(model=said), b"{}", key="k", headers={})
    assert found.url == (
        "https://generativelanguage.googleapis.com/v1beta"
        "/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    )
    assert ("x-goog-api-key", "k") in found.headers


def test_vertex_gets_a_token_and_no_ids() -> None:
    root = "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/publishers/google"
    said = model(base_url=root)
    provider = provider_for("google-generative-ai")
    found = provider.request(Settings(model=said), b"{}", key="k", headers={})
    assert ("authorization", "Bearer k") in found.headers
    part = body([answer(call("abc"))], said=said)["contents"][0]["parts"][0]
    assert "id" not in part["functionCall"]
