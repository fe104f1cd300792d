"""How things stood after record n: the agent's state, the conversation, what was open. Pure.

A walk goes through a log once, however many places are looked at on the way; only a look back
begins anew.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import msgspec

from tinyagent.actors.session import agent_machine
from tinyagent.actors.state import State
from tinyagent.events import Conversation, Fact, Message, Record, Settings, View
from tinyagent.events.work import Open, OpenWork


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How things stood after record ``seq``.

    Attributes:
        agent: the state of the agent; None where the log is not one that today's agent can read.
        fault: why not. settings: the configuration in force. open: requests without an end.
    """

    seq: int
    agent: State | None
    settings: Settings
    open: tuple[Open, ...]
    view: View
    fault: str = ""

    @property
    def messages(self) -> list[Message]:
        """What was said until then."""
        return self.view.read()

    def plain(self) -> dict[str, Any]:
        """Return it as JSON values: ``agent settings open messages``, and ``fault`` if any."""
        told: dict[str, Any] = {
            "agent": msgspec.to_builtins(self.agent),
            "settings": msgspec.to_builtins(self.settings),
            "open": msgspec.to_builtins(self.open),
            "messages": msgspec.to_builtins(self.messages),
        }
        return {**told, "fault": self.fault} if self.fault else told


class Walk:
    """Goes through *records*, in order, as far as it is asked to."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records
        self._begin()

    def _begin(self) -> None:
        self._at = 0
        self._machine = agent_machine()
        self._conversation = Conversation()
        self._work = OpenWork()
        self._fault = ""

    def to(self, seq: int) -> Standing:
        """Return how things stood after record *seq*; before the first, nothing is known."""
        self._go(seq)
        return Standing(
            seq=seq,
            agent=None if self._fault else self._machine.state,
            settings=self._conversation.settings,
            open=self._work.read(),
            view=self._conversation.view(),
            fault=self._fault,
        )

    def asked(self, seq: int) -> View:
        """Return what the last ``model.requested`` up to record *seq* asked to be answered."""
        self._go(seq)
        return self._conversation.asked

    def _go(self, seq: int) -> None:
        end = bisect_right(self._records, seq, key=lambda record: record.seq)
        if end < self._at:
            self._begin()
        for record in self._records[self._at : end]:
            self._conversation.evolve(record)
            self._work.evolve(record)
            self._step(record)
        self._at = end

    def _step(self, record: Record) -> None:
        is_input = isinstance(record.event, Fact) and record.event.kind in self._machine.inputs
        if self._fault or not is_input:
            return
        try:
            self._machine.take(record)
        except Exception as error:  # whatever an edited log makes of the step
            self._fault = f"record {record.seq}: {type(error).__name__}: {error}"
