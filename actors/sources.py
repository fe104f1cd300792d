"""A provider over a transport, as a source of answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from tinyagent.actors.providers import Provider, provider_for
from tinyagent.actors.providers.encoding import is_header
from tinyagent.actors.providers.patch import patched
from tinyagent.actors.streamer import Hear
from tinyagent.actors.transports import (
    Answer,
    Exchange,
    Failure,
    HttpRequest,
    Timed,
    Transport,
    played,
)
from tinyagent.events import Settings, View, digest
from tinyagent.events.messages import Custom, Message

RETRIES_MAX = 2
"""As openai-python 3.54."""


class Granted(NamedTuple):
    """What one request is sent with. ``url``, if there is one, comes before ``model.base_url``."""

    key: str | None
    headers: Mapping[str, str]
    url: str = ""


Access = Callable[[Settings, str | None], Granted]
"""Returns what a request is sent with, given the host's key. What it raises ends the call."""


Report = Callable[[str, str], object]


class ProviderSource:
    """Sends the conversation to the provider that the session's model names.

    Args:
        access: finds key and headers; they are secrets and appear in no event.
        report: told, by a name and a text, of what is left out of a request. May be told twice.
    """

    grace_s = 0.0

    def __init__(self, transport: Transport, access: Access, report: Report | None = None) -> None:
        self._transport = transport
        self._access = access
        self._report = report
        self._provider: Provider | None = None
        self._body: bytes | Failure = b""
        self._retries_max = RETRIES_MAX
        self._seen: tuple[list[Message] | None, int] = (None, 0)

    @property
    def attempts_max(self) -> int:
        """How often one request is sent at most."""
        return 1 + self._retries_max

    def digest(self, asked: View) -> str:
        """Build the body that will be sent, and return its digest; empty if it cannot be built."""
        self._retries_max = asked.settings.options.get("retries_max", RETRIES_MAX)
        api, fault = (asked.settings.model.get(name, "") for name in ("api", "fault"))
        if fault:
            self._body = Failure("invalid", fault)
            return ""
        try:
            if self._provider is None or self._provider.api != api:
                self._provider = provider_for(api)
        except ValueError as error:
            self._body = Failure("invalid", str(error))
            return ""
        messages = asked.read()
        self._report_roles(asked)
        try:
            self._body = patched(self._provider.body(asked.settings, messages), asked.edits)
        except ValueError as error:
            self._body = Failure("invalid", f"failed to start {api} stream: {error}")
            return ""
        return digest(self._body)

    def attempt(self, asked: View, key: str | None) -> _Attempt:
        """Return one request with the body that was built last, not sent yet."""
        return _Attempt(self._transport, lambda: self._request(asked, key))

    def _request(self, asked: View, key: str | None) -> HttpRequest:
        if isinstance(self._body, Failure):
            raise self._body
        assert self._provider is not None
        granted = self._access(asked.settings, key)
        self._report_headers(granted.headers)
        settings = asked.settings
        if granted.url:
            model = {**settings.model, "base_url": granted.url}
            settings = msgspec.structs.replace(settings, model=model)
        return self._provider.request(
            settings, self._body, key=granted.key, headers=granted.headers
        )

    def _report_roles(self, asked: View) -> None:
        if self._report is None:
            return
        seen, self._seen = self._seen, (asked.messages, asked.length)
        first = seen[1] if seen[0] is asked.messages else 0
        for message in asked.messages[first : asked.length]:
            if isinstance(message, Custom):
                role = message.message.get("role")
                told = f"messages of the role {role!r} are not sent to the model"
                self._report("request.role", told)

    def _report_headers(self, headers: Mapping[str, str]) -> None:
        if self._report is not None:
            for name, value in headers.items():
                if not is_header(name, value):
                    told = f"the header {name!r} cannot be sent and is left out"
                    self._report("request.header", told)


class _Attempt:
    def __init__(self, transport: Transport, request: Callable[[], HttpRequest]) -> None:
        self._transport = transport
        self._request = request
        self._exchange: Exchange | None = None

    @property
    def is_sent(self) -> bool:
        """Whether there is a request at all: a key was found, a body could be built."""
        return self._exchange is not None

    async def start(self) -> None:
        """Send the request; return when a 2xx status and the headers are there."""
        self._exchange = self._transport.open(self._request())
        await self._exchange.start()

    async def read(self) -> list[Timed]:
        """Return the next pieces; none at the end."""
        assert self._exchange is not None
        return await self._exchange.read()

    async def play(self, hear: Hear) -> None:
        """Send the request; give *hear* the answer as it arrives."""
        await self.start()
        assert self._exchange is not None
        await played(self._exchange, hear)

    def finish(self) -> tuple[Answer, None]:
        if self._exchange is None:
            raise Failure("bug", "the request was never sent")
        return self._exchange.finish(), None

    async def aclose(self) -> None:
        if self._exchange is not None:
            await self._exchange.aclose()
