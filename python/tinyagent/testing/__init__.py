"""Tools for testing what is built with tinyagent.

``provider``: a provider on the loopback interface; ``answers``: what it says.
``RecordedTransport``: the same answers without a socket. ``VirtualClock``: time moved by hand.
"""

from __future__ import annotations

from tinyagent.actors.transports.recorded import RecordedTransport
from tinyagent.testing.answers import (
    Item,
    Reply,
    chat,
    close_after,
    completion,
    json_reply,
    kept_open,
    paced,
    rechunked,
    reset,
    sse,
    stall,
    status,
)
from tinyagent.testing.clock import VirtualClock
from tinyagent.testing.provider import ProviderServer, Received

__all__ = [
    "Item",
    "ProviderServer",
    "Received",
    "RecordedTransport",
    "Reply",
    "VirtualClock",
    "chat",
    "close_after",
    "completion",
    "json_reply",
    "kept_open",
    "paced",
    "rechunked",
    "reset",
    "sse",
    "stall",
    "status",
]
