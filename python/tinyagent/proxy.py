"""Streams an answer through a proxy server, which holds the keys and talks to the provider."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import weakref
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from tinyagent._diagnostics import diagnose
from tinyagent._provider.proxy_request import effective_reasoning, request_body
from tinyagent._provider.sse import EventTooLargeError, Framer
from tinyagent._reading.bodies import error_kind
from tinyagent.actors.transports import Failure
from tinyagent.agent_types import (
    AssistantMessage,
    AssistantMessageEvent,
    Context,
    JsonObject,
    JsonValue,
    Model,
    SimpleStreamOptions,
    ToolCallContent,
    dump_model_dumpable as dump_model_dumpable,
)
from tinyagent.agent_types._later import fork
from tinyagent.events import kinds as k
from tinyagent.proxy_event_handlers import (
    index_of,
    process_proxy_event as process_proxy_event,
)
from tinyagent.runtime.clock import SystemClock

__all__ = ["ProxyStreamOptions", "ProxyStreamResponse", "create_proxy_stream", "stream_proxy"]

INCOMPLETE = "Proxy stream ended before the answer was complete"
ABORTED = "Request aborted by user"
POLL_S = 0.02
"""How often a signal that is a function is asked."""

BEHIND_MAX = 1000
"""So many events wait for their reader; then the network waits too."""

NO_ADDRESS = (
    "The proxy needs a URL (model.proxy_url or TINYAGENT_PROXY_URL) and a token "
    "(options.api_key or TINYAGENT_PROXY_TOKEN)"
)

ProxySignal = Callable[[], bool] | asyncio.Event


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
    token is ``api_key``, else ``TINYAGENT_PROXY_TOKEN``. Nothing is raised: an answer that cannot
    be had is a message with ``stop_reason`` ``error``.
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

    The request starts when this is made, and ends at the latest when nobody holds this any more.
    What goes wrong is told by an ``error`` event and by the message, never raised.
    """

    def __init__(
        self, *, model: Model, context: Context, options: ProxyStreamOptions | SimpleStreamOptions
    ) -> None:
        self._exchange = _Exchange(model, context, options)
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._exchange.run(), name="tinyagent proxy stream")
        self._task.add_done_callback(self._exchange.over)
        weakref.finalize(self, _drop, loop, self._exchange, self._task).atexit = False

    def __aiter__(self) -> AsyncIterator[AssistantMessageEvent]:
        """Return this stream."""
        return self

    async def __anext__(self) -> AssistantMessageEvent:
        """Return the next event. Who is cancelled here loses none."""
        return await self._exchange.next_event()

    async def result(self) -> AssistantMessage:
        """Return the final message; events that nobody reads do not hold it up."""
        self._exchange.is_awaited = True
        self._exchange.room.set()
        return await asyncio.shield(self._exchange.final)

    async def aclose(self) -> None:
        """Close the request. The answer is then an aborted one, unless it was complete."""
        self._exchange.stop(self._task)
        await asyncio.wait({self._task})


def _drop(loop: asyncio.AbstractEventLoop, exchange: _Exchange, task: asyncio.Task[None]) -> None:
    # From whatever thread collects garbage, perhaps after the loop is closed.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(exchange.stop, task)


