"""The transport in Python, over httpx: works wherever Python does, needs no native HTTP.

The only file that imports httpx, on first use; its exceptions never leave it. Limits of time are
ours (``asyncio.timeout``), because httpx knows one limit for reading, before and after the first
byte. One client per transport and event loop: connections belong to the loop they were made on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from tinyagent.actors.transports import Failure, HttpRequest, exchange, failures, names
from tinyagent.actors.transports.per_loop import PerLoop

if TYPE_CHECKING:
    import ssl

    import httpcore
    import httpx

DRAIN_S = 0.05
"""How long a complete answer waits for its last, empty chunk, so that the connection can be used
again. Some gateways never send it (spec/wire.md section 7)."""

IDLE_CONNECTIONS_MAX = 256
"""Of many runs at once, all may be between two requests: each is to find a connection again."""
IDLE_CONNECTION_S = 30.0

OTHER_ADDRESS_S = 2.0
"""So long an address of a host may take to connect while there is another one to try."""

_CODINGS = "identity,gzip,deflate,"
_NO_HOST = frozenset(' "#%/<>?@\\^`{|}')
"""Characters that no host has (WHATWG URL, section 3.1), and that httpx lets pass."""


class PortableTransport:
    """Sends requests with httpx.

    *clock* returns seconds that never go back; it times the pieces, nothing else. A *client* that
    is given is used on every loop as it is, and never closed here.
    """

    def __init__(self, clock: Callable[[], float], client: httpx.AsyncClient | None = None) -> None:
        self._clock = clock
        self._clients = Clients(client)

    def open(self, request: HttpRequest) -> exchange.ByteExchange:
        """Return an exchange that has not started yet."""
        stream = Stream("POST", request, self._clients)
        return exchange.ByteExchange(request, stream, self._clock, has_window=True)

    async def aclose(self) -> None:
        """Close the connections of this event loop; those of others close when their loop ends."""
        await self._clients.aclose()


class Stream:
    """One HTTP request and the bytes of its answer, whatever its status.

    Attributes:
        status: 0 before the headers are there.
        headers: names in lower case; repeated ones joined with a comma.
    """

    def __init__(self, method: str, request: HttpRequest, clients: Clients) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._method = method
        self._request = request
        self._clients = clients
        self._response: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._limit: asyncio.Timeout | None = None
        self._is_sent = False
        self._is_reading = False
        self._is_closed = False

    async def start(self) -> None:
        """Send the request; return when the headers of the answer are there.

        Raises:
            Failure: no answer came, or ``aclose`` was called meanwhile (kind ``cancelled``).
        """
        try:
            client = await self._clients.get()
        except Exception as error:  # a proxy that httpx does not know, a file that is not there
            raise failures.no_client(error) from None
        request = self._build(client)
        try:
            async with asyncio.timeout(self._patience_s()) as self._limit:
                self._response = await client.send(request, stream=True, follow_redirects=False)
        except Exception as error:  # httpx lets errors of ssl, anyio and h11 through
            raise self._unanswered(error) from None
        finally:
            self._limit = None
        self.status = self._response.status_code
        self.headers = dict(self._response.headers)
        names = self.headers.get("content-encoding", "").lower()
        if "x-gzip" in names:  # RFC 9110, section 8.4.1.3: the same; httpx knows one name
            names = self._response.headers["content-encoding"] = names.replace("x-gzip", "gzip")
        self._chunks = self._response.aiter_bytes()
        if self._is_closed:
            await self._shut()
            raise failures.cancelled()
        undone = f"{client.headers.get('accept-encoding', '')},{_CODINGS}"  # the rest is passed on
        if self._response.is_success and not _listed(names) <= _listed(undone):
            await self._shut()
            raise failures.encoded(self.status, names)

    async def read(self) -> bytes:
        """Return the next bytes of the answer; none at its end, or after ``aclose``.

        Raises:
            Failure: the connection broke or was silent for ``read_timeout_s``.
        """
        if self._is_closed or self._chunks is None:
            return b""
        self._is_reading = True
        try:
            async with asyncio.timeout(self._request.read_timeout_s):
                return await anext(self._chunks, b"")
        except TimeoutError:
            raise failures.fell_silent(self.status, self._request.read_timeout_s) from None
        except Exception as error:  # as above
            if self._is_closed:
                return b""
            raise failures.broke_off(self.status, error) from None
        finally:
            self._is_reading = False

    async def drain(self) -> None:
        """Let a complete answer end, so that its connection can be used again, or close it."""
        with contextlib.suppress(Failure, TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while await self.read():
                    pass
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connection at once if the answer is not complete.

        Safe to call twice, and from another task than the one that waits in ``start`` or ``read``.
        """
        self._is_closed = True
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(0.0)  # wakes start(), which then finds it closed
        await self._shut()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if data := await self.read():
            return data
        raise StopAsyncIteration

    def _build(self, client: httpx.AsyncClient) -> httpx.Request:
        import httpx

        wire = self._request
        headers = exchange.headers_of(wire)
        try:
            request = client.build_request(
                self._method,
                wire.url,
                headers=headers,
                content=wire.body,
                timeout=httpx.Timeout(None, connect=wire.connect_timeout_s),
                extensions={"trace": self._trace},
            )
        except Exception:  # httpx.InvalidURL, and what the idna package raises
            raise failures.bad_url() from None
        host = request.url.host
        is_known = request.url.scheme in ("http", "https") and (request.url.port or 0) < 65_536
        if not is_known or not host or _NO_HOST & set(host):
            raise failures.bad_url()
        return request

    def _patience_s(self) -> float:
        """Return the limit until ``_trace`` says that the connection is there.

        A transport that the host put below its own client may never say so.
        """
        wire = self._request
        waits_s = wire.first_byte_timeout_s if self._clients.given is not None else 0.0
        return wire.connect_timeout_s + waits_s

    async def _trace(self, name: str, _info: dict[str, Any]) -> None:
        """Start the clock of the first byte when the connection is there."""
        if not name.endswith(".send_request_headers.started") or self._limit is None:
            return
        self._is_sent = True
        if not self._is_closed and not self._limit.expired():
            now_s = asyncio.get_running_loop().time()
            self._limit.reschedule(now_s + self._request.first_byte_timeout_s)

    def _unanswered(self, error: Exception) -> Failure:
        import httpx

        if self._is_closed:
            return failures.cancelled()
        wire = self._request
        if isinstance(error, TimeoutError | httpx.TimeoutException):
            if self._is_sent:
                return failures.not_answered(wire.url, wire.first_byte_timeout_s)
            return failures.not_connected(wire.url, wire.connect_timeout_s)
        if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
            return failures.bad_url()
        return failures.not_sent(wire.url, error)

    async def _shut(self) -> None:
        """Close the response, and unwind the generators of httpx that read it.

        A generator left half way is finished by the event loop in a task of its own, some time.
        Reading on from the closed connection takes what is buffered, then raises: it ends here.
        """
        if self._response is None:
            return
        with contextlib.suppress(Exception):  # closing what broke raises what broke it
            await self._response.aclose()
        chunks = self._chunks
        if chunks is not None and not self._is_reading:
            self._chunks = None
            with contextlib.suppress(Exception):  # the connection is closed: it is sure to raise
                async for _ in chunks:
                    pass


