"""A worker at work: what it has to say to each request, in a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from tinyagent.events import Event, Record
from tinyagent.runtime.diagnostics import HANDLED, Handled

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
    called back by one that ends well; what one raises brings down the stage.

    Attributes:
        name: of the worker. count: how many answers are under way.
    """

    __slots__ = ("_worker", "count", "kinds", "name", "stage")

    def __init__(self, worker: Worker, kinds: frozenset[str], stage: Stage) -> None:
        self._worker = worker
        self.name = worker.name
        self.kinds = kinds
        self.stage = stage
        self.count = 0

    def __len__(self) -> int:
        """Return how many records wait: none ever does."""
        return 0

    def post(self, record: Record) -> None:
        """Let the worker take *record*."""
        if self.stage.is_stopped:
            return
        if self._worker.is_asked(record.event):
            self.count += 1
            voice, named = Voice(self, record), f"{self.name} answers {record.seq}"
            self.begin(voice, partial(self._answer, voice, record), named)
        else:
            self._worker.fold(record)

    def begin(self, voice: Voice, answer: Answer, name: str) -> None:
        """Let *answer* speak with *voice*, in a task called *name*."""
        self.stage.speak(voice, self._say(voice, answer, voice.hands), name)

    async def _say(self, voice: Voice, answer: Answer, hands: int) -> None:
        HANDLED.set(voice.handled())
        try:
            await answer()
        except BaseException as error:
            is_heard = voice.hands == hands
            if is_heard and not isinstance(error, asyncio.CancelledError):
                self.stage.fail(error)
            raise
        if voice.hands == hands:
            self.count -= 1
            self.stage.leave(voice.task)

    async def _answer(self, voice: Voice, record: Record) -> None:
        answer, journal = self._worker.answer(record, voice), self.stage.journal
        try:
            # What was said already waits for the disk together with the request.
            if voice.last is not record and not journal.has_reached(voice.last):
                await journal.reached(voice.last)
            if not journal.has_reached(record):
                await journal.reached(record)
            await answer
        finally:
            answer.close()  # it may never have begun


class Voice:
    """Says what comes of one request, for the worker that answers it.

    Attributes:
        seq: number of the request. last: the request, or what was said last.
        task: speaks with it; hands: how often another one has taken that over.
        is_away: code of somebody else is awaited; who ends the session does not wait for that.
    """

    __slots__ = ("_answers", "_journal", "hands", "is_away", "last", "seq", "task")
    task: asyncio.Task[None]

    def __init__(self, answers: Answers, request: Record) -> None:
        self._answers = answers
        self._journal = answers.stage.journal
        self.seq = request.seq
        self.last = request
        self.hands = 0
        self.is_away = False

    @property
    def is_over(self) -> bool:
        """Whether the session is being ended: nothing more is to be said."""
        return self._answers.stage.is_over

    @property
    def is_alone(self) -> bool:
        """Whether the worker answers nothing else now."""
        return self._answers.count == 1

    def hand_over(self, answer: Answer, name: str) -> None:
        """Let *answer* say the rest, in a task called *name*.

        Nobody waits any more for the task that has answered so far, nor hears what it raises.
        """
        spoke = self.task
        self.is_away = False
        self.hands += 1
        self._answers.begin(self, answer, name)
        self._answers.stage.leave(spoke)

    def handled(self) -> Handled:
        """Return which record is answered, and by whom."""
        return Handled(self._journal.log.meta.log, self._journal.run, self._answers.name, self.seq)

    def say(self, event: Event, live: object = None) -> Record:
        """Append *event* at once, out of turn; return its record, which nobody has waited for."""
        self.last = record = self._journal.append(
            event, cause=self.seq, actor=self._answers.name, live=live
        )
        return record

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
