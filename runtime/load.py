"""A path to records. Damage is reported, the prefix before it is usable; nothing is run."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

from tinyagent.events import Record
from tinyagent.events.codec import readings
from tinyagent.events.drafts import JOINED
from tinyagent.runtime.ancestry import beside
from tinyagent.runtime.chain import chain_head, lost_from
from tinyagent.runtime.errors import CorruptLogError, LogNotFoundError
from tinyagent.runtime.lost_values import (
    LostValue as LostValue,
    marked,
    refuse_lost,
    without_loss,
)
from tinyagent.runtime.stores import ForkedFrom, LogMeta, Stored, as_record, fork_of

if TYPE_CHECKING:
    from tinyagent._alchemy import LogReader

Verdict = Literal["clean", "unclean", "torn"]
BATCH_RECORDS = 1024
"""So many are read at once: more of them would not stay in the processor's cache meanwhile."""


class LostRecords(msgspec.Struct, frozen=True):
    """Records that are gone, in a log that was repaired; one ``log.lost`` stands for them."""

    first: int
    last: int


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """What is not as it should be, though nothing acknowledged is lost but what is named here.

    Attributes:
        verdict: ``unclean``: not closed in order, all is there; or a packed log without its seal,
            whose end may have been cut off. ``torn``: the end was never acknowledged and cannot
            be read. ``clean``: only what is named here is missing.
        path, offset: file and byte where the torn end starts; the log's path and 0 otherwise.
        torn_bytes: bytes from there on.
        dropped: whole records among them.
        void_segments, void_lines: left behind by interrupted openings and by writers that
            another had replaced; they never counted.
    """

    verdict: Verdict
    path: str
    offset: int = 0
    torn_bytes: int = 0
    dropped: int = 0
    void_segments: int = 0
    void_lines: int = 0
    lost_values: tuple[LostValue, ...] = ()
    lost_records: tuple[LostRecords, ...] = ()


class LoadedLog(msgspec.Struct, frozen=True, kw_only=True):
    """A log as it was when it was read.

    Attributes:
        records: all that count, in order.
        durable_seq: the last one known to survive a power cut.
        damage: None if the log was closed in order and all is there.
        base: the first record in the log's own files: 1, but for forks.
        epoch: the last opening for append.
        at_us: when the log was begun, microseconds since 1970 UTC.
    """

    where: str
    meta: LogMeta
    records: list[Stored]
    durable_seq: int
    at_us: int
    base: int = 1
    epoch: int = 1
    damage: Damage | None = None

    @property
    def seq(self) -> int:
        """Number of the last record; 0 in an empty log."""
        return self.records[-1].seq if self.records else 0

    @property
    def verdict(self) -> Verdict:
        """``clean``, ``unclean`` or ``torn``."""
        return self.damage.verdict if self.damage is not None else "clean"


def read_log(where: str | Path, *, behind: int = 0) -> LoadedLog:
    """Read the log at *where*: a folder, a packed file, or ``sqlite:///FILE#NAME``.

    A log that is being written by another process is read up to its last whole line. Of a fork
    the records of its parent come first, which is looked for by its id beside *where*.

    *behind*: only the records behind that number are wanted; below 0: at least so many at the
    end. Of damage, only what is in these is told.

    Raises:
        LogNotFoundError: there is none, or the parent of a fork is not there.
        LogVersionError: a newer version wrote it. LogFailedError: the disk said no.
        CorruptLogError: acknowledged records are damaged or missing, it is no log at all, or a
            parent is not what was forked any more.
    """
    from tinyagent.runtime.stores.sqlite_tables import is_address, read_sqlite

    if isinstance(where, str) and is_address(where):
        found = read_sqlite(where)
        wanted = [record for record in found.records if record.seq > behind]
        return msgspec.structs.replace(found, records=wanted)
    return _read(Path(where), None, (), behind)


def read_records(where: str | Path) -> tuple[LogMeta, list[Record], Damage | None]:
    """Read the log at *where* as ``read_log`` does; return its records with their events.

    What is stored of each record is not kept beside it, which makes this the cheaper way.

    Raises:
        LogError: as ``read_log``.
    """
    from tinyagent.runtime.extension import LogReader
    from tinyagent.runtime.stores.sqlite_tables import is_address

    if not is_address(where) and (reader := LogReader(where)).fork is None:
        with suppress(CorruptLogError):  # of a value that is lost: it is shown as lost
            records = own_records(reader, where)
            gone = tuple(starmap(LostRecords, reader.gaps))
            return _meta(reader), records, _damage(reader, str(where), (), gone)
    found = read_log(where)
    return found.meta, decoded(found.records, found.damage, where), found.damage


