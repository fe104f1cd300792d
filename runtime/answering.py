"""A worker at work: what it has to say to each request, in a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from tinyagent.events import Event, Record
from tinyagent.runtime.diagnostics import HANDLED

if TYPE_CHECKING:
    from tinyagent.runtime.loops import Stage, Worker

Answer = Callable[[], Coroutine[Any, Any, None]]


class Live(NamedTuple):
    """An event, and the caller's own object that travels beside it in this process."""

    event: Event
    live: object


class Answers:
    """Reader of the journal: begins an answer to each request of a worker, folds all else.

    Both as it is posted: nothing waits here. An answer has a task of its own, and nobody is
    called back by one that ends well; what one raises ends the stage.
    """

    __slots__ = ("_stage", "_worker", "kinds", "name")

    def __init__(self, worker: Worker, kinds: frozenset[str], stage: Stage) -> None:
        self._worker = worker
        self._stage = stage
        self.name = worker.name
        self.kinds = kinds

    def __len__(self) -> int:
        """Return how many records wait: none ever does."""
        return 0

    def post(self, record: Record) -> None:
        """Let the worker take *record*."""
        worker = self._worker
        if self._stage.is_stopped:
            return
        if worker.is_asked(record.event):
            voice = Voice(self._stage, self.name, record)
            voice.begin(partial(worker.answer, record, voice), f"{self.name} answers {record.seq}")
        else:
            worker.fold(record)


class Voice:
    """Says what comes of one request, for the worker that answers it.

    Attributes:
        name: of the worker. seq: number of the request. last: the request, or what was said last.
        task: speaks with it; hands: how often another one has taken that over.
        is_away: code of somebody else is awaited; who ends the session does not wait for that.
    """

    __slots__ = ("_journal", "_stage", "hands", "is_away", "last", "name", "seq", "task")
    task: asyncio.Task[None]

    def __init__(self, stage: Stage, name: str, request: Record) -> None:
        self._stage = stage
        self._journal = stage.journal
        self.name = name
        self.seq = request.seq
        self.last = request
        self.hands = 0
        self.is_away = False

    @property
    def is_over(self) -> bool:
        """Whether the session is being ended: nothing more is to be said."""
        return self._stage.is_over

    @property
    def is_alone(self) -> bool:
        """Whether the worker answers nothing else now."""
        return self._stage.is_alone(self)

    def begin(self, answer: Answer, name: str) -> None:
        """Let *answer* speak, in a task called *name*.

        It is called there; what it returns is awaited when all that was said by then is as safe as
        its kind demands.
        """
        self._stage.speak(self, self._say(answer, self.hands), name)

    def hand_over(self, answer: Answer, name: str) -> None:
        """Let *answer* say the rest, in a task called *name*.

        Nobody waits any more for the task that has answered so far, nor hears what it raises.
        """
        spoke = self.task
        self.is_away = False
        self.hands += 1
        self.begin(answer, name)
        self._stage.leave(spoke)

    async def _say(self, answer: Answer, hands: int) -> None:
        HANDLED.set(self._stage.handled(self.name, self.seq))
        journal, asked = self._journal, self.last
        try:
            saying = answer()
            try:
                # What was said already waits for the disk together with the request.
                if self.last is not asked and not journal.has_reached(self.last):
                    await journal.reached(self.last)
                if not journal.has_reached(asked):
                    await journal.reached(asked)
                await saying
            finally:
                saying.close()  # it may never have begun
        except BaseException as error:
            is_heard = self.hands == hands
            if is_heard and not isinstance(error, asyncio.CancelledError | GeneratorExit):
                self._stage.fail(error, self.name)
            raise
        if self.hands == hands:
            self._stage.leave(self.task)

    def say(self, event: Event, live: object = None) -> Record:
        """Append *event* at once, out of turn; return its record, which nobody has waited for."""
        self.last = record = self._journal.append(event, cause=self.seq, actor=self.name, live=live)
        return record

    @property
    def is_safe(self) -> bool:
        """Whether what was said last is as safe as its kind demands."""
        return self._journal.has_reached(self.last)

    async def safe(self) -> None:
        """Return when that is so."""
        if not self.is_safe:
            await self._journal.reached(self.last)

    async def tell(self, item: Event | Live) -> None:
        """Append *item* and return when its record is as safe as its kind demands.

        Those who decide have taken their step by then.
        """
        event, live = item if isinstance(item, Live) else (item, None)
        journal = self._journal
        journal.is_settling = True  # or the machines would step soon, and find nothing to do
        try:
            said = self.say(event, live)
        finally:
            journal.is_settling = False
        journal.settle()
        if not journal.has_reached(said):
            await journal.reached(said)
