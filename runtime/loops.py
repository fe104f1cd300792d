"""The loops of all actors: ``drive`` a machine, ``serve`` a worker. Sinks are fed beside them.

Nobody else writes an actor loop. Each ends when its mailbox is closed and empty; what an actor
raises ends the loop, and with it the session: it is a bug, for what goes wrong at run time is
an event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from functools import partial
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from tinyagent.events import Event, Record
from tinyagent.runtime.answering import Answer, Answers
from tinyagent.runtime.diagnostics import HANDLED, Handled
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.mailbox import Mailbox

S = TypeVar("S")


class Live(NamedTuple):
    """An event, and the caller's own object that travels beside it in this process."""

    event: Event
    live: object


class Voice:
    """Says what comes of one request, for the worker that answers it.

    Attributes:
        seq: number of the request. last: the request, or what was said last.
        task: speaks with it; hands: how often another one has taken that over.
        is_away: code of somebody else is awaited; who ends the session does not wait for that.
    """

    __slots__ = ("_answers", "_journal", "_name", "hands", "is_away", "last", "seq", "task")
    task: asyncio.Task[None]

    def __init__(self, journal: Journal, name: str, request: Record, answers: Answers) -> None:
        self._journal = journal
        self._name = name
        self._answers = answers
        self.seq = request.seq
        self.last = request
        self.hands = 0
        self.is_away = False

    @property
    def is_over(self) -> bool:
        """Whether the session is being ended: nothing more is to be said."""
        return self._answers.is_over

    @property
    def is_alone(self) -> bool:
        """Whether the worker answers nothing else now."""
        return len(self._answers) == 1

    def hand_over(self, answer: Answer, name: str) -> None:
        """Let *answer* say the rest, in a task called *name*.

        Nobody waits any more for the task that has answered so far, nor hears what it raises.
        """
        self.is_away = False
        self._answers.hand_over(self, answer, name)

    def handled(self) -> Handled:
        """Return which record is answered, and by whom."""
        return Handled(self._journal.log.meta.log, self._journal.run, self._name, self.seq)

    def say(self, event: Event, live: object = None) -> Record:
        """Append *event* at once, out of turn; return its record, which nobody has waited for."""
        record = self._journal.append(event, cause=self.seq, actor=self._name, live=live)
        self.last = record
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


class Machine(Generic[S]):
    """Who decides: a pure ``step`` and the state that it made.

    Attributes:
        inputs: kinds that it reads. decisions: kinds that it writes.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[S, Record], tuple[S, tuple[Event, ...]]],
        state: S,
        *,
        inputs: frozenset[str],
        decisions: frozenset[str],
    ) -> None:
        self.name = name
        self.step = step
        self.state = state
        self.inputs = inputs
        self.decisions = decisions

    def take(self, record: Record) -> tuple[Event, ...]:
        """Step on *record* and return what was decided."""
        self.state, decided = self.step(self.state, record)
        return decided


class Worker(Protocol):
    """Who acts: waits for the world and says what came of it."""

    @property
    def name(self) -> str:
        """Name of the actor."""
        ...

    @property
    def requests(self) -> frozenset[str]:
        """Kinds that it answers."""
        ...

    def is_asked(self, event: Event) -> bool:
        """Say whether *event*, of a kind that it answers, is for it to answer."""
        ...

    def fold(self, record: Record) -> None:
        """Take in *record*, which asks nothing: configuration, or a cancel. Never waits."""
        ...

    def answer(self, record: Record, voice: Voice) -> Coroutine[Any, Any, None]:
        """Tell what comes of the request, last of all its end.

        Called as soon as the request is recorded; what it says before it returns is recorded with
        it. What it returns is awaited when both are as safe as their kinds demand.
        """
        ...


async def drive(
    machine: Machine[S], mailbox: Mailbox, journal: Journal, before: Callable[[], None]
) -> None:
    """Step *machine* on its records in log order and append what it decides.

    *before* is called ahead of each step: there the session records what the host changed. Steps
    are made in batches: soon after a post, or at once when a worker has said something.
    """
    stepping = _Stepping(machine, mailbox, journal, before)
    if journal.log.durability == "strict":
        while (record := await _durable(mailbox, journal)) is not None:
            stepping.step(record)
        return
    journal.machines.append(stepping.now)
    try:
        await mailbox.attend(stepping.soon)
        stepping.now()
    finally:
        stepping.end()
        journal.machines.remove(stepping.now)
    if stepping.failure is not None:
        raise stepping.failure


class _Stepping(Generic[S]):
    """Takes all records of a mailbox that are there, now or in the loop's next pass."""

    def __init__(
        self, machine: Machine[S], mailbox: Mailbox, journal: Journal, before: Callable[[], None]
    ) -> None:
        self._machine = machine
        self._mailbox = mailbox
        self._journal = journal
        self._before = before
        self._handled = Handled(journal.log.meta.log, journal.run, machine.name, 0)
        self._is_stepping = False
        self._handle: asyncio.Handle | None = None
        self._loop = asyncio.get_running_loop()
        HANDLED.set(self._handled)
        self._home = copy_context()  # not that of the worker that has spoken
        self.failure: BaseException | None = None

    def soon(self) -> None:
        if not (self._is_stepping or self._journal.is_settling or self._handle is not None):
            self._handle = self._loop.call_soon(self.now)

    def now(self) -> None:
        """Step until nothing is left; what is raised ends the loop, whoever made this call."""
        self._handle = None
        if self._is_stepping or self.failure is not None or not self._mailbox:
            return
        self._is_stepping = True
        try:
            self._home.run(self._step_on_all)
        except BaseException as error:
            self.failure = error
            self._mailbox.close()
        finally:
            self._is_stepping = False

    def _step_on_all(self) -> None:
        while (record := self._mailbox.take()) is not None:
            self.step(record)

    def step(self, record: Record) -> None:
        """Step on *record* and append what is decided."""
        self._handled.seq = seq = record.seq
        self._before()
        machine = self._machine
        for event in machine.take(record):
            self._journal.append(event, cause=seq, actor=machine.name)

    def end(self) -> None:
        """Step no more."""
        self._is_stepping = True
        if self._handle is not None:
            self._handle.cancel()


async def serve(worker: Worker, mailbox: Mailbox, journal: Journal) -> None:
    """Answer each request in a task of its own, begun as it is posted; fold all else at once."""
    answers = Answers(worker, mailbox)

    def take(record: Record) -> None:
        if worker.is_asked(record.event):
            voice = Voice(journal, worker.name, record, answers)
            named = f"{worker.name} answers {record.seq}"
            answers.begin(voice, partial(_answer, worker, record, voice, journal), named)
        else:
            worker.fold(record)

    def take_all() -> None:
        while (record := mailbox.take()) is not None:
            take(record)

    try:
        if journal.log.durability == "strict":
            while (record := await _durable(mailbox, journal)) is not None:
                take(record)
        else:
            await mailbox.attend(take_all)
        await answers.over()
    finally:
        await answers.end()


async def _answer(worker: Worker, record: Record, voice: Voice, journal: Journal) -> None:
    answer = worker.answer(record, voice)
    try:
        # What was said already waits for the disk together with the request.
        if voice.last is not record and not journal.has_reached(voice.last):
            await journal.reached(voice.last)
        if not journal.has_reached(record):
            await journal.reached(record)
        await answer
    finally:
        answer.close()  # it may never have begun


async def _durable(mailbox: Mailbox, journal: Journal) -> Record | None:
    """Return the next record when it is durable: so in mode ``strict``."""
    record = await mailbox.get()
    if record is not None:
        await journal.log.durable(record.seq)
    return record
