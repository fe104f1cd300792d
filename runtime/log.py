"""A place to a log: in memory, in a folder, or packed into one file.

A packed log is one self-contained ``name.jsonl``, with ``name.blobs/`` if values are large:
header, records with their bytes unchanged, seal. It is read, replayed and forked, not appended to.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from tinyagent.runtime.ancestry import needs
from tinyagent.runtime.chain import Head, chain_head, forked_from, head, line_of
from tinyagent.runtime.crypto import Encryption
from tinyagent.runtime.load import LoadedLog, read_log
from tinyagent.runtime.stores import (
    Durability,
    ForkedFrom,
    Level,
    Log,
    LogMeta,
    SealKey,
    begun_otherwise,
    fork_fields,
)
from tinyagent.runtime.stores.files import FileLog
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.runtime.stores.sqlite import SqliteLog
from tinyagent.runtime.stores.sqlite_tables import is_address

BY = "tinyagent"

__all__ = [
    "Head",
    "forked_from",
    "head",
    "line_of",
    "open_log_at",
    "open_packed",
    "pack",
    "packed",
    "write_packed",
]


def open_log_at(
    where: str | Path | None,
    *,
    now_us: Callable[[], int],
    durability: Durability = "interval",
    name: str | None = None,
    log_id: str | None = None,
    fork: ForkedFrom | None = None,
    level: Level | None = None,
    key: SealKey | None = None,
    accept_loss: bool = False,
    encryption: Encryption | None = None,
) -> Log:
    """Open the log at *where* for appending, or create it.

    *where* is a folder, an address ``sqlite:///FILE#NAME``, or None for a log in memory.

    *name* labels a new log. *log_id* is the id of a new log, drawn at random if not given; a log
    that is there must have it. *fork*, as ``forked_from`` gives it, makes a new log the fork of
    another, which must lie beside it; a log that is there must be that fork. *level*, *key*
    and *accept_loss* are as in ``FileLog``; with *encryption* its free text is encrypted.

    Raises:
        LogError: see ``FileLog``, ``SqliteLog``. ValueError: *where* is a packed file or no
            address, or *durability* is ``memory`` although there is a place.
    """
    is_database = isinstance(where, str) and is_address(where)
    if level not in (None, "crc") and (where is None or is_database):
        told = f"{where or 'a log in memory'}: integrity level {level!r} needs a folder"
        raise ValueError(f"{told}: pass its place")
    if where is None:
        if encryption is not None:
            raise ValueError("a log in memory is not encrypted: pass a place")
        return MemoryLog(log_id=log_id, name=name, fork=fork)
    if durability == "memory":
        raise ValueError(
            f"{where}: durability 'memory' has no file; pass None as the place, or one of "
            "'interval', 'group', 'strict'"
        )
    given: dict[str, Any] = {
        "now_us": now_us,
        "durability": durability,
        "name": name,
        "log_id": log_id,
        "fork": fork,
        "accept_loss": accept_loss,
    }
    if is_database:
        return _in_database(encryption)(where, **given)
    with suppress(OSError):  # whoever opens it says that we may not look at it
        if Path(where).is_file():
            raise ValueError(
                f"{where}: a packed log takes no records; open a folder for appending, "
                "or read this file with read_log"
            )
    return _maker(where, encryption)(where, **given, level=level, key=key)


def _in_database(encryption: Encryption | None) -> Callable[..., SqliteLog]:
    if encryption is None:
        return SqliteLog
    from tinyagent.runtime.stores.encrypted import EncryptedSqliteLog

    return partial(EncryptedSqliteLog, encryption=encryption)


def _maker(where: str | Path, encryption: Encryption | None) -> Callable[..., FileLog]:
    """Return what opens the folder *where*: a log is encrypted or not for life.

    Raises:
        ValueError: the log there is the other, or *where* is no folder.
    """
    if isinstance(where, str) and (not where or "://" in where):
        raise ValueError(f"{where!r} is no place for a log: give a folder, or sqlite:///FILE#NAME")
    said = needs(Path(where))
    if said is not None and ("enc" in said) != (encryption is not None):
        raise ValueError(begun_otherwise(where, is_encrypted="enc" in said))
    if encryption is None:
        return FileLog
    from tinyagent.runtime.stores.encrypted import EncryptedLog

    return partial(EncryptedLog, encryption=encryption)


def open_packed(path: str | Path) -> MemoryLog:
    """Return the packed log at *path* as a ``Log`` that is for reading only.

    Raises:
        LogError: as ``read_log``.
    """
    loaded = read_log(path)
    return MemoryLog(meta=loaded.meta, records=loaded.records, read_only=True, where=str(path))


def pack(log: Log | LoadedLog, key: SealKey | None = None) -> bytes:
    """Return *log* as the bytes of a packed log; *key* signs it, if it is of level ``signed``.

    Raises:
        ValueError: values of it lie in blobs, which ``write_packed`` writes beside the file.
    """
    body, blobs = packed(log, key)
    if blobs:
        raise ValueError(
            f"{log.where}: {len(blobs)} large values do not fit into one file; use write_packed"
        )
    return body


def write_packed(
    source: Log | LoadedLog | str | Path, path: str | Path, key: SealKey | None = None
) -> None:
    """Write *source*, a log or the place of one, as the packed log *path*, signed with *key*.

    The file is there whole or not at all, and durable on return.

    Raises:
        LogError: *source* cannot be read, or the disk said no.
    """
    from tinyagent.runtime.extension import write_packed as write

    log = read_log(source) if isinstance(source, str | Path) else source
    body, blobs = packed(log, key)
    write(Path(path), body, list(blobs.items()))


def packed(log: Log | LoadedLog, key: SealKey | None = None) -> tuple[bytes, dict[str, bytes]]:
    """Return *log* as the bytes of a packed log, and its large values by digest."""
    from tinyagent.runtime.extension import __version__, header_line, seal_line

    meta = log.meta
    records = log.records if isinstance(log, LoadedLog) else list(log.read())
    lines: list[bytes] = []
    blobs: dict[str, bytes] = {}
    for record in records:
        line, taken = line_of(meta, record)
        lines.append(line)
        blobs.update(taken)
    cut = meta.cut
    before, last = (records[0].seq - 1, records[-1].seq) if records else (cut, cut)
    began_us, ended_us = (records[0].ts_us, records[-1].ts_us) if records else (0, 0)
    if isinstance(log, LoadedLog):
        began_us = log.at_us
        ended_us = ended_us or began_us
    is_chained = meta.level != "crc"
    header = header_line(
        meta.log,
        seg=1,
        epoch=1,
        first=before + 1,
        tail=before,
        at_us=began_us,
        by=f"{BY} {__version__}",
        level=meta.level,
        name=meta.name,
        origin=meta.origin,
        fork=fork_fields(meta.fork),
        prev=chain_head(meta, records, before) if is_chained and before else None,
        more=meta.more,
    )
    head = chain_head(meta, records, last) if is_chained else None
    seal = seal_line(
        meta.log,
        seg=1,
        last=last,
        d=last,
        why="pack",
        at_us=ended_us,
        head=head,
        sig=_signature(meta, last, head, key),
        more=meta.sealed,
    )
    return b"".join([header, *lines, seal]), blobs


def _signature(meta: LogMeta, last: int, head: str | None, key: SealKey | None) -> str | None:
    from tinyagent.runtime.extension import sign_head

    if key is None or head is None or meta.level != "signed":
        return None
    return sign_head(key.fields(), meta.log, last, head)
