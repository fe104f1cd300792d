"""Joins the sealed segments of a log into compressed files, against many small ones.

Lines stay as they are, and whoever reads a log reads its archives with it. At every moment each
segment is in a file of its own or in an archive; one that is in both counts once.
"""

from __future__ import annotations

from pathlib import Path

import msgspec


class Archived(msgspec.Struct, frozen=True):
    """A file that was made: *segments* of together *bytes*, in *bytes_packed*."""

    name: str
    segments: int
    bytes: int
    bytes_packed: int


def archive(where: str | Path) -> list[Archived]:
    """Archive the log in the folder *where*; return what was made. Durable on return.

    Only what is sealed, and not right behind a segment that a crash left unsealed.

    Raises:
        LogNotFoundError, LogVersionError, LogFailedError: as named. LogOwnedError: somebody is
            writing it. CorruptLogError: it is damaged; nothing was changed.
    """
    from tinyagent.runtime.extension import archive_log

    return [Archived(*fields) for fields in archive_log(Path(where))]
