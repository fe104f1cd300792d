"""Public messages become the messages of a conversation, and results are what ended a call."""

from __future__ import annotations

from typing import Any

import pytest

from tinyagent.events import Failure, Record, kinds as k, plain
from tinyagent.events.messages import (
    Assistant,
    Block,
    CallEnd,
    Custom,
    Message,
    Result,
    User,
    applied,
    message_of,
    result_of,
    revised,
    said_in,
)

DUMPS: list[tuple[dict[str, Any], Message]] = [
    ({"role": "user", "content": "hi"}, User(7, "hi")),
    (
        {"role": "user", "content": [{"type": "text", "text": "hi"}], "timestamp": 5},
        User(7, [{"type": "text", "text": "hi"}], 5),
    ),
    ({"role": "user", "content": None}, User(7, [])),
    (
        {
            "role": "tool_result",
            "tool_call_id": "a",
            "tool_name": "f",
            "content": [],
            "is_error": True,
            "details": {"n": 1},
            "timestamp": 5,
        },
        Result(7, "a", "f", [], ok=False, details={"n": 1}, at_ms=5),
    ),
    ({"role": "tool_result", "content": "x"}, Result(7, "", "", "x")),
    (
        {"role": "assistant", "content": [], "api": "x", "provider": "p", "model": "m"},
        Assistant(7, (), {"api": "x", "provider": "p", "id": "m"}),
    ),
    ({"role": "assistant", "content": None, "timestamp": 5}, Assistant(7, (), {}, at_ms=5)),
    ({"role": "note", "text": "x"}, Custom(7, {"role": "note", "text": "x"})),
    ({"text": "no role"}, Custom(7, {"text": "no role"})),
]


@pytest.mark.parametrize(("dump", "message"), DUMPS)
def test_a_public_message_keeps_what_it_said(dump: dict[str, Any], message: Message) -> None:
    assert message_of(dump, 7) == message


@pytest.mark.parametrize(
    ("stop", "outcome", "reason"),
    [
        (None, "ok", "end"),
        ("stop", "ok", "end"),
        ("length", "ok", "length"),
        ("tool_calls", "ok", "tools"),
        ("tool_use", "ok", "tools"),
        ("error", "failed", "end"),
        ("aborted", "cancelled", "end"),
    ],
)
def test_how_an_answer_ended_is_known_from_its_stop_reason(
    stop: str | None, outcome: str, reason: str
) -> None:
    message = message_of({"role": "assistant", "content": [], "stop_reason": stop}, 1)
    assert isinstance(message, Assistant)
    assert (message.outcome, message.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ("bare", Block("text", "bare")),
        ({"type": "text", "text": "t"}, Block("text", "t")),
        ({"type": "text"}, Block("text")),
        (
            {"type": "thinking", "thinking": "hm", "thinking_signature": "s"},
            Block("think", "hm", sign="s"),
        ),
        (
            {"type": "tool_call", "id": "a", "name": "f", "arguments": {"x": 1}},
            Block("call", '{"x":1}', "a", "f"),
        ),
        ({"type": "tool_call", "id": "a", "name": "f"}, Block("call", "{}", "a", "f")),
        (
            {"type": "tool_call", "id": "a", "partial_json": '{"x', "arguments": {}},
            Block("call", '{"x', "a"),
        ),
    ],
)
def test_each_part_of_an_answer_is_a_block(part: Any, block: Block) -> None:
    message = message_of({"role": "assistant", "content": [part]}, 1)
    assert isinstance(message, Assistant)
    assert message.blocks == (block,)


def test_keys_with_a_dollar_survive_the_log() -> None:
    dump = {"role": "user", "content": [{"type": "text", "text": "x", "$ref": "y"}]}
    message = message_of(plain(dump), 1)
    assert isinstance(message, User)
    assert message.content == dump["content"]


def record(event: k.Fact) -> Record:
    return Record(seq=9, at_ns=5_000_000, cause=0, actor="", event=event)


