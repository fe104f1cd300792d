"""Time, and the only place that asks the operating system for it.

A log's times are the wall clock when it was opened plus monotonic time since, so they never fall
within an epoch however the wall clock is set.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """What the runtime asks of time. Tests pass one that they step."""

    def now_us(self) -> int:
        """Return microseconds since 1970 UTC; never less than before."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds on a clock that only runs forward, for durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait *seconds*."""
        ...


class SystemClock:
    """The machine's clock."""

    __slots__ = ("_start_us",)

    def __init__(self) -> None:
        self._start_us = time.time_ns() // 1000 - time.monotonic_ns() // 1000

    def now_us(self) -> int:
        """Return microseconds since 1970 UTC; never less than before."""
        return self._start_us + time.monotonic_ns() // 1000

    def monotonic_s(self) -> float:
        """Return seconds on a clock that only runs forward."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait *seconds*."""
        import asyncio  # here, for it is dear, and who tells the time need not sleep

        await asyncio.sleep(seconds)

    def is_near(self, other: SystemClock) -> bool:
        """Whether *other* tells the same time, but for what was lost while it was made."""
        return abs(self._start_us - other._start_us) < NEAR_US


def system_clock() -> SystemClock:
    """Return the machine's clock: one for all who ask, until the wall clock is set."""
    global _shared
    now = SystemClock()
    if not now.is_near(_shared):
        _shared = now
    return _shared


@lru_cache(maxsize=1)
def one_of(now_us: Callable[[], int]) -> Callable[[], int]:
    """Return *now_us* or its equal: each look at a method of a clock makes another object."""
    return now_us


NEAR_US = 1000
_shared = SystemClock()
