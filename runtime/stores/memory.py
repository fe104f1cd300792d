"""A log in memory. Nothing of it survives the process, hence everything is "durable" at once.

It keeps what it is given; lines are built when it is exported (``runtime.log.pack``), with the
same bytes as a file has at watermark 0.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterable, Iterator

from tinyagent.runtime.errors import LogClosedError, OutOfOrderError
from tinyagent.runtime.stores import (
    NO_OPTIONS,
    Durability,
    ForkedFrom,
    LogMeta,
    LogOptions,
    Recovered,
    Stored,
)
from tinyagent.runtime.stores.live import Followers


class MemoryLog:
    """A ``Log`` that is a list.

    *log_id* is drawn at random if it is not given. *records* are there from the start, numbered
    without gaps: of a *fork* those that it shares with its parent, at least, or none of them; its
    own numbers go on after the cut. A *read_only* log takes no more.

    Raises:
        ValueError: the records of a fork end before its cut.
    """

    durability: Durability = "memory"
    epoch = 1
    recovered: Recovered | None = None

    def __init__(
        self,
        *,
        log_id: str | None = None,
        name: str | None = None,
        fork: ForkedFrom | None = None,
        meta: LogMeta | None = None,
        records: Iterable[Stored] = (),
        read_only: bool = False,
        where: str = "memory",
    ) -> None:
        self.meta = meta or LogMeta(log=log_id or os.urandom(16).hex(), name=name, fork=fork)
        self.where = where
        self._records: list[Stored] = list(records)
        cut = self.meta.cut
        self._base = cut
        if self.seq < cut:
            raise ValueError(f"{where}: the records end at {self.seq}, before the fork at {cut}")
        self._closed: str | None = "was opened for reading" if read_only else None
        self._followers = Followers()
        self.options: LogOptions = NO_OPTIONS
        if read_only:
            self._followers.end()

    @property
    def seq(self) -> int:
        """Number of the last record; in an empty fork that of its cut."""
        return self._records[-1].seq if self._records else self._base

    @property
    def written_seq(self) -> int:
        """The same: nothing is safer than in memory."""
        return self.seq

    @property
    def durable_seq(self) -> int:
        """The same: nothing is safer than in memory."""
        return self.seq

    def append(
        self, seq: int, ts_us: int, actor: str | None, kind: str, v: int, cause: int, payload: bytes
    ) -> None:
        """Accept the record as number *seq*.

        Raises:
            OutOfOrderError: it is not the next one, and not one that is there with these bytes.
            LogClosedError: the log was closed, or opened for reading.
        """
        record = Stored(
            seq=seq, ts_us=ts_us, actor=actor, kind=kind, v=v, cause=cause, payload=payload
        )
        if self._closed is not None:
            raise LogClosedError(
                f"{self.where}: record {seq} was appended, but the log {self._closed}; "
                "open one for appending"
            )
        if seq != self.seq + 1:
            if not self._holds(record):
                raise OutOfOrderError(self.where, seq, self.seq + 1)
            return
        self._records.append(record)
        if self._followers.all:
            self._followers.post(record)

    def _holds(self, record: Stored) -> bool:
        """Whether *record* is there: an append repeated after its answer was lost."""
        at = self._index(record.seq)
        return at < len(self._records) and is_same(self._records[at], record)

    async def written(self, seq: int) -> None:
        """Return at once."""

    async def durable(self, seq: int) -> None:
        """Return at once."""

    async def room(self) -> None:
        """Return at once."""

    def read(self, first: int = 1, last: int | None = None) -> Iterator[Stored]:
        """Yield the records *first*..*last* in order; records appended meanwhile included."""
        at = self._index(first)
        while at < len(self._records):
            record = self._records[at]
            if last is not None and record.seq > last:
                return
            yield record
            at += 1

    def tail(self, first: int) -> AsyncIterator[Stored]:
        """Yield the records from *first* on, then new ones; ends when the log is closed."""
        return self._followers.follow(first, lambda: self.seq, self._batch, in_thread=False)

    def _batch(self, first: int, count: int) -> list[Stored]:
        at = self._index(first)
        return self._records[at : at + count]

    def _index(self, seq: int) -> int:
        """Return where record *seq* is, or the first after it: a repaired log leaves some out."""
        return bisect_left(self._records, seq, key=lambda record: record.seq)

    async def close(self, why: str = "close") -> None:
        """Take no more records; readers still may read. Safe to call twice."""
        if self._closed is None:
            self._closed = f"was closed ({why})"
        self._followers.end()


def is_same(one: Stored, other: Stored) -> bool:
    """Return whether two records say the same, whatever their watermarks."""

    def said(record: Stored) -> tuple[object, ...]:
        named = (record.ts_us, record.actor, record.kind, record.v, record.cause)
        return (record.seq, *named, record.payload)

    return said(one) == said(other)
