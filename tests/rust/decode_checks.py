"""What must hold for a decoder on every recorded stream: an entry of ``CHECKS`` each.

A check returns whether it applies to the recording, and fails by ``AssertionError``.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import cache
from typing import Any

from tests.corpus import Recording, recordings
from tests.rust.decode_reading import (
    Reading,
    at_cuts,
    by_byte,
    events,
    lf,
    payload,
    read,
    whole,
    with_unknown_fields,
    without_unknown_fields,
)
from tests.rust.decode_reference import compare

CUTS_MAX = 60
DONE = b"data: [DONE]\n\n"
GARBAGE = b'data: {"error":{"message":"late"}}\n\ndata: {broken\n\n\xff\x00{}\n'


def reference(it: Recording) -> bool:
    compare(it, _plain(it))
    return True


def one_byte_at_a_time(it: Recording) -> bool:
    return _same(it, by_byte(it.body))


def cut_anywhere(it: Recording) -> bool:
    return _same(it, at_cuts(it.body, it.name))


def lines_end_with_crlf(it: Recording) -> bool:
    body = lf(it.body).replace(b"\n", b"\r\n")
    return _same(it, whole(body)) and _same(it, at_cuts(body, it.name))


def lines_end_with_cr(it: Recording) -> bool:
    body = lf(it.body).replace(b"\n", b"\r")
    return _same(it, whole(body)) and _same(it, at_cuts(body, it.name))


def comments_and_blank_lines(it: Recording) -> bool:
    noise = b": OPENROUTER PROCESSING\n\n\n: ping\nid: 7\nretry: 10\n\ndata:\n\n"
    inside = [b": keep-alive\n" + event for event in events(it.body)]
    return _same(it, whole(b"".join(noise + event for event in inside) + noise))


def byte_order_mark(it: Recording) -> bool:
    body = b"\xef\xbb\xbf" + it.body.removeprefix(b"\xef\xbb\xbf")
    return _same(it, whole(body)) and _same(it, [*by_byte(body[:200]), body[200:]])


def no_done(it: Recording) -> bool:
    """An answer with a reason is complete without ``[DONE]``; one without is cut off."""
    kept = [event for event in events(it.body) if not _is_done(event)]
    if len(kept) == len(events(it.body)):
        return False
    if any(is_last(it.protocol, event) for event in kept):
        return _same(it, kept)
    assert read(it.api, kept).failure == "interrupted"
    return True


def garbage_after_done(it: Recording) -> bool:
    kept = [event for event in events(it.body) if not _is_done(event)]
    if len(kept) == len(events(it.body)) and not any(is_last(it.protocol, event) for event in kept):
        return False
    reading = read(it.api, [*kept, DONE, GARBAGE])
    assert reading.done
    _equal(reading, _plain(it))
    return True


def event_message(it: Recording) -> bool:
    return _same(it, [b"event: message\n" + _nameless(event) for event in events(it.body)])


def no_event_names(it: Recording) -> bool:
    return _same(it, [_nameless(event) for event in events(it.body)])


def unknown_fields(it: Recording) -> bool:
    reading = read(it.api, [with_unknown_fields(event) for event in events(it.body)])
    for block in reading.blocks:
        block.keep = without_unknown_fields(block.keep)
    _equal(reading, _plain(it))
    return True


def no_space_after_data(it: Recording) -> bool:
    return _same(it, [event.replace(b"data: ", b"data:", 1) for event in events(it.body)])


def last_event_unterminated(it: Recording) -> bool:
    body = lf(it.body).rstrip(b"\n")
    reading = read(it.api, whole(body))
    _equal(reading, _plain(it))
    assert reading.unterminated or _plain(it).done
    return True


def cut_at_event_boundaries(it: Recording) -> bool:
    parts = events(it.body)
    last = _first_last(it.protocol, parts)
    chance = random.Random(it.name)
    ends = range(last)
    for end in ends if last <= CUTS_MAX else sorted(chance.sample(ends, CUTS_MAX)):
        _is_cut_off(it, b"".join(parts[:end]))
    return last > 0


def cut_at_bytes(it: Recording) -> bool:
    parts = events(it.body)
    last = _first_last(it.protocol, parts)
    body = b"".join(parts[: last + 1])
    end = body.rfind(b"]" if last < len(parts) and _is_done(parts[last]) else b"}")
    chance = random.Random(it.name)
    for _ in range(min(end, CUTS_MAX)):
        _is_cut_off(it, body[: chance.randrange(end)])
    _is_cut_off(it, body[:end])
    return True


Check = Callable[[Recording], bool]

CHECKS: dict[str, Check] = {
    "equals the reference answer": reference,
    "fed one byte at a time": one_byte_at_a_time,
    "cut anywhere": cut_anywhere,
    "lines end with CRLF": lines_end_with_crlf,
    "lines end with CR": lines_end_with_cr,
    "comments and blank lines inserted": comments_and_blank_lines,
    "byte order mark": byte_order_mark,
    "without `[DONE]`": no_done,
    "garbage after `[DONE]`": garbage_after_done,
    "`event: message` before each payload": event_message,
    "event names removed": no_event_names,
    "unknown fields added": unknown_fields,
    "no space after `data:`": no_space_after_data,
    "last event not terminated": last_event_unterminated,
    "cut at event boundaries: interrupted": cut_at_event_boundaries,
    "cut at any byte: interrupted": cut_at_bytes,
}


@cache
def outcome(protocol: str, check: str) -> tuple[int, list[str]]:
    """Return to how many recordings *check* applies, and the faults that it found."""
    applies, faults = 0, list[str]()
    for recording in recordings(protocol):
        try:
            applies += CHECKS[check](recording)
        except AssertionError as error:
            faults.append(f"{recording.name}: {error}")
    return applies, faults


def is_last(protocol: str, event: bytes) -> bool:
    """Whether *event* says that the answer is complete, or that it failed."""
    value: Any = payload(event)
    if not isinstance(value, dict):
        return protocol == "openai-chat" and _is_done(event)
    if value.get("error"):
        return True
    match protocol:
        case "openai-chat":
            choices = [c for c in value.get("choices") or [] if c.get("index", 0) == 0]
            return any(choice.get("finish_reason") for choice in choices)
        case "anthropic-messages":
            delta = value.get("delta") or {}
            return value.get("type") in {"message_stop", "error"} or bool(delta.get("stop_reason"))
        case "openai-responses":
            words = ("completed", "incomplete", "failed")
            return value.get("type") in {"error", *(f"response.{word}" for word in words)}
        case _:
            ends = [c.get("finishReason") for c in value.get("candidates") or []]
            return any(ends) or bool((value.get("promptFeedback") or {}).get("blockReason"))


_READ: dict[str, Reading] = {}


def _plain(it: Recording) -> Reading:
    key = str(it.path)
    if key not in _READ:
        _READ[key] = read(it.api, whole(it.body))
    return _READ[key]


def _same(it: Recording, chunks: list[bytes]) -> bool:
    _equal(read(it.api, chunks), _plain(it))
    return True


def _equal(found: Reading, expected: Reading) -> None:
    assert found.end == expected.end
    assert found.blocks == expected.blocks


def _first_last(protocol: str, parts: list[bytes]) -> int:
    found = (number for number, event in enumerate(parts) if is_last(protocol, event))
    return next(found, len(parts))


def _is_cut_off(it: Recording, body: bytes) -> None:
    reading = read(it.api, whole(body))
    assert reading.failure == "interrupted", (len(body), reading.end)
    assert reading.end["reason"] is None
    for call in reading.runnable():
        assert isinstance(json.loads(call.text), dict), call


def _is_done(event: bytes) -> bool:
    return b"data: [DONE]" in event.split(b"\n")


def _nameless(event: bytes) -> bytes:
    lines = event.split(b"\n")
    return b"\n".join(line for line in lines if not line.startswith(b"event:"))