def own_records(
    reader: LogReader,
    where: str | Path,
    first: int = 1,
    *,
    joined: bool = False,
    accept_loss: bool = False,
) -> list[Record]:
    """Return the records from number *first* on that lie in the own files of the log at *where*.

    *joined*: as of ``records_of``. *accept_loss*: with what is lost shown as lost; where that does
    not fit in its place, the whole record is.

    Raises:
        CorruptLogError: a large value is lost.
    """
    records: list[Record] = []
    told, behind = JOINED if joined else None, first - 1
    try:
        while batch := reader.events(first, BATCH_RECORDS, readings, Record, _as_stored, told):
            records += batch
            first = batch[-1].seq + 1
    except msgspec.ValidationError:
        if not reader.lost:
            raise
    if not reader.lost:
        return records
    if not accept_loss:
        refuse_lost(where, starmap(LostValue, reader.lost))
    stored, lost = list[Stored](), list[LostValue]()
    _read_own(reader, None, stored, lost, behind)
    return list(map(without_loss, marked(stored, lost)))


def _as_stored(*row: Any) -> Record:
    return as_record(Stored(*row))


def read_own(where: str | Path) -> LoadedLog:
    """Read the log at *where* alone: of a fork only what came after its cut.

    Raises:
        LogError: as ``read_log``.
    """
    return _read(Path(where), None, None)


def read_behind(log: LoadedLog) -> LoadedLog | None:
    """Return *log* as it is now, with those records alone that were written since it was read.

    It is a log of files. None if somebody opened it to append meanwhile: what was read, but never
    acknowledged, may be gone, so it is to be read anew.

    Raises:
        LogError: as ``read_log``.
    """
    from tinyagent.runtime.extension import LogReader

    reader = LogReader(log.where)
    if (reader.log, reader.epoch) != (log.meta.log, log.epoch):
        return None
    records: list[Stored] = []
    lost = list(log.damage.lost_values) if log.damage is not None else []
    _read_own(reader, None, records, lost, behind=log.seq)
    return msgspec.structs.replace(
        log,
        records=records,
        durable_seq=reader.durable_seq,
        damage=_damage(reader, log.where, tuple(lost), _lost_records([*log.records, *records])),
    )


def read_shared(where: str | Path, fork: ForkedFrom, *, accept_loss: bool = False) -> list[Stored]:
    """Return the records that the fork in the folder *where* shares with its parent.

    Raises:
        LogError: as ``read_log``, and ``CorruptLogError`` also if values are lost.
    """
    records, lost = _shared(Path(where), fork, ())
    if not accept_loss:
        refuse_lost(where, lost)
    return marked(records, lost)


def _read(
    where: Path, upto: int | None, below: tuple[str, ...] | None, behind: int = 0
) -> LoadedLog:
    """Read *where* up to record *upto*; *below* are the forks that it is read for.

    None for *below*: without what it shares with its parent. *behind*: as of ``read_log``.
    """
    from tinyagent.runtime.extension import LogReader

    reader = LogReader(where)
    meta = _meta(reader)
    records: list[Stored] = []
    lost: list[LostValue] = []
    if behind < 0:
        behind += reader.last
        if behind < reader.base or reader.gaps:  # or numbers do not tell how many there are
            behind = 0
    if below is not None and meta.fork is not None and reader.base == meta.fork.at + 1 > behind:
        records, lost = _shared(where, meta.fork, (*below, meta.log))
        records = [record for record in records if record.seq > behind]
    _read_own(reader, upto, records, lost, behind)
    return LoadedLog(
        where=str(where),
        meta=meta,
        records=records,
        durable_seq=reader.durable_seq,
        at_us=reader.at_us,
        base=reader.base,
        epoch=reader.epoch,
        damage=_damage(reader, str(where), tuple(lost), _lost_records(records)),
    )


