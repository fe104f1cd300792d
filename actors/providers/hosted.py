"""The request that a stream function of the host is given, for digests only.

What such a function sends is its own business; on record is what it was asked.
"""

from __future__ import annotations

from tinyagent.events import View, canonical, digest
from tinyagent.events.messages import Message

HOSTED = "stream_fn"
"""Value of ``options.source`` in a session whose model is a stream function."""

_CACHE_MAX = 100_000
_digests: dict[int, tuple[Message, bytes]] = {}


def described(asked: View) -> bytes:
    """Return *asked* as JSON: settings in full, each message as it is."""
    return canonical({**_head(asked), "messages": asked.read()})


def described_digest(asked: View) -> str:
    """Return a digest of the same; a message met before is not encoded again."""
    parts = [canonical(_head(asked)), *(_digest(message) for message in asked.read())]
    return digest(b"\n".join(parts))


def _head(asked: View) -> dict[str, object]:
    settings = asked.settings
    return {"model": settings.model, "system": settings.system, "tools": settings.tools}


def _digest(message: Message) -> bytes:
    """Return the digest of *message*. The cache keeps the message, so its id stays its own."""
    known = _digests.get(id(message))
    if known is None:
        if len(_digests) >= _CACHE_MAX:
            _digests.clear()
        known = _digests[id(message)] = (message, digest(canonical(message)).encode())
    return known[1]
