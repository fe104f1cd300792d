"""W, X: answers of text and of thought, however they arrive, by hand and through an agent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.wire import (
    DONE,
    chunk,
    delta,
    deltas,
    demo,
    end,
    heard_by_agent,
    heard_by_hand,
    replying,
    user,
)

from tinyagent.agent_types import AssistantMessage, Context, SimpleStreamOptions, TextContent
from tinyagent.alchemy_provider import stream_alchemy_openai_completions
from tinyagent.rust_binding_provider import RustBindingModel, stream_rust_binding
from tinyagent.testing import ProviderServer, completion, json_reply, rechunked, sse

ways = pytest.mark.parametrize("heard", [heard_by_hand, heard_by_agent])
HELLO = delta(role="assistant", content="") + delta(content="Hel") + delta(content="lo!")
PLAIN = "start text_start0 text_delta0 text_end0 done"
NOTHING = {"input": 0.0, "output": 0.0, "cache_read": 0.0, "cache_write": 0.0, "total": 0.0}


def usage(*numbers: int, **cost: float) -> dict[str, Any]:
    names = ("input", "output", "cache_read", "cache_write", "total_tokens")
    return {**dict(zip(names, numbers, strict=True)), "cost": {**NOTHING, **cost}}


@ways
async def test_w1_plain_text(heard: Any) -> None:
    found = await heard(HELLO + end(prompt_tokens=3, completion_tokens=2, total_tokens=5), tools=())
    assert found.words == PLAIN
    assert deltas(found.events, 0) == ["Hel", "lo!"]
    message = found.message
    assert (message.timestamp or 0) > 1_700_000_000_000
    assert message.model_dump(exclude={"timestamp"}) == {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "Hello!", "text_signature": None, "cache_control": None}
        ],
        "stop_reason": "stop",
        "api": "openai-completions",
        "provider": "demo",
        "model": "m",
        "usage": usage(3, 2, 0, 0, 5),
        "error_message": None,
        "error_kind": None,
    }


async def test_w1_events_by_hand_carry_what_the_contract_names() -> None:
    found = await heard_by_hand(HELLO + end("length", prompt_tokens=3, completion_tokens=2))
    start, text_start, first, _, text_end, done = found.events
    assert start.partial is not None
    assert (start.partial.content, start.partial.stop_reason) == ([], "stop")
    assert start.partial.usage == usage(0, 0, 0, 0, 0)
    assert text_start.partial is not None
    assert text_start.partial.content == [TextContent(text="")]
    assert (first.content_index, first.delta) == (0, "Hel")
    assert text_end.content == "Hello!"
    assert text_end.partial is not None
    assert text_end.partial.stop_reason == "length"
    assert (done.reason, done.message) == ("length", found.message)
    assert (done.partial, done.error) == (None, None)


async def test_w1_by_the_other_function() -> None:
    def model(url: str) -> RustBindingModel:
        return RustBindingModel(provider="demo", id="m", base_url=f" {url} ")

    found = await heard_by_hand(HELLO + end(), model=model, stream_fn=stream_rust_binding)
    assert (found.words, found.blocks) == (PLAIN, [("text", "Hello!")])
    assert (found.message.api, found.message.provider) == ("openai-completions", "demo")


async def test_the_result_can_be_had_without_the_events() -> None:
    async with ProviderServer(HELLO + end()) as server:
        context, options = Context("", [user()]), SimpleStreamOptions()
        asked = (demo(server.chat_url), context, options)
        response = await stream_alchemy_openai_completions(*asked)
        message = await response.result()
        with pytest.raises(StopAsyncIteration):
            await response.__anext__()
    assert message.content == [TextContent(text="Hello!")]


@ways
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "reasoning_text"])
async def test_w5_thoughts_come_in_any_of_three_fields(heard: Any, field: str) -> None:
    body = delta(**{field: "Let me"}) + delta(**{field: " see."}) + delta(content="Hi.") + end()
    found = await heard(body)
    assert found.words == (
        "start think_start0 think_delta0 think_end0 text_start1 text_delta1 text_end1 done"
    )
    assert found.blocks == [("thinking", "Let me see.", field), ("text", "Hi.")]
    first = next(event for event in found.events if event.type == "thinking_start")
    assert first.partial.content[0].thinking_signature == field


@ways
async def test_w5b_the_first_field_counts_and_text_comes_before_it(heard: Any) -> None:
    both = delta(content="A", reasoning_content="same", reasoning="same", reasoning_text="same")
    found = await heard(both + end())
    assert found.blocks == [("text", "A"), ("thinking", "same", "reasoning_content")]


@ways
@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("a word of tomorrow", "stop"),
    ],
)
async def test_w7_finish_reasons(heard: Any, reason: str, stop: str) -> None:
    found = await heard(HELLO + end(reason))
    assert (found.words, found.message.stop_reason) == (PLAIN, stop)
    assert found.message.error_message is None


@ways
async def test_w7_no_reason_but_done_is_a_stop(heard: Any) -> None:
    found = await heard(HELLO + DONE)
    assert (found.words, found.message.stop_reason) == (PLAIN, "stop")


@ways
@pytest.mark.parametrize(
    ("reason", "told", "kind"),
    [("content_filter", "filter", "filtered"), ("error", "error", "overloaded")],
)
async def test_w7_a_filter_and_an_error_end_in_an_error(
    heard: Any, reason: str, told: str, kind: str
) -> None:
    found = await heard(HELLO + end(reason))
    assert found.words == "start text_start0 text_delta0 error"
    assert (found.message.stop_reason, found.message.error_kind) == ("error", kind)
    assert told in found.message.error_message
    assert found.blocks == [("text", "Hello!")]


UNICODE = delta(content="Grüße, 世界 🌍\u2028\u0085!") + end()


@ways
@pytest.mark.parametrize("size", [1, 7])
async def test_x4_letters_are_whole_wherever_the_bytes_are_cut(heard: Any, size: int) -> None:
    found = await heard(rechunked(UNICODE, [size]))
    assert found.blocks == [("text", "Grüße, 世界 🌍\u2028\u0085!")]


@ways
@pytest.mark.parametrize("newline", [b"\r\n", b"\r", b"\n"])
async def test_x5_any_newline_comments_and_other_fields(heard: Any, newline: bytes) -> None:
    noise = b": PROCESSING\n\nevent: message\nid: 7\nretry: 10\n"
    body = b"\xef\xbb\xbf" + noise + HELLO + b": ping\n\n\n\ndata:\n\n" + end()
    found = await heard(rechunked(body.replace(b"\n", newline), [5]))
    assert (found.words, found.blocks) == (PLAIN, [("text", "Hello!")])


@ways
async def test_x5b_an_event_over_several_data_lines(heard: Any) -> None:
    lines = json.dumps({"choices": [{"index": 0, "delta": {"content": "Hi."}}]}, indent=1)
    event = "".join(f"data: {line}\n" for line in lines.split("\n")).encode() + b"\n"
    found = await heard(event + end())
    assert found.blocks == [("text", "Hi.")]


@ways
@pytest.mark.parametrize("cut", [1, 2])
async def test_x5c_a_last_line_without_its_newline(heard: Any, cut: int) -> None:
    whole = await heard((HELLO + delta("stop", content=" All."))[:-cut])
    assert (whole.words, whole.blocks) == (PLAIN, [("text", "Hello! All.")])
    open_ended = await heard((HELLO + delta(content=" More."))[:-cut])
    assert open_ended.blocks == [("text", "Hello! More.")]
    assert open_ended.message.stop_reason == "error"


@ways
@pytest.mark.parametrize(
    ("odd", "expected"),
    [
        ({"prompt_tokens": 3.0, "completion_tokens": 2.0}, usage(3, 2, 0, 0, 5)),
        ({"prompt_tokens": None, "completion_tokens": 2}, usage(0, 2, 0, 0, 2)),
        (
            {"prompt_tokens": 3, "prompt_tokens_details": None, "total_tokens": None},
            usage(3, 0, 0, 0, 3),
        ),
        ({"prompt_tokens": "many", "cost": "free"}, usage(0, 0, 0, 0, 0)),
    ],
)
async def test_x6_an_odd_usage_costs_no_content(heard: Any, odd: Any, expected: Any) -> None:
    choices = [{"index": 0, "delta": {"content": "Hi."}, "finish_reason": "stop"}]
    found = await heard(chunk(choices, usage=odd) + DONE)
    assert (found.blocks, found.message.usage) == ([("text", "Hi.")], expected)


@ways
async def test_x6b_the_last_usage_counts(heard: Any) -> None:
    choices = [{"index": 0, "delta": {"content": "Hi."}}]
    early = chunk(choices, usage={"prompt_tokens": 1, "completion_tokens": 1})
    found = await heard(early + end(prompt_tokens=9, completion_tokens=4) + chunk([], usage=None))
    assert found.message.usage == usage(9, 4, 0, 0, 13)


@ways
@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (
            {
                "cost": 0.5,
                "cost_details": {
                    "upstream_inference_cost": 0.4,
                    "upstream_inference_prompt_cost": 0.25,
                    "upstream_inference_completions_cost": 0.125,
                },
            },
            usage(10, 2, 0, 0, 12, input=0.25, output=0.125, total=0.4),
        ),
        ({"cost": 0.5}, usage(10, 2, 0, 0, 12, total=0.5)),
        (
            {
                "cost_details": {
                    "upstream_inference_prompt_cost": 0.25,
                    "upstream_inference_completions_cost": 0.125,
                }
            },
            usage(10, 2, 0, 0, 12, input=0.25, output=0.125, total=0.375),
        ),
    ],
)
async def test_x6c_costs(heard: Any, sent: Any, expected: Any) -> None:
    found = await heard(HELLO + end(prompt_tokens=10, completion_tokens=2, **sent))
    assert found.message.usage == expected


@ways
@pytest.mark.parametrize(
    "sent",
    [
        {"prompt_tokens_details": {"cached_tokens": 7, "cache_write_tokens": 2}},
        {
            "cache_read_input_tokens": 7,
            "cache_creation_input_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 1},
        },
    ],
)
async def test_x6d_cached_tokens(heard: Any, sent: dict[str, Any]) -> None:
    sent |= {"completion_tokens_details": {"reasoning_tokens": 5}}
    body = end(prompt_tokens=10, completion_tokens=2, total_tokens=99, **sent)
    found = await heard(HELLO + body)
    assert found.message.usage == usage(10, 2, 7, 2, 99)


@ways
async def test_x7_content_in_parts(heard: Any) -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo!"}]
    found = await heard(delta(content=parts) + end())
    assert (found.words, found.blocks) == (PLAIN, [("text", "Hello!")])


@ways
async def test_x7b_a_refusal_is_the_text(heard: Any) -> None:
    found = await heard(delta(refusal="I can") + delta(refusal="not.") + end())
    assert (found.words, found.blocks) == (PLAIN, [("text", "I cannot.")])


@ways
async def test_x7c_a_plain_json_answer_gives_all_events(heard: Any) -> None:
    found = await heard(completion(text="Hello!"))
    assert (found.words, found.blocks) == (PLAIN, [("text", "Hello!")])
    assert found.message.usage == usage(10, 1, 0, 0, 11)


@ways
async def test_x7d_of_several_choices_the_one_with_index_0_counts(heard: Any) -> None:
    def both(first: str, second: str, finish: str | None = None) -> bytes:
        choices = [
            {"index": 1, "delta": {"content": second}, "finish_reason": finish},
            {"index": 0, "delta": {"content": first}, "finish_reason": finish},
        ]
        return chunk(choices)

    found = await heard(both("Hel", "NO") + both("lo!", "NO", "stop") + DONE)
    assert found.blocks == [("text", "Hello!")]


async def test_x7c_an_error_body_with_status_200_is_an_error() -> None:
    body = json_reply({"error": {"message": "no such model", "code": 404}})
    found = await heard_by_hand(body)
    assert found.words == "start error"
    assert "no such model" in (found.message.error_message or "")
    assert found.blocks == [("text", "")]


@ways
async def test_row_11_more_input_than_the_model_has_room_for_is_told(heard: Any) -> None:
    def model(url: str) -> Any:
        return demo(url, context_window=1000)

    found = await heard(HELLO + end(prompt_tokens=1001, completion_tokens=1), model=model)
    assert (found.message.stop_reason, found.message.error_kind) == ("stop", "overflow")
    assert found.message.error_message is None


async def test_the_answer_of_another_class_of_status_is_read() -> None:
    found = await heard_by_hand(replying(201, HELLO + sse({"choices": []}) + end()))
    assert isinstance(found.message, AssistantMessage)
    assert found.words == PLAIN
