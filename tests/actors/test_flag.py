"""A flag that is awaited together with something else."""

from __future__ import annotations

import asyncio

from tinyagent.actors.flag import Flag


async def test_a_flag_ends_the_waiting_and_leaves_the_other_alone() -> None:
    flag, other = Flag(), asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(flag.set)
    await flag.or_done(other)
    assert flag.is_set()
    assert not other.done()


async def test_a_flag_that_is_set_already_ends_the_waiting_at_once() -> None:
    flag = Flag()
    flag.set()
    flag.set()
    await flag.or_done(asyncio.get_running_loop().create_future())


async def test_the_other_ends_the_waiting_and_the_flag_can_be_awaited_again() -> None:
    flag, other = Flag(), asyncio.get_running_loop().create_future()
    other.set_result(None)
    await flag.or_done(other)
    assert not flag.is_set()
    flag.set()
    await flag.or_done(asyncio.get_running_loop().create_future())


async def test_time_ends_the_waiting() -> None:
    flag, other = Flag(), asyncio.get_running_loop().create_future()
    await flag.or_done(other, timeout_s=0.001)
    assert not flag.is_set()
    assert not other.done()
