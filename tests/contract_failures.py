"""What every transport says when an exchange fails, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from contextlib import aclosing

import pytest

from tinyagent.actors.transports import Failure, HttpRequest, Transport, exchange
from tinyagent.testing import (
    ProviderServer,
    chat,
    kept_open,
    paced,
    rechunked,
    reset,
    stall,
    status,
)
from tinyagent.testing._exchanges import KEY, answered, asked, pieces_of, refused

GREETING = chat(text="Hello there, this takes a few chunks")


class FailureContract:
    """Failures. A subclass has a fixture ``transport``."""

    @pytest.mark.parametrize(
        ("code", "kind", "retryable"),
        [
            (400, "invalid", False),
            (401, "refused", False),
            (404, "invalid", False),
            (408, "timeout", True),
            (409, "overloaded", True),
            (429, "overloaded", True),
            (500, "overloaded", True),
            (503, "overloaded", True),
        ],
    )
    async def test_an_error_status_is_a_failure_with_its_body(
        self, transport: Transport, code: int, kind: str, retryable: bool
    ) -> None:
        body = {"error": {"message": "no luck", "type": "x", "code": None}}
        async with ProviderServer([status(code, body)]) as server:
            failure = await refused(transport, asked(server.chat_url))
        text = '{"error":{"message":"no luck","type":"x","code":null}}'
        assert failure.message == f"API returned error: {code} - {text}"
        assert (failure.status, failure.kind, failure.retryable) == (code, kind, retryable)

    async def test_the_provider_says_when_to_come_back_and_whether(
        self,
        transport: Transport,
    ) -> None:
        later = status(429, {"error": "busy"}, {"retry-after": "7"})
        never = status(429, {"error": "quota"}, {"x-should-retry": "false"})
        async with ProviderServer([later, never]) as server:
            first = await refused(transport, asked(server.chat_url))
            second = await refused(transport, asked(server.chat_url))
        assert (first.retry_after_s, first.retryable) == (7.0, True)
        assert (second.retry_after_s, second.retryable) == (None, False)

    @pytest.mark.parametrize("code", [301, 302, 307, 308])
    async def test_where_else_to_go_is_told_and_nobody_goes_there(
        self, transport: Transport, code: int
    ) -> None:
        place = {"location": "https://me:pw@other.invalid/v2?api_key=abc"}
        async with ProviderServer([status(code, "", place)]) as server:
            failure = await refused(transport, asked(server.chat_url))
        assert failure.message == (
            f"API returned error: {code} - moved to https://other.invalid/v2?api_key=***;"
            " this is not followed: set base_url to the right place"
        )
        assert (failure.kind, failure.retryable) == ("network", False)

    @pytest.mark.parametrize("names", ["br", "zstd", "x-own, gzip"])
    async def test_an_answer_that_is_compressed_in_another_way_says_in_which(
        self, transport: Transport, names: str
    ) -> None:
        fields = {"content-encoding": names}
        async with ProviderServer([status(200, b"\x0b\x02\x80abc\x03", fields)]) as server:
            with pytest.raises(Failure) as raised:
                await answered(transport, asked(server.chat_url))
        failure = raised.value
        assert failure.message == (
            f"HTTP request failed: the answer is compressed ({names}), although it was asked for"
            " as it is (accept-encoding: identity)"
        )
        assert (failure.kind, failure.status, failure.retryable) == ("network", 200, False)

    async def test_why_it_failed_is_told_to_who_asks_for_diagnostics(
        self, transport: Transport, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with ProviderServer([reset()]) as server:
            with caplog.at_level(logging.WARNING, "tinyagent"):
                failure = await refused(transport, asked(server.chat_url))
        assert caplog.messages == [f"{failure.message}: {failure.__notes__[0]}"]

    async def test_a_page_of_html_is_cut_at_4096_characters(self, transport: Transport) -> None:
        page = "<html>" + "ü" * 100_000
        async with ProviderServer([status(502, page)]) as server:
            failure = await refused(transport, asked(server.chat_url))
        assert failure.message == f"API returned error: 502 - {page[:4096]}"

    async def test_a_key_that_the_provider_echoes_is_struck_out(self, transport: Transport) -> None:
        async with ProviderServer([status(401, f"Bad key {KEY} in Bearer {KEY}")]) as server:
            failure = await refused(transport, asked(server.chat_url))
        assert failure.message == "API returned error: 401 - Bad key *** in ***"

    async def test_an_error_body_that_never_ends_does_not_hide_the_status(
        self, transport: Transport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(exchange, "ERROR_BODY_TIMEOUT_S", 0.1)
        async with ProviderServer([kept_open(status(503, "half a"))]) as server:
            failure = await refused(transport, asked(server.chat_url))
            await server.requests[0].wait_gone()
        assert failure.message == "API returned error: 503 - half a"

    async def test_nobody_listens_there(self, transport: Transport) -> None:
        with socket.socket() as taken:  # bound but not listening: nobody else can get the port
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
            failure = await refused(transport, asked(url))
        assert failure.message == f"HTTP request failed: error sending request for url ({url})"
        assert (failure.kind, failure.status, failure.retryable) == ("network", None, True)

    async def test_a_url_is_told_without_its_secrets(self, transport: Transport) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            host = f"127.0.0.1:{taken.getsockname()[1]}"
            failure = await refused(transport, asked(f"http://me:pw@{host}/v1?alt=sse&api_key=abc"))
        assert failure.message.endswith(f"for url (http://{host}/v1?alt=sse&api_key=***)")

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "no url",
            "ftp://host/x",
            "http://",
            "http://[::1/x",
            "http://ho st/",
            "//x/y",
            "http://me:pw@host:65536/x",
        ],
    )
    async def test_a_bad_url_is_a_builder_error(self, transport: Transport, url: str) -> None:
        failure = await refused(transport, asked(url))
        assert failure.message == "HTTP request failed: builder error"
        assert (failure.kind, failure.retryable) == ("invalid", False)

    @pytest.mark.parametrize("value", ["a\nb", "schlüssel", "a\x00", "a\x7f"])
    async def test_a_bad_header_value_is_not_told(self, transport: Transport, value: str) -> None:
        request = HttpRequest(
            api="openai-completions",
            url="http://127.0.0.1:1/",
            headers=(("x-key", value),),
            body=b"",
        )
        failure = await refused(transport, request)
        assert failure.message == "Invalid header: failed to parse header value"

    async def test_a_server_that_does_not_answer(self, transport: Transport) -> None:
        async with ProviderServer([stall()]) as server:
            failure = await refused(transport, asked(server.chat_url, first_s=0.1))
            await server.requests[0].wait_gone()
        assert (failure.kind, failure.retryable) == ("timeout", False)
        assert failure.message == (
            f"HTTP request failed: no answer from {server.chat_url} within 0.1 s"
            " (first_byte_timeout_s)"
        )

    async def test_a_tls_handshake_that_does_not_come_off_is_closed(
        self,
        transport: Transport,
    ) -> None:
        async with ProviderServer() as server:
            url = server.chat_url.replace("http:", "https:")
            request = HttpRequest(
                api="openai-completions", url=url, headers=(), body=b"{}", connect_timeout_s=0.1
            )
            failure = await refused(transport, request)
        assert failure.message.endswith(f"no connection to {url} within 0.1 s (connect_timeout_s)")
        gc.collect()  # a socket left open would complain here

    async def test_a_server_that_is_slow_but_within_its_limit(self, transport: Transport) -> None:
        async with (
            ProviderServer([paced(GREETING, 0.01, first_delay_s=0.1)]) as server,
            aclosing(transport.open(asked(server.chat_url, first_s=2.0))) as opened,
        ):
            await opened.start()
            first = (await opened.read())[0]
        assert first[3] >= 100_000

    async def test_a_server_that_falls_silent_in_its_answer(self, transport: Transport) -> None:
        half = sum(map(len, GREETING.chunks[:3]))
        async with (
            ProviderServer([stall(GREETING, half)]) as server,
            aclosing(transport.open(asked(server.chat_url, read_s=0.1))) as opened,
        ):
            await opened.start()
            assert (await opened.read())[0][2] == "Hello there,"
            with pytest.raises(Failure, match=r"silent for 0\.1 s \(read_timeout_s\)") as raised:
                await pieces_of(opened)
            await server.requests[0].wait_gone()
            answer = opened.finish()
        assert (raised.value.kind, raised.value.status) == ("timeout", 200)
        assert answer.failure is not None
        assert answer.failure[0] == "interrupted"

    async def test_a_connection_that_is_reset_before_the_answer(self, transport: Transport) -> None:
        async with ProviderServer([reset()]) as server:
            failure = await refused(transport, asked(server.chat_url))
        url = server.chat_url
        assert failure.message == f"HTTP request failed: error sending request for url ({url})"
        assert failure.retryable

    async def test_a_connection_that_is_reset_in_the_answer(self, transport: Transport) -> None:
        half = sum(map(len, GREETING.chunks[:3]))
        async with (
            ProviderServer([reset(GREETING, half)]) as server,
            aclosing(transport.open(asked(server.chat_url))) as opened,
        ):
            await opened.start()
            with pytest.raises(Failure) as raised:
                await pieces_of(opened)
        assert raised.value.message == "HTTP request failed: error decoding response body"
        assert (raised.value.kind, raised.value.status) == ("network", 200)

    async def test_a_page_of_html_with_status_200_is_no_answer(self, transport: Transport) -> None:
        async with (
            ProviderServer([status(200, "<html>Sign in</html>")]) as server,
            aclosing(transport.open(asked(server.chat_url))) as opened,
        ):
            await opened.start()
            assert await opened.read() == []
            failure = opened.finish().failure
        assert failure is not None
        assert failure[0] == "network"

    async def test_names_are_looked_up_without_the_default_executor(
        self, transport: Transport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def never(*_args: object) -> None:
            raise AssertionError

        monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", never)
        async with ProviderServer([GREETING]) as server:
            url = server.chat_url.replace("127.0.0.1", "localhost")
            async with aclosing(transport.open(asked(url))) as opened:
                await opened.start()
                assert await opened.read()

    async def test_closing_what_was_not_read_leaves_nothing_behind(
        self,
        transport: Transport,
    ) -> None:
        async with (
            ProviderServer(
                [stall(rechunked(chat(text="x" * 100_000), [10_000]), 50_000)]
            ) as server,
            aclosing(transport.open(asked(server.chat_url))) as opened,
        ):
            await opened.start()
            assert await opened.read()
            await opened.aclose()
            await server.requests[0].wait_gone()
        assert asyncio.all_tasks() == {asyncio.current_task()}
