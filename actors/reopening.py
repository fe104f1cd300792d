"""What a process that ended left to do, read from its log. Pure.

The machines are stepped through the records as in a replay. A step may have decided several events
and the crash kept only the first of them: the others are *missing*. A request whose answer is not
in the log is *open*.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tinyagent.events import Event, Fact, Record, encode, kinds as k
from tinyagent.runtime.errors import UnexpectedEventError
from tinyagent.runtime.loops import Machine


class Begun(msgspec.Struct, frozen=True):
    """A tool that was started and has not ended. ``effect``: as it was when it was started."""

    effect: k.Effect
    attempt: int


class Reopened(msgspec.Struct):
    """What there is to do before the session can go on.

    Attributes:
        began: number of the record that started the run that did not end; 0 if none did.
        requests: what was asked and not answered, in log order.
        started: calls whose tool had begun, by id.
        attempts: how often each open model call was made, by its number.
        missing: inputs of the machine, each with what it decides after what is on record.
        cancelled: the record that asked the run to stop.
        diverged: today's code decides otherwise than the log says.
    """

    began: int = 0
    requests: list[Record] = []
    started: dict[str, Begun] = {}
    attempts: dict[int, int] = {}
    missing: list[tuple[Record, tuple[Event, ...]]] = []
    cancelled: Record | None = None
    diverged: bool = False

    @property
    def is_unfinished(self) -> bool:
        """Whether a run is under way."""
        return bool(self.requests or self.missing)


def reopened(records: Sequence[Record], machine: Machine[Any]) -> Reopened:
    """Step *machine*, which is new, through *records*; return what they leave to do."""
    found = Reopened()
    recorded: dict[int, list[Event]] = {}
    for record in records:
        if record.event.kind in machine.decisions:
            recorded.setdefault(record.cause, []).append(record.event)
    for record in records:
        if not isinstance(record.event, Fact) or record.event.kind not in machine.inputs:
            continue
        if machine.state.phase == "idle":
            found.began = record.seq
        try:
            decided = machine.take(record)
        except UnexpectedEventError:
            found.diverged = True
            return found
        kept = recorded.get(record.seq, [])
        if len(kept) > len(decided) or not all(map(_same, kept, decided)):
            found.diverged = True
            return found
        if len(kept) < len(decided):
            found.missing.append((record, decided[len(kept) :]))
    if machine.state.phase == "idle" and not found.missing:
        found.began = 0
    if not machine.state.is_at_rest:
        _look_for_open(found, [record for record in records if record.seq >= found.began])
    return found


def _look_for_open(found: Reopened, records: Sequence[Record]) -> None:
    open_: dict[int, Record] = {}
    for record in records:
        match record.event:
            case k.HostAsked(hook="get_api_key"):
                pass  # the streamer's own question; it asks again
            case k.ModelRequested():
                open_[record.seq] = record
                found.attempts[record.seq] = 1
            case k.HostAsked() | k.ToolRequested():
                open_[record.seq] = record
            case k.ToolInDoubt(call_id=call_id, asks=asks):
                open_.pop(record.cause, None)
                found.started.pop(call_id, None)
                if asks:
                    open_[record.seq] = record
            case k.ModelRetrying(attempt=attempt):
                found.attempts[record.cause] = attempt
            case k.ToolStarted(call_id=call_id, effect=effect, attempt=attempt):
                found.started[call_id] = Begun(effect, attempt)
            case k.CancelRequested():
                found.cancelled = record
            case k.ModelFinished() | k.ModelFailed() | k.HostAnswered() | k.HostFailed():
                open_.pop(record.cause, None)
            case k.ToolFinished(call_id=call_id) | k.ToolFailed(call_id=call_id):
                open_.pop(record.cause, None)
                found.started.pop(call_id, None)
            case k.ToolReconciled():
                open_.pop(record.cause, None)
            case _:
                pass
    found.requests = list(open_.values())


def _same(recorded: Event, now: Event) -> bool:
    return recorded == now or encode(recorded) == encode(now)