def _meta(reader: LogReader) -> LogMeta:
    return LogMeta(
        log=reader.log,
        format=reader.format,
        level=reader.level,
        name=reader.name,
        origin=reader.origin,
        fork=fork_of(reader.fork),
        more=tuple(reader.more),
        sealed=tuple(reader.sealed),
    )


def _read_own(
    reader: LogReader,
    upto: int | None,
    records: list[Stored],
    lost: list[LostValue],
    behind: int = 0,
) -> None:
    while batch := reader.batch(behind + 1, BATCH_RECORDS):
        behind = batch[-1][0]
        records.extend(starmap(Stored, batch))
        if upto is not None and behind >= upto:
            del records[bisect_right(records, upto, key=lambda record: record.seq) :]
            break
    found = starmap(LostValue, reader.lost)
    lost.extend(value for value in found if upto is None or value.seq <= upto)


def _shared(
    where: Path, fork: ForkedFrom, below: tuple[str, ...]
) -> tuple[list[Stored], list[LostValue]]:
    """Find the parent and read what *fork* shares with it."""
    if fork.at == 0:
        return [], []
    found = [] if fork.log in below else beside(where, fork.log)
    complaints: list[CorruptLogError] = []
    for place in found:
        try:
            parent = _read(place, fork.at, below)
            check_cut(where, fork, parent)
        except CorruptLogError as error:
            # A copy of the parent may be better than this one.
            complaints.append(error)
            continue
        lost = parent.damage.lost_values if parent.damage is not None else ()
        last = bisect_right(parent.records, fork.at, key=lambda record: record.seq)
        return parent.records[:last], list(lost)
    if complaints:
        raise complaints[0]
    raise LogNotFoundError(
        f"{where}: a fork of log {fork.log} at record {fork.at}, which is not there; looked at the "
        f"folders and packed logs in {where.absolute().parent}; move the parent there, or a "
        "packed log of it"
    )


def check_cut(where: Path, fork: ForkedFrom, parent: LoadedLog) -> None:
    if parent.seq < fork.at:
        raise CorruptLogError(
            f"{parent.where}: the log ends at record {parent.seq}, but {where} was forked from it "
            f"at record {fork.at}; restore a copy that holds it",
            path=parent.where,
            seq=parent.seq + 1,
        )
    head = chain_head(parent.meta, parent.records, fork.at)
    if head != fork.head:
        raise CorruptLogError(
            f"{parent.where}: the records up to {fork.at} are not those that {where} was forked "
            f"from: chain hash {head}, expected {fork.head}; restore the copy that was forked",
            path=parent.where,
            seq=fork.at,
        )


def decoded(stored: Sequence[Stored], damage: Damage | None, where: object = "log") -> list[Record]:
    """Return *stored* with their events; a value that is lost is shown as lost.

    Raises:
        CorruptLogError: one of the log at *where* is whole, but not what its kind says.
    """
    records: list[Record] = []
    for item in marked(list(stored), damage.lost_values if damage is not None else ()):
        try:
            records.append(as_record(item))
        except msgspec.DecodeError as error:
            raise CorruptLogError(
                f"{where}: record {item.seq} is whole, but no {item.kind} of version {item.v}: "
                f"{error}; something else than this library wrote it; "
                f"tinyagent redact {where} --seq {item.seq} -o NEW makes a log without it",
                path=str(where),
                seq=item.seq,
            ) from error
    return records


def _lost_records(records: list[Stored]) -> tuple[LostRecords, ...]:
    lost = [record for record in records if record.kind == "log.lost"]
    return tuple(LostRecords(lost_from(record), record.seq) for record in lost)


def _damage(
    reader: LogReader,
    where: str,
    lost: tuple[LostValue, ...],
    lost_records: tuple[LostRecords, ...],
) -> Damage | None:
    verdict = cast("Verdict", reader.verdict)
    if verdict == "clean" and not lost and not lost_records:
        return None
    path, offset, torn_bytes, dropped = reader.torn or (where, 0, 0, 0)
    _, void_segments, void_lines, _ = reader.counts
    return Damage(
        verdict=verdict,
        path=path,
        offset=offset,
        torn_bytes=torn_bytes,
        dropped=dropped,
        void_segments=void_segments,
        void_lines=void_lines,
        lost_values=lost,
        lost_records=lost_records,
    )
