"""The native transport: the contract, and what only it can do."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest
from msgspec.structs import replace
from tests.contract_failures import FailureContract
from tests.contracts import AnswerContract

from tinyagent.actors.transports import Failure, played
from tinyagent.actors.transports.native import NativeTransport, ascii_url
from tinyagent.events.fact import Piece
from tinyagent.testing import (
    ProviderServer,
    Reply,
    TransportContract,
    chat,
    paced,
    rechunked,
    sse,
    stall,
)
from tinyagent.testing._exchanges import answered, asked, pieces_of, said

GREETING = chat(text="Hello there, this takes a few chunks")
HALF = sum(map(len, GREETING.chunks[:3]))


@pytest.fixture
async def transport() -> AsyncIterator[NativeTransport]:
    async with aclosing(NativeTransport()) as opened:
        yield opened


class TestContract(TransportContract):
    """With the extension."""

    @pytest.fixture
    def make_transport(self) -> type[NativeTransport]:
        return NativeTransport


class TestAnswers(AnswerContract):
    """With the extension."""


class TestFailures(FailureContract):
    """With the extension."""


async def test_an_answer_that_nobody_reads_leaves_the_network_waiting(
    transport: NativeTransport,
) -> None:
    script = rechunked(chat(text="x" * 60_000_000, chunk_chars=60_000), [1_000_000])
    async with (
        ProviderServer([script]) as server,
        aclosing(transport.open(asked(server.chat_url))) as exchange,
    ):
        await exchange.start()
        await asyncio.sleep(1.0)
        assert server.requests[0].sent_bytes < 40_000_000
        assert len(said(await pieces_of(exchange))) == 60_000_000


async def test_a_megabyte_in_one_line(transport: NativeTransport) -> None:
    script = rechunked(chat(text="ü" * 1_000_000, chunk_chars=1_000_000), [16_384])
    async with ProviderServer([script]) as server:
        pieces = await answered(transport, asked(server.chat_url))
    assert said(pieces) == "ü" * 1_000_000


async def test_a_request_is_sent_its_own_way_however_like_the_one_before_it_is(
    transport: NativeTransport,
) -> None:
    authorized = ("authorization", "Bearer sk-another")
    async with ProviderServer([GREETING] * 4 + [stall(GREETING, HALF)]) as server:
        first = asked(server.chat_url)
        shorter = replace(first, body=b"{}")
        elsewhere = replace(shorter, url=f"{server.url}/another")
        other = replace(elsewhere, headers=(authorized,))
        for request in (first, shorter, elsewhere, other):
            await answered(transport, request)
        with pytest.raises(Failure, match=r"silent for 0\.2 s"):
            async with asyncio.timeout(2.0):
                await answered(transport, replace(other, read_timeout_s=0.2))
        with pytest.raises(Failure, match="unsupported api `another`"):
            await answered(transport, replace(other, read_timeout_s=0.2, api="another"))
    sent = server.requests
    assert [each.body for each in sent[:2]] == [first.body, b"{}"]
    assert [each.path for each in sent[1:3]] == ["/v1/chat/completions", "/another"]
    keys = [each.headers["authorization"] for each in sent[2:4]]
    assert keys == [first.headers[1][1], authorized[1]]


async def test_many_answers_wake_their_loop_together(transport: NativeTransport) -> None:
    loop = asyncio.get_running_loop()
    watch, wakes, heard = loop.add_reader, 0, 0

    def add_reader(file: int, take: Callable[[], object]) -> None:
        def counted() -> None:
            nonlocal wakes
            wakes += 1
            take()

        watch(file, counted)

    def hear(pieces: list[Piece]) -> None:
        nonlocal heard
        heard += 1

    async def one() -> None:
        await played(transport.open(asked(server.chat_url)), hear)

    loop.add_reader = add_reader  # type: ignore[assignment] # of this loop alone
    script = paced(chat(text="x" * 40, chunk_chars=1), 0.015)
    with ProviderServer.threaded([script] * 50) as server:
        await asyncio.gather(*(one() for _ in range(50)))
    assert heard > 1500  # each delta by itself, as its beat comes
    assert wakes < heard / 4


async def test_the_first_words_of_an_answer_are_heard_as_soon_as_the_loop_is_woken(
    transport: NativeTransport,
) -> None:
    loop = asyncio.get_running_loop()
    watch, is_woken, heard = loop.add_reader, False, list[bool]()

    def add_reader(file: int, take: Callable[[], object]) -> None:
        def marked() -> None:
            nonlocal is_woken
            is_woken = True
            take()
            is_woken = False

        watch(file, marked)

    def hear(pieces: list[Piece]) -> None:
        heard.append(is_woken)

    loop.add_reader = add_reader  # type: ignore[assignment] # of this loop alone
    script = paced(chat(text="Hello", chunk_chars=1), 0.03)
    async with ProviderServer([script]) as server:
        await played(transport.open(asked(server.chat_url)), hear)
    assert heard[0]  # by no task, for which the loop would have to go round once more


async def test_an_answer_is_over_before_its_last_chunk_for_which_its_connection_waits(
    transport: NativeTransport,
) -> None:
    said_s = (0.0,) * len(GREETING.chunks)
    late = Reply(chunks=(*GREETING.chunks, b": bye\n\n"), delay_s=(*said_s, 0.03))
    took_s: list[float] = []
    async with ProviderServer([late] * 5) as server:
        for _ in range(5):
            began_s = time.monotonic()
            assert said(await answered(transport, asked(server.chat_url))).endswith("chunks")
            took_s.append(time.monotonic() - began_s)
            await asyncio.sleep(0.04)
    assert min(took_s) < 0.03
    assert server.connections < 5


async def test_one_of_five_hundred_streams_is_closed_within_100_ms(
    transport: NativeTransport,
) -> None:
    """The least of several is what the code costs; the rest is what the machine did meanwhile."""
    text = "x" * 100
    shown = chat(text=text, chunk_chars=1)
    script = [stall(shown, after_bytes=100)] * 5 + [paced(shown, 0.03)] * 495
    with ProviderServer.threaded(script) as server:

        async def one() -> str:
            return said(await answered(transport, asked(server.chat_url, 30.0, 30.0)))

        async def arrived(count: int) -> None:
            async with asyncio.timeout(60.0):
                while len(server.requests) < count:  # noqa: ASYNC110 - of another thread
                    await asyncio.sleep(0.002)

        victims: list[asyncio.Task[str]] = []
        for count in range(1, 6):
            victims.append(asyncio.create_task(one()))
            await arrived(count)
        others = [asyncio.create_task(one()) for _ in range(495)]
        await arrived(500)
        took_s: list[float] = []
        for number, victim in enumerate(victims):
            cancelled_s = time.monotonic()
            victim.cancel()
            with pytest.raises(asyncio.CancelledError):
                await victim
            # Both clocks are the system's monotonic one.
            took_s.append(await server.requests[number].wait_gone() - cancelled_s)
        assert min(took_s) < 0.1
        assert await asyncio.gather(*others) == [text] * 495
        assert sum(request.gone_s is not None for request in server.requests) == 5


async def test_a_hundred_at_once_find_their_connections_again(transport: NativeTransport) -> None:
    script = paced(chat(text="Hello", chunk_chars=1), 0.02)
    async with ProviderServer([script] * 200) as server:
        for _ in range(2):
            asking = [answered(transport, asked(server.chat_url)) for _ in range(100)]
            assert set(map(said, await asyncio.gather(*asking))) == {"Hello"}
        assert server.connections == 100


def test_event_loops_share_connections_one_after_the_other_and_at_once() -> None:
    transport = NativeTransport()
    texts: list[str] = []

    def run() -> None:
        texts.append(said(asyncio.run(answered(transport, asked(server.chat_url)))))

    with ProviderServer.threaded(GREETING) as server:
        run()
        run()
        assert server.connections == 1
        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert texts == ["Hello there, this takes a few chunks"] * 10


def test_a_loop_that_is_closed_while_somebody_waits_there_is_forgotten() -> None:
    transport = NativeTransport()

    async def leave(url: str) -> None:
        exchange = transport.open(asked(url))
        await exchange.start()
        await exchange.read()
        reading = asyncio.create_task(exchange.read())
        await asyncio.sleep(0)
        assert not reading.done()

    with ProviderServer.threaded([stall(GREETING, HALF), GREETING]) as server:
        asyncio.run(leave(server.chat_url))
        server.requests[0].gone_within(1.0)
        assert said(asyncio.run(answered(transport, asked(server.chat_url)))).endswith("chunks")


CLIENT = """
    import asyncio, os, sys
    from tinyagent.actors.transports import HttpRequest
    from tinyagent.actors.transports.native import NativeTransport

    transport = NativeTransport()
    request = HttpRequest(
        api="openai-completions", url=sys.argv[1], headers=(), body=b"{}"
    )

    async def read(times):
        exchange = transport.open(request)
        await exchange.start()
        text = ""
        for _ in range(times):
            text += "".join(piece[2] for piece in await exchange.read())
        return exchange, text
