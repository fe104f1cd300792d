"""Ends a run whose cast was ended under it: its loop was closed, all its tasks were cancelled.

What was asked and not answered is answered as a cancel would have been, so that the log says how
the run ended, and the agent can be used again.
"""

from __future__ import annotations

from collections.abc import Iterator

from tinyagent.actors.hooks import cancelled
from tinyagent.actors.state import KEY, State
from tinyagent.actors.tools import CANCELLED, DOUBT, NOT_RUN
from tinyagent.actors.transports.failures import ABORTED
from tinyagent.events import Event, Failure, Record, kinds as k
from tinyagent.runtime.errors import InvariantError
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.loops import Machine
from tinyagent.runtime.mailbox import Mailbox
from tinyagent.runtime.stores import as_record


async def close_run(
    machine: Machine[State], mail: Mailbox, journal: Journal, *, first: int
) -> None:
    """Append what *machine* waits for in the run that began at record *first*. Never waits.

    Args:
        mail: the machine's own; nobody else reads it any more.
    """
    await _catch_up(machine, mail, journal)
    if machine.state.phase != "idle" and not machine.state.cancelled:
        journal.append(k.CancelRequested("closed"))
        await _catch_up(machine, mail, journal)
    while machine.state.phase != "idle":
        ends = list(_ends(as_record(stored) for stored in journal.log.read(first)))
        if not ends:
            raise InvariantError(f"the agent is {machine.state.phase}, and nothing is open")
        for cause, event in ends:
            journal.append(event, cause=cause)
        await _catch_up(machine, mail, journal)


async def _catch_up(machine: Machine[State], mail: Mailbox, journal: Journal) -> None:
    while len(mail) and (record := await mail.get()) is not None:
        for event in machine.take(record):
            journal.append(event, cause=record.seq, actor=machine.name)


def _ends(records: Iterator[Record]) -> Iterator[tuple[int, Event]]:
    """Yield the number of each request that is open after *records*, and its answer."""
    asked: dict[int, Event] = {}
    effects: dict[str, k.Effect] = {}
    for record in records:
        match record.event:
            case k.HostAsked(hook=hook) if hook == KEY:
                pass
            case k.ModelRequested() | k.HostAsked() | k.ToolRequested():
                asked[record.seq] = record.event
            case k.ToolStarted(call_id=call_id, effect=effect):
                effects[call_id] = effect
            case k.HostAnswered(hook=hook) | k.HostFailed(hook=hook) if hook == KEY:
                pass
            case (
                k.ModelFinished()
                | k.ModelFailed()
                | k.HostAnswered()
                | k.HostFailed()
                | k.ToolFinished()
                | k.ToolFailed()
                | k.ToolInDoubt()
            ):
                asked.pop(record.cause, None)
            case _:
                pass
    for seq, event in asked.items():
        yield seq, _end(event, effects)


def _end(asked: Event, effects: dict[str, k.Effect]) -> Event:
    match asked:
        case k.ToolRequested(call_id=call_id):
            effect = effects.get(call_id)
            if effect == "write":
                return k.ToolInDoubt(call_id, "cancelled", asked.attempt, DOUBT)
            told = NOT_RUN if effect is None else CANCELLED
            return k.ToolFailed(call_id, Failure("cancelled", told))
        case k.HostAsked(hook=hook, call_id=called):
            return k.HostFailed(hook, cancelled(hook), called)
        case _:
            return k.ModelFailed(Failure("cancelled", ABORTED))
