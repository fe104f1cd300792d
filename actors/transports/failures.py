"""What a transport says when an exchange fails, word for word, and never a secret in it.

The words are those of the compatible API (spec/api.md section 8.5); the time limits are told by
the names under which they can be set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from operator import itemgetter

from tinyagent.actors.transports import Answer, Failure
from tinyagent.runtime.diagnostics import tell

ABORTED = "Request was aborted"
FILTERED = "The answer was stopped by a filter"
CUT_SHORT = "the stream ended before the answer was complete"

ERROR_TEXT_CHARS_MAX = 4096
"""So much of an error body is told; gateways answer with whole HTML pages."""

SECRET_CHARS_MIN = 8
"""Shorter credentials are placeholders; striking them out would mutilate ordinary words."""

_SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"}
)
_SECRET_QUERY = re.compile(
    r"([?&][^=&#]*(?:key|token|secret|sig|password)[^=&#]*=)[^&#]*", re.IGNORECASE
)
_USERINFO = re.compile(r"(?<=://)[^/?#@]*@")
# RFC 9110, sections 5.1 and 5.5; values in ASCII only, as the client in Rust takes them.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


def http_failure(
    api: str, status: int, headers: Mapping[str, str], body: bytes, secrets: tuple[str, ...] = ()
) -> Failure:
    """Return the failure that an answer without a 2xx status is.

    The text is ``API returned error: {status} - {body}``, the body as text of at most 4,096
    characters, with each of *secrets* that it echoes struck out.
    """
    from tinyagent.runtime.extension import classify_error

    found = classify_error(api, status, dict(headers), body)
    text = struck_out(_told(status, headers, body), secrets)[:ERROR_TEXT_CHARS_MAX]
    return Failure(
        found["kind"],
        f"API returned error: {status} - {text}",
        status=status,
        retry_after_s=found["retry_after_s"],
        retryable=found["retryable"],
    )


def _told(status: int, headers: Mapping[str, str], body: bytes) -> str:
    if 300 <= status < 400 and (place := headers.get("location")):
        moved = f"moved to {public_url(place)}"
        return f"{moved}; this is not followed: set base_url to the right place"
    return body.decode("utf-8", "replace")


def secrets_of(headers: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """Return the credentials in *headers*: whole values and what follows the scheme."""
    found: list[str] = []
    for name, value in headers:
        if name.lower() in _SECRET_HEADERS:
            found += [value, value.rpartition(" ")[2]]
    return tuple(secret for secret in found if len(secret) >= SECRET_CHARS_MIN)


def struck_out(text: str, secrets: tuple[str, ...]) -> str:
    """Return *text* with each of *secrets* replaced by ``***``."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def public_url(url: str) -> str:
    """Return *url* as it may be told: without user, password, and values of secret parameters."""
    return _SECRET_QUERY.sub(r"\1***", _USERINFO.sub("", url))


def check_headers(headers: Sequence[tuple[str, str]]) -> None:
    """Refuse what HTTP cannot carry.

    Raises:
        Failure: of kind ``invalid``. It does not tell the header: it may be half a key.
    """
    if not all(map(_HEADER_NAME.fullmatch, map(itemgetter(0), headers))):
        raise Failure("invalid", "Invalid header: failed to parse header name")
    if not all(map(_HEADER_VALUE.fullmatch, map(itemgetter(1), headers))):
        raise Failure("invalid", "Invalid header: failed to parse header value")


def bad_url() -> Failure:
    """The URL cannot be requested; it is not told, nobody knows what it is."""
    return Failure("invalid", "HTTP request failed: builder error")


def no_client(why: Exception) -> Failure:
    """The environment names a proxy or certificates that cannot be used."""
    told = "no client for this environment (proxies, SSL_CERT_FILE, SSL_CERT_DIR)"
    return _noted(Failure("invalid", f"HTTP request failed: {told}"), why)


def not_sent(url: str, why: Exception) -> Failure:
    """No connection, or it broke before the answer."""
    message = f"HTTP request failed: error sending request for url ({public_url(url)})"
    return _noted(Failure("network", message, retryable=True), why)


def not_connected(url: str, limit_s: float) -> Failure:
    """``connect_timeout_s`` passed."""
    what = f"no connection to {public_url(url)} within {limit_s:g} s"
    message = f"HTTP request failed: {what} (connect_timeout_s)"
    return Failure("timeout", message, retryable=True)


def not_answered(url: str, limit_s: float) -> Failure:
    """``first_byte_timeout_s`` passed. Not retryable: the request may be at work, and paid."""
    what = f"no answer from {public_url(url)} within {limit_s:g} s"
    return Failure("timeout", f"HTTP request failed: {what} (first_byte_timeout_s)")


def fell_silent(status: int, limit_s: float) -> Failure:
    """``read_timeout_s`` passed."""
    what = f"the answer was silent for {limit_s:g} s"
    message = f"HTTP request failed: {what} (read_timeout_s)"
    return Failure("timeout", message, status=status)


def broke_off(status: int, why: Exception) -> Failure:
    """The connection broke in the answer, or what came is no HTTP."""
    message = "HTTP request failed: error decoding response body"
    return _noted(Failure("network", message, status=status, retryable=True), why)


def encoded(status: int, names: str) -> Failure:
    """The answer has a ``content-encoding`` of *names*, which nobody here can undo."""
    what = f"the answer is compressed ({names}), although it was asked for as it is"
    message = f"HTTP request failed: {what} (accept-encoding: identity)"
    return Failure("network", message, status=status)


def cancelled() -> Failure:
    """``aclose`` was called before there was an answer."""
    return Failure("cancelled", ABORTED)


def fault_of(answer: Answer) -> tuple[str, str] | None:
    """Return kind and message of why *answer* is none; None if it is one."""
    if answer.failure is not None:
        return answer.failure
    match answer.reason:
        case None:
            return "network", CUT_SHORT
        case "filtered":
            return "filtered", FILTERED
        case _:
            return None


def _noted(failure: Failure, why: Exception) -> Failure:
    """Add what the library said as a note, and tell it: to a person, it is not for the message."""
    note = f"{type(why).__name__}: {why}"
    failure.add_note(note)
    tell("http", f"{failure.message}: {note}")
    return failure
