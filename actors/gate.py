"""The calls of one turn, from the answer that made them to their ends. Pure.

::

    gated -- hook --> (approval: asked) --> open -- finished, failed --> ended
                                             |  ^
                                   in doubt  v  | not done, again
                                           asked -- done, failed, tell --> ended

A call that nobody decides about is ``waiting``; when only such calls are left, the run is paused.
Each function returns the state, and what to append to the log; the agent goes on from there.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace as _set

from tinyagent.actors import limits
from tinyagent.actors.state import APPROVAL, BEFORE, UNKNOWN, CallState, State
from tinyagent.events import Event, canonical, digest, kinds as k
from tinyagent.runtime.errors import UnexpectedEventError

NOT_RUN = "Tool not run: the request was aborted"
NOT_APPROVED = "Tool not run: the call was not approved"
UNSURE = "Its outcome is unknown: it may or may not have taken effect."
_DOUBTS = {
    "stopped": f"The process stopped while this tool ran. {UNSURE}",
    "timeout": f"The tool ran longer than it may. {UNSURE}",
    "cancelled": f"The call was cancelled while this tool ran. {UNSURE}",
}
Decided = tuple[Event, ...]


def doubt_text(why: str) -> str:
    """Return what the model is told about a call of which nobody knows what came."""
    return _DOUBTS[why]


def answered(
    state: State, event: k.ModelFinished, refused: frozenset[str] = frozenset()
) -> tuple[State, Decided]:
    """Take the calls of an answer; hooks are asked about them, or they go on at once.

    For the *refused* ones a limit left no room: they end here.
    """
    calls = {ref.id: CallState(ref.id, ref.name, args=ref.args) for ref in event.calls}
    decided: list[Event] = []
    waiting = 0
    for call in calls.values():
        if state.cancelled:
            decided.append(k.ToolBlocked(call.id, "cancel", NOT_RUN))
        elif call.id in refused:
            calls[call.id] = CallState(call.id, call.name, "ended")
            decided.append(k.ToolBlocked(call.id, "limit", limits.not_run(state)))
        elif BEFORE in state.hooks:
            decided.append(k.HostAsked(BEFORE, call.id))
        else:
            calls[call.id], asked = _admitted(state, call)
            waiting += calls[call.id].phase == "waiting"
            decided += asked
    left = len(calls) if state.cancelled else len(calls) - len(refused)
    state = _set(state, phase="acting", calls=calls, left=left, waiting=waiting)
    return state, tuple(decided)


def gated(state: State, event: k.HostAnswered | k.HostFailed) -> tuple[State, Decided]:
    """A before-hook has answered about one call: it goes on, or it ends here."""
    call = state.calls[event.call_id or ""]
    if state.cancelled:
        return ended(state, call.id, False, k.ToolBlocked(call.id, "cancel", NOT_RUN))
    if isinstance(event, k.HostFailed):
        return ended(state, call.id, False, k.ToolBlocked(call.id, "hook", event.failure.message))
    if event.block is not None:
        blocked = k.ToolBlocked(call.id, "hook", **event.block, terminate=event.terminate)
        return ended(state, call.id, event.terminate, blocked)
    call = _set(call, terminate=event.terminate)
    if event.arguments is not None:
        call = _set(call, args=digest(canonical(event.arguments)))
    call, decided = _admitted(state, call, event.arguments)
    return _put(state, call), decided


def ended(state: State, call_id: str, terminate: bool, *decided: Event) -> tuple[State, Decided]:
    """One call has ended.

    Raises:
        UnexpectedEventError: it had ended before, or is no call of this turn.
    """
    call = state.calls.get(call_id)
    if call is None or call.phase == "ended":
        raise UnexpectedEventError(f"not waiting for call {call_id}", "end of a call", 0)
    over = CallState(call_id, call.name, "ended", call.terminate or terminate)
    waiting = state.waiting - (call.phase == "waiting")
    calls = {**state.calls, call_id: over}
    return _set(state, calls=calls, left=state.left - 1, waiting=waiting), decided


def doubted(state: State, event: k.ToolInDoubt) -> tuple[State, Decided]:
    """A tool was cut off: it is asked what came of it, then a person; or the model is told."""
    call = _set(state.calls[event.call_id], attempt=event.attempt, doubt=event.why)
    is_settled = event.why != "stopped" and not event.asks and UNKNOWN not in state.hooks
    if state.cancelled or is_settled:
        told = k.ToolSettled(call.id, "unknown", "policy", event.content)
        return ended(state, call.id, False, told)
    if event.asks:
        return _put(state, _set(call, phase="asked")), ()
    return _undecided(state, call)


def reconciled(state: State, event: k.ToolReconciled) -> tuple[State, Decided]:
    """The tool said what came of a doubtful call."""
    call = state.calls[event.call_id]
    if event.outcome == "done":
        return ended(state, call.id, False)
    if state.cancelled:
        return ended(state, call.id, False, _told(call, "policy"))
    if event.outcome == "not_done":
        return _again(state, call)
    return _undecided(state, call)


def decided_by_host(state: State, event: k.HostAnswered | k.HostFailed) -> tuple[State, Decided]:
    """A person was asked about one call: what became of it, or whether it may run."""
    call = state.calls[event.call_id or ""]
    if event.hook == APPROVAL:
        return (_put(state, _set(call, phase="waiting")) if call.phase == "asked" else state), ()
    match event:
        case k.HostAnswered(decide="done" | "failed" as outcome, content=content):
            settled = k.ToolSettled(call.id, outcome, "host", content or "")
            return ended(state, call.id, False, settled)
        case k.HostAnswered(decide="tell"):
            return ended(state, call.id, False, _told(call, "host"))
        case k.HostAnswered(decide="again") if not state.cancelled:
            return _again(state, call)
        case _ if state.cancelled:
            return ended(state, call.id, False, _told(call, "policy"))
        case _:
            return _put(state, _set(call, phase="waiting")), ()


def approved(state: State, event: k.ApprovalDecided) -> tuple[State, Decided]:
    """A person allowed or refused one attempt. Kept for later while the run is paused."""
    call = state.calls.get(event.call_id)
    is_bound = call is not None and not call.doubt and call.args == event.args
    if call is None or not is_bound or call.attempt != event.attempt:
        return state, ()
    if call.phase not in ("asked", "waiting"):
        return state, ()
    call = _set(call, approved=event.approved)
    if state.phase == "paused":
        return _put(state, call), ()
    return _by_approval(state, call, event.why)


def taken_up(state: State) -> tuple[State, Decided]:
    """A paused run goes on: what a person decided meanwhile is done, the others are asked."""
    decided: Decided = ()
    for call in state.calls.values():
        if call.phase == "waiting":
            more: Decided = ()
            if call.doubt:
                state, more = _undecided(state, call)
            elif call.approved is not None:
                state, more = _by_approval(state, call)
            elif APPROVAL in state.hooks:
                state, more = _put(state, _set(call, phase="asked")), (_ask(APPROVAL, call),)
            decided += more
    return state, decided


def given_up(state: State) -> tuple[State, Decided]:
    """Nobody will decide any more: the model is told the truth about every call that waits."""
    decided: Decided = ()
    for call in state.calls.values():
        if call.phase == "waiting":
            if call.approved and not state.cancelled:
                state, more = _by_approval(state, call)
            elif call.doubt:
                state, more = ended(state, call.id, False, _told(call, "policy"))
            else:
                by, text = ("cancel", NOT_RUN) if state.cancelled else ("approval", NOT_APPROVED)
                blocked = k.ToolBlocked(call.id, by, text)  # type: ignore[arg-type] # literals
                state, more = ended(state, call.id, False, blocked)
            decided += more
    return state, decided


def guarded(state: State) -> tuple[State, Decided]:
    """This is a fork: calls that may change the world wait for an approval, open ones too."""
    state = _set(state, guarded=True)
    decided: Decided = ()
    for call in state.calls.values():
        if call.phase == "open" and call.name in state.effectful:
            call, asked = _admitted(state, call)
            state = _put(state, call)
            decided += asked
    return state, decided


def _needs_approval(state: State, call: CallState) -> bool:
    if call.args == "bad":
        return False
    return call.name in state.approving or (state.guarded and call.name in state.effectful)


def _admitted(
    state: State, call: CallState, arguments: dict[str, Any] | None = None
) -> tuple[CallState, Decided]:
    """Return *call* as it goes on: to its tool, or first to a person."""
    if not _needs_approval(state, call):
        requested = k.ToolRequested(call.id, call.name, call.attempt, arguments)
        return _set(call, phase="open"), (requested,)
    requested_approval = k.ApprovalRequested(call.id, call.args, call.attempt)
    if APPROVAL in state.hooks:
        return _set(call, phase="asked"), (requested_approval, _ask(APPROVAL, call))
    return _set(call, phase="waiting"), (requested_approval,)


def _by_approval(state: State, call: CallState, why: str = "") -> tuple[State, Decided]:
    if call.approved:
        requested = k.ToolRequested(call.id, call.name, call.attempt)
        return _put(state, _set(call, phase="open")), (requested,)
    blocked = k.ToolBlocked(call.id, "approval", why or NOT_APPROVED)
    return ended(state, call.id, False, blocked)


def _again(state: State, call: CallState) -> tuple[State, Decided]:
    repeat = _set(call, attempt=call.attempt + 1, doubt="", approved=None)
    repeat, decided = _admitted(state, repeat)
    return _put(state, repeat), decided


def _undecided(state: State, call: CallState) -> tuple[State, Decided]:
    if UNKNOWN in state.hooks:
        return _put(state, _set(call, phase="asked")), (_ask(UNKNOWN, call),)
    return _put(state, _set(call, phase="waiting")), ()


def _ask(hook: str, call: CallState) -> k.HostAsked:
    return k.HostAsked(hook, call.id)


def _told(call: CallState, by: Any) -> k.ToolSettled:
    return k.ToolSettled(call.id, "unknown", by, doubt_text(call.doubt))


def _put(state: State, call: CallState) -> State:
    """Return *state* with *call*, which has not ended."""
    before = state.calls[call.id].phase
    return _set(
        state,
        calls={**state.calls, call.id: call},
        left=state.left + (before == "ended"),
        waiting=state.waiting - (before == "waiting") + (call.phase == "waiting"),
    )
