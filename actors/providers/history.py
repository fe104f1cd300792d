"""What the messages of the last body were encoded to: a conversation that grew costs what is new.

A *turn* is a message that is no result, with the results behind it: what stands in a turn is
encoded together, and never depends on another one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Generic, NamedTuple, TypeVar

from tinyagent.actors.providers.content import Mark, chosen
from tinyagent.actors.providers.repair import Repair
from tinyagent.events.messages import Message, Result

T = TypeVar("T")


class Parts(NamedTuple):
    """A body in parts: *turns*, which are the items of its list *name*, between *head* and *tail*.

    Each turn is JSON: items with commas between them. One that is not in parts is all *head*.
    """

    head: bytes
    name: str
    turns: list[bytes]
    tail: bytes = b"]}"

    def whole(self) -> bytes:
        """Return the body."""
        return b"".join((self.head, b",".join(self.turns), self.tail))


class History(Generic[T]):
    """The messages of the last body, repaired and encoded.

    It holds exactly these, and by identity: messages are frozen, and an edit makes new ones. So a
    long conversation is never encoded twice, one that was cut is forgotten, and there is nothing
    to tune.

    Attributes:
        sent: the messages as they are sent.
        marks: the cache breakpoints, by position in *sent*.
    """

    def __init__(self) -> None:
        self.sent: Sequence[Message] = ()
        self.marks: dict[int, Mark] = {}
        self._repair = Repair()
        self._style: object = None
        self._markable: list[tuple[int, Mark]] = []
        self._kept: tuple[list[tuple[Message, Mark, T]], list[int], list[bytes]] = [], [], []

    def turns(
        self,
        messages: Sequence[Message],
        encode: Callable[[Message, Mark], T],
        join: Callable[[Sequence[T]], Sequence[bytes]],
        *,
        style: object,
        mark: Callable[[Message], Mark] | None = None,
    ) -> list[bytes]:
        """Return the turns of *messages*, without those of which nothing can be sent.

        Args:
            encode: makes of a message, and its cache breakpoints, what *join* takes.
            join: makes of a turn its items.
            style: all else that *encode*, *join* and *mark* depend on; another one forgets all.
            mark: what breakpoints a message could have.
        """
        same = self._repair.take(messages)
        if style != self._style:
            self._style, same = style, 0
            self._kept = [], [], []
        self.sent = self._repair.sent
        before, self.marks = self.marks, self._marked(same, mark)
        moved = (at for at in before.keys() | self.marks if before.get(at) != self.marks.get(at))
        return self._encode(min(same, len(self._kept[0]), *moved), encode, join)

    def _marked(self, same: int, mark: Callable[[Message], Mark] | None) -> dict[int, Mark]:
        if mark is None:
            return {}
        del self._markable[bisect_left(self._markable, same, key=lambda entry: entry[0]) :]
        found = ((at, mark(self.sent[at])) for at in range(same, len(self.sent)))
        self._markable.extend((at, each) for at, each in found if each)
        return chosen(self._markable)

    def _encode(
        self,
        first: int,
        encode: Callable[[Message, Mark], T],
        join: Callable[[Sequence[T]], Sequence[bytes]],
    ) -> list[bytes]:
        """Encode from message *first* on; what was encoded before, as far as it is still there."""
        # For each message its encoded form; where turns start; the turns. Not kept if this fails.
        (entries, starts, turns), self._kept = self._kept, ([], [], [])
        sent = self.sent
        while 0 < first < len(sent) and isinstance(sent[first], Result):
            first -= 1
        turn = bisect_left(starts, first)
        # An entry keeps its message alive, so an id cannot mean another one.
        known = {id(entry[0]): entry for entry in entries[first:]}
        del entries[first:], starts[turn:], turns[turn:]
        for at in range(first, len(sent)):
            message, mark = sent[at], self.marks.get(at, ())
            entry = known.get(id(message))
            if entry is None or entry[1] != mark:
                entry = (message, mark, encode(message, mark))
            entries.append(entry)
            if at == first or not isinstance(message, Result):
                starts.append(at)
        for start, end in pairwise([*starts[turn:], len(sent)]):
            turns.append(b",".join(join([entry[2] for entry in entries[start:end]])))
        self._kept = entries, starts, turns
        return list(filter(None, turns))
