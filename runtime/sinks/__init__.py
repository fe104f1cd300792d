"""Who only listens: a mirror of the log elsewhere, line by line.

A sink is anything with ``kinds``, ``checkpoint``, ``write`` and ``close``. It gets the records
from behind its checkpoint on, in order; after a crash of its own it may get some again, unless
it keeps the checkpoint in one transaction with what it writes.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol, runtime_checkable

import msgspec

from tinyagent.events import Record
from tinyagent.runtime.stores import LogMeta


class Sink(Protocol):
    """Who only listens. All but ``close`` is called in a thread of its own, one at a time."""

    @property
    def kinds(self) -> frozenset[str] | None:
        """Kinds that it wants; None for all."""
        ...

    def checkpoint(self) -> int:
        """Return the number of the last record that it holds; 0 at first."""
        ...

    def write(self, record: Record) -> None:
        """Take *record*; may block. What is raised is recorded as ``sink.failed``."""
        ...

    async def close(self) -> None:
        """Write what waits. Safe to call twice."""
        ...


@runtime_checkable
class MirrorSink(Protocol):
    """A sink that needs to know which log it mirrors; told before ``checkpoint`` is asked."""

    def begin(self, meta: LogMeta) -> None:
        """Be ready for the records of that log. Called again whenever a run begins."""
        ...


class Subscribed(NamedTuple):
    """A sink, and what it shall get: see ``subscribe``."""

    sink: Sink
    kinds: frozenset[str] | None = None
    lossy: bool = False


def subscribe(
    sink: Sink, kinds: Collection[str] | None = None, *, lossy: bool = False
) -> Subscribed:
    """Return *sink* as an item of ``sinks=``.

    Args:
        kinds: those that it gets; None leaves the choice to the sink.
        lossy: for user interfaces: it gets ``Dropped(first, last)`` in place of what came while it
            was more than 1,024 records behind. Without it, it gets everything, however late.

    >>> ends = subscribe(FileSink("runs/ends"), ["user.said", "run.ended"])
    >>> log = open_log("runs/mirrored", sinks=[ends])
    """
    return Subscribed(sink, None if kinds is None else frozenset(kinds), lossy)


class Dropped(msgspec.Struct, frozen=True):
    """What a ``lossy`` sink is given in place of the records *first*..*last*."""

    first: int
    last: int
