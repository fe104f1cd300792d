"""One host bound to one session: configuration, cast, and the run as public events.

Everything that runs an agent goes through here: ``Agent`` and the loop functions alike.
"""

from __future__ import annotations

import asyncio
import operator
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import msgspec

from tinyagent._bodies import Bodies
from tinyagent._host import HostHooks, HostTool, find_tool, replaced_execution, said, spec_of
from tinyagent._hosted import HostedSource
from tinyagent._version import VERSION
from tinyagent.actors import state as machine
from tinyagent.actors.hooks import Asked
from tinyagent.actors.providers.hosted import HOSTED
from tinyagent.actors.session import Session
from tinyagent.actors.sources import Granted, ProviderSource
from tinyagent.actors.streamer import Attempt, KeyOf
from tinyagent.actors.tools import PARALLEL_MAX, Find
from tinyagent.actors.transports import Transport
from tinyagent.agent_types import AgentEvent, AgentMessage, AgentTool, Model, SimpleStreamOptions
from tinyagent.events import Event, Record, Settings, View, kinds as k
from tinyagent.events.conversation import logged_tool
from tinyagent.projection import Projection
from tinyagent.runtime.clock import Clock, SystemClock
from tinyagent.runtime.loops import Live
from tinyagent.runtime.sinks import Sink
from tinyagent.runtime.stores import Log


class Setup(msgspec.Struct, kw_only=True):
    """What a host has configured. A run keeps what it was when the run began."""

    model: Model
    system: str
    stream_fn: Callable[..., Any] | None
    api_key: str | None = None
    options: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    tool_timeout_s: float | None = None
    tools_parallel_max: int = PARALLEL_MAX
    polls: tuple[str, ...] = ()


