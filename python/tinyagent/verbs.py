"""Open, load, replay: what a person does with a log.

``load`` folds and runs nothing; ``replay`` runs today's code and touches nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tinyagent.actors.replaying import verify
from tinyagent.agent_types import AgentEvent, AgentMessage
from tinyagent.events import Conversation, Record, Settings, kinds as k
from tinyagent.runtime.clock import Clock, SystemClock
from tinyagent.runtime.divergence import Report
from tinyagent.runtime.load import Damage, read_log
from tinyagent.runtime.log import open_log_at
from tinyagent.runtime.stores import Durability, Log, LogMeta, Stored, as_record

if TYPE_CHECKING:
    from tinyagent.agent import Agent


class open_log:
    """Open a log for one session, creating it if it is not there.

    Args:
        where: a folder; None for a log in memory.
        durability: ``interval`` (a power cut may lose the last second), ``group``, ``strict``.
            In each of them a tool that may change the world starts only when its start is on disk.
        name: a label for people.

    Raises:
        LogOwnedError: another process is writing it. CorruptLogError: it is damaged.
    """

    def __init__(
        self,
        where: str | Path | None = None,
        *,
        durability: Durability = "interval",
        name: str | None = None,
        log_id: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._open: Callable[[], Log] = lambda: open_log_at(
            where,
            durability=durability,
            name=name,
            log_id=log_id,
            now_us=self._clock.now_us,
        )
        self._log: Log | None = None

    async def __aenter__(self) -> Log:
        """Open it."""
        self._log = self._open()
        return self._log

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write everything, seal and release it."""
        assert self._log is not None
        await self._log.close()


class Recording:
    """What a log says. Reading it never runs anything.

    Attributes:
        where, meta: which log. damage: what is wrong with it, None if nothing.
        records: every record, in order. conversation: the fold of all of them.
    """

    def __init__(
        self, where: str, meta: LogMeta, stored: Sequence[Stored], damage: Damage | None
    ) -> None:
        self.where = where
        self.meta = meta
        self.damage = damage
        self.records: list[Record] = [as_record(item) for item in stored]
        self.conversation = Conversation()
        for record in self.records:
            self.conversation.evolve(record)

    @property
    def settings(self) -> Settings:
        """The configuration at the end of the log."""
        return self.conversation.settings

    @property
    def messages(self) -> list[AgentMessage]:
        """The conversation as public messages."""
        from tinyagent._bodies import Bodies

        return Bodies(self.conversation).all()

    def events(self) -> Iterator[AgentEvent]:
        """Yield the public events of every run, as they once were delivered."""
        from tinyagent._bodies import Bodies
        from tinyagent.projection import Projection

        conversation = Conversation()
        bodies = Bodies(conversation)
        projection = Projection(conversation, bodies)
        for record in self.records:
            conversation.evolve(record)
            if bodies.wants(record):
                bodies.post(record)
            yield from projection.read(record)

    def replay(self, today: k.SessionStarted | None = None) -> Report:
        """Run today's code over the records; *today* is the configuration to use instead."""
        return verify(self.where, self.records, today)


def load(where: str | Path | Log) -> Recording:
    """Read a log: a folder, a packed file, or an open one.

    A tail that was torn off by a crash is reported as ``damage``; what is before it is used.

    Raises:
        LogNotFoundError: there is none. CorruptLogError: acknowledged records are damaged.
    """
    if isinstance(where, str | Path):
        found = read_log(where)
        return Recording(str(where), found.meta, found.records, found.damage)
    return Recording(where.where, where.meta, list(where.read()), None)


async def replay(where: str | Path | Log, factory: Callable[..., Any] | None = None) -> Report:
    """Run today's code over a recorded log: no network, no tools, nothing written.

    *factory* takes ``log=`` and returns an ``Agent``; its configuration takes the place of the
    recorded one. Without it the recorded configuration checks this library alone.

    Raises:
        EffectInReplayError: code that only decides touched the world.
    """
    recording = load(where)
    if factory is None:
        return recording.replay()
    return recording.replay(configuration_of(factory))


def configuration_of(factory: Callable[..., Any]) -> k.SessionStarted:
    """Return the configuration that *factory* gives an agent today.

    Raises:
        TypeError: the factory does not take ``log=``, or returns no agent.
    """
    from tinyagent.runtime.stores.memory import MemoryLog

    return made_by(factory, MemoryLog()).configuration()


def made_by(factory: Callable[..., Any], log: Log) -> Agent:
    """Return the agent that *factory* makes for *log*.

    Raises:
        TypeError: the factory does not take ``log=``, or returns no agent.
    """
    from tinyagent.agent import Agent

    if "log" not in inspect.signature(factory).parameters:
        raise TypeError(f"{factory!r} must take log= and give it to its Agent")
    agent = factory(log=log)
    if not isinstance(agent, Agent):
        raise TypeError(f"{factory!r} returned {type(agent).__name__}, expected Agent")
    if agent.options.log is not log:
        raise TypeError(f"{factory!r} took log= and did not give it to its Agent")
    return agent
