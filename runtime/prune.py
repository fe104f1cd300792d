"""Removes the oldest segments of a log on purpose. The first header that is left says so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tinyagent.runtime.ancestry import children
from tinyagent.runtime.errors import LogError
from tinyagent.runtime.load import read_own


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
            "removed; pack the fork (tinyagent export --to jsonl), and move it away"
        )
    return _prune(where, before, dry=False)


def _prune(where: str | Path, before: int, *, dry: bool) -> Pruned:
    from tinyagent._alchemy import prune_log

    return Pruned(*prune_log(Path(where), before, dry))
