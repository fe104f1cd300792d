"""The writing end of a log in SQLite: one thread, one connection, one transaction per batch.

A commit is durable (``synchronous=FULL``). Whoever writes the database holds a lock beside it
while it does, because SQLite before 3.51.3 can damage a write-ahead log when two connections
write or checkpoint at once (sqlite.org/wal.html, "the WAL-reset bug").
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections import deque
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from tinyagent.runtime.bells import call_in
from tinyagent.runtime.errors import (
    CorruptLogError,
    LogBehindError,
    LogClosedError,
    LogError,
    LogFailedError,
    LogFencedError,
    LogFullError,
    LogOwnedError,
)
from tinyagent.runtime.stores.live import release
from tinyagent.runtime.stores.locking import FileLock
from tinyagent.runtime.stores.sqlite_checks import (
    RESTORE,
    beside,
    connected,
    faults,
    refuse_broken_wal,
    unreadable,
    vanished,
)
from tinyagent.runtime.stores.sqlite_tables import (
    PUT_BLOB,
    PUT_RECORD,
    TABLES,
    Place,
    Row,
    chosen,
    kept,
    row_of,
    rows,
)

if TYPE_CHECKING:
    import sqlite3

QUEUE_BYTES_SOFT_MAX = 8 << 20
QUEUE_BYTES_HARD_MAX = 64 << 20
SAFE_VERSION = (3, 51, 3)

_logger = logging.getLogger("tinyagent")
_logger.addHandler(logging.NullHandler())


class Queued(NamedTuple):
    """A record on its way to the database: the columns, and its large values."""

    seq: int
    columns: tuple[str, int, str, str | None, int, int, bytes]
    blobs: list[tuple[str, bytes]]


class _Waiter(NamedTuple):
    level: Literal["committed", "room", "closed"]
    seq: int
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]


class Writer:
    """Opens the log for appending and commits what is put into its queue.

    Raises:
        LogOwnedError: another writes it. LogError: it cannot be opened.
    """

    def __init__(self, place: Place, fresh: Row, where: str, *, hard_max: int) -> None:
        self.where = where
        self._path = place.path
        self._pid = os.getpid()
        self._hard_max = hard_max
        self._connection, self._turn = opened(self._path)
        self._owner: FileLock | None = None
        try:
            self.row = self._take(place, fresh)
            files = (self._path, beside(self._path, "wal"))
            self._files = [(file, file.stat()) for file in files if file.exists()]
        except BaseException:
            self._let_go()
            raise
        self._changed = threading.Condition()
        self._queue: deque[Queued] = deque()
        self._queued_bytes = 0
        self._waiters: list[_Waiter] = []
        self._is_closing = self.is_closed = False
        self.failure: LogError | None = None
        thread = threading.Thread(target=self._work, name=f"writes {where}", daemon=True)
        self._thread = thread
        thread.start()

    def _take(self, place: Place, fresh: Row) -> Row:
        """Become the owner: a new epoch. Also finds where the log ends."""
        self._turn.acquire()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for statement in TABLES:
                self._connection.execute(statement)
            row = chosen(place, rows(self._connection)) or fresh
            self._owner = FileLock(beside(self._path, f"owner-{row.meta.log}"))
            if not self._owner.try_acquire():
                self._owner.close()
                self._owner = None
                raise LogOwnedError(
                    f"{self.where} is being written by {row.owner} (epoch {row.epoch}); "
                    "it can be read, or forked into a log of your own"
                )
            owner = f"process {self._pid} on {socket.gethostname()}"
            row = msgspec.structs.replace(row, epoch=row.epoch + 1, owner=owner)
            put = (
                "INSERT INTO log VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET meta = excluded.meta"
            )
            self._connection.execute(put, (row.meta.log, kept(row)))
            last = "SELECT max(seq) FROM record WHERE log = ?"
            self.committed_seq: int = (
                self._connection.execute(last, (row.meta.log,)).fetchone()[0] or row.meta.cut
            )
            is_usual = self.committed_seq or row.epoch == 1
            if not is_usual and (told := vanished(self._connection, row.meta.log)):
                raise CorruptLogError(f"{self.where}: {told}; {RESTORE}", path=str(self._path))
            self._connection.execute("COMMIT")
        except faults() as error:
            raise unreadable(self._path, error) from None
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._turn.release()
        return row

    def put(self, item: Queued) -> None:
        """Queue a record. Never waits.

        Raises:
            LogError: the log was closed, has failed, or the disk is stuck.
        """
        with self._changed:
            self.check(item.seq)
            if self._queued_bytes > self._hard_max:
                raise LogBehindError(
                    f"{self.where}: {self._queued_bytes} bytes wait for the disk, "
                    f"at most {self._hard_max} may; record {item.seq} was not taken"
                )
            self._queue.append(item)
            self._queued_bytes += _bytes(item)
            self._changed.notify_all()

    def check(self, seq: int) -> None:
        """Raise if the log takes no record *seq*."""
        if self.failure is not None:
            raise self.failure
        if self._is_closing:
            raise LogClosedError(
                f"{self.where}: record {seq} was appended after the log was closed; open it again"
            )

    async def reach(self, level: Literal["committed", "room", "closed"], seq: int = 0) -> None:
        """Wait until it is so.

        Raises:
            LogError: it will never be.
        """
        loop = asyncio.get_running_loop()
        with self._changed:
            if self._is_so(level, seq):
                return
            waiter = _Waiter(level, seq, loop, loop.create_future())
            self._waiters.append(waiter)
        try:
            await waiter.future
        finally:
            with self._changed:
                self._waiters = [other for other in self._waiters if other is not waiter]

    def block(self, seq: int, timeout_s: float) -> None:
        """Wait, in this thread, until record *seq* is committed or cannot be any more."""
        with self._changed:
            self._changed.wait_for(
                lambda: self.committed_seq >= seq or self.failure or self.is_closed, timeout_s
            )

    def close(self) -> None:
        """Take no more; what is queued is still committed. Does not wait."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Close, and wait until the thread has ended: the log was dropped, or Python ends."""
        if os.getpid() == self._pid:  # a child of fork has no such thread
            self.close()
            self._thread.join()

    def _is_so(self, level: str, seq: int) -> bool:
        if level == "closed":
            return self.is_closed
        if level == "committed" and self.committed_seq >= seq:
            return True
        if self.failure is not None:
            raise self.failure
        if self.is_closed:
            raise LogClosedError(f"{self.where}: was closed before that record ({seq})")
        return level == "room" and self._queued_bytes <= QUEUE_BYTES_SOFT_MAX

    # The thread

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._is_closing)
                batch, self._queue = list(self._queue), deque()
            if not batch:
                break
            failure = self._commit(batch)
            with self._changed:
                self._queued_bytes -= sum(map(_bytes, batch))
                if failure is None:
                    self.committed_seq = batch[-1].seq
                self.failure = failure
                self._wake()
            if failure is not None:
                break
        self._let_go()
        with self._changed:
            self.is_closed = True
            self._wake()

    def _commit(self, batch: list[Queued]) -> LogError | None:
        """Commit *batch*, all of it or nothing. What fails is not tried again."""
        run = self._connection.execute
        try:
            self._turn.acquire()
            run("BEGIN IMMEDIATE")
            log = self.row.meta.log
            found = row_of(self._connection, log)
            if found is None or found.epoch != self.row.epoch:
                by = "nobody: it was deleted" if found is None else found.owner
                return LogFencedError(
                    f"{self.where}: taken over by {by}; records after {self.committed_seq} "
                    "were never acknowledged and do not count"
                )
            for item in batch:
                for sha, body in item.blobs:
                    run(PUT_BLOB, (log, sha, body))
            self._connection.executemany(PUT_RECORD, [item.columns for item in batch])
            run("COMMIT")
            return self._gone()
        except Exception as error:  # whatever it is, who waits for the records is to hear of it
            return self._failed(error)
        finally:
            self._roll_back()
            self._turn.release()

    def _gone(self) -> LogError | None:
        """Return what to say if what was committed is in no file that anybody finds."""
        for file, opened_as in self._files:
            try:
                if os.path.samestat(opened_as, file.stat()):
                    continue
            except (FileNotFoundError, NotADirectoryError):
                pass
            what, then = "the database", "put it back, and open it again"
            if file != self._path:
                what, then = file.name, "close this log, which saves the others, and open it again"
            return LogFencedError(
                f"{self.where}: {what} was removed, renamed or replaced; records after "
                f"{self.committed_seq} were never acknowledged; {then}"
            )
        return None

    def _failed(self, error: Exception) -> LogError:
        told = f"{self.where}: {error}; durable up to record {self.committed_seq}"
        if "full" in str(error):
            return LogFullError(f"{told}; make room, and open the log again")
        by = "another program held it for too long; " if "is locked" in str(error) else ""
        told = f"{told}; {by}open the log again to go on"
        return LogFailedError(told, durable_seq=self.committed_seq)

    def _roll_back(self) -> None:
        import sqlite3

        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            _logger.warning("%s: after a failed commit: %s", self.where, error)

    def _let_go(self) -> None:
        try:
            self._turn.acquire()  # the last connection to close checkpoints
            self._connection.close()
        except faults() as error:
            _logger.warning("%s: closing: %s", self.where, error)
        finally:
            self._turn.close()
            if self._owner is not None:
                self._owner.close(remove=True)

    def _wake(self) -> None:
        """Tell everybody who waits for what is so now. Called with the lock held."""
        self._changed.notify_all()
        for waiter in self._waiters:
            try:
                call = partial(release, waiter.future)
                if not self._is_so(waiter.level, waiter.seq):
                    continue
            except LogError as error:
                call = partial(_fail, waiter.future, error)
            call_in(waiter.loop, call)


