"""Time that never falls, and the clock that a test moves by hand."""

from __future__ import annotations

import asyncio
import time

import pytest

from tinyagent.runtime.clock import SystemClock, system_clock
from tinyagent.testing import VirtualClock


def test_the_clock_of_the_machine_starts_at_the_wall_clock_and_never_falls() -> None:
    before = time.time_ns() // 1000
    clock = SystemClock()
    times = [clock.now_us() for _ in range(1000)]
    assert abs(times[0] - before) < 5_000_000
    assert times == sorted(times)


def test_a_wall_clock_that_is_set_back_does_not_move_a_log_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SystemClock()
    before = clock.now_us()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert clock.now_us() >= before


def test_all_who_ask_have_one_clock_until_the_wall_clock_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, wall_ns = system_clock(), time.time_ns
    assert system_clock() is clock
    monkeypatch.setattr(time, "time_ns", lambda: wall_ns() + 60_000_000_000)
    ahead = system_clock()
    assert ahead is system_clock()
    assert 59_000_000 < ahead.now_us() - clock.now_us() < 61_000_000


async def test_sleeping_takes_as_long_as_asked() -> None:
    clock = SystemClock()
    start_s = clock.monotonic_s()
    await clock.sleep(0.02)
    assert clock.monotonic_s() - start_s >= 0.019


async def test_a_stepped_clock_wakes_who_is_due_in_the_order_of_their_times() -> None:
    clock = VirtualClock(0, tick_us=0)
    woken: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(f"{name} at {clock.now_us()}")

    async with asyncio.TaskGroup() as group:
        for name, seconds in (("b", 2.0), ("a", 1.0), ("c", 3.0)):
            group.create_task(sleeper(name, seconds))
        await asyncio.sleep(0)
        assert clock.sleeping == 3
        await clock.advance(2.5)
        assert woken == ["a at 1000000", "b at 2000000"]
        await clock.advance(0.5)
    assert woken[-1] == "c at 3000000"
    assert clock.sleeping == 0


async def test_a_stepped_clock_ticks_at_each_reading_only() -> None:
    clock = VirtualClock(100, tick_us=10)
    assert (clock.now_us(), clock.now_us(), clock.monotonic_s()) == (110, 120, 0.00012)
    await clock.sleep(0)
    assert clock.now_us() == 130
