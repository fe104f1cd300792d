"""What a ``ProviderServer`` answers: bytes, when they leave, and how the connection ends.

All of it is data, so a script can be printed, compared and reused. ``chat`` writes a stream of
chat/completions chunks as OpenAI sends it (spec/wire.md section 2.2); everything else takes bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Ending = Literal["whole", "close", "reset", "stall"]
Call = tuple[str, Any] | tuple[str, str, Any]
"""A tool call: ``(name, arguments)`` or ``(id, name, arguments)``; a string is sent as it is."""

CREATED_AT_S = 1_732_300_000
"""The time in every chunk: an answer is the same bytes whenever it is given."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer.

    Attributes:
        chunks: the body; each leaves as one HTTP chunk, in one write.
        first_delay_s: from the request to the headers.
        delay_s: before each chunk of the body; a sequence gives each its own, the last repeats.
        ending: ``whole`` ends as HTTP wants it; ``close`` without the last chunk; ``reset`` with
            a TCP reset; ``stall`` not at all, until the client goes away.
        headers_sent: whether headers leave, before such an ending; always, if there are chunks.
    """

    chunks: tuple[bytes, ...] = ()
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("content-type", "text/event-stream"),)
    first_delay_s: float = 0.0
    delay_s: float | tuple[float, ...] = 0.0
    ending: Ending = "whole"
    headers_sent: bool = True

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.chunks)

    def delay_before(self, number: int) -> float:
        """Return how long chunk *number*, from 0, waits for its turn, in seconds."""
        if isinstance(self.delay_s, tuple):
            return self.delay_s[min(number, len(self.delay_s) - 1)] if self.delay_s else 0.0
        return self.delay_s


Item = bytes | Reply | Callable[[Any], "bytes | Reply"]
"""One answer of a script: a body, a reply, or what makes one from the request's JSON."""


def reply(item: bytes | Reply) -> Reply:
    """Return *item* as a reply; bare bytes are a stream, or JSON if they look like it."""
    if isinstance(item, Reply):
        return item
    if not isinstance(item, bytes):  # pyright: ignore[reportUnnecessaryIsInstance] - tests may
        raise TypeError(f"an answer is bytes or a Reply, as of chat(text=...), got {item!r}")
    is_json = item.lstrip()[:1] in (b"{", b"[")
    kind = "application/json" if is_json else "text/event-stream"
    return Reply(chunks=(item,) if item else (), headers=(("content-type", kind),))


def chat(
    *,
    text: str = "",
    thinking: str = "",
    calls: Sequence[Call] = (),
    finish: str | None = None,
    usage: Mapping[str, Any] | None = None,
    chunk_chars: int = 12,
    model: str = "scripted",
    response_id: str = "chatcmpl-scripted",
) -> Reply:
    """Return a stream of chat/completions: role, reasoning, text, calls, end, usage, ``[DONE]``.

    Text and arguments come in fragments of *chunk_chars* characters. *finish* is ``tool_calls``
    if there are calls, else ``stop``. *usage* None counts fragments; an empty one sends none.
    """
    events: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    events += [{"reasoning_content": part} for part in _cut(thinking, chunk_chars)]
    events += [{"content": part} for part in _cut(text, chunk_chars)]
    for index, call in enumerate(calls):
        events += _call(index, call, chunk_chars)
    finish = finish or ("tool_calls" if calls else "stop")
    frame = {
        "id": response_id,
        "object": "chat.completion.chunk",
        "created": CREATED_AT_S,
        "model": model,
    }

    def event(**fields: Any) -> bytes:
        return sse({**frame, **fields})

    def choice(delta: dict[str, Any], reason: str | None) -> list[dict[str, Any]]:
        return [{"index": 0, "delta": delta, "finish_reason": reason}]

    chunks = [event(choices=choice(delta, None), usage=None) for delta in events]
    chunks.append(event(choices=choice({}, finish), usage=None))
    if usage is None:
        counted = len(events) - 1
        usage = {"prompt_tokens": 10, "completion_tokens": counted, "total_tokens": 10 + counted}
    if usage:
        chunks.append(event(choices=[], usage=dict(usage)))
    return Reply(chunks=(*chunks, b"data: [DONE]\n\n"))


