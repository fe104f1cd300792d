"""A place to a log: in memory, in a folder, or packed into one file.

A packed log is one self-contained ``name.jsonl``, with ``name.blobs/`` if values are large:
header, records with their bytes unchanged, seal. It is read, replayed and forked, not appended to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from tinyagent.runtime.chain import forked_from, line_of
from tinyagent.runtime.load import LoadedLog, read_log
from tinyagent.runtime.stores import Durability, ForkedFrom, Log, Stored, fork_fields
from tinyagent.runtime.stores.files import FileLog
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.runtime.stores.sqlite import SqliteLog
from tinyagent.runtime.stores.sqlite_tables import is_address

BY = "tinyagent"

__all__ = ["forked_from", "line_of", "open_log_at", "open_packed", "pack", "write_packed"]


def open_log_at(
    where: str | Path | None,
    *,
    now_us: Callable[[], int],
    durability: Durability = "interval",
    name: str | None = None,
    log_id: str | None = None,
    fork: ForkedFrom | None = None,
) -> Log:
    """Open the log at *where* for appending, or create it.

    *where* is a folder, an address ``sqlite:///FILE#NAME``, or None for a log in memory.

    *name* labels a new log. *log_id* is the id of a new log, drawn at random if not given; a log
    that is there must have it. *fork*, as ``forked_from`` gives it, makes a new log the fork of
    another, which must lie beside it; a log that is there must be that fork.

    Raises:
        LogError: see ``FileLog``, ``SqliteLog``. ValueError: *where* is a packed file or no
            address, or *durability* is ``memory`` although there is a place.
    """
    if where is None:
        return MemoryLog(log_id=log_id, name=name, fork=fork)
    if durability == "memory":
        raise ValueError(
            f"{where}: durability 'memory' has no file; pass None as the place, or one of "
            "'interval', 'group', 'strict'"
        )
    if isinstance(where, str) and is_address(where):
        return SqliteLog(where, now_us=now_us, durability=durability, name=name, log_id=log_id)
    if Path(where).is_file():
        raise ValueError(
            f"{where}: a packed log takes no records; open a folder for appending, "
            "or read this file with read_log"
        )
    return FileLog(where, now_us=now_us, durability=durability, name=name, log_id=log_id, fork=fork)


def open_packed(path: str | Path) -> MemoryLog:
    """Return the packed log at *path* as a ``Log`` that is for reading only.

    Raises:
        LogError: as ``read_log``.
    """
    loaded = read_log(path)
    return MemoryLog(meta=loaded.meta, records=loaded.records, read_only=True, where=str(path))


def pack(log: Log | LoadedLog) -> bytes:
    """Return *log* as the bytes of a packed log.

    Raises:
        ValueError: values of it lie in blobs, which ``write_packed`` writes beside the file.
    """
    body, blobs = _packed(log)
    if blobs:
        raise ValueError(
            f"{log.where}: {len(blobs)} large values do not fit into one file; use write_packed"
        )
    return body


def write_packed(source: Log | LoadedLog | str | Path, path: str | Path) -> None:
    """Write *source*, a log or the place of one, as the packed log *path*.

    The file is there whole or not at all, and durable on return.

    Raises:
        LogError: *source* cannot be read, or the disk said no.
    """
    from tinyagent._alchemy import write_packed as write

    log = read_log(source) if isinstance(source, str | Path) else source
    body, blobs = _packed(log)
    write(Path(path), body, list(blobs.items()))


def _packed(log: Log | LoadedLog) -> tuple[bytes, dict[str, bytes]]:
    from tinyagent._alchemy import __version__, header_line, seal_line

    meta = log.meta
    records: Iterable[Stored] = log.records if isinstance(log, LoadedLog) else log.read()
    lines: list[bytes] = []
    blobs: dict[str, bytes] = {}
    first, last = (1 if meta.fork is None else meta.fork.at + 1), 0
    began_us = ended_us = log.at_us if isinstance(log, LoadedLog) else 0
    for record in records:
        if not lines:
            first = record.seq
            began_us = began_us or record.ts_us
        line, taken = line_of(meta, record)
        lines.append(line)
        blobs.update(taken)
        last, ended_us = record.seq, record.ts_us
    header = header_line(
        meta.log,
        seg=1,
        epoch=1,
        first=first,
        tail=first - 1,
        at_us=began_us,
        by=f"{BY} {__version__}",
        level=meta.level,
        name=meta.name,
        origin=meta.origin,
        fork=fork_fields(meta.fork),
    )
    last = max(last, first - 1)
    seal = seal_line(meta.log, seg=1, last=last, d=last, why="pack", at_us=ended_us)
    return b"".join([header, *lines, seal]), blobs