def _listed(field: str) -> set[str]:
    return {name.strip().lower() for name in field.split(",")}


class Clients:
    """The httpx client of each event loop; or the one client that was given."""

    def __init__(self, client: httpx.AsyncClient | None = None) -> None:
        self.given = client
        self._made = PerLoop(_new_client)

    async def get(self) -> httpx.AsyncClient:
        """Return the client of the running loop. Never waits."""
        return self.given if self.given is not None else await self._made.get()

    async def aclose(self) -> None:
        """Close the client of the running loop, if it is ours."""
        await self._made.aclose()


async def open_stream(
    method: str,
    url: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    *,
    connect_timeout_s: float = 10.0,
    first_byte_timeout_s: float = 600.0,
    read_timeout_s: float = 300.0,
) -> Stream:
    """Send a request; return its answer, whatever the status, when the headers are there.

    Iterate over it for its bytes, then ``aclose`` it. For protocols without a decoder.

    Raises:
        Failure: no answer came. While iterating: the connection broke, or was silent too long.
    """
    request = HttpRequest(
        api="",
        url=url,
        headers=tuple(headers),
        body=body,
        connect_timeout_s=connect_timeout_s,
        first_byte_timeout_s=first_byte_timeout_s,
        read_timeout_s=read_timeout_s,
    )
    stream = Stream(method, request, _SHARED)
    await stream.start()
    return stream


