"""What happens next: the agent as a pure function of its state and the next record.

::

    idle -- user.said --> (poll) --> (context, request) --> thinking -- model.finished --> acting
     ^                                                         |                             |
     |                                                         | no calls                    | last
     +------- run.ended <-- (poll) <-- (stop?) <-- turn.ended <-- (poll) <-- (after) --------+

Steps in brackets happen only if the host installed their hook. The state refers to content by
number, never by value; it holds no text, no time, no bytes. So the same records give the same
decisions, today and in a replay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace as _set

from tinyagent.actors import compaction, gate, limits, output
from tinyagent.actors.configured import configured
from tinyagent.actors.gate import Decided
from tinyagent.actors.state import (
    AFTER,
    APPROVAL,
    BATCH,
    BEFORE,
    CONTEXT,
    FOLLOW_UP,
    KEY,
    MESSAGE,
    OUTPUT,
    PHASES,
    REQUEST,
    STEERING,
    STOP,
    UNKNOWN,
    CallState,
    State,
    digest_of,
)
from tinyagent.events import Record, kinds as k
from tinyagent.runtime.errors import UnexpectedEventError

STATE_EVERY = 16
"""Every so many turns ``turn.ended`` carries a digest of the state."""


Step = Callable[[State, Any, int], tuple[State, Decided]]
"""What an event changes: the state before, the event, the number of its record."""


def step(state: State, record: Record) -> tuple[State, Decided]:
    """Return the state after *record*, and what to append to the log because of it.

    Raises:
        UnexpectedEventError: the record cannot follow those before it.
    """
    event = record.event
    take = _IN_PHASE[state.phase].get(type(event))
    if take is None:
        raise UnexpectedEventError(state.phase, event.kind, record.seq)
    return take(state, event, record.seq)


def _configured(
    state: State, event: k.SessionStarted | k.ConfigChanged, seq: int
) -> tuple[State, Decided]:
    if isinstance(event, k.ConfigChanged) and event.set.get("guarded") is True:
        state, decided = gate.guarded(state)
        return _onward(state, decided) if state.phase == "acting" else (state, decided)
    return configured(state, event), ()


def _said(state: State, event: k.UserSaid, seq: int) -> tuple[State, Decided]:
    if event.via == "steer":
        return _set(state, steering=(*state.steering, seq)), ()
    if event.via == "follow_up":
        return _set(state, follow_ups=(*state.follow_ups, seq)), ()
    return _begun(state, event, seq)


def _begun(state: State, event: k.UserSaid | k.UserContinued, seq: int) -> tuple[State, Decided]:
    goes_on = isinstance(event, k.UserContinued)
    if state.phase == "paused":
        state = _set(state, phase="acting")
        moved = gate.taken_up(state) if goes_on else gate.given_up(state)
        return _onward(*_joined(limits.begun(state), moved))
    if state.phase != "idle":
        return state, ()  # one more prompt of the run that the prompt before it started
    used = {} if goes_on and state.over else limits.UNUSED
    state = _set(state, poll="start", calls={}, cancelled=False, over="", **used)
    return _joined(limits.begun(state), _poll(state, "start"))


def _withdrawn(state: State, event: k.UserWithdrawn, seq: int) -> tuple[State, Decided]:
    gone = set(event.said)
    steering = tuple(s for s in state.steering if s not in gone)
    follow_ups = tuple(s for s in state.follow_ups if s not in gone)
    return _set(state, steering=steering, follow_ups=follow_ups), ()


# Queues


def _poll(state: State, where: str) -> tuple[State, Decided]:
    if STEERING in state.hooks:
        return _ask(_set(state, poll=where), STEERING)
    return _polled(state, where)


def _polled(state: State, where: str) -> tuple[State, Decided]:
    if state.steering:
        taken, left = _take(state.steering, state.modes[0])
        state = _set(state, poll=where, pending=taken, steering=left)
    elif where == "turn" and not state.pending and FOLLOW_UP not in state.hooks:
        return _followed(state)  # at once: mostly the run ends, and where it was polled is gone
    elif state.pending or state.poll != where:
        state = _set(state, poll=where, pending=())
    if where == "batch":
        return _end_turn(state, "")
    if where == "start" or state.pending:
        return _think(state)
    if FOLLOW_UP in state.hooks:
        return _ask(state, FOLLOW_UP)
    return _followed(state)


def _followed(state: State) -> tuple[State, Decided]:
    if not state.follow_ups:
        return _end_run(state, "answered")
    taken, left = _take(state.follow_ups, state.modes[1])
    return _think(_set(state, poll="turn", pending=taken, follow_ups=left))


def _take(queue: tuple[int, ...], mode: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (queue[:1], queue[1:]) if mode == "one-at-a-time" else (queue, ())


# Model


def _think(state: State, answered: str = "") -> tuple[State, Decided]:
    """Ask the model, unless a limit forbids it; *answered*: the hook that has just answered."""
    decided: Decided = ()
    if not answered:
        over = limits.crossed(state)
        if over is not None:
            return _end_run(state, "over_budget", over)
        if state.pending:
            decided = (k.UserDelivered(list(state.pending)),)
            state = _set(state, pending=())
        if state.compaction:
            state, edited = compaction.compacted(state)
            decided += edited
        if CONTEXT in state.hooks:
            state, asked = _ask(state, CONTEXT)
            return state, decided + asked
    if REQUEST in state.hooks and answered != REQUEST:
        state, asked = _ask(state, REQUEST)
        return state, decided + asked
    n = state.n + 1
    state = _set(
        state, phase="thinking", asking="", n=n, turns=state.turns + 1, calls={}, instead={}
    )
    return state, (*decided, k.ModelRequested(n))


def _answered(state: State, event: k.ModelFinished, seq: int) -> tuple[State, Decided]:
    if state.compaction:
        state = compaction.measured(state, event.usage)
    state, refused = limits.counted(state, event)
    if not event.calls:
        if output.is_wanted(state):
            return _ask(state, OUTPUT)
        return _end_turn(state, "cancelled" if state.cancelled else "")
    if BATCH in state.hooks and not state.cancelled and not refused:
        calls = {ref.id: CallState(ref.id, ref.name) for ref in event.calls}
        return _ask(_set(state, calls=calls, left=len(calls)), BATCH)
    state, decided = gate.answered(state, event, refused)
    if not state.cancelled:
        return _onward(state, decided)
    state, ended = _end_turn(state, "cancelled")
    return state, decided + ended


def _unanswered(state: State, event: k.ModelFailed, seq: int) -> tuple[State, Decided]:
    state = limits.charged(state, event.usage) if state.over else state
    return _end_turn(state, "cancelled" if state.cancelled else "failed")


# Tools


def _approved(state: State, event: k.ApprovalDecided, seq: int) -> tuple[State, Decided]:
    state, decided = gate.approved(state, event)
    return _onward(state, decided) if state.phase == "acting" else (state, decided)


def _onward(state: State, decided: Decided) -> tuple[State, Decided]:
    """Go on when the last call has ended; pause when all that are left wait for a person."""
    if state.left > state.waiting:
        return state, decided
    if state.left and not state.cancelled:
        state, more = _end_run(state, "paused")
        return state, decided + more
    if state.left:
        return _onward(*_joined(decided, gate.given_up(state)))
    if state.cancelled:
        state, more = _end_turn(state, "cancelled")
    elif AFTER in state.hooks:
        state, more = _ask(_set(state, revising=0), AFTER, next(iter(state.calls)))
    else:
        state, more = _batch_over(state)
    return state, decided + more


def _joined(decided: Decided, moved: tuple[State, Decided]) -> tuple[State, Decided]:
    return moved[0], decided + moved[1]


def _batched(state: State, event: k.HostAnswered) -> tuple[State, Decided]:
    """The host ran the whole batch: its results end the calls; without any the run is over."""
    results = {result["call_id"]: result for result in event.ops or ()}
    calls = {
        call.id: CallState(call.id, call.name, "ended", results[call.id].get("terminate", False))
        for call in state.calls.values()
        if call.id in results
    }
    ended = tuple(k.ToolBlocked(by="hook", **results[call_id]) for call_id in calls)
    state = _set(state, calls=calls)
    state, more = _batch_over(state) if calls else _end_turn(state, "answered")
    return state, ended + more


def _revised(state: State, event: k.HostAnswered | k.HostFailed) -> tuple[State, Decided]:
    """An after-hook has answered about one result: the next is asked, or the batch is over."""
    at = state.revising
    if isinstance(event, k.HostAnswered) and event.terminate:
        call = tuple(state.calls.values())[at]
        over = CallState(call.id, call.name, "ended", True)
        state = _set(state, calls={**state.calls, call.id: over})
    if state.cancelled:
        return _end_turn(state, "cancelled")
    if at + 1 < len(state.calls):
        return _ask(_set(state, revising=at + 1), AFTER, tuple(state.calls)[at + 1])
    return _batch_over(state)


def _batch_over(state: State) -> tuple[State, Decided]:
    if state.over:
        return _end_turn(state, "over_budget", limits.told(state))
    if output.is_given(state):
        return _ask(state, OUTPUT)
    if state.is_terminal:
        return _end_turn(state, "stopped")
    return _poll(state, "batch")


# Hooks, ends

_ABOUT_CALLS = (BEFORE, UNKNOWN, APPROVAL)


def _ask(state: State, hook: str, call_id: str | None = None) -> tuple[State, Decided]:
    return _set(state, phase="asking", asking=hook), (k.HostAsked(hook, call_id),)


def _hooked(state: State, event: k.HostAnswered | k.HostFailed, seq: int) -> tuple[State, Decided]:
    if event.hook in (KEY, MESSAGE):
        return state, ()  # between the streamer, or who hears the users, and the host
    if event.hook in _ABOUT_CALLS and state.phase == "acting":
        about = gate.gated if event.hook == BEFORE else gate.decided_by_host
        return _onward(*about(state, event))
    if state.phase != "asking" or event.hook != state.asking:
        raise UnexpectedEventError(f"{state.phase} {state.asking}", event.kind, seq)
    state = _set(state, asking="")
    if event.hook == AFTER:
        return _revised(state, event)
    if state.cancelled:
        return _end_run(state, "cancelled")
    if isinstance(event, k.HostFailed):
        return _end_run(state, "failed")
    match event.hook:
        case "get_steering_messages":
            return _polled(state, state.poll)
        case "get_follow_up_messages":
            return _followed(state)
        case "context" | "request":
            return _think(state, event.hook)
        case "execute_tool_calls":
            return _batched(state, event)
        case "output":
            return _judged(state, event)
        case _:
            return _end_run(state, "stopped") if event.stop else _go_on(state)


def _judged(state: State, event: k.HostAnswered) -> tuple[State, Decided]:
    """The answer was held against its form: the turn is over, and perhaps there is another."""
    state, verdict = output.judged(state, event)
    if verdict != "again":
        return _end_turn(state, "" if verdict == "accepted" else "failed")
    n = state.n
    state, decided = _think(state)
    return state, (_turn_ended(state, n), *decided)


def _end_turn(state: State, outcome: str, *because: k.BudgetExceeded) -> tuple[State, Decided]:
    """Close the turn; with an *outcome* the run ends too, else the host may stop it."""
    if outcome:
        n = state.n
        state, ended = _end_run(state, outcome, *because)
        return state, (_turn_ended(state, n), *ended)
    if STOP in state.hooks:
        state, asked = _ask(state, STOP)
        return state, (_turn_ended(state, state.n), *asked)
    n = state.n
    state, decided = _go_on(state)
    return state, (_turn_ended(state, n), *decided)


def _turn_ended(state: State, n: int) -> k.TurnEnded:
    return k.TurnEnded(n, digest_of(state) if n % STATE_EVERY == 0 else "")


def _go_on(state: State) -> tuple[State, Decided]:
    return _think(state) if state.calls else _poll(state, "turn")


def _end_run(state: State, outcome: Any, *because: k.BudgetExceeded) -> tuple[State, Decided]:
    """Go idle. Messages that were chosen but not delivered go back to the front of their queue."""
    if outcome == "cancelled" and state.over == limits.SECONDS:
        outcome = "over_budget"
    is_paused = outcome == "paused"
    calls, left, waiting = (state.calls, state.left, state.waiting) if is_paused else ({}, 0, 0)
    state = _set(
        state,
        phase="paused" if is_paused else "idle",
        asking="",
        poll="",
        steering=state.pending + state.steering,
        pending=(),
        cancelled=False,
        over=because[0].limit if because else state.over if outcome == "over_budget" else "",
        calls=calls,
        left=left,
        waiting=waiting,
    )
    return state, (*because, k.RunEnded(outcome, digest_of(state)))


_STEPS: dict[type[k.Fact], tuple[str, Step]] = {
    k.SessionStarted: ("", _configured),
    k.ConfigChanged: ("", _configured),
    k.UserSaid: ("", _said),
    k.UserContinued: ("", _begun),
    k.UserWithdrawn: ("", _withdrawn),
    k.CancelRequested: ("", lambda s, e, _: (_set(s, cancelled=not s.is_at_rest), ())),
    k.TimerFired: ("", lambda s, e, _: limits.fired(s, e)),
    k.HostAnswered: ("", _hooked),
    k.HostFailed: ("", _hooked),
    k.ModelRetrying: ("", lambda s, e, _: (s if e.model is None else _set(s, instead=e.model), ())),
    k.ModelFinished: ("thinking", _answered),
    k.ModelFailed: ("thinking", _unanswered),
    k.ToolFinished: ("acting", lambda s, e, _: _onward(*gate.ended(s, e.call_id, e.terminate))),
    k.ToolFailed: ("acting", lambda s, e, _: _onward(*gate.ended(s, e.call_id, False))),
    k.ToolInDoubt: ("acting", lambda s, e, _: _onward(*gate.doubted(s, e))),
    k.ToolReconciled: ("acting", lambda s, e, _: _onward(*gate.reconciled(s, e))),
    k.ApprovalDecided: ("", _approved),
    k.ChildEnded: ("", lambda s, e, _: (limits.lent(s, e.used), ())),
}
"""What follows an event, and the phase in which alone it may come; "" for any."""
_IN_PHASE: dict[str, dict[type[Any], Step]] = {
    phase: {event: take for event, (only, take) in _STEPS.items() if only in ("", phase)}
    for phase in PHASES
}


def _kinds(*events: type[k.Fact]) -> frozenset[str]:
    return frozenset(event.kind for event in events)


INPUTS = _kinds(*_STEPS)
DECISIONS = (
    _kinds(k.UserDelivered, k.HostAsked, k.ModelRequested)
    | _kinds(k.ApprovalRequested, k.ToolBlocked, k.ToolRequested, k.ToolSettled)
    | _kinds(k.TurnEnded, k.BudgetExceeded, k.RunEnded, k.TimerSet, k.ContextEdited)
)
