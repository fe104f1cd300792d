"""How a request's bytes reach a provider and its answer comes back as pieces.

A transport sends one request and decodes the answer as it arrives (``tinyagent._alchemy`` holds
the only decoders). It knows nothing of conversations, retries or logs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from tinyagent.events.fact import Piece

Timed = tuple[int, str, Any, int]
"""One piece of an answer: block number, operation, data, microseconds since the piece before.

Operations and their data: ``text think refuse args`` a string; ``call`` a dict ``{id, name}``;
``sign`` a string; ``keep`` any JSON value that must go back to the same provider unchanged.
"""

Hear = Callable[[list[Piece]], Awaitable[object] | None]
"""Is given pieces as they arrive, ``joined``; returns what to wait for before it is given more."""

H = TypeVar("H", bound=Hear, contravariant=True)


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What goes over the wire.

    Attributes:
        api: the protocol, which selects the decoder: ``openai-completions``, ...
        headers: name and value, in order; secrets included, hence never logged.
        connect_timeout_s: time to establish the connection.
        first_byte_timeout_s: time from the request to the first byte of the answer.
        read_timeout_s: longest silence in the answer; comments count as life.
    """

    api: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connect_timeout_s: float = 10.0
    first_byte_timeout_s: float = 600.0
    read_timeout_s: float = 300.0


class Failure(Exception):
    """The exchange failed: the only exception that a transport lets out.

    Attributes:
        kind: a ``Failure`` kind of ``tinyagent.events``: network, timeout, overloaded, ...
        status: HTTP status if there was an answer.
        retry_after_s: what the provider asked for, seconds.
        retryable: whether the same request may succeed if sent again.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s
        self.retryable = retryable


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer ended, after its last piece.

    Attributes:
        reason: ``end tools length filtered``; None if it failed.
        raw_reason: the provider's own word.
        usage: tokens, normalised; None if the provider sent none.
        response: the provider's id of the answer.
        failure: kind and message, if the answer says that it failed, or was cut off.
        bad_calls: block numbers of tool calls whose arguments are not a JSON object.
    """

    reason: str | None
    raw_reason: str | None = None
    usage: dict[str, Any] | None = None
    response: str | None = None
    failure: tuple[str, str] | None = None
    bad_calls: tuple[int, ...] = ()


class Exchange(Protocol):
    """One request and its answer."""

    async def start(self) -> None:
        """Send the request; return when a 2xx status and the headers are there.

        Raises:
            Failure: nothing that can be streamed came back.
        """
        ...

    async def read(self) -> list[Timed]:
        """Return the next pieces, all that have arrived; an empty list at the end.

        Raises:
            Failure: the connection broke or was silent for too long.
        """
        ...

    def finish(self) -> Answer:
        """Return how the answer ended. After the last ``read``, or after it failed."""
        ...

    async def aclose(self) -> None:
        """Close the connection at once if the answer is not complete. Safe to call twice."""
        ...


class Player(Protocol[H]):
    """The same for who says itself what arrives, as soon as it does.

    ``live``, if there is such an attribute: the host's own message for the answer, at its end.
    """

    async def play(self, hear: H) -> None:
        """Do what ``played`` does."""
        ...

    def finish(self) -> Answer:
        """Return how the answer ended."""
        ...

    async def aclose(self) -> None:
        """Let go of the request at once."""
        ...


def played(exchange: Exchange | Player[H], hear: H) -> Coroutine[Any, Any, None]:
    """Send the request of *exchange*; give *hear* all pieces of the answer as they arrive.

    In the place of ``start`` and ``read``. It is waited for until their end.

    Raises:
        Failure: as ``Exchange.start`` and ``read``. Exception: what *hear* raised.
    """
    either: Any = exchange
    return either.play(hear) if hasattr(exchange, "play") else _read(either, hear)


async def _read(exchange: Exchange, hear: Hear) -> None:
    await exchange.start()
    while pieces := await exchange.read():
        if (room := hear(joined(pieces))) is not None:
            await room


def joined(pieces: Sequence[Timed]) -> list[Piece]:
    """Return *pieces* as they go on record: runs of one block and operation are one."""
    if len(pieces) == 1:
        return list(pieces)
    runs: list[tuple[int, str, list[Any], list[int]]] = []
    run_block, run_op = -1, ""  # of the run that may go on, as the two lists are
    parts: list[Any] = []
    gaps_us: list[int] = []
    for block, op, data, gap_us in pieces:
        if op == run_op and block == run_block:
            parts.append(data)
            gaps_us.append(gap_us)
        else:
            run_block, run_op = block, op if op in _JOINED else ""
            parts, gaps_us = [data], [gap_us]
            runs.append((block, op, parts, gaps_us))
    return [_run(*run) for run in runs]


def _run(block: int, op: str, parts: list[Any], gaps_us: list[int]) -> Piece:
    if len(parts) == 1:
        return (block, op, parts[0], gaps_us[0])
    # The lengths keep the boundaries of its deltas.
    return (block, op, "".join(parts), gaps_us, list(map(len, parts)))


_JOINED = frozenset({"text", "think", "refuse", "args"})


class Transport(Protocol):
    """Opens exchanges. One per session or process; keeps its connections alive."""

    def open(self, request: HttpRequest) -> Exchange:
        """Return an exchange that has not started yet."""
        ...

    async def aclose(self) -> None:
        """Close idle connections."""
        ...
