"""Where imported logs go: each into a folder of its own, a fork beside its parent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from tinyagent.runtime.chain import line_of
from tinyagent.runtime.load import LoadedLog
from tinyagent.runtime.repair import Segment


def places(into: Path, count: int) -> Iterator[Path]:
    """Return the folders for *count* logs: *into*, and ``into-2`` and so on beside it.

    Raises:
        ValueError: one of them is there.
    """
    named = [into, *(into.with_name(f"{into.name}-{n}") for n in range(2, count + 1))]
    for place in named:
        if place.exists():
            raise ValueError(f"{place} is there already; give a folder of its own")
    return iter(named)


def write(log: LoadedLog, to: Path) -> LoadedLog:
    """Write *log* into the new folder *to*; of a fork its own records. Return where it is now.

    Raises:
        LogFailedError: the disk said no.
    """
    segment = Segment(log.meta, log.base - 1, at_us=log.at_us, epoch=log.epoch)
    blobs: dict[str, bytes] = {}
    for record in log.records:
        if record.seq >= log.base:
            line, taken = line_of(log.meta, record)
            segment.add(line, record.seq, record.ts_us)
            blobs.update(taken)
    segment.write(to, blobs, None)
    return msgspec.structs.replace(log, where=str(to))
