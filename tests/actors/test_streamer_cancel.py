"""A model call that is cancelled, or fails on its way, ends once and in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.actors.stage import (
    END,
    GONE,
    HELLO,
    ID,
    SILENT,
    Attempt,
    Script,
    Stage,
    failure_of,
    told,
)

from tinyagent.actors.streamer import Heard
from tinyagent.actors.transports import Failure
from tinyagent.events import View, kinds as k
from tinyagent.runtime.stores.memory import MemoryLog


async def test_a_cancel_in_mid_stream_ends_the_call_and_closes_the_attempt() -> None:
    source = Script([*HELLO, SILENT])
    stage = Stage(source)
    stage.ask()
    await stage.heard("model.delta")
    stage.journal.append(k.CancelRequested())
    failed = await stage.heard("model.failed")
    assert failure_of(failed).kind == "cancelled"
    assert await stage.end() == []
    assert source.made[0].is_closed


async def test_a_cancel_ends_the_wait_before_the_next_attempt() -> None:
    source = Script([GONE], HELLO)
    stage = Stage(source)
    stage.ask()
    await stage.heard("model.retrying")
    stage.journal.append(k.CancelRequested())
    await stage.settle()
    (end,) = await stage.end()
    assert failure_of(end).kind == "cancelled"
    assert len(source.made) == 1


async def test_after_a_cancel_nothing_is_sent() -> None:
    source = Script(HELLO)
    stage = Stage(source)
    stage.ask()
    stage.journal.append(k.CancelRequested())
    (end,) = await stage.end()
    assert failure_of(end).kind == "cancelled"
    assert source.made == []


async def test_an_attempt_that_ends_by_itself_in_its_time_is_heard_to_the_end() -> None:
    gate = asyncio.Event()

    class Slow(Attempt):
        async def __aiter__(self) -> AsyncIterator[Heard]:
            yield Heard([(0, "text", "Hello", 1)])
            await gate.wait()
            raise Failure("cancelled", "I stopped by myself")

    class Polite(Script):
        grace_s = 0.05

        def attempt(self, asked: View, key: str | None) -> Attempt:
            return Slow((), END)

    stage = Stage(Polite())
    stage.ask()
    await stage.heard("model.delta")
    stage.journal.append(k.CancelRequested())
    await asyncio.sleep(0)
    gate.set()
    (end,) = await stage.end()
    assert failure_of(end) == k.Failure("cancelled", "I stopped by myself")


async def test_a_cancel_after_the_end_of_an_answer_does_not_end_it_twice() -> None:
    source = Script(HELLO)
    stage = Stage(source)
    closing = asyncio.Event()
    make = source.attempt

    def attempt(asked: View, key: str | None) -> Attempt:
        made = make(asked, key)
        made.closing = closing
        return made

    source.attempt = attempt  # type: ignore[method-assign] # this source closes slowly
    stage.ask()
    await stage.heard("model.finished")
    stage.journal.append(k.CancelRequested())
    await stage.settle()
    closing.set()
    assert await stage.end() == []


async def test_the_hosts_key_is_asked_for_and_appears_in_no_event() -> None:
    async def key_of(provider: str) -> str | None:
        return f"secret of {provider}"

    source = Script(HELLO)
    started = k.ConfigChanged({"model": {"provider": "demo"}})
    asked, answered, *rest = await told(source, started, key_of=key_of)
    assert asked == k.HostAsked("get_api_key")
    assert answered == k.HostAnswered("get_api_key", found=True)
    assert source.keys == ["secret of demo"]
    assert "secret" not in repr(rest)


async def test_a_key_resolver_that_raises_fails_the_call() -> None:
    async def key_of(provider: str) -> str | None:
        raise LookupError("no vault")

    source = Script(HELLO)
    _, failed, end = await told(source, key_of=key_of)
    assert failed == k.HostFailed("get_api_key", k.Failure("host", "no vault"))
    assert failure_of(end) == k.Failure("host", "no vault")
    assert source.made == []


async def test_a_cancel_while_the_host_looks_for_its_key_ends_the_call() -> None:
    async def key_of(provider: str) -> str | None:
        await asyncio.Event().wait()
        return None

    source = Script(HELLO)
    stage = Stage(source, key_of=key_of)
    stage.ask()
    await stage.heard("host.asked")
    stage.journal.append(k.CancelRequested())
    failed, end = await stage.end()
    assert failed == k.HostFailed("get_api_key", failure_of(end))
    assert failure_of(end).kind == "cancelled"
    assert source.made == []


async def test_a_source_that_cancels_itself_has_failed_and_does_not_hang() -> None:
    class Torn(Attempt):
        async def __aiter__(self) -> AsyncIterator[Heard]:
            raise asyncio.CancelledError
            yield Heard([])

    class Source(Script):
        def attempt(self, asked: View, key: str | None) -> Attempt:
            return Torn((), END)

    (end,) = await told(Source())
    assert failure_of(end) == k.Failure("host", "the model call cancelled itself")


async def test_when_the_session_is_torn_down_the_call_ends_with_it() -> None:
    source = Script([*HELLO, SILENT])
    stage = Stage(source)
    stage.ask()
    await stage.heard("model.delta")
    stage.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stage.task
    assert len(stage.said) == 0
    assert source.made[0].is_closed


async def test_a_cancel_while_the_question_for_a_key_is_written_ends_the_call() -> None:
    class Slow(MemoryLog):
        durability = "interval"
        gate = asyncio.Event()

        @property
        def written_seq(self) -> int:
            return 2

        async def written(self, seq: int) -> None:
            if seq > 2:
                await self.gate.wait()

    async def key_of(provider: str) -> str | None:
        return "k"

    source = Script(HELLO)
    stage = Stage(source, key_of=key_of, log=Slow(log_id=ID))
    stage.ask()
    await stage.heard("host.asked")
    stage.journal.append(k.CancelRequested())
    await stage.settle()
    Slow.gate.set()
    failed, end = await stage.end()
    assert isinstance(failed, k.HostFailed)
    assert failure_of(end).kind == "cancelled"
    assert source.made == []
