"""One line of a log, about 300 bytes, that everybody appends or reads.

It says what a line of ours says: a line without time, version and cause would be less to read. And
it is read from a file: one that lies in memory, the same each time, need not be fetched nor found.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path

TEXT = "The handler reads the request body. " * 6
EVENT = {"pieces": [[0, "text", TEXT, 20_000]]}
HEAD = {"seq": 1, "d": 0, "ts": 1_795_420_800_123_456, "k": "model.delta", "v": 1, "c": 0}
LINE = json.dumps({**HEAD, "e": EVENT, "x": "9f3a1c02"}, separators=(",", ":")).encode() + b"\n"


def lines_in(folder: Path, count: int) -> Path:
    """Return a file of *count* lines."""
    file = folder / "lines"
    file.write_bytes(LINE * count)
    return file


def read_lines(file: Path, read: Callable[[bytes], object]) -> list[object]:
    """Return what *read* makes of each line of *file*, whose checksum is taken, not judged."""
    found: list[object] = []
    with file.open("rb") as lines:
        for line in lines:
            zlib.crc32(line)
            found.append(read(line))
    return found
