"""Models that are asked when the session's does not answer: who they are, and their access."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tinyagent._provider.access import access
from tinyagent.actors.sources import Granted
from tinyagent.agent_types import Model
from tinyagent.alchemy_provider import resolved
from tinyagent.events import Settings


class Choice(Protocol):
    """Which models a host has chosen, in the order in which they are asked."""

    @property
    def model(self) -> Model:
        """The first."""
        ...

    @property
    def fallback(self) -> tuple[Model, ...]:
        """The others."""
        ...

    @property
    def stream_fn(self) -> Any:
        """Whose rules describe them."""
        ...

    @property
    def api_key(self) -> str | None:
        """The first model's key, if the host gave one."""
        ...


def described(models: Sequence[Model], stream_fn: object) -> list[dict[str, Any]]:
    """Return *models* as the log holds them."""
    return [resolved(model, stream_fn) for model in models]


def granted(choice: Choice, settings: Settings, key: str | None) -> Granted:
    """Return what a request to the model of *settings* is sent with.

    The first model's own key goes to nobody else.

    Raises:
        Failure: it needs a key and there is none.
    """
    if choice.fallback and settings.model != resolved(choice.model, choice.stream_fn):
        for other in choice.fallback:
            if settings.model == resolved(other, choice.stream_fn):
                return access(other, settings, key)
    return access(choice.model, settings, key or choice.api_key)
