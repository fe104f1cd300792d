"""The tables of logs in an SQLite database, and reading them.

``line`` is the record as a file would hold it, byte for byte; the other columns are copies of
its fields, for questions. Pages of the database have no checksum, hence every line is checked
against its own when it is read.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import msgspec

from tinyagent.runtime.errors import CorruptLogError, LogNotFoundError
from tinyagent.runtime.load import Damage, LoadedLog, check_cut
from tinyagent.runtime.lost_values import LostValue, refuse_lost
from tinyagent.runtime.stores import ForkedFrom, LogMeta, Stored, few
from tinyagent.runtime.stores.sqlite_checks import (
    RESTORE,
    TAIL_BYTES,
    broken_wal,
    checksum,
    hidden,
    is_sound,
    promised,
    reading,
    vanished,
)

if TYPE_CHECKING:
    import sqlite3

SCHEME = "sqlite:///"
BATCH_RECORDS = 512
TABLES = (
    "CREATE TABLE IF NOT EXISTS log (id TEXT PRIMARY KEY, meta TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS record (log TEXT, seq INTEGER, k TEXT NOT NULL, a TEXT,"
    " c INTEGER NOT NULL, ts INTEGER NOT NULL, line BLOB NOT NULL, PRIMARY KEY (log, seq))"
    " WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS blob (log TEXT, sha TEXT, body BLOB NOT NULL,"
    " PRIMARY KEY (log, sha))",
)
PUT_RECORD = "INSERT INTO record (log, seq, k, a, c, ts, line) VALUES (?, ?, ?, ?, ?, ?, ?)"
PUT_BLOB = "INSERT OR IGNORE INTO blob (log, sha, body) VALUES (?, ?, ?)"

_LINE = re.compile(
    rb'\{"seq":(\d+),"d":(\d+),"ts":(\d+)(?:,"a":"([^"]*)")?,"k":"([^"]*)","v":(\d+),"c":(\d+),"e":'
)
_ID = re.compile("[0-9a-f]{32}")
_REFERENCE = re.compile(
    rb'(?<!\{"\$esc":)\{"\$blob":"sha256:([0-9a-f]{64})","n":\d+,"t":"(text|bytes|json)"\}'
)
_HASH_BYTES = 39  # ,"h":"<32 hex>"


class Place(NamedTuple):
    """A log in a database: *name* is its name or id, empty for the only one there is."""

    path: Path
    name: str


class Row(msgspec.Struct, kw_only=True):
    """What is kept with the records of a log, as the column ``meta``.

    Attributes:
        at: when the log was begun, microseconds since 1970 UTC. by: the library that began it.
        epoch: openings for append so far; 0 for a mirror of a log elsewhere.
        owner: process and host that opened it last.
    """

    meta: LogMeta
    at: int = 0
    by: str = ""
    epoch: int = 0
    owner: str = ""


def is_address(where: object) -> bool:
    """Return whether *where* names a log in an SQLite database."""
    return isinstance(where, str) and where.startswith("sqlite:")


def place_of(address: str) -> Place:
    """Return what ``sqlite:///runs.db#trip`` names; an absolute path makes four slashes.

    Raises:
        ValueError: it is no such address.
    """
    path, _, name = address.removeprefix(SCHEME).partition("#")
    if not address.startswith(SCHEME) or not path:
        raise ValueError(f"{address}: expected {SCHEME}FILE or {SCHEME}FILE#NAME")
    return Place(Path(path), name)


def rows(connection: sqlite3.Connection) -> dict[str, Row]:
    """Return all logs of a database, by id."""
    found = connection.execute("SELECT id, meta FROM log ORDER BY id").fetchall()
    return {log: _row(log, meta) for log, meta in found}


def rows_in(path: Path) -> dict[str, Row]:
    """Return all logs of the database *path*, by id.

    Raises:
        LogError: it cannot be read.
    """
    with reading(path) as connection:
        return rows(connection)


def row_of(connection: sqlite3.Connection, log: str) -> Row | None:
    """Return the log with the id *log*; None if it is not there."""
    found = connection.execute("SELECT meta FROM log WHERE id = ?", (log,)).fetchone()
    return _row(log, found[0]) if found else None


def _row(log: object, meta: object) -> Row:
    if not (isinstance(log, str) and isinstance(meta, str) and _ID.fullmatch(log)):
        raise msgspec.ValidationError(f"no log has the id {log!r} and is {meta!r}")
    fields: dict[str, Any] = msgspec.json.decode(meta)
    identity = msgspec.convert({**fields, "log": log}, LogMeta)
    return msgspec.convert({**fields, "meta": identity}, Row)


def kept(row: Row) -> str:
    """Return *row* as the column ``meta`` holds it: one object, without the log's id."""
    fields = msgspec.to_builtins(row)
    meta = fields.pop("meta")
    del meta["log"]
    return msgspec.json.encode({n: v for n, v in (meta | fields).items() if v is not None}).decode()


