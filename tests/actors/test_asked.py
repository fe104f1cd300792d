"""Two request bodies held against each other: parts that stayed, came, went, changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tinyagent.actors.asked import compared

USER, OTHER = {"role": "user", "content": "a"}, {"role": "user", "content": "b"}
ANSWER = {"role": "assistant", "content": "x"}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "1"}


def body(*messages: Any, **more: Any) -> bytes:
    return json.dumps({**more, "messages": messages}, separators=(",", ":")).encode()


def told(now: bytes, then: bytes) -> tuple[Any, ...]:
    found = compared(now, then)
    return (
        list(found.unchanged),
        [part.path for part in found.added],
        [part.path for part in found.removed],
        [(change.path, change.recorded, change.now) for change in found.changed],
    )


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        ((USER,), (USER,), (["messages[0]"], [], [], [])),
        ((USER,), (USER, ANSWER), (["messages[0]"], ["messages[1]"], [], [])),
        ((USER, ANSWER), (ANSWER,), (["messages[0]"], [], ["messages[0]"], [])),
        ((USER, ANSWER), (USER,), (["messages[0]"], [], ["messages[1]"], [])),
        ((USER,), (OTHER,), ([], [], [], [("messages[0].content", "a", "b")])),
        ((USER,), (ANSWER,), ([], ["messages[0]"], ["messages[0]"], [])),
        (
            (USER, ANSWER, RESULT),
            (USER, RESULT, ANSWER),
            (["messages[0]", "messages[2]"], ["messages[1]"], ["messages[2]"], []),
        ),
        ((), (USER, USER), ([], ["messages[0]", "messages[1]"], [], [])),
    ],
)
def test_messages_are_matched_byte_for_byte_and_then_by_their_sort(
    then: Any, now: Any, expected: Any
) -> None:
    assert told(body(*now), body(*then)) == expected


def test_a_field_that_came_went_or_changed_is_told() -> None:
    then, now = body(model="m", top=1, temperature=0.5), body(model="n", top=1, stop="x")
    assert told(now, then) == (
        ["top"],
        ["stop"],
        ["temperature"],
        [("model", "m", "n")],
    )


def test_bytes_count_and_not_what_they_mean() -> None:
    found = compared(b'{"a":1.0,"b":"\\u00fc"}', b'{"a":1.0,"b":"\xc3\xbc"}')
    assert (found.unchanged, found.unchanged_prefix) == (("a",), 14)
    assert [(change.path, change.recorded, change.now) for change in found.changed] == [
        ("b", '"ü"', '"\\u00fc"')  # the same value, written otherwise
    ]


@pytest.mark.parametrize("at", [2, 6, 7, 10, 11])
def test_the_prefix_ends_at_the_first_byte_that_differs(at: int) -> None:
    then = b'{"a":"012345"}'
    assert compared(then[:at] + b"~" + then[at + 1 :], then).unchanged_prefix == at


def test_without_a_request_before_everything_is_added() -> None:
    assert told(body(USER, model="m"), b"") == ([], ["model", "messages[0]"], [], [])


def test_a_thousand_messages_are_compared_although_one_in_their_middle_is_gone() -> None:
    messages = [{"role": "user", "content": str(number % 7)} for number in range(1000)]
    found = compared(body(*messages[:500], *messages[501:]), body(*messages))
    assert (len(found.unchanged), len(found.removed), found.added, found.changed) == (
        *(999, 1),
        *((), ()),
    )
