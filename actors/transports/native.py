"""The native transport: one runtime and one set of connections per process, decoding included.

Everything between the request and its pieces happens in ``rust/http``, off the event loop and
without the interpreter. An event loop is woken for the first pieces of an answer at once; then on
a beat of 10 ms, once for all answers of which something came. What they say is given to who hears
it there and then, without a task in between. Works from any number of event loops and threads, and
in a child process.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from contextvars import copy_context
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from tinyagent.actors.transports import (
    Answer,
    Failure,
    Hear,
    HttpRequest,
    Timed,
    exchange,
    failures,
)
from tinyagent.runtime.bells import bell_here

if TYPE_CHECKING:
    from tinyagent._alchemy import HttpExchange, HttpFault, HttpPool, HttpTarget

_SAFE = "%/:=&?~#+!$,;'@()*[]"
"""What a URL may hold as it is (RFC 3986, section 2.2), and what is escaped already."""

_TARGET = attrgetter(*(name for name in HttpRequest.__struct_fields__ if name != "body"))
"""All of a request that is mostly the same in the next one."""


class NativeTransport:
    """Sends requests with the extension.

    Proxies (``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY``) and trusted certificates
    (``SSL_CERT_FILE``, ``SSL_CERT_DIR``, else the system's) are read from the environment when the
    first request is sent. Transports that found the same share their connections.
    """

    def __init__(self) -> None:
        self._pool: HttpPool | None = None
        # What was asked for last, and where it went: mostly the next request does as well.
        self._asked: tuple[object, ...] = ()
        self._target: HttpTarget | None = None

    def open(self, request: HttpRequest) -> NativeExchange:
        """Return an exchange that has not started yet."""
        return NativeExchange(self, request)

    def send(
        self, request: HttpRequest, hear: Hear | None, heard: asyncio.Future[Any]
    ) -> HttpExchange:
        """Begin to send *request*; *hear* and *heard* are told of its answer from its head on.

        Raises:
            Failure: HTTP cannot carry it, or no decoder reads its answer.
        """
        asked, target = _TARGET(request), self._target
        if target is None or asked != self._asked:
            target = self._target = self._target_of(request)
            self._asked = asked
        return target.open(request.body, bell_here(), hear, heard)

    def _target_of(self, request: HttpRequest) -> HttpTarget:
        headers = exchange.headers_of(request)
        limits_s = (
            request.connect_timeout_s,
            request.first_byte_timeout_s,
            request.read_timeout_s,
            exchange.ERROR_BODY_TIMEOUT_S,
        )
        if self._pool is None:
            try:
                self._pool = _pool()
            except ValueError as error:  # a proxy that leads nowhere
                raise failures.no_client(error) from None
        try:
            return self._pool.target(request.api, ascii_url(request.url), headers, limits_s)
        except ValueError:
            raise Failure("invalid", f"unsupported api `{request.api}`") from None

    async def aclose(self) -> None:
        """Nothing to do: connections are shared, and close when they were idle for a while."""


class NativeExchange:
    """An ``Exchange`` whose work is done off the event loop; pieces carry the times of arrival."""

    def __init__(self, transport: NativeTransport, request: HttpRequest) -> None:
        self._transport = transport
        self._request = request
        self._sent: HttpExchange | None = None
        self._is_closed = False

    async def start(self) -> None:
        """Send the request; return when a 2xx status and the headers are there.

        Raises:
            Failure: nothing that can be streamed came back.
        """
        sent, heard = self._send(None)
        self._check(await self._until(heard, sent))

    async def read(self) -> list[Timed]:
        """Return the next pieces, all that have arrived; an empty list at the end.

        Raises:
            Failure: the connection broke or was silent for too long.
        """
        sent = self._sent
        if self._is_closed or sent is None:
            return []
        try:
            return await self._until(self._listen(sent, None), sent) or []
        except Failure:
            if self._is_closed:
                return []
            raise

    async def play(self, hear: Hear) -> None:
        """Send the request; give *hear* all pieces of the answer as they arrive, until its end.

        Raises:
            Failure: as ``start`` and ``read``. Exception: what *hear* raised.
        """
        # The bell of the loop calls; what is heard is heard in the context of this task.
        run: Any = copy_context().run
        hear_here = partial(run, hear)
        sent, heard = self._send(hear_here)
        while (said := await self._until(heard, sent)) is not None:
            if isinstance(said, tuple):
                self._check(said)
            elif isinstance(said, list):  # all the rest
                if (room := hear(said)) is not None:
                    await room
                return
            else:
                await said
            heard = self._listen(sent, hear_here)

    def finish(self) -> Answer:
        """Return how the answer ended. After the last ``read``, or after it failed."""
        if self._sent is None:
            return Answer(reason=None, failure=("interrupted", "the request was never sent"))
        return exchange.answer_of(self._sent.finish())

    async def aclose(self) -> None:
        """Close the connection at once if the answer is not complete. Safe to call twice."""
        self._is_closed = True
        if self._sent is not None:
            self._sent.close()

    def _send(self, hear: Hear | None) -> tuple[HttpExchange, asyncio.Future[Any]]:
        """Send the request; return it, and what ends *hear*."""
        if self._is_closed:
            raise failures.cancelled()
        heard = asyncio.get_running_loop().create_future()
        self._sent = self._transport.send(self._request, hear, heard)
        return self._sent, heard

    def _listen(self, sent: HttpExchange, hear: Hear | None) -> asyncio.Future[Any]:
        """Go on to listen to what was *sent*; return what ends *hear*."""
        heard = asyncio.get_running_loop().create_future()
        sent.listen(bell_here(), hear, heard)
        return heard

    def _check(self, head: tuple[int, list[tuple[str, str]], bytes | None]) -> None:
        """Raise what the *head* of an answer refuses."""
        status, headers, error_body = head
        if error_body is not None:
            api, secrets = self._request.api, failures.secrets_of(self._request.headers)
            raise failures.http_failure(api, status, _joined(headers), error_body, secrets)

    async def _until(self, heard: asyncio.Future[Any], sent: HttpExchange) -> Any:
        """Return what *heard* gets."""
        try:
            return await heard
        except Exception as error:
            from tinyagent.runtime.extension import HttpFault

            if isinstance(error, HttpFault):
                raise self._failure(error, sent.status) from None
            raise
        except BaseException as stop:
            if isinstance(stop, asyncio.CancelledError):
                self._is_closed = True
                sent.close()
            sent.unlisten()
            _drop(heard)
            raise

    def _failure(self, fault: HttpFault, status: int) -> Failure:
        """Return *fault* in the words of every transport."""
        wire, (word, why) = self._request, fault.args
        match word:
            case "bad_url":
                return failures.bad_url()
            case "not_connected":
                return failures.not_connected(wire.url, wire.connect_timeout_s)
            case "not_answered":
                return failures.not_answered(wire.url, wire.first_byte_timeout_s)
            case "fell_silent":
                return failures.fell_silent(status, wire.read_timeout_s)
            case "cancelled":
                return failures.cancelled()
            case "not_sent":
                return failures.not_sent(wire.url, ConnectionError(why))
            case "encoded":
                return failures.encoded(status, why)
            case _:
                return failures.broke_off(status, ConnectionError(why))


def _drop(heard: asyncio.Future[Any]) -> None:
    """Let nothing complain of what *heard* has: nobody will take it."""
    has_said = heard.done() and not heard.cancelled() and heard.exception() is None
    if has_said and inspect.iscoroutine(said := heard.result()):
        said.close()


def _joined(headers: list[tuple[str, str]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in headers:
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def ascii_url(url: str) -> str:
    """Return *url* with what is not ASCII, or a blank, in its escaped form; else as it is."""
    if url.isascii() and " " not in url:
        return url
    try:
        parts = urlsplit(url)
        host = parts.netloc.encode("idna").decode() if not parts.netloc.isascii() else parts.netloc
    except (UnicodeError, ValueError):
        return ""  # which cannot be requested either
    path, query = quote(parts.path, safe=_SAFE), quote(parts.query, safe=_SAFE)
    return urlunsplit((parts.scheme, host, path, query, ""))


def _pool() -> HttpPool:
    from tinyagent.runtime.extension import HttpPool

    proxies = {name: _variable(f"{name}_proxy") for name in ("http", "https", "all")}
    if not any(proxies.values()) and sys.platform in ("darwin", "win32"):
        from urllib.request import getproxies  # what the system is set to; the import is slow

        proxies |= {name: url for name, url in getproxies().items() if name in proxies}
    return HttpPool(
        # A CGI program gets this variable from whoever asks (CVE-2016-5385).
        http_proxy="" if "REQUEST_METHOD" in os.environ else proxies["http"],
        https_proxy=proxies["https"],
        all_proxy=proxies["all"],
        no_proxy=_variable("no_proxy"),
        cert_file=os.environ.get("SSL_CERT_FILE") or None,
        cert_dir=os.environ.get("SSL_CERT_DIR") or None,
    )


def _variable(name: str) -> str:
    return (os.environ.get(name) or os.environ.get(name.upper()) or "").strip()