def chosen(place: Place, there: dict[str, Row]) -> Row | None:
    """Return the log that *place* names, None if there is none.

    Raises:
        ValueError: it does not say which of several.
    """
    found = [row for row in there.values() if place.name in ("", row.meta.name or "", row.meta.log)]
    if len(found) > 1:
        raise ValueError(
            f"{place.path}: holds {len(there)} logs, name one of them: {_named(there)}"
        )
    return found[0] if found else None


def _named(there: dict[str, Row]) -> str:
    return few([f"#{row.meta.name or row.meta.log}" for row in there.values()])


class Tables:
    """The records of one log, read from the database *path*. For one thread at a time.

    Of a fork those come first that it shares with its parent, a log of the same database.
    *committed*: the last record that was known to be there when this was made.
    """

    def __init__(self, path: Path, meta: LogMeta, *, committed: int = 0) -> None:
        self._path = path
        self._meta = meta
        self._committed = committed
        self._shared: list[Stored] | None = None
        self.lost: list[LostValue] = []

    def read(self, first: int, last: int | None) -> Iterator[Stored]:
        """Yield the records *first*..*last* in order; all that there are if *last* is None.

        Raises:
            CorruptLogError: a record is damaged or missing. LogFailedError: SQLite said no.
        """
        while batch := self.batch(first, BATCH_RECORDS):
            for record in batch:
                if last is not None and record.seq > last:
                    return
                yield record
            first = batch[-1].seq + 1
        if last is None:
            self._refuse_hidden(first)
            if first <= self._committed:
                self._damaged(first, broken_wal(self._path, self._committed))

    def whole(self, first: int, last: int | None) -> Iterator[Stored]:
        """Yield the same, but nothing of which a large value is lost.

        Raises:
            LogError: as ``read``.
        """
        for record in self.read(first, last):
            refuse_lost(self._path, (value for value in self.lost if value.seq <= record.seq))
            yield record

    def batch(self, first: int, count: int) -> list[Stored]:
        """Return up to *count* records from number *first* on.

        Raises:
            CorruptLogError: a record is damaged or missing. LogFailedError: SQLite said no.
            LogNotFoundError: the parent of a fork is not there.
        """
        # Cast, because what a person has edited is text.
        asked = (
            "SELECT seq, CAST(line AS BLOB) FROM record"
            " WHERE log = ? AND seq >= ? ORDER BY seq LIMIT ?"
        )
        with reading(self._path) as connection:
            found = connection.execute(asked, (self._meta.log, first, count)).fetchall()
            fork = self._fork_of(connection)
            if fork is not None and first <= fork.at:
                return self._shared_with(connection, fork)[first - 1 : first - 1 + count]
            return self._checked(connection, max(first, 1), found)

    def _refuse_hidden(self, first: int) -> None:
        """Raise if there are records from number *first* on, though none was found by its key."""
        log = self._meta.log
        lowest = "SELECT min(seq) FROM record WHERE log = ?"
        with reading(self._path) as connection:
            base = connection.execute(lowest, (log,)).fetchone()[0]
            if base is not None and (told := hidden(connection, log, base, first - 1)):
                self._damaged(first, told)

    def refuse_vanished(self) -> None:
        """Raise if the log seems to be empty for the database is damaged. Reads all of it.

        Raises:
            CorruptLogError: so it is. LogFailedError: SQLite said no.
        """
        with reading(self._path) as connection:
            if told := vanished(connection, self._meta.log):
                self._damaged(1, told)

    def _fork_of(self, connection: sqlite3.Connection) -> ForkedFrom | None:
        """Return where the parent's records are wanted; a mirror of a fork holds all of them."""
        fork = self._meta.fork
        if fork is None:
            return None
        begin = "SELECT min(seq) FROM record WHERE log = ?"
        lowest = connection.execute(begin, (self._meta.log,)).fetchone()[0]
        return fork if lowest is None or lowest > fork.at else None

    def _shared_with(self, connection: sqlite3.Connection, fork: ForkedFrom) -> list[Stored]:
        """Return the records that a fork has of its parent."""
        if self._shared is not None:
            return self._shared
        child = f"{self._path}#{self._meta.name or self._meta.log}"
        row = row_of(connection, fork.log) if fork.log != self._meta.log else None
        if row is None:
            raise LogNotFoundError(
                f"{child}: a fork of log {fork.log} at record {fork.at}, which is not in this "
                "database; put it back"
            )
        tables = Tables(self._path, row.meta)
        records = list(tables.read(1, fork.at))
        self.lost += tables.lost
        where = f"{self._path}#{row.meta.name or row.meta.log}"
        parent = LoadedLog(
            where=where, meta=row.meta, records=records, durable_seq=len(records), at_us=row.at
        )
        check_cut(Path(child), fork, parent)
        self._shared = records
        return records

    def _checked(
        self, connection: sqlite3.Connection, expected: int, found: list[tuple[int, bytes]]
    ) -> list[Stored]:
        records: list[Stored] = []
        for seq, line in found:
            if seq != expected:
                self._damaged(expected, f"is missing, the next is {seq}")
            fields = _LINE.match(line) if is_sound(self._meta.log, line) else None
            if fields is None:
                right = checksum(self._meta.log, line or b"")
                self._damaged(seq, f"its line does not have the checksum {right}")
            if int(fields[1]) != seq:
                self._damaged(seq, f"its line says {int(fields[1])}")
            records.append(self._stored(connection, fields, line))
            expected += 1
        return records

    def _damaged(self, seq: int, what: str) -> NoReturn:
        where = f"{self._path}#{self._meta.name or self._meta.log}"
        raise CorruptLogError(
            f"{where}: record {seq}: {what}; {RESTORE}", path=str(self._path), seq=seq
        )

    def _stored(
        self, connection: sqlite3.Connection, fields: re.Match[bytes], line: bytes
    ) -> Stored:
        payload = line[fields.end() : -TAIL_BYTES]
        if not payload.endswith(b"}"):
            payload = payload[:-_HASH_BYTES]
        seq, actor, is_lost = int(fields[1]), fields[4], False
        if b'{"$blob":"sha256:' in payload:
            lost_before = len(self.lost)
            payload = self._whole(connection, seq, payload)
            is_lost = len(self.lost) > lost_before
        return Stored(
            seq=seq,
            ts_us=int(fields[3]),
            actor=None if actor is None else actor.decode(),
            kind=fields[5].decode(),
            v=int(fields[6]),
            cause=int(fields[7]),
            payload=payload,
            d=int(fields[2]),
            line=line,
            is_lost=is_lost,
        )

    def _whole(self, connection: sqlite3.Connection, seq: int, payload: bytes) -> bytes:
        def body(sha: str) -> bytes | None:
            asked = "SELECT CAST(body AS BLOB) FROM blob WHERE log = ? AND sha = ?"
            found = connection.execute(asked, (self._meta.log, sha)).fetchone()
            value: bytes | None = found and found[0]
            if value is None or hashlib.sha256(value).hexdigest() != sha:
                self.lost.append(LostValue(seq, sha))
                return None
            return value

        def value(reference: re.Match[bytes]) -> bytes:
            found = body(reference[1].decode())
            return reference[0] if found is None else _encoded(found, reference[2])

        return _REFERENCE.sub(value, payload)


