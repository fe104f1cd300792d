"""The reference answers, and where the decoders give another one.

``DEVIATIONS`` is complete: a deviation that is not in it fails, and so does an entry that nothing
needs.
"""

from __future__ import annotations

import json
from typing import Any

from tests.corpus import Recording
from tests.rust.decode_reading import Reading

DEVIATIONS: dict[tuple[str, str, str], str] = {
    (
        "openai-responses",
        "vercel+ai/xai.src.responses.xai-x-search-tool.chunks",
        "tool_calls",
    ): "calls of xAI's own search, which xAI runs: kept as items, they are not ours to run",
    (
        "gemini",
        "google-gemini+generative-ai-js/test-utils.mock-responses.streaming-failure-empty-content",
        "error",
    ): "neither candidates nor a reason: an answer of nothing is interrupted, not empty",
}
"""Protocol, name of the recording, and what differs: the reason."""


def compare(it: Recording, found: Reading) -> None:
    """Fail unless *found* is the reference answer of *it*."""
    expected = it.expected
    kept, wanted = _kept(it, found)
    pairs: dict[str, tuple[object, object]] = {
        "text": (found.joined("text"), expected["text"]),
        "thinking": (found.joined("think"), expected["thinking"]),
        "refusal": (found.joined("refuse"), expected.get("refusal") or ""),
        "tool_calls": (_calls(found), [_expected_call(call) for call in expected["tool_calls"]]),
        "finish_reason": (found.end["raw_reason"], expected["finish_reason"]),
        "usage": (_json(found.end["usage_raw"]), expected["usage"]),
        "error": (_message(found), (expected.get("error") or {}).get("message")),
        "kept": (kept, wanted),
    }
    differ = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
    allowed = {key for protocol, name, key in DEVIATIONS if (protocol, name) == _key(it)}
    assert set(differ) == allowed, {key: differ.get(key) for key in set(differ) ^ allowed}
    bad = {found.blocks[number].text for number in found.end["bad_calls"]}
    assert all(call["arguments"] is None or not call["arguments"] for call in _bad(it, bad))


def _key(it: Recording) -> tuple[str, str]:
    return it.protocol, it.name


def _kept(it: Recording, found: Reading) -> tuple[object, object]:
    """What must go back to the provider: found, and expected."""
    expected, kept = it.expected, found.kept
    match it.protocol:
        case "openai-chat":
            details = [entry for keep in kept for entry in keep.get("reasoning_details", [])]
            wanted = expected.get("reasoning_details", [])
            # A long list is only counted there.
            return (0, 0) if isinstance(wanted, int) else (_grown(details), _grown(wanted))
        case "anthropic-messages":
            signs = [block.sign for block in found.blocks if block.sign]
            signs += [keep["signature"] for keep in kept if keep.get("type") == "thinking"]
            redacted = [keep["data"] for keep in kept if keep.get("type") == "redacted_thinking"]
            return [signs, redacted], [expected.get("signatures", []), expected.get("redacted", [])]
        case "openai-responses":
            items = [keep for keep in kept if keep.get("type") == "reasoning"]
            # Only how many: the reference has those of `response.completed`, where OpenAI seals
            # the same reasoning anew. Recorded requests quote the ones of the items, as we do.
            sealed = sum(bool(item.get("encrypted_content")) for item in items)
            ids = [block.keep["id"] for block in found.calls]
            calls = [call for call in expected["tool_calls"] if not call.get("custom")]
            wanted = [len(expected.get("encrypted_reasoning", [])), [c["item_id"] for c in calls]]
            return [sealed, ids], wanted
        case _:
            return sum("thoughtSignature" in keep for keep in kept), expected.get("signatures", 0)


def _grown(details: list[dict[str, Any]]) -> dict[str, str]:
    """All that grows in reasoning details, by kind: merged or not, it is the same."""
    grown: dict[str, str] = {}
    for entry in details:
        for key in ("text", "summary", "data", "signature"):
            grown[key] = grown.get(key, "") + (entry.get(key) or "")
    return grown


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
