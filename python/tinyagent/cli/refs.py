"""How a log, and a record in it, is named on the command line.

A REF is a path, ``last``, ``@name``, a prefix of a log's id, or ``-`` for standard input; then
``:N`` for a record, unless a path of that whole name exists.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from tinyagent.runtime import extras
from tinyagent.runtime.ancestry import first_line, segments
from tinyagent.runtime.errors import LogNotFoundError
from tinyagent.runtime.stores import few

LOCK = "LOCK"
MARKS = (b'"tinyagent_log"', b'"log":"')
"""What the first line of a log has, damaged or not: one byte spoils only one of them."""
SQLITE = b"SQLite format 3\0"
"""What a database starts with."""
DEMO = Path(__file__).parent.parent / "demo.jsonl"
"""A recorded session that is in the package."""


class RefError(Exception):
    """The REF says too little, or fits more than one log."""


class RefusedError(Exception):
    """It was not allowed: by the environment, by who was asked, by what the log is."""


class MissingExtraError(Exception):
    """What a command needs is not installed."""

    def __init__(self, extra: str, who: str) -> None:
        super().__init__(extras.told(f"{who} needs", extra))


class Place(NamedTuple):
    """A log, and the number of a record in it if one was given."""

    path: str | Path
    n: int | None

    @property
    def number(self) -> int:
        """The number.

        Raises:
            RefError: none was given.
        """
        if self.n is None:
            raise RefError(f"{self.path}: which record? say {self.path}:N")
        return self.n


class _Header(msgspec.Struct):
    tinyagent_log: int = 0
    log: str = ""
    name: str | None = None


def folder(given: str | None = None) -> Path:
    """Return where logs are looked for: *given*, else ``TINYAGENT_LOG_DIR``, else ``./runs``."""
    return Path(given or os.environ.get("TINYAGENT_LOG_DIR") or "runs")


def place(ref: str, within: str | None = None) -> Place:
    """Return the log that *ref* names, and the record, if it names one.

    Raises:
        RefError, LogNotFoundError: as ``resolve``.
    """
    log, colon, number = ref.rpartition(":")
    is_whole = Path(ref).exists() or (folder(within) / ref).exists()
    if colon and number.isascii() and number.isdigit() and not is_whole:
        return Place(resolve(log, within), int(number))
    return Place(resolve(ref, within), None)


def resolve(ref: str, within: str | None = None) -> str | Path:
    """Return the place of the log that *ref* names: a path, or the address of a database.

    *within*: the folder of logs.

    Raises:
        RefError: more than one log has that name or prefix; the message lists them.
        LogNotFoundError: there is none; the message lists those that there are.
    """
    logs = folder(within)
    if ref == "-":
        return _standard_input()
    if ref.startswith("-"):
        raise RefError(f"unknown option {ref}; a log of that name is ./{ref}")
    if ref == "last":
        found = [path for path, _ in headers(logs)]
        if not found:
            raise LogNotFoundError(f"{logs}: no logs; record one, or name a path")
        return max(found, key=written_ns)
    if ref.startswith("sqlite:"):
        return ref
    for candidate in (Path(ref), logs / ref):
        if ref and candidate.exists():
            return candidate
    named = [path for path, header in headers(logs) if _is_named(header, ref)]
    if len(named) > 1:
        raise RefError(f"{ref}: which one? {few(list(map(str, named)))}")
    if named:
        return named[0]
    if ref == "@demo":
        return DEMO
    known = sorted(log.name for log, _ in headers(logs) if log.is_dir())
    there = f"in {logs}: {few(known)}" if known else f"{logs} holds none"
    raise LogNotFoundError(f"{ref}: there is no log ({there})")


def on_disk(place: str | Path) -> Path:
    """Return *place*, which must be a folder or a file.

    Raises:
        RefError: it is the address of a database.
    """
    if isinstance(place, str):
        raise RefError(f"{place}: only for logs in folders and packed files")
    return place


def _is_named(header: _Header, ref: str) -> bool:
    if ref.startswith("@"):
        return header.name == ref[1:]
    return bool(ref) and header.log.startswith(ref.lower())


def headers(logs: Path, unreadable: dict[str, str] | None = None) -> Iterator[tuple[Path, _Header]]:
    """Yield every log in the folder with its first line; what is no log is passed over.

    So is what the system cannot read: *unreadable* is told by path why.
    """
    told = {} if unreadable is None else unreadable
    try:
        places = sorted(path for path in logs.iterdir() if path.is_dir() or path.suffix == ".jsonl")
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        told[str(logs)] = f"{type(error).__name__}: {error}"
        return
    for path in places:
        try:
            header = _header(path)
        except OSError as error:
            told[str(path)] = f"{type(error).__name__}: {error}"
        else:
            if header is not None:
                yield path, header


def databases(logs: Path) -> Iterator[Path]:
    """Yield every file in the folder that is an SQLite database, or was: beside ours is a lock."""
    with suppress(OSError):  # whoever looks for the logs there says what cannot be read
        for path in sorted(logs.iterdir()):
            with suppress(OSError), path.open("rb") as file:
                if file.read(len(SQLITE)) == SQLITE or path.with_name(f"{path.name}-lock").exists():
                    yield path


def _header(path: Path) -> _Header | None:
    """Return the first header at *path* that is whole, an empty one if none is; None: it is no log.

    Raises:
        OSError: it cannot be read.
    """
    is_log, files = False, [path]
    if path.is_dir():
        files = segments(path)
        with suppress(FileNotFoundError):
            (path / LOCK).stat()
            is_log = True
    for file in files:
        line = first_line(file)
        is_log = is_log or any(mark in line for mark in MARKS)
        with suppress(msgspec.MsgspecError):
            header = msgspec.json.decode(line, type=_Header)
            if header.log:
                return header
    return _Header() if is_log else None


def written_ns(log: Path) -> int:
    """Return when *log* was written to the last time."""
    files = segments(log) if log.is_dir() else [log]
    return max((path.stat().st_mtime_ns for path in files), default=0)


def _standard_input() -> Path:
    """Keep standard input in a file, for reading needs one, until the command ends."""
    kept = tempfile.mkdtemp(prefix="tinyagent-")
    atexit.register(shutil.rmtree, kept, ignore_errors=True)
    path = Path(kept) / "stdin.jsonl"
    path.write_bytes(sys.stdin.buffer.read())
    return path
