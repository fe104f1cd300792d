"""What is said to an agent: heard by the host's hooks first, then put on record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from tinyagent._host.host import said
from tinyagent._host.seams import Seams, heard
from tinyagent.actors.context import Contexts, given
from tinyagent.actors.session import Session
from tinyagent.actors.state import MESSAGE
from tinyagent.actors.tools import GRACE_S
from tinyagent.agent_types import AgentMessage
from tinyagent.events import Failure, kinds as k

STOPPED = "the run was stopped before anything was said: a message hook had not answered"


class Queues:
    """Messages that wait for their delivery.

    Attributes:
        seqs: those on record, by the way that they came.
    """

    def __init__(
        self, session: Session, seams: Seams, in_loop: Callable[[Callable[[], object]], None]
    ) -> None:
        self.seqs: dict[str, list[int]] = {"steer": [], "follow_up": []}
        self._session = session
        self._seams = seams
        self._in_loop = in_loop
        self._inbox: list[tuple[str, AgentMessage]] = []
        self._hearing: asyncio.Task[None] | None = None
        self._asking: asyncio.Future[list[AgentMessage]] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing was ever queued."""
        return not (self._inbox or self._hearing or any(self.seqs.values()))

    def put(self, via: str, message: AgentMessage) -> None:
        """Let *message* wait for its delivery. From any thread."""
        self._inbox.append((via, message))
        self._in_loop(self._take)

    def withdraw(self, *ways: str) -> None:
        """Take back what is queued. From any thread."""
        self._inbox[:] = [item for item in self._inbox if item[0] not in ways]
        seqs = [seq for via in ways for seq in self.seqs[via]]
        for via in ways:
            self.seqs[via] = []
        if seqs:
            self._session.append(k.UserWithdrawn(seqs))

    async def drained(self) -> None:
        """Put on record what waits in the inbox."""
        self._take()
        if self._hearing is not None:
            try:
                await asyncio.wait({self._hearing})
            except asyncio.CancelledError:
                self._hearing.cancel()
                raise

    async def rest(self) -> None:
        """Hear nothing more; what was not heard to its end waits for the next run."""
        if self._hearing is not None:
            self._hearing.cancel()
            await asyncio.wait({self._hearing}, timeout=GRACE_S)
            self._hearing = None

    def _take(self) -> None:
        if not self._seams.hears_messages:
            while self._inbox:
                self._record(*self._inbox.pop(0))
        elif self._inbox and (self._hearing is None or self._hearing.done()):
            self._hearing = asyncio.create_task(self._hear_all(), name="tinyagent hears a queue")

    def _record(self, via: str, message: AgentMessage) -> None:
        event, live = said(message, via)
        self.seqs[via].append(self._session.append(event, live=live).seq)

    async def _hear_all(self) -> None:
        while self._inbox:
            item = self._inbox[0]
            found: list[AgentMessage] = []
            with suppress(Exception):  # it is on record, and the message is dropped
                found = await self._hear([item[1]])
            if self._inbox and self._inbox[0] is item:  # nobody took it back
                self._inbox.pop(0)
                for message in found:
                    self._record(item[0], message)

    def stop(self) -> None:
        """Stop hearing what a run shall begin with. From any thread."""
        if self._asking is not None:
            self._asking.get_loop().call_soon_threadsafe(self._asking.cancel)

    async def begin(self, messages: Sequence[AgentMessage]) -> list[AgentMessage]:
        """Return *messages*, with which a run begins, as the hooks would have them.

        Raises:
            RuntimeError: somebody stopped it. Exception: whatever a hook raised.
        """
        if not messages or not self._seams.hears_messages:
            return list(messages)
        asking = self._asking = asyncio.ensure_future(self._hear(messages))
        try:
            await asyncio.wait({asking})
        finally:
            asking.cancel()
            self._asking = None
        if asking.cancelled():
            raise RuntimeError(STOPPED)
        return asking.result()

    async def _hear(self, messages: Sequence[AgentMessage]) -> list[AgentMessage]:
        """Return *messages* as the hooks would have them. That they were asked is on record."""
        session, journal = self._session, self._session.journal
        asked = journal.append(k.HostAsked(MESSAGE))
        contexts = Contexts(session.log.meta.log, journal.clock, session.signal, session.provided)
        answer: k.HostAnswered | k.HostFailed = k.HostFailed(
            MESSAGE, Failure("cancelled", "cancelled")
        )
        try:
            ctx = contexts.of(asked, f"#{asked.seq}", 1)
            with given(lambda: ctx):
                found = [await heard(self._seams.hooks, message) for message in messages]
            answer = k.HostAnswered(MESSAGE, n=len(found))
        except Exception as error:
            failure = Failure("host", str(error) or type(error).__name__)
            answer = k.HostFailed(MESSAGE, failure)
            raise
        finally:
            journal.append(answer, cause=asked.seq)
        return found
