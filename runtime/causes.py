"""What led to a record, and what it led to: recorded edges only, nothing is inferred. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from tinyagent.events import Record
from tinyagent.events.work import field


class Below(NamedTuple):
    """A record below another. ``depth``: steps from it; 0 is the record itself."""

    depth: int
    record: Record


class Causes:
    """The edges of a log. An edge is a record's ``cause``, or a number that its payload names.

    A cause that is not in the log, or not before its effect, is no edge.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = {record.seq: record for record in records}

    @cached_property
    def _below(self) -> dict[int, list[Record]]:
        below: dict[int, list[Record]] = {}
        for record in self._records.values():
            for above in _edges(record):
                if above < record.seq:
                    below.setdefault(above, []).append(record)
        return below

    def chain(self, seq: int) -> tuple[Record, ...]:
        """Return record *seq*, its cause, and so on, up to what came from outside."""
        found: list[Record] = []
        record = self._records.get(seq)
        while record is not None:
            found.append(record)
            record = self._records.get(record.cause) if record.cause < record.seq else None
        return tuple(found)

    def below(self, seq: int) -> tuple[Below, ...]:
        """Return record *seq* and all that it led to, each once, every record above its effects."""
        found: list[Below] = []
        seen: set[int] = set()
        waiting = [Below(0, self._records[seq])] if seq in self._records else []
        while waiting:  # no recursion: a long run is as deep as it is long
            branch = waiting.pop()
            if branch.record.seq in seen:
                continue
            seen.add(branch.record.seq)
            found.append(branch)
            effects = self._below.get(branch.record.seq, ())
            waiting.extend(Below(branch.depth + 1, record) for record in reversed(effects))
        return tuple(found)


def _edges(record: Record) -> list[int]:
    """Return the records that led to *record*: its cause, and queued messages it delivers."""
    said = field(record.event, "said")
    named = [n for n in said if isinstance(n, int)] if isinstance(said, list) else []
    return [record.cause, *named] if record.cause else named
