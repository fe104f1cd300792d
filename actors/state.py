"""What the agent knows between two records, and the names of the hooks that it asks. Pure."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

STEERING, FOLLOW_UP = "get_steering_messages", "get_follow_up_messages"
POLLS = (STEERING, FOLLOW_UP)
CONTEXT, BEFORE, AFTER = "context", "before_tool_call", "after_tool_call"
STOP, KEY = "should_stop_after_turn", "get_api_key"
BATCH = "execute_tool_calls"
"""Asked instead of running the tools, where the host has put a function of its own there."""


class CallState(msgspec.Struct, frozen=True):
    """One tool call of the turn. ``terminate``: somebody asked for no further model call."""

    id: str
    name: str
    phase: Literal["gated", "open", "ended"] = "gated"
    terminate: bool = False


class State(msgspec.Struct, frozen=True):
    """What the agent knows between two records.

    Attributes:
        asking: the hook that must answer before anything else happens.
        poll: where in the turn the queues were polled: ``start batch turn``.
        n: model calls in this log. turns, tokens, tool_calls: counted in this run.
        steering, follow_ups: messages waiting, by number. pending: chosen for the next call.
        calls: the calls of the turn, by id, in call order. left: those that have not ended.
        revising: index of the call whose after-hook is asked.
    """

    phase: Literal["idle", "asking", "thinking", "acting"] = "idle"
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

    @property
    def is_terminal(self) -> bool:
        """Whether the batch of tools asked for no further model call."""
        return any(call.terminate for call in self.calls.values())
