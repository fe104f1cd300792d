"""What brings the records of a log to a sink, without ever slowing the log.

A sink writes in a thread of its own, at most 1,024 records ahead of it. Beyond that the feed
waits and then reads the log, so a slow sink loses nothing; a ``lossy`` one is told what it missed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import aclosing
from queue import SimpleQueue
from types import TracebackType
from typing import Any

from tinyagent.runtime.bells import call_in
from tinyagent.runtime.errors import CorruptLogError, LogError
from tinyagent.runtime.sinks import Dropped, MirrorSink, Sink, Subscribed
from tinyagent.runtime.sinks.vitals import Depths, MeasuringSink, Vitals
from tinyagent.runtime.stores import Log, Stored, as_record
from tinyagent.runtime.stores.live import release

QUEUE_RECORDS_MAX = 1024
GRACE_S = 1.0
"""How long a run waits at its end for sinks that are behind; they go on when the next begins."""

Failed = Callable[[str, int, Exception], None]
Behind = Callable[[str, int], None]


def _nothing(*_: object) -> None:
    """Tell nobody."""


class Subscription:
    """Feeds *sink* from behind its checkpoint, while it is started.

    Args:
        kinds: those to write instead of ``sink.kinds``; None leaves the choice to the sink.
        lossy: the sink gets ``Dropped(first, last)`` for what came while its queue was full.
        failed: told once if the sink raised, at which record; it gets no more until started again.
        behind: told how many records the sink is behind, once it is more than its queue.

    Attributes:
        failure: what the sink raised; None while it works.
    """

    def __init__(
        self,
        log: Log,
        sink: Sink,
        *,
        kinds: frozenset[str] | None = None,
        lossy: bool = False,
        name: str = "",
        failed: Failed = _nothing,
        behind: Behind = _nothing,
    ) -> None:
        self.sink = sink
        self.name = name or type(sink).__name__
        self.failure: Exception | None = None
        self._log = log
        self._kinds = sink.kinds if kinds is None else kinds
        self._lossy = lossy
        self._tell_failed, self._tell_behind = failed, behind
        self._task: asyncio.Task[None] | None = None
        self._writing: _Writing | None = None
        self._fed = self._started_at = 0
        self._until: int | None = None
        self._is_late = False

    async def __aenter__(self) -> Subscription:
        """Start."""
        self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write everything that the log has taken."""
        await self.stop()

    @property
    def lag(self) -> int:
        """Records that the log has taken and the sink has not; all of them before it is started."""
        writing = self._writing
        if writing is None:
            return self._log.seq
        return self._log.seq - (self.fed_seq if writing.is_idle else writing.done_seq)

    @property
    def fed_seq(self) -> int:
        """The last record that is written, in the queue, or known to be dropped."""
        return max(self._fed, 0)

    def start(self) -> None:
        """Begin to feed the sink, in the running loop."""
        self.failure, self._until, self._is_late = None, None, False
        self._fed, self._started_at = -1, self._log.seq
        self._task = asyncio.create_task(self._feed(), name=f"feeds {self.name}")

    async def stop(self, *, grace_s: float | None = None) -> None:
        """Write everything that the log has taken by now, then end.

        After *grace_s* seconds what is left stays for the next start. Cancelling is as if that
        time were over.
        """
        task, self._task = self._task, None
        if task is None:
            return
        self._until = self._log.seq
        if self._fed >= self._until:
            task.cancel()  # it waits for a record that nobody asks for any more
        loop = asyncio.get_running_loop()
        deadline_s = None if grace_s is None else loop.time() + grace_s
        try:
            await asyncio.wait({task}, timeout=grace_s)
        finally:
            task.cancel()
            await asyncio.wait({task})
            if self._writing is not None and self._writing.loop is loop:
                is_whole = self._fed >= self._until
                left_s = None if deadline_s is None else max(deadline_s - loop.time(), 0)
                await self._writing.end(left_s, whole=is_whole)
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    async def _feed(self) -> None:
        previous = self._writing
        if previous is not None and previous.thread.is_alive():
            await asyncio.to_thread(previous.thread.join)
        loop = asyncio.get_running_loop()
        try:
            first = await asyncio.to_thread(_checkpoint, self.sink, self._log) + 1
        except Exception as error:
            self.fail(self._log.seq, error)
            return
        writing = self._writing = _Writing(self, loop, first - 1)
        self._fed = first - 1
        if self._until is not None and self._fed >= self._until:
            return
        try:
            async with aclosing(self._log.tail(first)) as records:  # type: ignore[type-var] # a generator
                async for stored in records:
                    await self._take(stored, writing)
                    self._fed = stored.seq
                    if self.failure or (self._until is not None and self._fed >= self._until):
                        break
        except CorruptLogError as error:
            self.fail(self._log.seq, error)
        except LogError:
            return  # the log has failed, which is told to whoever appends

    async def _take(self, stored: Stored, writing: _Writing) -> None:
        if self._kinds is not None and stored.kind not in self._kinds:
            return
        await self._log.written(stored.seq)  # or a sink would hold what a killed process did not
        if self._lossy:
            writing.offer(stored)
            return
        if writing.is_full:
            if not self._is_late and stored.seq > self._started_at:
                self._is_late = True
                self._tell_behind(self.name, self.lag)
            await writing.room()
        writing.put(stored)

    def fail(self, seq: int, error: Exception) -> None:
        """Give up: the sink raised *error* at record *seq*."""
        self.failure = error
        self._tell_failed(self.name, seq, error)


