"""Finds the parent of a fork: by its id, among the logs that lie beside the fork."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

LINE_BYTES_MAX = 1 << 20
_SEGMENT = re.compile(r"[0-9].*\.jsonl(\.zst)?", re.DOTALL)


class _Fork(msgspec.Struct):
    log: str
    at: int


class _Header(msgspec.Struct):
    log: str
    first: int = 0
    need: list[str] = []
    fork: _Fork | None = None


def segments(folder: Path) -> list[Path]:
    """Return the files of segments in *folder*, archives too, in order; none if it holds no log."""
    try:  # once: a folder of logs has thousands of them
        found = [path for path in folder.iterdir() if _SEGMENT.fullmatch(path.name)]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    return sorted(found, key=lambda path: (len(path.name.partition(".")[0]), path.name))


def first_line(segment: Path) -> bytes:
    """Return the first line of *segment*, which may be an archive.

    Raises:
        OSError: it cannot be read.
    """
    from tinyagent.runtime.extension import unpack_archive

    with segment.open("rb") as file:
        if segment.suffix != ".zst":
            return file.readline(LINE_BYTES_MAX)
        return unpack_archive(file.read(LINE_BYTES_MAX), LINE_BYTES_MAX).partition(b"\n")[0]


def needs(folder: Path) -> list[str] | None:
    """Return what a reader of the log in *folder* must know; None if there is no header."""
    header = _header(folder)
    return None if header is None else header.need


def beside(where: str | Path, log_id: str) -> list[Path]:
    """Return the logs with that id in the folder that *where* lies in, folders first.

    *where* itself is left out. Only headers are read.
    """
    place = Path(where).absolute()
    others = sorted(
        (other for other in place.parent.iterdir() if other != place),
        key=lambda other: (other.is_file(), other.name),
    )
    return [o for o in others if (header := _header(o)) is not None and header.log == log_id]


def children(where: str | Path, log_id: str) -> Iterator[tuple[Path, int]]:
    """Yield the forks of the log with that id beside *where*, each with its cut, which share
    some record of it. A packed fork holds what it shares, and is none here; nor is a detached one.
    """
    for other in sorted(Path(where).absolute().parent.iterdir()):
        header = _header(other) if other.is_dir() else None
        fork = header.fork if header is not None else None
        if header is None or fork is None or fork.log != log_id:
            continue
        if fork.at and not 0 < header.first <= fork.at:
            yield other, fork.at


def _header(place: Path) -> _Header | None:
    """Return the first header at *place* that can be read: every segment tells the same of this."""
    found = [place] if place.suffix == ".jsonl" else []
    with suppress(OSError):  # whoever opens it says what cannot be looked at
        found = segments(place) if place.is_dir() else found
    for segment in found:
        # Damaged, or a file of somebody else: the next segment may say it.
        with suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(first_line(segment), type=_Header)
    return None
