"""A streamer at work over a log; its source is a list of batches per attempt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from tests.onstage import serve

from tinyagent.actors.streamer import Hear, Heard, KeyOf, Streamer, relayed
from tinyagent.actors.transports import Answer, Failure, Timed
from tinyagent.events import Conversation, Event, View, canonical, digest, kinds as k
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.mailbox import Mailbox
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import VirtualClock

ID = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"
SILENT: list[Timed] = []
"""A batch that never comes: the attempt waits for ever."""
Batch = list[Timed] | Heard | Failure
GONE = Failure("network", "connection reset", retryable=True)
END = Answer(reason="end", usage={"input": 3, "output": 2}, response="resp_1")
HELLO: list[Batch] = [[(0, "text", "Hello", 7)]]


class Script:
    """A source that says one list of batches per attempt."""

    grace_s = 0.0

    def __init__(self, *attempts: Sequence[Batch], answer: Answer = END, most: int = 3) -> None:
        self.attempts_max = most
        self.made: list[Attempt] = []
        self.keys: list[str | None] = []
        self._attempts = list(attempts)
        self._answer = answer

    def digest(self, asked: View) -> str:
        return digest(canonical(asked.settings.system))

    def attempt(self, asked: View, key: str | None) -> Attempt:
        self.keys.append(key)
        self.made.append(Attempt(self._attempts[len(self.made)], self._answer))
        return self.made[-1]


class Attempt:
    live = "whole"

    def __init__(self, batches: Sequence[Batch], answer: Answer) -> None:
        self.is_closed = False
        self.closing: asyncio.Event | None = None
        self._batches = batches
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[Heard]:
        for batch in self._batches:
            if isinstance(batch, Failure):
                raise batch
            if batch is SILENT:
                await asyncio.Event().wait()
            yield batch if isinstance(batch, Heard) else Heard(batch, "live")

    async def play(self, hear: Hear) -> None:
        await relayed(self, hear)

    def finish(self) -> Answer:
        return self._answer

    async def aclose(self) -> None:
        if self.closing is not None:
            await self.closing.wait()
        self.is_closed = True


class Stage:
    """A log, the fold of it, and the streamer at work over *source*."""

    def __init__(
        self,
        source: Script,
        *before: Event,
        key_of: KeyOf | None = None,
        log: MemoryLog | None = None,
    ) -> None:
        self.log = log or MemoryLog(log_id=ID)
        self.clock = VirtualClock()
        self.journal = Journal(self.log, self.clock)
        self.conversation = Conversation()
        self.journal.join(self.conversation)
        for event in (k.SessionStarted(system="S"), *before):
            self.journal.append(event)
        self.streamer = Streamer(source, self.conversation, self.clock, log_id=ID, key_of=key_of)
        kinds = frozenset({"cancel.requested"})
        self._box = Mailbox("model", self.streamer.requests | kinds, control=kinds)
        self.said = Mailbox("test", None)
        self.journal.join(self._box)
        self.task = asyncio.create_task(serve(self.streamer, self._box, self.journal))

    def ask(self) -> None:
        self.journal.join(self.said)
        self.journal.append(k.ModelRequested(1))

    async def heard(self, kind: str) -> Event:
        """Return the next event of *kind*, letting the clock run while somebody sleeps."""
        async with asyncio.timeout(2):
            while True:
                if not len(self.said) and self.clock.sleeping:
                    await self.clock.advance(130)
                record = await asyncio.wait_for(self.said.get(), 1)
                assert record is not None
                if record.event.kind == kind:
                    return record.event

    async def settle(self) -> None:
        """Let everybody go on as far as they can while time stands still."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def end(self) -> list[Event]:
        """Let the streamer end and return all that it said."""
        self._box.close()
        async with asyncio.timeout(2):
            while not self.task.done():
                await asyncio.sleep(0)
                if self.clock.sleeping:
                    await self.clock.advance(130)
            await self.task
        said: list[Event] = []
        while len(self.said):
            record = await self.said.get()
            assert record is not None
            said.append(record.event)
        return [
            event for event in said if event.kind not in ("model.requested", "cancel.requested")
        ]


async def told(source: Script, *before: Event, key_of: KeyOf | None = None) -> list[Event]:
    stage = Stage(source, *before, key_of=key_of)
    stage.ask()
    return await stage.end()


def failure_of(event: Event) -> k.Failure:
    assert isinstance(event, k.ModelFailed)
    return event.failure
