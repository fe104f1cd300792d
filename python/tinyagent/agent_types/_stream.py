"""A stream of events with a result: pushed by a run, read by its consumer."""

from __future__ import annotations

import contextlib
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from tinyagent.agent_types._events import AgentEvent
from tinyagent.agent_types._messages import AgentMessage
from tinyagent.agent_types._module import Module

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = Module("asyncio")

EventStreamQueueItem: TypeAlias = AgentEvent | None


class EventStream:
    """An async iterator over events, and the result that the last of them carries.

    Can be made without a running loop. ``push``, ``end`` and ``set_exception`` never wait, and may
    be called from any thread. They are ordinary attributes: an instance's may be replaced, so who
    emits looks them up at each call.

    The *reader* is the task that last asked for an event, until it is done.
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
        self._failure: Exception | None = None
        self._is_told = False
        self._waiters: list[asyncio.Future[None]] = []
        self._changes = 0
        self._reader: asyncio.Task[object] | None = None
        self._room: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

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
        """End the stream after what is queued by raising *exc*, once; ignored if it has ended."""
        if not self._ended:
            self._ended, self._failure = True, exc
            self._wake()

    def attach(self, task: asyncio.Task[None]) -> None:
        """Let *task* be the run behind this stream, which ``aclose`` cancels.

        So does the end of the last reference to the stream; *task* must not hold one.
        """
        self._task = task
        weakref.finalize(self, _abandon, task).atexit = False

    def room(self, behind_max: int) -> asyncio.Future[None] | None:
        """Return what to wait for if the reader is more than *behind_max* events behind.

        For a run's own loop; by then the reader may have fallen behind again.
        """
        if len(self._queue) <= behind_max:
            return None
        self._room = asyncio.get_running_loop().create_future()
        return self._room

    def __aiter__(self) -> AsyncIterator[AgentEvent]:
        """Return this stream."""
        return self

    async def __anext__(self) -> AgentEvent:
        """Return the next event.

        Raises:
            Exception: what ``set_exception`` was given, after the events before it.
        """
        self._read_by(asyncio.current_task())
        while True:
            seen = self._changes
            if self._queue:
                return self._take()
            if self._ended:
                self._tell()
                raise StopAsyncIteration
            await self._changed(seen)

    async def result(self) -> list[AgentMessage]:
        """Return the result when the stream has ended; ``[]`` if it ended without one.

        Without a reader, this reads the stream to its end. While another task is reading, no event
        is taken away from it: this only waits.

        Raises:
            Exception: what ``set_exception`` was given, unless a reader was told before this call.
        """
        was_told = self._is_told
        while True:
            seen = self._changes
            if self._is_read_elsewhere():
                # Of a failure the reader is told too, after the events it has not read yet.
                if self._ended:
                    break
            elif self._queue:
                self._take()
                continue
            elif self._ended:
                self._is_told = True
                break
            await self._changed(seen)
        if self._failure is not None and not was_told:
            raise self._failure
        return self._result

    async def aclose(self) -> None:
        """Cancel the run behind the stream, if there is one, and wait for its end."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait({task})
        self.end(self._result)

    def _take(self) -> AgentEvent:
        event = self._queue.popleft()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        if not self._ended and self._is_end_event(event):
            # Not by ``end``, which a host may have replaced to see what the run does.
            self._ended, self._result = True, self._get_result(event)
            self._wake()
        return event

    def _tell(self) -> None:
        if self._failure is not None and not self._is_told:
            self._is_told = True
            raise self._failure

    def _read_by(self, task: asyncio.Task[object] | None) -> None:
        if task is not self._reader:
            self._reader = task
            self._wake()
            if task is not None:
                # Whoever waits for the result reads on when the reader is gone. By a weak
                # reference: that a task once read a stream is no reason to keep it.
                task.add_done_callback(partial(_call, weakref.WeakMethod(self._wake)))

    def _is_read_elsewhere(self) -> bool:
        reader = self._reader
        return reader is not None and reader is not asyncio.current_task() and not reader.done()

    async def _changed(self, seen: int) -> None:
        """Wait until something has changed since the count *seen*."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            # Looked at after the waiter is in place: another thread may push at any moment.
            if self._changes == seen:
                await waiter
        finally:
            with contextlib.suppress(ValueError):
                self._waiters.remove(waiter)

    def _wake(self) -> None:
        self._changes += 1
        if not self._waiters:
            return
        waiters, self._waiters = self._waiters, []
        here = asyncio._get_running_loop()
        for waiter in waiters:
            loop = waiter.get_loop()
            if loop is here:
                _resolve(waiter)
            else:
                # A closed loop has nobody left who waits.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(_resolve, waiter)


def _call(method: weakref.WeakMethod[Callable[[], None]], _: object) -> None:
    bound = method()
    if bound is not None:
        bound()


def _abandon(task: asyncio.Task[None]) -> None:
    """Cancel the run behind a stream that nobody holds any more."""
    if not task.done():
        # A closed loop runs nothing.
        with contextlib.suppress(RuntimeError):
            task.get_loop().call_soon_threadsafe(task.cancel)


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
