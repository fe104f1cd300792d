"""The reference answers, and where the decoders give another one.

``DEVIATIONS`` is complete: a deviation that is not in it fails, and so does an entry that nothing
needs.
"""

from __future__ import annotations

import json
from typing import Any

from tests.corpus import Recording
from tests.rust.decode_reading import Reading

DEVIATIONS: dict[tuple[str, str], str] = {}
"""Protocol and name of a recording, and what differs: the reason."""


def compare(it: Recording, found: Reading) -> None:
    """Fail unless *found* is the reference answer of *it*."""
    expected = it.expected
    pairs: dict[str, tuple[object, object]] = {
        "text": (found.joined("text"), expected["text"]),
        "thinking": (found.joined("think"), expected["thinking"]),
        "refusal": (found.joined("refuse"), expected.get("refusal") or ""),
        "tool_calls": (_calls(found), [_expected_call(call) for call in expected["tool_calls"]]),
        "finish_reason": (found.end["raw_reason"], expected["finish_reason"]),
        "usage": (_json(found.end["usage_raw"]), expected["usage"]),
        "error": (_message(found), (expected.get("error") or {}).get("message")),
    }
    differ = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
    assert not differ, differ
    bad = {found.blocks[number].text for number in found.end["bad_calls"]}
    assert all(call["arguments"] is None or not call["arguments"] for call in _bad(it, bad))


def _calls(found: Reading) -> list[object]:
    return [(call.id, call.name, _arguments(call.text)) for call in found.calls]


def _expected_call(call: dict[str, Any]) -> object:
    arguments = call["arguments"]
    return (call["id"] or "", call["name"], call.get("arguments_raw", arguments))


def _arguments(text: str) -> object:
    """Parsed; what is not JSON as it is."""
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text


def _bad(it: Recording, texts: set[str]) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = it.expected["tool_calls"]
    return [call for call in calls if call.get("arguments_raw", "") in texts]


def _json(text: str | None) -> object:
    return None if text is None else json.loads(text)


def _message(found: Reading) -> str | None:
    failure: tuple[str, str] | None = found.end["failure"]
    return failure and failure[1]
