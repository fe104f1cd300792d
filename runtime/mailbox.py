"""Where one actor's records wait. Posting never waits; reading does.

Bounded: a reader that falls *capacity* records behind is stuck, not slow, and its session ends
with its name in the error. Sources slow down long before (``Journal.room``). Records of the
control kinds overtake everything else that waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from tinyagent.events import Fact, Record
from tinyagent.runtime.errors import MailboxFullError

CAPACITY = 100_000


class Mailbox:
    """The records that one reader has not taken yet. It is read in one event loop.

    Attributes:
        attendant: is called after each post; it spares the reader a wake-up for each record. It
            must not wait, nor append.
    """

    __slots__ = (
        "_capacity",
        "_closed",
        "_control",
        "_items",
        "_loop",
        "_room",
        "_waiter",
        "attendant",
        "kinds",
        "name",
    )

    def __init__(
        self,
        name: str,
        kinds: frozenset[str] | None,
        *,
        control: frozenset[str] = frozenset(),
        capacity: int = CAPACITY,
    ) -> None:
        self.name = name
        self.kinds = kinds
        self._control = control
        self._capacity = capacity
        self._items: deque[Record] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self.attendant: Callable[[], None] | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    def post(self, record: Record) -> None:
        """Put *record* at the end, or at the front if it is control.

        Raises:
            MailboxFullError: the reader is stuck.
        """
        items = self._items
        if len(items) >= self._capacity:
            raise MailboxFullError(self.name, self._capacity)
        if self._control and isinstance(record.event, Fact) and record.event.kind in self._control:
            items.appendleft(record)
        else:
            items.append(record)
        if self.attendant is not None:
            self.attendant()
        elif self._waiter is not None:
            self._wake()

    def take(self) -> Record | None:
        """Return the next record if there is one now."""
        if not self._items:
            return None
        if self._room is not None:
            self._make_room()
        return self._items.popleft()

    def put_back(self, record: Record) -> None:
        """Let *record*, which was taken last, be the next one again: nobody has read it."""
        self._items.appendleft(record)

    def news(self) -> asyncio.Future[None] | None:
        """Return what is done once there may be more to take; None if it is closed and empty.

        For the one reader, who found nothing to take: of two who wait the first would not be woken.
        """
        if self._closed and not self._items:
            return None
        # To ask which loop runs takes a system call before CPython 3.12.
        loop = self._loop = self._loop or asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        return waiter

    async def get(self) -> Record | None:
        """Return the next record, waiting for it; None when closed and empty."""
        while (record := self.take()) is None:
            if (news := self.news()) is None:
                return None
            await news
        return record

    async def room(self, behind_max: int) -> None:
        """Wait until the reader is at most *behind_max* records behind. For sources only."""
        while len(self._items) > behind_max and not self._closed:
            if self._room is None:
                self._room = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._room)

    def close(self) -> None:
        """Let the reader end after what waits. Later records are still taken, for nobody."""
        self._closed = True
        self._wake()
        self._make_room()

    def _make_room(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.set_result(None)

    def _wake(self) -> None:
        # Woken once: what is posted until the reader runs finds nobody waiting.
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
