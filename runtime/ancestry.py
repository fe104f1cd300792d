"""Finds the parent of a fork: by its id, among the logs that lie beside the fork."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

LINE_BYTES_MAX = 1 << 20


class _Header(msgspec.Struct):
    log: str


def beside(where: str | Path, log_id: str) -> list[Path]:
    """Return the logs with that id in the folder that *where* lies in, folders first.

    *where* itself is left out. Only headers are read.
    """
    place = Path(where).absolute()
    others = sorted(
        (other for other in place.parent.iterdir() if other != place),
        key=lambda other: (other.is_file(), other.name),
    )
    return [other for other in others if log_id in _ids(other)]


def _ids(place: Path) -> Iterator[str]:
    """Yield the id that the first readable header at *place* names."""
    if place.is_dir():
        segments = sorted(place.glob("[0-9]*.jsonl"), key=lambda path: (len(path.name), path.name))
    else:
        segments = [place] if place.suffix == ".jsonl" else []
    for segment in segments:
        try:
            with segment.open("rb") as file:
                line = file.readline(LINE_BYTES_MAX)
            yield msgspec.json.decode(line, type=_Header).log
        except (OSError, msgspec.MsgspecError):
            # Damaged, or a file of somebody else: the next segment may say it.
            continue
        return
