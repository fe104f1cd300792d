"""A sink of this project's own: a line for each record, in a file that people read."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Ledger:
    """Writes ``number kind`` lines; where it stopped is the number of its last line."""

    kinds = None

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self._last = int(lines[-1].split()[0]) if lines else 0

    def checkpoint(self) -> int:
        """Return the last record written."""
        return self._last

    def write(self, record: Any) -> None:
        """Write *record*, unless it is there."""
        if record.seq <= self._last:
            return
        with self._path.open("a") as file:
            file.write(f"{record.seq} {record.event.kind}\n")
        self._last = record.seq

    async def close(self) -> None:
        """Nothing is open."""