class Binding:
    """A session, and the host beside it.

    Args:
        setup: returns the host's configuration, as of now.
        tools: returns its tools; read again before every step of the agent.
        key_of: returns the host's key resolver, if it has one now.
        prepare: puts the host's callbacks, as of now, into the hooks.
        find: finds a tool to run; without it, by name among the host's.
        is_batch: this is ``execute_tool_calls`` itself, whose replacement is not asked again.
    """

    def __init__(
        self,
        log: Log | None,
        setup: Callable[[], Setup],
        *,
        tools: Callable[[], list[AgentTool] | None],
        prepare: Callable[[HostHooks], None],
        key_of: Callable[[], KeyOf | None] = lambda: None,
        signal: asyncio.Event | None = None,
        clock: Clock | None = None,
        transport: Transport | None = None,
        sinks: Sequence[Sink] = (),
        find: Find | None = None,
        is_batch: bool = False,
    ) -> None:
        self._read_setup = setup
        self._tools = tools
        self._prepare = prepare
        self._clock = clock or SystemClock()
        self._transport = transport
        self._runs_hosts_batch = find is None and not is_batch
        self.setup = setup()
        self._known_tools: tuple[AgentTool, ...] = ()
        self._inbox: deque[tuple[str, AgentMessage]] = deque()
        self._queued: dict[str, list[int]] = {"steer": [], "follow_up": []}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._seen = 0
        self._seen_waiters: list[tuple[int, asyncio.Future[None]]] = []
        if log is None:
            from tinyagent.runtime.stores.memory import MemoryLog

            log = MemoryLog()
        self.session = Session(
            log,
            self._clock,
            source=self,
            find=find or self._find,
            hooks=self._questions(),
            configure=self.configuration,
            changes=self._changes,
            key_of=key_of,
            tools_parallel_max=self.setup.tools_parallel_max,
            signal=signal,
            sinks=sinks,
        )
        self.bodies = Bodies(self.session.conversation)
        self.session.journal.join(self.bodies)
        self.hooks = HostHooks(self.session.conversation, self.bodies)
        self.hooks.signal = lambda: self.session.signal
        self.hooks.tools = tools
        self.hooks.cancel = self.cancel
        self.hooks.append = lambda event, live: self.in_loop(
            lambda: self.session.append(event, live=live)
        )
        self.projection = Projection(self.session.conversation, self.bodies)
        self._hosted = self._hosted_source()
        self._provider: ProviderSource | None = None

    def _find(self, name: str) -> HostTool:
        return find_tool(self._tools(), name, self.setup.tool_timeout_s, self.hooks)

    def _hosted_source(self) -> HostedSource:
        return HostedSource(
            stream_fn=self._stream_fn,
            model=lambda: self.setup.model,
            options=self._options,
            bodies=self.bodies,
            hooks=self.hooks,
            signal=lambda: self.session.signal,
            clock=self._clock,
        )

    def _questions(self) -> dict[str, Asked]:
        return {
            machine.BEFORE: lambda asked, seq: self.hooks.ask_before(asked, seq),
            machine.AFTER: lambda asked, seq: self.hooks.ask_after(asked, seq),
            machine.CONTEXT: lambda asked, seq: self.hooks.ask_context(asked, seq),
            machine.BATCH: lambda asked, seq: self.hooks.ask_batch(asked, seq),
            machine.STOP: self._ask_stop,
            machine.STEERING: self._poll,
            machine.FOLLOW_UP: self._poll,
        }

    # Configuration

    def configuration(self) -> k.SessionStarted:
        """Return the whole configuration as record 1 holds it."""
        setup = self._read()
        return k.SessionStarted(
            model=_model(setup),
            system=setup.system,
            tools=[logged_tool(spec) for spec in self._specs()],
            hooks=self._installed(setup),
            options=_options(setup),
            limits=setup.limits,
            versions={"tinyagent": VERSION},
        )

    def _changes(self) -> dict[str, Any]:
        """Return what is not as it was recorded: in a run the tools only, between runs all."""
        changes: dict[str, Any] = {}
        settings = self.session.conversation.settings
        tools = tuple(self._tools() or ())
        known = self._known_tools
        is_same = len(tools) == len(known) and all(map(operator.is_, tools, known))
        if self.session.is_running and is_same:
            return changes
        specs = self._specs()
        if tuple(specs) != settings.tools:
            changes["tools"] = msgspec.to_builtins([logged_tool(spec) for spec in specs])
        if self.session.is_running:
            return changes
        setup = self._read()
        for name, value, recorded in (
            ("model", _model(setup), settings.model),
            ("system", setup.system, settings.system),
            ("hooks", self._installed(setup), list(settings.hooks)),
            ("options", _options(setup), settings.options),
            ("limits", setup.limits, settings.limits),
        ):
            if value != recorded:
                changes[name] = value
        return changes

    def _read(self) -> Setup:
        self._prepare(self.hooks)
        self.setup = self._read_setup()
        return self.setup

    def _specs(self) -> list[k.ToolSpec]:
        self._known_tools = tuple(self._tools() or ())
        return [spec_of(tool, self.setup.tool_timeout_s) for tool in self._known_tools]

    def _installed(self, setup: Setup) -> list[str]:
        hooks = self.hooks
        there: dict[str, Any] = {
            machine.CONTEXT: hooks.transform or hooks.convert,
            machine.BEFORE: hooks.before,
            machine.AFTER: hooks.after,
            machine.STOP: hooks.stop,
        }
        if self._runs_hosts_batch and replaced_execution() is not None:
            # Its function calls the tools and asks their hooks.
            there |= {machine.BATCH: True, machine.BEFORE: None, machine.AFTER: None}
        return [*setup.polls, *(name for name, hook in there.items() if hook is not None)]

    # The source: a stream function of the host, or a provider

    @property
    def attempts_max(self) -> int:
        """As the source in force says."""
        return self._source().attempts_max

    @property
    def grace_s(self) -> float:
        """As the source in force says."""
        return self._source().grace_s

    def digest(self, asked: View) -> str:
        """As the source in force says."""
        return self._source().digest(asked)

    def attempt(self, asked: View, key: str | None) -> Attempt:
        """As the source in force says."""
        return self._source().attempt(asked, key)

    def _source(self) -> HostedSource | ProviderSource:
        if _is_hosted(self.setup):
            return self._hosted
        if self._provider is None:
            from tinyagent.alchemy_provider import shared_transport

            transport = self._transport or shared_transport()
            self._provider = ProviderSource(transport, self._access, self.hooks.report)
        return self._provider

    def _access(self, settings: Settings, key: str | None) -> Granted:
        from tinyagent._resolve import access

        return access(self.setup.model, settings, key or self.setup.api_key)

    def _stream_fn(self) -> Callable[..., Any]:
        from tinyagent.alchemy_provider import stream_alchemy_openai_completions

        return self.setup.stream_fn or stream_alchemy_openai_completions

    def _options(self, key: str | None) -> SimpleStreamOptions:
        named = SimpleStreamOptions.__struct_fields__
        given = {n: value for n, value in self.setup.options.items() if n in named}
        return SimpleStreamOptions(
            api_key=key or self.setup.api_key, signal=self.session.signal, **given
        )

    @property
    def raised(self) -> Exception | None:
        """What the host's own code raised, other than tools and their hooks."""
        return self._hosted.raised or self.hooks.raised

    # Queues

    def queue(self, via: str, message: AgentMessage) -> None:
        """Let *message* wait for its delivery. From any thread."""
        self._inbox.append((via, message))
        self.in_loop(self.drain)

    def withdraw(self, *ways: str) -> None:
        """Take back what is queued. From any thread."""
        kept = [item for item in self._inbox if item[0] not in ways]
        self._inbox.clear()
        self._inbox.extend(kept)
        seqs = [seq for via in ways for seq in self._queued[via]]
        for via in ways:
            self._queued[via] = []
        if seqs:
            self.session.append(k.UserWithdrawn(seqs))

    def drain(self) -> None:
        """Put on record what waits in the inbox."""
        while self._inbox:
            via, message = self._inbox.popleft()
            event, live = said(message, via)
            record = self.session.append(event, live=live)
            self._queued[via].append(record.seq)

    async def _poll(self, asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        """Answer when every event so far was delivered, so a listener may still steer."""
        await self._wait_seen(seq)
        self.drain()
        return await self.hooks.ask_queue(asked)

    async def _ask_stop(self, asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
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

    # The run

    def cancel(self, reason: str = "host") -> None:
        """Ask the run to stop. From any thread."""
        self.in_loop(lambda: self.session.cancel(reason))

    def in_loop(self, call: Callable[[], object]) -> None:
        """Make *call* in the loop of the run, at once if this is it; not at all without a run."""
        loop = self._loop
        if loop is None or not self.session.is_running:
            return
        try:
            is_here = asyncio.get_running_loop() is loop
        except RuntimeError:
            is_here = False
        if is_here:
            call()
        else:
            loop.call_soon_threadsafe(call)

    async def run(
        self, inputs: Sequence[Event | Live], show: Callable[[AgentEvent], Any]
    ) -> AsyncGenerator[AgentEvent]:
        """Run the agent on *inputs* and yield the public events, each after *show* of it.

        However the reader leaves, nothing of the run goes on when this is closed.
        """
        self._loop = asyncio.get_running_loop()
        session = self.session
        session.open()
        self.drain()
        mailbox = session.watch("face")
        playing = asyncio.create_task(session.run(inputs), name="tinyagent run")
        playing.add_done_callback(lambda _: session.unwatch(mailbox))
        try:
            while (record := await mailbox.get()) is not None:
                if isinstance(record.event, k.RunEnded):
                    await playing
                    await session.journal.reached(record)
                for event in self.projection.read(record):
                    await show(event)
                    yield event
                self._mark_seen(record)
            await playing
            self.hooks.raise_interruption()
        finally:
            if not playing.done():
                await self._stop(playing)
            while (record := await mailbox.get()) is not None:
                for event in self.projection.read(record):
                    await show(event)
                self._mark_seen(record)

    async def _stop(self, playing: asyncio.Task[None]) -> None:
        """Cancel the run and wait for its end, whatever else happens to this task."""
        self.session.cancel("closed")
        for waiter in self._seen_waiters:
            waiter[1].cancel()
        try:
            await asyncio.wait({playing})
        except asyncio.CancelledError:
            playing.cancel()
            raise


def _is_hosted(setup: Setup) -> bool:
    """Whether a function is called instead of a provider of ours: the host's, or its binding's."""
    stream_fn = setup.stream_fn
    if stream_fn is not None and not hasattr(stream_fn, "__tinyagent_provider__"):
        return True
    from tinyagent.alchemy_provider import is_answered_by_user

    return is_answered_by_user(setup.model, stream_fn)


def _model(setup: Setup) -> dict[str, Any]:
    if _is_hosted(setup):
        model = setup.model
        return {"provider": model.provider, "id": model.id, "api": model.api}
    from tinyagent.alchemy_provider import resolved

    return resolved(setup.model, setup.stream_fn)


def _options(setup: Setup) -> dict[str, Any]:
    options = {name: value for name, value in setup.options.items() if value is not None}
    return {**options, "source": HOSTED} if _is_hosted(setup) else options
