"""Requests to a provider of a test, and what comes of them: what tests of transports share."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

import pytest

from tinyagent.actors.transports import Answer, Exchange, Failure, HttpRequest, Timed, Transport
from tinyagent.events.fact import Piece
from tinyagent.testing.answers import chat

KEY = "sk-test-0123456789"
BODY = b'{"model":"scripted","stream":true}'
GREETING = chat(text="Grüße aus Genève ☃, and the rest", thinking="Let me see.")


def asked(
    url: str, read_s: float = 5.0, first_s: float = 5.0, *, body: bytes = BODY
) -> HttpRequest:
    """Return a request for an answer that streams."""
    return HttpRequest(
        api="openai-completions",
        url=url,
        headers=(("content-type", "application/json"), ("authorization", f"Bearer {KEY}")),
        body=body,
        connect_timeout_s=2.0,
        first_byte_timeout_s=first_s,
        read_timeout_s=read_s,
    )


async def pieces_of(exchange: Exchange) -> list[Timed]:
    """Read *exchange*, which has started, to its end."""
    pieces: list[Timed] = []
    while more := await exchange.read():
        pieces += more
    return pieces


async def answered(transport: Transport, request: HttpRequest) -> list[Timed]:
    """Return the pieces of the answer to *request*."""
    async with aclosing(transport.open(request)) as exchange:
        await exchange.start()
        return await pieces_of(exchange)


def said(pieces: Sequence[Piece], op: str = "text") -> str:
    """Return what *pieces* say, joined."""
    return "".join(piece[2] for piece in pieces if piece[1] == op)


async def refused(transport: Transport, request: HttpRequest) -> Failure:
    """Return the failure in which starting *request* ends."""
    async with aclosing(transport.open(request)) as opened:
        with pytest.raises(Failure) as raised:
            await opened.start()
    assert KEY not in str(raised.value)
    return raised.value


async def broken_off(transport: Transport, request: HttpRequest) -> tuple[str, Answer]:
    """Return what an answer said until it broke off, and how it says that it ended."""
    text = ""
    async with aclosing(transport.open(request)) as exchange:
        try:
            await exchange.start()
            while pieces := await exchange.read():
                text += said(pieces)
        except Failure as failure:
            return text, Answer(reason=None, failure=(failure.kind, failure.message))
        return text, exchange.finish()
