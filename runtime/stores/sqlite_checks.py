"""What can be wrong with a database of logs, and how it is found: its pages have no checksums.

A key that is damaged hides its row, and rows behind it, from whoever looks for them by key. So
who reads a log to its end walks once more over its rows, one after the other.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tinyagent.runtime.errors import CorruptLogError, LogFailedError, LogNotFoundError

if TYPE_CHECKING:
    import sqlite3

# So long another program may hold the database; ours take turns by a lock of their own.
LOCKED_S = 30.0
TAIL_BYTES = len(b',"x":"00000000"}\n')
RESTORE = "restore a copy of the database"
_DAMAGED = ("malformed", "not a database", "Could not decode", "no such column", "table: record")

# Of a row in a page: the id of its log, its other columns, and its line, if that is in one page.
_ROW = re.compile(
    rb'([0-9a-f]{32}).{2,250}?(?=(\{"seq":\d+,"d":(\d+),[^\n]{0,65536}\n))', re.DOTALL
)


def faults() -> tuple[type[Exception], ...]:
    """Return what a database raises that cannot be read: of a damaged one also what is no text."""
    import sqlite3

    return sqlite3.Error, UnicodeDecodeError, OSError, msgspec.MsgspecError


def connected(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Return a connection that begins no transaction by itself. For one thread at a time.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    import sqlite3

    mode = "ro" if read_only else "rwc"
    if read_only and not os.access(path.parent, os.W_OK) and not _is_open(path):
        mode += "&immutable=1"  # where nothing can be written beside it, it is read as it is
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=LOCKED_S
    )


def _is_open(path: Path) -> bool:
    return any(path.with_name(f"{path.name}-{what}").exists() for what in ("wal", "shm"))


@contextmanager
def reading(path: Path) -> Generator[sqlite3.Connection]:
    """Give a connection that reads the database *path*; what it raises is one of ours.

    Raises:
        LogError: it cannot be read.
    """
    try:
        connection = connected(path, read_only=True)
        try:
            yield connection
        finally:
            connection.close()
    except faults() as error:
        raise unreadable(path, error) from None


def checksum(log: str, line: bytes) -> str:
    """Return the checksum that *line* must have to be of the log with the id *log*."""
    from tinyagent.runtime.extension import crc32c

    return f"{crc32c(bytes.fromhex(log) + line[:-TAIL_BYTES]):08x}"


def is_sound(log: str, line: object) -> bool:
    """Return whether *line* is one of the log with the id *log*."""
    if not isinstance(line, bytes):
        return False
    return line[-TAIL_BYTES:] == b',"x":"%s"}\n' % checksum(log, line).encode()


def hidden(connection: sqlite3.Connection, log: str, base: int, last: int) -> str:
    """Return why records *base*..*last* are not all that there are of *log*; "" if they are."""
    walked = connection.execute(
        "SELECT log, seq, CASE WHEN log = ?1 THEN NULL ELSE CAST(line AS BLOB) END FROM record"
        " WHERE log >= ?1 ORDER BY log, seq",
        (log,),
    )
    seen = base - 1
    for there, seq, line in walked:
        if there == log and seq == seen + 1:
            seen += 1
        elif seen <= last and (there == log or is_sound(log, line)):
            return f"its row lies under the key {there}, {seq}"
        else:
            break
    if seen < last:
        return f"a row is not where its key says, the last in its place is record {seen}"
    return ""


def vanished(connection: sqlite3.Connection, log: str) -> str:
    """Return why *log*, which seems to be empty, may not be; "" if it is. Reads the whole file."""
    for (told,) in connection.execute("PRAGMA quick_check(1)"):
        if told != "ok":
            return _line(told)
    unnamed = "SELECT DISTINCT log FROM record WHERE log NOT IN (SELECT id FROM log)"
    for (there,) in connection.execute(unnamed):
        if sum(one != other for one, other in zip(str(there), log, strict=False)) == 1:
            return f"there are records under the id {there}, which the table of logs does not name"
    return ""


def promised(path: Path) -> dict[str, int]:
    """Return, of each log, up to which record the ``-wal`` file of *path* says it is committed.

    A line says so of those before it. Whoever asks reads the records after that: what SQLite
    finds no more of them was in that file, for it takes what is behind a damaged place in it as
    never written.

    Raises:
        LogFailedError: it cannot be read.
    """
    found: dict[str, int] = {}
    try:
        wal = beside(path, "wal").read_bytes()
    except FileNotFoundError:
        return found
    except OSError as error:
        raise unreadable(path, error) from None
    for row in _ROW.finditer(wal):
        log, line, d = row[1].decode(), row[2], int(row[3])
        if d > found.get(log, 0) and is_sound(log, line):
            found[log] = d
    return found


def refuse_broken_wal(path: Path) -> None:
    """Raise if records of any log in the database *path* went with its ``-wal`` file.

    To be asked before anybody opens it to write, who would write over what is left of them.

    Raises:
        CorruptLogError: so it is. LogFailedError: SQLite said no.
    """
    if not (there := promised(path)):
        return
    last = "SELECT (SELECT max(seq) FROM record WHERE log = id) FROM log WHERE id = ?"
    with reading(path) as connection:
        for log, upto in there.items():
            # Of one that is not named nobody knows whether it was deleted.
            for (found,) in connection.execute(last, (log,)):
                if (seq := (found or 0) + 1) <= upto:
                    told = f"{path}: record {seq} of log {log} {broken_wal(path, upto)}; {RESTORE}"
                    raise CorruptLogError(told, path=str(beside(path, "wal")), seq=seq)


def broken_wal(path: Path, upto: int) -> str:
    """Return what is wrong where records up to *upto* were committed and are not there."""
    return f"is missing, although record {upto} was committed: {beside(path, 'wal')} is damaged"


def beside(path: Path, what: str) -> Path:
    """Return the file beside the database *path*, SQLite's or ours, that is called after it."""
    return path.with_name(f"{path.name}-{what}")


