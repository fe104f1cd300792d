"""Open, load, replay: what a person does with a log.

``load`` folds and runs nothing; ``replay`` runs today's code and touches nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from tinyagent._config.checks import check_options
from tinyagent._config.redacting import redactor_for
from tinyagent._reading.opened import OpenLog
from tinyagent.events import Redact, kinds as k
from tinyagent.events.children import own
from tinyagent.recording import Recording as Recording, Records
from tinyagent.runtime.clock import Clock, system_clock
from tinyagent.runtime.crypto import Encryption, Keys, opened
from tinyagent.runtime.divergence import Report
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.load import decoded, read_log, read_records
from tinyagent.runtime.log import open_log_at
from tinyagent.runtime.sinks import Sink, Subscribed
from tinyagent.runtime.sinks.subscription import Mirrors
from tinyagent.runtime.stores import NO_OPTIONS, Durability, Log, LogOptions, records_of

if TYPE_CHECKING:
    from tinyagent.agent import Agent


class open_log:
    """Open a log for one session, creating it if it is not there.

    Args:
        where: a folder, or ``sqlite:///FILE#NAME`` (a relative path; an absolute one makes four
            slashes); None for a log in memory.
        durability: ``interval`` (a power cut may lose the last second), ``group``, ``strict``.
            In each of them a tool that may change the world starts only when its start is on disk.
        name: a label for people.
        sinks: mirrors of the log, as of ``AgentOptions.sinks``. They are given everything, and
            closed, when this is left.
        redact: what is masked in the log; without it, the keys of known providers.
        accept_loss: go on with a log although records of it are lost, and it was repaired, or
            large values: those are shown to models as lost.
        encryption: whose text it is, and where keys are; see ``runtime.crypto``.

    Raises:
        LogOwnedError: another process is writing it. CorruptLogError: it is damaged, or
            something of it is lost and *accept_loss* is not given.

    >>> async def main():
    ...     async with open_log("runs/again") as log:
    ...         return (await build(log=log).run("Plan a day in Paris")).text
    >>> asyncio.run(main())
    'Start in the Tuileries.'
    """

    # It lives as long as its log is open.
    __slots__ = ("__weakref__", "_clock", "_given", "_log", "_options")

    def __init__(
        self,
        where: str | Path | None = None,
        *,
        durability: Durability = "interval",
        name: str | None = None,
        log_id: str | None = None,
        clock: Clock | None = None,
        sinks: Sequence[Sink | Subscribed] = (),
        redact: Redact | None = None,
        accept_loss: bool = False,
        encryption: Encryption | None = None,
    ) -> None:
        check_options({"sinks": sinks, "redact": redact})
        is_usual = not sinks and redact is None
        self._options = NO_OPTIONS if is_usual else LogOptions(sinks=tuple(sinks), redact=redact)
        self._clock = clock or system_clock()
        self._given = where, durability, name, log_id, accept_loss, encryption
        self._log: OpenLog | None = None

    async def __aenter__(self) -> OpenLog:
        """Open it."""
        where, durability, name, log_id, accept_loss, encryption = self._given
        log = open_log_at(
            where,
            now_us=self._clock.now_us,
            durability=durability,
            name=name,
            log_id=log_id,
            accept_loss=accept_loss,
            encryption=encryption,
        )
        log.options = self._options
        self._log = OpenLog(log)
        return self._log

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write everything, seal and release it."""
        log = self._log
        assert log is not None
        try:
            await self._mirrored(log)
        finally:
            await log.close()

    async def _mirrored(self, log: Log) -> None:
        """Let the sinks have everything; one that fails is put on record."""
        journal = Journal(log, self._clock)
        journal.redactor = redactor_for(self._options.redact)

        def failed(name: str, seq: int, error: Exception) -> None:
            failure = k.Failure("host", f"{type(error).__name__}: {error}")
            journal.append(k.SinkFailed(name, seq, failure), cause=seq)

        await Mirrors(log, self._options.sinks, failed).close()


def load(where: str | Path | Log, *, keys: Keys | None = None) -> Recording:
    """Read a log: a folder, a packed file, an address as of ``open_log``, or an open one.

    A tail that was torn off by a crash is reported as ``damage``; what is before it is used. What
    is encrypted is read with *keys*; where there is none, texts say so.

    Raises:
        LogNotFoundError: there is none. CorruptLogError: acknowledged records are damaged.
        TypeError: *where* is none of these.

    >>> trip = load("runs/trip")
    >>> trip.status, extract_text(trip.messages[-1])
    ('answered', 'Start in the Tuileries.')
    """
    if isinstance(where, str | Path):
        if keys is None:
            try:
                meta, records, damage = read_records(where)
            except msgspec.DecodeError:  # the slower way names the record
                found = read_log(where)
                meta, damage = found.meta, found.damage
                records = decoded(found.records, damage, where)
            return Recording(str(where), meta, Records(records), damage)
        found = read_log(where)
        return Recording(str(where), found.meta, opened(found, keys), found.damage)
    if not hasattr(where, "meta"):
        kind = type(where).__name__
        told = f"a log is a folder, a file, an address, or an open one like agent.log; not {kind}"
        raise TypeError(told)
    return Recording(where.where, where.meta, Records(records_of(where)), None, is_live=True)


async def replay(where: str | Path | Log, factory: Callable[..., Any] | None = None) -> Report:
    """Run today's code over a recorded log: no network, no tools, nothing written.

    *factory* takes ``log=`` and returns an ``Agent``; its configuration takes the place of the
    recorded one. Without it the recorded configuration checks this library alone.

    Raises:
        EffectInReplayError: code that only decides touched the world.

    >>> asyncio.run(replay("runs/trip", build)).ok
    True
    """
    recording = load(where)
    if factory is None:
        return recording.replay()
    return recording.replay(configurations_of(factory, recording))


def configurations_of(
    factory: Callable[..., Any], recording: Recording
) -> dict[str, k.SessionStarted]:
    """Return the configurations that *factory* gives the agents of a log today, by their names.

    That of the agent itself, ``agent``, and those of agents below it that are its tools. What
    MCP servers list is taken from *recording*: nobody asks them.

    Raises:
        TypeError: the factory does not take ``log=``, or returns no agent.
    """
    from tinyagent._mcp.servers import recall
    from tinyagent._run.today import configurations_below
    from tinyagent.runtime.stores.memory import MemoryLog

    agent = made_by(factory, MemoryLog())
    recall(agent.state.tools, own(recording.records))
    return {"agent": agent.configuration(), **configurations_below(agent, recording)}


def made_by(factory: Callable[..., Any], log: Log) -> Agent:
    """Return the agent that *factory* makes for *log*.

    Raises:
        TypeError: the factory does not take ``log=``, or returns no agent.
    """
    from tinyagent.agent import Agent

    if not callable(factory):
        told = "a factory is a function that takes log= and returns an Agent made with it"
        raise TypeError(f"{told}, not {type(factory).__name__}")
    if "log" not in inspect.signature(factory).parameters:
        raise TypeError(f"{factory!r} must take log= and give it to its Agent")
    agent = factory(log=log)
    if not isinstance(agent, Agent):
        raise TypeError(f"{factory!r} returned {type(agent).__name__}, expected Agent")
    if agent.options.log is not log:
        raise TypeError(f"{factory!r} took log= and did not give it to its Agent")
    return agent
