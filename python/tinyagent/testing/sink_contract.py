"""What every sink must keep to: subclass, give it ``make_sink``, and ``held`` if it can be asked.

No network of its own; a few seconds per sink.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import pytest

from tinyagent.events import Record, encode, kinds as k, record_of
from tinyagent.runtime.sinks import MirrorSink, Sink
from tinyagent.runtime.sinks.subscription import Subscription
from tinyagent.runtime.stores import LogMeta
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing._crashing import BEGAN_US, append, runs

META = LogMeta(log="4f6c0b6c2d7e4b5f9a0d3c1e8b72a655", name="trip")


class MakeSink(Protocol):
    """Opens the one sink of a test; a later call opens it again, with what it has written."""

    def __call__(self) -> Sink:
        """Return the sink. The one before was closed, or has died."""
        ...


class SinkContract:
    """A subclass has a fixture ``make_sink``, which returns a ``MakeSink``.

    Attributes:
        survives: False for a sink whose checkpoint ends with its object.
        exactly_once: False for a sink that does not save its checkpoint with its output; after
            a crash it may write records again.
    """

    survives = True
    exactly_once = True

    def held(self) -> list[int] | None:
        """Return the numbers of the records in the sink's output, in order.

        Called after the sink was closed. None if its output cannot be read back.
        """
        return None

    def test_a_new_sink_holds_nothing(self, make_sink: MakeSink) -> None:
        sink = begun(make_sink)
        assert sink.checkpoint() == 0
        assert sink.kinds is None or all(isinstance(kind, str) for kind in sink.kinds)
        asyncio.run(sink.close())

    def test_the_checkpoint_is_the_last_record_written(self, make_sink: MakeSink) -> None:
        sink = begun(make_sink)
        for record in records(5):
            sink.write(record)
            assert sink.checkpoint() == record.seq
        asyncio.run(sink.close())
        assert self.held() in ([1, 2, 3, 4, 5], None)

    def test_it_goes_on_where_it_was_closed(self, make_sink: MakeSink) -> None:
        if not self.survives:
            pytest.skip("the checkpoint of this sink ends with its object")
        for turn in range(3):
            sink = begun(make_sink)
            assert sink.checkpoint() == 10 * turn
            for record in records(10, first=10 * turn + 1):
                sink.write(record)
            asyncio.run(sink.close())
        assert self.held() in (list(range(1, 31)), None)

    def test_a_record_that_comes_again_does_no_harm(self, make_sink: MakeSink) -> None:
        sink = begun(make_sink)
        for record in (*records(5), *records(5), *records(3, first=6)):
            sink.write(record)
        assert sink.checkpoint() == 8
        asyncio.run(sink.close())
        held = self.held()
        if held is not None and self.exactly_once:
            assert held == list(range(1, 9))

    def test_a_kind_that_nobody_knows_is_taken(self, make_sink: MakeSink) -> None:
        sink = begun(make_sink)
        unknown = record_of(
            seq=1, ts_us=BEGAN_US, actor="critic", kind="un.heard", v=9, cause=0, payload=b'{"a":1}'
        )
        sink.write(unknown)
        assert sink.checkpoint() == 1
        asyncio.run(sink.close())

    @pytest.mark.parametrize("size", [65_000, 70_000, 1 << 20])
    def test_a_large_value_is_taken(self, make_sink: MakeSink, size: int) -> None:
        sink = begun(make_sink)
        for record in records(3, text="Ó\n" * (size // 2)):
            sink.write(record)
        assert sink.checkpoint() == 3
        asyncio.run(sink.close())
        assert self.held() in ([1, 2, 3], None)

    def test_closing_twice_and_closing_unused_are_no_errors(self, make_sink: MakeSink) -> None:
        async def twice() -> None:
            sink = begun(make_sink)
            await sink.close()
            await sink.close()
            await make_sink().close()

        asyncio.run(twice())

    @runs
    async def test_it_gets_all_of_a_log_that_grows(self, make_sink: MakeSink) -> None:
        log, sink = MemoryLog(meta=META), make_sink()
        for _ in range(3):
            append(log, 500)
            async with Subscription(log, sink) as feeding:
                append(log, 500)
            assert feeding.failure is None
        await sink.close()
        assert self.held() in (list(range(1, 3_001)), None)

    @runs
    async def test_after_its_death_it_gets_what_it_does_not_hold(self, make_sink: MakeSink) -> None:
        log = MemoryLog(meta=META)
        for _ in range(3):
            sink = make_sink()
            async with Subscription(log, sink) as feeding:
                append(log, 50)
            assert feeding.failure is None
            if not self.survives:
                continue
            await sink.close()
            sink = make_sink()
            begin(sink)
            assert 0 <= sink.checkpoint() <= log.seq
            await sink.close()
        held = self.held()
        if held is not None:
            assert sorted(set(held)) == list(range(1, 151))
            assert held == sorted(held) or not self.exactly_once


def records(count: int, *, first: int = 1, text: str = "said") -> list[Record]:
    """Return *count* records of a log."""
    return [
        record_of(
            seq=seq,
            ts_us=BEGAN_US + seq,
            actor=None,
            kind="user.said",
            v=1,
            cause=seq - 1,
            payload=encode(k.UserSaid(f"{text} {seq}")),
        )
        for seq in range(first, first + count)
    ]


def begun(make_sink: MakeSink) -> Sink:
    """Return a sink that knows which log it mirrors."""
    sink = make_sink()
    begin(sink)
    return sink


def begin(sink: Sink) -> None:
    """Tell *sink* which log it mirrors, if it wants to know."""
    if isinstance(sink, MirrorSink):
        sink.begin(META)
