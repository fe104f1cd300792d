"""What a process that ended left to do, read from its log. Pure.

The machines are stepped through the records as in a replay. A step may have decided several events
and the crash kept only the first of them: the others are *missing*. A request whose answer is not
in the log is *open*.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from tinyagent.actors.limits import is_cut
from tinyagent.actors.state import State, digest_of
from tinyagent.events import Event, Fact, Record, UnknownEvent, kinds as k
from tinyagent.events.codec import is_same_event
from tinyagent.events.sifted import Sifted
from tinyagent.runtime.chain import pruned_of
from tinyagent.runtime.errors import PrunedLogError, RunUnfinishedError, UnexpectedEventError
from tinyagent.runtime.loops import Machine
from tinyagent.runtime.stores import Log


class Begun(msgspec.Struct, frozen=True):
    """A tool that was started and has not ended. ``effect``: as it was when it was started."""

    effect: k.Effect
    attempt: int


class Reopened(msgspec.Struct):
    """What there is to do before the session can go on.

    Attributes:
        began: number of the record that started the run that did not end; 0 if there is none.
        is_broken: an error brought it down in this session, which cannot go on with it.
        missing: inputs of the machine, each with what it decides after what is on record.
        diverged: today's code decides otherwise than the log says.
        too_new: a record that nobody can do without, and that this release cannot read.
        requests: what was asked and not answered, in log order.
        started: calls whose tool had begun, by id.
        attempts: how often each open model call was made, by its number.
        cancelled: the record that asked the run to stop.
        unknown: calls whose arguments are on record only with masks, by id; see ``actors.masked``.
    """

    began: int = 0
    is_broken: bool = False
    missing: list[tuple[Record, tuple[Event, ...]]] = []
    diverged: bool = False
    too_new: Record | None = None
    requests: list[Record] = []
    started: dict[str, Begun] = {}
    attempts: dict[int, int] = {}
    cancelled: Record | None = None
    unknown: frozenset[str] = frozenset()

    def unfinished(self, where: str) -> RunUnfinishedError:
        """Return what is told of the run to who would begin another one."""
        return RunUnfinishedError(where, self.began, is_broken=self.is_broken)


def reopened(past: Sifted, machine: Machine[State]) -> Reopened:
    """Step *machine*, which is new, through the *past*; return what that leaves to do.

    What is open is found later, by ``look_for_open``: what is missing may ask for more.
    """
    found = Reopened()
    past = _behind_lost(past, machine, found)
    needed = (record for record in past.unknown if _is_needed(record.event, machine))
    found.too_new = next(needed, None)
    if found.too_new is not None:
        return found
    recorded = defaultdict[int, tuple[Event, ...]](tuple)
    for record in past.of(machine.decisions):
        recorded[record.cause] += (record.event,)
    step, state = machine.step, machine.state
    is_idle = state.phase == "idle"
    for record in past.of(machine.inputs):
        was_idle = is_idle
        try:
            state, decided = step(state, record)
        except UnexpectedEventError:
            found.diverged = True
            return found
        is_idle = state.phase == "idle"
        if was_idle and (decided or not is_idle):
            found.began = record.seq  # not by configuration that came behind an unwritten end
        kept = recorded.get(record.seq, ())
        if kept == decided:
            continue
        if len(kept) > len(decided) or not all(map(is_same_event, kept, decided)):
            found.diverged = True
            return found
        if len(kept) < len(decided):
            found.missing.append((record, decided[len(kept) :]))
    machine.state = state
    if is_idle and not found.missing:
        found.began = 0
    return found


def _behind_lost(past: Sifted, machine: Machine[State], found: Reopened) -> Sifted:
    """Take *machine* over the records that a repair gave up; return those to go on with.

    Nobody knows what was decided there. The run that the last gap lies in is taken as over: where
    the log says so, else it ends here, as failed. Behind it the agent is idle.
    """
    gaps = past.of([k.LogLost.kind])
    if not gaps:
        return past
    records = past.records
    at = records.index(gaps[-1])
    rest = records[at + 1 :]
    ends = (at for at, record in enumerate(rest) if _ends(record.event))
    end = next(ends, None)
    behind = len(rest) if end is None else end + 1
    before = [*records[: at + 1], *rest[:behind]]
    _follow(before, machine)
    if end is None and (start := _start(before, machine)):
        found.began = start
        found.missing.append((gaps[-1], _closing(before, machine.state)))
    return Sifted(rest[behind:])


def _follow(records: Sequence[Record], machine: Machine[State]) -> None:
    """Step through *records*, of which some are missing, and leave the machine idle."""
    n = 0
    for record in records:
        if isinstance(record.event, k.ModelRequested):
            n = max(n, record.event.n)
        if record.event.kind in machine.inputs and isinstance(record.event, Fact):
            with suppress(UnexpectedEventError):  # what would have made sense of it is lost
                machine.take(record)
    known = machine.state
    machine.state = State(
        n=max(n, known.n),
        hooks=known.hooks,
        modes=known.modes,
        limits=known.limits,
        guarded=known.guarded,
        model=known.model,
        final_tool=known.final_tool,
        compaction=known.compaction,
        output_retries_max=known.output_retries_max,
        approving=known.approving,
        effectful=known.effectful,
    )


def _ends(event: Event) -> bool:
    return isinstance(event, k.RunEnded) and event.outcome != "paused"


def _start(records: Sequence[Record], machine: Machine[State]) -> int:
    """Return the first record of the run that has no end in *records*; 0 if there is none."""
    start = 0
    for record in records:
        event = record.event
        if _ends(event):
            start = 0
        elif not start and (
            event.kind in machine.decisions
            or isinstance(event, k.UserContinued)
            or (isinstance(event, k.UserSaid) and event.via == "prompt")
        ):
            start = record.seq
    return start


def _closing(records: Sequence[Record], state: State) -> tuple[Event, ...]:
    """Return what ends the run, and its turn if one is open."""
    turns = [r.event for r in records if isinstance(r.event, k.ModelRequested | k.TurnEnded)]
    ended = k.RunEnded("failed", digest_of(state))
    if turns and isinstance(turns[-1], k.ModelRequested):
        return k.TurnEnded(state.n), ended
    return (ended,)


def _is_needed(event: Event, machine: Machine[State]) -> bool:
    """Whether nobody can go on without *event*, which this release cannot read.

    It says so (``"must": true``), or is a newer version of what the machine reads or writes. Any
    other unknown record is skipped, and kept.
    """
    if event.kind in machine.inputs or event.kind in machine.decisions:
        return True
    assert isinstance(event, UnknownEvent)
    told = msgspec.json.decode(event.raw)
    return isinstance(told, dict) and told.get("must") is True


def look_for_open(
    found: Reopened, records: Sequence[Record], state: State, *, sent: range = range(0)
) -> None:
    """Fill in what is open after *records*, at the end of which the machine is in *state*.

    *sent*: the records of an earlier process of this log. None but these asked anybody: neither
    those of a parent, nor those that were missing until now.
    """
    if state.is_at_rest:
        return
    asked: dict[int, Record] = {}
    for record in records:
        if record.seq < found.began:
            continue
        match record.event:
            case k.HostAsked(hook="get_api_key" | "message"):
                pass  # the streamer asks again; what was not recorded nobody said
            case k.ModelRequested():
                asked[record.seq] = record
                found.attempts[record.seq] = int(record.seq in sent)
            case k.HostAsked() | k.ToolRequested() | k.TimerSet():
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
            case event if is_cut(event):
                found.cancelled = record
            case k.ToolFinished(call_id=call_id) | k.ToolFailed(call_id=call_id):
                asked.pop(record.cause, None)
                found.started.pop(call_id, None)
            case k.ModelFinished() | k.ModelFailed() | k.HostAnswered() | k.HostFailed():
                asked.pop(record.cause, None)
            case k.ToolReconciled() | k.TimerFired():
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


def check_beginning(log: Log) -> None:
    """Raise if the first records of *log* were removed on purpose.

    Raises:
        PrunedLogError: they were.
    """
    if (pruned := pruned_of(log.meta)) is not None:
        raise PrunedLogError(log.where, pruned.upto, "a session needs what it began with")


def newer(where: str, record: Record) -> str:
    """Return why the log at *where* cannot be gone on with: *record* is of a newer release."""
    event = record.event
    assert isinstance(event, k.UnknownEvent)
    return (
        f"{where}: record {record.seq} {event.kind} version {event.v} is of a newer release and "
        "the session cannot go on without it; nothing was appended; resume with that release "
        "(loading and forking before the record still work)"
    )
