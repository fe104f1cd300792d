"""A proxy's events, one by one: what each makes of the message so far."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tinyagent.agent_types import (
    AssistantMessage,
    AssistantMessageEvent,
    TextContent,
    ThinkingContent,
    ToolCallContent,
)
from tinyagent.proxy_event_handlers import parse_streaming_json, process_proxy_event

CALL = {"type": "toolcall_start", "contentIndex": 0, "id": "c1", "toolName": "f"}


def after(*events: dict[str, Any]) -> tuple[AssistantMessage, AssistantMessageEvent]:
    """Return the message after *events*, and the last stream event."""
    partial = AssistantMessage(stop_reason="stop")
    last = None
    for event in events:
        last = process_proxy_event(event, partial)
    assert last is not None
    return partial, last


def test_start_holds_the_message_as_it_is() -> None:
    partial, said = after({"type": "start"})
    assert said == AssistantMessageEvent(type="start", partial=partial)
    assert said.partial is partial


def test_text_starts_grows_and_ends_with_its_signature() -> None:
    partial, said = after(
        {"type": "text_start", "contentIndex": 0},
        {"type": "text_delta", "contentIndex": 0, "delta": "Hel"},
        {"type": "text_delta", "contentIndex": 0, "delta": "lo"},
        {"type": "text_end", "contentIndex": 0, "contentSignature": "s"},
    )
    assert partial.content == [TextContent(text="Hello", text_signature="s")]
    assert (said.type, said.content_index, said.content) == ("text_end", 0, "Hello")


def test_thinking_without_a_signature_has_none() -> None:
    partial, said = after(
        {"type": "thinking_start", "contentIndex": 0},
        {"type": "thinking_delta", "contentIndex": 0, "delta": "hm"},
        {"type": "thinking_end", "contentIndex": 0},
    )
    assert partial.content == [ThinkingContent(thinking="hm")]
    assert (said.type, said.content) == ("thinking_end", "hm")


def test_an_empty_block_is_empty_not_none() -> None:
    assert after({"type": "text_start"})[0].content == [TextContent(text="")]
    assert after({"type": "thinking_start"})[0].content == [ThinkingContent(thinking="")]


def test_gaps_are_filled_with_none() -> None:
    partial, said = after({"type": "text_start", "contentIndex": 2})
    assert partial.content == [None, None, TextContent(text="")]
    assert said.content_index == 2


@pytest.mark.parametrize("index", [None, "1", True, -1, 1.0, []])
def test_an_index_that_is_none_is_0(index: Any) -> None:
    partial, said = after({"type": "text_start", "contentIndex": index})
    assert partial.content == [TextContent(text="")]
    assert said.content_index == 0


def test_an_absurd_index_fills_no_memory() -> None:
    with pytest.raises(RuntimeError, match="Received block 1000000000, an answer has at most"):
        after({"type": "text_start", "contentIndex": 10**9})


def test_a_call_shows_its_arguments_as_far_as_they_can_be_read() -> None:
    partial, said = after(CALL)
    assert partial.content == [ToolCallContent(id="c1", name="f", partial_json="")]
    assert said.type == "tool_call_start"
    shown: list[Any] = []
    for delta in ('{"a":', "1", "}"):
        event = process_proxy_event({"type": "toolcall_delta", "delta": delta}, partial)
        assert event is not None
        call = partial.content[0]
        assert isinstance(call, ToolCallContent)
        shown.append((event.type, event.delta, call.arguments, call.partial_json))
    assert shown == [
        ("tool_call_delta", '{"a":', {}, '{"a":'),
        ("tool_call_delta", "1", {"a": 1}, '{"a":1'),
        ("tool_call_delta", "}", {"a": 1}, '{"a":1}'),
    ]
    end = process_proxy_event({"type": "toolcall_end"}, partial)
    assert end is not None
    assert (end.type, end.tool_call) == ("tool_call_end", partial.content[0])
    assert partial.content == [ToolCallContent(id="c1", name="f", arguments={"a": 1})]


def test_a_call_without_arguments_has_none() -> None:
    partial, _ = after(CALL, {"type": "toolcall_end"})
    assert partial.content == [ToolCallContent(id="c1", name="f")]


def test_row_37_arguments_that_do_not_parse_stay_as_text() -> None:
    partial, said = after(
        CALL, {"type": "toolcall_delta", "delta": '{"a":[1'}, {"type": "toolcall_end"}
    )
    expected = ToolCallContent(id="c1", name="f", partial_json='{"a":[1')
    assert partial.content == [expected]
    assert said.tool_call == expected


def test_the_end_of_a_call_in_a_slot_without_one_is_ignored() -> None:
    partial = AssistantMessage()
    assert process_proxy_event({"type": "toolcall_end", "contentIndex": 3}, partial) is None
    process_proxy_event({"type": "text_start"}, partial)
    assert process_proxy_event({"type": "toolcall_end"}, partial) is None
    assert partial.content == [TextContent(text="")]


@pytest.mark.parametrize(
    ("start", "event", "told"),
    [
        ("thinking_start", "text_delta", "Received text_delta for non-text content"),
        ("thinking_start", "text_end", "Received text_end for non-text content"),
        ("text_start", "thinking_delta", "Received thinking_delta for non-thinking content"),
        ("text_start", "thinking_end", "Received thinking_end for non-thinking content"),
        ("text_start", "toolcall_delta", "Received tool_call_delta for non-tool_call content"),
        ("start", "text_delta", "Received text_delta for non-text content"),
        ("start", "toolcall_delta", "Received tool_call_delta for non-tool_call content"),
    ],
)
def test_an_event_for_the_wrong_kind_of_block_is_an_error(
    start: str, event: str, told: str
) -> None:
    with pytest.raises(RuntimeError, match=f"^{told}$"):
        after({"type": start}, {"type": event, "delta": "x"})


@pytest.mark.parametrize(
    ("reason", "stop"),
    [("stop", "stop"), ("tool_calls", "tool_calls"), ("why", "stop"), (None, "stop"), ([], "stop")],
)
def test_done_says_why_and_an_unknown_reason_is_stop(reason: Any, stop: str) -> None:
    partial, said = after({"type": "done", "reason": reason, "usage": {"any": {"thing": 1}}})
    assert (said.type, said.reason, said.message) == ("done", stop, partial)
    assert said.message is partial
    assert (partial.stop_reason, partial.usage) == (stop, {"any": {"thing": 1}})


@pytest.mark.parametrize(("reason", "stop"), [("aborted", "aborted"), ("why", "error")])
def test_error_says_why_and_an_unknown_reason_is_error(reason: str, stop: str) -> None:
    partial, said = after({"type": "error", "reason": reason, "errorMessage": "No."})
    assert (said.type, said.reason) == ("error", stop)
    assert said.error is partial
    assert (partial.stop_reason, partial.error_message, partial.usage) == (stop, "No.", None)


def test_row_55_an_unknown_event_is_a_diagnostic_and_nothing_is_printed(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    kinds: list[Any] = ["mystery", None, ["x"], "y" * 1000]
    with caplog.at_level(logging.WARNING, "tinyagent"):
        assert [process_proxy_event({"type": kind}, AssistantMessage()) for kind in kinds] == (
            [None] * 4
        )
    assert caplog.messages[0] == "proxy event of unknown type 'mystery'"
    assert len(caplog.messages[3]) < 150
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a":1}', {"a": 1}),
        ('{"a":1', {"a": 1}),
        ('{"a":{"b":1', {"a": {"b": 1}}),
        ("{}", {}),
        ('{"a":[1', None),
        ('{"a":"x', None),
        ('{"a":"}"', None),
        ("[1]", None),
        ("1", None),
        ("", None),
        ('{"a":1}}', None),
        ("{" * 100_000, None),
    ],
)
def test_arguments_are_read_with_the_missing_braces(text: str, value: Any) -> None:
    assert parse_streaming_json(text) == value


def test_a_text_of_many_deltas_costs_what_is_new() -> None:
    partial = AssistantMessage()
    process_proxy_event({"type": "text_start"}, partial)
    for _ in range(20_000):
        process_proxy_event({"type": "text_delta", "delta": "x" * 50}, partial)
    assert partial.content == [TextContent(text="x" * 1_000_000)]


def test_a_text_that_was_read_or_assigned_grows_on() -> None:
    partial, _ = after({"type": "text_start"}, {"type": "text_delta", "delta": "a"})
    block = partial.content[0]
    assert isinstance(block, TextContent)
    assert block.text == "a"
    process_proxy_event({"type": "text_delta", "delta": "b"}, partial)
    block.text = "c"
    process_proxy_event({"type": "text_delta", "delta": "d"}, partial)
    assert block.text == "cd"
