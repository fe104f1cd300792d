"""Streams an answer through a proxy server, which holds the keys and talks to the provider."""

from __future__ import annotations

import asyncio
import copy
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from tinyagent.actors.transports import Failure
from tinyagent.agent_types import (
    AssistantMessage,
    AssistantMessageEvent,
    Context,
    JsonObject,
    JsonValue,
    Model,
    SimpleStreamOptions,
    TextContent,
    dump_model_dumpable as dump_model_dumpable,
)
from tinyagent.proxy_event_handlers import process_proxy_event as process_proxy_event
from tinyagent.runtime.clock import SystemClock

__all__ = ["ProxyStreamOptions", "ProxyStreamResponse", "create_proxy_stream", "stream_proxy"]

INCOMPLETE = "Proxy stream ended before the answer was complete"
ABORTED = "Request aborted by user"
POLL_S = 0.02
"""How often a signal that is a function is asked."""


@dataclass
class ProxyStreamOptions:
    """Where the proxy is, and what to ask it for. ``signal``: returns True to abort."""

    auth_token: str
    proxy_url: str
    temperature: float | None = None
    max_tokens: int | None = None
    reasoning: JsonValue = None
    signal: Callable[[], bool] | None = None


async def stream_proxy(
    model: Model, context: Context, options: ProxyStreamOptions | SimpleStreamOptions
) -> ProxyStreamResponse:
    """Ask the proxy and return its answer as a stream. Can be an agent's ``stream_fn``.

    With ``SimpleStreamOptions`` the URL is ``model.proxy_url``, else ``TINYAGENT_PROXY_URL``; the
    token is ``api_key``, else ``TINYAGENT_PROXY_TOKEN``.
    """
    return ProxyStreamResponse(model=model, context=context, options=options)


async def create_proxy_stream(
    model: Model,
    context: Context,
    auth_token: str,
    proxy_url: str,
    *,
    temperature: float | None = None,
    max_tokens: int | None = None,
    reasoning: JsonValue = None,
    signal: Callable[[], bool] | None = None,
) -> ProxyStreamResponse:
    """Ask the proxy at *proxy_url* and return its answer as a stream."""
    options = ProxyStreamOptions(auth_token, proxy_url, temperature, max_tokens, reasoning, signal)
    return await stream_proxy(model, context, options)


class ProxyStreamResponse:
    """An answer of the proxy: an async iterator of stream events, and its final message.

    The request starts when this is made. What goes wrong is told by the message.
    """

    def __init__(
        self, *, model: Model, context: Context, options: ProxyStreamOptions | SimpleStreamOptions
    ) -> None:
        self._options = options
        self._model = model
        self._context = context
        self._partial = AssistantMessage(
            stop_reason="stop",
            api=model.api,
            provider=model.provider,
            model=model.id,
            timestamp=SystemClock().now_us() // 1000,
        )
        self._events: asyncio.Queue[AssistantMessageEvent | None] = asyncio.Queue()
        self._final: asyncio.Future[AssistantMessage] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name="tinyagent proxy stream")

    def __aiter__(self) -> AsyncIterator[AssistantMessageEvent]:
        """Return this stream."""
        return self

    async def __anext__(self) -> AssistantMessageEvent:
        """Return the next event; a caller that is cancelled here closes the request."""
        try:
            event = await self._events.get()
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if event is None:
            self._events.put_nowait(None)
            raise StopAsyncIteration
        return event

    async def result(self) -> AssistantMessage:
        """Return the final message. Never raises for what the proxy did."""
        return await asyncio.shield(self._final)

    async def _run(self) -> None:
        reading = asyncio.ensure_future(self._read())
        watching = asyncio.ensure_future(_raised(self._options.signal))
        try:
            await asyncio.wait({reading, watching}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
            else:
                self._fail("aborted", ABORTED, "aborted")
        except Failure as failure:
            self._fail("error", failure.message, failure.kind)
        except RuntimeError as error:
            self._fail("error", str(error), "network")
        except asyncio.CancelledError:
            self._fail("aborted", ABORTED, "aborted")
            raise
        finally:
            watching.cancel()
            reading.cancel()
            await asyncio.wait({reading, watching})
            self._events.put_nowait(None)

    async def _read(self) -> None:
        from tinyagent.actors.transports.portable import open_stream

        url, token = self._address()
        headers = [("authorization", f"Bearer {token}"), ("content-type", "application/json")]
        limits = {
            name: value
            for name in ("connect_timeout_s", "first_byte_timeout_s", "read_timeout_s")
            if (value := getattr(self._options, name, None)) is not None
        }
        body = json.dumps(self._body(), ensure_ascii=False).encode("utf-8", "replace")
        stream = await open_stream("POST", f"{url}/api/stream", headers, body, **limits)
        try:
            if stream.status != 200:
                raise Failure("refused", f"Proxy error: {stream.status}", status=stream.status)
            async for event in _events(stream):
                if self._take(event):
                    return
            raise Failure("network", INCOMPLETE)
        finally:
            await stream.aclose()

    def _take(self, event: JsonObject) -> bool:
        """Hand on what *event* is; return whether it ends the answer."""
        said = process_proxy_event(event, self._partial)
        if said is None:
            return False
        ends = said.type in ("done", "error")
        if ends:
            self._settle()
        elif said.partial is not None:
            said.partial = copy.deepcopy(said.partial)
            said.tool_call = copy.deepcopy(said.tool_call)
        self._events.put_nowait(said)
        return ends

    def _fail(self, reason: Any, told: str, kind: str) -> None:
        if self._final.done():
            return
        message = self._partial
        message.content = message.content or [TextContent(text="")]
        message.stop_reason, message.error_message, message.error_kind = reason, told, kind
        self._settle()
        self._events.put_nowait(AssistantMessageEvent(type="error", reason=reason, error=message))

    def _settle(self) -> None:
        if not self._final.done():
            self._final.set_result(self._partial)

    def _address(self) -> tuple[str, str]:
        options = self._options
        if isinstance(options, ProxyStreamOptions):
            return options.proxy_url, options.auth_token
        url = getattr(self._model, "proxy_url", None) or os.environ.get("TINYAGENT_PROXY_URL")
        token = options.api_key or os.environ.get("TINYAGENT_PROXY_TOKEN")
        if not url or not token:
            raise Failure(
                "invalid",
                "the proxy needs a URL (model.proxy_url or TINYAGENT_PROXY_URL) and a token "
                "(options.api_key or TINYAGENT_PROXY_TOKEN)",
            )
        return str(url), token

    def _body(self) -> JsonObject:
        options, context = self._options, self._context
        asked: dict[str, Any] = {
            "system_prompt": context.system_prompt,
            "messages": repaired([_dumped(message) for message in context.messages]),
        }
        if context.tools:
            asked["tools"] = [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                    "label": tool.label,
                }
                for tool in context.tools
            ]
        reasoning = options.reasoning
        if isinstance(options, SimpleStreamOptions) and reasoning:
            reasoning = {"effort": reasoning}
        wanted: dict[str, Any] = {
            "temperature": options.temperature,
            "maxTokens": options.max_tokens,
            "reasoning": reasoning,
        }
        session_id = getattr(options, "session_id", None)
        if session_id:
            wanted["sessionId"] = session_id
        named = {"provider", "id", "api", "thinking_level"}
        model = self._model.model_dump(mode="json", include=named)
        return {"model": model, "context": asked, "options": wanted}  # type: ignore[dict-item] # JSON


