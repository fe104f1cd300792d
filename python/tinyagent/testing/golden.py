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
    log = None if is_address(path) or Path(path).is_dir() else read_log(path)
    if log is None or log.verdict != "clean":  # of one file: the last segment of an open log
        raise ValueError(f"{path}: a golden log is one packed file; {PACK} makes one")
    if log.damage is not None and log.damage.lost_values:
        lost = log.damage.lost_values[0]
        raise CorruptLogError(
            f"{path}: record {lost.seq}: its large value {lost.digest} is missing or damaged; "
            f"it belongs beside the file, in {Path(path).stem}.blobs/",
            path=str(path),
            seq=lost.seq,
        )
    return MemoryLog(meta=log.meta, records=log.records, read_only=True, where=str(path))
