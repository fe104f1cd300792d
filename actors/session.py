"""A session: one log, the cast around it, and who puts them on stage.

The cast is at work only while a run is; an idle session holds no task and no mailbox. Whoever
wants to see what happens asks for a mailbox of its own (``watch``) before the run begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from tinyagent.actors.children import Children, agent_machine as agent_machine, diverged
from tinyagent.actors.closing import close_run
from tinyagent.actors.context import Contexts, Provided
from tinyagent.actors.curtain import Curtain, brought_down
from tinyagent.actors.hooks import Asked, Hooks
from tinyagent.actors.masked import (
    Shadow,
    UnknowingTools,
    recorded,
    shadow_of,
    unknown_calls,
    versions_of,
)
from tinyagent.actors.reopening import Reopened, look_for_open, newer
from tinyagent.actors.snapshots import Face, Keeper, Rested
from tinyagent.actors.streamer import KeyOf, Source, Streamer
from tinyagent.actors.timers import Timers
from tinyagent.actors.tools import PARALLEL_MAX, Find, Tools
from tinyagent.events import Conversation, Event, Record, kinds as k
from tinyagent.runtime.clock import Clock
from tinyagent.runtime.collecting import uncollected
from tinyagent.runtime.errors import (
    DivergenceError,
    InvariantError,
    LogError,
    LogVersionError,
)
from tinyagent.runtime.journal import Journal, Reader
from tinyagent.runtime.loops import Live, Stage, Worker
from tinyagent.runtime.mailbox import Mailbox
from tinyagent.runtime.sinks import Sink, Subscribed
from tinyagent.runtime.sinks.subscription import Mirrors
from tinyagent.runtime.stores import Log

CONTROL = frozenset({k.CancelRequested.kind, k.BudgetExceeded.kind, k.RunEnded.kind})
BEHIND_MAX = 10_000
UNASKED_BYTES_MAX = 64 << 10


class Session:
    """One agent over one log.

    Args:
        configure: returns the whole configuration as of now, for record 1.
        changes: returns what the host changed since it was last asked, as ``config.changed.set``.
        sinks: get every record, from behind their checkpoint on, while a run is under way.
        signal: the host's own; set when a run is cancelled. Without it each run has a new one.
        face: who shows the session; told what the log holds already when it is opened.
        conversation: the fold to keep, if the host wants it before there is a session.
    """

    def __init__(
        self,
        log: Log,
        clock: Clock,
        *,
        source: Source,
        find: Find,
        ask: Asked,
        configure: Callable[[], k.SessionStarted],
        changes: Callable[[], dict[str, Any]],
        key_of: Callable[[], KeyOf | None] = lambda: None,
        tools_parallel_max: int = PARALLEL_MAX,
        signal: asyncio.Event | None = None,
        sinks: Sequence[Sink | Subscribed] = (),
        face: Face | None = None,
        conversation: Conversation | None = None,
    ) -> None:
        self.log = log
        self.journal = Journal(log, clock)
        self.conversation = conversation or Conversation()
        self.machine = agent_machine()
        self.children = Children(log, self.journal, self.machine)
        self.conversation.owner = self.children.path
        self.children.claimed.update(self.conversation.claimed)
        self.conversation.claimed = self.children.claimed
        self.signal = signal or asyncio.Event()
        self.provided = Provided()  # for tools and hooks; the host may set it between runs
        self._own_signal = signal is None
        self._is_cancelled = False
        self._fail: Callable[[BaseException], None]  # ends the run that is under way
        self.called_off = ""  # why the run that is about to begin is to be cancelled
        self.behind_max = BEHIND_MAX
        self._unasked_bytes = 0
        self.is_running = False
        self.keeps_interrupted = False
        self.reopened = Reopened()
        self._unheard: list[Record] = []
        self._configure = configure
        self._changes = changes
        self._watchers: list[Mailbox] = []
        self._source = source
        self._key_of = key_of
        self._find = find
        self._ask = ask
        self._parallel_max = tools_parallel_max
        sinks, told = (*sinks, *log.options.sinks), (self._sink_failed, self._sink_behind)
        self._mirrors = Mirrors(log, sinks, *told, self.journal.depths)
        self.shadow: Shadow | None = None
        self.journal.join(self.conversation)
        self._untold: list[tuple[str, str]] | None = []  # to be reported when it opens; then None
        self._keeper = Keeper(self.journal, self.machine, self.children, self.conversation, face)

    def open(self) -> bool:
        """Write the configuration as record 1, or take up what the log holds; False if it was open.

        Raises:
            DivergenceError: today's code decides otherwise than the log says; nothing is written.
            LogVersionError: a newer release wrote what nobody may skip; nothing is written.
            PrunedLogError: the beginning was removed; nothing is written.
        """
        if self._untold is None:
            return False
        self.shadow = self.journal.shadow = shadow_of(self.journal.redactor)
        if not (self.log.seq and self._restore()):
            started = self._configure()
            if versions := versions_of(self.journal.redactor):
                started = msgspec.structs.replace(started, versions=started.versions | versions)
            self._own(self.journal.append(started))
        untold, self._untold = self._untold, None
        for name, message in untold:
            self.report(name, message)
        return True

    def rested(self) -> Rested | None:
        """Return what another one needs to go on from here; None if this one holds more."""
        holds = self._mirrors.all or self._watchers or self._unheard or self.shadow
        if holds or self.is_running or self._untold is not None:
            return None
        return self._keeper.rested()

    def go_on(self, rested: Rested) -> None:
        """Stand where the session stood whose conversation this one was made with."""
        self._keeper.go_on(rested)
        self._untold = None

    def append(self, event: Event, *, live: object = None) -> Record:
        """Record what came from outside. In an idle session the agent takes it in at once."""
        self.open()
        record = self.journal.append(event, live=live)
        if not self.is_running:
            self._own(record)
        return record

    def watch(self, name: str, *, below: bool = False) -> Mailbox:
        """Return a mailbox that gets every record from now on; *below*: those of children too."""
        mailbox = Mailbox(name, None)
        if below:
            self.children.readers.append(mailbox)
        self._watchers.append(mailbox)
        self.journal.join(mailbox)
        return mailbox

    def unwatch(self, mailbox: Mailbox) -> None:
        """Post nothing more to *mailbox* and let its reader end."""
        self.journal.leave(mailbox)
        self._watchers = [other for other in self._watchers if other is not mailbox]
        self.children.readers[:] = [r for r in self.children.readers if r is not mailbox]
        mailbox.close()

    @property
    def is_unfinished(self) -> bool:
        """Whether the log's last run was cut off, and its end is still to be made or shown."""
        found = self.reopened
        return bool(found.began) and (not self.machine.state.is_at_rest or bool(found.missing))

    def take_unheard(self) -> list[Record]:
        """Return what was appended when the log was opened and belongs to that run, once."""
        unheard, self._unheard = self._unheard, []
        if self.machine.state.is_at_rest:
            self.reopened = Reopened()
        return unheard

    async def run(self, inputs: Sequence[Event | Live], *, is_told: bool = False) -> None:
        """Append *inputs*, of which the first starts a run, and return when the run has ended.

        Without inputs the run goes on that an earlier process left unfinished. *is_told*: what is
        configured is on record.

        Raises:
            RunUnfinishedError: there are inputs, but such a run is still to be ended.
            LogError, MailboxFullError, UnexpectedEventError ...: the session cannot go on.
        """
        self.open()
        if (inputs or self.reopened.is_broken) and not self.machine.state.is_at_rest:
            raise self.reopened.unfinished(self.log.where)
        if not is_told:
            self.sync()
        self._is_cancelled = False
        if self._own_signal:
            self.signal = asyncio.Event()
        reopened, self.reopened = self.reopened, Reopened()
        cast = self._cast(reopened)
        self.is_running = True
        began = self.journal.run = reopened.began or self.log.seq + 1
        self._mirrors.start()
        mail, on_stage = Mailbox(self.machine.name, self.machine.inputs), list[Reader]()
        try:
            async with Stage(self.journal) as stage:
                self._fail = stage.fail
                playing = [stage.serve(worker, CONTROL) for worker in cast]
                # The curtain falls after all have their mail.
                on_stage += [mail, *playing, self._keeper.behind(mail), Curtain(stage)]
                self.journal.join(*on_stage)
                self._hand_out(reopened, playing)
                await self.children.settle()
                for item in inputs:
                    event, live = item if isinstance(item, Live) else (item, None)
                    self.journal.append(event, live=live)
                if self.called_off:
                    self.cancel(self.called_off)
                stage.drive(self.machine, mail, self.sync)
        except asyncio.CancelledError:
            # The loop is closed under the run. The agent may be used again, in another one.
            with suppress(LogError):  # a log that takes nothing more cannot be told
                await self.children.close()
                await close_run(self.machine, mail, self.journal, began)
            raise
        except BaseExceptionGroup as group:
            name = stage.raised_by or self.machine.name
            raise brought_down(group, self.journal, name) from None
        else:
            self.is_running = False
            while len(mail):  # what came when the curtain had fallen
                if (late := await mail.get()) is not None:
                    self._own(late)
        finally:
            self.is_running = False
            if not self.machine.state.is_at_rest:
                self.reopened = Reopened(began, is_broken=True)
            await self.children.stop()
            self.journal.leave(*on_stage)
            await self._mirrors.rest()

    def _hand_out(self, reopened: Reopened, cast: Sequence[Reader]) -> None:
        """Give the workers again what was asked of them and not answered."""
        requests = reopened.requests
        if reopened.cancelled is not None:
            self._is_cancelled = True
            self.signal.set()
            requests = [reopened.cancelled, *requests]
        for request in requests:
            for reader in cast:
                if request.event.kind in (reader.kinds or ()):
                    reader.post(request)

    def cancel(self, reason: str) -> None:
        """Ask the run to stop; nothing happens when there is none, or it was asked before."""
        if self.is_running and not self._is_cancelled:
            self._is_cancelled = True
            self.signal.set()
            try:
                self.journal.append(k.CancelRequested(reason))
            except LogError as error:  # nobody would hear of it: all end at once
                self._fail(error)

    def sync(self) -> None:
        """Record what the host changed in the configuration since the last time."""
        if changes := self._changes():
            redactor, now = self.journal.redactor, self.conversation.settings
            if new := recorded(redactor, now, changes):
                self._own(self.journal.append(k.ConfigChanged(new)))

    def report(self, name: str, message: str) -> None:
        """Record something that a person may want to know."""
        self.journal.append(k.DiagnosticReported(name, message))

    def later(self, name: str, message: str) -> None:
        """Report when the session is opened; without any record if it never is."""
        if self._untold is not None:
            self._untold.append((name, message))

    def _own(self, record: Record) -> None:
        """Let the machine take a record that no mailbox brings it."""
        is_heard = not self.is_running and record.event.kind in self.machine.inputs
        if is_heard and self.machine.take(record):
            told = f"record {record.seq} started a run outside of ``run``; please report this"
            raise InvariantError(told)

    @uncollected()
    def _restore(self) -> bool:
        """Stand where the log ends; False if the agent has no records in it."""
        if (told := self._keeper.look_back()) is None:
            return False
        self.reopened, past = told
        if self.reopened.too_new is not None:
            raise LogVersionError(newer(self.log.where, self.reopened.too_new))
        if self.reopened.diverged:
            raise DivergenceError(diverged(self.log.where, past.records))
        began = self.reopened.began or self.log.seq + 1
        before, since = past.parted(began)
        self.conversation.read(before)
        face = self._keeper.face
        if face is not None:
            for record in (r for r in past.of(face.kinds) if r.seq < began):
                face.relive(record, is_open=False)
            face.recall()
        for record in since:
            self.conversation.post(record)
            if face is not None:
                face.relive(record, is_open=True)
        if self.shadow is not None:
            self.shadow.restore(past.records, self.machine.state)
        self.children.claim(self.conversation.calls)
        self.reopened.unknown = unknown_calls(past, self.conversation)
        self._append_recovery()
        self.sync()
        for record, decided in self.reopened.missing:
            for event in decided:
                taken = self.journal.append(event, cause=record.seq, actor=self.machine.name)
                self._unheard.append(taken)
        sent = range(self.log.meta.cut + 1, self._unheard[0].seq)
        look_for_open(self.reopened, [*past.records, *self._unheard], self.machine.state, sent=sent)
        return True

    def _append_recovery(self) -> None:
        if (found := self.log.recovered) is not None:
            told = found.torn_bytes, found.dropped, found.copied, found.segment
            self._own(self.journal.append(k.LogRecovered("unclean", *told)))
        versions = versions_of(self.journal.redactor)
        self._unheard.append(self.journal.append(k.SessionResumed(self.log.epoch, versions)))

    def _cast(self, reopened: Reopened) -> tuple[Worker, ...]:
        """Return the workers, in the order of the flow."""
        contexts = Contexts(self.log.meta.log, self.journal.clock, self.signal, self.provided)
        return (
            Streamer(
                self._source,
                self.conversation,
                self.journal.clock,
                log_id=self.log.meta.log,
                key_of=self._key_of(),
                room=self._room,
                recorded=self.shadow.conversation if self.shadow is not None else None,
                reopened=reopened.attempts,
                keeps_interrupted=self.keeps_interrupted,
            ),
            (UnknowingTools if reopened.unknown else Tools)(
                self._find,
                self.conversation,
                contexts,
                parallel_max=self._parallel_max,
                report=self.report,
                reopened=reopened,
                children=self.children,
            ),
            Hooks(
                self._ask,
                contexts,
                frozenset(request.seq for request in reopened.requests),
            ),
            Timers(self.journal.clock, self.signal, shared=self.log.meta.cut),
        )

    def _sink_failed(self, name: str, seq: int, error: Exception) -> None:
        failure = k.Failure("host", f"{type(error).__name__}: {error}")
        with suppress(LogError):  # whoever appends next is told
            self.journal.append(k.SinkFailed(name, seq, failure), cause=seq)

    def _sink_behind(self, name: str, lag: int) -> None:
        with suppress(LogError):  # whoever appends next is told
            self.report("sink.behind", f"{name} is {lag} records behind; it reads the log")

    def _room(self, said: Record) -> Awaitable[None] | None:
        """Return what a source that has *said* something waits for; the disk is asked at times."""
        self._unasked_bytes += len(said.payload)
        readers, below = self._watchers, self.children.readers
        for mailbox in readers + below if below else readers:
            if len(mailbox) > self.behind_max:
                break
        else:
            if self._unasked_bytes < UNASKED_BYTES_MAX:
                return None
        self._unasked_bytes = 0
        return self._wait_room()

    async def _wait_room(self) -> None:
        for mailbox in {*self._watchers, *self.children.readers}:
            await mailbox.room(self.behind_max)
        await self.log.room()
