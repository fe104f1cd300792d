"""The native transport over TLS: whom it trusts, HTTP/2, tunnels through a proxy."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import (
    AbstractAsyncContextManager,
    ExitStack,
    aclosing,
    asynccontextmanager,
    suppress,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest

from tinyagent.actors.transports.native import NativeTransport
from tinyagent.testing import ProviderServer, chat
from tinyagent.testing._exchanges import answered, asked, refused, said

GREETING = chat(text="Hello there, this takes a few chunks")
TEXT = "Hello there, this takes a few chunks"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``ca.pem``, and ``cert.pem`` and ``key.pem`` of 127.0.0.1, signed by it."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make certificates with")
    folder = tmp_path_factory.mktemp("certificates")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", *curve, "-days", "2", "-subj", "/CN=Test CA",
            "-keyout", "ca.key", "-out", "ca.pem")  # fmt: skip
    openssl("req", *curve, "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "cert.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "cert.pem")  # fmt: skip
    openssl("req", "-x509", *curve, "-days", "2", "-subj", "/CN=own",
            "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", "own.key", "-out", "own.pem")  # fmt: skip
    return folder


@pytest.fixture
async def transport(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[NativeTransport]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    async with aclosing(NativeTransport()) as opened:
        yield opened


def context_of(certificates: Path, *protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end, then close: what one side does, the other sees."""
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close at once, and wait until the socket is."""
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


@asynccontextmanager
async def serving(serve: Serve, context: ssl.SSLContext | None) -> AsyncGenerator[int]:
    """Serve on a free port; yield it. Afterwards close what clients keep open.

    Not ``asyncio.start_server``, which loses sight of connections that it is just accepting.
    """
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def answer(connection: socket.socket) -> None:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        with suppress(OSError, asyncio.CancelledError):
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=context
            )
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            try:
                await serve(reader, writer)
            finally:
                await closed(writer)

    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))

        def accept() -> None:
            connection = sockets.enter_context(listener.accept()[0])
            connection.setblocking(False)
            tasks.add(asyncio.create_task(answer(connection)))

        loop.add_reader(listener, accept)
        try:
            yield listener.getsockname()[1]
        finally:
            loop.remove_reader(listener)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class Relay:
    """Passes connections on to a port; a proxy if it has to be asked to (CONNECT)."""

    port: int
    context: ssl.SSLContext | None = None
    is_proxy: bool = False
    heads: list[bytes] = field(default_factory=list[bytes])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = self.port
        if self.is_proxy:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            port = int(head.split(b" ")[1].rpartition(b":")[2])
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(copy(reader, to_writer), copy(to_reader, writer))
        finally:
            await closed(to_writer)

    def open(self) -> AbstractAsyncContextManager[int]:
        return serving(self.serve, self.context)


@asynccontextmanager
async def private(server: ProviderServer, context: ssl.SSLContext) -> AsyncGenerator[str]:
    """Serve *server* over TLS, too; yield the URL."""
    port = int(server.url.rpartition(":")[2])
    async with Relay(port, context).open() as tls_port:
        yield f"https://127.0.0.1:{tls_port}/v1/chat/completions"


async def test_a_certificate_of_a_trusted_file_is_trusted(
    transport: NativeTransport, certificates: Path
) -> None:
    async with (
        ProviderServer(GREETING) as server,
        private(server, context_of(certificates)) as url,
    ):
        assert said(await answered(transport, asked(url))) == TEXT
        named = url.replace("127.0.0.1", "localhost")
        assert said(await answered(transport, asked(named))) == TEXT


async def test_a_certificate_of_nobody_known_is_refused(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    async with ProviderServer(GREETING) as server:
        async with private(server, context_of(certificates)) as url:
            failure = await refused(NativeTransport(), asked(url))
        assert server.requests == []
    assert failure.message == f"HTTP request failed: error sending request for url ({url})"
    assert "certificate" in failure.__notes__[0]


async def test_a_server_that_is_its_own_authority_is_trusted_if_it_is_listed(
    certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "own.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "own.pem", certificates / "own.key")
    transport = NativeTransport()
    async with ProviderServer(GREETING) as server, private(server, context) as url:
        assert said(await answered(transport, asked(url))) == TEXT
        failure = await refused(transport, asked(url.replace("127.0.0.1", "localhost")))
    assert "not valid for name" in failure.__notes__[0]


async def test_a_file_without_certificates_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    async with ProviderServer() as server:
        url = server.url.replace("http:", "https:")
        failure = await refused(NativeTransport(), asked(url))
    assert "SSL_CERT_FILE" in failure.__notes__[0]


async def test_https_goes_through_a_tunnel_if_there_is_a_proxy(
    transport: NativeTransport, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Relay(0, is_proxy=True)
    async with ProviderServer(GREETING) as server, proxy.open() as port:
        monkeypatch.setenv("https_proxy", f"http://me:secret@127.0.0.1:{port}")
        monkeypatch.delenv("no_proxy", raising=False)
        async with private(server, context_of(certificates)) as url:
            assert said(await answered(transport, asked(url))) == TEXT
    host = url.split("/")[2]
    assert proxy.heads[0].startswith(f"CONNECT {host} HTTP/1.1".encode())
    assert b"Basic bWU6c2VjcmV0" in proxy.heads[0]


async def test_no_proxy_is_obeyed(
    transport: NativeTransport, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "example.com,127.0.0.0/8")
    async with (
        ProviderServer(GREETING) as server,
        private(server, context_of(certificates)) as url,
    ):
        assert said(await answered(transport, asked(url))) == TEXT


@dataclass
class Http2:
    """Answers every request with the chunks of GREETING; the last one only if it may end."""

    may_end: bool = True
    connections: int = 0
    bodies: list[bytes] = field(default_factory=list[bytes])
    resets: list[int] = field(default_factory=list[int])
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        config = h2.config.H2Configuration(client_side=False)
        connection = h2.connection.H2Connection(config)
        connection.initiate_connection()
        bodies: dict[int, bytes] = {}
        writer.write(connection.data_to_send())
        while data := await reader.read(65_536):
            for event in connection.receive_data(data):
                match event:
                    case h2.events.DataReceived(stream_id=number, data=body):
                        bodies[number] = bodies.get(number, b"") + (body or b"")
                    case h2.events.StreamEnded(stream_id=number):
                        self.bodies.append(bodies.pop(number, b""))
                        self.answer(connection, number)
                    case h2.events.StreamReset(stream_id=number):
                        self.resets.append(number)
                        self.gone.set()
                    case _:
                        pass
            writer.write(connection.data_to_send())

    def answer(self, connection: h2.connection.H2Connection, number: int) -> None:
        fields = [(":status", "200"), ("content-type", "text/event-stream")]
        connection.send_headers(number, fields)
        chunks = GREETING.chunks if self.may_end else GREETING.chunks[:3]
        for chunk in chunks:
            connection.send_data(number, chunk)
        if self.may_end:
            connection.end_stream(number)

    @asynccontextmanager
    async def open(self, certificates: Path) -> AsyncGenerator[str]:
        async with serving(self.serve, context_of(certificates, "h2", "http/1.1")) as port:
            yield f"https://127.0.0.1:{port}/v1"


async def test_http_2_carries_many_streams_on_one_connection(
    transport: NativeTransport, certificates: Path
) -> None:
    server = Http2()
    async with server.open(certificates) as url:
        assert said(await answered(transport, asked(url))) == TEXT
        many = (answered(transport, asked(url)) for _ in range(20))
        assert [said(pieces) for pieces in await asyncio.gather(*many)] == [TEXT] * 20
    assert server.connections == 1
    assert server.bodies == [asked(url).body] * 21


async def test_cancelling_resets_the_stream_and_keeps_the_connection(
    transport: NativeTransport, certificates: Path
) -> None:
    server = Http2(may_end=False)
    async with server.open(certificates) as url:
        async with aclosing(transport.open(asked(url))) as exchange:
            await exchange.start()
            assert await exchange.read()
            await exchange.aclose()
        async with asyncio.timeout(1.0):
            await server.gone.wait()
        server.may_end = True
        assert said(await answered(transport, asked(url))) == TEXT
    assert (server.connections, len(server.resets)) == (1, 1)
