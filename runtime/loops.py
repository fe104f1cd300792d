"""The loops of all actors: ``drive`` a machine, ``serve`` a worker. Sinks are fed beside them.

Nobody else writes an actor loop. Each ends when its mailbox is closed and empty; what an actor
raises ends the loop, and with it the session: it is a bug, for what goes wrong at run time is
an event.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

from tinyagent.events import Event, Fact, Record
from tinyagent.runtime.diagnostics import HANDLED, Handled
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.mailbox import Mailbox

S = TypeVar("S")


class Live(NamedTuple):
    """An event, and the caller's own object that travels beside it in this process."""

    event: Event
    live: object


Say = Callable[[Event], None]
"""Appends an event at once, out of turn; its cause is the request being answered."""


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

    def fold(self, record: Record) -> None:
        """Take in *record*: configuration, or a cancel. Never waits."""
        ...

    def answer(self, record: Record, say: Say) -> AsyncIterator[Event | Live]:
        """Yield what comes of the request, last of all its end. The next item is asked for only
        when the record of the one before is as safe as its kind demands."""
        ...


async def drive(
    machine: Machine[S], mailbox: Mailbox, journal: Journal, before: Callable[[], None]
) -> None:
    """Step *machine* on its records in log order and append what it decides.

    *before* is called ahead of each step: there the session records what the host changed.
    """
    while (record := await _next(mailbox, journal)) is not None:
        HANDLED.set(Handled(journal.log.meta.log, journal.run, machine.name, record.seq))
        before()
        for event in machine.take(record):
            journal.append(event, cause=record.seq, actor=machine.name)


async def serve(worker: Worker, mailbox: Mailbox, journal: Journal) -> None:
    """Answer each request in a task of its own; fold everything else at once."""
    async with asyncio.TaskGroup() as answering:
        while (record := await _next(mailbox, journal)) is not None:
            event = record.event
            if isinstance(event, Fact) and event.kind in worker.requests:
                answering.create_task(
                    _answer(worker, record, journal), name=f"{worker.name} answers {record.seq}"
                )
            else:
                worker.fold(record)


async def _answer(worker: Worker, record: Record, journal: Journal) -> None:
    def say(event: Event) -> None:
        journal.append(event, cause=record.seq, actor=worker.name)

    HANDLED.set(Handled(journal.log.meta.log, journal.run, worker.name, record.seq))
    await journal.reached(record)
    async for item in worker.answer(record, say):
        event, live = item if isinstance(item, Live) else (item, None)
        said = journal.append(event, cause=record.seq, actor=worker.name, live=live)
        await journal.reached(said)


async def _next(mailbox: Mailbox, journal: Journal) -> Record | None:
    """Return the next record; in mode ``strict`` only when it is durable."""
    record = await mailbox.get()
    if record is not None and journal.log.durability == "strict":
        await journal.log.durable(record.seq)
    return record
