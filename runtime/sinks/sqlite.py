"""A mirror in an SQLite database: each record once, whatever crashes.

The checkpoint is kept in the transaction that writes the record. So what the sink has written and
what it says it has written cannot differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tinyagent.events import Record
from tinyagent.runtime.stores import LogMeta
from tinyagent.runtime.stores.locking import FileLock
from tinyagent.runtime.stores.sqlite_tables import (
    PUT_BLOB,
    PUT_RECORD,
    TABLES,
    Row,
    blobs_of,
    is_address,
    kept,
    place_of,
    row_of,
)
from tinyagent.runtime.stores.sqlite_writer import opened

if TYPE_CHECKING:
    import sqlite3

CHECKPOINT = "CREATE TABLE IF NOT EXISTS checkpoint (log TEXT PRIMARY KEY, seq INTEGER NOT NULL)"
PUT_CHECKPOINT = (
    "INSERT INTO checkpoint VALUES (?, ?) ON CONFLICT (log) DO UPDATE SET seq = excluded.seq"
)


class SqliteSink:
    """Writes records into the tables ``log``, ``record`` and ``blob`` of a database.

    They are those of ``SqliteLog``, so a mirror of all kinds can be loaded; one database may hold
    many. Subclasses write tables of their own: ``put`` runs inside the transaction.

    Args:
        where: a file, or ``sqlite:///FILE``.
        kinds: those to write; None for all.
    """

    def __init__(self, where: str | Path, *, kinds: frozenset[str] | None = None) -> None:
        is_ours = isinstance(where, str) and is_address(where)
        self.kinds = kinds
        self._path = place_of(str(where)).path if is_ours else Path(where)
        self._connection: sqlite3.Connection | None = None
        self._turn: FileLock | None = None
        self._log = ""

    def begin(self, meta: LogMeta) -> None:
        """Open the database for the log that *meta* names.

        Raises:
            LogFailedError: SQLite said no. ValueError: the log itself lives in this database.
        """
        if self._connection is None:
            self._connection, self._turn = opened(self._path, synchronous="NORMAL")
        assert self._turn is not None
        run = self._connection.execute
        self._turn.acquire()
        try:
            run("BEGIN IMMEDIATE")
            for statement in (*TABLES, CHECKPOINT):
                run(statement)
            there = row_of(self._connection, meta.log)
            if there is not None and there.epoch:
                raise ValueError(
                    f"{self._path}: log {meta.log} is written here itself; mirror it elsewhere"
                )
            run("INSERT OR REPLACE INTO log VALUES (?, ?)", (meta.log, kept(Row(meta=meta))))
            run("COMMIT")
        finally:
            if self._connection.in_transaction:
                run("ROLLBACK")
            self._turn.release()
        self._log = meta.log

    def checkpoint(self) -> int:
        """Return the last record written in a transaction that was committed."""
        if self._connection is None:
            return 0
        asked = "SELECT seq FROM checkpoint WHERE log = ?"
        found = self._connection.execute(asked, (self._log,)).fetchone()
        seq: int = found[0] if found else 0
        return seq

    def write(self, record: Record) -> None:
        """Commit *record* and the checkpoint together; a record from before it changes nothing.

        Raises:
            sqlite3.Error: nothing of it is written.
        """
        connection = self._connection
        assert connection is not None, "begin says which log this is a mirror of"
        assert self._turn is not None
        self._turn.acquire()
        try:
            connection.execute("BEGIN IMMEDIATE")
            if record.seq > self.checkpoint():
                self.put(connection, record)
                connection.execute(PUT_CHECKPOINT, (self._log, record.seq))
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._turn.release()

    def put(self, connection: sqlite3.Connection, record: Record) -> None:
        """Write *record*. What *connection* is told here is committed with the checkpoint."""
        from tinyagent.runtime.extension import line

        event = record.event
        actor = None if record.actor == event.emitter else record.actor
        ts_us, cause, log = record.at_ns // 1000, record.cause, self._log
        left, blobs = blobs_of(record.payload)
        built = line(log, 0, record.seq, ts_us, actor, event.kind, event.v, cause, left)
        connection.executemany(PUT_BLOB, [(log, sha, body) for sha, body in blobs])
        connection.execute(PUT_RECORD, (log, record.seq, event.kind, actor, cause, ts_us, built))

    async def close(self) -> None:
        """Close the database. Safe to call twice."""
        connection, self._connection = self._connection, None
        if connection is not None and self._turn is not None:
            self._turn.acquire()
            try:
                connection.close()
            finally:
                self._turn.close()
