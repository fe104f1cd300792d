"""The tool worker over a log in memory, and a tool that does what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from tests.onstage import serve

from tinyagent.actors.context import Contexts
from tinyagent.actors.tools import (
    Invocation,
    Refused,
    Returned,
    Tools,
)
from tinyagent.events import Conversation, Event, decode, kinds as k
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.mailbox import Mailbox
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import VirtualClock

ID = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"
CONTROL = frozenset({k.CancelRequested.kind})
CALLS = [(0, "a", '{"x":1}', ""), (1, "b", '{"x":2}', ""), (2, "c", "{broken", "bad")]
ASKED: list[Event] = [
    k.ModelRequested(1),
    k.ModelDelta([(block, "call", {"id": id, "name": "f"}, 0) for block, id, _, _ in CALLS]),
    k.ModelDelta([(block, "args", text, 0) for block, _, text, _ in CALLS]),
    k.ModelFinished("tools", [k.CallRef(id, "f", bad) for _, id, _, bad in CALLS]),
]
Run = Callable[[Invocation], Awaitable[Returned]]


async def double(invocation: Invocation) -> Returned:
    return Returned(content=str(2 * invocation.arguments["x"]))


async def forever(invocation: Invocation) -> Returned:
    await asyncio.Event().wait()
    return Returned(content="never")


class Tool:
    """A tool that does what the test says."""

    def __init__(self, run: Run, effect: k.Effect = "read", timeout_s: float | None = None) -> None:
        self.effect: k.Effect = effect
        self.timeout_s = timeout_s
        self.idle_timeout_s: float | None = None
        self.alone = False
        self.reconcile = None
        self._run = run

    def arguments(self, call: k.CallRef, text: str) -> dict[str, Any]:
        if call.args == "bad":
            raise Refused(f"not JSON: {text}")
        return msgspec.json.decode(text, type=dict[str, Any])

    def run(self, invocation: Invocation) -> Awaitable[Returned]:
        return self._run(invocation)


class Stage:
    """The worker over a log in memory, for the calls ``a``, ``b`` and ``c`` of one answer."""

    def __init__(
        self, run: Run | None, *, log: MemoryLog | None = None, parallel_max: int = 64, **about: Any
    ) -> None:
        self.journal = Journal(log or MemoryLog(), VirtualClock())
        self.reports: list[tuple[str, str]] = []
        self.signal = asyncio.Event()
        conversation = Conversation()
        self.journal.join(conversation)
        for event in ASKED:
            self.journal.append(event)

        def find(name: str) -> Tool:
            if run is None or name != "f":
                raise Refused(f"Tool {name} not found")
            return Tool(run, **about)

        tools = Tools(
            find,
            conversation,
            Contexts(ID, VirtualClock(), self.signal),
            parallel_max=parallel_max,
            report=lambda name, message: self.reports.append((name, message)),
        )
        self._box = Mailbox("tools", tools.requests | CONTROL, control=CONTROL)
        self.said = Mailbox("test", None)
        self.journal.join(self._box)
        self.journal.join(self.said)
        self.task = asyncio.create_task(serve(tools, self._box, self.journal))

    def call(self, *ids: str, **more: Any) -> None:
        for call_id in ids:
            self.journal.append(k.ToolRequested(call_id, "f", **more))

    async def until(self, kind: str) -> None:
        """Wait until something of *kind* was said."""
        async with asyncio.timeout(2):
            while (record := await self.said.get()) is None or record.event.kind != kind:
                pass

    def events(self) -> list[Event]:
        """Return what the worker said so far."""
        given = {k.ToolRequested.kind, *CONTROL}
        stored = self.journal.log.read(len(ASKED) + 1)
        return [decode(one.kind, one.v, one.payload) for one in stored if one.kind not in given]

    async def end(self) -> list[Event]:
        """Let the worker end and return all that it said."""
        self._box.close()
        async with asyncio.timeout(2):
            await self.task
        return self.events()


async def said(run: Run | None, *ids: str, **about: Any) -> list[Event]:
    stage = Stage(run, **about)
    stage.call(*ids)
    return await stage.end()
