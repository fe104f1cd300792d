"""A provider for benchmarks: answers ``/chat/completions`` as a stream, on loopback only.

What it answers is in the model's name, so that every client can ask for it:

- ``text-N``: N deltas of text;
- ``tools-K``: one call of the tool ``work`` in each of K turns, then text;
- ``ptools-M``: M calls in one turn, then text;
- ``...@MS``: the same with MS milliseconds between events. The text is then the moment of its
  writing, `` t`` and 19 digits of ``time.monotonic_ns``.

An answer without a pace is made once and sent with one write. ``python provider.py SECONDS``
prints its port, and ends by itself.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

MODEL = re.compile(rb'"model"\s*:\s*"([^"]+)"')
LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
# One for each result that the request carries: so many calls were answered before.
RESULT = re.compile(rb'"role"\s*:\s*"tool"')
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
TEXT = (" a", " turn", " of", " the", " agent", " is", " written", " down", " first", ".")
STAMP = " t" + "0" * 19
FRAGMENT_CHARS = 20
END = b"0\r\n\r\n"


def chunk(model: str, delta: dict[str, Any] | None, **more: Any) -> bytes:
    """Return one event as it is on the wire, in an HTTP chunk of its own, as OpenAI sends it."""
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None, **more}]
    usage = {"prompt_tokens": 120, "completion_tokens": 40, "total_tokens": 160}
    event = {
        "id": "chatcmpl-D0iZ3vQx7RrB1sTnYkWcLmAeUoPf",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": model,
        "service_tier": "default",
        "system_fingerprint": "fp_3f58d112f7",
        "choices": choices if delta is not None else [],
        "usage": None if delta is not None else usage,
    }
    return framed(json.dumps(event, separators=(",", ":")).encode())


def framed(data: bytes) -> bytes:
    """Return *data* as an event in an HTTP chunk."""
    event = b"data: %b\n\n" % data
    return b"%x\r\n%b\r\n" % (len(event), event)


def text(model: str, deltas: int, *, is_stamped: bool) -> Iterator[bytes]:
    """Yield an answer of text."""
    yield chunk(model, {"role": "assistant", "content": "", "refusal": None})
    for number in range(deltas):
        yield chunk(model, {"content": STAMP if is_stamped else TEXT[number % len(TEXT)]})
    yield chunk(model, {}, finish_reason="stop")


def calls(model: str, first: int, count: int) -> Iterator[bytes]:
    """Yield an answer of *count* tool calls, 100 bytes of arguments each."""
    yield chunk(model, {"role": "assistant", "content": None})
    for index in range(count):
        path = f"src/some/directory/file_{first + index:04}.py"
        arguments = json.dumps({"path": path, "pattern": "def handle_request", "limit": 40})
        function = {"name": "work", "arguments": ""}
        call = {"index": index, "id": f"call_{first + index}", "type": "function"}
        yield chunk(model, {"tool_calls": [{**call, "function": function}]})
        for at in range(0, len(arguments), FRAGMENT_CHARS):
            fragment = {"arguments": arguments[at : at + FRAGMENT_CHARS]}
            yield chunk(model, {"tool_calls": [{"index": index, "function": fragment}]})
    yield chunk(model, {}, finish_reason="tool_calls")


@cache
def answer(model: str, results: int) -> tuple[bytes, ...]:
    """Return the chunks that answer a request which carries *results* results of tools."""
    kind, _, size = model.partition("@")[0].partition("-")
    is_stamped = "@" in model
    if kind == "tools" and results < int(size):
        said = calls(model, results, 1)
    elif kind == "ptools" and not results:
        said = calls(model, 0, int(size))
    else:
        said = text(model, int(size) if kind == "text" else 5, is_stamped=is_stamped)
    return (*said, chunk(model, None), framed(b"[DONE]"))


@cache
def whole(model: str, results: int) -> bytes:
    """Return an answer without a pace, all of it."""
    return HEAD + b"".join(answer(model, results)) + END


class Connection(asyncio.Protocol):
    """One connection that is kept alive; requests come one after the other."""

    def __init__(self) -> None:
        self.received = b""
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=1 << 26)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            length = LENGTH.search(self.received, 0, end)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(self.received) < size:
                return
            body, self.received = self.received[end + 4 : size], self.received[size:]
            self.reply(body)

    def reply(self, body: bytes) -> None:
        found = MODEL.search(body)
        assert found is not None, "a request without a model"
        model = found[1].decode()
        results = len(RESULT.findall(body))
        if "@" not in model:
            self.transport.write(whole(model, results))
            return
        self.transport.write(HEAD)
        pace_s = float(model.partition("@")[2]) / 1000
        now_s = asyncio.get_running_loop().time()
        self.trickle(iter(answer(model, results)), now_s, pace_s)

    def trickle(self, chunks: Iterator[bytes], due_s: float, pace_s: float) -> None:
        due = next(chunks, None)
        if due is None:
            self.transport.write(END)
            return
        stamp = f" t{time.monotonic_ns():019}"
        self.transport.write(due.replace(STAMP.encode(), stamp.encode()))
        due_s += pace_s
        loop = asyncio.get_running_loop()
        self.timer = loop.call_at(due_s, self.trickle, chunks, due_s, pace_s)


async def main(seconds: float) -> None:
    """Serve for *seconds* at most."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(seconds)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