def completion(*, text: str = "", calls: Sequence[Call] = (), finish: str | None = None) -> Reply:
    """Return the same answer as one JSON body: a server that does not stream."""
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = [_whole(n, call) for n, call in enumerate(calls)]
    reason = finish or ("tool_calls" if calls else "stop")
    return json_reply(
        {
            "id": "chatcmpl-scripted",
            "object": "chat.completion",
            "created": CREATED_AT_S,
            "model": "scripted",
            "choices": [{"index": 0, "message": message, "finish_reason": reason}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11},
        }
    )


def sse(payload: object, *, event: str = "") -> bytes:
    """Return *payload* as one server-sent event; *event* names it."""
    name = f"event: {event}\n" if event else ""
    return f"{name}data: {_json(payload)}\n\n".encode()


def json_reply(
    payload: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Reply:
    """Return *payload* as a JSON body."""
    fields = (("content-type", "application/json"), *(headers or {}).items())
    return Reply(chunks=(_json(payload).encode(),), status=status, headers=fields)


def status(
    code: int, body: bytes | str | object = b"", headers: Mapping[str, str] | None = None
) -> Reply:
    """Return an answer of status *code*; a body that is neither bytes nor text becomes JSON."""
    if not isinstance(body, bytes | str):
        return json_reply(body, code, headers)
    raw = body.encode() if isinstance(body, str) else body
    fields = {name.lower(): value for name, value in (headers or {}).items()}
    fields.setdefault("content-type", "text/html" if raw.lstrip()[:1] == b"<" else "text/plain")
    return Reply(chunks=(raw,) if raw else (), status=code, headers=tuple(fields.items()))


def close_after(n_bytes: int, item: bytes | Reply = b"") -> Reply:
    """Send the first *n_bytes* of *item*'s body, then close in good order, but too early."""
    return _cut_off(item, n_bytes, "close")


def reset(item: bytes | Reply = b"", after_bytes: int = 0) -> Reply:
    """Send the first *after_bytes* of *item*'s body, then reset the connection."""
    return _cut_off(item, after_bytes, "reset")


def stall(item: bytes | Reply = b"", after_bytes: int = 0) -> Reply:
    """Send the first *after_bytes* of *item*'s body, then nothing; not even headers if 0."""
    return _cut_off(item, after_bytes, "stall")


def kept_open(item: bytes | Reply) -> Reply:
    """Send all of *item*, but never say that the answer has ended."""
    return replace(reply(item), ending="stall")


def rechunked(item: bytes | Reply, sizes: Sequence[int]) -> Reply:
    """Cut *item*'s body anew: into chunks of *sizes* bytes, the last size repeats."""
    whole, body, chunks = reply(item), reply(item).body, list[bytes]()
    numbers = iter(sizes)
    size = 0
    while body:
        size = max(1, next(numbers, size or len(body)))
        chunks.append(body[:size])
        body = body[size:]
    return replace(whole, chunks=tuple(chunks))


def paced(
    item: bytes | Reply, delay_s: float | Sequence[float], *, first_delay_s: float = 0.0
) -> Reply:
    """Give *item* a schedule: see ``Reply.delay_s`` and ``Reply.first_delay_s``."""
    schedule = delay_s if isinstance(delay_s, int | float) else tuple(delay_s)
    return replace(reply(item), delay_s=schedule, first_delay_s=first_delay_s)


def _cut_off(item: bytes | Reply, n_bytes: int, ending: Ending) -> Reply:
    whole, left, chunks = reply(item), n_bytes, list[bytes]()
    for chunk in whole.chunks:
        if left > 0:
            chunks.append(chunk[:left])
        left -= len(chunk)
    return replace(whole, chunks=tuple(chunks), ending=ending, headers_sent=bool(chunks))


def _call(index: int, call: Call, chunk_chars: int) -> list[dict[str, Any]]:
    """Return a call's deltas: one that opens it, then fragments of its arguments."""
    whole = _whole(index, call)
    arguments = whole["function"]["arguments"]
    opening = {"index": index, **whole, "function": {**whole["function"], "arguments": ""}}
    return [
        {"tool_calls": [opening]},
        *(
            {"tool_calls": [{"index": index, "function": {"arguments": part}}]}
            for part in _cut(arguments, chunk_chars)
        ),
    ]


def _whole(index: int, call: Call) -> dict[str, Any]:
    call_id, name, arguments = call if len(call) == 3 else (f"call_{index + 1}", *call)
    text = arguments if isinstance(arguments, str) else _json(arguments)
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}


def _cut(text: str, chars: int) -> list[str]:
    return [text[at : at + chars] for at in range(0, len(text), chars)]


def _json(value: object) -> str:
    # Not ASCII only: providers send letters as they are, so they can be cut in half.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
