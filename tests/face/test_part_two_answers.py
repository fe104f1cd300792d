"""Part two: how answers are read: framing, interleaved calls, odd usage, other shapes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.agents import live, ok
from tests.traces import tool
from tests.wire import DONE, blocks, call, chunk, delta, end, ways

from tinyagent import AssistantMessage, load
from tinyagent.testing import ProviderServer, Reply, chat, close_after, completion, rechunked

TEXT = "Grüße, 世界 🌍\u2028\u0085!"
PLAIN = "start text_start0 text_delta0 text_end0 done"


# 35: framing


@ways
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
async def test_row_35_where_the_bytes_are_cut_makes_no_difference(
    heard: Any, newline: bytes, size: int
) -> None:
    body = (b": ping\n\n" + delta(content=TEXT) + end(prompt_tokens=3)).replace(b"\n", newline)
    found = await heard(rechunked(body, [size]))
    assert (found.words, found.blocks) == (PLAIN, [("text", TEXT)])
    assert found.message.usage["input"] == 3


@ways
async def test_row_35_an_event_may_have_several_data_lines(heard: Any) -> None:
    payload = {"choices": [{"index": 0, "delta": {"content": "Hi."}}]}
    lines = json.dumps(payload, indent=1).split("\n")
    event = "".join(f"data: {line}\n" for line in lines).encode() + b"\n"
    found = await heard(event + end())
    assert (found.words, found.blocks) == (PLAIN, [("text", "Hi.")])


@ways
@pytest.mark.parametrize("cut", [1, 2])
async def test_row_35_the_last_event_counts_without_its_newline(heard: Any, cut: int) -> None:
    found = await heard((delta(content="Hi") + delta("stop", content="."))[:-cut])
    assert (found.words, found.blocks) == (PLAIN, [("text", "Hi.")])


# 36: tool calls


@ways
async def test_row_36_calls_are_told_apart_by_their_index(heard: Any) -> None:
    body = (
        call(1, "c2", "g", '{"b"')
        + call(0, "c1", "f", '{"a"')
        + call(1, None, None, ": 2}")
        + call(0, None, None, ": 1}")
    )
    found = await heard(body + end("tool_calls"))
    assert sorted(found.blocks) == [("call", "c1", "f", {"a": 1}), ("call", "c2", "g", {"b": 2})]


@ways
async def test_row_36_an_id_and_a_name_on_a_used_index_open_a_new_call(heard: Any) -> None:
    body = call(0, "c1", "f", '{"a": 1}') + call(0, "c2", "g", '{"b": 2}')
    unnumbered = call(None, "c1", "f", '{"a":') + call(None, None, None, " 1}")
    expected = [("call", "c1", "f", {"a": 1}), ("call", "c2", "g", {"b": 2})]
    assert (await heard(body + end("tool_calls"))).blocks == expected
    unnumbered += call(None, "c2", "g", '{"b": 2}')
    assert (await heard(unnumbered + end("tool_calls"))).blocks == expected


@ways
async def test_row_36_what_is_empty_never_overwrites(heard: Any) -> None:
    body = call(0, "c1", "f", "") + call(0, "", "", '{"a":') + call(0, "", "", " 1}")
    found = await heard(body + end("tool_calls"))
    assert found.blocks == [("call", "c1", "f", {"a": 1})]


@ways
async def test_row_36_objects_are_arguments_and_text_between_does_no_harm(heard: Any) -> None:
    given = await heard(call(0, "c1", "f", {"z": 1, "a": [2]}) + end("tool_calls"))
    assert given.blocks == [("call", "c1", "f", {"z": 1, "a": [2]})]
    body = call(0, "c1", "f", '{"a":') + delta(content="Well.") + call(0, None, None, " 1}")
    found = await heard(body + end("tool_calls"))
    assert found.blocks == [("call", "c1", "f", {"a": 1}), ("text", "Well.")]


async def test_row_36_a_missing_id_is_made_up_unique_in_the_log_and_the_same_on_replay() -> None:
    nameless = call(0, None, "f", "{}") + call(1, None, "f", "{}")
    broken = nameless + delta(content="And")
    script: list[bytes | Reply] = [
        nameless + end("tool_calls"),
        close_after(len(broken), broken),
        nameless + end("tool_calls"),
        chat(text="Done."),
    ]
    async with ProviderServer(script) as server:
        agent = live(server.chat_url, tool("f", ok))
        await agent.prompt("hi")
        assert await agent.prompt_text("again") == "Done."
        sent = server.requests[-1].json["messages"]
    answers = [m for m in agent.state.messages if isinstance(m, AssistantMessage)]
    ids = [block[1] for message in answers for block in blocks(message) if block[0] == "call"]
    assert ids == ["call_0", "call_1", "call_2", "call_3", "call_4", "call_5"]
    asked = [one["id"] for message in sent for one in message.get("tool_calls", ())]
    assert asked == ["call_0", "call_1", "call_4", "call_5"]
    assert [m["tool_call_id"] for m in sent if m["role"] == "tool"] == asked
    recording = load(agent.log)
    assert recording.replay().ok
    kept = [m for m in recording.messages if isinstance(m, AssistantMessage)]
    assert [blocks(message) for message in kept] == [blocks(message) for message in answers]


# 38: other shapes


@ways
@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (None, (0, 0, 0)),
        ({}, (0, 0, 0)),
        ({"prompt_tokens": None, "completion_tokens": 2}, (0, 2, 2)),
        ({"prompt_tokens": 3.0, "completion_tokens": 2.0, "total_tokens": 6.0}, (3, 2, 6)),
        ({"prompt_tokens": "many", "prompt_tokens_details": 5, "cost": "free"}, (0, 0, 0)),
        ("none of your business", (0, 0, 0)),
        ([1, 2], (0, 0, 0)),
    ],
)
async def test_row_38_an_odd_usage_costs_nothing_of_its_chunk(
    heard: Any, usage: Any, counted: Any
) -> None:
    choices = [{"index": 0, "delta": {"content": "Hi."}, "finish_reason": "stop"}]
    found = await heard(chunk(choices, usage=usage) + DONE)
    assert (found.words, found.blocks) == (PLAIN, [("text", "Hi.")])
    told = found.message.usage
    assert (told["input"], told["output"], told["total_tokens"]) == counted


@ways
async def test_row_38_the_last_usage_wins(heard: Any) -> None:
    choices = [{"index": 0, "delta": {"content": "Hi."}}]
    early = chunk(choices, usage={"prompt_tokens": 1, "completion_tokens": 1})
    found = await heard(early + end(prompt_tokens=9, completion_tokens=4) + chunk([], usage=None))
    told = found.message.usage
    assert (told["input"], told["output"], told["total_tokens"]) == (9, 4, 13)


@ways
@pytest.mark.parametrize(
    "given",
    [
        {"content": [{"type": "text", "text": "I can"}, {"type": "text", "text": "not."}]},
        {"refusal": "I cannot."},
    ],
)
async def test_row_38_text_is_taken_from_parts_and_from_refusals(heard: Any, given: Any) -> None:
    found = await heard(delta(**given) + end())
    assert (found.words, found.blocks) == (PLAIN, [("text", "I cannot.")])


@ways
async def test_row_38_a_whole_json_answer_gives_the_full_sequence(heard: Any) -> None:
    found = await heard(completion(text="Now.", calls=[("c1", "f", {"a": 1})]))
    assert found.words == (
        "start text_start0 text_delta0 text_end0 call_start1 call_delta1 call_end1 done"
    )
    assert found.blocks == [("text", "Now."), ("call", "c1", "f", {"a": 1})]
    assert (found.message.stop_reason, found.message.usage["input"]) == ("tool_calls", 10)


@ways
async def test_row_38_the_choice_with_index_0_counts_wherever_it_stands(heard: Any) -> None:
    def both(first: str, second: str, finish: str | None = None) -> bytes:
        choices = [
            {"index": 1, "delta": {"content": second}, "finish_reason": finish},
            {"index": 0, "delta": {"content": first}, "finish_reason": finish},
        ]
        return chunk(choices)

    found = await heard(both("Hel", "NO") + both("lo!", "NO", "stop") + DONE)
    assert found.blocks == [("text", "Hello!")]
