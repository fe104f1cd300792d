"""Time that a test moves by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class VirtualClock:
    """A clock that stands still but for *tick_us* at each reading, and for ``advance``.

    Two runs that read it equally often see the same times, so their logs have the same bytes.
    """

    def __init__(self, start_us: int = 1_767_225_600_000_000, *, tick_us: int = 1000) -> None:
        self._now_us = start_us
        self._tick_us = tick_us
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now_us(self) -> int:
        """Return microseconds since 1970 UTC, a tick later than the last time."""
        self._now_us += self._tick_us
        return self._now_us

    def monotonic_s(self) -> float:
        """Return seconds; the same time."""
        return self._now_us / 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by *seconds*."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waiter = asyncio.get_running_loop().create_future()
        due_us = self._now_us + round(seconds * 1_000_000)
        heapq.heappush(self._sleepers, (due_us, next(self._order), waiter))
        await waiter

    @property
    def sleeping(self) -> int:
        """How many wait for the clock to be advanced."""
        return sum(not waiter.done() for _, _, waiter in self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Move time on; who slept until then goes on, in the order of their times.

        Raises:
            ValueError: *seconds* is less than 0; time does not go back.
        """
        if seconds < 0:
            raise ValueError(f"time goes on by 0 seconds or more, got {seconds}")
        end_us = self._now_us + round(seconds * 1_000_000)
        while self._sleepers and self._sleepers[0][0] <= end_us:
            due_us, _, waiter = heapq.heappop(self._sleepers)
            self._now_us = max(self._now_us, due_us)
            if not waiter.done():
                waiter.set_result(None)
            await asyncio.sleep(0)
        self._now_us = max(self._now_us, end_us)
        await asyncio.sleep(0)
