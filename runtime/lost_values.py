"""Large values that are gone: their record is there, and holds a reference to nothing.

Who reads a log is shown them as lost. Who would go on with it is refused, unless the loss was
accepted (``accept_loss``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tinyagent.events import Record, UnknownEvent
from tinyagent.events.kinds import LogLost
from tinyagent.runtime.errors import CorruptLogError
from tinyagent.runtime.stores import Stored, as_record

if TYPE_CHECKING:
    from tinyagent._alchemy import LogReader


class LostValue(msgspec.Struct, frozen=True):
    """A large value that is missing or damaged: the payload still holds its reference."""

    seq: int
    digest: str


def batch(reader: LogReader, first: int, count: int) -> list[Stored]:
    """Return up to *count* records from number *first* on, marked where values are lost."""
    rows = list(starmap(Stored, reader.batch(first, count)))
    return marked(rows, list(starmap(LostValue, reader.lost)))


def refuse_lost_of(where: str | Path, record: Stored, lost: Iterable[tuple[int, str]]) -> None:
    """Raise as ``refuse_lost`` if *record* is marked; *lost* has the values, of others too."""
    if record.is_lost:
        refuse_lost(where, (LostValue(*value) for value in lost if value[0] == record.seq))


def marked(stored: list[Stored], lost: Sequence[LostValue]) -> list[Stored]:
    """Return *stored*, where values are *lost* with the mark of it."""
    if not lost:
        return stored
    seqs = {value.seq for value in lost}
    mark = partial(msgspec.structs.replace, is_lost=True)
    return [mark(record) if record.seq in seqs else record for record in stored]


def without_loss(stored: Stored) -> Record:
    """Return *stored* with its event, to go on with: one that cannot be shown as lost is lost."""
    record = as_record(stored)
    if stored.is_lost and isinstance(record.event, UnknownEvent):
        return msgspec.structs.replace(record, event=LogLost(record.seq, record.seq, 0))
    return record


def refuse_lost(where: str | Path, lost: Iterable[LostValue]) -> None:
    """Raise ``CorruptLogError`` for the first of *lost*, values of the log at *where*."""
    for value in lost:
        raise CorruptLogError(
            f"{where}: record {value.seq}: its large value {value.digest} is missing or damaged; "
            "put it back from a copy, or fork the log before that record; with accept_loss=True "
            "open_log and resume go on without it",
            path=str(where),
            seq=value.seq,
        )
