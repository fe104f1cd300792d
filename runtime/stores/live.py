"""Readers that follow a log while it grows, and whoever waits for it to be safe.

A follower holds at most 1,024 records that it has not taken; beyond that it falls back to
reading the log. So a slow one loses nothing, and never slows the writer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from tinyagent.runtime.bells import call_in
from tinyagent.runtime.stores import Stored

FOLLOWER_RECORDS_MAX = 1024
BATCH_RECORDS = 512

ReadBatch = Callable[[int, int], list[Stored]]


class Follower:
    """One reader of new records, in its own event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._fresh: deque[Stored] = deque(maxlen=FOLLOWER_RECORDS_MAX)
        self._waiter: asyncio.Future[None] | None = None
        self.is_ended = False

    def post(self, record: Stored) -> None:
        """Take *record*, forgetting the oldest one if there are too many. Any thread."""
        self._fresh.append(record)
        self._wake()

    def end(self) -> None:
        """Say that no more will come. Any thread."""
        self.is_ended = True
        self._wake()

    def take(self, seq: int) -> Stored | None:
        """Return record *seq* if it is at hand, dropping those before it."""
        fresh = self._fresh
        while fresh and fresh[0].seq < seq:
            fresh.popleft()
        return fresh.popleft() if fresh and fresh[0].seq == seq else None

    async def wait(self, seq: int, head: Callable[[], int]) -> None:
        """Wait until record *seq* is there, or the end."""
        waiter = self._waiter = self._loop.create_future()
        # Looked at again after the waiter is in place: another thread may have posted before.
        if head() < seq and not self.is_ended:
            try:
                await waiter
            finally:
                self._waiter = None

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            call_in(self._loop, release, waiter)


class Followers:
    """All followers of one log: ``all``, empty at first."""

    def __init__(self) -> None:
        self.all: tuple[Follower, ...] = ()
        self._is_ended = False

    def post(self, record: Stored) -> None:
        """Give *record* to all."""
        for follower in self.all:
            follower.post(record)

    def end(self) -> None:
        """Let all run out after what there is."""
        self._is_ended = True
        for follower in self.all:
            follower.end()

    async def follow(
        self, first: int, head: Callable[[], int], read: ReadBatch, *, in_thread: bool
    ) -> AsyncIterator[Stored]:
        """Yield the records from *first* on: from *read* while behind, then as they are posted.

        *read(first, count)* returns records from the store, *head()* the last one accepted.
        Ends when the log is closed and all was yielded.
        """
        follower = Follower(asyncio.get_running_loop())
        self.all = (*self.all, follower)
        if self._is_ended:
            follower.end()
        seq = first
        try:
            while True:
                record = follower.take(seq)
                if record is not None:
                    yield record
                    seq += 1
                elif seq <= head():
                    batch = (
                        await asyncio.to_thread(read, seq, BATCH_RECORDS)
                        if in_thread
                        else read(seq, BATCH_RECORDS)
                    )
                    if not batch:
                        return
                    for record in batch:
                        yield record
                    seq = batch[-1].seq + 1
                elif follower.is_ended:
                    return
                else:
                    await follower.wait(seq, head)
        finally:
            self.all = tuple(other for other in self.all if other is not follower)


def release(waiter: asyncio.Future[None]) -> None:
    """Let *waiter* go on, unless it was cancelled meanwhile."""
    if not waiter.done():
        waiter.set_result(None)
