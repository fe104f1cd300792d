"""Ends a run whose cast was ended under it: its loop was closed, all its tasks were cancelled.

What was asked and not answered is answered as a cancel would have been, so that the log says how
the run ended, and the agent can be used again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinyagent.actors.gate import NOT_RUN
from tinyagent.actors.hooks import cancelled
from tinyagent.actors.reopening import Begun, Reopened, look_for_open, reopened
from tinyagent.actors.state import State
from tinyagent.actors.tools import CANCELLED, DOUBT
from tinyagent.actors.transports.failures import ABORTED
from tinyagent.events import Event, Failure, Record, kinds as k
from tinyagent.events.children import own
from tinyagent.events.sifted import Sifted
from tinyagent.runtime.errors import InvariantError
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.loops import Machine
from tinyagent.runtime.mailbox import Mailbox
from tinyagent.runtime.stores import as_record


async def close_run(machine: Machine[State], mail: Mailbox, journal: Journal, began: int) -> None:
    """Append what *machine* waits for in the run that began at record *began*. Never waits.

    Args:
        mail: the machine's own; nobody else reads it any more.
    """
    await _catch_up(machine, mail, journal)
    if not machine.state.is_at_rest and not machine.state.cancelled:
        journal.append(k.CancelRequested("closed"))
        await _catch_up(machine, mail, journal)
    while not machine.state.is_at_rest:
        found = Reopened(began=began)
        look_for_open(found, list(map(as_record, own(journal.log.read(began)))), machine.state)
        requests = [r for r in found.requests if not isinstance(r.event, k.TimerSet)]
        if not requests:
            told = f"the agent is {machine.state.phase}, and nothing is open; please report this"
            raise InvariantError(told)
        for request in requests:
            journal.append(_end(request.event, found.started), cause=request.seq)
        await _catch_up(machine, mail, journal)


async def close_cut_off(
    machine: Machine[State], journal: Journal, records: Sequence[Record]
) -> None:
    """End the run in *records* that was cut off, if there is one. *machine* is new."""
    found = reopened(Sifted(records), machine)
    mail = Mailbox(machine.name, machine.inputs)
    journal.join(mail)
    for record, decided in found.missing:
        for event in decided:
            journal.append(event, cause=record.seq, actor=machine.name)
    await close_run(machine, mail, journal, found.began)


async def _catch_up(machine: Machine[State], mail: Mailbox, journal: Journal) -> None:
    while len(mail) and (record := await mail.get()) is not None:
        for event in machine.take(record):
            journal.append(event, cause=record.seq, actor=machine.name)


def _end(asked: Event, started: Mapping[str, Begun]) -> Event:
    match asked:
        case k.ToolRequested(call_id=call_id, attempt=attempt):
            begun = started.get(call_id)
            if begun is not None and begun.effect == "write":
                return k.ToolInDoubt(call_id, "cancelled", attempt, DOUBT)
            told = NOT_RUN if begun is None else CANCELLED
            return k.ToolFailed(call_id, Failure("cancelled", told))
        case k.ToolInDoubt(call_id=call_id):
            return k.ToolReconciled(call_id, "unknown")
        case k.HostAsked(hook=hook, call_id=called):
            return k.HostFailed(hook, cancelled(hook), called)
        case _:
            return k.ModelFailed(Failure("cancelled", ABORTED))
