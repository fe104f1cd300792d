"""A flag that cuts off what runs."""

from __future__ import annotations

import asyncio

from tinyagent.actors.flag import Flag, Running


async def for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def word() -> str:
    return "done"


async def test_a_flag_ends_the_waiting_and_leaves_what_runs_alone() -> None:
    flag = Flag()
    running = Running(for_ever())
    asyncio.get_running_loop().call_soon(flag.set)
    await running.over(flag)
    assert flag.is_set()
    assert not running.task.done()
    running.task.cancel()


async def test_a_flag_that_is_set_already_ends_the_waiting_at_once() -> None:
    flag = Flag()
    flag.set()
    flag.set()
    running = Running(for_ever())
    await running.over(flag)
    running.task.cancel()


async def test_what_runs_ends_the_waiting_with_its_result_and_its_name() -> None:
    flag = Flag()
    running = Running(word(), "a word")
    await running.over(flag)
    assert running.task.result() == "done"
    assert running.task.get_name() == "a word"
    assert not flag.is_set()


async def test_what_is_cancelled_before_it_began_ends_the_waiting() -> None:
    flag = Flag()
    running = Running(for_ever())
    running.task.cancel()
    await running.over(flag)
    assert running.task.cancelled()


async def test_time_ends_the_waiting() -> None:
    flag = Flag()
    running = Running(for_ever())
    await running.over(flag, timeout_s=0.001)
    await running.over(flag, timeout_s=0.001)
    assert not flag.is_set()
    assert not running.task.done()
    running.task.cancel()


async def test_those_who_wait_are_woken_in_the_order_in_which_they_began() -> None:
    flag, woken = Flag(), list[int]()

    async def wait(number: int) -> None:
        running = Running(for_ever())
        await running.over(flag)
        woken.append(number)
        running.task.cancel()

    async with asyncio.TaskGroup() as waiting:
        for number in range(50):
            waiting.create_task(wait(number))
        asyncio.get_running_loop().call_later(0.001, flag.set)
    assert woken == [*range(50)]
