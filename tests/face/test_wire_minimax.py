"""M: MiniMax: its request, its reasoning apart or between tags, its errors with status 200."""

from __future__ import annotations

from typing import Any

import pytest
from tests.wire import (
    DONE,
    arguments,
    call,
    chunk,
    delta,
    deltas,
    end,
    heard_by_agent,
    heard_by_hand,
    of,
    user,
)

from tinyagent import AgentTool
from tinyagent.agent_types import AssistantMessage, Model, TextContent, ThinkingContent
from tinyagent.alchemy_provider import OpenAICompatModel
from tinyagent.rust_binding_provider import RustBindingModel, stream_rust_binding
from tinyagent.testing import json_reply, sse

ways = pytest.mark.parametrize("heard", [heard_by_hand, heard_by_agent])
OK = delta(content="Hi.") + end()
BOTH = "start think_start0 think_delta0 think_end0 text_start1 text_delta1 text_end1 done"
MINIMAX: dict[str, Any] = {"api_key": "k", "model": of("minimax")}
CALL = '{"city": "Rome"}'


@pytest.mark.parametrize(
    ("fields", "api"),
    [
        ({"provider": "minimax"}, "minimax-completions"),
        ({"provider": "minimax-cn"}, "minimax-completions"),
        ({"provider": "minimax", "api": "openai-completions"}, "openai-completions"),
        ({"provider": "minimax", "api": ""}, ""),
        ({"provider": "openrouter"}, "openai-completions"),
        ({}, "openai-completions"),
    ],
)
def test_m0_the_api_is_inferred_when_the_model_is_made(fields: Any, api: str) -> None:
    assert OpenAICompatModel(**fields).api == api
    assert OpenAICompatModel.model_validate(fields).api == api


@ways
async def test_m0_the_inferred_api_is_spoken(heard: Any) -> None:
    found = await heard(OK, **MINIMAX)
    assert found.message.api == "minimax-completions"
    assert "store" not in found.requests[0].json


@ways
async def test_m1_the_request(heard: Any) -> None:
    tool = AgentTool(name="f", description="d", parameters={"type": "object"})
    found = await heard(OK, **MINIMAX, system="S", max_tokens=64, tools=[tool])
    assert found.requests[0].headers["authorization"] == "Bearer k"
    assert found.requests[0].json == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 64,
        "messages": [
            {"role": "system", "content": "S"},
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "description": "d",
                    "parameters": {"type": "object"},
                    "strict": False,
                },
            }
        ],
    }


@ways
@pytest.mark.parametrize(
    ("given", "sent"), [(0.0, 2.2250738585072014e-308), (0.5, 0.5), (1.0, 1.0), (1.7, 1.0)]
)
async def test_m1b_the_temperature_is_clamped(heard: Any, given: float, sent: float) -> None:
    found = await heard(OK, **MINIMAX, temperature=given)
    assert found.requests[0].json["temperature"] == sent


@ways
@pytest.mark.parametrize("reasoning", [True, "high"])
async def test_m1b_reasoning_is_asked_for_apart(heard: Any, reasoning: Any) -> None:
    found = await heard(OK, api_key="k", model=of("minimax", reasoning=reasoning), system="S")
    body = found.requests[0].json
    assert (body["reasoning_split"], body["messages"][0]["role"]) == (True, "system")
    assert "reasoning_effort" not in body


@ways
async def test_m1_thoughts_go_back_between_tags(heard: Any) -> None:
    thinks = AssistantMessage(
        content=[ThinkingContent(thinking="Hm."), TextContent(text="One.")], stop_reason="stop"
    )
    found = await heard(OK, user(), thinks, user(), **MINIMAX)
    assert found.requests[0].json["messages"][1] == {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "<think>Hm.</think>"},
            {"type": "text", "text": "One."},
        ],
    }


@ways
@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
async def test_m2_tags_are_found_wherever_the_chunks_are_cut(heard: Any, size: int) -> None:
    text = "<think>Let me\nsee.</think>It is < 5 </b>."
    body = b"".join(delta(content=text[at : at + size]) for at in range(0, len(text), size))
    found = await heard(body + end(), **MINIMAX)
    assert found.blocks == [
        ("thinking", "Let me\nsee.", "think_tag"),
        ("text", "It is < 5 </b>."),
    ]
    assert found.words == BOTH


