"""Throws the state of every agent away again and again, and makes it anew from the log.

What survives this is in the log, and nowhere else: so a crash loses nothing of it.
"""

from __future__ import annotations

from typing import Any

from tinyagent.actors.children import agent_machine
from tinyagent.actors.reopening import reopened
from tinyagent.actors.session import Session
from tinyagent.actors.state import State
from tinyagent.events import Event, Record, kinds as k
from tinyagent.events.children import own
from tinyagent.events.sifted import Sifted
from tinyagent.runtime.chain import pruned_of
from tinyagent.runtime.errors import InvariantError
from tinyagent.runtime.stores import Log, as_record

SHARE = 100
"""A long session is rebuilt only about so often while it grows as much again as it has."""


class Rebuilding:
    """Lets the machine of every session that is opened forget, until ``end``.

    Not of one whose log is masked apart, or pruned: that alone does not lead to its state.

    Attributes:
        count: how often one did.
    """

    def __init__(self, every: int) -> None:
        if every < 1:
            raise ValueError(f"a state is rebuilt every 1, 2, 3 ... inputs, got {every}")
        self.count = 0
        self._every = every
        self._open = Session.open

        def opened(session: Session) -> None:
            self._open(session)
            is_known = session.shadow is None and pruned_of(session.log.meta) is None
            if is_known and not isinstance(session.machine.step, _Forgetful):
                session.machine.step = _Forgetful(session, self)

        self._set_open(opened)

    @property
    def told(self) -> str:
        """What was done, as a line for the end of a run."""
        return f"--ta-rebuild-every={self._every}: {self.count} states were made from their logs"

    def is_due(self, taken: int) -> bool:
        """Whether a state is thrown away after its machine has taken so many inputs."""
        return taken % max(self._every, taken // SHARE) == 0

    def end(self) -> None:
        """Let sessions be opened as ever."""
        self._set_open(self._open)

    def _set_open(self, opened: Any) -> None:
        setattr(Session, "open", opened)  # noqa: B010 - the one place that all sessions pass


class _Forgetful:
    """The step of one session's machine."""

    def __init__(self, session: Session, rebuilding: Rebuilding) -> None:
        machine = session.machine
        self._step = machine.step
        self._kinds = machine.inputs | machine.decisions | {k.LogLost.kind}
        self._log: Log = session.log
        self._rebuilding = rebuilding
        self._taken = 0
        self._records: list[Record] = []

    def __call__(self, state: State, record: Record) -> tuple[State, tuple[Event, ...]]:
        """Step on *record*, and forget what this came to if it is time."""
        state, decided = self._step(state, record)
        self._taken += 1
        if self._rebuilding.is_due(self._taken):
            state = self._rebuilt(state, record.seq)
        return state, decided

    def _rebuilt(self, live: State, seq: int) -> State:
        records = self._records
        first = records[-1].seq + 1 if records else 1
        more = (stored for stored in own(self._log.read(first, seq)) if stored.kind in self._kinds)
        records += map(as_record, more)
        fresh = agent_machine()
        reopened(Sifted(records), fresh)
        if fresh.state != live:
            raise InvariantError(
                f"{self._log.where}: after record {seq} the agent is in a state that its log does "
                f"not lead to\n  live      {live}\n  from log  {fresh.state}"
            )
        self._rebuilding.count += 1
        return fresh.state
