"""The recorded transport: a live answer's pieces, without a socket."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
import pytest

from tinyagent.actors.transports import Exchange, Failure, HttpRequest, Timed
from tinyagent.actors.transports.recorded import RecordedTransport
from tinyagent.testing import chat

CORPUS = Path(os.environ.get("TINYAGENT_CORPUS") or Path(__file__).parents[2] / "../shared/corpus")
REQUEST = HttpRequest(api="openai-completions", url="http://recorded/", headers=(), body=b"{}")
GREETING = chat(text="Grüße ☃").body


async def opened(transport: RecordedTransport) -> Exchange:
    exchange = transport.open(REQUEST)
    await exchange.start()
    return exchange


async def pieces_of(exchange: Exchange) -> list[Timed]:
    pieces: list[Timed] = []
    while more := await exchange.read():
        pieces += more
    return pieces


async def whole(transport: RecordedTransport) -> list[Timed]:
    return await pieces_of(await opened(transport))


def said(pieces: list[Timed], op: str = "text") -> str:
    return "".join(data for _, each, data, _ in pieces if each == op)


async def test_answers_are_given_in_order_and_requests_are_kept() -> None:
    transport = RecordedTransport([chat(text="one").body, chat(text="two").body])
    heard = [said(await whole(transport)) for _ in range(2)]
    assert heard == ["one", "two"]
    assert transport.requests == [REQUEST, REQUEST]


async def test_an_answer_that_was_not_recorded_is_missed_by_its_number() -> None:
    transport = RecordedTransport([GREETING])
    await opened(transport)
    with pytest.raises(Failure, match="request 2: only 1 answers are recorded") as raised:
        await opened(transport)
    assert (raised.value.kind, raised.value.retryable) == ("invalid", False)


@pytest.mark.parametrize("sizes", [(), (1,), (2, 5, 3), (10_000,)])
async def test_where_the_bytes_are_cut_makes_no_difference(sizes: tuple[int, ...]) -> None:
    transport = RecordedTransport([GREETING], chunk_sizes=sizes)
    assert said(await whole(transport)) == "Grüße ☃"


async def test_times_are_those_of_the_schedule() -> None:
    body = chat(text="abc", chunk_chars=1)
    sizes = [len(chunk) for chunk in body.chunks]
    transport = RecordedTransport([body.body], chunk_sizes=sizes, gap_us=1_500)
    pieces = await whole(transport)
    assert [gap_us for *_, gap_us in pieces] == [3_000, 1_500, 1_500]


async def test_a_recorded_failure_is_raised_instead_of_an_answer() -> None:
    failure = Failure("overloaded", "busy", status=429, retry_after_s=1.0, retryable=True)
    with pytest.raises(Failure) as raised:
        await opened(RecordedTransport([failure]))
    assert raised.value is failure


async def test_an_answer_can_break_off_and_what_came_before_is_delivered() -> None:
    whole = chat(text="half of it", chunk_chars=4)
    broken = Failure("network", "cut", retryable=True)
    exchange = await opened(RecordedTransport([(b"".join(whole.chunks[:2]), broken)]))
    assert said(await exchange.read()) == "half"
    with pytest.raises(Failure, match="cut"):
        await exchange.read()
    assert exchange.finish().failure is not None


async def test_nothing_is_read_after_closing() -> None:
    exchange = await opened(RecordedTransport([GREETING]))
    await exchange.aclose()
    await exchange.aclose()
    assert await exchange.read() == []


def test_recorded_streams_say_what_they_said() -> None:
    checked = 0
    for name in sorted(CORPUS.glob("openai-chat/*/*.sse")):
        told = name.with_suffix(".expected.json")
        expected = msgspec.json.decode(told.read_bytes()) if told.exists() else {"error": "?"}
        if not expected.get("error"):
            transport = RecordedTransport([name.read_bytes()], chunk_sizes=[4096])
            assert said(asyncio.run(whole(transport))) == (expected.get("text") or ""), name
            checked += 1
    if not checked and not os.environ.get("CI"):
        pytest.skip(f"no corpus at {CORPUS}: set TINYAGENT_CORPUS")
    assert checked > 50
