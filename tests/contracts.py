"""What our transports do besides what ``tinyagent.testing.TransportContract`` asks of each.

Failures are in ``contract_failures.py``.
"""

from __future__ import annotations

import asyncio
import io
import time
import zlib
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from tinyagent.actors.transports import Failure, HttpRequest, Transport, played
from tinyagent.events.fact import Piece
from tinyagent.testing import (
    ProviderServer,
    Reply,
    chat,
    paced,
    rechunked,
    sse,
    stall,
    status,
)
from tinyagent.testing._exchanges import GREETING, answered, asked, pieces_of, said


def parts_of(pieces: Iterable[Piece]) -> Iterator[tuple[int, str, Any]]:
    """Yield what *pieces* were joined of, without times."""
    for block, op, data, gaps_us, *lengths in pieces:
        if not lengths:
            yield block, op, data
            continue
        assert len(gaps_us) == len(lengths[0])
        assert sum(lengths[0]) == len(data)
        text = io.StringIO(data)
        for length in lengths[0]:
            yield block, op, text.read(length)


async def _heard(transport: Transport, request: HttpRequest) -> list[Piece]:
    heard: list[Piece] = []
    async with aclosing(transport.open(request)) as exchange:
        await played(exchange, heard.extend)
    return heard


class AnswerContract:
    """Answers. A subclass has a fixture ``transport``."""

    async def test_the_request_says_who_sends_it(self, transport: Transport) -> None:
        async with ProviderServer([GREETING]) as server:
            await answered(transport, asked(server.chat_url))
            received = server.requests[0]
        assert received.headers["accept-encoding"] == "identity"
        assert "httpx" not in received.headers["user-agent"]

    @pytest.mark.parametrize(
        ("names", "wbits"),
        [
            ("gzip", 31),
            ("GZip, identity", 31),
            ("X-GZip", 31),
            ("deflate", 15),
            ("deflate", -15),
            ("identity", 0),
        ],
    )
    async def test_a_compressed_answer_is_read_although_it_was_not_asked_for(
        self, transport: Transport, names: str, wbits: int
    ) -> None:
        press = zlib.compressobj(wbits=wbits) if wbits else None
        body = press.compress(GREETING.body) + press.flush() if press else GREETING.body
        fields = (("content-type", "text/event-stream"), ("content-encoding", names))
        whole = Reply(chunks=(body,), headers=fields)
        async with ProviderServer([whole, rechunked(whole, [2, 1])]) as server:
            for _ in range(2):
                pieces = await answered(transport, asked(server.chat_url))
                assert said(pieces).startswith("Grüße")

    async def test_the_head_of_an_answer_may_be_long_and_old_fashioned(
        self, transport: Transport
    ) -> None:
        fields = [(f"x-{number}", "1") for number in range(200)]
        fields += [("x-folded", "a\r\n b"), ("content-type", "text/event-stream")]
        async with ProviderServer([replace(GREETING, headers=tuple(fields))]) as server:
            pieces = await answered(transport, asked(server.chat_url))
        assert said(pieces).startswith("Grüße")

    @pytest.mark.parametrize(
        "listed",
        [
            "*",
            "elsewhere.invalid, *",
            "127.0.0.1",
            "10.0.0.0/8, 127.0.0.0/8",
            "127.0.0.9/30,fd00::/8,127.0.0.1/30",
        ],
    )
    async def test_a_proxy_is_for_nobody_if_the_environment_says_so(
        self, transport: Transport, monkeypatch: pytest.MonkeyPatch, listed: str
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", listed)
        async with ProviderServer([GREETING]) as server:
            pieces = await answered(transport, asked(server.chat_url))
        assert said(pieces).startswith("Grüße")

    async def test_the_connection_is_used_again(self, transport: Transport) -> None:
        async with ProviderServer(GREETING) as server:
            for _ in range(5):
                await answered(transport, asked(server.chat_url))
            assert (len(server.requests), server.connections) == (5, 1)

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
        assert len(batches) <= took_s / 0.010 + 2

    async def test_what_is_heard_is_what_is_read_with_runs_joined(
        self, transport: Transport
    ) -> None:
        calls = [("add", {"a": 12345}), ("add", {"a": 67890})]
        script = chat(thinking="Hm 😀, so", text="Grüße 😀", calls=calls, chunk_chars=1)
        async with ProviderServer([script, script]) as server:
            read = await answered(transport, asked(server.chat_url))
            heard = await _heard(transport, asked(server.chat_url))
        assert [piece[:3] for piece in read] == list(parts_of(heard))
        assert len(heard) < len(read) / 2

    async def test_who_hears_an_answer_is_told_no_more_while_it_waits(
        self, transport: Transport
    ) -> None:
        script = paced(chat(text="x" * 5, chunk_chars=1), 0.02)
        heard: list[Piece] = []
        begun, gate = asyncio.Event(), asyncio.Event()

        def hear(pieces: list[Piece]) -> Awaitable[object]:
            heard.extend(pieces)
            begun.set()
            return gate.wait()

        async with ProviderServer([script, script]) as server:
            exchange = transport.open(asked(server.chat_url))
            playing = asyncio.create_task(played(exchange, hear))
            await begun.wait()
            count = len(heard)
            await answered(transport, asked(server.chat_url))  # which takes as long as the first
            assert len(heard) == count < 5
            gate.set()
            await playing
        assert said(heard) == "x" * 5
        assert exchange.finish().reason == "end"

    async def test_what_raises_when_it_hears_an_answer_ends_it(self, transport: Transport) -> None:
        def hear(pieces: list[Piece]) -> None:
            raise LookupError("nobody is there")

        async with (
            ProviderServer([GREETING]) as server,
            aclosing(transport.open(asked(server.chat_url))) as exchange,
        ):
            with pytest.raises(LookupError, match="nobody"):
                await played(exchange, hear)

    @pytest.mark.parametrize(
        "script",
        [status(429, "slow down"), stall(GREETING, after_bytes=200)],
        ids=["429", "silent"],
    )
    async def test_who_hears_an_answer_is_told_why_there_is_none_as_who_reads_it_is(
        self, transport: Transport, script: Reply
    ) -> None:
        told: list[tuple[str, int | None, str]] = []
        async with ProviderServer([script, script]) as server:
            request = asked(server.chat_url, 0.2)
            for listen in (answered(transport, request), _heard(transport, request)):
                with pytest.raises(Failure) as raised:
                    await listen
                told.append((raised.value.kind, raised.value.status, raised.value.message))
        assert told[0] == told[1]
        assert told[0][1] is not None

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
