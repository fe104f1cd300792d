"""One of a kind for each event loop, such as a client: connections belong to the loop of theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Generic, Protocol, TypeAlias, TypeVar


class Closable(Protocol):
    """What has to be closed on its loop."""

    async def aclose(self) -> None:
        """Close it."""
        ...


T = TypeVar("T", bound=Closable)
Guard: TypeAlias = AsyncGenerator[None, None]


class PerLoop(Generic[T]):
    """What *make* makes for the running loop, made when it is asked for first.

    It is closed when its loop shuts down its asynchronous generators, as ``asyncio.run`` does:
    one that waits beside it closes it. Nobody could close it after that.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._open: dict[asyncio.AbstractEventLoop, tuple[T, Guard]] = {}

    async def get(self) -> T:
        """Return that of the running loop. Never waits."""
        loop = asyncio.get_running_loop()
        if loop not in self._open:
            for other in list(self._open):
                if other.is_closed():
                    self._open.pop(other, None)
            made = self._make()
            guard = self._close_with(loop, made)
            self._open[loop] = made, guard
            await anext(guard)
        return self._open[loop][0]

    async def aclose(self) -> None:
        """Close that of the running loop."""
        if entry := self._open.get(asyncio.get_running_loop()):
            await entry[1].aclose()

    async def _close_with(self, loop: asyncio.AbstractEventLoop, made: T) -> Guard:
        try:
            yield
        finally:
            self._open.pop(loop, None)
            await made.aclose()
