"""Resume, fork, rerun: the verbs that run an agent on a log that is there already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from tinyagent._config.checks import check_edits
from tinyagent._config.redacting import redactor_for
from tinyagent._reading.opened import OpenLog
from tinyagent.actors.forking import Edit, Plan, planned
from tinyagent.events import kinds as k
from tinyagent.runtime.ancestry import segments
from tinyagent.runtime.clock import Clock, SystemClock
from tinyagent.runtime.crypto import Encryption, opened
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.load import Damage, decoded, read_log
from tinyagent.runtime.log import forked_from, open_log_at
from tinyagent.runtime.lost_values import refuse_lost
from tinyagent.runtime.stores import Durability, Log
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.runtime.stores.sqlite_tables import is_address
from tinyagent.verbs import Recording, load, made_by

if TYPE_CHECKING:
    from tinyagent._host.decisions import OnApproval, OnUnknown
    from tinyagent.agent import Agent

Factory = Callable[..., Any]


class resume:
    """Open a log and the agent that goes on with it: ``async with resume(...) as agent``.

    The run that a crash cut off, or that was paused, is ended by ``await agent.run()``: what the
    model was paid for is kept; tools that change nothing, or take a key, run again; a ``write``
    tool that was running is in doubt and never runs again by itself.

    Args:
        where: the folder of the log.
        factory: takes ``log=`` and returns an ``Agent``.
        on_unknown: decides what became of a call in doubt; without it the run is paused.
        on_approval: decides whether a call may run that waits for an approval.
        approve: call ids, each with whether it may run.
        on_interrupted: what becomes of a model call that was cut off: made again, or kept as far
            as it was heard; if not given, what the agent's options say.
        accept_loss: as of ``open_log``. A run that the last gap lies in is over: it ends as failed.
        encryption: as of ``open_log``, for a log that is encrypted.

    Raises:
        LogNotFoundError: there is no log. LogOwnedError: another process is writing it.
        CorruptLogError: it is damaged, or something is lost and *accept_loss* is not given.
        DivergenceError: today's code decides otherwise than the log says; nothing was appended.
        LogVersionError: a newer release wrote what cannot be skipped; nothing was appended.

    >>> async def main():
    ...     async with resume("runs/trip", build) as agent:
    ...         return (await agent.run("And then?")).outcome
    >>> asyncio.run(main())
    'answered'
    """

    def __init__(
        self,
        where: str | Path,
        factory: Factory,
        *,
        on_unknown: OnUnknown | None = None,
        on_approval: OnApproval | None = None,
        approve: dict[str, bool] | None = None,
        on_interrupted: Literal["retry", "keep"] | None = None,
        durability: Durability = "interval",
        clock: Clock | None = None,
        accept_loss: bool = False,
        encryption: Encryption | None = None,
    ) -> None:
        self._accept_loss = accept_loss
        self._encryption = encryption
        self._where = where
        self._factory = factory
        self._on_unknown = on_unknown
        self._on_approval = on_approval
        self._approve = approve or {}
        self._on_interrupted: Literal["retry", "keep"] | None = on_interrupted
        self._durability: Durability = durability
        self._clock = clock or SystemClock()
        self._log: Log | None = None

    async def __aenter__(self) -> Agent:
        """Open both."""
        _check_there(self._where)
        log = open_log_at(
            self._where,
            durability=self._durability,
            now_us=self._clock.now_us,
            accept_loss=self._accept_loss,
            encryption=self._encryption,
        )
        try:
            agent = made_by(self._factory, log)
            agent.take_up(
                on_unknown=self._on_unknown,
                on_approval=self._on_approval,
                on_interrupted=self._on_interrupted,
            )
            for call_id, approved in self._approve.items():
                (agent.approve if approved else agent.deny)(call_id, by="resume")
        except BaseException:
            await log.close()
            raise
        self._log = log
        return agent

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write everything, seal and release the log."""
        assert self._log is not None
        await self._log.close()


