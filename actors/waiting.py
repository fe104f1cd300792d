"""How long a tool is waited for, and how many run at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from tinyagent.actors.flag import Flag, Running


class Patience(msgspec.Struct, frozen=True):
    """How long one run of a tool may take.

    Attributes:
        run_s: altogether. silence_s: without a word of progress. None is for ever.
        heard_s: returns when it was heard last, by the clock of the loop.
    """

    run_s: float | None
    silence_s: float | None
    heard_s: Callable[[], float]


Impatience = Literal["", "run", "silence"]


async def ended_or(running: Running[Any], cancelled: Flag, patience: Patience) -> Impatience:
    """Wait until *running* is over or *cancelled* is set; return which patience ran out."""
    now_s = asyncio.get_running_loop().time
    run_s, silence_s = patience.run_s, patience.silence_s
    end_s = None if run_s is None else now_s() + run_s
    while True:
        quiet_s = None if silence_s is None else patience.heard_s() + silence_s
        first_s = min((at_s for at_s in (end_s, quiet_s) if at_s is not None), default=None)
        left_s = None if first_s is None else max(first_s - now_s(), 0)
        await running.over(cancelled, left_s)
        if running.task.done() or cancelled.is_set():
            return ""
        if end_s is not None and end_s <= now_s():
            return "run"
        if silence_s is not None and patience.heard_s() + silence_s <= now_s():
            return "silence"


class Slots:
    """Lets so many run at once, in the order in which they came; one that runs *alone* takes all.

    Who waits for all of them is not overtaken.
    """

    def __init__(self, slots_max: int) -> None:
        self._max = slots_max
        self._free = slots_max
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, *, alone: bool) -> int:
        """Wait for a slot, or for all of them; return how many there are to ``give`` back."""
        count = self._max if alone else 1
        if self._waiting or self._free < count:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append((count, waiter))
            try:
                await waiter
            except asyncio.CancelledError:
                self._forget(count, waiter)
                raise
        else:
            self._free -= count
        return count

    def give(self, count: int) -> None:
        """Give *count* slots back."""
        self._free += count
        self._hand_out()

    def _forget(self, count: int, waiter: asyncio.Future[None]) -> None:
        if waiter.done() and not waiter.cancelled():
            self._free += count  # it was handed out, and nobody came for it
        else:
            self._waiting = deque(each for each in self._waiting if each[1] is not waiter)
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            count, waiter = self._waiting.popleft()
            if not waiter.done():
                self._free -= count
                waiter.set_result(None)
