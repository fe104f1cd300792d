"""A transport of this project's own: plain HTTP/1.1 to a gateway, one connection a request."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

from tinyagent.transports import ByteExchange, Failure, HttpRequest

CUT = (OSError, asyncio.IncompleteReadError, ValueError)


class Gateway:
    """What the agent is given; it holds nothing, so there is nothing to close."""

    def open(self, request: HttpRequest) -> ByteExchange:
        """Return an exchange that has not started yet."""
        return ByteExchange(request, PlainAnswer(request), time.monotonic)

    async def aclose(self) -> None:
        """No connection is kept."""


class PlainAnswer:
    """The bytes of one answer."""

    def __init__(self, request: HttpRequest) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._request = request
        self._writer: asyncio.StreamWriter | None = None
        self._left: int | None = None  # bytes; None where they come in chunks
        self._is_closed = False

    async def start(self) -> None:
        """Send the request and read the head of the answer."""
        try:
            url = urlsplit(self._request.url)
            host, port = url.hostname or "", url.port or 80
        except ValueError:
            host = ""
        if not host or url.scheme != "http":
            raise Failure("invalid", "this gateway needs an http:// URL")
        try:
            async with asyncio.timeout(self._request.connect_timeout_s):
                self._reader, self._writer = await asyncio.open_connection(host, port)
            async with asyncio.timeout(self._request.first_byte_timeout_s):
                self._writer.write(self._head(host, f"{url.path or '/'}") + self._request.body)
                await self._read_head()
        except TimeoutError:
            raise self._ended("timeout", "the gateway does not answer") from None
        except CUT:
            raise self._ended("network", "the gateway is not there", retryable=True) from None
        except asyncio.CancelledError:
            await self.aclose()
            raise

    def _head(self, host: str, path: str) -> bytes:
        lines = [f"POST {path} HTTP/1.1", f"host: {host}", "connection: close"]
        lines += [f"{name}: {value}" for name, value in self._request.headers]
        lines.append(f"content-length: {len(self._request.body)}")
        return "\r\n".join((*lines, "", "")).encode("latin-1")

    async def _read_head(self) -> None:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        pairs = (line.partition(":") for line in lines)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        length = self.headers.get("content-length")
        self._left = None if length is None else int(length)
        self.status = int(first.split()[1])

    async def read(self) -> bytes:
        """Return the next bytes; none at the end."""
        try:
            async with asyncio.timeout(self._request.read_timeout_s):
                return await self._next()
        except TimeoutError:
            raise self._ended("timeout", "the gateway fell silent") from None
        except CUT:
            if self._is_closed:
                return b""
            raise self._ended("network", "the answer broke off", retryable=True) from None
        except asyncio.CancelledError:
            await self.aclose()
            raise

    async def _next(self) -> bytes:
        if self._is_closed or self._left == 0:
            return b""
        if self._left is None:
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            data = (await self._reader.readexactly(size + 2))[:-2]
            self._left = None if size else 0
            return data
        data = await self._reader.readexactly(self._left)
        self._left = 0
        return data

    async def drain(self) -> None:
        """Nothing is kept for another request, so what follows need not be read."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection at once; whoever waits in ``start`` or ``read`` is woken."""
        self._is_closed = True
        if self._writer is not None:
            self._writer.transport.abort()

    def _ended(self, kind: str, message: str, *, retryable: bool = False) -> Failure:
        if self._is_closed:
            return Failure("cancelled", "it was closed meanwhile")
        if self._writer is not None:
            self._writer.transport.abort()
        return Failure(kind, message, status=self.status or None, retryable=retryable)
