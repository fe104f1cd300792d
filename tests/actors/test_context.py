"""What user code may ask for: the same in every attempt, another in a fork."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from tinyagent import current_ctx
from tinyagent.actors.context import Ctx, given, idempotency_key
from tinyagent.testing import VirtualClock

ID = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"
OTHER = "0123456789abcdef0123456789abcdef"


def ctx(*, log_id: str = ID, attempt: int = 1, signal: asyncio.Event | None = None) -> Ctx:
    return Ctx(
        log_id=log_id,
        call_id="call_b2",
        attempt=attempt,
        at_us=1_795_420_800_000_000,
        clock=VirtualClock(),
        signal=signal or asyncio.Event(),
    )


def test_the_key_is_the_one_of_the_sample_of_the_format() -> None:
    assert idempotency_key(ID, "call_b2") == "ta1-c44e330fa1cf09f890e4a1a00790ff60"


def test_every_attempt_has_the_same_key_and_a_fork_another() -> None:
    assert ctx(attempt=2).idempotency_key == ctx().idempotency_key
    assert ctx(log_id=OTHER).idempotency_key != ctx().idempotency_key


def test_every_attempt_draws_the_same_numbers_and_uuids() -> None:
    one, two, fork = ctx(), ctx(attempt=2), ctx(log_id=OTHER)
    assert [one.random.random() for _ in range(3)] == [two.random.random() for _ in range(3)]
    ids = [one.uuid(), one.uuid()]
    assert ids == [two.uuid(), two.uuid()]
    assert ids[0] != ids[1]
    assert fork.uuid() not in ids
    assert {each.version for each in ids} == {8}


def test_now_is_when_the_call_was_asked_for() -> None:
    assert ctx().now() == datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
    assert ctx().now(fresh=True) == datetime.fromtimestamp(VirtualClock().now_us() / 1e6, UTC)


async def test_sleep_ends_at_once_when_the_run_is_cancelled() -> None:
    signal = asyncio.Event()
    sleeping = asyncio.create_task(ctx(signal=signal).sleep(3600))
    await asyncio.sleep(0)
    signal.set()
    async with asyncio.timeout(2):
        await sleeping


def test_outside_of_a_tool_there_is_no_context() -> None:
    with pytest.raises(RuntimeError, match="inside of a tool or a hook"):
        current_ctx()
    here = ctx()
    with given(lambda: here):
        assert current_ctx() is here
    with pytest.raises(RuntimeError):
        current_ctx()


async def test_a_thread_begun_in_a_tool_has_its_context() -> None:
    here = ctx()
    with given(lambda: here):
        assert await asyncio.to_thread(current_ctx) is here