ENDS: list[tuple[CallEnd, Result]] = [
    (
        k.ToolFinished("a", "A", {"n": 1}, True),
        Result(9, "a", "f", "A", True, {"n": 1}, True, 5),
    ),
    (k.ToolFailed("a", Failure("host", "boom")), Result(9, "a", "f", "boom", False, at_ms=5)),
    (
        k.ToolBlocked("a", "hook", "no", True, {"n": 1}, True),
        Result(9, "a", "f", "no", True, {"n": 1}, True, 5),
    ),
    (k.ToolSettled("a", "done", "host", "sent"), Result(9, "a", "f", "sent", True, at_ms=5)),
    (k.ToolSettled("a", "failed", "host", "no"), Result(9, "a", "f", "no", False, at_ms=5)),
    (k.ToolSettled("a", "unknown", "policy", "?"), Result(9, "a", "f", "?", False, at_ms=5)),
]


@pytest.mark.parametrize(("event", "result"), ENDS)
def test_the_end_of_a_call_is_its_result(event: CallEnd, result: Result) -> None:
    assert result_of(record(event), event, "f") == result
    assert result_of(record(event), event, "f", is_last=True).terminate


def test_content_and_details_of_a_result_are_what_the_tool_gave() -> None:
    details = {"schema": {"$ref": "#/x"}, "$id": "y"}
    content = [{"type": "text", "text": "x", "$ref": "y"}]
    for event in (
        k.ToolFinished("a", plain(content), plain(details)),
        k.ToolBlocked("a", "hook", plain(content), details=plain(details)),
    ):
        result = result_of(record(event), event, "f")
        assert (result.content, result.details) == (content, details)
    said = k.UserSaid(plain(content))
    assert said_in(record(said), said) == User(9, content)


RESULT = Result(9, "a", "f", "A", True, {"n": 1})


def test_an_after_hook_changes_only_what_it_names() -> None:
    hook = "after_tool_call"
    assert revised(RESULT, k.HostAnswered(hook, "a")) == RESULT
    assert revised(RESULT, k.HostAnswered(hook, "a", content="")).content == ""
    assert not revised(RESULT, k.HostAnswered(hook, "a", ok=False)).ok
    assert revised(RESULT, k.HostAnswered(hook, "a", details={})).details == {}
    assert revised(RESULT, k.HostAnswered(hook, "a", details=plain({"$x": 1}))).details == {"$x": 1}
    assert revised(RESULT, k.HostAnswered(hook, "a", terminate=True)).terminate


def test_a_hook_cannot_take_back_that_the_batch_is_the_last() -> None:
    last = Result(9, "a", "f", "A", terminate=True)
    assert revised(last, k.HostAnswered("after_tool_call", "a")).terminate


def test_a_failing_after_hook_withholds_the_result() -> None:
    failed = k.HostFailed("after_tool_call", Failure("host", "withheld"), "a")
    assert revised(RESULT, failed) == Result(9, "a", "f", "withheld", False)


ONE, TWO, THREE = User(1, "one"), User(2, "two"), User(3, "three")


@pytest.mark.parametrize(
    ("ops", "shaped"),
    [
        ([], [ONE, TWO, THREE]),
        ([["=", 0, 3]], [ONE, TWO, THREE]),
        ([["=", 0, 0]], []),
        ([["=", 2, 3], ["=", 0, 1]], [THREE, ONE]),
        ([["+", {"role": "user", "content": "new"}], ["=", 1, 2]], [User(9, "new"), TWO]),
        ([["=", 1, 99]], [TWO, THREE]),
        ([["?", "of a later release"], ["=", 0, 1]], [ONE]),
    ],
)
def test_a_context_hook_keeps_ranges_and_puts_messages_in(
    ops: list[Any], shaped: list[Message]
) -> None:
    asked: list[Message] = [ONE, TWO, THREE]
    assert applied(asked, ops, 9) == shaped
    assert asked == [ONE, TWO, THREE]


def test_what_somebody_said_is_a_message_of_theirs() -> None:
    said = k.UserSaid("hi", at_ms=5)
    assert said_in(record(said), said) == User(9, "hi", 5)
    custom = k.UserSaid(message={"role": "note", "text": "x"})
    assert said_in(record(custom), custom) == Custom(9, {"role": "note", "text": "x"})
