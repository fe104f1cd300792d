"""Who only listens: a mirror of the log elsewhere, line by line.

A sink is anything with ``checkpoint``, ``write`` and ``close``. It gets every record once, in
order, from behind its checkpoint on; after a crash of its own it may get some again.
"""

from __future__ import annotations

from typing import Protocol

from tinyagent.events import Record


class Sink(Protocol):
    """Who only listens."""

    @property
    def kinds(self) -> frozenset[str] | None:
        """Kinds that it wants; None for all."""
        ...

    def checkpoint(self) -> int:
        """Return the number of the last record that it holds; 0 at first."""
        ...

    def write(self, record: Record) -> None:
        """Take *record*. What is raised is recorded as ``sink.failed``."""
        ...

    async def close(self) -> None:
        """Write what waits."""
        ...
