"""Requests and their ends: what is open after any record, kinds of newer releases among them."""

from __future__ import annotations

from typing import Any

import pytest

from tinyagent.events import KINDS, Event, Record, UnknownEvent, kinds as k
from tinyagent.events.work import CALL_ENDS, REQUESTS, Open, OpenWork, field


def opened(*events: Event, causes: Any = None) -> list[tuple[int, str]]:
    """Return number and kind of what is open after *events*."""
    work = OpenWork()
    for seq, event in enumerate(events, 1):
        cause = causes[seq - 1] if causes else 0
        work.evolve(Record(seq=seq, at_ns=0, cause=cause, actor="", event=event))
    return [(item.seq, item.kind) for item in work.read()]


def newer(kind: str, payload: bytes) -> UnknownEvent:
    return UnknownEvent(kind, 9, payload)


CALL = k.ToolRequested("c", "pay")
DOUBT = k.ToolInDoubt("c", "stopped")


@pytest.mark.parametrize(
    ("events", "left"),
    [
        ((k.HostAsked("context"),), [(1, "host.asked")]),
        ((k.HostAsked("context"), k.HostAnswered("context")), []),
        ((k.HostAsked("context"), k.HostAnswered("get_api_key")), [(1, "host.asked")]),
        ((k.HostAsked("h", "a"), k.HostAsked("h", "b"), k.HostFailed("h", FAILED := k.Failure(
            "host", "x"), "a")), [(2, "host.asked")]),
        ((CALL, k.ToolStarted("c", "write"), k.ToolProgressed("c")), [(1, "tool.requested")]),
        ((CALL, k.ToolFinished("c")), []),
        ((CALL, k.ToolFailed("other", FAILED)), [(1, "tool.requested")]),
        ((CALL, DOUBT), [(1, "tool.requested"), (2, "tool.in_doubt")]),
        ((CALL, DOUBT, k.ToolSettled("c", "unknown", "host")), []),
        ((CALL, DOUBT, k.ToolRequested("c", "pay", 2)), [(3, "tool.requested")]),
        ((k.CancelRequested(),), [(1, "cancel.requested")]),
        ((k.CancelRequested(), k.RunEnded("cancelled")), []),
    ],
)  # fmt: skip
def test_a_request_is_open_until_its_end(events: Any, left: list[tuple[int, str]]) -> None:
    assert opened(*events) == left


def test_an_answer_ends_the_model_call_that_is_its_cause() -> None:
    asked = k.ModelRequested(1), k.ModelFailed(k.Failure("network", "x"))
    assert opened(*asked, causes=[0, 1]) == []
    assert opened(*asked, causes=[0, 9]) == [(1, "model.requested")]


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (b'{"call_id":"c","outcome":"done"}', []),
        (b'{"call_id":"c","outcome":"unknown"}', [(1, "tool.requested"), (2, "tool.in_doubt")]),
        (b'{"call_id":"d","outcome":"done"}', [(1, "tool.requested"), (2, "tool.in_doubt")]),
        (b"not json", [(1, "tool.requested"), (2, "tool.in_doubt")]),
    ],
)
def test_an_end_of_a_newer_release_is_read_from_its_bytes(said: bytes, left: Any) -> None:
    assert opened(CALL, DOUBT, newer("tool.reconciled", said)) == left


def test_an_approval_waits_until_it_is_decided_or_its_call_ends() -> None:
    asked = newer("approval.requested", b'{"call_id":"c","args":"x"}')
    assert opened(asked) == [(1, "approval.requested")]
    assert opened(asked, newer("approval.decided", b'{"call_id":"c"}')) == []
    assert opened(asked, k.ToolBlocked("c", "cancel")) == []


def test_a_timer_is_ended_by_the_record_that_it_caused() -> None:
    timers = newer("timer.set", b"{}"), newer("timer.set", b"{}"), newer("timer.fired", b"{}")
    assert opened(*timers, causes=[0, 0, 1]) == [(2, "timer.set")]


def test_a_timer_ends_with_its_run() -> None:
    assert opened(k.TimerSet(30), k.RunEnded("answered")) == []


def test_what_is_open_names_its_call_and_its_hook() -> None:
    work = OpenWork()
    event = k.HostAsked("before_tool_call", "c")
    work.evolve(Record(seq=4, at_ns=0, cause=0, actor="", event=event))
    assert work.read() == (Open(4, "host.asked", "c", "before_tool_call"),)


def test_every_kind_of_this_release_in_the_table_has_the_fields_that_it_is_found_by() -> None:
    for request, ends in REQUESTS.items():
        for kind in {request, *ends.kinds} & KINDS.keys():
            for name in ends.by or ():
                assert name in KINDS[kind].__struct_fields__, (kind, name)
    assert {kind for kind in CALL_ENDS if kind in KINDS} >= {
        "tool.blocked",
        "tool.failed",
        "tool.finished",
        "tool.settled",
    }


def test_a_field_that_an_event_does_not_have_is_none() -> None:
    assert field(k.RunEnded("answered"), "call_id") is None
    assert field(newer("x", b"[1]"), "call_id") is None
