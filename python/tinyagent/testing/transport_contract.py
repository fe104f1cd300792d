"""What every transport must keep to: subclass, and give it ``make_transport``.

Bytes come in whole, in any pieces, broken off anywhere, or not at all; whoever waits is cancelled.
The provider is on the loopback interface (``ProviderServer``); a few seconds per transport.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Protocol

import pytest

from tinyagent.actors.transports import Exchange, Failure, HttpRequest, Transport
from tinyagent.testing._crashing import runs
from tinyagent.testing._exchanges import (
    BODY,
    GREETING,
    KEY,
    answered,
    asked,
    broken_off,
    pieces_of,
    refused,
    said,
)
from tinyagent.testing.answers import (
    Reply,
    chat,
    close_after,
    completion,
    kept_open,
    paced,
    rechunked,
    reset,
    stall,
    status,
)
from tinyagent.testing.provider import ProviderServer

AT_ONCE_S = 1.0
"""It takes a millisecond; a machine may be busy, and else it would be for ever."""
SHORT = chat(text="Né ☃", calls=[("add", {"a": 1})], usage={})
Waiting = tuple[Exchange, "asyncio.Task[None]"]


class MakeTransport(Protocol):
    """Makes the transport of a test, in the event loop in which it is used."""

    def __call__(self) -> Transport:
        """Return it; the test closes it."""
        ...


async def starting(transport: Transport, server: ProviderServer) -> Waiting:
    """Return an exchange, and a task in its ``start``, once the server has the request."""
    arrived = asyncio.Event()

    def nothing(_request: object) -> Reply:
        arrived.set()
        return stall()

    server.add(nothing)
    opened = transport.open(asked(server.chat_url))
    waiting = asyncio.create_task(opened.start())
    await arrived.wait()
    return opened, waiting


async def reading(transport: Transport, server: ProviderServer) -> Waiting:
    """Return an exchange, and a task in its ``read`` that nothing will answer."""
    server.add(stall(GREETING, sum(map(len, GREETING.chunks[:2]))))
    opened = transport.open(asked(server.chat_url))
    await opened.start()
    assert await opened.read()
    begun = asyncio.Event()

    async def read() -> None:
        begun.set()
        await pieces_of(opened)

    waiting = asyncio.create_task(read())
    await begun.wait()
    return opened, waiting


async def within(seconds: float, work: Awaitable[None]) -> None:
    """Wait for *work*, but not longer."""
    async with asyncio.timeout(seconds):
        await work


class TransportContract:
    """A subclass has a fixture ``make_transport``, which returns a ``MakeTransport``."""

    # Bytes in

    @runs
    async def test_an_answer_arrives_as_pieces_and_says_how_it_ended(
        self, make_transport: MakeTransport
    ) -> None:
        script = chat(text="On it.", thinking="Hm.", calls=[("add", {"a": 1, "b": 22})])
        async with ProviderServer([script]) as server, aclosing(make_transport()) as transport:
            exchange = transport.open(asked(server.chat_url))
            await exchange.start()
            pieces = await pieces_of(exchange)
            answer = exchange.finish()
            await exchange.aclose()
        assert said(pieces) == "On it."
        assert said(pieces, "think") == "Hm."
        assert said(pieces, "args") == '{"a":1,"b":22}'
        assert [data for _, op, data, _ in pieces if op == "call"] == [
            {"id": "call_1", "name": "add"}
        ]
        assert all(gap_us >= 0 for *_, gap_us in pieces)
        assert (answer.reason, answer.raw_reason, answer.failure) == ("tools", "tool_calls", None)
        assert answer.response == "chatcmpl-scripted"
        assert answer.usage is not None
        assert answer.bad_calls == ()

    @runs
    async def test_the_request_is_sent_as_it_was_given(self, make_transport: MakeTransport) -> None:
        async with ProviderServer([GREETING]) as server, aclosing(make_transport()) as transport:
            await answered(transport, asked(server.chat_url))
            received = server.requests[0]
        assert (received.method, received.path) == ("POST", "/v1/chat/completions")
        assert received.body == BODY
        assert received.headers["authorization"] == f"Bearer {KEY}"

    @runs
    async def test_one_json_body_is_an_answer_too(self, make_transport: MakeTransport) -> None:
        script = completion(text="whole", calls=[("add", {"a": 1})])
        async with ProviderServer([script]) as server, aclosing(make_transport()) as transport:
            exchange = transport.open(asked(server.chat_url))
            await exchange.start()
            pieces = await pieces_of(exchange)
            answer = exchange.finish()
            await exchange.aclose()
        assert (said(pieces), said(pieces, "args")) == ("whole", '{"a":1}')
        assert (answer.reason, answer.failure) == ("tools", None)

    @runs
    async def test_where_the_bytes_are_cut_makes_no_difference(
        self, make_transport: MakeTransport
    ) -> None:
        size = len(SHORT.body)
        cuts = [[1], [2], [3], [7], *([at, size] for at in range(1, size, 3))]
        cuts += [[at, 2 + at % 9, size] for at in range(1, size, 7)]

        def cut(body: dict[str, int]) -> Reply:
            return rechunked(SHORT, cuts[body["cut"]])

        async with ProviderServer(cut) as server, aclosing(make_transport()) as transport:

            async def check(number: int) -> None:
                request = asked(server.chat_url, body=b'{"cut":%d}' % number)
                pieces = await answered(transport, request)
                told = said(pieces), said(pieces, "args")
                assert told == ("Né ☃", '{"a":1}'), f"cut into {cuts[number]} bytes"

            for first in range(0, len(cuts), 20):
                await asyncio.gather(*map(check, range(len(cuts))[first : first + 20]))

    @runs
    async def test_an_answer_that_breaks_off_is_never_taken_for_a_whole_one(
        self, make_transport: MakeTransport
    ) -> None:
        end = sum(map(len, SHORT.chunks[:-3]))  # before the reason why it ended
        places = range(1, end, 5)
        script = [cut(at) for at in places for cut in (_closed, _reset)]
        async with ProviderServer(script) as server, aclosing(make_transport()) as transport:
            for _ in script:
                text, answer = await broken_off(transport, asked(server.chat_url))
                assert "Né ☃".startswith(text)
                assert answer.reason is None
                assert answer.failure is not None

    @runs
    async def test_a_server_that_never_ends_its_answer_does_not_hold_it_up(
        self, make_transport: MakeTransport
    ) -> None:
        async with (
            ProviderServer([kept_open(GREETING)]) as server,
            aclosing(make_transport()) as transport,
        ):
            async with asyncio.timeout(AT_ONCE_S):
                pieces = await answered(transport, asked(server.chat_url))
            await server.requests[0].wait_gone()
        assert said(pieces).endswith("the rest")

    @runs
    async def test_a_delta_is_told_before_the_next_one_comes(
        self, make_transport: MakeTransport
    ) -> None:
        half = sum(map(len, GREETING.chunks[:2]))
        async with (
            ProviderServer([stall(GREETING, half)]) as server,
            aclosing(make_transport()) as transport,
            aclosing(transport.open(asked(server.chat_url))) as exchange,
        ):
            await exchange.start()
            async with asyncio.timeout(AT_ONCE_S):
                assert await exchange.read()

    # What goes wrong

    @pytest.mark.parametrize(
        ("code", "kind", "retryable"),
        [
            (400, "invalid", False),
            (401, "refused", False),
            (429, "overloaded", True),
            (500, "overloaded", True),
        ],
    )
    @runs
    async def test_an_error_status_is_a_failure_with_its_body(
        self, make_transport: MakeTransport, code: int, kind: str, retryable: bool
    ) -> None:
        body = {"error": f"no luck with {KEY}"}
        async with (
            ProviderServer([status(code, body, {"retry-after": "7"})]) as server,
            aclosing(make_transport()) as transport,
        ):
            failure = await refused(transport, asked(server.chat_url))
        assert "no luck with ***" in failure.message
        assert (failure.status, failure.kind, failure.retryable) == (code, kind, retryable)
        assert failure.retry_after_s == 7.0

    @runs
    async def test_where_nobody_listens_it_may_be_tried_again(
        self, make_transport: MakeTransport
    ) -> None:
        with socket.socket() as taken:  # bound but not listening: nobody else can get the port
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
            async with aclosing(make_transport()) as transport:
                failure = await refused(transport, asked(url))
        assert (failure.kind, failure.status, failure.retryable) == ("network", None, True)

    @pytest.mark.parametrize("url", ["", "no url", "ftp://host/x", "http://"])
    @runs
    async def test_what_is_no_url_is_the_callers_fault(
        self, make_transport: MakeTransport, url: str
    ) -> None:
        async with aclosing(make_transport()) as transport:
            failure = await refused(transport, asked(url))
        assert (failure.kind, failure.retryable) == ("invalid", False)

    @runs
    async def test_an_api_without_a_decoder_is_refused_before_anything_is_sent(
        self, make_transport: MakeTransport
    ) -> None:
        async with ProviderServer([GREETING]) as server, aclosing(make_transport()) as transport:
            request = HttpRequest(api="telepathy", url=server.chat_url, headers=(), body=b"{}")
            assert (await refused(transport, request)).kind == "invalid"
            assert server.connections == 0

    @runs
    async def test_a_server_that_does_not_answer_is_given_up(
        self, make_transport: MakeTransport
    ) -> None:
        async with ProviderServer([stall()]) as server, aclosing(make_transport()) as transport:
            failure = await refused(transport, asked(server.chat_url, first_s=0.1))
            await server.requests[0].wait_gone()
        assert failure.kind == "timeout"

    @runs
    async def test_a_server_that_falls_silent_in_its_answer_is_given_up(
        self, make_transport: MakeTransport
    ) -> None:
        half = sum(map(len, GREETING.chunks[:3]))
        async with (
            ProviderServer([stall(GREETING, half)]) as server,
            aclosing(make_transport()) as transport,
            aclosing(transport.open(asked(server.chat_url, read_s=0.1))) as opened,
        ):
            await opened.start()
            with pytest.raises(Failure) as raised:
                await pieces_of(opened)
            await server.requests[0].wait_gone()
            answer = opened.finish()
        assert raised.value.kind == "timeout"
        assert answer.failure is not None

    # Cancelling and closing

    @pytest.mark.parametrize("wait", [starting, reading])
    @runs
    async def test_cancelling_who_waits_closes_the_connection(
        self,
        make_transport: MakeTransport,
        wait: Callable[[Transport, ProviderServer], Coroutine[object, object, Waiting]],
    ) -> None:
        async with ProviderServer() as server, aclosing(make_transport()) as transport:
            opened, waiting = await wait(transport, server)
            cancelled_s = asyncio.get_running_loop().time()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert await server.requests[0].wait_gone() - cancelled_s < AT_ONCE_S
            await within(AT_ONCE_S, opened.aclose())
            await within(AT_ONCE_S, opened.aclose())
        assert asyncio.all_tasks() == {asyncio.current_task()}

    @runs
    async def test_closing_wakes_a_start_that_waits(self, make_transport: MakeTransport) -> None:
        async with ProviderServer() as server, aclosing(make_transport()) as transport:
            opened, waiting = await starting(transport, server)
            closed_s = asyncio.get_running_loop().time()
            await within(AT_ONCE_S, opened.aclose())
            with pytest.raises(Failure) as raised:
                await waiting
            assert raised.value.kind == "cancelled"
            assert await server.requests[0].wait_gone() - closed_s < AT_ONCE_S

    @runs
    async def test_closing_wakes_a_read_that_waits_with_an_empty_list(
        self, make_transport: MakeTransport
    ) -> None:
        async with ProviderServer() as server, aclosing(make_transport()) as transport:
            opened, waiting = await reading(transport, server)
            closed_s = asyncio.get_running_loop().time()
            await within(AT_ONCE_S, opened.aclose())
            await within(AT_ONCE_S, waiting)
            assert await server.requests[0].wait_gone() - closed_s < AT_ONCE_S
            assert await opened.read() == []

    @runs
    async def test_cancelling_one_of_many_streams_closes_it_and_no_other(
        self, make_transport: MakeTransport
    ) -> None:
        others_say = paced(chat(text="x" * 20, chunk_chars=1), 0.01)
        async with ProviderServer() as server, aclosing(make_transport()) as transport:
            _, doomed = await reading(transport, server)
            server.add(*[others_say] * 49)
            request = asked(server.chat_url)
            others = [asyncio.create_task(answered(transport, request)) for _ in range(49)]
            while len(server.requests) < 50:  # noqa: ASYNC110 - they arrive meanwhile
                await asyncio.sleep(0.002)
            doomed.cancel()
            await asyncio.wait({doomed})
            await server.requests[0].wait_gone()
            assert [said(pieces) for pieces in await asyncio.gather(*others)] == ["x" * 20] * 49
            assert sum(request.gone_s is not None for request in server.requests) == 1


def _closed(at: int) -> Reply:
    return close_after(at, SHORT)


def _reset(at: int) -> Reply:
    return reset(SHORT, at)
