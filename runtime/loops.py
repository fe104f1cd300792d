"""The loops of all actors: ``drive`` a machine, ``serve`` a worker. Sinks are fed beside them.

Nobody else writes an actor loop. Each ends when its mailbox is closed and empty; what an actor
raises ends the loop, and with it the session: it is a bug, for what goes wrong at run time is
an event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

from tinyagent.events import Event, Record
from tinyagent.runtime.diagnostics import HANDLED, Handled
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.mailbox import Mailbox

S = TypeVar("S")


class Live(NamedTuple):
    """An event, and the caller's own object that travels beside it in this process."""

    event: Event
    live: object


class Voice:
    """Says what comes of one request, for the worker that answers it."""

    __slots__ = ("_journal", "_name", "_seq", "last")

    def __init__(self, journal: Journal, name: str, request: Record) -> None:
        self._journal = journal
        self._name = name
        self._seq = request.seq
        self.last = request

    def say(self, event: Event, live: object = None) -> Record:
        """Append *event* at once, out of turn; return its record, which nobody has waited for."""
        record = self._journal.append(event, cause=self._seq, actor=self._name, live=live)
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
    if journal.log.durability == "strict":
        while (record := await _durable(mailbox, journal)) is not None:
            _step(machine, record, journal, before)
        return
    stepping = _Stepping(machine, mailbox, journal, before)
    journal.machines.append(stepping.now)
    try:
        await mailbox.attend(stepping.soon)
        stepping.now()
    finally:
        stepping.end()
        journal.machines.remove(stepping.now)
    if stepping.failure is not None:
        raise stepping.failure


def _step(
    machine: Machine[S], record: Record, journal: Journal, before: Callable[[], None]
) -> None:
    HANDLED.set(Handled(journal.log.meta.log, journal.run, machine.name, record.seq))
    before()
    for event in machine.take(record):
        journal.append(event, cause=record.seq, actor=machine.name)


class _Stepping(Generic[S]):
    """Takes all records of a mailbox that are there, now or in the loop's next pass."""

    def __init__(
        self, machine: Machine[S], mailbox: Mailbox, journal: Journal, before: Callable[[], None]
    ) -> None:
        self._machine = machine
        self._mailbox = mailbox
        self._journal = journal
        self._before = before
        self._is_stepping = False
        self._handle: asyncio.Handle | None = None
        self._loop = asyncio.get_running_loop()
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
            _step(self._machine, record, self._journal, self._before)

    def end(self) -> None:
        """Step no more."""
        self._is_stepping = True
        if self._handle is not None:
            self._handle.cancel()


async def serve(worker: Worker, mailbox: Mailbox, journal: Journal) -> None:
    """Answer each request in a task of its own, begun as it is posted; fold all else at once."""
    answers = _Answers(worker, mailbox, journal)

    def take(record: Record) -> None:
        if worker.is_asked(record.event):
            answers.begin(record)
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


class _Answers:
    """The answers of a worker that are under way, each in a task of its own.

    What one raises ends them all, as in a ``TaskGroup``. But who ends well is forgotten in the
    same pass of the loop.
    """

    def __init__(self, worker: Worker, mailbox: Mailbox, journal: Journal) -> None:
        self._worker = worker
        self._mailbox = mailbox
        self._journal = journal
        self._home = copy_context()  # not that of whoever happens to post
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[asyncio.Task[None], None] = {}  # in the order in which they began
        self._raised: list[BaseException] = []

    def begin(self, record: Record) -> None:
        name = f"{self._worker.name} answers {record.seq}"
        answer = self._answer(record)
        self._tasks[self._loop.create_task(answer, name=name, context=self._home.copy())] = None

    async def _answer(self, record: Record) -> None:
        worker, journal = self._worker, self._journal
        HANDLED.set(Handled(journal.log.meta.log, journal.run, worker.name, record.seq))
        voice = Voice(journal, worker.name, record)
        answer = worker.answer(record, voice)
        try:
            # What was said already waits for the disk together with the request.
            for asked in (voice.last, record) if voice.last is not record else (record,):
                if not journal.has_reached(asked):
                    await journal.reached(asked)
            await answer
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                self._raised.append(error)
                self.stop()
            raise
        finally:
            answer.close()  # it may never have begun
        del self._tasks[cast("asyncio.Task[None]", asyncio.current_task())]

    def stop(self) -> None:
        """Cancel all that are under way; no more are asked for."""
        self._mailbox.close()
        for task in self._tasks:
            task.cancel()

    async def over(self) -> None:
        """Return when none is under way."""
        while under_way := [task for task in self._tasks if not task.done()]:
            await asyncio.wait(under_way)

    async def end(self) -> None:
        """Let none be under way.

        Raises:
            BaseExceptionGroup: what some of them raised, in that order.
        """
        self.stop()
        await self.over()
        for task in self._tasks:
            if not task.cancelled():
                task.exception()  # it is among what they raised
        if self._raised:
            told = f"unhandled errors in answers of {self._worker.name}"
            raise BaseExceptionGroup(told, self._raised)


async def _durable(mailbox: Mailbox, journal: Journal) -> Record | None:
    """Return the next record when it is durable: so in mode ``strict``."""
    record = await mailbox.get()
    if record is not None:
        await journal.log.durable(record.seq)
    return record
