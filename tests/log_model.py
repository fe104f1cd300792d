"""A log in the plainest Python: what was accepted, and how much of it nobody may lose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Model:
    """Payloads in order. *durable*: so many were acknowledged as safe; *epoch*: openings so far;
    *gone*: so many were removed from the beginning on purpose.
    """

    accepted: list[bytes] = field(default_factory=list[bytes])
    durable: int = 0
    epoch: int = 0
    gone: int = 0

    @property
    def seq(self) -> int:
        """Number of the last record."""
        return len(self.accepted)

    def append(self, payload: bytes) -> int:
        """Accept a record; return its number."""
        self.accepted.append(payload)
        return self.seq

    def sync(self) -> None:
        """All of it is acknowledged."""
        self.durable = self.seq

    def read(self, first: int, last: int) -> list[bytes]:
        """Return the records *first* to *last*, as far as they are there."""
        return self.accepted[max(first - 1, self.gone) : max(last, 0)]

    def opened(self, found: Sequence[bytes], *, at_least: int) -> None:
        """A log was opened and held *found*: a beginning of what was accepted, long enough."""
        end = self.gone + len(found)
        assert list(found) == self.read(1, end)  # I2: nothing else, in order, to the byte
        assert end >= at_least  # I1: nothing acknowledged is missing
        del self.accepted[end:]
        self.durable = min(self.durable, self.seq)
        self.epoch += 1

    def forked(self, at: int) -> Model:
        """Return what a fork at *at* begins with: all of it is safe, in the parent."""
        return Model(self.accepted[:at], durable=at, gone=self.gone)
