"""A log that was recorded once, and is read by tests for ever: packed into one file, and whole."""

from __future__ import annotations

from pathlib import Path

from tinyagent.runtime.errors import CorruptLogError
from tinyagent.runtime.load import read_log
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.runtime.stores.sqlite_tables import is_address

PACK = "tinyagent export REF --to jsonl -o FILE"
"""What makes a packed log of any other."""


def open_golden(path: str | Path) -> MemoryLog:
    """Return the packed log at *path*, for reading only: ``load``, fork or cut it.

    Raises:
        LogNotFoundError: there is no file. ValueError: a log is there that is not packed.
        CorruptLogError: it is damaged, or no log, or its end or a large value is missing.
        LogVersionError: a newer version wrote it.
    """
    if is_address(path) or Path(path).is_dir():
        raise ValueError(f"{path}: a golden log is one packed file; {PACK} makes one")
    log = read_log(path)
    if log.damage is not None:
        if log.damage.lost_values:
            lost = log.damage.lost_values[0]
            raise CorruptLogError(
                f"{path}: record {lost.seq}: its large value {lost.digest} is missing or damaged; "
                f"it belongs beside the file, in {Path(path).stem}.blobs/",
                path=str(path),
                seq=lost.seq,
            )
        if log.damage.verdict != "clean":
            raise CorruptLogError(
                f"{path}: it ends without a seal, behind record {log.seq}: cut short, or the "
                f"segment of a log; restore a copy, or pack the log anew ({PACK})",
                path=str(path),
                seq=log.seq + 1,
                offset=log.damage.offset,
            )
    return MemoryLog(meta=log.meta, records=log.records, read_only=True, where=str(path))
