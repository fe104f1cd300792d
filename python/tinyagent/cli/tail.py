"""``tinyagent tail [REF]``: the last records, and with ``-f`` those that are still to come."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Annotated

import msgspec
from cyclopts import Parameter

from tinyagent.cli import refs
from tinyagent.cli.answers import Streamed, Tail
from tinyagent.cli.options import COMMON, Common, Ref
from tinyagent.cli.render import Line, answer, dim, emit, line
from tinyagent.cli.show import plain_record
from tinyagent.cli.transcript import event
from tinyagent.events import Record, kinds as k
from tinyagent.runtime.ancestry import segments
from tinyagent.runtime.load import decoded, read_log

LOOK_S = 0.1
"""So long after one look at a log comes the next."""


def run(
    ref: Ref = "last",
    /,
    *,
    count: Annotated[int, Parameter(name=["-n", "--lines"], help="so many records; 10")] = 10,
    follow: Annotated[bool, Parameter(name=["-f", "--follow"], help="wait for more")] = False,
    until_end: Annotated[
        bool, Parameter(help="wait for more, but not behind the end of the run")
    ] = False,
    jsonl: Annotated[bool, Parameter(help="a JSON document for each record")] = False,
    common: Common = COMMON,
) -> int:
    """Print the last records, then, if asked, each new one as soon as it can be read; return 0."""
    place = refs.place(ref, common.dir)
    if count < 0 or (common.json and (follow or until_end)):
        told = "-n takes no negative number" if count < 0 else "--json is one document: --jsonl"
        raise refs.RefError(told)
    behind = place.n if place.n is not None else -max(count, 1)  # the last one says if it is over
    loaded = read_log(place.path, behind=behind)
    records = decoded(loaded.records, loaded.damage, loaded.where)
    shown = records[len(records) - min(count, len(records)) :] if place.n is None else records
    if common.json:
        told_all = [plain_record(record) for record in shown]
        answer(
            Tail(
                log=loaded.meta.log,
                where=loaded.where,
                durable=loaded.durable_seq,
                records=told_all,
            )
        )
        return 0
    _print(shown, loaded.durable_seq, common, is_jsonl=jsonl)
    if (follow or until_end) and not (until_end and _is_end(records)):
        sys.stdout.flush()
        last = records[-1].seq if records else place.n or 0
        _follow(place.path, last, common, is_jsonl=jsonl, until_end=until_end)
    return 0


def _follow(
    where: str | Path, last: int, common: Common, *, is_jsonl: bool, until_end: bool
) -> None:
    for records, durable in arriving(where, last):
        _print(records, durable, common, is_jsonl=is_jsonl)
        sys.stdout.flush()
        if until_end and _is_end(records):
            return


def arriving(where: str | Path, last: int) -> Iterator[tuple[list[Record], int]]:
    """Yield the records behind *last* as they come, each time with the last one that is durable.

    A line that is not whole is waited for; so is a log of which the next segment is just made.
    """
    before: object = None
    never = Event()  # no loop of asyncio: an interrupt while one starts or ends is complained of
    while True:
        now = _sizes(where)
        if now != before or now is None:
            loaded = read_log(where, behind=last)
            new = decoded(loaded.records, loaded.damage, where)
            if new:
                last = new[-1].seq
                yield new, loaded.durable_seq
            before = now
        never.wait(LOOK_S)


def _sizes(where: str | Path) -> list[tuple[str, int]] | None:
    """Return what changes when the log grows; None where only reading tells: a database."""
    path = Path(where)
    if isinstance(where, str) and not path.exists():
        return None
    files = segments(path) if path.is_dir() else [path]
    return [(file.name, file.stat().st_size) for file in files]


def _is_end(records: Sequence[Record]) -> bool:
    return bool(records) and isinstance(records[-1].event, k.RunEnded)


def _print(records: Sequence[Record], durable: int, common: Common, *, is_jsonl: bool) -> None:
    if is_jsonl:
        for record in records:
            answer(_streamed(record))
    else:
        emit((_told(record, durable) for record in records), color=common.color)


def _streamed(record: Record) -> Streamed:
    return Streamed(
        seq=record.seq,
        ts=record.at_ns,
        k=record.event.kind,
        c=record.cause,
        actor=record.actor,
        e=msgspec.Raw(record.payload),
    )


def _told(record: Record, durable: int) -> Line:
    """Return *record* as a line; what a power cut could still take has a mark."""
    told = event(record)
    return told if record.seq <= durable else line(*told.pieces, dim("  (not yet durable)"))
