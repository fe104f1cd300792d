"""What happens next: the agent as a pure function of its state and the next record.

::

    idle -- user.said --> (poll) --> (context) --> thinking -- model.finished --> acting
     ^                                                |                             |
     |                                                | no calls                    | last result
     +---- run.ended <-- (poll) <-- (stop?) <-- turn.ended <-- (poll) <-- (after) --+

Steps in brackets happen only if the host installed their hook. The state refers to content by
number, never by value; it holds no text, no time, no bytes. So the same records give the same
decisions, today and in a replay.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tinyagent.actors.state import (
    AFTER,
    BATCH,
    BEFORE,
    CONTEXT,
    FOLLOW_UP,
    KEY,
    STEERING,
    STOP,
    CallState,
    State,
)
from tinyagent.events import Event, Record, canonical, digest, kinds as k
from tinyagent.runtime.errors import UnexpectedEventError

NOT_RUN = "Tool not run: the request was aborted"
STATE_EVERY = 16
"""Every so many turns ``turn.ended`` carries a digest of the state."""


def _kinds(*events: type[k.Fact]) -> frozenset[str]:
    return frozenset(event.kind for event in events)


INPUTS = (
    _kinds(k.SessionStarted, k.ConfigChanged, k.CancelRequested)
    | _kinds(k.UserSaid, k.UserContinued, k.UserWithdrawn, k.HostAnswered, k.HostFailed)
    | _kinds(k.ModelFinished, k.ModelFailed, k.ToolFinished, k.ToolFailed, k.ToolInDoubt)
)
DECISIONS = (
    _kinds(k.UserDelivered, k.HostAsked, k.ModelRequested)
    | _kinds(k.ToolBlocked, k.ToolRequested, k.ToolSettled)
    | _kinds(k.TurnEnded, k.BudgetExceeded, k.RunEnded)
)
Decided = tuple[Event, ...]


def step(state: State, record: Record) -> tuple[State, Decided]:
    """Return the state after *record*, and what to append to the log because of it.

    Raises:
        UnexpectedEventError: the record cannot follow those before it.
    """
    match record.event:
        case k.SessionStarted() | k.ConfigChanged() as event:
            return _configured(state, event), ()
        case k.UserSaid() | k.UserContinued() | k.UserWithdrawn() as event:
            return _spoken(state, event, record.seq)
        case k.CancelRequested():
            return _set(state, cancelled=state.phase != "idle"), ()
        case k.HostAnswered() | k.HostFailed() as event:
            return _hooked(state, event, record)
        case k.ModelFinished() as event if state.phase == "thinking":
            return _answered(state, event)
        case k.ModelFailed() as event if state.phase == "thinking":
            return _end_turn(state, "cancelled" if state.cancelled else "failed")
        case k.ToolFinished(call_id=call_id, terminate=terminate) if state.phase == "acting":
            return _ended(state, call_id, terminate)
        case k.ToolFailed(call_id=call_id) if state.phase == "acting":
            return _ended(state, call_id, False)
        case k.ToolInDoubt(call_id=call_id, content=told) if state.phase == "acting":
            settled = k.ToolSettled(call_id, "unknown", "policy", told)
            return _ended(state, call_id, False, settled)
        case event:
            raise UnexpectedEventError(state.phase, event.kind, record.seq)


def _set(state: State, **changes: Any) -> State:
    return msgspec.structs.replace(state, **changes)


def _configured(state: State, event: k.SessionStarted | k.ConfigChanged) -> State:
    if isinstance(event, k.SessionStarted):
        changes: dict[str, Any] = {
            "hooks": event.hooks,
            "options": event.options,
            "limits": event.limits,
        }
    else:
        changes = event.set
    if "hooks" in changes:
        state = _set(state, hooks=tuple(changes["hooks"]))
    if "limits" in changes:
        state = _set(state, limits=changes["limits"])
    if "options" in changes:
        modes = tuple(
            changes["options"].get(name, "one-at-a-time")
            for name in ("steering_mode", "follow_up_mode")
        )
        state = _set(state, modes=modes)
    return state


def _spoken(
    state: State, event: k.UserSaid | k.UserContinued | k.UserWithdrawn, seq: int
) -> tuple[State, Decided]:
    match event:
        case k.UserWithdrawn(said=said):
            gone = set(said)
            return (
                _set(
                    state,
                    steering=tuple(s for s in state.steering if s not in gone),
                    follow_ups=tuple(s for s in state.follow_ups if s not in gone),
                ),
                (),
            )
        case k.UserSaid(via="steer"):
            return _set(state, steering=(*state.steering, seq)), ()
        case k.UserSaid(via="follow_up"):
            return _set(state, follow_ups=(*state.follow_ups, seq)), ()
        case _ if state.phase != "idle":
            return state, ()  # one more prompt of the run that the prompt before it started
        case _:
            started = _set(state, turns=0, tokens=0, tool_calls=0, calls={}, cancelled=False)
            return _poll(started, "start")


# Queues


def _poll(state: State, where: str) -> tuple[State, Decided]:
    if STEERING in state.hooks:
        return _ask(_set(state, poll=where), STEERING)
    return _polled(_set(state, poll=where))


def _polled(state: State) -> tuple[State, Decided]:
    taken, left = _take(state.steering, state.modes[0])
    state = _set(state, pending=taken, steering=left)
    match state.poll:
        case "batch":
            return _end_turn(state, "")
        case "start":
            return _think(state)
        case _ if taken:
            return _think(state)
        case _ if FOLLOW_UP in state.hooks:
            return _ask(state, FOLLOW_UP)
        case _:
            return _followed(state)


def _followed(state: State) -> tuple[State, Decided]:
    taken, left = _take(state.follow_ups, state.modes[1])
    if not taken:
        return _end_run(state, "answered")
    return _think(_set(state, pending=taken, follow_ups=left))


def _take(queue: tuple[int, ...], mode: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (queue[:1], queue[1:]) if mode == "one-at-a-time" else (queue, ())


# Model


def _think(state: State, *, shaped: bool = False) -> tuple[State, Decided]:
    """Ask the model, unless a limit forbids it; *shaped*: the context hook has answered."""
    decided: Decided = ()
    if not shaped:
        over = _over(state)
        if over is not None:
            return _end_run(state, "over_budget", over)
        if state.pending:
            decided = (k.UserDelivered(list(state.pending)),)
            state = _set(state, pending=())
        if CONTEXT in state.hooks:
            state, asked = _ask(state, CONTEXT)
            return state, decided + asked
    n = state.n + 1
    state = _set(state, phase="thinking", asking="", n=n, turns=state.turns + 1, calls={})
    return state, (*decided, k.ModelRequested(n))


def _over(state: State) -> k.BudgetExceeded | None:
    for limit, seen in (
        ("turns_max", state.turns),
        ("tokens_max", state.tokens),
        ("tool_calls_max", state.tool_calls),
    ):
        allowed = state.limits.get(limit)
        if allowed is not None and seen >= allowed:
            return k.BudgetExceeded(limit, seen, allowed)
    return None


def _answered(state: State, event: k.ModelFinished) -> tuple[State, Decided]:
    usage = event.usage or {}
    tokens = state.tokens + usage.get("input", 0) + usage.get("output", 0)
    calls = {ref.id: CallState(ref.id, ref.name) for ref in event.calls}
    state = _set(state, tokens=tokens, tool_calls=state.tool_calls + len(calls), calls=calls)
    state = _set(state, left=len(calls))
    if not calls:
        return _end_turn(state, "cancelled" if state.cancelled else "")
    state = _set(state, phase="acting")
    if state.cancelled:
        blocked = tuple(k.ToolBlocked(call.id, "cancel", NOT_RUN) for call in calls.values())
        state, ended = _end_turn(state, "cancelled")
        return state, blocked + ended
    if BATCH in state.hooks:
        return _ask(state, BATCH)
    if BEFORE in state.hooks:
        return state, tuple(k.HostAsked(BEFORE, call_id) for call_id in calls)
    opened = {call.id: CallState(call.id, call.name, "open") for call in calls.values()}
    asked = tuple(k.ToolRequested(call.id, call.name) for call in calls.values())
    return _set(state, calls=opened), asked


# Tools


def _gated(state: State, event: k.HostAnswered | k.HostFailed) -> tuple[State, Decided]:
    """A before-hook has answered about one call: it runs, or it ends here."""
    call = state.calls[event.call_id or ""]
    if state.cancelled:
        return _ended(state, call.id, False, k.ToolBlocked(call.id, "cancel", NOT_RUN))
    if isinstance(event, k.HostFailed):
        return _ended(state, call.id, False, k.ToolBlocked(call.id, "hook", event.failure.message))
    if event.block is not None:
        blocked = k.ToolBlocked(call.id, "hook", **event.block, terminate=event.terminate)
        return _ended(state, call.id, event.terminate, blocked)
    opened = _with_call(state, CallState(call.id, call.name, "open", event.terminate))
    return opened, (k.ToolRequested(call.id, call.name, arguments=event.arguments),)


def _ended(state: State, call_id: str, terminate: bool, *decided: Event) -> tuple[State, Decided]:
    call = state.calls.get(call_id)
    if call is None or call.phase == "ended":
        raise UnexpectedEventError(f"not waiting for call {call_id}", "end of a call", 0)
    ended = CallState(call.id, call.name, "ended", call.terminate or terminate)
    state = _set(_with_call(state, ended), left=state.left - 1)
    if state.left:
        return state, decided
    if state.cancelled:
        state, more = _end_turn(state, "cancelled")
    elif AFTER in state.hooks:
        state, more = _ask(_set(state, revising=0), AFTER, next(iter(state.calls)))
    else:
        state, more = _batch_over(state)
    return state, decided + more


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


def _with_call(state: State, changed: CallState) -> State:
    return _set(state, calls={**state.calls, changed.id: changed})


def _revised(state: State, event: k.HostAnswered | k.HostFailed) -> tuple[State, Decided]:
    """An after-hook has answered about one result: the next is asked, or the batch is over."""
    at = state.revising
    if isinstance(event, k.HostAnswered) and event.terminate:
        call = tuple(state.calls.values())[at]
        state = _with_call(state, CallState(call.id, call.name, "ended", True))
    if state.cancelled:
        return _end_turn(state, "cancelled")
    if at + 1 < len(state.calls):
        return _ask(_set(state, revising=at + 1), AFTER, tuple(state.calls)[at + 1])
    return _batch_over(state)


def _batch_over(state: State) -> tuple[State, Decided]:
    if state.is_terminal:
        return _end_turn(state, "stopped")
    return _poll(state, "batch")


# Hooks, ends


def _ask(state: State, hook: str, call_id: str | None = None) -> tuple[State, Decided]:
    return _set(state, phase="asking", asking=hook), (k.HostAsked(hook, call_id),)


def _hooked(
    state: State, event: k.HostAnswered | k.HostFailed, record: Record
) -> tuple[State, Decided]:
    if event.hook == KEY:
        return state, ()  # between the streamer and the host
    if event.hook == BEFORE and state.phase == "acting":
        return _gated(state, event)
    if state.phase != "asking" or event.hook != state.asking:
        raise UnexpectedEventError(f"{state.phase} {state.asking}", record.event.kind, record.seq)
    state = _set(state, asking="")
    if event.hook == AFTER:
        return _revised(state, event)
    if state.cancelled:
        return _end_run(state, "cancelled")
    if isinstance(event, k.HostFailed):
        return _end_run(state, "failed")
    match event.hook:
        case "get_steering_messages":
            return _polled(state)
        case "get_follow_up_messages":
            return _followed(state)
        case "context":
            return _think(state, shaped=True)
        case "execute_tool_calls":
            return _batched(state, event)
        case _:
            return _end_run(state, "stopped") if event.stop else _go_on(state)


def _end_turn(state: State, outcome: str) -> tuple[State, Decided]:
    """Close the turn; with an *outcome* the run ends too, else the host may stop it."""
    if outcome:
        n = state.n
        state, ended = _end_run(state, outcome)
        return state, (_turn_ended(state, n), *ended)
    if STOP in state.hooks:
        state, asked = _ask(state, STOP)
        return state, (_turn_ended(state, state.n), *asked)
    n = state.n
    state, decided = _go_on(state)
    return state, (_turn_ended(state, n), *decided)


def _turn_ended(state: State, n: int) -> k.TurnEnded:
    return k.TurnEnded(n, _digest(state) if n % STATE_EVERY == 0 else "")


def _go_on(state: State) -> tuple[State, Decided]:
    return _think(state) if state.calls else _poll(state, "turn")


def _end_run(state: State, outcome: Any, *because: k.BudgetExceeded) -> tuple[State, Decided]:
    """Go idle. Messages that were chosen but not delivered go back to the front of their queue."""
    state = _set(
        state,
        phase="idle",
        asking="",
        poll="",
        calls={},
        left=0,
        steering=state.pending + state.steering,
        pending=(),
        cancelled=False,
    )
    return state, (*because, k.RunEnded(outcome, _digest(state)))


def _digest(state: State) -> str:
    return digest(canonical(state))
