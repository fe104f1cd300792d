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
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from tinyagent.runtime.errors import CorruptLogError, LogFailedError, LogNotFoundError
from tinyagent.runtime.load import Damage, LoadedLog, check_cut
from tinyagent.runtime.lost_values import LostValue, refuse_lost
from tinyagent.runtime.stores import ForkedFrom, LogMeta, Stored

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
_REFERENCE = re.compile(
    rb'(?<!\{"\$esc":)\{"\$blob":"sha256:([0-9a-f]{64})","n":\d+,"t":"(text|bytes|json)"\}'
)
_TAIL_BYTES = 17  # ,"x":"........"} and the newline
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


def connected(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Return a connection that begins no transaction by itself. For one thread at a time.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    import sqlite3

    mode = "ro" if read_only else "rwc"
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=30.0
    )


def rows(connection: sqlite3.Connection) -> dict[str, Row]:
    """Return all logs of a database, by id."""
    found = connection.execute("SELECT id, meta FROM log ORDER BY id").fetchall()
    return {log: _row(log, meta) for log, meta in found}


def row_of(connection: sqlite3.Connection, log: str) -> Row | None:
    """Return the log with the id *log*; None if it is not there."""
    found = connection.execute("SELECT meta FROM log WHERE id = ?", (log,)).fetchone()
    return _row(log, found[0]) if found else None


def _row(log: str, meta: str) -> Row:
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
            f"{place.path}: holds {len(there)} logs, name one of them: "
            + ", ".join(f"#{row.meta.name or row.meta.log}" for row in there.values())
        )
    return found[0] if found else None


class Tables:
    """The records of one log, read from the database *path*. For one thread at a time.

    Of a fork those come first that it shares with its parent, a log of the same database.
    """

    def __init__(self, path: Path, meta: LogMeta) -> None:
        self._path = path
        self._meta = meta
        self._salt = bytes.fromhex(meta.log)
        self._shared: list[Stored] | None = None
        self.lost: list[LostValue] = []

    def read(self, first: int, last: int | None) -> Iterator[Stored]:
        """Yield the records *first*..*last* in order.

        Raises:
            CorruptLogError: a record is damaged or missing. LogFailedError: SQLite said no.
        """
        while batch := self.batch(first, BATCH_RECORDS):
            for record in batch:
                if last is not None and record.seq > last:
                    return
                yield record
            first = batch[-1].seq + 1

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
        import sqlite3

        # Cast, because what a person has edited is text.
        asked = (
            "SELECT seq, CAST(line AS BLOB) FROM record"
            " WHERE log = ? AND seq >= ? ORDER BY seq LIMIT ?"
        )
        try:
            connection = connected(self._path, read_only=True)
            try:
                found = connection.execute(asked, (self._meta.log, first, count)).fetchall()
                fork = self._fork_of(connection)
                if fork is not None and first <= fork.at:
                    return self._shared_with(connection, fork)[first - 1 : first - 1 + count]
                return self._checked(connection, max(first, 1), found)
            finally:
                connection.close()
        except sqlite3.DatabaseError as error:
            raise unreadable(self._path, error) from None

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
        from tinyagent._alchemy import crc32c

        records: list[Stored] = []
        for seq, line in found:
            if seq != expected:
                self._damaged(expected, f"is missing, the next is {seq}")
            checksum = b"%08x" % crc32c(self._salt + line[:-_TAIL_BYTES])
            fields = _LINE.match(line)
            if line[-_TAIL_BYTES:] != b',"x":"%s"}\n' % checksum or fields is None:
                self._damaged(seq, f"its line does not have the checksum {checksum.decode()}")
            assert fields is not None
            if int(fields[1]) != seq:
                self._damaged(seq, f"its line says {int(fields[1])}")
            records.append(self._stored(connection, fields, line))
            expected += 1
        return records

    def _damaged(self, seq: int, what: str) -> None:
        where = f"{self._path}#{self._meta.name or self._meta.log}"
        raise CorruptLogError(f"{where}: record {seq}: {what}", path=str(self._path), seq=seq)

    def _stored(
        self, connection: sqlite3.Connection, fields: re.Match[bytes], line: bytes
    ) -> Stored:
        payload = line[fields.end() : -_TAIL_BYTES]
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
    from tinyagent._alchemy import take_out_blobs

    return take_out_blobs(payload)


def read_sqlite(address: str) -> LoadedLog:
    """Read the log that *address* names.

    Raises:
        LogNotFoundError: there is none. CorruptLogError: records are damaged or missing.
        LogFailedError: SQLite said no. ValueError: it does not say which of several.
    """
    import sqlite3

    place = place_of(address)
    try:
        if not place.path.is_file():
            raise LogNotFoundError(f"{address}: there is no file {place.path}")
        connection = connected(place.path, read_only=True)
        try:
            there = rows(connection)
        finally:
            connection.close()
    except (sqlite3.DatabaseError, OSError, msgspec.MsgspecError) as error:
        raise unreadable(place.path, error) from None
    row = chosen(place, there)
    if row is None:
        known = ", ".join(f"#{row.meta.name or row.meta.log}" for row in there.values()) or "none"
        raise LogNotFoundError(f"{address}: there is no such log (known: {known})")
    tables = Tables(place.path, row.meta)
    records = list(tables.read(1, None))
    lost = tuple(tables.lost)
    return LoadedLog(
        where=address,
        meta=row.meta,
        records=records,
        durable_seq=records[-1].seq if records else 0,
        at_us=row.at,
        damage=Damage(verdict="clean", path=str(place.path), lost_values=lost) if lost else None,
    )


def unreadable(path: Path, error: Exception) -> Exception:
    """Return *error* of SQLite, or of the system, as one of ours."""
    said = f"{path}: {error}"
    if isinstance(error, msgspec.MsgspecError):
        told = f"{path}: the table of logs is damaged ({error}); restore a copy of the database"
        return CorruptLogError(told, path=str(path))
    if "malformed" in str(error) or "not a database" in str(error):
        return CorruptLogError(f"{said}; restore a copy of it", path=str(path))
    with suppress(OSError):
        if "unable to open" in str(error) and not path.exists():
            said = f"{said}; it was removed or renamed: put it back"
            return LogFailedError(said, durable_seq=0)
    if isinstance(error, PermissionError) or "unable to open" in str(error):
        said = f"{said}; give this user access to it, and to the folder that it is in"
    if "no such table" in str(error):
        return LogNotFoundError(f"{path}: a database without logs ({error})")
    return LogFailedError(said, durable_seq=0)
