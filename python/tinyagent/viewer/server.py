"""The sessions of a folder for a browser on this machine; read-only, unless ``acting`` is let in.

The pages hold nothing of a log; their script fetches it, with a token from the address, which is
behind the ``#`` and so is never sent by itself, nor kept by a browser as a cookie that other
ports of this machine would get. A request must name this server as its host and, if it has an
origin, as that; so a page from elsewhere reaches nothing, even if its name leads here.
"""

from __future__ import annotations

import base64
import os
import re
import sys
from collections import OrderedDict
from collections.abc import Callable
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from tinyagent._visible import spelled
from tinyagent.cli.refs import RefusedError, headers
from tinyagent.cli.summary import Summary, summary_of
from tinyagent.cli.unmasked import unmasked
from tinyagent.events.kinds import SessionForked
from tinyagent.recording import Recording
from tinyagent.runtime.errors import LogError, TinyAgentError
from tinyagent.verbs import load
from tinyagent.viewer import served_page
from tinyagent.viewer.acting import Acts, Wish
from tinyagent.viewer.served import ServedLog, sizes

HOST = "127.0.0.1"
LOGS_MAX = 4
"""So many logs are kept in memory, those that were asked for last."""
IDLE_S = 60
"""A connection on which nothing is asked for so long is closed."""
PATH_BYTES_MAX, BODY_BYTES_MAX = 4096, 100_000
_ASKED = re.compile(r"(?:(from|deltas)=(\d{1,11}))?", re.ASCII)


