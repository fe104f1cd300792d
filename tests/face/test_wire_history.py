"""W, X: the history that is sent: whole, odd, broken, with images and cache breakpoints."""

from __future__ import annotations

import json
from typing import Any

from tests.wire import (
    MARK,
    arguments,
    called,
    chunk,
    delta,
    end,
    heard_by_agent,
    heard_by_hand,
    of,
    result,
    said,
    sent,
    user,
    ways,
)

from tinyagent import AgentMessage, AgentTool, ImageContent, UserMessage
from tinyagent.agent_types import (
    AssistantMessage,
    TextContent,
    ThinkingContent,
    ToolCallContent,
)
from tinyagent.caching import EPHEMERAL_CACHE


@ways
async def test_w4d_mistral_gets_names_of_tools_and_thoughts_as_text(heard: Any) -> None:
    thinks = called("c1", provider="mistral", model="m")
    thinks.content.insert(0, ThinkingContent(thinking="Hm."))
    body = (
        await sent(heard, user(), thinks, result("c1", "r"), model=of("mistral"), api_key="k")
    ).json
    assert "store" not in body
    assert body["messages"][1]["content"] == [{"type": "text", "text": "Hm."}]
    assert body["messages"][2]["name"] == "f"
    ids = (body["messages"][1]["tool_calls"][0]["id"], body["messages"][2]["tool_call_id"])
    assert ids[0] == ids[1]
    assert len(ids[0]) == 9


@ways
async def test_w3_history_with_calls_results_and_thoughts(heard: Any) -> None:
    thinks = AssistantMessage(
        content=[
            ThinkingContent(thinking="Hm.", thinking_signature="reasoning_content"),
            TextContent(text="One."),
            None,
            TextContent(text=""),
            TextContent(text="Two."),
            ToolCallContent(id="c1", name="f", arguments={"z": 1, "a": "ü"}),
        ],
        stop_reason="tool_calls",
        provider="demo",
        model="m",
        api="openai-completions",
    )
    other = said("Three.").model_copy(update={"provider": "elsewhere"})
    other.content.insert(0, ThinkingContent(thinking="Ha.", thinking_signature="reasoning"))
    history: list[AgentMessage] = [
        user("a"),
        thinks,
        result("c1", "r1", "r2", is_error=True),
        other,
        user("b"),
    ]
    request = await sent(heard, *history)
    assert request.json["messages"][1:-1] == [
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}],
            "reasoning_content": "Hm.",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"z":1,"a":"ü"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "r1\nr2"},
        {"role": "assistant", "content": [{"type": "text", "text": "Three."}]},
    ]


@ways
async def test_w3_an_answer_that_has_nothing_to_send_is_left_out(heard: Any) -> None:
    thought = AssistantMessage(content=[ThinkingContent(thinking="Hm.")], stop_reason="stop")
    request = await sent(heard, user("a"), thought, AssistantMessage(), user("b"))
    assert [message["role"] for message in request.json["messages"]] == ["user", "user"]


@ways
async def test_x10_images_are_sent(heard: Any) -> None:
    given = UserMessage(
        content=[
            TextContent(text="look"),
            ImageContent(url="https://example.org/a.png"),
            ImageContent(url="data:image/png;base64,AAAA"),
            ImageContent(url="BBBB", mime_type="image/jpeg"),
        ]
    )
    (message,) = (await sent(heard, given)).json["messages"]
    urls = [part["image_url"]["url"] for part in message["content"][1:]]
    assert urls == [
        "https://example.org/a.png",
        "data:image/png;base64,AAAA",
        "data:image/jpeg;base64,BBBB",
    ]


@ways
async def test_x10b_images_of_results_come_after_the_batch(heard: Any) -> None:
    image = ImageContent(url="https://example.org/a.png")
    history: list[AgentMessage] = [user(), called("c1", "c2")]
    history += [result("c1", "one", image), result("c2", "two")]
    messages = (await sent(heard, *history)).json["messages"]
    assert messages[2:] == [
        {"role": "tool", "tool_call_id": "c1", "content": "one\n(image follows)"},
        {"role": "tool", "tool_call_id": "c2", "content": "two"},
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}],
        },
    ]


@ways
async def test_x12_x13_what_a_history_says_of_itself_is_never_a_reason_to_refuse(
    heard: Any,
) -> None:
    odd = [
        AssistantMessage(content=[TextContent(text="A")], api="", provider="", model=""),
        AssistantMessage(content=[TextContent(text="B")], api="openai", stop_reason="complete"),
        AssistantMessage(content=[TextContent(text="C")], usage={"input": 1}),
        AssistantMessage(content=[TextContent(text="D")], usage={"cost": None}),
        AssistantMessage(content=[TextContent(text="E")], usage=None, api="telepathy"),
    ]
    odd[0] = AssistantMessage.model_validate({**odd[0].model_dump(), "mood": "good"})
    messages = (await sent(heard, user(), *odd, user())).json["messages"]
    texts = [message["content"][0]["text"] for message in messages]
    assert texts == ["hi", "A", "B", "C", "D", "E", "hi"]


