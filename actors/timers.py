"""Tells the agent when a time is over. It waits on the session's clock, and ends with the run."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any

from tinyagent.actors.flag import Flag, Running
from tinyagent.actors.limits import SECONDS
from tinyagent.events import Event, Record, kinds as k
from tinyagent.runtime.clock import Clock
from tinyagent.runtime.loops import Voice


class Timers:
    """The worker that answers ``timer.set``.

    After a crash the time goes on from the record: what is over by then fires at once.

    Args:
        signal: set when the seconds of a run are over, as when it is cancelled.
        shared: records up to this one are a parent's, whose time does not count here.
    """

    name = "timers"
    requests = frozenset({k.TimerSet.kind})

    def __init__(self, clock: Clock, signal: asyncio.Event, *, shared: int = 0) -> None:
        self._clock = clock
        self._signal = signal
        self._shared = shared
        self._is_over = Flag()

    def is_asked(self, event: Event) -> bool:
        """Say whether *event* sets a timer."""
        return isinstance(event, k.TimerSet)

    def fold(self, record: Record) -> None:
        """Wait for nothing any more when the run is over, or out of time."""
        match record.event:
            case k.RunEnded():
                self._is_over.set()
            case k.BudgetExceeded(limit=limit) if limit == SECONDS:
                self._signal.set()
            case _:
                pass

    async def answer(self, record: Record, voice: Voice) -> None:
        """Tell that the time is over; nothing if the run is, before that."""
        event = record.event
        assert isinstance(event, k.TimerSet)
        is_shared = record.seq <= self._shared
        began_us = self._clock.now_us() if is_shared else record.at_ns // 1000
        left_s = event.after_s - (self._clock.now_us() - began_us) / 1_000_000
        if left_s > 0:
            sleeping = Running(_Until(self._clock, self._clock.monotonic_s() + left_s))
            try:
                await sleeping.over(self._is_over)
            finally:
                sleeping.task.cancel()
        if not self._is_over.is_set():
            seen_s = (self._clock.now_us() - began_us) / 1_000_000
            await voice.tell(k.TimerFired(record.seq, round(max(seen_s, event.after_s), 3)))


class _Until:
    """Sleeps until *end_s*, by *clock*. Who awaits it begins later than it was made, or never."""

    def __init__(self, clock: Clock, end_s: float) -> None:
        self._clock = clock
        self._end_s = end_s

    def __await__(self) -> Generator[Any, Any, None]:
        return self._clock.sleep(self._end_s - self._clock.monotonic_s()).__await__()
