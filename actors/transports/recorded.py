"""Answers that were recorded, or written by hand: no socket, no clock, the same every time.

For tests, demonstrations and work offline. Decoding is that of a live answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tinyagent.actors.transports import Failure, HttpRequest
from tinyagent.actors.transports.exchange import ByteExchange

Recorded = bytes | Failure | tuple[bytes, Failure]
"""The body of a 200 answer; why there is none; or what came before it broke off."""


class RecordedTransport:
    """Gives the first of *answers* to the first request that is started, and so on.

    The bytes arrive in chunks of *chunk_sizes*, of which the last repeats (none: in one), each
    *gap_us* microseconds after the one before by the pieces' times; nothing waits in fact.

    Attributes:
        requests: what was asked, in the order in which it was started; secrets included.
        gap_us: as given.
    """

    def __init__(
        self, answers: Sequence[Recorded], *, chunk_sizes: Sequence[int] = (), gap_us: int = 0
    ) -> None:
        self.requests: list[HttpRequest] = []
        self._answers = tuple(answers)
        self._chunk_sizes = tuple(chunk_sizes)
        self.gap_us = gap_us

    def open(self, request: HttpRequest) -> ByteExchange:
        """Return an exchange that has not started yet."""
        stream = RecordedBytes(self, request)
        return ByteExchange(request, stream, stream.elapsed_s)

    def take(self, request: HttpRequest) -> tuple[list[bytes], Failure | None]:
        """Note *request*; return its answer in chunks, and how it breaks off.

        Raises:
            Failure: that is the answer; or there are fewer answers than requests.
        """
        self.requests.append(request)
        number = len(self.requests)
        if number > len(self._answers):
            known = len(self._answers)
            raise Failure("invalid", f"request {number}: only {known} answers are recorded")
        answer = self._answers[number - 1]
        if isinstance(answer, Failure):
            raise answer
        body, end = answer if isinstance(answer, tuple) else (answer, None)
        return _cut(body, self._chunk_sizes), end

    async def aclose(self) -> None:
        """Nothing is open."""


class RecordedBytes:
    """The bytes of one recorded answer."""

    def __init__(self, transport: RecordedTransport, request: HttpRequest) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._transport = transport
        self._request = request
        self._chunks: list[bytes] = []
        self._end: Failure | None = None
        self._read = 0
        self._is_closed = False

    def elapsed_s(self) -> float:
        """Return how long the answer has taken by its schedule."""
        return self._read * self._transport.gap_us / 1e6

    async def start(self) -> None:
        """Take the answer from the script."""
        await asyncio.sleep(0)  # as a live request does: others run meanwhile
        self._chunks, self._end = self._transport.take(self._request)
        self.status = 200

    async def read(self) -> bytes:
        """Return the next chunk."""
        await asyncio.sleep(0)
        if self._is_closed:
            return b""
        if self._read < len(self._chunks):
            self._read += 1
            return self._chunks[self._read - 1]
        if self._end is not None:
            raise self._end
        return b""

    async def drain(self) -> None:
        """Nothing follows that would have to be read."""

    async def aclose(self) -> None:
        """Give nothing more."""
        self._is_closed = True


def _cut(body: bytes, sizes: Sequence[int]) -> list[bytes]:
    chunks: list[bytes] = []
    at, number = 0, 0
    while at < len(body):
        size = max(1, sizes[min(number, len(sizes) - 1)]) if sizes else len(body)
        chunks.append(body[at : at + size])
        at, number = at + size, number + 1
    return chunks
