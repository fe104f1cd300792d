"""What the agent knows between two records, and the names of the hooks that it asks. Pure."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from tinyagent.events import digest

STEERING, FOLLOW_UP = "get_steering_messages", "get_follow_up_messages"
POLLS = (STEERING, FOLLOW_UP)
CONTEXT, BEFORE, AFTER = "context", "before_tool_call", "after_tool_call"
STOP, KEY = "should_stop_after_turn", "get_api_key"
UNKNOWN, APPROVAL = "on_unknown", "on_approval"
OUTPUT = "output"
"""Asked whether an answer has the form that was asked for."""
REQUEST, MESSAGE = "request", "message"
"""Asked with the body of a request before it is sent; with what is said, before it is recorded."""
BATCH = "execute_tool_calls"
"""Asked instead of running the tools, where the host has put a function of its own there."""


Phase: TypeAlias = Literal["idle", "asking", "thinking", "acting", "paused"]
PHASES: tuple[Phase, ...] = get_args(Phase)


class CallState(msgspec.Struct, frozen=True, gc=False):
    """One tool call of the turn.

    Attributes:
        phase: ``gated``: a hook is asked. ``open``: the tool is asked. ``asked``: a person is.
            ``waiting``: nobody has decided. ``ended``.
        terminate: somebody asked for no further model call.
        attempt: the latest run. doubt: why nobody knows what came of it; empty if it is known.
        args: digest of the arguments, until it has ended; approvals are bound to it.
        approved: what a person said while the run was paused.
    """

    id: str
    name: str
    phase: Literal["gated", "open", "asked", "waiting", "ended"] = "gated"
    terminate: bool = False
    attempt: int = 1
    doubt: str = ""
    args: str = ""
    approved: bool | None = None


class State(msgspec.Struct, frozen=True, gc=False):
    """What the agent knows between two records. It holds plain values alone, so it is in no cycle.

    Attributes:
        asking: the hook that must answer before anything else happens.
        poll: where in the turn the queues were polled: ``start batch turn``.
        n: model calls in this log. turns, tokens, tool_calls: counted in this run.
        steering, follow_ups: messages waiting, by number. pending: chosen for the next call.
        calls: the calls of the turn, by id, in call order. left: those that have not ended.
            waiting: those among them that nobody has decided about.
        revising: index of the call whose after-hook is asked.
        guarded: this is a fork, where tools that may change the world need an approval.
        approving, effectful: names of the tools that always need an approval; that may change the
            world.
        cost_pusd, ran_s: counted in this run too: picodollars, seconds of timers that fired.
        over: the limit that ends this run, or ended the last one.
        rejected: answers of this run that had not the form asked for. final_tool: takes the answer.
        context_tokens: how long the context was at the last answer; 0 if nobody asks.
        model: who answers; instead: who answers this once, for the first did not.
    """

    phase: Phase = "idle"
    asking: str = ""
    poll: str = ""
    n: int = 0
    turns: int = 0
    tokens: int = 0
    tool_calls: int = 0
    calls: dict[str, CallState] = {}
    left: int = 0
    revising: int = 0
    steering: tuple[int, ...] = ()
    follow_ups: tuple[int, ...] = ()
    pending: tuple[int, ...] = ()
    cancelled: bool = False
    hooks: tuple[str, ...] = ()
    modes: tuple[str, str] = ("one-at-a-time", "one-at-a-time")
    limits: dict[str, Any] = {}
    waiting: int = 0
    guarded: bool = False
    approving: frozenset[str] = frozenset()
    effectful: frozenset[str] = frozenset()
    cost_pusd: int = 0
    ran_s: int | float = 0
    over: str = ""
    model: dict[str, Any] = {}
    instead: dict[str, Any] = {}
    rejected: int = 0
    final_tool: str = ""
    output_retries_max: int = 2
    compaction: dict[str, Any] = {}
    context_tokens: int = 0

    @property
    def is_terminal(self) -> bool:
        """Whether the batch of tools asked for no further model call."""
        return any(call.terminate for call in self.calls.values())

    @property
    def is_at_rest(self) -> bool:
        """Whether no run is under way."""
        return self.phase in ("idle", "paused")


_DERIVED = (
    "approving",
    "effectful",
    "over",
    "model",
    "instead",
    "final_tool",
    "output_retries_max",
    "compaction",
)
_LATER = {
    "waiting": 0,
    "guarded": False,
    "cost_pusd": 0,
    "ran_s": 0,
    "rejected": 0,
    "context_tokens": 0,
}
_LATER_OF_CALL = {"attempt": 1, "doubt": "", "args": "", "approved": None}
"""Fields that are younger than the first digests: without a value they are not digested."""


def _digested(struct: type[msgspec.Struct], later: dict[str, Any]) -> Callable[[Any], Any]:
    """Return what takes, of one of *struct*, that which is digested.

    Its fields are in the order of their names, as they are to be written.
    """
    names = sorted(name for name in struct.__struct_fields__ if name not in _DERIVED)
    # None is a default that no field has which is always written.
    fields = [(name, Any, later.get(name)) for name in names]
    made = msgspec.defstruct("Digested", fields, omit_defaults=True)
    told = attrgetter(*names)
    return lambda one: made(*told(one))


# Makes of them what ``canonical`` does: their own fields are in order, so only dicts are sorted.
_encode = msgspec.json.Encoder(order="deterministic").encode
_state_told = _digested(State, _LATER)
_call_told = _digested(CallState, _LATER_OF_CALL)


def digest_of(state: State) -> str:
    """Return the digest of *state* that turns and runs end with."""
    told = _state_told(state)
    if state.calls:
        told.calls = {call_id: _call_told(call) for call_id, call in state.calls.items()}
    if not state.ran_s:
        told.ran_s = 0  # as an integer it is left out
    return digest(_encode(told))