@cache
def warn_of_old_sqlite(version: str) -> None:
    """Say so in the process's log, once."""
    _logger.warning(
        "SQLite %s can damage a database that other programs write at the same time "
        "(fixed in 3.51.3): write logs through tinyagent only",
        version,
    )


def _fail(future: asyncio.Future[None], error: LogError) -> None:
    if not future.done():
        future.set_exception(error)


def _bytes(item: Queued) -> int:
    return len(item.columns[-1]) + sum(len(body) for _, body in item.blobs)


def opened(
    path: Path, *, synchronous: Literal["FULL", "NORMAL"] = "FULL"
) -> tuple[sqlite3.Connection, FileLock]:
    """Return a connection that writes *path*, and the lock of those who do, not held.

    The file is made readable by its owner only.

    Raises:
        LogFailedError: it cannot be opened. CorruptLogError: records of it are lost.
    """
    import sqlite3

    if sqlite3.sqlite_version_info < SAFE_VERSION:
        warn_of_old_sqlite(sqlite3.sqlite_version)
    turn = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        turn = FileLock(beside(path, "lock"))
        # SQLite does not wait for another that changes the journal mode: it says "locked" at once.
        turn.acquire()
        refuse_broken_wal(path)
        # One that is there is not opened: to close it would end the locks that SQLite has on it for
        # this process (fcntl), and the next process that closes it would remove its -wal file.
        if not path.exists():
            # What is beside it inherits who may read it.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = connected(path, read_only=False)
        for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "fullfsync=1"):
            connection.execute(f"PRAGMA {pragma}")
        turn.release()
    except Exception as error:
        if turn is not None:
            turn.close()
        if isinstance(error, faults()):
            raise unreadable(path, error) from None
        raise
    return connection, turn
