"""Events to bytes and back; what this release does not know is kept as it came."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from tinyagent.events import (
    KINDS,
    Event,
    Failure,
    UnknownEvent,
    canonical,
    digest,
    kinds as k,
    plain,
)
from tinyagent.events.codec import decode, encode, legible, record_of, restored

FAILURE = Failure("network", "gone", 503, 1.5)
EXAMPLES: list[Event] = [
    k.SessionStarted({"id": "m"}, "S", [k.ToolSpec("f", "d", {"type": "object"}, "read")], ["x"]),
    k.SessionForked([["model", {"id": "m"}]], True, "why"),
    k.SessionResumed(2, {"tinyagent": "1"}, [7]),
    k.LogRecovered("unclean", 12, 1, 2, 3),
    k.LogLost(3, 5, 120),
    k.ConfigChanged({"system": "T"}),
    k.SessionEnded("closed"),
    k.UserSaid("hi", "steer", 5),
    k.UserSaid(message={"role": "note", "text": "x"}),
    k.UserContinued(),
    k.UserWithdrawn([3]),
    k.UserDelivered([3, 4]),
    k.CancelRequested("abort"),
    k.HostAsked("before_tool_call", "c1"),
    k.HostAnswered("before_tool_call", "c1", block={"content": "no", "ok": False}),
    k.HostFailed("context", FAILURE),
    k.ModelRequested(3),
    k.ModelDelta([(0, "text", "ab", [1, 2], [1, 1]), (1, "call", {"id": "c", "name": "f"}, 3)]),
    k.ModelRetrying(2, FAILURE, 0.5, {"id": "m2"}, "aa"),
    k.ModelFinished("tools", [k.CallRef("c1", "f", "00")], {"input": 1}, "aa", "id"),
    k.ModelFailed(FAILURE, {"input": 1}, "aa"),
    k.ToolBlocked("c1", "hook", "no", details={"a": 1}, terminate=True),
    k.ToolRequested("c1", "f", 2, {"a": 1}),
    k.ToolStarted("c1", "write", 2),
    k.ToolProgressed("c1", "half", {"n": 1}),
    k.ToolFinished("c1", [{"type": "text", "text": "x"}], {"n": 1}, True),
    k.ToolFailed("c1", FAILURE),
    k.ToolInDoubt("c1", "timeout", 2, "told"),
    k.ToolReconciled("c1", "done", "sent"),
    k.ApprovalRequested("c1", "00", 2),
    k.ApprovalDecided("c1", "00", False, "ann", 2, "too dear"),
    k.ToolSettled("c1", "unknown", "policy", "told"),
    k.ContextEdited([["drop", 3]]),
    k.TurnEnded(16, "aa"),
    k.BudgetExceeded("turns_max", 3, 3),
    k.RunEnded("answered", "aa"),
    k.OutputRejected(3, ["total: missing"]),
    k.TimerSet(30),
    k.TimerFired(7, 30.5),
    k.ChildStarted("agent:main/dig#1", "c1", {"tokens_max": 5}),
    k.ChildEnded("agent:main/dig#1", "answered", "Found.", {"tokens": 3}),
    k.DiagnosticReported("x", "y", {"z": 1}),
    k.ActorFailed("tools", "ValueError", "x", "a.py:1"),
    k.SinkFailed("s", 3, FAILURE),
    k.Foreign("progress", {"type": "progress", "n": [1, None]}),
]


def test_every_kind_has_an_example_here() -> None:
    assert {event.kind for event in EXAMPLES} == set(KINDS)


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.kind)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    payload = encode(event)
    again = decode(event.kind, 1, payload)
    assert encode(again) == payload
    assert type(again) is type(event)


def test_defaults_are_not_written() -> None:
    assert encode(k.ToolFinished("c1")) == b'{"call_id":"c1"}'
    assert encode(k.UserContinued()) == b"{}"


@pytest.mark.parametrize(("kind", "v"), [("weather.changed", 1), ("user.said", 2)])
def test_an_unknown_kind_or_version_is_kept_byte_for_byte(kind: str, v: int) -> None:
    payload = b'{"b":1, "a":[ 2 ]}'
    event = decode(kind, v, payload)
    assert event == UnknownEvent(kind, v, payload)
    assert encode(event) == payload


def test_unknown_fields_of_a_known_kind_stay_on_the_record() -> None:
    payload = b'{"content":"hi","mood":"good"}'
    record = record_of(seq=2, ts_us=5, actor=None, kind="user.said", v=1, cause=0, payload=payload)
    assert record.event == k.UserSaid("hi")
    assert (record.payload, record.at_ns, record.actor) == (payload, 5000, "host")


def test_a_payload_that_does_not_fit_its_kind_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode("model.requested", 1, b'{"n":"three"}')


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": [True, None]}, {"b": 1, "a": [True, None]}),
        (2**53 + 1, "9007199254740993"),
        (-(2**60), "-1152921504606846976"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (b"\x00\xff", {"$b64": "AP8="}),
        ({"$ref": "x"}, {"$esc": {"$ref": "x"}}),
        ("a\ud800b", "a\ufffdb"),
        ((1, 2), [1, 2]),
    ],
)
def test_what_json_cannot_hold_is_made_plain(value: Any, expected: Any) -> None:
    assert plain(value) == expected


@pytest.mark.parametrize("value", [object(), {1: 2}, {"a": {3}}])
def test_what_cannot_be_made_plain_is_an_error(value: Any) -> None:
    with pytest.raises(TypeError, match="JSON"):
        plain(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.just("$x"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | st.sampled_from(["$ref", "$defs", "$esc"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(JSON)
def test_plain_json_is_restored_as_it_was(value: Any) -> None:
    wire = msgspec.json.decode(msgspec.json.encode(plain(value)))
    assert restored(wire) == value


def test_canonical_json_is_the_same_for_equal_values() -> None:
    assert canonical({"b": 1, "a": 2}) == canonical({"a": 2, "b": 1}) == b'{"a":2,"b":1}'
    assert len(digest(b"")) == 16


@pytest.mark.parametrize(
    "payload", [b'{"$redacted":"sha256:00","n":9}', b'{"content":{"$redacted":"","n":0}}']
)
def test_what_was_redacted_is_unknown_and_keeps_its_bytes(payload: bytes) -> None:
    event = decode("user.said", 1, payload)
    assert event == k.UnknownEvent("user.said", 1, payload)
    assert encode(event) == payload
    with pytest.raises(msgspec.ValidationError):
        decode("user.said", 1, b'{"content":{"n":0}}')


@pytest.mark.parametrize("event", EXAMPLES)
def test_an_event_without_half_characters_is_as_legible_as_it_was(event: Event) -> None:
    if not isinstance(event, UnknownEvent):
        assert legible(event) == event


def test_of_an_event_only_half_characters_are_replaced() -> None:
    event = k.ToolProgressed("c1", "a\udcffb \U0001f600", {"a\ud83d": [2**60, "\ud83d\ude00", "$"]})
    assert legible(event) == k.ToolProgressed(
        "c1", "a\ufffdb \U0001f600", {"a\ufffd": [2**60, "\U0001f600", "$"]}
    )
