"""One host bound to one session: configuration, cast, and the run as public events.

Everything that runs an agent goes through here: ``Agent`` and the loop functions alike.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

import msgspec

from tinyagent._host.decisions import Decisions, rule_in, rule_of
from tinyagent._host.host import HostHooks
from tinyagent._host.queues import Queues
from tinyagent._host.replaced import replaced_execution
from tinyagent._host.seams import Seams
from tinyagent._host.tools import HostTool, find_tool, spec_of
from tinyagent._provider.configured import model_of, options_of
from tinyagent._provider.sources import Setup as Setup, Sources, forced
from tinyagent._run.output import Outputs
from tinyagent._run.questions import ASKED
from tinyagent._run.resting import Rest, told_by
from tinyagent._version import VERSION
from tinyagent.actors import state as machine
from tinyagent.actors.session import Session
from tinyagent.actors.streamer import KeyOf
from tinyagent.actors.tools import PARALLEL_MAX, Find
from tinyagent.actors.transports import Transport
from tinyagent.actors.understudy import cast
from tinyagent.actors.waiting import ended, unheard
from tinyagent.agent_types import AgentEvent, AgentMessage, AgentTool
from tinyagent.events import Conversation, Event, Record, kinds as k
from tinyagent.events.settings import logged_tool
from tinyagent.projection import Projection
from tinyagent.runtime.clock import Clock, SystemClock
from tinyagent.runtime.loops import Live
from tinyagent.runtime.sinks import Sink, Subscribed
from tinyagent.runtime.stores import Log

Show = Callable[[AgentEvent], Awaitable[None] | None]
"""Is shown each public event ahead of who reads them; returns what to wait for, if anything."""


class Binding:
    """A session, and the host beside it.

    Args:
        setup: returns the host's configuration, as of now.
        tools: returns its tools. given: the list that they are made of, read before every step.
        key_of: returns the host's key resolver, if it has one now.
        prepare: puts the host's callbacks, as of now, into the hooks.
        find: finds a tool to run; without it, by name among the host's.
        recalled: is given what makes the messages that an opened log holds. relived: each public
            event of the run in it that did not end.
        is_batch: this is ``execute_tool_calls`` itself, whose replacement is not asked again.
    """

    hooks: HostHooks
    outputs: Outputs
    seams: Seams
    decisions: Decisions
    _loop: asyncio.AbstractEventLoop | None = None

    def __init__(
        self,
        log: Log | None,
        setup: Callable[[], Setup],
        *,
        tools: Callable[[], list[AgentTool] | None],
        given: Callable[[], list[AgentTool] | None] | None = None,
        prepare: Callable[[HostHooks], None],
        key_of: Callable[[], KeyOf | None] = lambda: None,
        signal: asyncio.Event | None = None,
        clock: Clock | None = None,
        transport: Transport | None = None,
        sinks: Sequence[Sink | Subscribed] = (),
        find: Find | None = None,
        recalled: Callable[[Callable[[], list[AgentMessage]]], None] = lambda messages: None,
        relived: Callable[[AgentEvent], None] = lambda event: None,
        is_batch: bool = False,
        rest: Rest | None = None,
        tools_parallel_max: int = PARALLEL_MAX,
    ) -> None:
        self._read_setup = setup
        self._tools = tools
        self._given = given or tools
        self._prepare = prepare
        self._recalled = recalled
        self._relived = relived
        self.forced: dict[str, Any] = {}
        self._clock = clock or SystemClock()
        self._runs_hosts_batch = find is None and not is_batch
        self._known_tools, self._known_given = list[AgentTool](), list[AgentTool]()
        self._found: dict[str, HostTool] = {}
        self._seen_waiters: list[tuple[int, asyncio.Future[None]]] = []
        self.outcome, self._seen = "", 0
        log = log if log is not None else _memory_log()
        conversation = self._folds(log, transport, rest)
        self.session = Session(
            log,
            self._clock,
            **cast(log, source=self._sources, find=find or self._find, key_of=key_of),
            ask=self._ask,
            configure=self.configuration,
            changes=self._changes,
            tools_parallel_max=tools_parallel_max,
            signal=signal,
            sinks=sinks,
            face=self,
            conversation=conversation,
        )
        self.queues = Queues(self.session, self.seams, self.in_loop)
        self.session.journal.join(self.bodies, self.decisions)
        self.decisions.rule_of = lambda name: rule_in(self._tools(), name)

    def _folds(self, log: Log, transport: Transport | None, rest: Rest | None) -> Conversation:
        """Make everything that reads the one conversation, and return it."""
        conversation, self.bodies = told_by(rest)
        self.hooks = HostHooks(conversation, self.bodies)
        self.hooks.signal = lambda: self.session.signal
        self.hooks.tools = self._tools
        self.hooks.cancel = self.cancel
        self.hooks.append = lambda event, live: self.in_loop(
            lambda: self.session.append(event, live=live)
        )
        self.outputs = Outputs(conversation)
        self.seams = Seams(conversation, self.hooks.report)
        self.decisions = Decisions(conversation, log.meta.log)
        self.projection = Projection(conversation, self.bodies)
        self._sources = Sources(
            lambda: self.setup,
            bodies=self.bodies,
            hooks=self.hooks,
            signal=lambda: self.session.signal,
            clock=self._clock,
            transport=transport,
            report=self.hooks.report,
        )
        return conversation

    def _find(self, name: str) -> HostTool:
        if name not in self._found:  # which it is until others are on record, or a run begins
            timeout_s = self.setup.tool_timeout_s
            self._found[name] = find_tool(self._tools(), name, timeout_s, self.hooks)
        return self._found[name]

    def _ask(self, asked: k.HostAsked, seq: int) -> Awaitable[Sequence[Event | Live]]:
        return ASKED[asked.hook](self)(asked, seq)

    # Configuration

    def configuration(self) -> k.SessionStarted:
        """Return the whole configuration as record 1 holds it."""
        setup = self._read()
        return k.SessionStarted(
            model=model_of(setup),
            system=setup.system,
            tools=[logged_tool(spec) for spec in self._specs()],
            hooks=self._installed(setup),
            options=options_of(setup),
            limits=setup.limits,
            versions={"tinyagent": VERSION},
        )

    def _changes(self) -> dict[str, Any]:
        """Return what is not as it was recorded: in a run the tools only, between runs all."""
        is_running = self.session.is_running
        if is_running and [*(self._given() or ())] == self._known_given:
            return {}
        changes: dict[str, Any] = {}
        setup = self.setup if is_running else self._read()
        settings, specs = self.session.conversation.settings, self._specs()
        if tuple(specs) != settings.tools:
            changes["tools"] = msgspec.to_builtins([logged_tool(spec) for spec in specs])
        if is_running:
            return changes
        for name, value, recorded in (
            ("model", model_of(setup), settings.model),
            ("system", setup.system, settings.system),
            ("hooks", self._installed(setup), list(settings.hooks)),
            ("options", options_of(setup), settings.options),
            ("limits", setup.limits, settings.limits),
        ):
            if value != recorded:
                changes[name] = value
        return changes

    def _read(self) -> Setup:
        self._prepare(self.hooks)
        self.setup = self._read_setup()
        if self.forced:
            self.setup = msgspec.structs.replace(self.setup, **self.forced)
        return self.setup

    def _specs(self) -> list[k.ToolSpec]:
        self._known_given, self._found = [*(self._given() or ())], {}
        self._known_tools = [*(self._tools() or ())]
        return [spec_of(tool, self.setup.tool_timeout_s) for tool in self._known_tools]

    def _installed(self, setup: Setup) -> list[str]:
        hooks = self.hooks
        there: dict[str, Any] = {
            machine.CONTEXT: hooks.transform or hooks.convert,
            machine.BEFORE: hooks.before,
            machine.AFTER: hooks.after,
            machine.STOP: hooks.stop,
            machine.UNKNOWN: self.decisions.on_unknown,
            machine.APPROVAL: self.decisions.on_approval
            or next(filter(None, map(rule_of, self._known_tools)), None),
            machine.OUTPUT: self.outputs.form,
            machine.REQUEST: self.seams.sees_requests or None,
        }
        if self._runs_hosts_batch and replaced_execution() is not None:
            # Its function calls the tools and asks their hooks.
            there |= {machine.BATCH: True, machine.BEFORE: None, machine.AFTER: None}
        return [*setup.polls, *(name for name, hook in there.items() if hook is not None)]

    @property
    def raised(self) -> Exception | None:
        """What the host's own code raised, other than tools and their hooks."""
        return self._sources.raised or self.hooks.raised

    # Questions that wait until what led to them was delivered

    async def poll(self, asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        """Answer when every event so far was delivered, so a listener may still steer."""
        await self._wait_seen(seq)
        await self.queues.drained()
        return await self.hooks.ask_queue(asked)

    async def ask_stop(self, asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        """Answer whether the run ends after this turn, when every event so far was delivered."""
        await self._wait_seen(seq)
        return await self.hooks.ask_stop(asked, seq)

    async def _wait_seen(self, seq: int) -> None:
        if self._seen < seq:
            waiter = asyncio.get_running_loop().create_future()
            self._seen_waiters.append((seq, waiter))
            await waiter

    def _mark_seen(self, record: Record) -> None:
        self._seen = record.seq
        for seq, waiter in self._seen_waiters:
            if seq <= record.seq and not waiter.done():
                waiter.set_result(None)
        if self._seen_waiters:
            self._seen_waiters = [item for item in self._seen_waiters if item[0] > record.seq]

    # The past

    def open(self) -> bool:
        """Open the session; return what that returns."""
        is_new = self.session.open()
        self._seen = max(self._seen, self.session.log.seq)
        return is_new

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds that matter even when their run is over: who waits for whom, what is forced."""
        return self.decisions.kinds | {k.SessionForked.kind}

    def relive(self, record: Record, *, is_open: bool) -> None:
        """Take in a record of the past."""
        self.decisions.post(record)
        if isinstance(record.event, k.SessionForked):
            self.forced |= forced(record.event)
        if is_open:
            if self.bodies.wants(record):
                self.bodies.post(record)
            for event in self.projection.read(record):
                self._relived(event)

    def recall(self) -> None:
        """Show the host the conversation as the last run left it, or found it."""
        conversation = self.session.conversation
        self.bodies.keep(conversation.queued)
        state = self.session.machine.state
        self.queues.seqs = {"steer": list(state.steering), "follow_up": list(state.follow_ups)}
        self._recalled(self.bodies.as_of_now())

    # The run

    def cancel(self, reason: str = "host") -> None:
        """Ask the run to stop. From any thread."""
        self.session.called_off = reason  # before it is looked whether there is a run already
        self.queues.stop()
        self.in_loop(lambda: self.session.cancel(reason))

    def in_loop(self, call: Callable[[], object]) -> None:
        """Make *call* in the loop of the run, at once if this is it; not at all without a run."""
        loop = self._loop
        if loop is None or not self.session.is_running:
            return
        if self.is_here:
            call()
        else:
            loop.call_soon_threadsafe(call)

    @property
    def is_here(self) -> bool:
        """Whether this is the thread, and the loop, of the run."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    async def run(self, inputs: Sequence[Event | Live], show: Show) -> AsyncGenerator[AgentEvent]:
        """Run the agent on *inputs* and yield the public events, each after *show* of it.

        However the reader leaves, nothing of the run goes on when this is closed.
        """
        self._loop = asyncio.get_running_loop()
        session = self.session
        self.open()
        await self.queues.drained()
        if not inputs:
            async for event in self._unheard(show):
                yield event
            if session.machine.state.phase == "idle":
                return  # the end of the run was all that was missing
            if session.machine.state.phase == "paused":
                inputs = [k.UserContinued()]
        mailbox = session.watch("face")
        playing = asyncio.create_task(session.run(inputs), name="tinyagent run")
        playing.add_done_callback(lambda _: session.unwatch(mailbox))
        try:
            while (record := mailbox.take() or await mailbox.get()) is not None:
                if isinstance(record.event, k.RunEnded):
                    self.outcome = record.event.outcome
                    await playing
                    await session.journal.reached(record)
                for event in self.projection.read(record):
                    if (telling := show(event)) is not None:
                        await telling
                    yield event
                self._mark_seen(record)
            await playing
            self.hooks.raise_interruption()
        finally:
            if not playing.get_loop().is_closed():  # by hand, under the run
                try:
                    await self.queues.rest()
                finally:
                    await self.stop(playing)
                while (record := await mailbox.get()) is not None:
                    await self.tell(record, show)

    async def tell(self, record: Record, show: Show) -> None:
        """Show the public events that *record* makes."""
        for event in self.projection.read(record):
            if (telling := show(event)) is not None:
                await telling
        self._mark_seen(record)

    async def _unheard(self, show: Show) -> AsyncGenerator[AgentEvent]:
        """Yield what was decided of the run before, and not written."""
        for record in self.session.take_unheard():
            if isinstance(record.event, k.RunEnded):
                self.outcome = record.event.outcome
                await self.session.journal.reached(record)
            for event in self.projection.read(record):
                if (telling := show(event)) is not None:
                    await telling
                yield event

    async def play(self, inputs: Sequence[Event | Live], *, is_told: bool) -> None:
        """Run the agent on *inputs*; its public events are not made, unless somebody tells them.

        *is_told*: as of ``Session.run``.
        """
        self._loop = asyncio.get_running_loop()
        self._seen = sys.maxsize  # questions wait for nobody
        try:
            await self.queues.drained()
            await self.session.run(inputs, is_told=is_told)
        finally:
            await self.queues.rest()
            self._seen = self.session.log.seq

    async def stop(self, playing: asyncio.Task[None]) -> None:
        """Cancel the run if it goes on, and wait for its end, whatever happens to this task."""
        if playing.done() or playing.get_loop().is_closed():
            return  # it is over; or cut off, as by a crash: its loop was closed by hand
        self.session.called_off = "closed"
        self.session.cancel("closed")
        for waiter in self._seen_waiters:
            waiter[1].cancel()
        await ended(playing)
        unheard(playing)


def _memory_log() -> Log:
    from tinyagent.runtime.stores.memory import MemoryLog

    return MemoryLog()
