"""What a host has configured, and who answers its agent: a function of the host, or a provider."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from tinyagent import alchemy_provider
from tinyagent._config.checks import check_text
from tinyagent._config.options import model_of
from tinyagent._host.host import HostHooks
from tinyagent._host.returned import Report
from tinyagent._host.stream import HostedSource
from tinyagent._provider.configured import is_hosted, stream_fn_of
from tinyagent._provider.fallback import granted
from tinyagent._provider.resolve import debugs
from tinyagent._reading.bodies import Bodies
from tinyagent.actors.sources import Granted, ProviderSource
from tinyagent.actors.streamer import Attempt
from tinyagent.actors.transports import Transport
from tinyagent.agent_types import Model, SimpleStreamOptions
from tinyagent.events import Settings, View, kinds as k
from tinyagent.runtime.clock import Clock


class Setup(msgspec.Struct, kw_only=True):
    """What a host has configured. A run keeps what it was when the run began.

    ``is_hosted``: whether a function answers; not known before ``configured.is_hosted``.
    """

    model: Model
    fallback: tuple[Model, ...] = ()
    system: str
    stream_fn: Callable[..., Any] | None
    api_key: str | None = None
    options: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    tool_timeout_s: float | None = None
    polls: tuple[str, ...] = ()
    is_hosted: bool | None = None

    def __post_init__(self) -> None:
        """Refuse what no log could be read with.

        Raises:
            TypeError: the system prompt is no text. ValueError: it has half a character.
        """
        check_text("system_prompt", self.system)


class Sources:
    """The source of the streamer: whatever the host has configured when a call is made."""

    _source: HostedSource | ProviderSource  # in force, once it was asked for a digest

    def __init__(
        self,
        setup: Callable[[], Setup],
        *,
        bodies: Bodies,
        hooks: HostHooks,
        signal: Callable[[], asyncio.Event],
        clock: Clock,
        transport: Transport | None,
        report: Report,
    ) -> None:
        self.setup = setup
        self._bodies = bodies
        self._hooks = hooks
        self._signal = signal
        self._clock = clock
        self._transport = transport
        self._report = report
        self._hosted: HostedSource | None = None
        self._provider: ProviderSource | None = None
        self._chosen_by: Setup | None = None
        self._granted: tuple[Setup, Settings, str | None, Granted] | None = None

    @property
    def attempts_max(self) -> int:
        """As the source says that made the digest."""
        return self._source.attempts_max

    @property
    def grace_s(self) -> float:
        """As the source in force says."""
        return self._chosen().grace_s

    def digest(self, asked: View) -> str:
        """As the source in force says."""
        return self._chosen().digest(asked)

    def attempt(self, asked: View, key: str | None) -> Attempt:
        """As the source says that made the digest."""
        return self._source.attempt(asked, key)

    def _chosen(self) -> HostedSource | ProviderSource:
        setup = self.setup()
        if setup is not self._chosen_by:
            self._chosen_by = setup
            self._source = self._theirs() if is_hosted(setup) else self._ours()
        return self._source

    def _theirs(self) -> HostedSource:
        if self._hosted is None:
            self._hosted = HostedSource(
                stream_fn=self._stream_fn,
                model=lambda: self.setup().model,
                options=self._options,
                bodies=self._bodies,
                hooks=self._hooks,
                signal=self._signal,
                clock=self._clock,
            )
        return self._hosted

    def _ours(self) -> ProviderSource:
        if self._provider is None:
            transport = self._transport or alchemy_provider.shared_transport()
            self._provider = ProviderSource(transport, self._access, self._report)
        return self._provider

    def _access(self, settings: Settings, key: str | None) -> Granted:
        """Return what a request is sent with; the environment is asked once in a run."""
        setup, kept = self.setup(), self._granted
        if kept is not None and kept[0] is setup and kept[1] is settings and kept[2] == key:
            return kept[3]
        found = granted(setup, settings, key)
        # Who debugs is told of every request.
        self._granted = None if debugs() else (setup, settings, key, found)
        return found

    def _stream_fn(self) -> Callable[..., Any]:
        ours = alchemy_provider.stream_alchemy_openai_completions
        return stream_fn_of(self.setup()) or ours

    def _options(self, key: str | None) -> SimpleStreamOptions:
        named = SimpleStreamOptions.__struct_fields__
        given = {n: value for n, value in self.setup().options.items() if n in named}
        return SimpleStreamOptions(
            api_key=key or self.setup().api_key, signal=self._signal(), **given
        )

    @property
    def raised(self) -> Exception | None:
        """What the host's own code raised, other than tools and their hooks."""
        return None if self._hosted is None else self._hosted.raised


def forced(event: k.SessionForked) -> dict[str, Any]:
    """Return the settings that a fork was made with; they count before the host's."""
    found: dict[str, Any] = {}
    for edit in event.edits:
        match edit:
            case ["model", str(name)]:
                found["model"] = model_of(name)
            case ["model", dict(model)]:
                found["model"] = _model(model)
            case ["system_prompt", str(text)]:
                found["system"] = text
            case _:
                pass
    return found


def _model(dumped: dict[str, Any]) -> Model:
    if "base_url" not in dumped:
        return Model.model_validate(dumped)
    from tinyagent.alchemy_provider import OpenAICompatModel

    return OpenAICompatModel.model_validate(dumped)
