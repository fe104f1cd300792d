"""A log in an SQLite database, beside others: the standard library, one file.

A batch of records is one transaction, and its commit is durable; so ``written`` and ``durable``
are the same, whatever the mode. A database has one writer at a time for each log in it.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import AsyncIterator, Callable, Iterator

from tinyagent.runtime.errors import ForkedProcessError, LogClosedError, OutOfOrderError
from tinyagent.runtime.stores import (
    NO_OPTIONS,
    Durability,
    ForkedFrom,
    LogMeta,
    LogOptions,
    Recovered,
    Stored,
    begun_otherwise,
    warn_if_long,
)
from tinyagent.runtime.stores.live import Followers
from tinyagent.runtime.stores.memory import is_same
from tinyagent.runtime.stores.sqlite_tables import Row, Tables, blobs_of, place_of
from tinyagent.runtime.stores.sqlite_writer import QUEUE_BYTES_HARD_MAX, Queued, Writer

# A disk that takes longer to commit what is queued is stuck; reading then shows what is there.
READ_WAIT_S = 60.0


class SqliteLog:
    """A ``Log`` at an address ``sqlite:///FILE#NAME``; file and log are made if missing.

    Without ``#NAME`` it is the only log of that database. *name* labels a new log, which an
    address with a name does already; *log_id* and *origin* are of a new log too. With *fork* a new
    log goes on after that record of its parent, which is in the same database. *accept_loss*: go
    on with it although large values are lost.

    Raises:
        LogOwnedError: another process, or another object of this one, is writing the log.
        LogFailedError: SQLite said no.
        ValueError: the address is none, or names several; *log_id* or *fork* is not that of the
            log there, or it is encrypted and this is not to be, or the other way round.
    """

    recovered: Recovered | None = None

    def __init__(
        self,
        address: str,
        *,
        now_us: Callable[[], int],
        durability: Durability = "interval",
        name: str | None = None,
        log_id: str | None = None,
        origin: str | None = None,
        fork: ForkedFrom | None = None,
        accept_loss: bool = False,
        more: tuple[tuple[str, str], ...] = (),
        queue_bytes_hard_max: int = QUEUE_BYTES_HARD_MAX,
    ) -> None:
        from tinyagent.runtime.extension import __version__, line

        place = place_of(address)
        place = place._replace(name=place.name or name or log_id or "")
        self.where = address
        self.durability: Durability = durability
        self._accepts_loss = accept_loss
        line(log_id or "0" * 32, 0, 1, 0, None, "a", 1, 0, b"{}")  # refuses what is no id
        label = place.name if place.name != log_id else None
        new_id = log_id or os.urandom(16).hex()
        meta = LogMeta(log=new_id, name=label or None, origin=origin, fork=fork, more=more)
        fresh = Row(meta=meta, at=now_us(), by=f"tinyagent {__version__}")
        writer = Writer(place, fresh, address, hard_max=queue_bytes_hard_max)
        self._writer = writer
        self._end = weakref.finalize(self, writer.stop)
        self.meta = writer.row.meta
        if log_id is not None and log_id != self.meta.log:
            self._end()
            raise ValueError(f"{address}: the log here has the id {self.meta.log}, not {log_id}")
        if fork is not None and fork != self.meta.fork:
            self._end()
            raise ValueError(f"{address}: the log here is another fork, or none; name a new one")
        if self.meta.is_encrypted != meta.is_encrypted:
            self._end()
            raise ValueError(begun_otherwise(address, is_encrypted=self.meta.is_encrypted))
        self.epoch = writer.row.epoch
        self._path = place.path
        self._seq = writer.committed_seq
        warn_if_long(address, self._seq)
        self._pid = os.getpid()
        self._line = line
        self._followers = Followers()
        self.options: LogOptions = NO_OPTIONS

    @property
    def seq(self) -> int:
        """Number of the last record accepted; 0 in an empty log."""
        return self._seq

    @property
    def written_seq(self) -> int:
        """The last record that survives the death of this process: the last one committed."""
        return self._writer.committed_seq

    @property
    def durable_seq(self) -> int:
        """The last record that survives a power cut: the last one committed."""
        return self._writer.committed_seq

    def append(
        self, seq: int, ts_us: int, actor: str | None, kind: str, v: int, cause: int, payload: bytes
    ) -> None:
        """Accept the record as number *seq*. Never waits for the disk.

        Raises:
            OutOfOrderError: *seq* is not ``log.seq + 1``, and the record there has other bytes.
            LogClosedError, LogBehindError, LogFailedError, LogFencedError, LogFullError,
            LogLimitError, ForkedProcessError: as named. ValueError: it cannot be a record.
        """
        writer = self._writer
        self._refuse_child()
        writer.check(seq)
        if seq != self._seq + 1:
            given = Stored(
                seq=seq, ts_us=ts_us, actor=actor, kind=kind, v=v, cause=cause, payload=payload
            )
            # A retry after a lost answer is no error.
            if not any(is_same(there, given) for there in self.read(seq, seq)):
                raise OutOfOrderError(self.where, seq, self._seq + 1)
            return
        d, log = writer.committed_seq, self.meta.log
        left, blobs = blobs_of(payload) if len(payload) > 65_536 else (payload, [])
        line = self._line(log, d, seq, ts_us, actor, kind, v, cause, left)
        writer.put(Queued(seq, (log, seq, kind, actor, cause, ts_us, line), blobs))
        self._seq = seq
        if self._followers.all:
            self._followers.post(
                Stored(
                    seq=seq,
                    ts_us=ts_us,
                    actor=actor,
                    kind=kind,
                    v=v,
                    cause=cause,
                    payload=payload,
                    d=d,
                    line=line,
                )
            )

    def _refuse_child(self) -> None:
        if os.getpid() != self._pid:
            raise ForkedProcessError(
                f"{self.where}: opened by process {self._pid}, this is its child {os.getpid()}; "
                "a child may read the log, or open one of its own"
            )

    async def written(self, seq: int) -> None:
        """Wait until records 1..*seq* are committed. Cancelling leaves the log as it is.

        Raises:
            LogError: the log failed, or was closed, before.
        """
        await self._writer.reach("committed", seq)

    async def durable(self, seq: int) -> None:
        """Wait until records 1..*seq* are committed. Cancelling leaves the log as it is.

        Raises:
            LogError: the log failed, or was closed, before.
        """
        await self._writer.reach("committed", seq)

    async def room(self) -> None:
        """Wait until at most 8 MiB wait for the disk."""
        await self._writer.reach("room")

    def read(self, first: int = 1, last: int | None = None) -> Iterator[Stored]:
        """Yield the records *first*..*last* in order, from the database.

        Waits first, in the calling thread, until what was accepted is committed.

        Raises:
            CorruptLogError: a record is damaged or missing, or a large value is lost, which nobody
            accepted.
        """
        self._writer.block(self._seq, READ_WAIT_S)
        tables = Tables(self._path, self.meta, committed=self._writer.committed_seq)
        read = tables.read if self._accepts_loss else tables.whole
        return read(max(first, 1), last)

    def tail(self, first: int) -> AsyncIterator[Stored]:
        """Yield the records from *first* on, then new ones as they are accepted.

        Ends when the log is closed. A reader of another process reads again instead.
        """
        tables = Tables(self._path, self.meta)

        def read(first: int, count: int) -> list[Stored]:
            self._writer.block(first, READ_WAIT_S)
            return tables.batch(first, count)

        return self._followers.follow(first, lambda: self._seq, read, in_thread=True)

    async def close(self, why: str = "close") -> None:
        """Commit everything, release the log. Safe to call twice.

        Cancelling does not stop it; it goes on in the writer thread.

        Raises:
            LogError: the log failed before; what is durable stays so. Or this is a child of
            ``fork(2)``, and the log its parent's.
        """
        self._refuse_child()
        self._followers.end()
        self._writer.close()
        await self._writer.reach("closed")
        self._end.detach()
        failure = self._writer.failure
        if failure is not None and not isinstance(failure, LogClosedError):
            raise failure
