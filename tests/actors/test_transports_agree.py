"""Both transports give the same of every recorded stream, cut at odd places or cut off."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, aclosing
from typing import Any

import pytest
from tests.corpus import APIS, Recording, recordings

from tinyagent.actors.transports import Answer, Failure, HttpRequest, Transport
from tinyagent.actors.transports.native import NativeTransport
from tinyagent.actors.transports.portable import PortableTransport
from tinyagent.testing import ProviderServer, Reply

SIZES = (1, 2, 3, 7, 50, 200, 1_000, 4_000)
AT_ONCE = 20
Heard = tuple[list[tuple[int, str, Any]], tuple[Any, ...] | None, Answer]


def replies(it: Recording) -> Iterator[Reply]:
    """Yield *it* whole, and broken off somewhere: both in chunks of odd sizes."""
    chance = random.Random(it.name)
    yield Reply(chunks=tuple(_cut(it.body, chance)))
    half = it.body[: chance.randrange(1, len(it.body))]
    yield Reply(chunks=tuple(_cut(half, chance)), ending="close")


def _cut(body: bytes, chance: random.Random) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        size = chance.choice(SIZES)
        yield body[at : at + size]
        at += size


async def heard(transport: Transport, request: HttpRequest) -> Heard:
    """Return all that *transport* gives of the answer to *request*, but times."""
    pieces: list[tuple[int, str, Any]] = []
    raised: tuple[Any, ...] | None = None
    async with aclosing(transport.open(request)) as exchange:
        try:
            await exchange.start()
            while more := await exchange.read():
                pieces += [piece[:3] for piece in more]
        except Failure as failure:
            raised = failure.kind, failure.message, failure.status, failure.retryable
        return pieces, raised, exchange.finish()


@pytest.mark.parametrize("protocol", APIS)
async def test_both_transports_give_the_same(protocol: str) -> None:
    script = [(it, reply) for it in recordings(protocol) for reply in replies(it)]
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        server = await enter(ProviderServer(lambda body: script[body["number"]][1]))
        native = await enter(aclosing(NativeTransport()))
        portable = await enter(aclosing(PortableTransport(time.monotonic)))

        async def compare(number: int) -> None:
            it, reply = script[number]
            body = b'{"number":%d}' % number
            asked = HttpRequest(api=it.api, url=server.chat_url, headers=(), body=body)
            one, other = await heard(native, asked), await heard(portable, asked)
            assert one == other, f"{it.name}, {reply.ending}"
            assert reply.ending == "whole" or one[2].failure or one[2].reason

        for first in range(0, len(script), AT_ONCE):
            await asyncio.gather(*map(compare, range(len(script))[first : first + AT_ONCE]))