"""


def run_client(url: str, program: str) -> tuple[str, float]:
    """Run *program* after CLIENT; return what it printed and how long it took."""
    code = textwrap.dedent(CLIENT) + textwrap.dedent(program)
    started_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, url], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout, time.monotonic() - started_s


@pytest.mark.parametrize(
    "program",
    [
        # A stream is open, nobody waits; somebody waits on a loop that is never closed; a thread
        # that is left behind waits.
        "exchange, text = asyncio.run(read(1))\nprint(text)",
        """
        loop = asyncio.new_event_loop()
        exchange, text = loop.run_until_complete(read(1))
        task = loop.create_task(exchange.read())
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.set_exception_handler(lambda *_: None)  # it would warn of the task
        print(text)
        """,
        """
        import threading
        threading.Thread(target=lambda: asyncio.run(read(3)), daemon=True).start()
        exchange, text = asyncio.run(read(1))
        print(text)
        """,
    ],
)
def test_the_end_of_the_program_waits_for_no_stream(program: str) -> None:
    # Pieces arrive all the while, so that the waking thread is at work when the program ends.
    slow = paced(chat(text="x" * 5_000, chunk_chars=1), 0.002)
    with ProviderServer.threaded(slow) as server:
        printed, took_s = run_client(server.chat_url, program)
    assert printed.startswith("x")
    assert took_s < 5.0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_child_process_has_connections_of_its_own() -> None:
    program = """
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # threads and fork: ours is made for it
    inherited, text = asyncio.run(read(1))
    child = os.fork()
    if child == 0:
        asyncio.run(inherited.aclose())
        _, text = asyncio.run(read(1))
        print("child", text, flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    print("parent", "".join(piece[2] for piece in asyncio.run(inherited.read())))
    """
    slow = paced(chat(text="abcdef", chunk_chars=1), 0.2)
    with ProviderServer.threaded(slow) as server:
        printed, _ = run_client(server.chat_url, program)
    assert printed.splitlines()[0] == "child a"
    assert printed.splitlines()[1].startswith("parent b")


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://host/v1?a=1", "http://host/v1?a=1"),
        ("http://host/grüße?q=ü&r=%20", "http://host/gr%C3%BC%C3%9Fe?q=%C3%BC&r=%20"),
        ("http://host/a b", "http://host/a%20b"),
        ("http://bücher.example/x", "http://xn--bcher-kva.example/x"),
        ("http://[ü", ""),
    ],
)
def test_what_a_url_may_not_hold_is_escaped(url: str, sent: str) -> None:
    assert ascii_url(url) == sent


async def test_repeated_headers_of_an_answer_are_joined(transport: NativeTransport) -> None:
    fields = (("retry-after", "3"), ("x-a", "1"), ("x-a", "2"))
    reply = Reply(chunks=(sse({"error": "busy"}),), status=429, headers=fields)
    async with ProviderServer([reply]) as server:
        with pytest.raises(Failure) as raised:
            await answered(transport, asked(server.chat_url))
    assert raised.value.retry_after_s == 3.0
