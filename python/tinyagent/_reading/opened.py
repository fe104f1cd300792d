"""A log that is written here, and reads like a recording while it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tinyagent.recording import Recording, Records
from tinyagent.runtime.stores import (
    Durability,
    Log,
    LogMeta,
    LogOptions,
    Recovered,
    Stored,
    as_record,
    records_of,
)

if TYPE_CHECKING:
    from tinyagent._reading.facts import RecordedCall, Status, Usage
    from tinyagent.actors.asked import RequestAt
    from tinyagent.actors.differing import LogDiff
    from tinyagent.actors.standing import Standing
    from tinyagent.agent_types import AgentEvent, AgentMessage
    from tinyagent.events import Conversation, Record, Settings
    from tinyagent.events.work import Open
    from tinyagent.recording import Why
    from tinyagent.runtime.causes import Below
    from tinyagent.runtime.divergence import Difference, Report


class OpenLog:
    """An open log: what ``Agent(log=)`` takes, and every question that a ``Recording`` answers.

    An answer is about the records so far. It is found once per record that was added, by folding
    the log: ask at the end of a run rather than at every delta of it.

    Attributes:
        store: where the log lives. options: what it was opened with.
    """

    __slots__ = ("__weakref__", "_read", "options", "store")

    def __init__(self, store: Log) -> None:
        self.store = store
        self.options: LogOptions = store.options
        self._read: tuple[int, Recording] | None = None

    def __repr__(self) -> str:
        return f"<log {self.ref} at {self.where}, {self.seq} records>"

    # Reading

    @property
    def recording(self) -> Recording:
        """The log as it stands."""
        seq = self.store.seq
        if self._read is None or self._read[0] != seq:
            store = self.store
            records = Records(records_of(store))
            read = Recording(store.where, store.meta, records, None, is_live=True)
            self._read = (seq, read)
        return self._read[1]

    @property
    def ref(self) -> str:
        """What names the log on the command line: the first digits of its id."""
        return self.meta.log[:8]

    @property
    def records(self) -> Records:
        """Every record so far, in order; called, those that are wanted."""
        return self.recording.records

    async def follow(self, after: int = 0) -> AsyncIterator[Record]:
        """Yield the records behind number *after*, then new ones as they come, until it closes."""
        async for stored in self.store.tail(after + 1):
            yield as_record(stored)

    @property
    def conversation(self) -> Conversation:
        """As of ``Recording``."""
        return self.recording.conversation

    @property
    def settings(self) -> Settings:
        """As of ``Recording``."""
        return self.recording.settings

    @property
    def messages(self) -> list[AgentMessage]:
        """As of ``Recording``."""
        return self.recording.messages

    @property
    def tool_calls(self) -> dict[str, RecordedCall]:
        """As of ``Recording``."""
        return self.recording.tool_calls

    @property
    def every_call(self) -> dict[str, RecordedCall]:
        """As of ``Recording``."""
        return self.recording.every_call

    @property
    def children(self) -> dict[str, Recording]:
        """As of ``Recording``."""
        return self.recording.children

    @property
    def usage(self) -> Usage:
        """As of ``Recording``."""
        return self.recording.usage

    @property
    def cost(self) -> float | None:
        """As of ``Recording``."""
        return self.recording.cost

    @property
    def status(self) -> Status:
        """As of ``Recording``."""
        return self.recording.status

    @property
    def open_work(self) -> tuple[Open, ...]:
        """As of ``Recording``."""
        return self.recording.open_work

    @property
    def in_doubt(self) -> list[RecordedCall]:
        """As of ``Recording``."""
        return self.recording.in_doubt

    @property
    def approvals_pending(self) -> list[RecordedCall]:
        """As of ``Recording``."""
        return self.recording.approvals_pending

    def events(self) -> Iterator[AgentEvent]:
        """As of ``Recording``."""
        return self.recording.events()

    def replay(self) -> Report:
        """As of ``Recording``."""
        return self.recording.replay()

    def state_at(self, n: int) -> Standing:
        """As of ``Recording``."""
        return self.recording.state_at(n)

    def state_diff(self, n: int, m: int) -> list[Difference]:
        """As of ``Recording``."""
        return self.recording.state_diff(n, m)

    def request_at(self, n: int) -> RequestAt:
        """As of ``Recording``."""
        return self.recording.request_at(n)

    def why(self, n: int) -> Why:
        """As of ``Recording``."""
        return self.recording.why(n)

    def impact(self, n: int) -> tuple[Below, ...]:
        """As of ``Recording``."""
        return self.recording.impact(n)

    def diff(self, other: Recording | OpenLog | str | Path) -> LogDiff:
        """As of ``Recording``."""
        return self.recording.diff(other.recording if isinstance(other, OpenLog) else other)

    # Writing: the store's own

    @property
    def meta(self) -> LogMeta:
        """As of ``Log``."""
        return self.store.meta

    @property
    def where(self) -> str:
        """As of ``Log``."""
        return self.store.where

    @property
    def durability(self) -> Durability:
        """As of ``Log``."""
        return self.store.durability

    @property
    def epoch(self) -> int:
        """As of ``Log``."""
        return self.store.epoch

    @property
    def recovered(self) -> Recovered | None:
        """As of ``Log``."""
        return self.store.recovered

    @property
    def seq(self) -> int:
        """As of ``Log``."""
        return self.store.seq

    @property
    def written_seq(self) -> int:
        """As of ``Log``."""
        return self.store.written_seq

    @property
    def durable_seq(self) -> int:
        """As of ``Log``."""
        return self.store.durable_seq

    def append(
        self, seq: int, ts_us: int, actor: str | None, kind: str, v: int, cause: int, payload: bytes
    ) -> None:
        """As of ``Log``."""
        self.store.append(seq, ts_us, actor, kind, v, cause, payload)

    async def written(self, seq: int) -> None:
        """As of ``Log``."""
        await self.store.written(seq)

    async def durable(self, seq: int) -> None:
        """As of ``Log``."""
        await self.store.durable(seq)

    async def room(self) -> None:
        """As of ``Log``."""
        await self.store.room()

    def read(self, first: int = 1, last: int | None = None) -> Iterator[Stored]:
        """As of ``Log``."""
        return self.store.read(first, last)

    def tail(self, first: int) -> AsyncIterator[Stored]:
        """As of ``Log``."""
        return self.store.tail(first)

    async def close(self, why: str = "close") -> None:
        """As of ``Log``."""
        await self.store.close(why)


def opened(log: Log) -> OpenLog:
    """Return *log* as one that can be read."""
    return log if isinstance(log, OpenLog) else OpenLog(log)


def store_of(log: Log) -> Log:
    """Return where *log* lives: what a session appends to."""
    return log.store if isinstance(log, OpenLog) else log
