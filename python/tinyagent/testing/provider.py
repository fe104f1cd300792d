"""A provider on the loopback interface: real HTTP, scripted answers, no key, no network.

For tests and demonstrations of whatever speaks to a provider. It says what it was asked, and when
a client went away, so that both sides of the wire can be looked at::

    async with ProviderServer([chat(calls=[("add", {"a": 1})]), chat(text="2")]) as server:
        ...                                     # point the model's base_url at server.chat_url
    assert server.requests[1].json["messages"][-1]["role"] == "tool"

Its clock is the event loop's; every delay is in the script, none is random.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from typing import Any, Self, cast

import msgspec

from tinyagent.testing.answers import Item, Reply, reply, status

REQUEST_BYTES_MAX = 64 * 1024 * 1024
"""A longer request, head and body together, is not read; the connection is closed."""

_BACKLOG = 1024
"""So many may connect at once; the system makes others try again a second later."""

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 429: "Too Many Requests"}


@dataclass(eq=False)
class Received:
    """A request, and what became of its answer.

    Attributes:
        headers: names in lower case; the last of repeated ones.
        received_s: when it was complete, by the clock of the server's loop.
        sent_bytes: so much of the answer's body was written so far.
        is_answered: whether the answer was sent to its planned end.
        gone_s: when the client went away before that; None if it did not.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    received_s: float
    sent_bytes: int = 0
    is_answered: bool = False
    gone_s: float | None = None
    _gone: concurrent.futures.Future[float] = field(
        default_factory=concurrent.futures.Future[float], repr=False
    )

    @property
    def json(self) -> Any:
        """The body, decoded; None if it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return None

    async def wait_gone(self, timeout_s: float = 5.0) -> float:
        """Wait until the client went away; return when.

        Raises:
            TimeoutError: it is still there.
        """
        async with asyncio.timeout(timeout_s):
            return await asyncio.shield(asyncio.wrap_future(self._gone))

    def gone_within(self, timeout_s: float) -> float:
        """Block until the client went away; return when. From another thread than the server's.

        Raises:
            TimeoutError: it is still there.
        """
        return self._gone.result(timeout_s)

    def left(self, at_s: float) -> None:
        """Note that the client went away. The server calls this."""
        if self.gone_s is None and not self.is_answered:
            self.gone_s = at_s
            self._gone.set_result(at_s)


class ProviderServer:
    """Answers requests from a script, on a free port of 127.0.0.1. An asynchronous context.

    *script* is an item for each request in turn, or one item for all of them. An item is a body,
    a ``Reply``, or a callable that takes the request's JSON and returns one of these. Any method
    and path will do. What the script does not foresee is answered 400, which nobody tries again.

    Attributes:
        requests: what was asked, in order of arrival.
        connections: how many were ever made.
    """

    def __init__(self, script: Item | Iterable[Item] = ()) -> None:
        self.requests: list[Received] = []
        self.connections = 0
        self._always: Item | None = None
        self._script: deque[Item] = deque()
        if isinstance(script, bytes | Reply) or callable(script):
            self._always = script
        else:
            self.add(*script)
        self._open: set[_Connection] = set()
        self._is_closing = False
        self._port = 0

    @property
    def url(self) -> str:
        """The root, without a slash at its end. The port stays known after the end."""
        if not self._port:
            raise RuntimeError("the server has not begun: async with ProviderServer(...) as server")
        return f"http://127.0.0.1:{self._port}"

    @property
    def chat_url(self) -> str:
        """Where chat/completions would be."""
        return f"{self.url}/v1/chat/completions"

    def add(self, *items: Item) -> None:
        """Put more *items* at the end of the script. From any thread.

        Raises:
            TypeError: one is none.
        """
        self._script.extend(item if callable(item) else reply(item) for item in items)

    async def __aenter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._listener.setblocking(False)
        self._port = self._listener.getsockname()[1]
        self._accepting = asyncio.create_task(self._accept(), name="tinyagent-provider-server")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_closing = True
        with self._listener, socket.socket() as last:
            last.setblocking(False)
            last.connect_ex(("127.0.0.1", self._port))
            await asyncio.wait([self._accepting])
        await asyncio.gather(*(connection.aclose() for connection in list(self._open)))

    async def _accept(self) -> None:
        """Take connections until the first one while closing.

        Not ``loop.create_server``: closed while it is accepting, it loses that connection.
        """
        loop = asyncio.get_running_loop()
        while True:
            accepted, _ = await loop.sock_accept(self._listener)
            if self._is_closing:
                accepted.close()
                return
            await loop.connect_accepted_socket(lambda: _Connection(self), accepted)

    @classmethod
    @contextlib.contextmanager
    def threaded(cls, script: Item | Iterable[Item] = ()) -> Generator[Self]:
        """Run a server on a loop and a thread of its own: for programs that block."""
        server = cls(script)
        ready = concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]]()

        async def serve() -> None:
            stop = asyncio.Event()
            async with server:
                ready.set_result((asyncio.get_running_loop(), stop))
                await stop.wait()

        def run() -> None:
            try:
                asyncio.run(serve())
            except BaseException as error:
                if ready.done():
                    raise
                ready.set_exception(error)

        thread = threading.Thread(target=run, name="tinyagent-provider-server", daemon=True)
        thread.start()
        loop, stop = ready.result()
        try:
            yield server
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()

    def opened(self, connection: _Connection) -> None:
        """Note a new connection."""
        self.connections += 1
        self._open.add(connection)

    def closed(self, connection: _Connection) -> None:
        """Forget a connection."""
        self._open.discard(connection)

    def answer(self, received: Received) -> Reply:
        """Note a request; return what the script answers to it."""
        self.requests.append(received)
        try:
            item = self._script.popleft() if self._script else self._always
            if item is None:
                return status(400, f"the script has no answer to request {len(self.requests)}")
            return reply(item(received.json) if callable(item) else item)
        except Exception as error:  # the script's own code; who wrote it looks at the client
            return status(400, f"the script failed: {type(error).__name__}: {error}")


class _Connection(asyncio.Protocol):
    """One connection: a buffer that fills, and a task that takes requests out of it."""

    def __init__(self, server: ProviderServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._gone = asyncio.Event()
        self._lost = asyncio.Event()
        self._current: Received | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclasses
        self._server.opened(self)
        self._task = self._loop.create_task(self._serve(), name="tinyagent-provider-connection")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._news.set()

    def eof_received(self) -> None:
        self._left()

    def connection_lost(self, exc: Exception | None) -> None:
        self._left()
        self._lost.set()
        self._server.closed(self)

    def _left(self) -> None:
        if self._current is not None:
            self._current.left(self._loop.time())
        self._gone.set()
        self._news.set()
        self._room.set()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    async def aclose(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._transport.abort()  # the task may not have begun, or what it wrote not be sent
        await self._lost.wait()

    async def _serve(self) -> None:
        try:
            is_kept = True
            while is_kept and (received := await self._request()) is not None:
                self._current = received
                is_kept = await self._answer(received, self._server.answer(received))
                self._current = None
        finally:
            self._transport.abort() if self._gone.is_set() else self._transport.close()

    async def _request(self) -> Received | None:
        """Return the next request; None when there will be none."""
        while b"\r\n\r\n" not in self._buffer:
            if not await self._more():
                return None
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer[:] = rest
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        if headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = await self._chunked()
        else:
            body = await self._take(int(headers.get("content-length", "0")))
        if body is None:
            return None
        return Received(method, path, headers, body, self._loop.time())

    async def _chunked(self) -> bytes | None:
        body = bytearray()
        while True:
            while b"\r\n" not in self._buffer:
                if not await self._more():
                    return None
            line, _, rest = bytes(self._buffer).partition(b"\r\n")
            self._buffer[:] = rest
            size = int(line.partition(b";")[0], 16)
            data = await self._take(size + 2)
            if data is None:
                return None
            if size == 0:  # clients send no trailers
                return bytes(body)
            body += data[:-2]

    async def _take(self, size: int) -> bytes | None:
        while len(self._buffer) < size:
            if not await self._more():
                return None
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def _more(self) -> bool:
        """Wait for more bytes; tell whether there are any."""
        if self._gone.is_set() or len(self._buffer) > REQUEST_BYTES_MAX:
            return False
        self._news.clear()
        await self._news.wait()
        return not self._gone.is_set()

    async def _answer(self, received: Received, planned: Reply) -> bool:
        """Send *planned*; tell whether the connection can take another request."""
        if await self._is_gone_in(planned.first_delay_s):
            return False
        is_chunked = planned.ending != "whole" or len(planned.chunks) > 1
        if planned.headers_sent or planned.chunks:
            self._transport.write(_head(planned, is_chunked=is_chunked))
        for number, chunk in enumerate(planned.chunks):
            if await self._is_gone_in(planned.delay_before(number)):
                return False
            framed = b"%x\r\n%b\r\n" % (len(chunk), chunk) if is_chunked else chunk
            self._transport.write(framed)
            received.sent_bytes += len(chunk)
            await self._room.wait()
        if self._gone.is_set():
            return False
        if planned.ending == "stall":
            await self._gone.wait()
            return False
        received.is_answered = True
        if planned.ending == "reset":
            self._reset()
        elif planned.ending == "whole":
            if is_chunked:
                self._transport.write(b"0\r\n\r\n")
            return received.headers.get("connection", "").lower() != "close"
        return False

    async def _is_gone_in(self, seconds: float) -> bool:
        """Let *seconds* pass, or the client go away; tell whether it did."""
        if seconds <= 0:
            await asyncio.sleep(0)  # so that clients of the same loop see chunks, not one answer
            return self._gone.is_set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._gone.wait()
        return self._gone.is_set()

    def _reset(self) -> None:
        """Close with RST instead of FIN: with a linger time of zero (socket(7))."""
        raw = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


def _head(planned: Reply, *, is_chunked: bool) -> bytes:
    lines = [f"HTTP/1.1 {planned.status} {_REASONS.get(planned.status, 'Scripted')}"]
    lines += [f"{name}: {value}" for name, value in planned.headers]
    length = f"content-length: {len(planned.body)}"
    lines.append("transfer-encoding: chunked" if is_chunked else length)
    return "\r\n".join((*lines, "", "")).encode("latin-1")
