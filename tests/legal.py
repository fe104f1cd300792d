"""What a listener may see: a checker of public events, whatever process they come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tinyagent.agent_types import AgentEvent


def faults(events: Sequence[AgentEvent]) -> Iterator[str]:
    """Yield what is not as it must be in the events of whole runs.

    A call that waits for a person when its run is paused is begun again in the next run.
    """
    seen = _Seen()
    for at, event in enumerate(events):
        for fault in seen.take(event):
            yield f"event {at} {event.type}: {fault}"
    if seen.is_in_run:
        yield "no agent_end"
    if seen.waiting:
        yield f"calls without an end: {sorted(seen.waiting)}"


_AMID = ("message_update", "message_end", "tool_execution_update")


class _Seen:
    def __init__(self) -> None:
        self.is_in_run = self._is_in_turn = False
        self._message: str | None = None
        self._open: set[str] = set()
        self.waiting: set[str] = set()
        self._over: set[str] = set()

    def take(self, event: Any) -> Iterator[str]:
        if event.type != "agent_start" and not self.is_in_run:
            yield "outside of a run"
        if self._message is not None and event.type not in _AMID:
            yield f"while a message of {self._message} is open"
        match event.type:
            case "agent_start":
                if self.is_in_run:
                    yield "a run in a run"
                self.is_in_run, self._over = True, set()
            case "agent_end":
                if self._is_in_turn:
                    yield "the turn has no end"
                if self.waiting:
                    yield f"calls of the run before, forgotten: {sorted(self.waiting)}"
                self.is_in_run, self.waiting, self._open = False, self._open, set()
            case "turn_start" | "turn_end":
                if self._is_in_turn == (event.type == "turn_start"):
                    yield "turns are not in pairs"
                self._is_in_turn = event.type == "turn_start"
            case "message_start" | "message_update" | "message_end":
                yield from self._said(event)
            case _:
                yield from self._ran(event)

    def _said(self, event: Any) -> Iterator[str]:
        if not self._is_in_turn:
            yield "a message outside of a turn"
        if (event.type == "message_start") == (self._message is not None):
            yield "messages are not in pairs"
        if self._message not in (None, event.message.role):
            yield f"begun as {self._message}, now {event.message.role}"
        self._message = None if event.type == "message_end" else event.message.role

    def _ran(self, event: Any) -> Iterator[str]:
        call_id = event.tool_call_id
        if not self._is_in_turn:
            yield "a tool outside of a turn"
        if event.type == "tool_execution_start":
            if call_id in self._open | self._over:
                yield f"{call_id} starts twice"
            self.waiting.discard(call_id)
            self._open.add(call_id)
            return
        if call_id not in self._open:
            yield f"{call_id} is not open"
        if event.type == "tool_execution_end":
            self._open.discard(call_id)
            self._over.add(call_id)
