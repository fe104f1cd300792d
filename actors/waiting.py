"""How long a tool is waited for, and how many run at once; how the end of a run is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any, Literal

Cut = Literal["cancelled", "run", "silence"]
"""Why something is cut off: the run is cancelled; it takes, or says nothing for, too long."""


class Watch:
    """Says when what runs is to be cut off because of the time that it takes: once, if at all.

    Args:
        run_s: how long it may run. silence_s: how long without a word. None is for ever.
        cut: told why.
    """

    __slots__ = ("_cut", "_end_s", "_heard_s", "_loop", "_silence_s", "_timer")

    def __init__(
        self, run_s: float | None, silence_s: float | None, cut: Callable[[Cut], None]
    ) -> None:
        self._cut = cut
        self._loop = asyncio.get_running_loop()
        self._end_s = inf if run_s is None else self._loop.time() + run_s
        self._silence_s = inf if silence_s is None else silence_s
        self._timer: asyncio.TimerHandle | None = None
        self.hear()
        self._wait()

    def hear(self) -> None:
        """Something was said."""
        self._heard_s = self._loop.time()

    def end(self) -> None:
        """Say nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self) -> None:
        now_s = self._loop.time()
        quiet_s = self._heard_s + self._silence_s
        if self._end_s <= now_s or quiet_s <= now_s:
            self._cut("run" if self._end_s <= now_s else "silence")
        else:
            self._timer = self._loop.call_at(min(self._end_s, quiet_s), self._wait)


class Slots:
    """Lets so many run at once, in the order in which they came; one that runs *alone* takes all.

    Who waits for all of them is not overtaken.
    """

    def __init__(self, slots_max: int) -> None:
        self._max = slots_max
        self._free = slots_max
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

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
        if self._waiting:
            self._hand_out()

    def _forget(self, count: int, waiter: asyncio.Future[None]) -> None:
        if waiter.done() and not waiter.cancelled():
            self._free += count  # it was handed out, and nobody came for it
        else:
            self._waiting = [each for each in self._waiting if each[1] is not waiter]
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            count, waiter = self._waiting.pop(0)
            if not waiter.done():
                self._free -= count
                waiter.set_result(None)


async def ended(playing: asyncio.Task[Any]) -> None:
    """Wait until *playing*, a run that was asked to stop, has ended.

    Whoever cancels this ends the run at once. That, too, goes on record, so it is waited for:
    when this returns or raises, nothing of the run goes on.
    """
    cancelled: asyncio.CancelledError | None = None
    while not playing.done():
        try:
            await asyncio.wait({playing})
        except asyncio.CancelledError as error:
            if cancelled is None:
                playing.cancel()
            cancelled = error
    if cancelled is not None:
        unheard(playing)
        raise cancelled


def unheard(playing: asyncio.Task[Any]) -> None:
    """Tell the loop how *playing* failed, which has ended: who waited for it has left."""
    error = None if playing.cancelled() else playing.exception()
    if error is not None:
        told = f"{playing.get_name()} failed, and nobody waits for it any more"
        told_of = {"message": told, "exception": error, "task": playing}
        playing.get_loop().call_exception_handler(told_of)