def _dumped(message: Any) -> dict[str, Any]:
    dump = dump_model_dumpable(message, where="context.messages")
    dump.pop("error_kind", None)
    return dump


def repaired(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return *messages* with a result for every call, and no result without its call."""
    results = {m.get("tool_call_id") for m in messages if m.get("role") == "tool_result"}
    called: set[object] = set()
    out: list[dict[str, Any]] = []
    for message in messages:
        if message.get("role") == "tool_result" and message.get("tool_call_id") not in called:
            continue
        out.append(message)
        for block in message.get("content") or ():
            if not isinstance(block, dict) or block.get("type") != "tool_call":
                continue
            called.add(block.get("id"))
            if block.get("id") not in results:
                out.append(
                    {
                        "role": "tool_result",
                        "tool_call_id": block.get("id"),
                        "tool_name": block.get("name"),
                        "content": [
                            {"type": "text", "text": "No result was recorded for this call."}
                        ],
                        "details": {},
                        "is_error": True,
                    }
                )
    return out


async def _raised(signal: Callable[[], bool] | asyncio.Event | None) -> None:
    """Return when *signal* asks to abort; never without one."""
    if signal is None:
        await asyncio.Event().wait()
    elif isinstance(signal, asyncio.Event):
        await signal.wait()
    else:
        while not signal():  # noqa: ASYNC110 - the host's function can only be asked
            await asyncio.sleep(POLL_S)


async def _events(chunks: AsyncIterator[bytes]) -> AsyncIterator[JsonObject]:
    """Yield the JSON objects of a stream of server-sent events, wherever its bytes are cut.

    Lines end with CR, LF or both (WHATWG). What is no JSON object is left out; a last event
    without a blank line after it counts.
    """
    data: list[bytes] = []
    async for line in _lines(chunks):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            event = _object(b"\n".join(data))
            data = []
            if event is not None:
                yield event
    event = _object(b"\n".join(data)) if data else None
    if event is not None:
        yield event


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest, is_first = b"", True
    async for chunk in chunks:
        rest += chunk
        if is_first and len(rest) >= 3:
            rest, is_first = rest.removeprefix(b"\xef\xbb\xbf"), False
        # A CR at the very end may be half of a CRLF.
        whole = rest[:-1] if rest.endswith(b"\r") else rest
        lines = whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        rest = lines.pop() + (b"\r" if rest.endswith(b"\r") else b"")
        for line in lines:
            yield line
    yield rest.rstrip(b"\r")


def _object(data: bytes) -> JsonObject | None:
    try:
        value: object = json.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
