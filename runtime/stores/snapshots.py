"""Snapshots of a log in a folder: what its fold has come to at a record. A cache, safe to delete.

``snap/<20 digits>.json``, the number of the record; one line, which ends as every line of a log
does. Nothing is ever promised about one: whoever reads them takes the newest that fits to the log
and to today's code, or none, and folds the rest. So they are never upcast, only made again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import msgspec

from tinyagent.events import Record, digest
from tinyagent.runtime.errors import LogError
from tinyagent.runtime.stores import Log

FOLDER = "snap"
FORMAT = 1
KEPT = 2
"""So many are kept: one more, should the newest turn out not to fit."""
BYTES_MAX = 64 << 20
"""A larger one is not written."""
SEQ_MAX = (1 << 53) - 1
_HELD = b',"held":'
"""Ahead of what is held, which comes last."""
_TAIL_BYTES = len(',"x":"00000000"}\n')


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What is in one file.

    Attributes:
        seq: the last record that it knows of. anchor: digest of that record.
        code: digest of the code that made it.
        held: what the fold has come to, as whoever made it understands it.
    """

    tinyagent_snap: int = FORMAT
    log: str
    seq: int
    anchor: str
    code: str
    held: msgspec.Raw = msgspec.Raw()

    def is_behind(self, record: Record) -> bool:
        """Whether *record* is the one that it was made behind."""
        return self.anchor == _digest(record)


class Snapshots:
    """Those of the log with the id *log* in the folder *place*."""

    __slots__ = ("_log", "_place", "_writing")

    def __init__(self, place: str | Path, log: str) -> None:
        self._place = place
        self._log = log
        self._writing: threading.Thread | None = None

    @property
    def _folder(self) -> Path:
        return Path(self._place) / FOLDER

    def paths(self) -> list[Path]:
        """Return their files, the newest first."""
        return _paths(self._folder)

    def read(self, code: str) -> Iterator[Snapshot]:
        """Yield those that *code* made of this log and that are whole, the newest first."""
        for path in self.paths():
            with suppress(SnapshotError):
                found = self.read_one(path)
                if found.code == code:
                    yield found

    def read_one(self, path: Path) -> Snapshot:
        """Return what is in the file *path*.

        Raises:
            SnapshotError: it is not whole, of another log, or of a newer format.
        """
        from tinyagent.runtime.extension import crc32c

        try:
            line = path.read_bytes()
        except OSError as error:
            raise SnapshotError(f"it cannot be read: {error.strerror}") from None
        body = memoryview(line)[:-_TAIL_BYTES]  # it may be large: not copied more than once
        if line[-_TAIL_BYTES:] != _tail(crc32c(bytes.fromhex(self._log) + body)):
            raise SnapshotError("it is damaged, or of another log")
        at = line.find(_HELD)
        try:
            found = msgspec.json.decode(line[:at] + b"}", type=Snapshot)
        except msgspec.DecodeError as error:
            raise SnapshotError(f"it is of another format: {error}") from None
        found = msgspec.structs.replace(found, held=msgspec.Raw(body[at + len(_HELD) :]))
        if (found.tinyagent_snap, found.log, f"{found.seq:020}") != (FORMAT, self._log, path.stem):
            raise SnapshotError("it is of another format, log or record")
        return found

    @property
    def is_writing(self) -> bool:
        """Whether one is being written."""
        return self._writing is not None and self._writing.is_alive()

    def keep(self, record: Record, code: str, held: Callable[[], bytes]) -> None:
        """Write, in a thread of its own, what the fold has come to behind *record*.

        *held* makes it, as JSON, there. A disk that says no is no error: then there is none.
        """
        anchor = _digest(record)

        def write() -> None:
            made = msgspec.Raw(held())
            if len(bytes(made)) <= BYTES_MAX:
                snapshot = Snapshot(
                    log=self._log, seq=record.seq, anchor=anchor, code=code, held=made
                )
                with suppress(LogError, OSError):
                    if Path(self._place).is_dir():  # a log that was removed is not begun anew
                        self._write(snapshot)

        writing = threading.Thread(target=write, name="tinyagent snapshot")
        with suppress(RuntimeError):  # no more threads; then there is none
            writing.start()
            self._writing = writing

    def wait(self) -> None:
        """Return when nothing is being written any more."""
        if self._writing is not None:
            self._writing.join()

    def _write(self, snapshot: Snapshot) -> None:
        from tinyagent.runtime.extension import crc32c, write_atomically

        body = msgspec.json.encode(snapshot)[:-1]
        line = body + _tail(crc32c(bytes.fromhex(self._log) + body))
        path = self._folder / f"{snapshot.seq:020}.json"
        write_atomically(path, line)
        before = [other for other in self.paths() if other.name < path.name]
        for other in {*self.paths(), *self._folder.glob("*.tmp")} - {path, *before[: KEPT - 1]}:
            other.unlink(missing_ok=True)


class SnapshotError(Exception):
    """A snapshot cannot be used; the text says why. Nobody needs it."""


def newest(place: str | Path) -> int:
    """Return the record that the newest in the folder *place* was made behind; 0 if none is there.

    As its name says; whether that is true is found out by who reads it.
    """
    with suppress(OSError):  # whoever opens the log says what cannot be read
        return next((min(int(path.stem), SEQ_MAX) for path in _paths(Path(place) / FOLDER)), 0)
    return 0


def _paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]" * 20 + ".json"), reverse=True)


def snapshots_of(log: Log) -> Snapshots | None:
    """Return where *log* keeps its snapshots; None in a store that has no place for them, and of
    a log that is encrypted: they would hold its text.
    """
    if log.meta.is_encrypted:
        return None
    found: Snapshots | None = getattr(log, "snapshots", None)
    return found


def code_of(*names: str) -> str:
    """Return the digest of the sources of the modules *names*; "" if they cannot be read.

    A package stands for all modules in it.
    """
    sources: list[bytes] = []
    try:
        for name in names:
            path = Path(getattr(import_module(name), "__file__", None) or "")
            several = path.name == "__init__.py"
            for each in sorted(path.parent.glob("*.py")) if several else [path]:
                sources.append(each.read_bytes())
    except OSError:
        return ""  # in an archive: then there are no snapshots
    return digest(b"\0".join(sources))


def _digest(record: Record) -> str:
    told = record.seq, record.at_ns, record.cause, record.event.kind.encode()
    return digest(b"%d %d %d %s " % told + record.payload)


def _tail(crc: int) -> bytes:
    return b',"x":"%08x"}\n' % crc