class NotServedError(Exception):
    """The request is refused: ``status`` and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Site:
    """What is served of *folder*: names of logs to what they say. No other path is looked at."""

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        self._folder = folder
        self._warn, self._warned = warn, set[str]()
        self._lock, self._listing = Lock(), Lock()
        self._logs: OrderedDict[str, ServedLog] = OrderedDict()
        self._summaries: dict[str, tuple[object, Summary, dict[str, Any] | None]] = {}

    def sessions(self) -> bytes:
        """Return a line for each log, the newest first, and which cannot be read."""
        unreadable: dict[str, str] = {}
        logs: list[dict[str, Any]] = []
        with self._listing:  # may take long, and keeps no log from being read
            for name, path in self._places().items():
                try:
                    name.encode()
                    summary, fork = self._summary(name, path)
                    told = msgspec.to_builtins(summary)
                    logs.append({**told, "where": name, "forked": fork})
                except UnicodeEncodeError:
                    unreadable[spelled(name)] = "its name is no UTF-8: give it another one"
                except (LogError, OSError) as error:
                    unreadable[name] = f"{type(error).__name__}: {error}"
        logs.sort(key=lambda log: log["at_ns"], reverse=True)
        return msgspec.json.encode(
            {"dir": self._folder.name, "logs": logs, "unreadable": unreadable}
        )

    def log(self, name: str) -> ServedLog:
        """Return the log *name*.

        Raises:
            NotServedError: there is no such log. LogError: it cannot be read.
        """
        path = self.place(name)
        with self._lock:
            log = self._logs.pop(name, None) or ServedLog(path)
            self._logs[name] = log
            while len(self._logs) > LOGS_MAX:
                self._logs.popitem(last=False)
        return log

    def place(self, name: str) -> Path:
        """Return where the log *name* is.

        Raises:
            NotServedError: there is no such log.
        """
        path = self._places().get(name)
        if path is None:
            raise NotServedError(404, f"no log {name!r} here")
        return path

    def _places(self) -> dict[str, Path]:
        inside = self._folder.resolve()
        return {
            path.name: path
            for path, _ in headers(self._folder)
            if path.resolve().is_relative_to(inside)  # a link leads where it will
        }

    def _summary(self, name: str, path: Path) -> tuple[Summary, dict[str, Any] | None]:
        now = sizes(path)
        before, told, fork = self._summaries.get(name, (None, None, None))
        if told is None or before != now or told.status == "running":
            recording = load(path)
            if name not in self._warned and (tokens := unmasked(recording.records)).texts:
                self._warned.add(name)
                self._warn(f"{path}: {tokens}")
            told, fork = summary_of(recording), _forked(recording)
            self._summaries[name] = now, told, fork
        return told, fork


def _forked(recording: Recording) -> dict[str, Any] | None:
    """Return whose fork it is, where it left its parent, and what was edited there."""
    fork = recording.meta.fork
    if fork is None:
        return None
    found = (r.event for r in recording.records if r.seq == fork.at + 1)
    said = next((event for event in found if isinstance(event, SessionForked)), None)
    return {"log": fork.log, "at": fork.at, "edits": said.edits if said else []}


class Server(ThreadingHTTPServer):
    """Serves *folder* on a port of the loopback interface; 0: any that is free.

    Attributes:
        token: what a request for a log must carry. url: where a browser begins.
        acts: what a page may have done; None: nothing. warn: is told of a log that was listed and
            has texts in the form of tokens.
    """

    daemon_threads = True
    allow_reuse_address = sys.platform != "win32"

    def __init__(
        self,
        folder: Path,
        port: int,
        acts: Acts | None = None,
        *,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        super().__init__((HOST, port), _Handler)
        self.acts = acts
        self.token = base64.urlsafe_b64encode(os.urandom(24)).decode()
        self.site = Site(folder, warn)
        self.port = int(self.server_address[1])
        self.hosts = {f"{name}:{self.port}" for name in (HOST, "localhost")}

    @property
    def url(self) -> str:
        """The address with its token."""
        return f"http://{HOST}:{self.port}/#token={self.token}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing where a browser just went away."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "tinyagent"
    sys_version = ""
    timeout = IDLE_S
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride] # whose handler this is

    def do_GET(self) -> None:
        self._answer(self._found)

    def do_POST(self) -> None:
        """Do what a page of this server asks for, if that is allowed at all."""
        if self.server.acts is None:
            self.send_error(501)
        else:
            self.close_connection = True  # what is refused has a body, which nobody reads
            self._answer(self._done)

    def _answer(self, found: Callable[[], tuple[str, bytes, str]]) -> None:
        try:
            self._check()
            self._give(*found())
        except NotServedError as error:
            self._refuse(error.status, str(error))
        except (RefusedError, ValueError) as error:
            self._refuse(409, str(error))
        except TinyAgentError as error:
            self._refuse(500, f"{type(error).__name__}: {error}")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request that is no GET, or none at all."""
        self.close_connection = True  # a body may follow, which nobody reads
        is_other = code == 501
        why = "nothing is changed that way" if is_other else message or "no HTTP request"
        self._refuse(405 if is_other else code, why)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: standard output is for the address."""

    def _check(self) -> None:
        """Refuse what another page may have sent, or another name than this server's.

        Raises:
            NotServedError: it did.
        """
        if self.headers.get_all("Host") not in [[host] for host in self.server.hosts]:
            raise NotServedError(421, "this is not the host that was asked for")
        origins = self.headers.get_all("Origin", [])
        if any(origin.removeprefix("http://") not in self.server.hosts for origin in origins):
            raise NotServedError(403, "asked by a page of another origin")
        if self.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            raise NotServedError(403, "asked by a page of another site")
        if len(self.path) > PATH_BYTES_MAX:
            raise NotServedError(414, "the path is too long")

    def _found(self) -> tuple[str, bytes, str]:
        """Return type, bytes and policy of what was asked for.

        Raises:
            NotServedError: there is no such thing, or it was asked for without the token.
        """
        path, query = urlsplit(self.path)[2:4]
        match [unquote(step) for step in path.split("/")[1:]]:
            case [""]:
                return "text/html; charset=utf-8", *served_page("sessions")
            case ["log", _]:
                return "text/html; charset=utf-8", *served_page("log")
            case ["api", "may"]:
                self._authorize()
                acts = self.server.acts
                return _json([] if acts is None else acts.offered)
            case ["api", "sessions"]:
                self._authorize()
                return "application/json", self.server.site.sessions(), ""
            case ["api", "log", name]:
                self._authorize()
                if (asked := _ASKED.fullmatch(query)) is None:
                    raise NotServedError(400, "from=N: the items from number N on; deltas=SEQ")
                log, number = self.server.site.log(name), int(asked[2] or 0)
                told = log.deltas(number) if asked[1] == "deltas" else log.part(number)
                return "application/json", told, ""
            case _:
                raise NotServedError(404, "there is nothing here")

    def _done(self) -> tuple[str, bytes, str]:
        """Do what is asked for, and return what came of it.

        Raises:
            NotServedError: it is none of what is offered, or was asked by no page of this server.
        """
        acts = self.server.acts
        assert acts is not None
        if not self.headers.get_all("Origin"):
            raise NotServedError(403, "asked by no page of this server")
        self._authorize()
        match [unquote(step) for step in urlsplit(self.path).path.split("/")[1:]]:
            case ["api", "log", name, what] if what in acts.offered:
                path = self.server.site.place(name)
                try:
                    wish = msgspec.json.decode(self._body(), type=Wish)
                except msgspec.MsgspecError as error:
                    raise NotServedError(400, str(error)) from None
                return _json(acts.done(what, path, wish))
            case _:
                raise NotServedError(404, "there is nothing here")

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if self.headers.get("Content-Type") != "application/json" or not length.isdecimal():
            raise NotServedError(400, "a JSON document, and its length")
        if int(length) > BODY_BYTES_MAX:
            raise NotServedError(413, f"more than {BODY_BYTES_MAX:,} bytes")
        return self.rfile.read(int(length))

    def _authorize(self) -> None:
        given = self.headers.get("Authorization", "").encode()
        if not compare_digest(given, f"Bearer {self.server.token}".encode()):
            raise NotServedError(401, "the token is missing or wrong: use the address as printed")

    def _refuse(self, status: int, why: str) -> None:
        self._give("application/json", msgspec.json.encode({"error": why}), "", status)

    def _give(self, kind: str, body: bytes, policy: str, status: int = 200) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", policy or "default-src 'none'; frame-ancestors 'none'"),
            *_ALWAYS,
            *([("Allow", "GET" if self.server.acts is None else "GET, POST")] * (status == 405)),
            *([("Connection", "close")] if self.close_connection else []),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _json(told: object) -> tuple[str, bytes, str]:
    return "application/json", msgspec.json.encode(told), ""


_ALWAYS = (
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)