def _checkpoint(sink: Sink, log: Log) -> int:
    if isinstance(sink, MirrorSink):
        sink.begin(log.meta)
    return sink.checkpoint()


class Mirrors:
    """All sinks of one session: at work while a run is."""

    def __init__(
        self,
        log: Log,
        sinks: Sequence[Sink | Subscribed],
        failed: Failed,
        behind: Behind = _nothing,
        depths: Depths = dict,
    ) -> None:
        given = [sink if isinstance(sink, Subscribed) else Subscribed(sink) for sink in sinks]
        self.all = [
            Subscription(
                log,
                each.sink,
                kinds=each.kinds,
                lossy=each.lossy,
                name=f"{type(each.sink).__name__} {number}",
                failed=failed,
                behind=behind,
            )
            for number, each in enumerate(given, 1)
        ]
        mirrors = self.all  # not by way of this: what leads back to itself, no count frees
        self._vitals = Vitals(log, depths, lambda: {each.name: each.lag for each in mirrors})

    def start(self) -> None:
        """Feed all of them, from behind their checkpoints on."""
        for subscription in self.all:
            subscription.start()
        self._show(self._vitals)

    async def rest(self, *, grace_s: float | None = GRACE_S) -> None:
        """Let all write what the log has taken, but wait for *grace_s* seconds at most."""
        if self.all:
            await asyncio.gather(*(each.stop(grace_s=grace_s) for each in self.all))
        self._show(None)

    def _show(self, vitals: Vitals | None) -> None:
        for each in self.all:
            if isinstance(each.sink, MeasuringSink):
                each.sink.watch(vitals)

    async def close(self) -> None:
        """Let all write everything that the log has taken, from behind their checkpoints on."""
        self.start()
        await self.rest(grace_s=None)
        for each in self.all:
            try:
                await each.sink.close()
            except Exception as error:
                each.fail(each.fed_seq, error)


class _Writing:
    """The thread in which one sink writes, and the queue before it."""

    def __init__(self, of: Subscription, loop: asyncio.AbstractEventLoop, done_seq: int) -> None:
        self.done_seq = done_seq
        self._of = of
        self.loop = loop
        self._queue: SimpleQueue[Stored | Dropped | None] = SimpleQueue()
        self._put = self._done = 0
        self._missed: Dropped | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._end: asyncio.Future[None] = loop.create_future()
        self._is_dropped = False
        self.thread = threading.Thread(target=self._work, name=f"writes {of.name}", daemon=True)
        self.thread.start()

    @property
    def is_idle(self) -> bool:
        """Whether all that was put is written."""
        return self._put == self._done

    @property
    def is_full(self) -> bool:
        """Whether the queue holds as much as it may."""
        return self._put - self._done >= QUEUE_RECORDS_MAX

    def put(self, item: Stored | Dropped) -> None:
        """Let the thread write *item*, after what is there."""
        self._put += 1
        self._queue.put(item)

    def offer(self, stored: Stored) -> None:
        """Put *stored*, or note that it was dropped."""
        missed = self._missed
        if self.is_full:
            self._missed = Dropped(missed.first if missed else stored.seq, stored.seq)
            return
        if missed is not None:
            self.put(missed)
            self._missed = None
        self.put(stored)

    async def room(self) -> None:
        """Wait until half of the queue is free."""
        waiter = self._waiter = self.loop.create_future()
        if self._put - self._done <= QUEUE_RECORDS_MAX // 2 or self._end.done():
            return
        await waiter

    async def end(self, grace_s: float | None, *, whole: bool) -> None:
        """Let the thread end after its queue, or after *grace_s* leave the queue unwritten."""
        if whole and self._missed is not None:
            self.put(self._missed)
            self._missed = None
        self._queue.put(None)
        try:
            await asyncio.wait({self._end}, timeout=grace_s)
        finally:
            self._is_dropped = True

    # The thread

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._is_dropped:
                break
            try:
                self._write(item)
            except Exception as error:
                seq = item.seq if isinstance(item, Stored) else item.first
                self._call(self._of.fail, seq, error)
                break
            self._done += 1
            if self._waiter is not None and self._put - self._done <= QUEUE_RECORDS_MAX // 2:
                waiter, self._waiter = self._waiter, None
                self._call(release, waiter)
        self._call(self._ended)

    def _ended(self) -> None:
        """In the loop: nobody waits for the thread any more."""
        release(self._end)
        if self._waiter is not None:
            release(self._waiter)

    def _write(self, item: Stored | Dropped) -> None:
        given: Any = as_record(item) if isinstance(item, Stored) else item
        self._of.sink.write(given)
        self.done_seq = item.seq if isinstance(item, Stored) else item.last

    def _call(self, function: Callable[..., None], *args: object) -> None:
        call_in(self.loop, function, *args)
