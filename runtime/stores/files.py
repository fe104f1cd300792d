"""A log in a folder on disk: the format of ``rust/log``, for asyncio.

Appending hands the record to the writer thread of the extension and returns. The thread wakes
whoever waits for something to be written or synced, without the interpreter.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from tinyagent.events import Record
from tinyagent.runtime.bells import bell_here
from tinyagent.runtime.chain import pruned_of
from tinyagent.runtime.clock import one_of
from tinyagent.runtime.errors import CorruptLogError, LogClosedError, OutOfOrderError
from tinyagent.runtime.load import own_records, read_shared
from tinyagent.runtime.lost_values import batch, refuse_lost_of, without_loss
from tinyagent.runtime.stores import (
    NO_OPTIONS,
    AppendEvent,
    Durability,
    ForkedFrom,
    Level,
    LogMeta,
    LogOptions,
    Recovered,
    SealKey,
    Stored,
    fork_fields,
    fork_of,
    warn_if_long,
)
from tinyagent.runtime.stores.live import BATCH_RECORDS, Followers
from tinyagent.runtime.stores.memory import is_same
from tinyagent.runtime.stores.snapshots import Snapshots, newest

if TYPE_CHECKING:
    from tinyagent._alchemy import LogReader

# A disk that takes longer to write what is queued is stuck; reading then shows what is there.
READ_WAIT_S = 60.0


class FileLog:
    """A ``Log`` in a folder, which is made if it is not there.

    With *fork* a new log goes on after that record of its parent, which lies beside the folder.
    *level* is chosen when it is created: ``crc`` if None; ``chain``: every record carries a hash of
    all before it; ``signed``: and every seal is signed with *key*, at least each 1,000 records.
    *more* is what the header of a new log hands on of another (``LogMeta``).
    *now_us* dates the first and the last line of each segment. The keyword bounds are for tests
    and for those who know: bytes of a segment, bytes that may wait for the disk, milliseconds
    that a record may stay unsynced in mode ``interval``.

    Raises:
        LogOwnedError: another process, or another object of this one, is writing the log.
        CorruptLogError: acknowledged records are damaged; nothing was changed. Or the log was
            repaired, and *accept_loss* does not say to go on without what was lost.
        LogVersionError: a newer version wrote it. LogFailedError: the disk said no.
        ValueError: *log_id*, *fork* or *level* is not that of the log that is there, or no id.
    """

    __slots__ = (
        "_followers",
        "_meta",
        "_now_us",
        "_snapshots",
        "_writer",
        "options",
    )

    def __init__(
        self,
        path: str | Path,
        *,
        now_us: Callable[[], int],
        durability: Durability = "interval",
        name: str | None = None,
        log_id: str | None = None,
        origin: str | None = None,
        fork: ForkedFrom | None = None,
        level: Level | None = None,
        key: SealKey | None = None,
        accept_loss: bool = False,
        more: tuple[tuple[str, str], ...] = (),
        segment_bytes_max: int | None = None,
        queue_bytes_soft_max: int | None = None,
        queue_bytes_hard_max: int | None = None,
        interval_ms: int | None = None,
    ) -> None:
        from tinyagent.runtime.extension import LogWriter

        self._now_us = one_of(now_us)
        writer = self._writer = LogWriter(
            path,
            durability=durability,
            at_us=now_us(),
            log_id=log_id,
            name=name,
            origin=origin,
            fork=fork_fields(fork),
            level=level,
            key=key.fields() if key is not None else None,
            accept_loss=accept_loss,
            more=more,
            segment_bytes_max=segment_bytes_max,
            queue_bytes_soft_max=queue_bytes_soft_max,
            queue_bytes_hard_max=queue_bytes_hard_max,
            interval_ms=interval_ms,
            since=newest(path),
        )
        self.options: LogOptions = NO_OPTIONS
        self._meta: LogMeta | None = None
        self._snapshots: Snapshots | None = None
        self._followers: Followers | None = None
        warn_if_long(self.where, writer.seq)

    # What the writer says of itself is asked for when it is first needed: a log that does nothing
    # holds nothing of it.

    @property
    def where(self) -> str:
        """The folder, as it was given."""
        return self._writer.path

    @property
    def meta(self) -> LogMeta:
        """Identity of the log."""
        meta = self._meta
        if meta is None:
            writer = self._writer
            meta = self._meta = LogMeta(
                log=writer.log,
                level=writer.level,
                name=writer.name,
                origin=writer.origin,
                fork=fork_of(writer.fork),
                more=tuple(writer.more),
            )
        return meta

    @property
    def durability(self) -> Durability:
        """The mode."""
        return self._writer.durability

    @property
    def epoch(self) -> int:
        """Which opening for append this is: 1, 2, ..."""
        return self._writer.epoch

    @property
    def snapshots(self) -> Snapshots:
        """The snapshots in its folder."""
        snapshots = self._snapshots
        if snapshots is None:
            snapshots = self._snapshots = Snapshots(self.where, self.meta.log)
        return snapshots

    def rest(self) -> None:
        """See ``let_rest``."""
        self._meta, snapshots = None, self._snapshots
        if snapshots is not None and not snapshots.is_writing:
            self._snapshots = None

    @property
    def _path(self) -> Path:
        return Path(self.where)

    def _following(self) -> Followers:
        if self._followers is None:
            followers = self._followers = Followers()
            self._writer.follow(lambda *fields: followers.post(Stored(*fields)))
        return self._followers

    @property
    def _shares(self) -> ForkedFrom | None:
        """What is read of a parent; nothing if that was removed."""
        return self.meta.fork if pruned_of(self.meta) is None else None

    @property
    def recovered(self) -> Recovered | None:
        """What opening found, or the last failed fsync since; None if nothing."""
        told = self._writer.recovered
        if told is None:
            return None
        torn_bytes, dropped, copied, segment, why = told
        return Recovered(
            torn_bytes=torn_bytes, dropped=dropped, copied=copied, segment=segment, why=why
        )

    @property
    def seq(self) -> int:
        """Number of the last record accepted; 0 in an empty log."""
        return self._writer.seq

    @property
    def written_seq(self) -> int:
        """The last record that survives the death of this process."""
        return self._writer.written_seq

    @property
    def durable_seq(self) -> int:
        """The last record that survives a power cut."""
        return self._writer.durable_seq

    def timings(self, since: int | None) -> tuple[int, list[tuple[bool, float]]]:
        """Return how long the disk took behind number *since*, and the number to ask with next.

        Whether it was an fsync, or a batch that was written; and the seconds. Kept from the first
        time on that somebody asks, without a number; the last 4,096.
        """
        return self._writer.timings(since)

    def append(
        self, seq: int, ts_us: int, actor: str | None, kind: str, v: int, cause: int, payload: bytes
    ) -> None:
        """Accept the record as number *seq*. Takes a microsecond; never waits for the disk.

        Raises:
            OutOfOrderError: *seq* is not ``log.seq + 1``, and the record there has other bytes.
            LogClosedError, LogBehindError, LogFailedError, LogFencedError, LogFullError,
            LogLimitError, ForkedProcessError: as named. ValueError: it cannot be a record.
        """
        try:
            self._writer.append(seq, ts_us, actor, kind, v, cause, payload)
        except OutOfOrderError:
            # A retry after a lost answer is no error.
            given = Stored(seq, ts_us, actor, kind, v, cause, payload)
            if not any(is_same(there, given) for there in self.read(seq, seq)):
                raise

    @property
    def append_event(self) -> AppendEvent | None:
        """Makes an event the next record, as ``append`` does."""
        return self._writer.append_event

    @property
    def write_upto(self) -> Callable[[int], bool] | None:
        """Says whether a record is written, by this call if it can; None but in ``interval``."""
        return self._writer.want_written if self.durability == "interval" else None

    async def written(self, seq: int) -> None:
        """Wait until records 1..*seq* survive the death of this process.

        In modes ``group`` and ``strict`` the promise is the stronger one: durable. Cancelling
        leaves the log as it is.

        Raises:
            LogError: the log failed, or was closed, before.
        """
        if self.durability != "interval":
            await self.durable(seq)
            return
        while not self._writer.want_written(seq):
            await self._progress(self._writer.want_written, seq)

    async def durable(self, seq: int) -> None:
        """Wait until records 1..*seq* survive a power cut. Asks for a sync at once.

        Raises:
            LogError: the log failed, or was closed, before.
        """
        while not self._writer.want_durable(seq):
            if self._writer.is_nearly_durable(seq):
                await asyncio.sleep(0)  # everybody else goes on, and the loop does not rest
            else:
                await self._progress(self._writer.want_durable, seq)

    async def room(self) -> None:
        """Wait until at most ``queue_bytes_soft_max`` bytes wait for the disk."""
        while not self._writer.want_room():
            await self._progress(self._writer.want_room)

    async def _progress(self, want: Callable[..., bool], *seq: int) -> None:
        """Wait until the thread has got on with what is wanted."""
        woken = asyncio.get_running_loop().create_future()
        if not want(*seq, (bell_here(), woken)):
            await woken

    def read(self, first: int = 1, last: int | None = None) -> Iterator[Stored]:
        """Yield the records *first*..*last* in order, from the disk; of a fork the parent's too.

        Waits first, in the calling thread, until what was accepted is written: a millisecond.

        Raises:
            CorruptLogError: acknowledged records are damaged, or a large value is lost, which
            nobody accepted. LogNotFoundError: a fork's parent is not beside it.
        """
        reader, fork, accepts_loss = self._reader(first), self._shares, self._writer.accepts_loss
        if fork is not None and first <= fork.at < reader.base:
            shared = read_shared(self._path, fork, accept_loss=accepts_loss)
            yield from (r for r in shared if first <= r.seq and (last is None or r.seq <= last))
            first = fork.at + 1
            if last is not None and last < first:
                return
        while some := batch(reader, first, BATCH_RECORDS):
            for record in some:
                if last is not None and record.seq > last:
                    return
                if not accepts_loss:
                    refuse_lost_of(self.where, record, reader.lost)
                yield record
            first = some[-1].seq + 1

    def read_records(self, first: int = 1, *, joined: bool = False) -> list[Record]:
        """Return what ``read`` yields from *first* on, with the events, at less cost.

        *joined*: as of ``records_of``.

        Raises:
            LogError: as ``read``.
        """
        reader, fork, shared = self._reader(first), self._shares, list[Record]()
        if fork is not None and first <= fork.at < reader.base:
            parent = read_shared(self._path, fork, accept_loss=self._writer.accepts_loss)
            shared = [without_loss(r) for r in parent if first <= r.seq]
            first = fork.at + 1
        own = own_records(
            reader, self.where, first, joined=joined, accept_loss=self._writer.accepts_loss
        )
        return [*shared, *own]

    def _reader(self, first: int) -> LogReader:
        from tinyagent.runtime.extension import LogReader

        opened = self._writer.take_reader()
        if opened is not None and opened.last == self.seq and 0 < opened.first <= first:
            return opened
        self._writer.block_written(READ_WAIT_S)
        written, reader = self.written_seq, LogReader(self._path)
        if reader.last < written:
            raise CorruptLogError(
                f"{self.where}: record {reader.last + 1} was written and is not there any more: a "
                "file of the log was removed, renamed or replaced; put it back, and open it again",
                path=self.where,
                seq=reader.last + 1,
            )
        return reader

    def tail(self, first: int) -> AsyncIterator[Stored]:
        """Yield the records from *first* on, then new ones as they are accepted.

        Ends when the log is closed. A reader of another process reads again instead.
        """
        reader: LogReader | None = None
        shared: list[Stored] = []
        fork = self._shares

        def read(first: int, count: int) -> list[Stored]:
            nonlocal reader, shared
            if reader is None or reader.last < first:
                reader = self._reader(first)
            if fork is not None and first <= fork.at < reader.base:
                shared = shared or read_shared(self._path, fork, accept_loss=True)
                rest = (record for record in shared if record.seq >= first)
                return list(islice(rest, count))
            shared = []
            return batch(reader, first, count)

        return self._following().follow(first, lambda: self.seq, read, in_thread=True)

    async def close(self, why: str = "close") -> None:
        """Write everything, sync, seal, release the lock. Safe to call twice.

        Cancelling does not stop it; it goes on in the writer thread.

        Raises:
            LogError: the log failed before; what is durable stays so.
        """
        self._following().end()
        is_closed = self._writer.close(why, self._now_us())
        while not is_closed:
            await self._progress(self._writer.want_closed)
            is_closed = self._writer.want_closed()
        snapshots = self._snapshots
        if snapshots is not None and snapshots.is_writing:
            await asyncio.to_thread(snapshots.wait)
        failure = self._writer.failure()
        if failure is not None and not isinstance(failure, LogClosedError):
            raise failure
