"""The half of the contract of stores that reads: ranges, tails, subscriptions, cancelled waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

import pytest

from tinyagent.events import Record
from tinyagent.runtime.sinks import Dropped
from tinyagent.runtime.sinks.subscription import QUEUE_RECORDS_MAX, Subscription
from tinyagent.runtime.stores import Log
from tinyagent.testing._crashing import CrashHook, MakeLog, append, payloads, runs

SOON_S = 20.0


class Notebook:
    """A sink that keeps what it is given; *holds* stops it until ``let_go``."""

    def __init__(self, *, fails_at: int = 0, holds: bool = False) -> None:
        self.kinds: frozenset[str] | None = None
        self.held: list[int] = []
        self.dropped: list[tuple[int, int]] = []
        self.fails_at = fails_at
        self.let_go = threading.Event()
        if not holds:
            self.let_go.set()

    def checkpoint(self) -> int:
        """Return the last record kept: it is kept together with it."""
        return self.held[-1] if self.held else 0

    def write(self, record: Record | Dropped) -> None:
        """Keep its number."""
        assert self.let_go.wait(SOON_S)
        if isinstance(record, Dropped):
            self.dropped.append((record.first, record.last))
            return
        if record.seq == self.fails_at:
            raise OSError("out of paper")
        self.held.append(record.seq)

    async def close(self) -> None:
        """Nothing waits."""


class LogReadingContract:
    """See ``LogContract``."""

    # Reading

    @pytest.mark.parametrize(
        ("first", "last", "found"),
        [(1, None, (1, 20)), (1, 5, (1, 5)), (7, 7, (7, 7)), (15, 99, (15, 20)), (21, None, None)],
    )
    @runs
    async def test_a_range_can_be_read(
        self, make_log: MakeLog, first: int, last: int | None, found: tuple[int, int] | None
    ) -> None:
        log = make_log(CrashHook())
        append(log, 20)
        expected = [] if found is None else list(range(found[0], found[1] + 1))
        assert [record.seq for record in log.read(first, last)] == expected
        await log.close()

    @pytest.mark.parametrize("first", [1, 250, 501, 700])
    @runs
    async def test_a_tail_has_no_gap_and_no_double(self, make_log: MakeLog, first: int) -> None:
        log = make_log(CrashHook())
        append(log, 500)
        reading = asyncio.create_task(_all(log, first))
        for _ in range(20):
            await asyncio.sleep(0)
            append(log, 100)
            await log.written(log.seq - 50)
        await log.close()
        assert await reading == list(range(first, 2_501))

    @runs
    async def test_a_tail_that_does_not_keep_up_misses_nothing(self, make_log: MakeLog) -> None:
        log = make_log(CrashHook())
        append(log, 1)
        async with aclosing(log.tail(1)) as tail:  # type: ignore[type-var] # a generator
            assert (await anext(tail)).seq == 1
            append(log, 5_000)
            await log.close()
            rest = [record.payload async for record in tail]
        assert rest == payloads(5_000, first=2)

    @runs
    async def test_one_tail_that_leaves_does_not_disturb_another(self, make_log: MakeLog) -> None:
        log = make_log(CrashHook())
        append(log, 10)
        staying = asyncio.create_task(_all(log, 1))
        leaving = asyncio.create_task(_all(log, 1))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait({leaving})
        append(log, 10)
        await log.close()
        assert await staying == list(range(1, 21))

    # Subscription

    @runs
    async def test_a_subscription_begins_behind_the_checkpoint(self, make_log: MakeLog) -> None:
        log, sink = make_log(CrashHook()), Notebook()
        append(log, 10)
        sink.held = [4]
        async with Subscription(log, sink):
            append(log, 10)
        assert sink.held == list(range(4, 21))
        append(log, 5)
        async with Subscription(log, sink):
            pass
        assert sink.held == list(range(4, 26))
        await log.close()

    @runs
    async def test_with_its_checkpoint_beside_its_output_a_sink_gets_each_record_once(
        self, make_log: MakeLog
    ) -> None:
        log, sink = make_log(CrashHook()), Notebook()
        told: list[tuple[str, int, str]] = []

        def failed(name: str, seq: int, error: Exception) -> None:
            told.append((name, seq, str(error)))

        for fails_at in (30, 77, 0):
            sink.fails_at = fails_at
            feeding = Subscription(log, sink, name="notes", failed=failed)
            async with feeding:
                append(log, 50)
                await log.written(log.seq)
            assert (feeding.failure is None) == (fails_at == 0)
        assert sink.held == list(range(1, 151))
        assert told == [("notes", 30, "out of paper"), ("notes", 77, "out of paper")]
        await log.close()

    @runs
    async def test_a_slow_mirror_slows_nobody_and_catches_up(self, make_log: MakeLog) -> None:
        log, sink = make_log(CrashHook()), Notebook(holds=True)
        behind: list[int] = []
        feeding = Subscription(log, sink, behind=lambda _, lag: behind.append(lag))
        feeding.start()
        for _ in range(50):
            append(log, 100)
            await log.durable(log.seq)  # the log goes on while the sink writes nothing at all
        await _soon(lambda: bool(behind))
        assert sink.held == []
        assert (feeding.lag, len(behind)) == (5_000, 1)
        assert behind[0] >= QUEUE_RECORDS_MAX
        assert feeding.fed_seq <= QUEUE_RECORDS_MAX + 1, "more is kept for the sink than its queue"
        sink.let_go.set()
        await feeding.stop()
        assert sink.held == list(range(1, 5_001))
        assert feeding.lag == 0
        await log.close()

    @runs
    async def test_what_a_run_does_not_wait_for_comes_with_the_next(
        self, make_log: MakeLog
    ) -> None:
        log, sink = make_log(CrashHook()), Notebook(holds=True)
        feeding = Subscription(log, sink)
        feeding.start()
        append(log, 10)
        await feeding.stop(grace_s=0.01)
        append(log, 10)
        feeding.start()
        await asyncio.sleep(0.05)  # nothing of it may begin while the sink still writes
        sink.let_go.set()
        await feeding.stop()
        assert sink.held == list(range(1, 21))
        await log.close()

    @runs
    async def test_a_lossy_sink_is_told_of_every_loss(self, make_log: MakeLog) -> None:
        log, sink = make_log(CrashHook()), Notebook(holds=True)
        feeding = Subscription(log, sink, lossy=True)
        feeding.start()
        for _ in range(50):
            append(log, 100)
            await log.durable(log.seq)
        await _soon(lambda: feeding.fed_seq == 5_000)
        sink.let_go.set()
        await feeding.stop()
        assert sink.dropped, "it was 5,000 records behind and has missed nothing?"
        missed = [seq for first, last in sink.dropped for seq in range(first, last + 1)]
        assert sorted(sink.held + missed) == list(range(1, 5_001))
        assert len(sink.held) <= QUEUE_RECORDS_MAX + 1
        await log.close()

    @runs
    async def test_a_sink_gets_the_kinds_that_it_asked_for(self, make_log: MakeLog) -> None:
        log, sink = make_log(CrashHook()), Notebook()
        async with Subscription(log, sink, kinds=frozenset({"user.continued"})):
            append(log, 2)
            log.append(3, 1, None, "user.continued", 1, 0, b"{}")
            append(log, 2)
        assert sink.held == [3]
        await log.close()

    # Cancel

    @pytest.mark.parametrize("what", ["durable", "written", "never", "room", "tail", "close"])
    @runs
    async def test_cancelling_any_wait_leaves_the_log_usable(
        self, make_log: MakeLog, what: str
    ) -> None:
        log = make_log(CrashHook())
        append(log, 3)
        waits: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
            "durable": lambda: log.durable(3),
            "written": lambda: log.written(3),
            "never": lambda: log.durable(99),
            "room": log.room,
            "tail": lambda: _all(log, 1),
            "close": log.close,
        }
        for _ in range(20):
            task = asyncio.create_task(waits[what]())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
        if what != "close":
            append(log, 3)
            await log.durable(6)
        await log.close()
        assert [record.payload for record in log.read()] == payloads(log.seq)


async def _all(log: Log, first: int) -> list[int]:
    async with aclosing(log.tail(first)) as tail:  # type: ignore[type-var] # a generator
        return [record.seq async for record in tail]


async def _soon(is_so: Callable[[], bool]) -> None:
    """Let everything else run until *is_so*, which is a matter of milliseconds."""
    for _ in range(int(SOON_S * 1000)):
        if is_so():
            return
        await asyncio.sleep(0.001)
    raise TimeoutError(f"not so after {SOON_S} s")
