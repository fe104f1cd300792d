"""Records by what their events are: who wants a few kinds need not look at all of them. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from operator import attrgetter

from tinyagent.events.kinds import KINDS, Record, UnknownEvent

_SEQ = attrgetter("seq")


class Sifted:
    """Gone through once. Attributes: records: all of them, in log order."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self._by_type = by_type = defaultdict[type, list[Record]](list)
        for record in records:
            by_type[type(record.event)].append(record)

    def of(self, kinds: Iterable[str]) -> list[Record]:
        """Return those of *kinds*, in log order; not what this release cannot read."""
        found = (self._by_type.get(KINDS[kind], ()) for kind in kinds if kind in KINDS)
        return sorted(chain.from_iterable(found), key=_SEQ)

    def parted(self, seq: int) -> tuple[Sequence[Record], Sequence[Record]]:
        """Return those before number *seq*, and those from there on."""
        at = bisect_left(self.records, seq, key=_SEQ)
        return self.records[:at], self.records[at:]

    @property
    def unknown(self) -> list[Record]:
        """Those that this release cannot read."""
        return self._by_type.get(UnknownEvent, [])
