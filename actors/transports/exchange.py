"""One exchange over a stream of bytes, wherever they come from.

Decoding, timing and what an error answer means are the same for every transport in Python. The
decoders exist once, in the extension, which is loaded when the first answer begins.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from tinyagent.actors.transports import Answer, Failure, HttpRequest, Timed, failures

if TYPE_CHECKING:
    from tinyagent._alchemy import Decoder

ERROR_BODY_BYTES_MAX = 65_536
"""So much of an error body is read: enough to classify it, and for the 4,096 characters told."""

ERROR_BODY_TIMEOUT_S = 5.0
"""The status is known by then; a body that trickles must not hold up the retry."""

WINDOW_S = 0.010
"""As long as the beat of ``rust/http/src/inbox.rs``."""


class Bytes(Protocol):
    """An answer as bytes. All of it raises ``Failure`` and nothing else."""

    @property
    def status(self) -> int:
        """The HTTP status; once started."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case; once started."""
        ...

    async def start(self) -> None:
        """Send the request; return when there is a status."""
        ...

    async def read(self) -> bytes:
        """Return the next bytes; none at the end, or after ``aclose``."""
        ...

    async def drain(self) -> None:
        """Let the answer end, because nothing is wanted from it any more; soon."""
        ...

    async def aclose(self) -> None:
        """Close the connection at once."""
        ...


class ByteExchange:
    """An ``Exchange``: *request* was or will be sent by *stream*.

    *clock* returns seconds that never go back. The gap of the first piece counts from ``start``,
    so it includes connecting. Pieces that arrive in one read carry the gap on the first, then 0.
    With a window the first pieces are handed over at once; afterwards they gather for 10 ms, unless
    the answer ends.
    """

    def __init__(
        self,
        request: HttpRequest,
        stream: Bytes,
        clock: Callable[[], float],
        *,
        has_window: bool = False,
    ) -> None:
        self._request = request
        self._stream = stream
        self._clock = clock
        self._decoder: Decoder | None = None
        self._sent_s = 0.0
        # Whole microseconds since the start: rounding each gap by itself would drift.
        self._last_us = 0
        self._end: dict[str, Any] | None = None
        self._broken: Failure | None = None
        self._is_over = False
        self._has_window = has_window
        # Until when pieces gather, by the event loop's clock; None before the first.
        self._due_s: float | None = None
        self._reading: asyncio.Task[bytes] | None = None

    async def start(self) -> None:
        """Send the request; return when a 2xx status and the headers are there.

        Raises:
            Failure: nothing that can be streamed came back.
        """
        try:
            self._open()
        except ValueError:
            raise Failure("invalid", f"unsupported api `{self._request.api}`") from None
        self._sent_s = self._clock()
        await self._stream.start()
        if not 200 <= self._stream.status < 300:
            raise await self._refusal()

    async def read(self) -> list[Timed]:
        """Return the next pieces; an empty list at the end.

        Without a window these are those of one read of the stream.

        Raises:
            Failure: the connection broke or was silent for too long.
        """
        decoder, pieces = self._open(), list[Timed]()
        due_s = self._due_s
        while self._end is None and not self._is_over and not decoder.done:
            data = await self._bytes(due_s if pieces else None)
            if data is None:
                break
            self._is_over = not data
            if new := decoder.feed(data):
                pieces += self._timed(new)
            if pieces and (due_s is None or due_s <= asyncio.get_running_loop().time()):
                break
        if not pieces:
            return await self._last()
        if self._has_window:
            self._due_s = asyncio.get_running_loop().time() + WINDOW_S
        return pieces

    async def _bytes(self, until_s: float | None) -> bytes | None:
        """Return the next bytes; none at the end; None if there are none *until_s*.

        A read that is not done by then goes on in a task, because stopping it would close the
        connection.
        """
        try:
            if until_s is None and self._reading is None:
                return await self._stream.read()
            if self._reading is None:
                self._reading = asyncio.create_task(self._stream.read(), name="tinyagent read")
            now_s = asyncio.get_running_loop().time()
            patience_s = None if until_s is None else max(0.0, until_s - now_s)
            await asyncio.wait({self._reading}, timeout=patience_s)
            if not self._reading.done():
                return None
            reading, self._reading = self._reading, None
            return b"" if reading.cancelled() else reading.result()
        except Failure as failure:
            self._broken = failure
            return b""
        except asyncio.CancelledError:
            await self._stop()
            raise

    async def _stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})

    def finish(self) -> Answer:
        """Return how the answer ended. After the last ``read``, or after it failed."""
        if self._end is None:
            self._end = self._open().finish()
        return answer_of(self._end)

    async def aclose(self) -> None:
        """Close the connection at once if the answer is not complete. Safe to call twice."""
        await self._stop()
        await self._stream.aclose()

    async def _last(self) -> list[Timed]:
        """Return what only the end completes; after that, tell how the bytes ended.

        A break matters only if it is why the answer is incomplete: one that came after the finish
        reason cost the usage at most, and a provider's own error says more than the cut after it.
        """
        if self._end is None:
            self.finish()
            if self._end and (pieces := self._end["pieces"]):
                return self._timed(pieces)
        failure = self.finish().failure
        if self._broken is not None and failure is not None and failure[0] == "interrupted":
            raise self._broken
        await self._stream.drain()
        return []

    def _open(self) -> Decoder:
        if self._decoder is None:
            from tinyagent.runtime.extension import Decoder

            self._decoder = Decoder(self._request.api)
        return self._decoder

    def _timed(self, pieces: list[tuple[int, str, Any]]) -> list[Timed]:
        now_us = max(self._last_us, round((self._clock() - self._sent_s) * 1e6))
        gap_us, self._last_us = now_us - self._last_us, now_us
        return [
            (block, op, data, 0 if number else gap_us)
            for number, (block, op, data) in enumerate(pieces)
        ]

    async def _refusal(self) -> Failure:
        stream, body = self._stream, bytearray()
        # Whatever goes wrong with the body: the status is what there is to tell.
        with contextlib.suppress(Failure, TimeoutError):
            async with asyncio.timeout(ERROR_BODY_TIMEOUT_S):
                while len(body) < ERROR_BODY_BYTES_MAX and (data := await stream.read()):
                    body += data
        await stream.aclose()
        request = self._request
        secrets = failures.secrets_of(request.headers)
        return failures.http_failure(
            request.api, stream.status, stream.headers, bytes(body), secrets
        )


def headers_of(request: HttpRequest) -> list[tuple[str, str]]:
    """Return the headers of *request* as they are sent.

    Raises:
        Failure: HTTP cannot carry one.
    """
    failures.check_headers(request.headers)
    names = {name.lower() for name, _ in request.headers}
    own = (("accept-encoding", "identity"), ("user-agent", "tinyagent"))
    return [*request.headers, *(pair for pair in own if pair[0] not in names)]


def answer_of(end: Mapping[str, Any]) -> Answer:
    """Return what ``Decoder.finish`` says as an answer."""
    return Answer(
        reason=end["reason"],
        raw_reason=end["raw_reason"],
        usage=end["usage"],
        response=end["response"],
        failure=end["failure"],
        bad_calls=tuple(end["bad_calls"]),
    )
