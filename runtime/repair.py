"""Looks at damaged logs, and writes what is left of one into a new folder. The source stays.

``verify`` reads every byte and says what is wrong where. ``salvage`` yields what can be read, and
the gaps. ``repair`` makes a log of it again: each gap becomes one ``log.lost`` record that stands
for the records that are lost, so that everybody sees it. Such a log loads and replays up to the
gap; to go on with it, it is opened with ``accept_loss=True``.
"""

from __future__ import annotations

from itertools import starmap
from pathlib import Path
from typing import Literal, cast

import msgspec

from tinyagent.events import encode, kinds as k
from tinyagent.runtime.chain import chain_start
from tinyagent.runtime.load import LostValue
from tinyagent.runtime.stores import LogMeta, SealKey, Stored, fork_fields, fork_of

BY = "tinyagent"


class SegmentReport(msgspec.Struct, frozen=True):
    """One file: ``sealed``; ``open``: not closed in order; ``void``: an interrupted opening."""

    name: str
    bytes: int
    records: int
    verdict: Literal["sealed", "open", "void", "torn", "corrupt"]
    complaints: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What ``verify`` found.

    Attributes:
        verdict: as of a loaded log, or ``corrupt``: acknowledged records or values are damaged,
            the chain does not hold, or a signature is missing or not by the key.
        records: how many can be read.
        blobs: large values that are whole.
        signatures: seals that were checked with the key.
    """

    where: str
    log: str
    verdict: Literal["clean", "unclean", "torn", "corrupt"]
    records: int
    segments: tuple[SegmentReport, ...]
    blobs: int
    lost_values: tuple[LostValue, ...]
    signatures: int


class Gap(msgspec.Struct, frozen=True):
    """Records that cannot be read, though they were acknowledged, and where they should be.

    *bytes* are bad from *offset* on; 0 if there is nothing at all.
    """

    first: int
    last: int
    segment: str
    offset: int
    bytes: int


class Salvaged(msgspec.Struct, frozen=True, kw_only=True):
    """What can be read of a log: runs of records, and the gaps between them, in order."""

    where: str
    meta: LogMeta
    epoch: int
    at_us: int
    parts: tuple[list[Stored] | Gap, ...]

    @property
    def gaps(self) -> list[Gap]:
        """The gaps alone."""
        return [part for part in self.parts if isinstance(part, Gap)]


def verify(where: str | Path, *, key: SealKey | None = None) -> Report:
    """Read every byte of the log at *where*: segments, values, chain, and signatures with *key*.

    Of a fork only its own files.

    Raises:
        LogNotFoundError, LogVersionError, LogFailedError: as named. CorruptLogError: not even the
            log's id can be read.
    """
    from tinyagent.runtime.extension import verify_log

    found = verify_log(Path(where), key.fields() if key is not None else None)
    return msgspec.convert(
        {
            **found,
            "where": str(where),
            "segments": [
                SegmentReport(name, size, records, cast("Literal['sealed']", verdict), tuple(said))
                for name, size, records, verdict, said in found["segments"]
            ],
            "lost_values": [LostValue(seq, digest) for seq, digest in found["lost_values"]],
        },
        Report,
    )


def salvage(where: str | Path) -> Salvaged:
    """Read what can be read of the log at *where*, however it is damaged. Changes nothing.

    Of a sound log that is exactly what ``read_log`` gives of its own files, without gaps.

    Raises:
        LogNotFoundError, LogVersionError, LogFailedError: as named. CorruptLogError: not even the
            log's id can be read.
    """
    from tinyagent.runtime.extension import salvage_log

    found = salvage_log(Path(where))
    parts: list[list[Stored] | Gap] = []
    for part in found["parts"]:
        parts.append(Gap(*part) if isinstance(part, tuple) else list(starmap(Stored, part)))
    meta = LogMeta(
        log=found["log"],
        format=found.get("format", 1),
        level=found.get("level") or _level_of(parts),
        name=found.get("name"),
        origin=found.get("origin"),
        fork=fork_of(found.get("fork")),
        more=tuple(found.get("more", ())),
        sealed=tuple(found["sealed"]),
    )
    return Salvaged(
        where=str(where),
        meta=meta,
        epoch=found["epoch"],
        at_us=found.get("at_us", 0),
        parts=tuple(parts),
    )


def repair(where: str | Path, to: str | Path, *, key: SealKey | None = None) -> Salvaged:
    """Write what can be read of the log at *where* into the new folder *to*; return it.

    Lines stay as they are, the log's id too. *key* signs the seal, if the log is of level
    ``signed``. Durable on return.

    Raises:
        LogError: as ``salvage``, or the disk said no. ValueError: *to* holds a log.
    """
    from tinyagent.runtime.extension import take_out_blobs

    found = salvage(where)
    meta = found.meta
    segment = Segment(meta, _before(found), at_us=found.at_us, epoch=found.epoch)
    blobs: dict[str, bytes] = {}
    for part in found.parts:
        if isinstance(part, Gap):
            segment.lose(part)
            continue
        for record in part:
            segment.add(record.line or b"", record.seq, record.ts_us)
            blobs.update(take_out_blobs(record.payload)[1])
    segment.write(to, blobs, key)
    return found


class Segment:
    """A log of one segment on its way into a new folder."""

    def __init__(
        self,
        meta: LogMeta,
        before: int,
        *,
        at_us: int,
        epoch: int,
        redacted: str | None = None,
    ) -> None:
        self.meta = meta
        self.last = self._before = before
        self._at_us = self._ts_us = at_us
        self._epoch = epoch
        self._redacted = redacted
        self._lines: list[bytes] = []
        self._head = chain_start(meta, before) if meta.level != "crc" else None
        self._began = self._head

    def add(self, line: bytes, seq: int, ts_us: int) -> None:
        """Add a whole line."""
        from tinyagent.runtime.extension import chain_over

        self._lines.append(line)
        self.last, self._ts_us = seq, ts_us
        if self._head is not None:
            self._head = chain_over(self._head, [line])

    def build(self, record: Stored, payload: bytes) -> bytes:
        """Return the line of *record* with another *payload*, chained to what was added."""
        from tinyagent.runtime.extension import line

        r = record
        return line(
            self.meta.log, r.d, r.seq, r.ts_us, r.actor, r.kind, r.v, r.cause, payload, self._head
        )

    def lose(self, gap: Gap) -> None:
        """Add the one record that stands for all of *gap*."""
        event = k.LogLost(gap.first, gap.last, gap.bytes)
        lost = Stored(
            seq=gap.last,
            ts_us=self._ts_us,
            actor=None,
            kind=event.kind,
            v=event.v,
            cause=0,
            payload=b"",
            d=gap.first - 1,
        )
        self.add(self.build(lost, encode(event)), gap.last, self._ts_us)

    def write(self, to: str | Path, blobs: dict[str, bytes], key: SealKey | None) -> None:
        """Write it, header and seal included, with the large values given by digest.

        Raises:
            ValueError: *to* holds a log. LogFailedError: the disk said no.
        """
        from tinyagent.runtime.extension import (
            __version__,
            header_line,
            seal_line,
            sign_head,
            write_folder,
        )

        meta, last, head = self.meta, self.last, self._head
        header = header_line(
            meta.log,
            seg=1,
            epoch=self._epoch,
            first=self._before + 1,
            tail=self._before,
            at_us=self._at_us,
            by=f"{BY} {__version__}",
            level=meta.level,
            name=meta.name,
            origin=meta.origin,
            fork=fork_fields(meta.fork),
            prev=self._began if self._before else None,
            redacted=self._redacted,
            more=meta.more,
        )
        sig: str | None = None
        if key is not None and head is not None and meta.level == "signed":
            sig = sign_head(key.fields(), meta.log, last, head)
        seal = seal_line(
            meta.log,
            seg=1,
            last=last,
            d=last,
            why="close",
            at_us=self._ts_us,
            head=head,
            sig=sig,
            more=meta.sealed,
        )
        write_folder(Path(to), b"".join([header, *self._lines, seal]), list(blobs.items()))


def _before(found: Salvaged) -> int:
    """Return the number before the first record that the log's own files held."""
    for part in found.parts:
        if isinstance(part, Gap):
            return part.first - 1
        first = part[0]
        if first.kind == k.LogLost.kind:
            return msgspec.json.decode(first.payload, type=k.LogLost).first - 1
        return first.seq - 1
    return found.meta.cut


def _level_of(parts: list[list[Stored] | Gap]) -> str:
    """Return the level that lines show when no header can be read: a hash, or none."""
    lines = [part[0].line or b"" for part in parts if not isinstance(part, Gap)]
    return "chain" if lines and lines[0][-56:-50] == b',"h":"' else "crc"
