"""The answers of one worker that are under way, each in a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from tinyagent.runtime.diagnostics import HANDLED
from tinyagent.runtime.mailbox import Mailbox

if TYPE_CHECKING:
    from tinyagent.runtime.loops import Voice, Worker

Answer = Callable[[], Coroutine[Any, Any, None]]


class Answers:
    """The answers of a worker that are under way, each in a task of its own.

    What one raises ends them all, as in a ``TaskGroup``. But nobody is called back by one that
    ends well.
    """

    def __init__(self, worker: Worker, mailbox: Mailbox) -> None:
        self._name = worker.name
        self._mailbox = mailbox
        self._home = copy_context()  # not that of whoever happens to post
        self._loop = asyncio.get_running_loop()
        self._serving = asyncio.current_task()
        self._tasks: dict[Voice, asyncio.Task[None]] = {}  # in the order in which they began
        self._raised: list[BaseException] = []
        self._is_stopped = False
        self._handed_over: asyncio.Future[None] = self._loop.create_future()

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def is_over(self) -> bool:
        """Whether all are cancelled, or about to be."""
        is_cancelled = self._serving is not None and self._serving.cancelling() > 0
        return is_cancelled or self._is_stopped

    def begin(self, voice: Voice, answer: Answer, name: str) -> None:
        """Let *answer* speak with *voice*, in a task called *name*."""
        saying = self._say(voice, answer, voice.hands)
        self._tasks[voice] = voice.task = self._loop.create_task(
            saying, name=name, context=self._home.copy()
        )

    def hand_over(self, voice: Voice, answer: Answer, name: str) -> None:
        """As ``begin``, in the place of the task that spoke with *voice*: that is left alone."""
        voice.hands += 1
        self.begin(voice, answer, name)
        if not self._handed_over.done():
            self._handed_over.set_result(None)

    async def _say(self, voice: Voice, answer: Answer, hands: int) -> None:
        HANDLED.set(voice.handled())
        try:
            await answer()
        except BaseException as error:
            is_heard = voice.hands == hands
            if is_heard and not isinstance(error, asyncio.CancelledError):
                self._raised.append(error)
                self._stop()
            raise
        if voice.hands == hands:
            self._tasks.pop(voice, None)

    def _stop(self) -> None:
        self._is_stopped = True
        self._mailbox.close()
        for task in self._tasks.values():
            task.cancel()

    async def over(self) -> None:
        """Return when none is under way."""
        while under_way := [task for task in self._tasks.values() if not task.done()]:
            if self._handed_over.done():
                self._handed_over = self._loop.create_future()
            await asyncio.wait([*under_way, self._handed_over], return_when=asyncio.FIRST_COMPLETED)

    async def end(self) -> None:
        """Cancel what is under way, and wait for its end.

        Raises:
            BaseExceptionGroup: what some of them raised, in that order.
        """
        self._stop()
        self._tasks = {voice: it for voice, it in self._tasks.items() if not voice.is_away}
        await self.over()
        for task in self._tasks.values():
            if not task.cancelled():
                task.exception()  # it is among what they raised
        if self._raised:
            raise BaseExceptionGroup(f"unhandled errors in answers of {self._name}", self._raised)
