"""How things stood after record n: the agent's state, the conversation, what was open. Pure.

A walk goes through a log once, however many places are looked at on the way; only a look back
begins anew.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tinyagent.actors.children import agent_machine
from tinyagent.actors.state import State
from tinyagent.events import Conversation, Fact, Message, Record, Settings, View, kinds as k
from tinyagent.events.children import child_of
from tinyagent.events.settled import Settled
from tinyagent.events.work import Open, OpenWork


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How things stood after record ``seq``.

    Attributes:
        agent: the state of the agent; None where the log is not one that today's agent can read.
        fault: why not. settings: the configuration in force. open: requests without an end.
        children: the state of each agent below that has begun and not ended, by its name.
    """

    seq: int
    agent: State | None
    settings: Settings
    open: tuple[Open, ...]
    view: View
    fault: str = ""
    children: dict[str, State | None] = {}

    @property
    def messages(self) -> list[Message]:
        """What was said until then."""
        return self.view.read()

    def plain(self) -> dict[str, Any]:
        """Return it as JSON values: ``agent settings open messages``; ``fault children`` if any."""
        told: dict[str, Any] = {
            "agent": msgspec.to_builtins(self.agent),
            "settings": msgspec.to_builtins(self.settings),
            "open": msgspec.to_builtins(self.open),
            "messages": msgspec.to_builtins(self.messages),
        }
        if self.fault:
            told["fault"] = self.fault
        if self.children:
            told["children"] = msgspec.to_builtins(self.children)
        return told


class Walk:
    """Goes through *records*, in order, as far as it is asked to."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records
        self._begin()
        self._begin_steps()

    def _begin(self) -> None:
        self._at = 0
        self._conversation = Conversation()

    def _begin_steps(self) -> None:
        self._stepped = 0
        self._machines = {"": agent_machine()}
        self._work = OpenWork()
        self._faults: dict[str, str] = {}
        self._running: dict[str, None] = {}

    def to(self, seq: int) -> Standing:
        """Return how things stood after record *seq*; before the first, nothing is known."""
        self._go(seq)
        self._go_step_by_step()
        return Standing(
            seq=seq,
            agent=self._state(""),
            settings=self._conversation.settings,
            open=self._work.read(),
            view=self._conversation.view(),
            fault=self._faults.get("", ""),
            children={name: self._state(name) for name in self._running},
        )

    def _state(self, name: str) -> State | None:
        return None if name in self._faults else self._machines[name].state

    def asked(self, seq: int) -> View:
        """Return what the last ``model.requested`` up to record *seq* asked to be answered."""
        self._go(seq)
        return self._conversation.asked

    def settled(self, seq: int) -> Callable[[], Settled] | None:
        """Return what makes plain data of the conversation as of record *seq*; None in a run."""
        self._go(seq)
        return self._conversation.settled()

    def _go(self, seq: int) -> None:
        end = bisect_right(self._records, seq, key=lambda record: record.seq)
        if end < self._at:
            self._begin()
        for record in self._records[self._at : end]:
            self._conversation.evolve(record)
        self._at = end

    def _go_step_by_step(self) -> None:
        """Let the agents follow: who asks for a request alone needs none of them."""
        if self._at < self._stepped:
            self._begin_steps()
        for record in self._records[self._stepped : self._at]:
            self._work.evolve(record)
            self._step(child_of(record.actor), record)
        self._stepped = self._at

    def _step(self, name: str, record: Record) -> None:
        """Let the agent of that name take its record; the main one has none."""
        match record.event:
            case k.ChildStarted(child=child):
                self._running[child], self._machines[child] = None, agent_machine()
            case k.ChildEnded(child=child):
                self._running.pop(child, None)
            case _:
                pass
        machine = self._machines.setdefault(name, agent_machine())
        is_input = isinstance(record.event, Fact) and record.event.kind in machine.inputs
        if name in self._faults or not is_input:
            return
        try:
            machine.take(record)
        except Exception as error:  # whatever an edited log makes of the step
            self._faults[name] = f"record {record.seq}: {type(error).__name__}: {error}"
