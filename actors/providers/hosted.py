"""The request that a stream function of the host is given, for digests only.

What such a function sends is its own business; on record is what it was asked.
"""

from __future__ import annotations

from tinyagent.actors.providers.history import Parts
from tinyagent.events import View, canonical, digest
from tinyagent.events.messages import Message

HOSTED = "stream_fn"
"""Value of ``options.source`` in a session whose model is a stream function."""

_BEGUN = b'{"messages":['
"""The first key, for keys are sorted."""


def is_hosted(asked: View) -> bool:
    """Say whether *asked* goes to a stream function of the host."""
    return asked.settings.options.get("source") == HOSTED


class Description:
    """Says what is asked, call by call; a conversation that grew costs what is new in it."""

    def __init__(self) -> None:
        self._told: tuple[list[Message], list[bytes]] = [], []
        self._messages: list[Message] | None = None
        self._count = 0
        self._so_far = b""

    def parts(self, asked: View) -> Parts:
        """Return *asked* as JSON: settings in full, each message as it is."""
        messages, told = self._told
        if asked.messages is not messages or asked.length < len(told):
            told = []
        told.extend(map(canonical, asked.messages[len(told) : asked.length]))
        self._told = asked.messages, told
        whole = canonical({**_head(asked), "messages": ()})
        return Parts(whole[: len(_BEGUN)], "messages", list(told), whole[len(_BEGUN) :])

    def digest(self, asked: View) -> str:
        """Return the digest of settings and messages. The same asked gives the same digest."""
        if asked.messages is not self._messages or asked.length < self._count:
            self._messages, self._count, self._so_far = asked.messages, 0, b""
        for message in asked.messages[self._count : asked.length]:
            self._so_far = digest(self._so_far + canonical(message)).encode()
        self._count = asked.length
        return digest(canonical(_head(asked)) + self._so_far)


def _head(asked: View) -> dict[str, object]:
    settings = asked.settings
    return {"model": settings.model, "system": settings.system, "tools": settings.tools}
