"""When the context has grown too long: the agent lets the oldest turns go. Pure.

How long it is, the provider has counted with the last answer. Which messages go, the fold of the
conversation says (``events/context.py``): the agent refers to none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tinyagent.actors.state import State
from tinyagent.events import Event, kinds as k

APART = frozenset({"anthropic-messages"})
"""Protocols that count cached tokens beside the input, not in it."""


def configured(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of the state *options* say of compaction."""
    return {"compaction": options.get("compaction") or {}}


def measured(state: State, usage: Mapping[str, Any] | None) -> State:
    """Return *state* after an answer with *usage*: so long is the context by now."""
    if not usage:
        return state
    tokens = usage.get("input", 0) + usage.get("output", 0)
    if (state.instead or state.model).get("api") in APART:
        tokens += usage.get("cache_read", 0) + usage.get("cache_write", 0)
    return msgspec.structs.replace(state, context_tokens=tokens)


def compacted(state: State) -> tuple[State, tuple[Event, ...]]:
    """Return the edit that is due before the next model call, if one is."""
    at_tokens = state.compaction.get("at_tokens")
    if at_tokens is None or state.context_tokens < at_tokens:
        return state, ()
    edit = k.ContextEdited([["compact", state.compaction.get("keep_turns", 0)]], "compact")
    return msgspec.structs.replace(state, context_tokens=0), (edit,)
