"""What the messages of the last body were encoded to: a conversation that grew costs what is new.

A *turn* is a message that is no result, with the results behind it: what stands in a turn is
encoded together, and never depends on another one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from operator import itemgetter
from typing import Any, Generic, NamedTuple, TypeVar

from tinyagent.actors.providers.content import Mark, chosen
from tinyagent.actors.providers.repair import Repair
from tinyagent.events.codec import hashing
from tinyagent.events.messages import Message

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


class Body:
    """A body, and then longer ones of the same conversation: each costs what is new in it.

    Attributes:
        whole: the body that was taken last. digest: of that, as ``events.digest`` gives it.
    """

    whole, digest = b"", ""

    def __init__(self) -> None:
        self._head: bytes | None = None
        self._turns: list[bytes] = []
        self._size = 0  # of the whole without its tail
        self._begun: Any = None  # the digest of so much

    def take(self, parts: Parts) -> None:
        """Be the body of *parts*."""
        head, _, turns, tail = parts
        count = len(self._turns)
        if head != self._head or turns[:count] != self._turns:
            count, self._head, self._begun = 0, head, hashing(head)
            self.whole, self._size = head, len(head)
        new = b",".join([b""] * bool(count) + turns[count:])
        self.whole = b"".join((memoryview(self.whole)[: self._size], new, tail))
        self._turns = turns
        self._size += len(new)
        self._begun.take(new)
        self.digest = self._begun.told(tail)


class History(Generic[T]):
    """The messages of the last body, repaired and encoded.

    It holds exactly these, and by identity: messages are frozen, and an edit makes new ones. So a
    long conversation is never encoded twice, one that was cut is forgotten, and there is nothing
    to tune.

    Attributes:
        sent: the messages as they are sent, turn by turn.
        marks: the cache breakpoints, by turn in *sent* and message in that.
    """

    def __init__(self) -> None:
        self.sent: Sequence[Sequence[Message]] = ()
        self.marks: dict[tuple[int, int], Mark] = {}
        self._repair = Repair()
        self._style: object = None
        self._markable: list[tuple[tuple[int, int], Mark]] = []
        self._kept: list[tuple[Sequence[Message], Sequence[Mark], bytes]] = []

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
            self._style, same, self._kept = style, 0, []
            self._markable, self.marks = [], {}
        self.sent = self._repair.turns
        self._encode(same if mark is None else self._mark(same, mark), encode, join)
        return list(filter(None, map(_JSON, self._kept)))

    def _mark(self, same: int, mark: Callable[[Message], Mark]) -> int:
        """Set the breakpoints; return how many turns at the start have the ones that they had."""
        del self._markable[bisect_left(self._markable, (same, 0), key=itemgetter(0)) :]
        for turn in range(same, len(self.sent)):
            found = [((turn, at), mark(message)) for at, message in enumerate(self.sent[turn])]
            self._markable.extend(each for each in found if each[1])
        before, self.marks = self.marks, chosen(self._markable)
        moved = (at for at in before.keys() | self.marks if before.get(at) != self.marks.get(at))
        return min([same, *(turn for turn, _ in moved)])

    def _encode(
        self,
        first: int,
        encode: Callable[[Message, Mark], T],
        join: Callable[[Sequence[T]], Sequence[bytes]],
    ) -> None:
        """Encode from turn *first* on; what was encoded before, as far as it is still there."""
        kept = self._kept
        # An entry keeps its messages alive, so an id cannot mean another one.
        known = {tuple(map(id, turn[0])): turn for turn in kept[first:]}
        del kept[first:]
        for messages in self.sent[len(kept) :]:
            marks = self._marks_in(len(kept)) if self.marks else ()
            turn = known.get(tuple(map(id, messages))) if known else None
            if turn is None or turn[1] != marks:
                encoded = list(map(encode, messages, marks or _UNMARKED))
                turn = (messages, marks, b",".join(join(encoded)))
            kept.append(turn)

    def _marks_in(self, turn: int) -> Sequence[Mark]:
        return tuple([self.marks.get((turn, at), ()) for at in range(len(self.sent[turn]))])


_JSON = itemgetter(2)
_UNMARKED: Iterable[Mark] = repeat(())
