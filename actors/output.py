"""An answer of a given form: asked for, held against it, asked for again. Pure.

Whether an answer fits is for the host's types to say, so a hook is asked. What does not fit goes
back to the model with what is wrong; after so many times the run has failed. Where a provider
cannot hold a model to a schema, the answer is the arguments of a *final tool*.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tinyagent.actors.state import OUTPUT, State
from tinyagent.events import kinds as k

RETRIES_MAX = 2


def configured(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of the state *options* say of the form."""
    return {
        "final_tool": options.get("output_tool", ""),
        "output_retries_max": options.get("output_retries_max", RETRIES_MAX),
    }


def is_wanted(state: State) -> bool:
    """Whether an answer without calls is to be judged."""
    return OUTPUT in state.hooks and not state.cancelled


def is_given(state: State) -> bool:
    """Whether the final tool is among the calls of the turn, which are to be judged then."""
    if not state.final_tool or not is_wanted(state):
        return False
    return state.final_tool in [call.name for call in state.calls.values()]


def judged(state: State, event: k.HostAnswered) -> tuple[State, str]:
    """Return the state after a verdict, and what follows: ``accepted``, ``again`` or ``failed``.

    Who was not there to judge has accepted.
    """
    state = msgspec.structs.replace(state, calls={})
    if event.ok is not False:
        return state, "accepted"
    state = msgspec.structs.replace(state, rejected=state.rejected + 1)
    return state, "again" if state.rejected <= state.output_retries_max else "failed"
