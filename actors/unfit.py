"""Snapshots held against the fold of their log. Those that cannot be used are named, no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from tinyagent.actors.children import agent_machine
from tinyagent.actors.snapshots import Held, code, fitting
from tinyagent.actors.standing import Walk
from tinyagent.events import Record
from tinyagent.runtime.stores.snapshots import SnapshotError, Snapshots


class Examined(NamedTuple):
    """One snapshot. ``why``: why it is of no use, or "". ``is_wrong``: yet it would be used."""

    name: str
    why: str
    is_wrong: bool = False


def examined(where: str, log: str, records: Sequence[Record]) -> Iterator[Examined]:
    """Say of each snapshot of the log with the id *log*, the oldest first, whether it is of use.

    *records*: all of the log.
    """
    snapshots = Snapshots(where, log)
    numbers = {record.seq: record for record in records}
    walk, name = Walk(records), agent_machine().name
    for path in reversed(snapshots.paths()):
        try:
            snapshot = snapshots.read_one(path)
        except SnapshotError as error:
            yield Examined(path.name, str(error))
            continue
        held = fitting(snapshot, numbers.get(snapshot.seq), name)
        if snapshot.code != code():
            yield Examined(path.name, "it was made by other code")
        elif held is None:
            yield Examined(path.name, "it was not made behind a record of this log")
        elif walk.to(snapshot.seq).fault:
            yield Examined(path.name, "the records before it cannot be followed")
        elif _differs(held, walk, snapshot.seq, name):
            yield Examined(path.name, "it is not what the records before it come to", True)
        else:
            yield Examined(path.name, "")


def _differs(held: Held, walk: Walk, seq: int, name: str) -> bool:
    tell = walk.settled(seq)
    if tell is None or held.machines != {name: walk.to(seq).agent}:
        return True
    return msgspec.json.encode(tell()) != msgspec.json.encode(held.conversation)
