"""The loopback provider, from a client that takes nothing for granted: a bare socket."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import urllib.error
import urllib.request
from typing import Any

import pytest

from tinyagent.testing import (
    ProviderServer,
    Reply,
    chat,
    close_after,
    completion,
    kept_open,
    paced,
    provider,
    rechunked,
    reset,
    sse,
    stall,
    status,
)


def ask(body: bytes = b"{}", fields: str = "") -> bytes:
    head = f"POST /v1 HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n{fields}\r\n"
    return head.encode() + body


async def talk(server: ProviderServer, *parts: bytes) -> bytes:
    """Send *parts* on one connection; return all that comes until the server closes it."""
    port = int(server.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


def events(reply: Reply) -> list[Any]:
    lines = [line for line in reply.body.decode().split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


async def test_requests_come_in_however_they_are_cut_and_are_kept() -> None:
    raw = ask(b'{"a": [1]}', "X-Mine: 1\r\nconnection: close\r\n")
    async with ProviderServer(status(200, "ok")) as server:
        answer = await talk(server, *(raw[at : at + 7] for at in range(0, len(raw), 7)))
        received = server.requests[0]
    assert answer == b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"
    assert (received.method, received.path, received.json) == ("POST", "/v1", {"a": [1]})
    assert received.headers["x-mine"] == "1"
    assert (received.is_answered, received.gone_s, received.sent_bytes) == (True, None, 2)


class Plain:
    """A transport that is a subclass of nothing, as uvloop's are."""

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


async def test_any_transport_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    connection: Any = vars(provider)["_Connection"]
    made = connection.connection_made

    def wrapped(self: Any, transport: asyncio.BaseTransport) -> None:
        plain: Any = Plain(transport)
        made(self, plain)

    monkeypatch.setattr(connection, "connection_made", wrapped)
    async with ProviderServer(status(200, "ok")) as server:
        assert (await talk(server, ask(fields="connection: close\r\n"))).endswith(b"ok")


async def test_a_chunked_request_is_put_together() -> None:
    head = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    async with ProviderServer(status(200)) as server:
        await talk(server, head, b"3\r\nabc\r\n", b"2;x=y\r\nde\r\n0\r\n\r\n")
        assert server.requests[0].body == b"abcde"
        assert server.requests[0].json is None


async def test_a_connection_takes_several_requests() -> None:
    async with ProviderServer([b"{}", b"data: x\n\n"]) as server:
        answer = await talk(server, ask(), ask(fields="connection: close\r\n"))
        assert (len(server.requests), server.connections) == (2, 1)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert b"content-type: application/json" in answer
    assert b"content-type: text/event-stream" in answer


async def test_each_chunk_of_a_stream_is_an_http_chunk() -> None:
    reply = rechunked(b"abcdefgh", [3, 1, 2])
    async with ProviderServer([reply]) as server:
        answer = await talk(server, ask(fields="connection: close\r\n"))
    assert reply.chunks == (b"abc", b"d", b"ef", b"gh")
    assert answer.endswith(b"\r\n\r\n3\r\nabc\r\n1\r\nd\r\n2\r\nef\r\n2\r\ngh\r\n0\r\n\r\n")


async def test_the_script_can_look_at_the_request() -> None:
    def echo(request: Any) -> bytes:
        return json.dumps({"heard": request["n"]}).encode()

    async with ProviderServer(echo) as server:
        closing = ask(b'{"n": 2}', "connection: close\r\n")
        answer = await talk(server, ask(b'{"n": 1}'), closing)
        broken = await talk(server, ask(b"[]", "connection: close\r\n"))
    assert b'{"heard": 1}' in answer
    assert b'{"heard": 2}' in answer
    assert b"400 Bad Request" in broken
    assert b"the script failed: TypeError" in broken


async def test_a_script_that_is_at_its_end_says_so() -> None:
    async with ProviderServer([b"{}"]) as server:
        answer = await talk(server, ask(), ask(fields="connection: close\r\n"))
    assert answer.endswith(b"the script has no answer to request 2")


async def test_an_answer_can_end_too_early() -> None:
    async with ProviderServer([close_after(4, b"data: x\n\n"), close_after(0)]) as server:
        assert (await talk(server, ask())).endswith(b"\r\n\r\n4\r\ndata\r\n")
        assert await talk(server, ask()) == b""


async def test_a_connection_can_be_reset() -> None:
    async with ProviderServer([reset(), reset(b"data: x\n\n", 4)]) as server:
        for _ in range(2):
            with pytest.raises(ConnectionResetError):
                await talk(server, ask(fields="connection: close\r\n"))


