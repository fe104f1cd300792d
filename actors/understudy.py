"""Who answers in the place of the model and the tools, if the log says so.

A factory is called with a log. An ordinary one starts workers; one with an understudy lets it
answer for them, from what was recorded. Nothing is patched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypedDict

from tinyagent.actors.streamer import KeyOf, Source
from tinyagent.actors.tools import Find
from tinyagent.events import Record
from tinyagent.runtime.stores import Log


class Understudy(Protocol):
    """Stands between a session and the world; may ask the live one for what it does not know."""

    @property
    def records(self) -> Sequence[Record]:
        """What it answers from, if there is anything yet."""
        ...

    def source(self, live: Source) -> Source:
        """Return who answers model calls."""
        ...

    def find(self, live: Find) -> Find:
        """Return who finds tools."""
        ...

    def key_of(self, live: KeyOf | None) -> KeyOf | None:
        """Return who finds keys."""
        ...


class Cast(TypedDict):
    """Who plays in a session."""

    source: Source
    find: Find
    key_of: Callable[[], KeyOf | None]


def cast(log: Log, *, source: Source, find: Find, key_of: Callable[[], KeyOf | None]) -> Cast:
    """Return who plays in the session of *log*: those given, or its understudy for them."""
    understudy: Understudy | None = log.options.understudy
    if understudy is None:
        return Cast(source=source, find=find, key_of=key_of)
    return Cast(
        source=understudy.source(source),
        find=understudy.find(find),
        key_of=lambda: understudy.key_of(key_of()),
    )
