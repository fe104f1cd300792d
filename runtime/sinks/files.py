"""A second copy of the log, in a folder: the same records, under the same log id."""

from __future__ import annotations

from pathlib import Path

from tinyagent.events import Record
from tinyagent.runtime.errors import LogBehindError, LogError
from tinyagent.runtime.stores import Durability, LogMeta
from tinyagent.runtime.stores.files import FileLog


class FileSink:
    """Copies a log into the folder *path*, which can be loaded, replayed and forked like it.

    The lines are those of the log but for watermark and checksum: the copy has a disk of its own.
    """

    kinds: frozenset[str] | None = None

    def __init__(self, path: str | Path, *, durability: Durability = "interval") -> None:
        self._path = Path(path)
        self._durability: Durability = durability
        self._log: FileLog | None = None
        self._at_us = 0

    def begin(self, meta: LogMeta) -> None:
        """Open the copy of the log that *meta* names.

        Raises:
            LogError: as ``FileLog``. ValueError: the folder holds another log.
        """
        log = self._log
        if log is not None and log.meta.log == meta.log:
            return
        self._log = FileLog(
            self._path,
            now_us=lambda: self._at_us,
            durability=self._durability,
            log_id=meta.log,
            name=meta.name,
            origin=meta.origin,
            more=meta.more,
        )

    def checkpoint(self) -> int:
        """Return the last record of the copy."""
        return self._log.seq if self._log is not None else 0

    def write(self, record: Record) -> None:
        """Append *record*; a record that is there already is no error.

        Raises:
            LogError: the copy takes nothing more, until it is begun again.
        """
        log = self._log
        assert log is not None, "begin says which log this is a copy of"
        self._at_us = record.at_ns // 1000
        event = record.event
        fields = (
            record.seq,
            record.at_ns // 1000,
            None if record.actor == event.emitter else record.actor,
            event.kind,
            event.v,
            record.cause,
            record.payload,
        )
        try:
            try:
                log.append(*fields)
            except LogBehindError:
                for _ in log.read(log.seq):  # waits for the disk, which this thread may
                    pass
                log.append(*fields)
        except LogError:
            self._log = None
            raise

    async def close(self) -> None:
        """Write everything and seal the copy. Safe to call twice."""
        log, self._log = self._log, None
        if log is not None:
            await log.close()