@pytest.mark.parametrize("item", [stall(), stall(chat(text="x"), 5), kept_open(chat(text="x"))])
async def test_an_answer_can_stay_open_until_the_client_goes(item: Reply) -> None:
    arrived = asyncio.Event()

    def answer(_request: object) -> Reply:
        arrived.set()
        return item

    async with ProviderServer([answer]) as server:
        port = int(server.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ask())
        await arrived.wait()
        if item.chunks:
            await reader.readuntil(item.chunks[-1])
        writer.close()
        await writer.wait_closed()
        received = server.requests[0]
        gone_s = await received.wait_gone()
    assert gone_s == received.gone_s
    assert received.sent_bytes == len(item.body)
    assert not received.is_answered


async def test_a_client_that_stays_is_not_gone() -> None:
    async with ProviderServer([status(200)]) as server:
        await talk(server, ask(fields="connection: close\r\n"))
        with pytest.raises(TimeoutError):
            await server.requests[0].wait_gone(0.01)


async def test_a_schedule_says_when_each_chunk_leaves() -> None:
    slow = paced(rechunked(b"abc", [1]), [0.0, 0.05, 0.0], first_delay_s=0.05)
    assert [slow.delay_before(number) for number in range(4)] == [0.0, 0.05, 0.0, 0.0]
    async with ProviderServer([slow]) as server:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        await talk(server, ask(fields="connection: close\r\n"))
        assert loop.time() - started_s >= 0.1


async def test_closing_the_server_closes_what_it_has_open() -> None:
    async with ProviderServer([stall(b"abc", 1)]) as server:
        port = int(server.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ask())
        await reader.readuntil(b"1\r\na\r\n")
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


def test_chat_is_written_as_openai_writes_it() -> None:
    reply = chat(text="Hallo", thinking="Hm", calls=[("add", {"a": 1})], chunk_chars=4)
    deltas = [event["choices"][0]["delta"] for event in events(reply)[:-1]]
    opening = {"name": "add", "arguments": ""}
    assert deltas == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "Hm"},
        {"content": "Hall"},
        {"content": "o"},
        {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": opening}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
        {},
    ]
    *_, finish, usage = events(reply)
    assert finish["choices"][0]["finish_reason"] == "tool_calls"
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 16)


def test_chat_takes_ids_raw_arguments_reasons_and_usage() -> None:
    reply = chat(calls=[("id-9", "add", "{bad")], finish="length", usage={})
    opening, fragment, finish = events(reply)[1:]
    assert opening["choices"][0]["delta"]["tool_calls"][0]["id"] == "id-9"
    assert fragment["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"] == "{bad"
    assert finish["choices"][0]["finish_reason"] == "length"
    assert events(chat(text="x", usage={"total_tokens": 7}))[-1]["usage"] == {"total_tokens": 7}


def test_a_whole_answer_and_a_named_event_can_be_written() -> None:
    whole = json.loads(completion(text="hi", calls=[("f", {})]).body)
    assert whole["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == "{}"
    assert sse({"a": "ü"}, event="ping") == 'event: ping\ndata: {"a":"ü"}\n\n'.encode()


def test_a_server_in_a_thread_serves_a_program_that_blocks() -> None:
    with ProviderServer.threaded([b'{"x":1}', status(401, {"error": "no"}), stall()]) as server:
        with urllib.request.urlopen(server.url, data=b"{}") as answer:
            assert answer.read() == b'{"x":1}'
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(server.url, data=b"{}")
        with raised.value:
            assert (raised.value.code, raised.value.read()) == (401, b'{"error":"no"}')
        with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as silent:
            silent.sendall(ask())
            silent.settimeout(0.05)
            with pytest.raises(TimeoutError):
                silent.recv(1)
        assert server.requests[2].gone_within(5.0) > 0


@pytest.mark.parametrize("item", ["hello", {"text": "hello"}, None, 200])
def test_what_is_no_answer_is_refused_when_the_script_is_written(item: Any) -> None:
    told = re.escape(f"an answer is bytes or a Reply, as of chat(text=...), got {item!r}")
    with pytest.raises(TypeError, match=told):
        ProviderServer([item])
    with pytest.raises(TypeError, match=told):
        ProviderServer().add(item)


async def test_what_a_function_returns_is_looked_at_when_it_is_asked() -> None:
    def made(_request: object) -> Any:
        return "hello"

    async with ProviderServer([made]) as server:
        told = await talk(server, ask(fields="connection: close\r\n"))
    assert b"the script failed: TypeError: an answer is bytes" in told


def test_a_server_that_has_not_begun_has_no_address() -> None:
    with pytest.raises(RuntimeError, match="async with ProviderServer"):
        _ = ProviderServer([chat(text="hi")]).chat_url