@ways
async def test_x12d_arguments_that_are_only_text_are_sent(heard: Any) -> None:
    partial = AssistantMessage(
        content=[
            ToolCallContent(id="c1", name="f", partial_json='{"a": 1}'),
            ToolCallContent(id="c2", name="f", partial_json='{"a": '),
            ToolCallContent(id="c3", name="f", arguments={"b": 2}, partial_json="stale"),
        ],
        stop_reason="tool_calls",
    )
    results = [result("c1", "r"), result("c2", "r"), result("c3", "r")]
    request = await sent(heard, user(), partial, *results)
    assert arguments(request) == [{"a": 1}, {}, {"b": 2}]


async def test_x12e_dicts_strings_and_unknown_keys_by_hand() -> None:
    odd: list[Any] = [
        {"role": "user", "content": "hello", "mood": "good"},
        {"role": "assistant", "content": "Hi.", "stop_reason": "stop"},
        {"role": "note", "text": "for nobody"},
        {"role": "user", "content": [{"type": "text", "text": "\ud800!", "id": 7}]},
    ]
    messages = (await sent(heard_by_hand, *odd)).json["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert [message["content"][0]["text"] for message in messages] == ["hello", "Hi.", "\ufffd!"]


@ways
async def test_row_50_the_request_is_repaired_and_not_the_history(heard: Any) -> None:
    broken = AssistantMessage(
        content=[TextContent(text="half"), ToolCallContent(id="c9", name="f")],
        stop_reason="error",
        error_message="it broke",
    )
    history: list[AgentMessage] = [
        user(),
        called("c1", "c1"),
        result("c1", "first"),
        result("c1", "second"),
        result("lost", "nobody asked"),
        called("c2", None),
        result("c2", "third"),
        broken,
        user(),
    ]
    before = [message.model_dump_json() for message in history]
    messages = (await sent(heard, *history)).json["messages"]
    assert [message.model_dump_json() for message in history] == before
    asked = [call["id"] for m in messages for call in m.get("tool_calls", ())]
    answered = {m["tool_call_id"]: m["content"] for m in messages if m["role"] == "tool"}
    assert list(answered) == asked
    assert len(asked) == len(set(asked)) == 4
    assert list(answered.values()) == [
        "first",
        "second",
        "third",
        "No result was recorded for this call.",
    ]
    assert messages[-2] == {"role": "assistant", "content": [{"type": "text", "text": "half"}]}


# Caching


def marked(message: Any) -> list[Any]:
    return [part.get("cache_control") for part in message["content"]]


async def test_x14_caching_through_an_agent_marks_system_and_the_last_three() -> None:
    history = [message for n in range(4) for message in (user(f"q{n}"), said(f"a{n}"))]
    request = await sent(
        heard_by_agent,
        *history,
        user("q4"),
        model=of("openrouter"),
        api_key="k",
        system="S",
        enable_prompt_caching=True,
    )
    system, *rest = request.json["messages"]
    assert system["content"] == [{"type": "text", "text": "S", "cache_control": MARK}]
    users = [message for message in rest if message["role"] == "user"]
    assert [marked(message) for message in users] == [[None], [None], [MARK], [MARK], [MARK]]
    answers = [message for message in rest if message["role"] == "assistant"]
    assert all(marked(message) == [None] for message in answers)


@ways
async def test_x14_marks_of_the_host_are_sent_to_those_who_read_them(heard: Any) -> None:
    given = UserMessage(
        content=[TextContent(text="long", cache_control=EPHEMERAL_CACHE), TextContent(text="hi")]
    )
    for provider, is_sent in (("openrouter", True), ("openai", False), ("demo", False)):
        request = await sent(heard, given, model=of(provider), api_key="k", system="S")
        assert ("cache_control" in request.body.decode()) is is_sent
    assert EPHEMERAL_CACHE.model_dump() == MARK


async def test_x14_without_caching_nothing_is_marked() -> None:
    request = await sent(heard_by_agent, model=of("openrouter"), api_key="k", system="S")
    assert b"cache_control" not in request.body
    assert request.json["messages"][0] == {"role": "system", "content": "S"}


async def test_what_was_answered_is_sent_back_by_the_next_request() -> None:
    think = chunk([{"index": 0, "delta": {"reasoning": "Hm.", "content": None}}])
    call = [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"a": 1}'}}]
    first = think + delta(tool_calls=call) + end("tool_calls")
    tool = AgentTool(name="f", execute=lambda *_: "ok")
    found = await heard_by_agent([first], tools=[tool])
    answer, tool_result = found.requests[1].json["messages"][1:]
    assert (answer["reasoning"], answer["tool_calls"][0]["id"]) == ("Hm.", "c1")
    assert json.loads(answer["tool_calls"][0]["function"]["arguments"]) == {"a": 1}
    assert tool_result == {"role": "tool", "tool_call_id": "c1", "content": "ok"}
