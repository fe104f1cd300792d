"""What every implementation of a protocol must keep to: subclass, and give it a fixture.

Failures of transports are in ``contract_failures.py``.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import aclosing
from dataclasses import replace

import pytest

from tinyagent.actors.transports import Exchange, Failure, HttpRequest, Timed, Transport
from tinyagent.testing import (
    ProviderServer,
    Reply,
    chat,
    completion,
    kept_open,
    paced,
    rechunked,
    sse,
    stall,
)

KEY = "sk-test-0123456789"
AT_ONCE_S = 1.0  # it takes a millisecond; a machine may be busy, and else it would be for ever
GREETING = chat(text="Grüße aus Genève ☃, and the rest", thinking="Let me see.")


def asked(url: str, read_s: float = 5.0, first_s: float = 5.0) -> HttpRequest:
    return HttpRequest(
        api="openai-completions",
        url=url,
        headers=(("content-type", "application/json"), ("authorization", f"Bearer {KEY}")),
        body=b'{"model":"scripted","stream":true}',
        connect_timeout_s=2.0,
        first_byte_timeout_s=first_s,
        read_timeout_s=read_s,
    )


async def pieces_of(exchange: Exchange) -> list[Timed]:
    pieces: list[Timed] = []
    while more := await exchange.read():
        pieces += more
    return pieces


async def answered(transport: Transport, request: HttpRequest) -> list[Timed]:
    async with aclosing(transport.open(request)) as exchange:
        await exchange.start()
        return await pieces_of(exchange)


def said(pieces: list[Timed], op: str = "text") -> str:
    return "".join(data for _, each, data, _ in pieces if each == op)


class TransportContract:
    """Answers. A subclass has a fixture ``transport``."""

    async def test_an_answer_arrives_as_pieces_and_says_how_it_ended(
        self,
        transport: Transport,
    ) -> None:
        script = chat(text="On it.", thinking="Hm.", calls=[("add", {"a": 1, "b": 22})])
        async with ProviderServer([script]) as server:
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
        assert (answer.reason, answer.raw_reason, answer.failure) == ("tools", "tool_calls", None)
        assert answer.response == "chatcmpl-scripted"
        assert answer.usage is not None
        assert answer.bad_calls == ()

    async def test_the_request_is_sent_as_it_was_given(self, transport: Transport) -> None:
        async with ProviderServer([GREETING]) as server:
            await answered(transport, asked(server.chat_url))
            received = server.requests[0]
        assert (received.method, received.path) == ("POST", "/v1/chat/completions")
        assert received.body == b'{"model":"scripted","stream":true}'
        assert received.headers["authorization"] == f"Bearer {KEY}"
        assert received.headers["accept-encoding"] == "identity"
        assert "httpx" not in received.headers["user-agent"]

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
    async def test_where_the_bytes_are_cut_makes_no_difference(
        self, transport: Transport, size: int
    ) -> None:
        async with ProviderServer([rechunked(GREETING, [size])]) as server:
            pieces = await answered(transport, asked(server.chat_url))
        assert said(pieces) == "Grüße aus Genève ☃, and the rest"
        assert said(pieces, "think") == "Let me see."

    async def test_a_compressed_answer_is_read_although_it_was_not_asked_for(
        self,
        transport: Transport,
    ) -> None:
        import gzip

        body = Reply(
            chunks=(gzip.compress(GREETING.body),),
            headers=(("content-type", "text/event-stream"), ("content-encoding", "gzip")),
        )
        async with ProviderServer([body]) as server:
            pieces = await answered(transport, asked(server.chat_url))
        assert said(pieces).startswith("Grüße")

    async def test_one_json_body_is_an_answer_too(self, transport: Transport) -> None:
        async with ProviderServer([completion(text="whole", calls=[("add", {"a": 1})])]) as server:
            exchange = transport.open(asked(server.chat_url))
            await exchange.start()
            pieces = await pieces_of(exchange)
            answer = exchange.finish()
        assert said(pieces) == "whole"
        assert said(pieces, "args") == '{"a":1}'
        assert (answer.reason, answer.failure) == ("tools", None)

    async def test_the_connection_is_used_again(self, transport: Transport) -> None:
        async with ProviderServer(GREETING) as server:
            for _ in range(5):
                await answered(transport, asked(server.chat_url))
            assert (len(server.requests), server.connections) == (5, 1)

    async def test_a_server_that_never_ends_its_answer_does_not_hold_it_up(
        self,
        transport: Transport,
    ) -> None:
        async with ProviderServer([kept_open(GREETING)]) as server:
            started_s = time.monotonic()
            pieces = await answered(transport, asked(server.chat_url))
            await server.requests[0].wait_gone()
            assert time.monotonic() - started_s < 1.0
        assert said(pieces).endswith("the rest")

    async def test_a_proxy_in_the_environment_is_used(
        self, transport: Transport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with ProviderServer([GREETING]) as proxy:
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.delenv("no_proxy", raising=False)
            pieces = await answered(transport, asked("http://provider.invalid/v1"))
            assert proxy.requests[0].path == "http://provider.invalid/v1"
        assert said(pieces).startswith("Grüße")

    async def test_cookies_are_not_kept(self, transport: Transport) -> None:
        fields = (("content-type", "text/event-stream"), ("set-cookie", "session=1; Path=/"))
        async with ProviderServer(replace(GREETING, headers=fields)) as server:
            await answered(transport, asked(server.chat_url))
            await answered(transport, asked(server.chat_url))
            assert "cookie" not in server.requests[1].headers

    async def test_cancelling_one_of_fifty_streams_closes_it_and_no_other(
        self,
        transport: Transport,
    ) -> None:
        silent = stall(chat(text="victim"), 200)
        others_say = paced(chat(text="x" * 40, chunk_chars=1), 0.01)
        async with ProviderServer([silent, *[others_say] * 49]) as server:
            begun = asyncio.Event()

            async def victim() -> None:
                async with aclosing(transport.open(asked(server.chat_url))) as exchange:
                    await exchange.start()
                    begun.set()
                    await pieces_of(exchange)

            async def one() -> str:
                return said(await answered(transport, asked(server.chat_url)))

            doomed = asyncio.create_task(victim())
            await begun.wait()
            others = [asyncio.create_task(one()) for _ in range(49)]
            while not any(each.done() for each in others):  # noqa: ASYNC110 - they run meanwhile
                await asyncio.sleep(0.002)
            cancelled_s = asyncio.get_running_loop().time()
            doomed.cancel()
            with pytest.raises(asyncio.CancelledError):
                await doomed
            gone_s = await server.requests[0].wait_gone()
            assert gone_s - cancelled_s < AT_ONCE_S
            assert await asyncio.gather(*others) == ["x" * 40] * 49
            assert sum(request.gone_s is not None for request in server.requests) == 1

    async def test_silence_after_headers_is_told_from_comments_which_count_as_life(
        self,
        transport: Transport,
    ) -> None:
        comments = (b": ping\n\n",) * 8
        script = paced(replace(GREETING, chunks=comments + GREETING.chunks), 0.06)
        async with ProviderServer([script]) as server:
            pieces = await answered(transport, asked(server.chat_url, read_s=0.3, first_s=0.3))
        assert said(pieces).startswith("Grüße")

    async def test_an_answer_cut_off_after_its_finish_reason_is_complete(
        self,
        transport: Transport,
    ) -> None:
        whole = chat(text="done", usage={})
        script = replace(whole, chunks=whole.chunks[:-1], ending="reset")
        async with ProviderServer([script]) as server:
            exchange = transport.open(asked(server.chat_url))
            await exchange.start()
            assert said(await pieces_of(exchange)) == "done"
            assert exchange.finish().reason == "end"

    async def test_an_error_in_the_stream_is_told_by_the_answer(self, transport: Transport) -> None:
        script = Reply(
            chunks=(*chat(text="half").chunks[:2], sse({"error": {"message": "overrun"}}))
        )
        async with ProviderServer([script]) as server:
            exchange = transport.open(asked(server.chat_url))
            await exchange.start()
            assert said(await pieces_of(exchange)) == "half"
            failure = exchange.finish().failure
        assert failure is not None
        assert "overrun" in failure[1]

    async def test_an_api_without_a_decoder_is_refused_before_anything_is_sent(
        self,
        transport: Transport,
    ) -> None:
        async with ProviderServer([GREETING]) as server:
            request = HttpRequest(api="telepathy", url=server.chat_url, headers=(), body=b"{}")
            with pytest.raises(Failure, match="unsupported api `telepathy`"):
                await transport.open(request).start()
            assert server.connections == 0

    async def test_a_stream_that_ends_too_early_in_good_order_is_no_answer(
        self,
        transport: Transport,
    ) -> None:
        async with ProviderServer([replace(GREETING, chunks=GREETING.chunks[:3])]) as server:
            exchange = transport.open(asked(server.chat_url))
            await exchange.start()
            await pieces_of(exchange)
            failure = exchange.finish().failure
        assert failure is not None
        assert failure[0] == "interrupted"

    async def test_the_first_delta_comes_at_once_and_the_others_gather(
        self,
        transport: Transport,
    ) -> None:
        script = paced(chat(text="x" * 120, chunk_chars=1), 0.004)
        batches: list[int] = []
        async with ProviderServer([script]) as server:
            started_s = time.monotonic()
            async with aclosing(transport.open(asked(server.chat_url))) as exchange:
                await exchange.start()
                pieces = await exchange.read()
                while pieces:
                    batches.append(len(pieces))
                    assert all(gap_us > 0 for *_, gap_us in pieces)  # each the time of its arrival
                    pieces = await exchange.read()
            took_s = time.monotonic() - started_s
        assert batches[0] == 1
        assert sum(batches) == 120
        assert len(batches) <= took_s / 0.020 + 2

    async def test_the_window_grows_while_an_answer_runs(self, transport: Transport) -> None:
        script = paced(chat(text="x" * 150, chunk_chars=1), 0.01)
        times_s: list[float] = []
        async with (
            ProviderServer([script]) as server,
            aclosing(transport.open(asked(server.chat_url))) as exchange,
        ):
            await exchange.start()
            while await exchange.read():
                times_s.append(time.monotonic())
        gaps_s = [late - early for early, late in itertools.pairwise(times_s)]
        assert min(gaps_s[:-1]) > 0.015
        assert gaps_s[-2] > 0.08

    async def test_a_user_in_the_url_becomes_basic_authorization(
        self, transport: Transport
    ) -> None:
        async with ProviderServer([GREETING]) as server:
            url = server.chat_url.replace("http://", "http://me:p%40ss@")
            await answered(transport, asked(url))
            assert server.requests[0].headers["authorization"] == "Basic bWU6cEBzcw=="
            assert "@" not in server.requests[0].headers["host"]

    async def test_what_a_url_may_not_hold_is_sent_escaped(self, transport: Transport) -> None:
        async with ProviderServer([GREETING]) as server:
            await answered(transport, asked(f"{server.url}/modèle a?b=ü&c=%20"))
            path = server.requests[0].path
        assert path == "/mod%C3%A8le%20a?b=%C3%BC&c=%20"
