"""A log as a server gives it to the page: item by item, by range, also while it is written."""

from __future__ import annotations

from bisect import bisect_right
from itertools import count, islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import msgspec

from tinyagent._reading.facts import status_of
from tinyagent.events import kinds as k
from tinyagent.events.children import own
from tinyagent.recording import is_held
from tinyagent.runtime.load import decoded, read_behind, read_log
from tinyagent.viewer.packed import Packer, head

if TYPE_CHECKING:
    from tinyagent.events import Record

ITEMS_MAX = 2000
BYTES_MAX = 4_000_000
"""So many items, and bytes of them, are given at once at most; but always one."""
GROUP_RECORDS = 500
"""So many records are made into items at once: deltas among them are joined."""
_VERSIONS = count(1)


class ServedLog:
    """One log of files. Items are made when they are first asked for, and kept."""

    def __init__(self, where: Path) -> None:
        self._where = where
        self._lock = Lock()
        self._read()

    def _read(self) -> None:
        self._version = next(_VERSIONS)
        self._sizes = sizes(self._where)
        self._log = read_log(self._where)
        self._records: list[Record] = decoded(self._log.records, self._log.damage, self._where)
        first_ns = self._records[0].at_ns if self._records else self._log.at_us * 1000
        self._packer = Packer(self._records, False, True, first_ns)
        self._at_us = first_ns // 1000
        self._packed = 0
        self._items: list[bytes] = []
        self._status, self._told = "", (-1, False)

    def part(self, first: int) -> bytes:
        """Return the items from number *first* on, as many as fit, as JSON.

        ``next`` is the number to go on with; ``more``: there are some already. Under another
        ``version`` the numbers of before mean nothing.

        Raises:
            LogError: the log cannot be read any more.
        """
        with self._lock:
            self._refresh()
            while self._packed < len(self._records) and len(self._items) < first + ITEMS_MAX:
                self._pack()
            items: list[msgspec.Raw] = []
            size = 0
            for item in islice(self._items, first, first + ITEMS_MAX):
                size += len(item)
                if items and size > BYTES_MAX:
                    break
                items.append(msgspec.Raw(item))
            end = first + len(items)
            is_all = end >= len(self._items) and self._packed == len(self._records)
            told = {**self._head(), "next": end, "more": not is_all, "items": items}
            return msgspec.json.encode(told)

    def deltas(self, asked: int) -> bytes:
        """Return the pieces of the last answer to the request at record *asked*, as JSON.

        Raises:
            LogError: the log cannot be read any more.
        """
        pieces: list[k.Piece] = []
        with self._lock:
            self._refresh()
            first = bisect_right(self._records, asked, key=lambda record: record.seq)
            for record in islice(self._records, first, None):
                if record.cause != asked:
                    continue
                match record.event:
                    case k.ModelDelta():
                        pieces += record.event.pieces
                    case k.ModelRetrying():
                        pieces.clear()
                    case k.ModelFinished() | k.ModelFailed():
                        break
                    case _:
                        pass
        return msgspec.json.encode(pieces)

    def _pack(self) -> None:
        group = self._records[self._packed : self._packed + GROUP_RECORDS]
        self._packed += len(group)
        self._items.extend(map(msgspec.json.encode, self._packer.items(group)))

    def _refresh(self) -> None:
        """Take in what was written since."""
        if (now := sizes(self._where)) == self._sizes:
            return
        found = read_behind(self._log)
        if found is None:
            self._read()
            return
        self._sizes = now
        self._records.extend(decoded(found.records, found.damage, self._where))
        self._log.records.extend(found.records)
        self._log = msgspec.structs.replace(found, records=self._log.records)

    def _head(self) -> dict[str, Any]:
        log = self._log
        is_live = log.damage is not None and is_held(self._where)
        if self._told != (now := (len(self._records), is_live)):
            self._status, self._told = status_of(list(own(self._records)), is_live=is_live), now
        return {
            **head(log.meta, self._status, None if is_live else log.damage),
            "live": is_live,
            "version": self._version,
            "at_us": self._at_us,
            "total": len(self._records),
            "before": 0,
            "deltas": False,
            "content": True,
        }


def sizes(where: Path) -> list[tuple[str, int, int]]:
    """Return what changes when a log of files grows."""
    files = sorted(where.glob("*.jsonl")) if where.is_dir() else [where]
    stats = [(file.name, file.stat()) for file in files]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
