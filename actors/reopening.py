"""What a process that ended left to do, read from its log. Pure.

The machines are stepped through the records as in a replay. A step may have decided several events
and the crash kept only the first of them: the others are *missing*. A request whose answer is not
in the log is *open*.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tinyagent.actors.state import State
from tinyagent.events import Event, Record, UnknownEvent, encode, kinds as k
from tinyagent.runtime.errors import UnexpectedEventError
from tinyagent.runtime.loops import Machine


class Begun(msgspec.Struct, frozen=True):
    """A tool that was started and has not ended. ``effect``: as it was when it was started."""

    effect: k.Effect
    attempt: int


class Reopened(msgspec.Struct):
    """What there is to do before the session can go on.

    Attributes:
        began: number of the record that started the run that did not end; 0 if there is none.
        missing: inputs of the machine, each with what it decides after what is on record.
        diverged: today's code decides otherwise than the log says.
        too_new: a record that nobody can do without, and that this release cannot read.
        requests: what was asked and not answered, in log order.
        started: calls whose tool had begun, by id.
        attempts: how often each open model call was made, by its number.
        cancelled: the record that asked the run to stop.
    """

    began: int = 0
    missing: list[tuple[Record, tuple[Event, ...]]] = []
    diverged: bool = False
    too_new: Record | None = None
    requests: list[Record] = []
    started: dict[str, Begun] = {}
    attempts: dict[int, int] = {}
    cancelled: Record | None = None


def reopened(records: Sequence[Record], machine: Machine[State]) -> Reopened:
    """Step *machine*, which is new, through *records*; return what they leave to do.

    What is open is found later, by ``look_for_open``: what is missing may ask for more.
    """
    found = Reopened()
    recorded: dict[int, list[Event]] = {}
    inputs: list[Record] = []
    for record in records:
        event = record.event
        if type(event) is UnknownEvent:
            if _is_needed(event, machine):
                found.too_new = record
                return found
        elif event.kind in machine.decisions:
            recorded.setdefault(record.cause, []).append(event)
        elif event.kind in machine.inputs:
            inputs.append(record)
    for record in inputs:
        was_idle = machine.state.phase == "idle"
        try:
            decided = machine.take(record)
        except UnexpectedEventError:
            found.diverged = True
            return found
        if was_idle and (decided or machine.state.phase != "idle"):
            found.began = record.seq  # not by configuration that came behind an unwritten end
        kept = recorded.get(record.seq, ())
        if len(kept) > len(decided) or not all(map(_same, kept, decided)):
            found.diverged = True
            return found
        if len(kept) < len(decided):
            found.missing.append((record, decided[len(kept) :]))
    if machine.state.phase == "idle" and not found.missing:
        found.began = 0
    return found


def _is_needed(event: UnknownEvent, machine: Machine[State]) -> bool:
    """Whether nobody can go on without *event*, which this release cannot read.

    It says so (``"must": true``), or is a newer version of what the machine reads or writes. Any
    other unknown record is skipped, and kept.
    """
    if event.kind in machine.inputs or event.kind in machine.decisions:
        return True
    told = msgspec.json.decode(event.raw)
    return isinstance(told, dict) and told.get("must") is True


def look_for_open(
    found: Reopened, records: Sequence[Record], state: State, *, shared: int = 0
) -> None:
    """Fill in what is open after *records*, at the end of which the machine is in *state*.

    Records up to *shared* are a parent's: this log has made none of its calls.
    """
    if state.is_at_rest:
        return
    asked: dict[int, Record] = {}
    for record in records:
        if record.seq < found.began:
            continue
        match record.event:
            case k.HostAsked(hook="get_api_key"):
                pass  # the streamer's own question; it asks again
            case k.ModelRequested():
                asked[record.seq] = record
                found.attempts[record.seq] = int(record.seq > shared)
            case k.HostAsked() | k.ToolRequested():
                asked[record.seq] = record
            case k.ToolInDoubt(call_id=call_id, asks=asks):
                asked.pop(record.cause, None)
                found.started.pop(call_id, None)
                if asks:
                    asked[record.seq] = record
            case k.ModelRetrying(attempt=attempt):
                found.attempts[record.cause] = attempt
            case k.ToolStarted(call_id=call_id, effect=effect, attempt=attempt):
                found.started[call_id] = Begun(effect, attempt)
            case k.CancelRequested():
                found.cancelled = record
            case k.ToolFinished(call_id=call_id) | k.ToolFailed(call_id=call_id):
                asked.pop(record.cause, None)
                found.started.pop(call_id, None)
            case k.ModelFinished() | k.ModelFailed() | k.HostAnswered() | k.HostFailed():
                asked.pop(record.cause, None)
            case k.ToolReconciled():
                asked.pop(record.cause, None)
            case _:
                pass
    found.requests = [record for record in asked.values() if _is_awaited(record, state)]


def _is_awaited(request: Record, state: State) -> bool:
    """Whether the machine waits for an answer. A call of a fork may wait for a person instead."""
    if not isinstance(request.event, k.ToolRequested):
        return True
    call = state.calls.get(request.event.call_id)
    return call is not None and call.phase == "open"


def _same(recorded: Event, now: Event) -> bool:
    return recorded == now or encode(recorded) == encode(now)


def newer(where: str, record: Record) -> str:
    """Return why the log at *where* cannot be gone on with: *record* is of a newer release."""
    event = record.event
    assert isinstance(event, k.UnknownEvent)
    return (
        f"{where}: record {record.seq} {event.kind} version {event.v} is of a newer release and "
        "the session cannot go on without it; nothing was appended; resume with that release "
        "(loading and forking before the record still work)"
    )
