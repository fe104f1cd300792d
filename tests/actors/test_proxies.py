"""Proxies that the environment names, beyond those of HTTP: SOCKS, and what is none."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest
from tests.actors.test_native_tls import closed, copy, serving

from tinyagent.actors.transports.names import is_direct, is_listed
from tinyagent.actors.transports.native import NativeTransport
from tinyagent.actors.transports.portable import PortableTransport
from tinyagent.testing import ProviderServer
from tinyagent.testing._exchanges import GREETING, answered, asked, refused, said

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@dataclass
class Socks:
    """A SOCKS5 proxy (RFC 1928, 1929) that leads to *port*, wherever it is asked to."""

    port: int
    credentials: tuple[str, str] | None = None
    asked_for: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        wanted = 0 if self.credentials is None else 2
        writer.write(bytes([5, wanted if wanted in methods else 0xFF]))
        assert version == 5
        if self.credentials is not None:
            assert await reader.readexactly(1) == b"\x01"
            given = [await self._text(reader), await self._text(reader)]
            is_known = given == list(self.credentials)
            writer.write(b"\x01\x00" if is_known else b"\x01\x01")
            if not is_known:
                await reader.read()  # until the client is gone
                return
        assert await reader.readexactly(3) == b"\x05\x01\x00"
        match (await reader.readexactly(1))[0]:
            case 1:
                host = ".".join(map(str, await reader.readexactly(4)))
            case 3:
                host = await self._text(reader)
            case other:
                raise AssertionError(f"an address of kind {other}")
        port = int.from_bytes(await reader.readexactly(2), "big")
        self.asked_for.append((host, port))
        writer.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            await asyncio.gather(copy(reader, to_writer), copy(to_reader, writer))
        finally:
            await closed(to_writer)

    async def _text(self, reader: asyncio.StreamReader) -> str:
        (length,) = await reader.readexactly(1)
        return (await reader.readexactly(length)).decode()


@pytest.mark.parametrize(
    ("host", "listed", "is_direct"),
    [
        ("api.example.com", "example.com", True),
        ("example.com", ".example.com", True),
        ("API.Example.com", " other.com ,EXAMPLE.com", True),
        ("notexample.com", "example.com", False),
        ("example.com", "api.example.com", False),
        ("example.com", "", False),
        ("example.com", ",.,", False),
        ("example.com", "*", True),
        ("10.20.30.40", "10.0.0.0/8", True),
        ("10.20.30.40", "10.20.30.41/24", True),
        ("10.20.30.40", "10.20.30.41, 11.0.0.0/8", False),
        ("fd00::7", "10.0.0.0/8, FD00::/8", True),
        ("::1", "::1", True),
        ("::1", "127.0.0.1", False),
        ("10.20.30.40", "30.40", False),
        ("ten.0.0.0", "0.0.0.0/0", False),
    ],
)
def test_what_goes_through_no_proxy_is_listed_by_name_domain_address_or_network(
    host: str, listed: str, is_direct: bool
) -> None:
    assert is_listed(host, listed) is is_direct


PORTS = [
    ("http://api.example.com:8080/v1", "example.com:8080", True),
    ("http://api.example.com:8081/v1", "other.com, example.com:8080", False),
    ("http://example.com/v1", "example.com:80", True),
    ("https://example.com/v1", ".example.com:443", True),
    ("https://example.com/v1", "example.com:80", False),
    ("http://10.0.0.1:8080/v1", "10.0.0.1:8080", True),
    ("http://10.0.0.1:8080/v1", "10.0.0.1:9, 10.0.0.1:8080", True),
    ("http://[::1]:8080/v1", "[::1]:8080", True),
    ("http://[::1]:8080/v1", "::1:8080", False),
    ("http://[::1]:8080/v1", "::1", True),
    ("http://example.com:8080/v1", "*:8080", True),
]


@pytest.mark.parametrize(("url", "listed", "direct"), PORTS)
def test_an_entry_with_a_port_is_of_that_port_only(url: str, listed: str, direct: bool) -> None:
    assert is_direct(url, listed) is direct


@pytest.mark.parametrize("own", [True, False])
async def test_so_it_is_for_both_transports(environment: pytest.MonkeyPatch, own: bool) -> None:
    async with ProviderServer(GREETING) as server, ProviderServer(GREETING) as proxy:
        port = int(server.url.rpartition(":")[2])
        environment.setenv("http_proxy", proxy.url)
        environment.setenv("no_proxy", f"10.0.0.1, 127.0.0.1:{port if own else port - 1}")
        for transport in (NativeTransport(), PortableTransport(time.monotonic)):
            async with aclosing(transport):
                assert said(await answered(transport, asked(server.chat_url))).startswith("Grüße")
        assert (len(server.requests), len(proxy.requests)) == ((2, 0) if own else (0, 2))


@pytest.mark.parametrize("listed", ["10.0.0.0/8, fd00::/8", "[::1]", "localhost:81"])
async def test_a_list_that_does_not_hold_the_host_leaves_the_proxy_in_use(
    environment: pytest.MonkeyPatch, listed: str
) -> None:
    environment.setenv("no_proxy", listed)
    async with ProviderServer(GREETING) as proxy:
        environment.setenv("http_proxy", proxy.url)
        for transport in (NativeTransport(), PortableTransport(time.monotonic)):
            async with aclosing(transport):
                pieces = await answered(transport, asked("http://provider.invalid/v1"))
            assert said(pieces).startswith("Grüße")
        assert len(proxy.requests) == 2


@pytest.mark.parametrize("credentials", [None, ("me", "secret")])
async def test_socks_looks_up_names_if_its_url_says_so(
    environment: pytest.MonkeyPatch, credentials: tuple[str, str] | None
) -> None:
    user = "me:secret@" if credentials else ""
    async with ProviderServer([GREETING]) as server:
        proxy = Socks(int(server.url.rpartition(":")[2]), credentials)
        async with serving(proxy.serve, None) as port:
            environment.setenv("all_proxy", f"socks5h://{user}127.0.0.1:{port}")
            pieces = await answered(NativeTransport(), asked("http://provider.invalid:81/v1"))
    assert said(pieces).startswith("Grüße")
    assert proxy.asked_for == [("provider.invalid", 81)]


async def test_socks_is_given_an_address_otherwise(environment: pytest.MonkeyPatch) -> None:
    async with ProviderServer([GREETING]) as server:
        proxy = Socks(int(server.url.rpartition(":")[2]))
        async with serving(proxy.serve, None) as port:
            environment.setenv("all_proxy", f"socks5://127.0.0.1:{port}")
            pieces = await answered(NativeTransport(), asked("http://127.0.0.1:81/v1"))
    assert said(pieces).startswith("Grüße")
    assert proxy.asked_for == [("127.0.0.1", 81)]


async def test_a_proxy_that_refuses_is_a_failure_without_its_password(
    environment: pytest.MonkeyPatch,
) -> None:
    async with serving(Socks(0, ("me", "another")).serve, None) as port:
        environment.setenv("all_proxy", f"socks5h://me:secret@127.0.0.1:{port}")
        failure = await refused(NativeTransport(), asked("http://provider.invalid/v1"))
    assert failure.kind == "network"
    assert "secret" not in f"{failure.message} {failure.__notes__}"


@pytest.mark.parametrize("proxy", ["socks5://me:secret@127.0.0.1:9", "gopher://127.0.0.1:9"])
async def test_what_httpx_cannot_go_through_is_a_failure_and_no_error_of_its_own(
    environment: pytest.MonkeyPatch, proxy: str
) -> None:
    environment.setenv("all_proxy", proxy)
    async with aclosing(PortableTransport(time.monotonic)) as transport:
        failure = await refused(transport, asked("http://provider.invalid/v1"))
    assert failure.kind == "invalid"
    assert failure.message == (
        "HTTP request failed: no client for this environment (proxies, SSL_CERT_FILE, SSL_CERT_DIR)"
    )
    assert "secret" not in f"{failure.message} {failure.__notes__}"


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    "proxy", ["gopher://me:secret@127.0.0.1:9", "socks4://127.0.0.1:9", "http://", "http://a b:9"]
)
async def test_a_proxy_that_leads_nowhere_is_named_and_not_gone_around(
    environment: pytest.MonkeyPatch, name: str, proxy: str
) -> None:
    environment.setenv(name, proxy)
    async with ProviderServer([GREETING]) as server:
        failure = await refused(NativeTransport(), asked(server.chat_url))
        assert server.connections == 0
    assert (failure.kind, failure.retryable) == ("invalid", False)
    assert "no client for this environment" in failure.message
    assert failure.__notes__ == [
        f"ValueError: {name.lower()} is no proxy's URL (http, https, socks5, socks5h)"
    ]


async def test_a_missing_file_of_certificates_is_a_failure_too(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("SSL_CERT_FILE", "/nowhere/certificates.pem")
    async with aclosing(PortableTransport(time.monotonic)) as transport:
        failure = await refused(transport, asked("https://127.0.0.1:9/v1"))
    assert failure.kind == "invalid"
    assert failure.retryable is False
