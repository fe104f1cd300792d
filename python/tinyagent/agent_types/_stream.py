"""A stream of events with a result: pushed by a run, read by its consumer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

from tinyagent.agent_types._events import AgentEvent
from tinyagent.agent_types._messages import AgentMessage

EventStreamQueueItem: TypeAlias = AgentEvent | None


class EventStream:
    """An async iterator over events, and the result that the last of them carries.

    Can be made without a running loop. ``push``, ``end`` and ``set_exception`` never wait.
    """

    def __init__(
        self,
        is_end_event: Callable[[AgentEvent], bool],
        get_result: Callable[[AgentEvent], list[AgentMessage]],
    ) -> None:
        self._is_end_event = is_end_event
        self._get_result = get_result
        self._queue: deque[AgentEvent] = deque()
        self._ended = False
        self._result: list[AgentMessage] = []
        self._error: Exception | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._is_read = False
        self._room: asyncio.Future[None] | None = None
        self._task: asyncio.Task[Any] | None = None

    def push(self, event: AgentEvent) -> None:
        """Put *event* at the end; dropped once the stream has ended."""
        if not self._ended:
            self._queue.append(event)
            self._wake()

    def end(self, result: list[AgentMessage]) -> None:
        """End the stream after what is queued, with *result*."""
        if not self._ended:
            self._ended, self._result = True, result
            self._wake()

    def set_exception(self, exc: Exception) -> None:
        """End the stream after what is queued by raising *exc*, once."""
        if not self._ended:
            self._ended, self._error = True, exc
            self._wake()

    def attach(self, task: asyncio.Task[Any]) -> None:
        """Let *task* be the run behind this stream."""
        self._task = task

    async def room(self, behind_max: int) -> None:
        """Wait until the reader is at most *behind_max* events behind. For a run's own loop."""
        while len(self._queue) > behind_max:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def __len__(self) -> int:
        return len(self._queue)

    def __aiter__(self) -> AsyncIterator[AgentEvent]:
        """Return this stream."""
        self._is_read = True
        return self

    async def __anext__(self) -> AgentEvent:
        """Return the next event.

        Raises:
            Exception: what ``set_exception`` was given, after the events before it.
        """
        self._is_read = True
        while not self._queue:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            if self._ended:
                raise StopAsyncIteration
            await self._wait()
        event = self._queue.popleft()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        if not self._ended and self._is_end_event(event):
            self.end(self._get_result(event))
        return event

    async def result(self) -> list[AgentMessage]:
        """Return the result when the stream has ended; without a reader, read it to its end."""
        if self._is_read:
            while not self._ended:
                await self._wait()
        else:
            async for _ in self:
                pass
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self._result

    async def aclose(self) -> None:
        """Cancel the run behind the stream, if there is one, and wait for its end."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait({task})
        self.end(self._result)

    async def _wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
