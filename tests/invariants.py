"""What holds after every run, crash and schedule; ``docs/testing.md`` names each by its number."""

from __future__ import annotations

from tinyagent import load
from tinyagent.actors.standing import Walk
from tinyagent.actors.state import State, digest_of
from tinyagent.events import kinds as k
from tinyagent.runtime.stores import Log
from tinyagent.testing import effects

ENDS = {
    k.ModelRequested.kind: {k.ModelFinished.kind, k.ModelFailed.kind},
    k.HostAsked.kind: {k.HostAnswered.kind, k.HostFailed.kind},
}
CALL_ENDS = k.ToolFinished | k.ToolFailed | k.ToolInDoubt | k.ToolBlocked | k.ToolSettled


def check(log: Log, live: State | None = None) -> None:
    """Raise unless all of it holds of *log*, whose run is over; *live*: the agent's own state."""
    recording = load(log)
    if live is not None:
        loaded = Walk(recording.records).to(log.seq).agent
        assert loaded is not None
        assert digest_of(loaded) == digest_of(live), "I4 the log leads to another state"
    divergence = recording.replay().first_divergence
    assert divergence is None, f"I5 it does not replay: {divergence}"
    for call in effects(recording):
        decided = call.asked if call.effect == "write" else call.runs
        assert call.runs <= decided, f"I6 write effect ran twice: {call.name} {call.call_id}"
    assert recording.status != "crashed", "I9 the run has no end"
    events = [record.event for record in recording.records]
    for begin, ends in ENDS.items():
        begun = sum(event.kind == begin for event in events)
        ended = sum(event.kind in ends for event in events)
        assert begun == ended, f"I9 of {begun} {begin} {ended} ended"
    asked = {event.call_id for event in events if isinstance(event, k.ToolRequested)}
    left = asked - {event.call_id for event in events if isinstance(event, CALL_ENDS)}
    assert not left, f"I9 calls without an end: {left}"