class fork:
    """Make a log that shares another one up to a record: ``async with fork(...) as child``.

    Nothing is copied and nobody is called; the parent is never touched. Then
    ``await build(log=child).run()`` goes on from the cut.

    Args:
        where: the parent: a folder, a packed file, or an open log.
        at: the last record to share; all of them if not given.
        edit: what shall be different; see ``tinyagent.edits``. It may move the cut.
        into: folder of the fork, beside its parent; None for a fork in memory.
        allow_effects: let tools that may change the world run without an approval each.
        encryption: as of ``open_log``: the fork of an encrypted log, in a folder, is encrypted.

    Attributes:
        plan: where the cut was made, and why it moved.

    Raises:
        ValueError: there is no such record, or the edit has no place.

    >>> async def main():
    ...     edit = edits.user_said("Plan a day in Rome")
    ...     async with fork("runs/trip", edit=edit, into="runs/rome") as child:
    ...         return (await build(log=child).run()).outcome
    >>> asyncio.run(main())
    'answered'
    """

    def __init__(
        self,
        where: str | Path | Log,
        *,
        at: int | None = None,
        edit: Edit | Sequence[Edit] = (),
        into: str | Path | None = None,
        allow_effects: bool = False,
        name: str | None = None,
        log_id: str | None = None,
        durability: Durability = "interval",
        clock: Clock | None = None,
        encryption: Encryption | None = None,
    ) -> None:
        self._encryption = encryption
        self._parent = where
        self._into = into
        self._guarded = not allow_effects
        self._name, self._log_id = name, log_id
        self._durability: Durability = durability
        self._clock = clock or SystemClock()
        self._log: Log | None = None
        self._at = at
        edits = [edit] if isinstance(edit, Edit) else edit
        check_edits(edits)
        self._edits = list(edits)
        self.plan: Plan | None = None

    async def __aenter__(self) -> OpenLog:
        """Make it."""
        parent = self._parent
        if isinstance(parent, OpenLog):
            parent = parent.store
        damage: Damage | None = None
        if isinstance(parent, str | Path):
            found, secret = read_log(parent), self._encryption
            damage = found.damage
            shown = found.records if secret is None else opened(found, secret.keys)
            parent = MemoryLog(meta=found.meta, records=shown, where=str(parent))
        stored = list(parent.read())
        records = decoded(stored, damage, parent.where)
        at = parent.seq if self._at is None else self._at
        self.plan = plan = planned(records, at, self._edits)
        lost = damage.lost_values if damage is not None else ()
        refuse_lost(parent.where, (value for value in lost if value.seq <= plan.at))
        await parent.durable(plan.at)
        left = forked_from(parent, plan.at)
        if self._into is None:
            shared = [one for one in stored if one.seq <= plan.at]
            self._log = MemoryLog(log_id=self._log_id, name=self._name, fork=left, records=shared)
        else:
            if isinstance(parent, MemoryLog) and not isinstance(self._parent, str | Path):
                raise ValueError(f"{self._into}: a fork of a log in memory can only be in memory")
            _check_place(parent.where, self._into)
            if parent.meta.is_encrypted and self._encryption is None:
                raise ValueError(f"{parent.where} is encrypted: pass encryption= for its fork")
            self._log = open_log_at(
                self._into,
                durability=self._durability,
                name=self._name,
                log_id=self._log_id,
                now_us=self._clock.now_us,
                fork=left,
                encryption=self._encryption,
            )
        try:
            self._begin(plan)
        except BaseException:
            await self._log.close()
            raise
        return OpenLog(self._log)

    def _begin(self, plan: Plan) -> None:
        assert self._log is not None
        journal = Journal(self._log, self._clock)
        journal.redactor = redactor_for(self._log.options.redact)
        journal.append(k.SessionForked(plan.edits, self._guarded, plan.because))
        for said in plan.said:
            journal.append(said.event, cause=said.cause, actor="host")
        if self._guarded:
            journal.append(k.ConfigChanged({"guarded": True}))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write everything, seal and release the fork."""
        assert self._log is not None
        await self._log.close()


def _check_there(where: str | Path) -> None:
    """Raise as ``read_log`` does if there is no log: to open one would create it."""
    if is_address(where) or not segments(Path(where)):
        read_log(where)


def _check_place(parent: str, into: str | Path) -> None:
    _check_new(into)
    where = Path(parent).absolute()
    if where.parent != Path(into).absolute().parent:
        raise ValueError(
            f"{into}: a fork lies beside its parent {where}, by whose id it is found; "
            f"use {where.parent / Path(into).name}"
        )


def _check_new(into: str | Path) -> None:
    if Path(into).exists():
        raise ValueError(f"{into} is there already; give a folder of its own")


async def rerun(
    where: str | Path | Log, factory: Factory, *, into: str | Path | None = None
) -> Recording:
    """Run a recorded session again, live: its inputs from the log, all else anew, in a new log.

    Each prompt starts a run. What was said, queued or cancelled while a model call or its tools
    were under way is said again when the answer to the same call of the run begins. Approvals are
    not taken over: calls have other ids.

    Returns the new log, read.

    Raises:
        ValueError: *into* is there already.

    >>> asyncio.run(rerun("runs/trip", build, into="runs/trip-2")).status
    'answered'
    """
    from tinyagent._run.rerun import Inputs

    if into is not None:
        _check_new(into)
    inputs = Inputs(load(where))
    log = open_log_at(into, now_us=SystemClock().now_us)
    try:
        await inputs.run(made_by(factory, log))
    finally:
        await log.close()
    return load(log if into is None else into)
