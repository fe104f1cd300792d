"""Runs as ``run``, ``events`` and ``records`` begin and end them.

The compatible events are made if somebody hears them (``Heard``). Else none are made (``Quiet``),
and the public state is computed from the conversation when it is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from tinyagent._run.output import UnfitError
from tinyagent._run.runs import RunFailedError, RunResult
from tinyagent._run.streams import close
from tinyagent.agent_types import AgentEndEvent, AgentEvent, AgentMessage, AssistantMessage
from tinyagent.events import Conversation, Event, Record, kinds as k
from tinyagent.events.children import is_below
from tinyagent.events.messages import Assistant
from tinyagent.runtime.errors import ProviderError
from tinyagent.runtime.loops import Live
from tinyagent.runtime.stores import as_record

if TYPE_CHECKING:
    from tinyagent._reading.state import StateKeeper
    from tinyagent._run.binding import Binding, Show
    from tinyagent.runtime.mailbox import Mailbox


class Played(Protocol):
    """A run to begin and to wait for."""

    async def begin(self) -> None:
        """Begin it: from now on the agent is busy."""
        ...

    async def end(self) -> RunResult[Any]:
        """Return what came of it, whoever cancels this.

        Raises:
            RunFailedError: it failed.
        """
        ...

    async def play(self) -> RunResult[Any]:
        """Do as ``end`` in a task that is the run's own: who cancels it ends the run at once.

        Raises:
            RunFailedError: it failed.
        """
        ...


class Heard:
    """A run whose compatible events somebody hears."""

    def __init__(self, events: AsyncGenerator[AgentEvent], binding: Binding) -> None:
        self._events = events
        self._binding = binding
        self._first: AgentEvent | None = None

    async def begin(self) -> None:
        self._first = await anext(self._events, None)

    async def end(self) -> RunResult[Any]:
        added: list[AgentMessage] = []
        try:
            async for event in self._all():
                if isinstance(event, AgentEndEvent):
                    added = list(event.messages)
        finally:
            await close(self._events)
        return result_of(self._binding, _heard(added))

    play = end

    async def _all(self) -> AsyncIterator[AgentEvent]:
        if self._first is not None:
            yield self._first
        async for event in self._events:
            yield event


class Quiet:
    """A run whose public events nobody hears: none are made.

    Who looks at the agent's state in the midst of it, or subscribes, has them made from then on.

    Args:
        inputs: returns what the run begins with. show: takes a public event.
        be_busy: told that it begins; returns what is told that it is over. is_told: as of
            ``Session.run``.
    """

    kinds = frozenset({k.RunEnded.kind})

    def __init__(
        self,
        binding: Binding,
        keeper: StateKeeper,
        inputs: Callable[[], Awaitable[Sequence[Event | Live]]],
        *,
        show: Show,
        be_busy: Callable[[], Callable[[], None]],
        is_told: bool,
    ) -> None:
        self._binding = binding
        self._keeper = keeper
        self._inputs = inputs
        self._show = show
        self._be_busy = be_busy
        self._is_told = is_told
        self._ended: Record | None = None
        self._outcome = ""
        self._mailbox: Mailbox | None = None
        self._telling: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    def post(self, record: Record) -> None:
        """Take the record that ends the run."""
        assert isinstance(record.event, k.RunEnded)
        self._ended, self._outcome = record, record.event.outcome

    async def begin(self) -> None:
        """Begin it: from now on the agent is busy."""
        self._be_over = self._be_busy()
        try:
            self._given = await self._inputs()
            session = self._binding.session
            self._length = len(session.conversation.messages)
            self._from = session.log.seq + 1
            self._keeper.rest(self.attend)
            session.journal.join(self)
        except BaseException:
            self._be_over()
            raise

    async def end(self) -> RunResult[Any]:
        binding = self._binding

        async def waited() -> None:
            playing = asyncio.create_task(self._run(), name="tinyagent run")
            try:
                await asyncio.wait({playing})
                await playing
            finally:
                await binding.stop(playing)

        return await self._result(waited())

    async def play(self) -> RunResult[Any]:
        return await self._result(self._run())

    def _run(self) -> Coroutine[Any, Any, None]:
        return self._binding.play(self._given, is_told=self._is_told)

    async def _result(self, running: Coroutine[Any, Any, None]) -> RunResult[Any]:
        """Return what came of it when *running* is over."""
        binding = self._binding
        try:
            try:
                await self._until(running)
                if binding.outcome == "paused":
                    self._keeper.attend()  # what takes this up goes on in the midst of a turn
            finally:  # also of a run that was cancelled, or failed: the next one may be heard
                said, told = self._said()
                binding.bodies.pass_over()
                self._keeper.settle(told, said.all, binding.bodies.as_of_now())
            return result_of(binding, said)
        finally:
            self._be_over()

    async def _until(self, running: Coroutine[Any, Any, None]) -> None:
        """Wait until nothing of it goes on."""
        binding, session = self._binding, self._binding.session
        try:
            await running
            if self._ended is not None:
                await session.journal.reached(self._ended)
                binding.outcome = self._outcome
            binding.hooks.raise_interruption()
        finally:
            self._over.set()
            session.journal.leave(self)
            if self._mailbox is not None:
                session.unwatch(self._mailbox)
            if self._telling is not None:
                await self._telling

    def attend(self) -> None:
        """Make the public events from now on; the state is brought to where the run is."""
        if self._mailbox is not None:
            return
        binding, session = self._binding, self._binding.session
        if not binding.is_here:
            binding.in_loop(self.attend)
            return
        for stored in session.log.read(self._from):
            record = as_record(stored)
            if not is_below(record):
                for event in binding.projection.read(record):
                    self._keeper.take(event)
        if not self._over.is_set():
            self._mailbox = session.watch("face")
            self._telling = asyncio.create_task(self._tell(self._mailbox), name="tinyagent tells")

    async def _tell(self, mailbox: Mailbox) -> None:
        while (record := await mailbox.get()) is not None:
            if isinstance(record.event, k.RunEnded):
                await self._over.wait()
                await self._binding.session.journal.reached(record)
            await self._binding.tell(record, self._show)

    def _said(self) -> tuple[Said, str | None]:
        """Return what the run said, and what is told of its failure."""
        if self._mailbox is not None:
            said = _heard(self._binding.projection.new_messages)
            last = said.last()
            return said, None if last is None else last.error_message
        conversation, bodies = self._binding.session.conversation, self._binding.bodies
        added = conversation.messages[self._length :]  # nobody edits them unheard
        answer = next((m for m in reversed(added) if isinstance(m, Assistant)), None)
        seq = self._ended.seq if self._ended is not None else 0
        closing = conversation.closings.made.get(seq)
        if closing is not None:
            closed = bodies.closing(seq, closing)
            return Said(
                lambda: closed, lambda: [*map(bodies.of, added), closed]
            ), closed.error_message
        if answer is None:
            return Said(lambda: None, lambda: list(map(bodies.of, added))), None
        told = answer.failure.message if answer.failure is not None else None
        return Said(lambda: bodies.answered(answer), lambda: list(map(bodies.of, added))), told


class Said(NamedTuple):
    """What makes the last answer of a run, and all messages that it added."""

    last: Callable[[], AssistantMessage | None]
    all: Callable[[], list[AgentMessage]]


def _heard(messages: Sequence[AgentMessage]) -> Said:
    told = list(messages)
    last = next((m for m in reversed(told) if isinstance(m, AssistantMessage)), None)
    return Said(lambda: last, lambda: list(told))


def result_of(binding: Binding, said: Said) -> RunResult[Any]:
    """Return what came of the run that is over.

    Raises:
        RunFailedError: it failed.
    """
    log, given = binding.session.log, output_of(binding)
    ref = f"{log.meta.log[:8]}:{log.seq}"
    result: RunResult[Any] = RunResult(binding.outcome, ref, said.last, said.all, given)
    if result.outcome == "failed":
        raise RunFailedError(result) from provider_error(binding.session.conversation)
    return result


def provider_error(conversation: Conversation) -> ProviderError | None:
    """Return what became of the last model call, if that failed."""
    last = conversation.closings.answer
    if last is None or last.failure is None:
        return None
    return ProviderError(last.failure.kind, last.failure.message, status=last.failure.status)


def output_of(binding: Binding) -> Any:
    """Return what the run that has ended gave of the type asked for; UNSET if nothing."""
    form = binding.outputs.form
    if form is None or binding.outcome != "answered":
        return msgspec.UNSET
    try:
        return form.read(binding.session.conversation.messages)
    except UnfitError:  # nobody judged it: that was asked in an earlier process
        return msgspec.UNSET
