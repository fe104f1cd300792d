"""OpenAI's responses: items, and reasoning that goes back encrypted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tinyagent.actors.providers import provider_for
from tinyagent.events.fact import ToolSpec
from tinyagent.events.messages import Assistant, Block, Message, Outcome, Result, User
from tinyagent.events.settings import Settings

ADD = ToolSpec("add", "Add", {"type": "object", "properties": {"b": {}, "a": {}}})
SECRET = "gAAAA=="
REASONED = {
    "id": "rs_1",
    "type": "reasoning",
    "status": "completed",
    "summary": [{"type": "summary_text", "text": "hm"}],
    "encrypted_content": SECRET,
}


def model(provider: str = "openai", **more: Any) -> dict[str, Any]:
    return {"provider": provider, "id": "gpt-4o", "api": "openai-responses", **more}


def body(messages: list[Message], *, said: dict[str, Any] | None = None, **more: Any) -> Any:
    system, tools = more.pop("system", ""), more.pop("tools", ())
    settings = Settings(model=said or model(), system=system, tools=tools, options=more)
    return json.loads(provider_for("openai-responses").body(settings, messages))


def answer(*blocks: Block, outcome: Outcome = "ok") -> Assistant:
    return Assistant(2, blocks, model(), outcome)


def call(call_id: str = "c1") -> Block:
    return Block("call", '{"b": 1}', call_id, "add")


def test_a_whole_turn_is_a_list_of_items() -> None:
    history: list[Message] = [
        User(1, "hi"),
        answer(Block("think", "hm", keep=REASONED), Block("text", "one"), call()),
        Result(3, "c1", "add", "3"),
    ]
    assert body(history, system="S", tools=(ADD,), temperature=0.5, max_tokens=9) == {
        "model": "gpt-4o",
        "stream": True,
        "store": False,
        "instructions": "S",
        "max_output_tokens": 9,
        "temperature": 0.5,
        "tools": [
            {
                "type": "function",
                "name": "add",
                "description": "Add",
                "parameters": ADD.schema,
                "strict": False,
            }
        ],
        "input": [
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "hi"}],
            },
            {
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": "hm"}],
                "encrypted_content": SECRET,
            },
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "one"}],
            },
            {
                "type": "function_call",
                "call_id": "c1",
                "name": "add",
                "arguments": '{"b": 1}',
            },
            {"type": "function_call_output", "call_id": "c1", "output": "3"},
        ],
    }


def test_reasoning_goes_back_only_to_the_model_that_it_came_from() -> None:
    said = answer(Block("think", "hm", keep=REASONED), call())
    items = body([said], said=model() | {"id": "gpt-5"})["input"]
    assert [item["type"] for item in items] == ["function_call", "function_call_output"]


def test_an_encrypted_item_may_be_known_by_its_signature_alone() -> None:
    items = body([answer(Block("think", "hm", sign=SECRET), call())])["input"]
    assert items[0] == {"type": "reasoning", "summary": [], "encrypted_content": SECRET}


def test_open_reasoning_goes_back_as_it_came_and_a_mere_summary_does_not() -> None:
    text = [{"type": "reasoning_text", "text": "hm"}]
    opened = {"type": "reasoning", "id": "r", "summary": [], "content": text}
    items = body([answer(Block("think", keep=opened), call())])["input"]
    assert items[0] == {"type": "reasoning", "summary": [], "content": text}
    summary = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
    items = body([answer(Block("think", keep=summary), call())])["input"]
    assert items[0]["type"] == "function_call"


def test_reasoning_that_nothing_follows_is_left_out() -> None:
    kept = Block("think", keep=REASONED)
    assert body([answer(kept)])["input"] == []
    types = [item["type"] for item in body([answer(Block("text", "x"), kept)])["input"]]
    assert types == ["message"]


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
def test_of_a_broken_answer_only_its_texts_are_sent(outcome: Outcome) -> None:
    broken = answer(Block("think", keep=REASONED), Block("text", "so"), call(), outcome=outcome)
    assert [item["type"] for item in body([broken])["input"]] == ["message"]


def test_other_items_go_back_without_the_id_of_what_is_not_stored() -> None:
    item = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"q": "x"}}
    assert body([answer(Block("keep", keep=item), Block("text", "x"))])["input"][0] == {
        "type": "web_search_call",
        "action": {"q": "x"},
    }


def test_what_an_item_carries_besides_goes_back_to_the_same_model() -> None:
    said = answer(
        Block("text", "x", keep={"phase": "commentary", "id": "msg_1"}),
        Block("call", "{}", "c1", "add", keep={"caller": {"type": "direct"}}),
    )
    text, asked, _ = body([said])["input"]
    assert (text["phase"], "id" in text) == ("commentary", False)
    assert asked["caller"] == {"type": "direct"}
    other = body([said], said=model() | {"id": "gpt-5"})["input"]
    assert "phase" not in other[0]


@pytest.mark.parametrize(
    ("model_id", "reasoning", "include", "asked"),
    [
        ("gpt-4o", False, False, None),
        ("gpt-5-nano", False, True, None),
        ("o3", True, True, {"summary": "auto"}),
        ("gpt-5", "high", True, {"effort": "high", "summary": "auto"}),
        ("gpt-5-chat-latest", False, False, None),
        ("grok-4", "low", True, {"effort": "low", "summary": "auto"}),
    ],
)
def test_encrypted_reasoning_is_asked_for_where_there_is_some(
    model_id: str, reasoning: str | bool, include: bool, asked: dict[str, str] | None
) -> None:
    found = body([], said=model() | {"id": model_id, "reasoning": reasoning})
    assert (found.get("include") == ["reasoning.encrypted_content"]) is include
    assert found.get("reasoning") == asked


def test_images_are_sent_from_users_and_inside_results() -> None:
    image = {"type": "image", "url": "AAAA", "mime_type": "image/png"}
    part = {
        "type": "input_image",
        "image_url": "data:image/png;base64,AAAA",
        "detail": "auto",
    }
    said, _, given = body([User(1, [image]), answer(call()), Result(3, "c1", "add", [image])])[
        "input"
    ]
    assert said["content"] == [part]
    assert given["output"] == [part]


def test_a_long_call_id_is_cut_in_call_and_result() -> None:
    asked, given = body([answer(call("c" * 90)), Result(3, "c" * 90, "add", "3")])["input"]
    assert asked["call_id"] == given["call_id"]
    assert len(given["call_id"]) == 64


def test_the_session_names_the_cache() -> None:
    assert body([], session_id="s")["prompt_cache_key"] == "s"


def test_xai_gets_the_system_prompt_as_a_message() -> None:
    found = body([User(1, "hi")], said=model("xai"), system="S")
    assert found["input"][0] == {"role": "system", "content": "S"}
    assert "instructions" not in found


def test_the_url_is_used_as_it_is() -> None:
    said = model(base_url="https://api.openai.com/v1/responses")
    found = provider_for("openai-responses").request(
        Settings(model=said), b"{}", key="k", headers={}
    )
    assert found.url == "https://api.openai.com/v1/responses"
    assert ("authorization", "Bearer k") in found.headers