def _encoded(body: bytes, kind: bytes) -> bytes:
    """Return a value as the payload had it: only strings of msgspec's escapes are moved out."""
    match kind:
        case b"text":
            return msgspec.json.encode(body.decode())
        case b"bytes":
            return b'{"$b64":"%s"}' % base64.b64encode(body)
        case _:
            return body


def blobs_of(payload: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Return what is left of a payload in its line, and its large values by digest.

    Raises:
        LogLimitError: a value is too large.
    """
    from tinyagent.runtime.extension import take_out_blobs

    return take_out_blobs(payload)


def read_sqlite(address: str) -> LoadedLog:
    """Read the log that *address* names.

    Raises:
        LogNotFoundError: there is none. CorruptLogError: records are damaged or missing.
        LogFailedError: SQLite said no. ValueError: it does not say which of several.
    """
    place = place_of(address)
    with suppress(OSError):  # whoever opens it says what cannot be looked at
        if not place.path.exists():
            raise LogNotFoundError(f"{address}: there is no file {place.path}")
    there = rows_in(place.path)
    row = chosen(place, there)
    if row is None:
        raise LogNotFoundError(
            f"{address}: there is no such log (known: {_named(there) or 'none'})"
        )
    tables = Tables(place.path, row.meta, committed=promised(place.path).get(row.meta.log, 0))
    records = list(tables.read(1, None))
    if not records:
        tables.refuse_vanished()
    lost = tuple(tables.lost)
    return LoadedLog(
        where=address,
        meta=row.meta,
        records=records,
        durable_seq=records[-1].seq if records else 0,
        at_us=row.at,
        damage=Damage(verdict="clean", path=str(place.path), lost_values=lost) if lost else None,
    )


def miscopied(address: str) -> Iterator[int]:
    """Yield the records of the log at *address* whose columns are not the copies of their line.

    Raises:
        LogError: it cannot be read. ValueError: it does not say which of several.
    """
    place = place_of(address)
    row = chosen(place, rows_in(place.path))
    asked = "SELECT seq, k, a, c, ts, CAST(line AS BLOB) FROM record WHERE log = ?"
    with reading(place.path) as connection:
        for seq, kind, actor, cause, ts, line in connection.execute(asked, (row and row.meta.log,)):
            fields = _LINE.match(line or b"")
            told = [] if fields is None else [f and f.decode() for f in fields.group(5, 4, 7, 3)]
            if told != [kind, actor, str(cause), str(ts)]:
                yield seq