@ways
@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("<think></think>Hi.", [("text", "Hi.")]),
        (
            "Hi.<think>Hm.</think>Ho.",
            [("text", "Hi."), ("thinking", "Hm.", "think_tag"), ("text", "Ho.")],
        ),
        ("Hi.<thi", [("text", "Hi.<thi")]),
        ("<think>Hm.", [("thinking", "Hm.", "think_tag")]),
        ("<think>Hm.</thi", [("thinking", "Hm.</thi", "think_tag")]),
    ],
)
async def test_m2_tags_in_odd_places(heard: Any, text: str, blocks: Any) -> None:
    assert (await heard(delta(content=text) + end(), **MINIMAX)).blocks == blocks


@ways
async def test_m2_tags_are_text_everywhere_else(heard: Any) -> None:
    found = await heard(delta(content="<think>Hm.</think>Hi.") + end())
    assert found.blocks == [("text", "<think>Hm.</think>Hi.")]


def details(*texts: str) -> list[dict[str, Any]]:
    return [{"type": "reasoning.text", "text": text} for text in texts]


@ways
async def test_m3_reasoning_details_win_and_come_before_the_text(heard: Any) -> None:
    body = delta(content="Hi.", reasoning_details=details("Let ", "me"), reasoning_content="NO")
    found = await heard(body + end(), **MINIMAX)
    assert (found.words, found.blocks) == (
        BOTH,
        [("thinking", "Let me", "reasoning_details"), ("text", "Hi.")],
    )


@ways
async def test_m3b_reasoning_details_in_pieces(heard: Any) -> None:
    body = delta(reasoning_details=details("Let ")) + delta(reasoning_details=details("me see."))
    found = await heard(body + delta(content="Hi.") + end(), **MINIMAX)
    assert deltas(found.events, 0) == ["Let ", "me see."]
    assert found.blocks == [("thinking", "Let me see.", "reasoning_details"), ("text", "Hi.")]


@ways
async def test_m4_a_running_call_goes_on_before_the_text_of_its_chunk(heard: Any) -> None:
    more = [{"index": 0, "function": {"arguments": ' "Rome"}'}}]
    body = call(0, "c1", "f", '{"city":') + delta(content="There.", tool_calls=more)
    found = await heard(body + end("tool_calls"), **MINIMAX)
    assert found.blocks == [("call", "c1", "f", {"city": "Rome"}), ("text", "There.")]
    assert found.words == (
        "start call_start0 call_delta0 call_end0 text_start1 text_delta1 text_end1 done"
    )


@ways
async def test_m4b_text_between_the_fragments_loses_no_arguments(heard: Any) -> None:
    body = call(0, "c1", "f", '{"city":') + delta(content="Well.")
    body += call(0, "", None, ' "Rome"}')
    found = await heard(body + end("tool_calls"), **MINIMAX)
    assert found.blocks == [("call", "c1", "f", {"city": "Rome"}), ("text", "Well.")]


@ways
@pytest.mark.parametrize("stream", [True, False])
async def test_m5_an_error_with_status_200_is_an_error(heard: Any, stream: bool) -> None:
    told = {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}
    body = sse({**told, "choices": None}) if stream else json_reply(told)
    found = await heard(body, **MINIMAX)
    message = found.message
    assert (message.stop_reason, message.error_kind) == ("error", "refused")
    assert "insufficient balance" in message.error_message
    assert found.words.split()[-1] == "error"


@ways
async def test_m5_a_status_of_nought_is_none(heard: Any) -> None:
    fine = chunk([], base_resp={"status_code": 0, "status_msg": ""})
    found = await heard(delta(content="Hi.") + fine + delta("stop") + fine + DONE, **MINIMAX)
    assert found.message.error_message is None
    assert found.blocks == [("text", "Hi.")]


async def test_the_other_function_infers_it_too() -> None:
    def model(url: str) -> Model:
        return RustBindingModel(provider="minimax-cn", id="m", base_url=url)

    found = await heard_by_hand(OK, model=model, stream_fn=stream_rust_binding, api_key="k")
    assert found.message.api == "minimax-completions"
    assert "store" not in found.requests[0].json


async def test_a_tool_is_called_with_what_minimax_sent() -> None:
    given: list[Any] = []

    def execute(call_id: str, args: Any, *_: Any) -> str:
        given.append(args)
        return "Sunny."

    tool = AgentTool(name="f", execute=execute)
    first = delta(content="<think>Hm.</think>") + call(0, "c1", "f", CALL) + end("tool_calls")
    found = await heard_by_agent([first], tools=[tool], **MINIMAX)
    assert given == [{"city": "Rome"}]
    assert arguments(found.requests[1]) == [{"city": "Rome"}]
    answer = found.requests[1].json["messages"][1]
    assert answer["content"] == [{"type": "text", "text": "<think>Hm.</think>"}]
