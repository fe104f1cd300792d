"""How a session is doing, for who measures it: looked at when asked, so it costs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from tinyagent.runtime.stores import Log

Depths = Callable[[], Mapping[str, int]]
"""Returns how many records wait for each reader that is at work, by its name."""


@runtime_checkable
class Timed(Protocol):
    """A log that tells how long its disk took; see ``FileLog.timings``."""

    def timings(self, since: int | None) -> tuple[int, list[tuple[bool, float]]]:
        """Return what is new, and the number to ask with next."""
        ...


class Vitals:
    """What there is to see of one session. From any thread.

    Attributes:
        mailboxes: records that wait, by reader. sinks: records that a sink is behind, by sink.
    """

    def __init__(self, log: Log, mailboxes: Depths, sinks: Depths) -> None:
        self.mailboxes = mailboxes
        self.sinks = sinks
        self._log = log

    @property
    def durable_lag(self) -> int | None:
        """Records that a loss of power would cost now; None of a log in memory."""
        log = self._log
        return None if log.durability == "memory" else max(log.seq - log.durable_seq, 0)

    def timings(self, since: int | None) -> tuple[int, list[tuple[bool, float]]]:
        """Return how long the disk took, as ``FileLog.timings``; nothing of other logs."""
        return self._log.timings(since) if isinstance(self._log, Timed) else (0, [])


@runtime_checkable
class MeasuringSink(Protocol):
    """A sink that also measures the session that feeds it."""

    def watch(self, vitals: Vitals | None) -> None:
        """Measure what *vitals* shows from now on, while a run is under way; None ends that."""
        ...
