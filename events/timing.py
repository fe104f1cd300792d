"""Time, as the agent is told of it: it sees no clock, only what it set and that it is over."""

from __future__ import annotations

import msgspec

from tinyagent.events.fact import Fact


class TimerSet(Fact, frozen=True):
    """Somebody shall say when *after_s* seconds are over. ``purpose``: the limit that it is for.

    It ends when it fires, or with the run.
    """

    kind = "timer.set"
    emitter = "agent"
    after_s: int | float
    purpose: str = msgspec.field(default="run_s_max", name="for")


class TimerFired(Fact, frozen=True):
    """The time is over. ``timer``: number of its ``timer.set``; ``seen_s``: how long it took."""

    kind = "timer.fired"
    emitter = "timers"
    timer: int
    seen_s: int | float