def wrong_in(path: Path) -> Iterator[str]:
    """Yield what SQLite finds wrong with the whole database *path*.

    Raises:
        LogError: it cannot even be looked at.
    """
    with reading(path) as connection:
        for (told,) in connection.execute("PRAGMA integrity_check(20)").fetchall():
            if told != "ok":
                yield _line(told)


def _line(told: object) -> str:
    return " ".join(str(told).split())


def unreadable(path: Path, error: Exception) -> Exception:
    """Return *error* of SQLite, or of the system, as one of ours."""
    said = f"{path}: {error}"
    if isinstance(error, msgspec.MsgspecError):
        told = f"{path}: the table of logs is damaged ({error}); {RESTORE}"
        return CorruptLogError(told, path=str(path))
    is_text = not isinstance(error, UnicodeDecodeError)
    if not is_text or any(word in str(error) for word in _DAMAGED):
        return CorruptLogError(f"{said}; restore a copy of it", path=str(path))
    with suppress(OSError):
        if path.is_dir():
            return LogFailedError(f"{path}: a folder, and no database; name a file", durable_seq=0)
        if "unable to open" in str(error) and not path.exists():
            said = f"{said}; it was removed or renamed: put it back"
            return LogFailedError(said, durable_seq=0)
    if "readonly database" in str(error):
        said = f"{said}; give this user access to it, to its -wal and -shm, and to their folder"
    if isinstance(error, PermissionError) or "unable to open" in str(error):
        said = f"{said}; give this user access to it, and to the folder that it is in"
    if "no such table" in str(error):
        if promised(path):
            told = f"{said}, although {beside(path, 'wal')} holds records: it is damaged; {RESTORE}"
            return CorruptLogError(told, path=str(path))
        return LogNotFoundError(f"{path}: a database without logs ({error})")
    return LogFailedError(said, durable_seq=0)
