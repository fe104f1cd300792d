"""What HTTP errors mean, on the recorded ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests import corpus

from tinyagent._alchemy import classify_error

KINDS = {400: "invalid", 401: "refused", 403: "refused", 404: "invalid", 413: "overflow"} | {
    429: "overloaded",
    500: "overloaded",
}
# What the status alone does not say.
SPECIAL = {
    "google/400-gemini-1": "refused",  # a wrong key
    "google-vertex/400-gemini-2": "overflow",
    "ollama/400-openai-chat-1": "overflow",
    "openrouter/400-openai-chat-2": "overflow",
    "xai/400-openai-responses-1": "refused",  # a wrong key
}

# What the providers repeat of the wrong keys, and what is left of it.
KEYS = {
    "provided: invalid-key": "provided: inva…",
    "sk-inval**************-key": "sk-i…",
    "****-key": "****…",
}


def classify(
    status: int, body: Any, headers: dict[str, str] | list[tuple[str, str]] | None = None
) -> dict[str, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return classify_error("openai-completions", status, headers or {}, data)


def test_every_recorded_error_has_its_kind_and_says_what_the_provider_said() -> None:
    found = corpus.errors()
    assert len(found) == 44
    for name, error in found:
        status, body = error["status"], error["body"]
        told = classify(status, body, error["headers"])
        assert told["kind"] == SPECIAL.get(name, KINDS[status]), (name, told)
        assert told["overflow"] == (told["kind"] == "overflow"), name
        said = body.get("error", body)
        words = said if isinstance(said, str) else said.get("message") or said["detail"]
        for key, shown in KEYS.items():
            words = words.replace(key, shown)
        assert told["message"] == words, name
        assert told["retryable"] == (status in (429, 500)), name
        assert told["retry_after_s"] is None, name


def test_a_mapping_or_pairs_of_headers_in_any_case() -> None:
    for headers in ({"Retry-After": "3"}, [("RETRY-AFTER", "3")]):
        assert classify(429, {}, headers)["retry_after_s"] == 3.0


# Synthesised: these were described by providers and issue threads, not recorded.
@pytest.mark.parametrize(
    ("status", "body", "headers", "expected"),
    [
        (529, {"error": {"type": "overloaded_error", "message": "m"}}, {}, ("overloaded", True)),
        (429, {"error": {"code": "insufficient_quota", "message": "m"}}, {}, ("refused", False)),
        (429, {"error": {"message": "m"}}, {"x-should-retry": "false"}, ("overloaded", False)),
        (400, {"error": {"message": "m"}}, {"x-should-retry": "true"}, ("invalid", True)),
        (413, {"error": {"type": "request_too_large", "message": "m"}}, {}, ("overflow", False)),
        (400, {"error": {"code": "content_filter", "message": "m"}}, {}, ("filtered", False)),
        (408, {"message": "m"}, {}, ("timeout", True)),
        (504, {"message": "m"}, {}, ("timeout", True)),
        (409, {"message": "m"}, {}, ("overloaded", True)),
        (402, {"error": {"message": "m"}}, {}, ("refused", False)),
        (500, [{"error": {"message": "m", "status": "INTERNAL"}}], {}, ("overloaded", True)),
        (
            429,
            {"error": {"message": "m", "details": {"error_code": "enforced_spend_limit_reached"}}},
            {},
            ("refused", False),
        ),
    ],
)
def test_errors_that_were_not_recorded(
    status: int, body: Any, headers: dict[str, str], expected: tuple[str, bool]
) -> None:
    told = classify(status, body, headers)
    assert (told["kind"], told["retryable"], told["message"]) == (*expected, "m")


def test_bodies_that_are_no_json() -> None:
    page = classify(502, b"<html><title>502 Bad Gateway</title></html>")
    assert (page["kind"], page["message"]) == ("overloaded", "an HTML page: 502 Bad Gateway")
    assert classify(503, b"")["message"] == "HTTP 503 with an empty body"
    assert classify(400, b" ")["kind"] == "overflow"  # Cerebras
    assert classify(500, b"\xff" * 100_000)["message"].endswith("…")


def test_an_unknown_api_has_no_decoder() -> None:
    from tinyagent._alchemy import Decoder

    with pytest.raises(ValueError, match='no decoder for api "x" \\(known: openai-completions'):
        Decoder("x")
