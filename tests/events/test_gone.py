"""What a record does not hold any more: told from what somebody said himself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tinyagent.events import Record, UnknownEvent, decode, kinds as k
from tinyagent.events.gone import is_redacted, lost_value, without_redacted

DIGEST = "ab" * 32
TAKEN = {"$redacted": f"sha256:{DIGEST}", "n": 9}
LOST = {"$blob": f"sha256:{DIGEST}", "n": 70_000, "t": "text"}


def record(kind: str, payload: Any) -> Record:
    data = msgspec.json.encode(payload)
    return Record(1, 0, 0, "", decode(kind, 1, data), data)


@pytest.mark.parametrize(
    ("payload", "digest", "redacted"),
    [
        ({"content": "hi"}, "", False),
        ({"content": 'it said {"$blob":"sha256:' + DIGEST + '"}'}, "", False),
        ({"content": "hi", "details": {"$esc": LOST}}, "", False),
        ({"content": "hi", "details": {"$esc": TAKEN}}, "", False),
        ({"content": "hi", "details": LOST}, DIGEST, False),
        ({"content": "hi", "details": {"a": [TAKEN]}}, "", True),
    ],
)
def test_what_is_gone_is_told_from_what_a_tool_said(
    payload: Any, digest: str, redacted: bool
) -> None:
    found = record("tool.finished", {"call_id": "a", **payload})
    assert (lost_value(found), is_redacted(found)) == (digest, redacted)


@pytest.mark.parametrize(
    ("kind", "payload", "event"),
    [
        ("user.said", {"content": TAKEN}, k.UserSaid("(redacted)")),
        (
            "tool.finished",
            {"call_id": "a", "content": TAKEN, "details": {"x": [TAKEN, {"$esc": {"$a": 1}}]}},
            k.ToolFinished("a", "(redacted)", {"x": ["(redacted)", {"$esc": {"$a": 1}}]}),
        ),
        (
            "tool.failed",
            {"call_id": "a", "failure": {"kind": "host", "message": TAKEN}},
            k.ToolFailed("a", k.Failure("host", "(redacted)")),
        ),
        ("session.started", {"system": TAKEN}, k.SessionStarted(system="(redacted)")),
    ],
)
def test_a_value_taken_out_leaves_an_event_of_its_kind(
    kind: str, payload: Any, event: k.Event
) -> None:
    found = record(kind, payload)
    shown = without_redacted(found)
    assert shown.payload == found.payload
    assert shown.event == event


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("user.said", TAKEN),  # all of it
        ("model.requested", {"n": TAKEN}),  # no text fits there
        ("user.said", {"content": TAKEN, "newer": TAKEN}),
        ("something.newer", {"content": TAKEN}),
    ],
)
def test_a_record_that_nothing_fits_into_stays_as_it_is(kind: str, payload: Any) -> None:
    found = record(kind, payload)
    assert isinstance(found.event, UnknownEvent)
    assert without_redacted(found) is found
    whole = record("user.said", {"content": "hi"})
    assert without_redacted(whole) is whole
