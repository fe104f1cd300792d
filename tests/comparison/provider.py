"""The model of the comparison: an OpenAI-compatible server on loopback that says what it must.

It asks for the tool ``send_invoice`` whenever the last message is the user's, and answers with
text whenever it is a tool's result. Every request is counted, whatever process it comes from.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER = "Sent. " + "The invoice went out as it was asked for, and nothing else was done. " * 35


class Provider(ThreadingHTTPServer):
    """``requests``: every body that was sent, in order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        """Where it answers, as clients of OpenAI want it."""
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        assert isinstance(self.server, Provider)
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append(body)
        message = _answer(body["messages"], len(self.server.requests))
        sent = _stream(message) if body.get("stream") else json.dumps(_whole(message)).encode()
        self.send_response(200)
        kind = "text/event-stream" if body.get("stream") else "application/json"
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: only what is counted matters."""


def _answer(messages: list[dict[str, Any]], number: int) -> dict[str, Any]:
    if messages[-1]["role"] == "tool":
        return {"role": "assistant", "content": ANSWER}
    called = {"name": "send_invoice", "arguments": '{"to":"ann"}'}
    call = {"id": f"call_{number}", "type": "function", "function": called}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _frame(**of_choice: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": None, **of_choice}
    return {
        "id": "answer",
        "created": 1_790_000_000,
        "model": "m",
        "choices": [choice],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }


def _reason(message: dict[str, Any]) -> str:
    return "tool_calls" if "tool_calls" in message else "stop"


def _whole(message: dict[str, Any]) -> dict[str, Any]:
    frame = _frame(message=message, finish_reason=_reason(message))
    return {**frame, "object": "chat.completion"}


def _stream(message: dict[str, Any]) -> bytes:
    calls = [{**call, "index": 0} for call in message.get("tool_calls", ())]
    delta = {**message, **({"tool_calls": calls} if calls else {})}
    frames = [_frame(delta=delta), _frame(delta={}, finish_reason=_reason(message))]
    told = [json.dumps({**frame, "object": "chat.completion.chunk"}) for frame in frames]
    return "".join(f"data: {each}\n\n" for each in (*told, "[DONE]")).encode()


@contextmanager
def provider() -> Generator[Provider]:
    """Serve until the block ends."""
    with Provider() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
