"""Threads that come to tell a loop something as it closes: it may end after they have looked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from pathlib import Path
from typing import TypeVarTuple

import pytest

from tinyagent import Agent, load, open_log, tool
from tinyagent.runtime.stores.sqlite import SqliteLog
from tinyagent.testing import scripted

Ts = TypeVarTuple("Ts")


class Late(asyncio.SelectorEventLoop):
    """Closes, once *is_late*, between a look at it and the call."""

    is_late = False

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        if self.is_late:
            raise RuntimeError("Event loop is closed")
        return super().call_soon_threadsafe(callback, *args, context=context)


@pytest.fixture
def raised(monkeypatch: pytest.MonkeyPatch) -> list[threading.ExceptHookArgs]:
    """What threads have printed."""
    found: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", found.append)
    return found


def test_a_tool_in_a_thread_prints_nothing(raised: list[threading.ExceptHookArgs]) -> None:
    began, goes_on, threads = threading.Event(), threading.Event(), list[threading.Thread]()

    @tool(effect="read")
    def wait() -> str:
        """Wait."""
        threads.append(threading.current_thread())
        began.set()
        goes_on.wait(10)
        return "late"

    async def leave() -> None:
        running = asyncio.create_task(Agent(model=scripted(("wait", {})), tools=[wait]).run("hi"))
        await asyncio.to_thread(began.wait, 10)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    loop = Late()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(leave())
        loop.is_late = True
        goes_on.set()
        threads[0].join(10)
        assert not threads[0].is_alive()
        loop.is_late = False
    assert raised == []


async def test_a_database_is_written_on(
    tmp_path: Path, raised: list[threading.ExceptHookArgs]
) -> None:
    where, loop = f"sqlite:///{tmp_path}/runs.db#trip", Late()
    async with open_log(where) as log:
        store = log.store
        assert isinstance(store, SqliteLog)
        waiting = loop.create_task(store.durable(1))
        await asyncio.to_thread(loop.run_until_complete, asyncio.sleep(0))
        loop.is_late = True
        for seq in (1, 2):
            store.append(seq, seq, None, "user.said", 1, 0, b'{"content":"hi"}')
            async with asyncio.timeout(10):
                await store.durable(seq)
        loop.is_late = False
        waiting.cancel()
        await asyncio.to_thread(loop.run_until_complete, asyncio.wait([waiting]))
    loop.close()
    assert [record.seq for record in load(where).records] == [1, 2]
    assert raised == []
