"""Removes the oldest segments of a log on purpose. The first header that is left says so.

What a fork shares is in its parent alone; a fork that is detached holds it itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tinyagent.runtime.ancestry import children
from tinyagent.runtime.chain import line_of
from tinyagent.runtime.errors import LogError
from tinyagent.runtime.load import read_log, read_own


class Pruned(msgspec.Struct, frozen=True):
    """What was removed, or can be: records up to *upto*, in so many segments and bytes."""

    upto: int
    segments: int
    bytes: int


class NeededError(LogError):
    """What was to be removed is needed by somebody."""


def prunable(where: str | Path, before: int) -> Pruned:
    """Return what of the records before *before* lies in segments that hold no later one.

    Raises:
        LogNotFoundError, LogVersionError, CorruptLogError, LogFailedError: as named.
    """
    return _prune(where, before, dry=True)


def prune(where: str | Path, before: int, *, open_work: Sequence[int] = ()) -> Pruned:
    """Remove it: durably on return, and whole at any moment.

    *open_work*: numbers of what somebody still has to do.

    Raises:
        NeededError: a fork beside the log shares it, or there is open work in it. LogOwnedError:
            somebody is writing the log. Else as ``prunable``. Then nothing was removed.
    """
    upto = prunable(where, before).upto
    for seq in open_work:
        if seq <= upto:
            raise NeededError(
                f"{where}: record {seq} is of work that is still open; end that first"
            )
    for place, cut in children(where, read_own(where).meta.log) if upto else ():
        raise NeededError(
            f"{where}: {place} is a fork of it behind record {cut}, and shares what is to be "
            f"removed; let it have that itself: tinyagent prune {where} --detach"
        )
    return _prune(where, before, dry=False)


def forks(where: str | Path) -> list[Path]:
    """Return the forks beside the log in the folder *where* that need it.

    Raises:
        LogError: as ``prunable``.
    """
    return [place for place, _ in children(where, read_own(where).meta.log)]


def detach(where: str | Path) -> int:
    """Copy what the fork in the folder *where* shares with its parent into it; return how much.

    From then on it needs no other log. Durably on return, and whole at any moment; 0 if there was
    nothing to do. It stays the fork of that parent, under its own id.

    Raises:
        NeededError: the parent's own beginning is gone. LogOwnedError: somebody is writing it.
            LogFailedError: it was not closed in order, or the disk said no. Else as ``read_log``.
            Then nothing was changed.
    """
    from tinyagent.runtime.extension import detach_log

    log = read_log(where)
    cut = log.meta.cut
    if log.base != cut + 1:
        return 0
    if log.records[0].seq != 1:
        raise NeededError(
            f"{where}: its parent was pruned itself, so there is no beginning to copy; pack the "
            "fork (tinyagent export --to jsonl) to have it by itself"
        )
    lines: list[bytes] = []
    blobs: dict[str, bytes] = {}
    for record in log.records:
        if record.seq <= cut:
            line, taken = line_of(log.meta, record)
            lines.append(line)
            blobs.update(taken)
    detach_log(Path(where), b"".join(lines), list(blobs.items()))
    return len(lines)


def _prune(where: str | Path, before: int, *, dry: bool) -> Pruned:
    from tinyagent.runtime.extension import prune_log

    return Pruned(*prune_log(Path(where), before, dry))
