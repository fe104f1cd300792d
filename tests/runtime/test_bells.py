"""Threads of the extension wake event loops, whichever these are and wherever they run."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from tinyagent.runtime.bells import bell_here
from tinyagent.runtime.stores.files import FileLog


def new_log(where: Path) -> FileLog:
    return FileLog(where, now_us=lambda: 1_000_000)


async def sync(log: FileLog) -> int:
    """Append a record and wait until the writer's thread has it on disk."""
    seq = log.seq + 1
    log.append(seq, 1_000_000, None, "user.said", 1, 0, b"{}")
    await log.durable(seq)
    return log.durable_seq


def run_in(make: Callable[[], asyncio.AbstractEventLoop], log: FileLog) -> int:
    loop = make()
    try:
        return loop.run_until_complete(sync(log))
    finally:
        loop.close()


def watches_nothing() -> asyncio.AbstractEventLoop:
    """Return a loop that is like the proactor of Windows."""

    def add_reader(*watched: object) -> None:
        raise NotImplementedError

    loop = asyncio.new_event_loop()
    loop.add_reader = add_reader  # type: ignore[assignment] # of this loop alone
    return loop


@pytest.mark.parametrize("make", [asyncio.new_event_loop, watches_nothing])
def test_one_loop_after_the_other_waits_for_the_same_log(
    tmp_path: Path, make: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    log = new_log(tmp_path)
    assert [run_in(make, log) for _ in range(5)] == [1, 2, 3, 4, 5]
    asyncio.run(log.close())


@pytest.mark.parametrize("make", [asyncio.new_event_loop, watches_nothing])
def test_loops_in_several_threads_are_woken_each(
    tmp_path: Path, make: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    logs = [new_log(tmp_path / str(number)) for number in range(4)]
    found: list[list[int]] = []

    def work(log: FileLog) -> None:
        found.append([run_in(make, log) for _ in range(5)])

    threads = [threading.Thread(target=work, args=(log,)) for log in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [[1, 2, 3, 4, 5]] * 4


def test_many_who_wait_for_one_sync_are_woken_together(tmp_path: Path) -> None:
    async def main() -> list[int]:
        log = new_log(tmp_path)
        found = await asyncio.gather(*(sync(log) for _ in range(100)))
        await log.close()
        return found

    found = asyncio.run(main())
    assert len(found) == 100
    assert all(durable >= seq for seq, durable in enumerate(found, 1))


def test_a_loop_that_is_closed_while_somebody_waits_takes_nothing_with_it(tmp_path: Path) -> None:
    log = new_log(tmp_path)

    async def leave() -> None:
        waiting = asyncio.ensure_future(sync(log))
        await asyncio.sleep(0)
        assert not waiting.done()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.close()
    assert asyncio.run(sync(log)) == 2


def test_a_loop_has_one_bell_and_goes_when_nobody_needs_it() -> None:
    async def main() -> tuple[bool, weakref.ref[asyncio.AbstractEventLoop]]:
        return bell_here() is bell_here(), weakref.ref(asyncio.get_running_loop())

    is_one, loop = asyncio.run(main())
    gc.collect()
    assert is_one
    assert loop() is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # threads and fork: ours is made for it
def test_a_child_of_fork_waits_with_a_bell_of_its_own(tmp_path: Path) -> None:
    log = new_log(tmp_path / "parent")
    assert asyncio.run(sync(log)) == 1
    child = os.fork()
    if child == 0:
        try:
            os._exit(asyncio.run(sync(new_log(tmp_path / "child"))))
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert asyncio.run(sync(log)) == 2
