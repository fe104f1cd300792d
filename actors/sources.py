"""A provider over a transport, as a source of answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from msgspec.structs import replace as _replace

from tinyagent.actors.providers import Provider, provider_for
from tinyagent.actors.providers.encoding import is_header
from tinyagent.actors.providers.history import Body
from tinyagent.actors.providers.patch import patched
from tinyagent.actors.transports import Exchange, Failure, HttpRequest, Transport
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
"""Returns what a request is sent with, given the host's key. What it raises ends the call.

The same object as before says that nothing has changed.
"""


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
        self._settings: Settings | None = None
        self._fault = ""
        self._body: bytes | Failure = b""
        self._built = Body()
        self._retries_max = RETRIES_MAX
        self._seen: tuple[list[Message] | None, int] = (None, 0)
        self._kept: tuple[Settings, Granted, HttpRequest] | None = None

    @property
    def attempts_max(self) -> int:
        """How often one request is sent at most."""
        return 1 + max(self._retries_max, 0)

    def digest(self, asked: View) -> str:
        """Build the body that will be sent, and return its digest; empty if it cannot be built."""
        settings = asked.settings
        if settings is not self._settings:
            self._configure(settings)
        if self._provider is None:
            self._body = Failure("invalid", self._fault)
            return ""
        messages = asked.read()
        if self._report is not None:
            self._report_roles(self._report, asked, messages)
        built = self._built
        try:
            built.take(self._provider.parts(settings, messages))
            self._body = patched(built.whole, asked.edits)
        except ValueError as error:
            told = f"failed to start {self._provider.api} stream: {error}"
            self._body = Failure("invalid", told)
            return ""
        return digest(self._body) if asked.edits else built.digest

    def _configure(self, settings: Settings) -> None:
        """Be ready for requests with *settings*; without a provider if there is none for them."""
        self._settings = settings
        self._retries_max = settings.options.get("retries_max", RETRIES_MAX)
        api, self._fault = (settings.model.get(name, "") for name in ("api", "fault"))
        try:
            if self._fault:
                self._provider = None
            elif self._provider is None or self._provider.api != api:
                self._provider = provider_for(api)
        except ValueError as error:
            self._provider, self._fault = None, str(error)

    def attempt(self, asked: View, key: str | None) -> Exchange:
        """Return one request with the body that was built last, not sent yet.

        Raises:
            Failure: it could not be built. Exception: what finding its key raised.
        """
        if isinstance(self._body, Failure):
            raise self._body
        settings, kept = asked.settings, self._kept
        granted = self._access(settings, key)
        if kept is None or kept[0] is not settings or kept[1] is not granted:
            kept = self._kept = settings, granted, self._bodiless(settings, granted)
        return self._transport.open(_replace(kept[2], body=self._body))

    def _bodiless(self, settings: Settings, granted: Granted) -> HttpRequest:
        """Return the request but for its body: all that is kept from one to the next."""
        assert self._provider is not None
        self._report_headers(granted.headers)
        if granted.url and granted.url != settings.model.get("base_url"):
            model = {**settings.model, "base_url": granted.url}
            settings = _replace(settings, model=model)
        return self._provider.request(settings, b"", key=granted.key, headers=granted.headers)

    def _report_roles(self, report: Report, asked: View, messages: list[Message]) -> None:
        seen, length = self._seen
        self._seen = asked.messages, asked.length
        new = messages[length:] if seen is asked.messages else messages
        if Custom not in map(type, new):
            return
        for message in new:
            if isinstance(message, Custom):
                role = message.message.get("role")
                report("request.role", f"messages of the role {role!r} are not sent to the model")

    def _report_headers(self, headers: Mapping[str, str]) -> None:
        if self._report is not None:
            for name, value in headers.items():
                if not is_header(name, value):
                    told = f"the header {name!r} cannot be sent and is left out"
                    self._report("request.header", told)