class _Exchange:
    """One request, and the answer so far.

    Every event gets a message of its own. Before a block changes it is replaced by a copy, so
    that the events before still show what it was.
    """

    def __init__(
        self, model: Model, context: Context, options: ProxyStreamOptions | SimpleStreamOptions
    ) -> None:
        self._model = model
        self._context = context
        self._options = options
        self._partial = AssistantMessage(
            stop_reason="stop",
            api=model.api,
            provider=model.provider,
            model=model.id,
            timestamp=SystemClock().now_us() // 1000,
        )
        self._events: asyncio.Queue[AssistantMessageEvent | None] = asyncio.Queue()
        self.final: asyncio.Future[AssistantMessage] = asyncio.get_running_loop().create_future()
        self.room = asyncio.Event()
        self.is_awaited = False

    async def next_event(self) -> AssistantMessageEvent:
        event = await self._events.get()
        if self._events.qsize() <= BEHIND_MAX:
            self.room.set()
        if event is None:
            self._events.put_nowait(None)
            raise StopAsyncIteration
        return event

    def stop(self, task: asyncio.Task[None]) -> None:
        """Cancel *task*, unless it has said its end: then it is closing, which takes a moment."""
        if not self.final.done():
            task.cancel()

    def over(self, task: asyncio.Task[None]) -> None:
        """Say that nothing more comes; that it was cancelled, if it has not said its end."""
        del task
        self._fail("aborted", ABORTED, "aborted")
        self._events.put_nowait(None)

    async def run(self) -> None:
        """Ask and read until the answer ends, fails, or the signal is set."""
        reading = asyncio.ensure_future(self._read())
        work = {reading}
        try:
            if self._options.signal is not None:
                work.add(asyncio.ensure_future(_raised(self._options.signal)))
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for task in work:
                if task.done() and (task is reading or not reading.done()):
                    task.result()
        except Failure as failure:
            found = k.Failure(failure.kind, failure.message)  # type: ignore[arg-type] # its kinds
            reason = "aborted" if failure.kind == "cancelled" else "error"
            self._fail(reason, failure.message, error_kind(found))
        except Exception as error:  # of the host: a message that is no JSON, a signal that raises
            self._fail("error", str(error) or type(error).__name__, "host")
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _read(self) -> None:
        from tinyagent.actors.transports.portable import open_stream

        url, token, body = self._asked()
        headers = [("authorization", f"Bearer {token}"), ("content-type", "application/json")]
        limits = {
            name: value
            for name in ("connect_timeout_s", "first_byte_timeout_s", "read_timeout_s")
            if (value := getattr(self._options, name, None)) is not None
        }
        stream = await open_stream("POST", f"{url}/api/stream", headers, body, **limits)
        try:
            if stream.status != 200:
                raise Failure(_kind_of(stream.status), f"Proxy error: {stream.status}")
            framer = Framer()
            async for data in stream:
                for event in framer.feed(data):
                    if await self._take(event):
                        return
            for event in framer.end():
                if await self._take(event):
                    return
            raise Failure("network", INCOMPLETE)
        except EventTooLargeError as error:
            raise Failure("invalid", f"The proxy sent {error}") from None
        finally:
            await stream.aclose()

    async def _take(self, data: bytes) -> bool:
        """Hand on what the event *data* is; return whether it ends the answer."""
        event = _object(data)
        if event is None:
            return False
        content, index = self._partial.content, index_of(event)
        if index < len(content) and (block := content[index]) is not None:
            content[index] = fork(block)
        try:
            said = process_proxy_event(event, self._partial)
        except RuntimeError as error:
            raise Failure("invalid", str(error)) from None
        if said is None:
            return False
        if said.type in ("done", "error"):
            self._end(said)
            return True
        said.partial = self._partial.model_copy(update={"content": list(content)})
        self._events.put_nowait(said)
        while self._events.qsize() > BEHIND_MAX and not self.is_awaited:
            self.room.clear()
            await self.room.wait()
        return False

    def _end(self, said: AssistantMessageEvent) -> None:
        message = self._partial
        if said.type == "error":
            message.content = [
                block
                for block in message.content
                if not isinstance(block, ToolCallContent) or block.partial_json is None
            ]
        self.final.set_result(message)
        self._events.put_nowait(said)

    def _fail(self, reason: Any, told: str, kind: str) -> None:
        if self.final.done():
            return
        message = self._partial
        message.stop_reason, message.error_message, message.error_kind = reason, told, kind
        self._end(AssistantMessageEvent(type="error", reason=reason, error=message))

    def _asked(self) -> tuple[str, str, bytes]:
        """Return URL, token and body.

        Raises:
            Failure: there is no URL or no token.
        """
        model, options = self._model, self._options
        if isinstance(options, ProxyStreamOptions):
            url, token, session_id = options.proxy_url, options.auth_token, None
            reasoning = options.reasoning
        else:
            url = getattr(model, "proxy_url", None) or os.environ.get("TINYAGENT_PROXY_URL", "")
            token = options.api_key or os.environ.get("TINYAGENT_PROXY_TOKEN", "")
            session_id = options.session_id
            reasoning = effective_reasoning(model, options)
            if not url or not token:
                raise Failure("refused", NO_ADDRESS)
        body = request_body(
            model,
            self._context,
            temperature=options.temperature,
            max_tokens=options.max_tokens,
            reasoning=reasoning,
            session_id=session_id,
        )
        return url, token, body


def _kind_of(status: int) -> str:
    return "overloaded" if status in (408, 409, 429) or status >= 500 else "refused"


async def _raised(signal: ProxySignal) -> None:
    """Wait until *signal* asks to abort.

    Raises:
        Failure: it does.
    """
    if isinstance(signal, asyncio.Event):
        await signal.wait()
    else:
        while not signal():  # noqa: ASYNC110 - the host's function can only be asked
            await asyncio.sleep(POLL_S)
    raise Failure("cancelled", ABORTED)


def _object(data: bytes) -> JsonObject | None:
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        diagnose("proxy", "an event of the proxy is no JSON object")
        return None
    return value
