"""The portable transport: the contract, and what only it can do."""

from __future__ import annotations

import asyncio
import itertools
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import httpx
import pytest
from tests.contract_failures import FailureContract
from tests.contracts import AnswerContract

from tinyagent.actors.transports import Failure, HttpRequest
from tinyagent.actors.transports.portable import PortableTransport, open_stream
from tinyagent.testing import ProviderServer, Reply, TransportContract, stall
from tinyagent.testing._exchanges import GREETING, answered, asked, refused, said


@pytest.fixture
async def transport() -> AsyncIterator[PortableTransport]:
    async with aclosing(PortableTransport(time.monotonic)) as opened:
        yield opened


class TestContract(TransportContract):
    """With httpx."""

    @pytest.fixture
    def make_transport(self) -> Callable[[], PortableTransport]:
        return lambda: PortableTransport(time.monotonic)


class TestAnswers(AnswerContract):
    """With httpx."""


class TestFailures(FailureContract):
    """With httpx."""


async def test_gaps_count_from_the_start_then_from_the_piece_before() -> None:
    seconds = map(float, itertools.count())
    transport = PortableTransport(lambda: next(seconds))
    async with aclosing(transport), ProviderServer([GREETING]) as server:
        pieces = await answered(transport, asked(server.chat_url))
    assert {gap_us for *_, gap_us in pieces} <= {0, 1_000_000}
    assert pieces[0][3] == 1_000_000


def test_importing_the_transport_does_not_import_httpx() -> None:
    code = "import sys, tinyagent.actors.transports.portable; print('httpx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_one_transport_serves_one_event_loop_after_the_other() -> None:
    transport = PortableTransport(time.monotonic)
    with ProviderServer.threaded(GREETING) as server:
        for _ in range(3):
            pieces = asyncio.run(answered(transport, asked(server.chat_url)))
            assert said(pieces).endswith("the rest")
        # Each loop closed its own connection at its end: nothing is left to warn about.
        assert server.connections == 3


async def test_a_client_that_was_given_is_used_and_stays_open() -> None:
    async with httpx.AsyncClient(headers={"x-mine": "1"}) as client:
        transport = PortableTransport(time.monotonic, client)
        async with ProviderServer([GREETING]) as server:
            async with aclosing(transport.open(asked(server.chat_url))) as opened:
                await opened.start()
                assert await opened.read()
            assert server.requests[0].headers["x-mine"] == "1"
        await transport.aclose()
        assert not client.is_closed


def test_a_name_server_that_is_silent_holds_up_neither_the_request_nor_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = threading.Event()

    def silent(*_args: object, **_named: object) -> list[object]:
        released.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    request = HttpRequest(
        api="openai-completions",
        url="http://provider.invalid/v1",
        headers=(),
        body=b"{}",
        connect_timeout_s=0.1,
    )
    started_s = time.monotonic()
    failure = asyncio.run(refused(PortableTransport(time.monotonic), request))
    assert time.monotonic() - started_s < 1.0
    released.set()
    assert failure.message == (
        "HTTP request failed: no connection to http://provider.invalid/v1 within 0.1 s"
        " (connect_timeout_s)"
    )
    assert (failure.kind, failure.retryable) == ("timeout", True)


async def test_a_stream_for_other_protocols_has_any_status_and_plain_bytes() -> None:
    reply = Reply(chunks=(b"one", b"two"), status=418, headers=(("x-kind", "tea"),))
    async with ProviderServer([reply, stall()]) as server:
        url = f"{server.url}/api/stream"
        stream = await open_stream("POST", url, [("x-a", "b")], b"body")
        assert (stream.status, stream.headers["x-kind"]) == (418, "tea")
        assert b"".join([part async for part in stream]) == b"onetwo"
        await stream.aclose()
        with pytest.raises(Failure) as raised:
            await open_stream("POST", url, [], b"", first_byte_timeout_s=0.05)
        assert raised.value.kind == "timeout"
        assert server.requests[0].body == b"body"
