"""How all actors work: a stage drives machines and serves workers. Sinks are fed beside it.

Nobody else writes an actor loop. What an actor raises ends the stage, and with it the session: it
is a bug, for what goes wrong at run time is an event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from functools import cache, partial
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from tinyagent.events import Event, Record
from tinyagent.runtime.answering import Answers, Live as Live, Voice as Voice
from tinyagent.runtime.diagnostics import HANDLED, Handled
from tinyagent.runtime.journal import Journal, Reader
from tinyagent.runtime.mailbox import Mailbox

S = TypeVar("S")


class Machine(Generic[S]):
    """Who decides: a pure ``step`` and the state that it made.

    Attributes:
        inputs: kinds that it reads. decisions: kinds that it writes.
        digest: tells two states apart, for reports; none if nobody needs to.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[S, Record], tuple[S, tuple[Event, ...]]],
        state: S,
        *,
        inputs: frozenset[str],
        decisions: frozenset[str],
        digest: Callable[[S], str] | None = None,
    ) -> None:
        self.name = name
        self.step = step
        self.state = state
        self.inputs = inputs
        self.decisions = decisions
        self.digest = digest

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


class Stage:
    """Where actors are at work while its context lasts: until it is closed and nobody speaks.

    It ends at once when an actor raises, or when the task is cancelled that made it: then all who
    speak are cancelled, and what was raised is raised in a group, as by a ``TaskGroup``. An actor
    has a task only while it has something to say; in mode ``strict`` also one that waits for the
    disk before the actor is given a record.

    Attributes:
        is_stopped: all who speak are cancelled, and nobody takes anything more.
        raised_by: the name of the actor that raised first, if one has.
        handled: says of whom, and of the number of a record, that he handles it in this run.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._home = copy_context()  # not that of whoever happens to post
        self._is_strict = journal.log.durability == "strict"
        self.handled = partial(Handled, journal.log.meta.log, journal.run)
        self._machine: _Stepping[Any] | None = None
        self._behind: list[Mailbox] = []  # of those who are given what is durable
        # Who speaks, in the order in which they began; who is done was cancelled, or raised.
        self._speaking: dict[asyncio.Task[None], Voice | None] = {}
        self._raised: list[BaseException] = []
        self.raised_by = ""
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._left: asyncio.Future[None] | None = None
        self.is_stopped = False

    @property
    def is_over(self) -> bool:
        """Whether all who speak are cancelled, or about to be."""
        return self.is_stopped or (self._task is not None and self._task.cancelling() > 0)

    def drive(self, machine: Machine[S], mailbox: Mailbox, before: Callable[[], None]) -> None:
        """Step *machine* on its records in log order and append what it decides.

        On what is there at once; then in batches: soon after a post, or at once when a worker has
        said something. *before* is called ahead of each step: there the session records what the
        host changed.
        """
        if self.is_stopped:
            return
        home = self._home.copy()
        stepping = _Stepping(machine, mailbox, self.journal, before, home, self)
        if self._is_strict:
            self._pass_on(mailbox, stepping.step, home)
        else:
            self._machine = stepping
            stepping.begin()

    def serve(self, worker: Worker, control: frozenset[str]) -> Reader:
        """Return who is to be posted what *worker* answers, and *control*, which it folds.

        Each request is answered in a task of its own, begun as it is posted; all else is folded
        at once.
        """
        answers = Answers(worker, _both(worker.requests, control), self)
        if not self._is_strict:
            return answers
        mailbox = Mailbox(worker.name, answers.kinds, control=control)
        self._pass_on(mailbox, answers.post, self._home.copy())
        return mailbox

    def speak(self, voice: Voice, saying: Coroutine[Any, Any, None], name: str) -> None:
        """Let *voice* speak in a new task, called *name*.

        The loop's task factory is not asked: an eager one would let it speak amid an append.
        """
        voice.task = asyncio.Task(saying, loop=self._loop, name=name, context=self._home.copy())
        self._speaking[voice.task] = voice

    def is_alone(self, voice: Voice) -> bool:
        """Say whether nobody else speaks for the worker of *voice*."""
        for other in self._speaking.values():
            if other is not None and other is not voice and other.name == voice.name:
                return False
        return True

    def leave(self, task: asyncio.Task[None]) -> None:
        """Wait no more for *task*: it has said all, or another one says the rest."""
        self._speaking.pop(task, None)
        if self._left is not None and not self._left.done():
            self._left.set_result(None)

    def fail(self, error: BaseException, name: str = "") -> None:
        """End all: the actor *name* raised *error*."""
        if not self._raised:
            self.raised_by = name
        self._raised.append(error)
        self._stop()

    def close(self) -> None:
        """Let all actors end, behind what they were posted and what they have to say to it."""
        if not self._closed.done():
            self._closed.set_result(None)
        for mailbox in self._behind:
            mailbox.close()

    async def __aenter__(self) -> Stage:
        """Return this."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for the end.

        Raises:
            BaseExceptionGroup: what was raised, in that order.
        """
        try:
            if error is None:
                await self._closed
                self.journal.settle()  # on what came behind the end, as of now
                self._rest()
                await self._silence()
            elif not isinstance(error, asyncio.CancelledError):
                self._raised.append(error)
        finally:
            self._stop()
            await self._silence()
            for task in self._speaking:
                if task.done() and not task.cancelled():
                    task.exception()  # it was heard
            self._speaking.clear()
            if self._raised:
                raise BaseExceptionGroup("unhandled errors of actors", self._raised)

    def _pass_on(self, mailbox: Mailbox, take: Callable[[Record], None], context: Context) -> None:
        """Let *take* have what is in *mailbox* and durable."""

        async def pass_on() -> None:
            try:
                while (record := await mailbox.get()) is not None:
                    try:
                        await self.journal.log.durable(record.seq)
                    except asyncio.CancelledError:
                        mailbox.put_back(record)  # for whoever ends the run in this one's place
                        raise
                    take(record)
            except (asyncio.CancelledError, GeneratorExit):
                raise
            except BaseException as error:
                self.fail(error, mailbox.name)
                raise

        self._behind.append(mailbox)
        if self._closed.done():
            mailbox.close()
        task = self._loop.create_task(pass_on(), name=mailbox.name, context=context)
        self._speaking[task] = None

    def _rest(self) -> None:
        """Let the machine step no more."""
        machine, self._machine = self._machine, None
        if machine is not None:
            machine.end()

    def _stop(self) -> None:
        if self.is_stopped:
            return
        self.is_stopped = True
        self._rest()
        if self._loop.is_closed():  # by hand, under the run: nobody can be told, or waited for
            self._speaking.clear()
            return
        self.close()
        for task in self._speaking:
            task.cancel()

    async def _silence(self) -> None:
        """Return when nobody speaks. Who is away is not waited for when all were cancelled."""
        while under_way := [
            task
            for task, voice in self._speaking.items()
            if not (task.done() or (self.is_stopped and voice is not None and voice.is_away))
        ]:
            self._left = self._loop.create_future()
            try:
                await asyncio.wait([*under_way, self._left], return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                if not self.is_stopped:  # else this is the end already
                    raise


@cache
def _both(requests: frozenset[str], control: frozenset[str]) -> frozenset[str]:
    """Return both in one, the same every time: it is looked up by it who reads what."""
    return requests | control


class _Stepping(Generic[S]):
    """Takes all records of a mailbox that are there, now or in the loop's next pass."""

    def __init__(
        self,
        machine: Machine[S],
        mailbox: Mailbox,
        journal: Journal,
        before: Callable[[], None],
        home: Context,
        stage: Stage,
    ) -> None:
        self._machine = machine
        self._mailbox = mailbox
        self._journal = journal
        self._before = before
        self._fail = stage.fail
        self._handled = stage.handled(machine.name, 0)
        self._is_stepping = False
        self._handle: asyncio.Handle | None = None
        self._loop = asyncio.get_running_loop()
        self._home = home  # not that of the worker that has spoken
        home.run(HANDLED.set, self._handled)

    def begin(self) -> None:
        """Step on what is there, and on what is posted from now on."""
        self._mailbox.attendant = self.soon
        self._journal.machines.append(self.now)
        self.now()

    def end(self) -> None:
        """Step no more."""
        self._mailbox.attendant = None
        self._journal.machines.remove(self.now)
        if self._handle is not None:
            self._handle.cancel()

    def soon(self) -> None:
        """Step in the next pass of the loop, unless somebody does so before."""
        if not (self._is_stepping or self._journal.is_settling or self._handle is not None):
            self._handle = self._loop.call_soon(self.now)

    def now(self) -> None:
        """Step until nothing is left; what is raised ends the stage, whoever made this call."""
        if self._handle is not None:
            self._handle.cancel()  # as this is it, or comes before it
            self._handle = None
        if self._is_stepping:
            return
        self._is_stepping = True
        try:
            self._home.run(self._step_on_all)
        except BaseException as error:
            self._fail(error)
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
