"""Removes the beginning of a log, as far as a snapshot stands in its place."""

from __future__ import annotations

from pathlib import Path

from tinyagent.actors.children import agent_machine
from tinyagent.actors.snapshots import code, fitting
from tinyagent.actors.unfit import examined
from tinyagent.recording import Recording
from tinyagent.runtime.chain import pruned_of
from tinyagent.runtime.prune import (
    NeededError as NeededError,
    Pruned as Pruned,
    detach as detach,
    forks as forks,
    prunable,
    prune as remove,
)
from tinyagent.runtime.stores.snapshots import Snapshots
from tinyagent.verbs import load


def prune(where: str | Path, *, before: int, dry: bool = False) -> Pruned:
    """Remove the segments of the log in the folder *where* that hold records before *before* alone.

    A session goes on behind them from a snapshot, as long as it fits: a snapshot is of one release.
    Nothing is replayed from the start any more, and what is asked of the log is asked of what is
    left. Durable on return. *dry*: only say what would be removed. A fork beside the log holds it
    up, until it is made to hold what it shares itself: ``for place in forks(log): detach(place)``.

    Raises:
        NeededError: there is no snapshot in its place, a fork beside the log shares it, or there is
            open work in it. LogOwnedError: somebody is writing the log. Else as ``load``. Then
            nothing was removed.
    """
    recording = load(where)
    last = _newest(Path(where), recording)
    if prunable(where, before).upto and not last:
        raise NeededError(
            f"{where}: no snapshot of it fits, so nobody could go on with what is left; one is "
            "written where a run ends, about every 1,000 records"
        )
    before = min(before, last)
    if dry:
        return prunable(where, before)
    return remove(where, before, open_work=[work.seq for work in recording.open_work])


def _newest(where: Path, recording: Recording) -> int:
    """Return the record behind which the newest snapshot was made that fits; 0 without one."""
    log, records = recording.meta.log, recording.records
    if pruned_of(recording.meta) is None:
        fit = [
            int(Path(one.name).stem) for one in examined(str(where), log, records) if not one.why
        ]
        return max(fit, default=0)
    numbers = {record.seq: record for record in records}
    name = agent_machine().name
    found = Snapshots(where, log).read(code())
    return next((s.seq for s in found if fitting(s, numbers.get(s.seq), name)), 0)
