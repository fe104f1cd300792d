"""Examples for training: OpenAI's chat fine-tuning, and ShareGPT."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.recordings import REPLAYS, SCHEMA

from tinyagent.interchange import exported
from tinyagent.verbs import load


def example(name: str, to: str, **options: Any) -> tuple[dict[str, Any], dict[str, int]]:
    made = exported(load(REPLAYS / f"{name}.jsonl"), to, **options)
    assert made.body.count(b"\n") == 1
    return json.loads(made.body), made.left_out


def test_a_log_is_one_example_of_a_conversation_with_tools() -> None:
    told, lost = example("one-tool", "openai-chat")
    call = {"name": "weather", "arguments": '{"city":"Paris"}'}
    assert told["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Paris?"},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [{"id": "call_p", "type": "function", "function": call}],
        },
        {"role": "tool", "tool_call_id": "call_p", "content": "Paris: 21 °C, “sunny”"},
        {"role": "assistant", "content": "Sunny."},
        {"role": "user", "content": "Thanks."},
        {"role": "assistant", "content": "Welcome."},
    ]
    function = {"name": "weather", "description": "The weather.", "parameters": SCHEMA}
    assert told["tools"] == [{"type": "function", "function": function}]
    assert lost == {}


def test_failed_calls_are_left_out_unless_asked_for() -> None:
    told, lost = example("tool-error", "openai-chat")
    assert [message["role"] for message in told["messages"]] == ["system", "user", "assistant"]
    assert lost == {"failed calls": 2}
    told, lost = example("tool-error", "openai-chat", failed=True)
    roles = [message["role"] for message in told["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "tool", "assistant"]
    assert lost == {}


@pytest.mark.parametrize("to", ["openai-chat", "sharegpt"])
def test_an_answer_that_was_cut_off_teaches_nothing(to: str) -> None:
    _, lost = example("abort", to)
    assert lost == {"failed answers": 1, "messages without an answer": 1}


def test_thinking_is_counted_as_left_out() -> None:
    told, lost = example("thinking", "openai-chat")
    assert told["messages"][-1] == {"role": "assistant", "content": "42."}
    assert lost == {"thinking": 1}


def test_question_and_answer_alternate() -> None:
    told, lost = example("one-tool", "sharegpt")
    assert told["conversations"] == [
        {"from": "human", "value": "Weather in Paris?"},
        {"from": "function_call", "value": '{"name":"weather","arguments":{"city":"Paris"}}'},
        {"from": "observation", "value": "Paris: 21 °C, “sunny”"},
        {"from": "gpt", "value": "Sunny."},
        {"from": "human", "value": "Thanks."},
        {"from": "gpt", "value": "Welcome."},
    ]
    assert told["system"] == "Be brief."
    assert json.loads(told["tools"])[0]["parameters"] == SCHEMA
    assert lost == {"text beside calls": 1}


def test_calls_made_together_are_one_turn_and_steering_is_joined_to_results() -> None:
    told, lost = example("steering-and-hooks", "sharegpt")
    turns = told["conversations"]
    askers, answerers = {t["from"] for t in turns[::2]}, {t["from"] for t in turns[1::2]}
    assert askers <= {"human", "observation"}
    assert answerers <= {"gpt", "function_call"}
    assert lost == {"failed calls": 1, "turns joined": 1}
    told, _ = example("parallel-tools-out-of-order", "sharegpt")
    calls = json.loads(told["conversations"][1]["value"])
    assert [call["arguments"]["city"] for call in calls] == ["Paris", "Rome"]
