"""A log in a log: what an agent below another writes into, and reads, as if it were its own.

Its records go into the log of the agent above, under the child's name and numbered with the
others; those that nothing else led to, because of the record that began it. Read back, they are
what a main agent would have written. Whatever keeps a log safe is the business of that log.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

from tinyagent.events import KINDS, Redactor, record_of
from tinyagent.events.children import seen_from
from tinyagent.runtime.mailbox import Mailbox
from tinyagent.runtime.stores import Durability, Log, LogMeta, LogOptions, Recovered, Stored


class ChildLog:
    """The part of *log* that is *child*'s, which record *started* began.

    Args:
        readers: are posted every record, as the log has it.
        redactor: masks what is written, as in the rest of the log.
        claimed: call ids of the log, each with the name of the agent that has it.
        decided: is called when the child's machine has put on record what it decided.
    """

    recovered: Recovered | None = None  # whose log this is in, has it on record

    def __init__(
        self,
        log: Log,
        child: str,
        started: int,
        *,
        readers: list[Mailbox],
        redactor: Redactor | None,
        claimed: dict[str, str],
        decided: Callable[[], None] = lambda: None,
    ) -> None:
        self.log = log
        self.child = child
        self.started = started
        self.readers = readers
        self.redactor = redactor
        self.claimed = claimed
        self._decided = decided
        self.meta: LogMeta = log.meta
        self.where = f"{log.where} {child}"
        self.durability: Durability = log.durability
        self.options = LogOptions(redact=log.options.redact, understudy=log.options.understudy)

    @property
    def epoch(self) -> int:
        """As of the log."""
        return self.log.epoch

    @property
    def seq(self) -> int:
        """As of the log: numbers are shared."""
        return self.log.seq

    @property
    def written_seq(self) -> int:
        """As of the log."""
        return self.log.written_seq

    @property
    def durable_seq(self) -> int:
        """As of the log."""
        return self.log.durable_seq

    def append(
        self, seq: int, ts_us: int, actor: str | None, kind: str, v: int, cause: int, payload: bytes
    ) -> None:
        """Accept the record as number *seq* of the log.

        Raises:
            LogError: as the log.
        """
        emitter = actor or (KINDS[kind].emitter if kind in KINDS else "runtime")
        named = self.child if emitter == "agent" else f"{self.child}/{emitter}"
        cause = cause or self.started
        self.log.append(seq, ts_us, named, kind, v, cause, payload)
        if self.readers:
            record = record_of(
                seq=seq, ts_us=ts_us, actor=named, kind=kind, v=v, cause=cause, payload=payload
            )
            for reader in self.readers:
                reader.post(record)
        if emitter == "agent":
            self._decided()

    async def written(self, seq: int) -> None:
        """As of the log."""
        await self.log.written(seq)

    async def durable(self, seq: int) -> None:
        """As of the log."""
        await self.log.durable(seq)

    async def room(self) -> None:
        """As of the log."""
        await self.log.room()

    def read(self, first: int = 1, last: int | None = None) -> Iterator[Stored]:
        """Yield the child's records *first*..*last*, and those of agents below it."""
        stored = self.log.read(max(first, self.started), last)
        return seen_from(self.child, stored, self.started)

    async def tail(self, first: int) -> AsyncIterator[Stored]:
        """Yield the child's records from *first* on, then new ones."""
        async for stored in self.log.tail(first):
            for seen in seen_from(self.child, (stored,), self.started):
                yield seen

    async def close(self, why: str = "close") -> None:
        """Do nothing: the log is open as long as the agent above wants."""
