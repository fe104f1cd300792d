"""A provider over a transport, as a source of answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

from tinyagent.actors.providers import Provider, provider_for
from tinyagent.actors.streamer import Heard
from tinyagent.actors.transports import Answer, Exchange, Failure, HttpRequest, Transport
from tinyagent.events import Settings, View, digest

RETRIES_MAX = 2
"""As openai-python 3.54."""

Access = Callable[[Settings, str | None], tuple[str | None, Mapping[str, str]]]
"""Returns the key and the extra headers for a request. What it raises ends the call."""


class ProviderSource:
    """Sends the conversation to the provider that the session's model names.

    Args:
        access: finds key and headers; they are secrets and appear in no event.
    """

    grace_s = 0.0

    def __init__(self, transport: Transport, access: Access) -> None:
        self._transport = transport
        self._access = access
        self._provider: Provider | None = None
        self._body: bytes | Failure = b""
        self._retries_max = RETRIES_MAX

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
            self._body = self._provider.body(asked.settings, asked.read())
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
        found, headers = self._access(asked.settings, key)
        return self._provider.request(asked.settings, self._body, key=found, headers=headers)


class _Attempt:
    def __init__(self, transport: Transport, request: Callable[[], HttpRequest]) -> None:
        self._transport = transport
        self._request = request
        self._exchange: Exchange | None = None

    async def __aiter__(self) -> AsyncIterator[Heard]:
        exchange = self._exchange = self._transport.open(self._request())
        await exchange.start()
        while pieces := await exchange.read():
            yield Heard(pieces)

    def finish(self) -> tuple[Answer, None]:
        if self._exchange is None:
            raise Failure("bug", "the request was never sent")
        return self._exchange.finish(), None

    async def aclose(self) -> None:
        if self._exchange is not None:
            await self._exchange.aclose()
