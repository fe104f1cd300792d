"""A flag that cuts off what runs: a tool or a hook is awaited together with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Waker(Protocol):
    """Who is told that a flag is set."""

    def wake(self) -> None:
        """Take note of it."""
        ...


class Flag:
    """Set once. For one event loop."""

    __slots__ = ("_is_set", "_told")

    def __init__(self) -> None:
        self._is_set = False
        # In the order of their beginning: that of a set is another in every process.
        self._told: dict[Waker, None] = {}

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._is_set

    def set(self) -> None:
        """Set it; whoever waits is woken."""
        self._is_set = True
        for waker in list(self._told):
            waker.wake()

    def join(self, waker: Waker) -> None:
        """Tell *waker* when it is set, after those who joined before; at once if it is."""
        self._told[waker] = None
        if self._is_set:
            waker.wake()

    def leave(self, waker: Waker) -> None:
        """Tell *waker* nothing more. Unknown ones are ignored."""
        self._told.pop(waker, None)


class Running(Generic[T]):
    """Code that is awaited in a task of its own. Attributes: task: runs it."""

    __slots__ = ("_code", "_over", "task")

    def __init__(self, code: Awaitable[T], name: str | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._code = code
        self._over: asyncio.Future[None] | None = None
        self.task: asyncio.Task[T] = loop.create_task(self._run(), name=name)
        self.task.add_done_callback(self._ended)

    async def _run(self) -> T:
        try:
            return await self._code
        finally:
            self.wake()  # ahead of the task's own callbacks: a pass of the loop less

    def _ended(self, task: asyncio.Task[T]) -> None:
        if isinstance(self._code, Coroutine):
            self._code.close()  # it may have been cancelled before it began
        self.wake()

    def wake(self) -> None:
        """Let whoever waits go on."""
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    async def over(self, flag: Flag, timeout_s: float | None = None) -> None:
        """Return when the task is done, *flag* is set, or *timeout_s* is over."""
        if self.task.done() or flag.is_set():
            return
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        timer = None if timeout_s is None else loop.call_later(timeout_s, self.wake)
        flag.join(self)
        try:
            await self._over
        finally:
            flag.leave(self)
            if timer is not None:
                timer.cancel()
