"""A flag that something else can be awaited together with, without a task for the waiting."""

from __future__ import annotations

import asyncio
from typing import Any


class Flag:
    """Set once. For one event loop."""

    __slots__ = ("_is_set", "_set")

    def __init__(self) -> None:
        self._is_set = False
        self._set: asyncio.Future[None] | None = None

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._is_set

    def set(self) -> None:
        """Set it; whoever waits is woken."""
        self._is_set = True
        if self._set is not None and not self._set.done():
            self._set.set_result(None)

    async def or_done(self, task: asyncio.Future[Any], timeout_s: float | None = None) -> None:
        """Return when this is set or *task* is done, or *timeout_s* is over."""
        if self._set is None:
            self._set = asyncio.get_running_loop().create_future()
            if self._is_set:
                self._set.set_result(None)
        both: set[asyncio.Future[Any]] = {task, self._set}
        await asyncio.wait(both, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
