"""Servers of our own making that do what no good one does, and of the older protocol.

As a program, one over its standard streams, whose answer to a call is half a character.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Reply = tuple[int, str, str]
"""Status, type and text of an answer."""
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}


def told(asked: dict[str, Any], **said: Any) -> Reply:
    """Return an answer to a request."""
    return 200, "application/json", json.dumps({"jsonrpc": "2.0", "id": asked.get("id"), **said})


def answer(asked: dict[str, Any], call: Callable[[dict[str, Any]], Reply]) -> Reply:
    """Return what a server of 2025 answers; a call of a tool is answered by *call*."""
    result: dict[str, Any]
    match asked["method"]:
        case "initialize":
            result = {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "rude", "version": "1"},
            }
        case "tools/list":
            result = {"tools": [{"name": "book", "inputSchema": SCHEMA}]}
        case "tools/call":
            return call(asked)
        case method if method.startswith("notifications/"):
            return 202, "text/plain", ""
        case method:
            return told(asked, error={"code": -32601, "message": f"no method {method}"})
    return told(asked, result=result)


@contextmanager
def rude(call: Callable[[dict[str, Any]], Reply], refuses: int = 0) -> Generator[str]:
    """Serve over HTTP; every request is answered with the status *refuses*, if it is given."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, kind, text = (refuses, "text/plain", "") if refuses else answer(asked, call)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/mcp"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


if __name__ == "__main__":
    half = {"content": [{"type": "text", "text": "\ud800"}]}
    for line in sys.stdin:
        request = json.loads(line)
        reply = answer(request, lambda asked: told(asked, result=half))[2]
        if reply:
            print(reply, flush=True)