def _new_client() -> httpx.AsyncClient:
    """Return a client without cookies, redirects, a limit of connections or time limits."""
    from http.cookiejar import CookieJar, DefaultCookiePolicy
    from urllib.request import getproxies

    import httpcore
    import httpx

    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
    limits = httpx.Limits(
        max_connections=None,
        max_keepalive_connections=IDLE_CONNECTIONS_MAX,
        keepalive_expiry=IDLE_CONNECTION_S,
    )
    verify = httpx.create_ssl_context()
    proxies = getproxies()
    without = proxies.pop("no", "")

    class Direct(httpx.AsyncHTTPTransport):
        """httpx's own, over a pool that looks up names as we do."""

        def __init__(self) -> None:
            super().__init__(verify=verify, limits=limits)
            self._pool = httpcore.AsyncConnectionPool(
                ssl_context=verify,
                max_connections=limits.max_connections,
                max_keepalive_connections=limits.max_keepalive_connections,
                keepalive_expiry=limits.keepalive_expiry,
                network_backend=_network(),
            )

    class Routed(httpx.AsyncBaseTransport):
        """Through the proxy that the environment has for a URL, which looks up its name, or not.

        httpx would not know a network in ``NO_PROXY``, and fail at one of IPv6.
        """

        def __init__(self) -> None:
            self._direct = Direct()
            self._proxied = {
                scheme: httpx.AsyncHTTPTransport(
                    verify=verify, limits=limits, proxy=url if "://" in url else f"http://{url}"
                )
                for scheme, url in proxies.items()
                if url and scheme in ("http", "https", "all")
            }

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            url, through = request.url, None
            if self._proxied and not names.is_direct(str(url), without):
                through = self._proxied.get(url.scheme, self._proxied.get("all"))
            return await (through or self._direct).handle_async_request(request)

        async def aclose(self) -> None:
            for each in (self._direct, *self._proxied.values()):
                await each.aclose()

    return httpx.AsyncClient(transport=Routed(), cookies=no_cookies, timeout=None)


def _network() -> httpcore.AsyncNetworkBackend:
    """Return httpcore's network for asyncio, with two things put right.

    Names are looked up by ``names.addresses``; cancelling a TLS handshake closes its connection.
    """
    import httpcore

    # Type checkers take the class for its stand-in for when anyio is not installed.
    below = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    class Plain(httpcore.AsyncNetworkStream):
        """A connection that is closed when its task is cancelled in a TLS handshake, too."""

        def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
            self.read = stream.read  # type: ignore[method-assign] # handed through as it is
            self.write = stream.write  # type: ignore[method-assign] # the same
            self.aclose = stream.aclose  # type: ignore[method-assign] # the same
            self.get_extra_info = stream.get_extra_info  # type: ignore[method-assign] # the same
            self._stream = stream

        async def start_tls(
            self,
            ssl_context: ssl.SSLContext,
            server_hostname: str | None = None,
            timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        ) -> httpcore.AsyncNetworkStream:
            try:
                return await self._stream.start_tls(ssl_context, server_hostname, timeout)
            except BaseException:
                await self._stream.aclose()
                raise

    class Network(httpcore.AsyncNetworkBackend):
        """Only what a pool without retries and Unix sockets calls."""

        async def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
            local_address: str | None = None,
            socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
        ) -> httpcore.AsyncNetworkStream:
            rest = (local_address, socket_options)
            *others, last = await names.addresses(host, port)
            for other in others:
                try:
                    return Plain(await below.connect_tcp(other, port, OTHER_ADDRESS_S, *rest))
                except (httpcore.ConnectError, httpcore.ConnectTimeout):
                    continue
            return Plain(await below.connect_tcp(last, port, timeout, *rest))

    return Network()


_SHARED = Clients()
"""The clients behind ``open_stream``: callers of a function have no place to keep one."""
