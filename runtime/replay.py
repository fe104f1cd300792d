"""Today's machines over a recorded log: a plain loop, no task, no clock, nothing written.

A machine steps on the records that it read when they were new. What it decides at record n is
compared with the records of its kinds whose cause is n, so the interleaving does not matter.
Workers are not run: their answers are the records.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec

from tinyagent.events import Event, Fact, Record, UnknownEvent, encode
from tinyagent.events.codec import is_same_event
from tinyagent.events.kinds import LogLost
from tinyagent.runtime.divergence import Difference, Divergence, Report, differences
from tinyagent.runtime.errors import EffectInReplayError, UnexpectedEventError
from tinyagent.runtime.loops import Machine


class Check(Protocol):
    """Compares something beside the decisions, record by record."""

    @property
    def compared(self) -> int:
        """How often it compared."""
        ...

    @property
    def unverifiable(self) -> int:
        """How often it could not, for what it needs is redacted, or encrypted and no key there."""
        ...

    def see(self, record: Record, today: Record) -> Finding | None:
        """Take the record, and what stands in its place today; return what differs."""
        ...


class Finding(msgspec.Struct, frozen=True):
    """Something differs at record ``seq``, whose cause is record ``input``."""

    seq: int
    field: str
    paths: tuple[Difference, ...]
    cause: str


def replay(
    where: str,
    records: Sequence[Record],
    machines: Sequence[Machine[Any]],
    checks: Sequence[Check] = (),
    *,
    instead: Mapping[int, Event] | None = None,
    is_loose: bool = False,
) -> Report:
    """Step *machines* through *records* and compare; stop at the first divergence.

    *instead* puts today's events in the place of recorded ones, by number: a configuration.
    *is_loose*: go on behind it; what else differs, most of it a consequence, is the cascade.
    Behind records that are lost nothing can be compared: there it ends.

    Raises:
        EffectInReplayError: a step touched a file, a socket or a process.
    """
    known, lost = _until_lost(records)
    run = _Replay(where, known, machines, checks, instead or {})
    found = run.divergences()
    first = next(found, None)
    return Report(
        where=where,
        records=len(known),
        matched=run.matched,
        requests=sum(check.compared for check in checks),
        unverifiable=sum(check.unverifiable for check in checks),
        unfinished=run.unfinished,
        lost=lost,
        first_divergence=first,
        cascade=tuple(found) if is_loose else (),
    )


def _until_lost(records: Sequence[Record]) -> tuple[Sequence[Record], tuple[int, int] | None]:
    """Return the records before the first gap, and what is lost there."""
    for at, record in enumerate(records):
        if isinstance(record.event, LogLost):
            return records[:at], (record.event.first, record.event.last)
    return records, None


class _Replay:
    def __init__(
        self,
        where: str,
        records: Sequence[Record],
        machines: Sequence[Machine[Any]],
        checks: Sequence[Check],
        instead: Mapping[int, Event],
    ) -> None:
        self.where = where
        self.records = records
        self.machines = machines
        self.checks = checks
        self.instead = instead
        self.matched = 0
        self.unfinished = 0
        self._decided: dict[int, list[Record]] = {}
        decisions = frozenset().union(*(machine.decisions for machine in machines))
        for record in records:
            if record.event.kind in decisions:
                self._decided.setdefault(record.cause, []).append(record)
        self._last = {
            machine.name: max(
                (r.cause for r in records if r.event.kind in machine.decisions), default=0
            )
            for machine in machines
        }

    def divergences(self) -> Iterator[Divergence]:
        for record in self.records:
            event = self.instead.get(record.seq)
            today = record if event is None else msgspec.structs.replace(record, event=event)
            for check in self.checks:
                finding = check.see(record, today)
                if finding is not None:
                    yield self._found(record, finding)
            for machine in self.machines:
                if today.event.kind in machine.inputs:
                    found = self._compare(machine, today)
                    if found is not None:
                        yield found

    def _compare(self, machine: Machine[Any], record: Record) -> Divergence | None:
        recorded = [
            r for r in self._decided.get(record.seq, ()) if r.event.kind in machine.decisions
        ]
        if isinstance(record.event, UnknownEvent):
            told = f"{record.event.kind} version {record.event.v} is of a newer release"
            return self._divergence(machine, record, recorded, 1, None, cause=told)
        before = machine.state
        try:
            with _no_effects():
                decided = machine.take(record)
        except UnexpectedEventError as error:
            return self._divergence(machine, record, recorded, 1, None, cause=str(error))
        for at in range(max(len(recorded), len(decided))):
            now = decided[at] if at < len(decided) else None
            if at >= len(recorded) and record.seq >= self._last[machine.name]:
                self.unfinished += len(decided) - at
                return None
            if at < len(recorded) and now is not None and is_same_event(recorded[at].event, now):
                self.matched += 1
                continue
            told = machine.digest(before) if machine.digest is not None else ""
            return self._divergence(machine, record, recorded, at + 1, now, state_before=told)
        return None

    def _divergence(
        self,
        machine: Machine[Any],
        record: Record,
        recorded: list[Record],
        ordinal: int,
        now: Event | None,
        **more: Any,
    ) -> Divergence:
        then = recorded[ordinal - 1] if ordinal <= len(recorded) else None
        paths: tuple[Difference, ...] = ()
        if then is not None and now is not None and then.event.kind == now.kind:
            paths = tuple(differences(_plain(then.event), _plain(now)))
        seq = then.seq if then is not None else 0
        agreed = (seq or record.seq + 1) - 1
        return Divergence(
            where=self.where,
            seq=seq,
            machine=machine.name,
            input=record.seq,
            input_kind=record.event.kind,
            ordinal=ordinal,
            of=len(recorded),
            grade="extra" if then is None else "missing" if now is None else "shape",
            recorded=None if then is None else (then.event.kind, _plain(then.event)),
            now=None if now is None else (now.kind, _plain(now)),
            paths=paths,
            agreed=agreed,
            not_compared=self.records[-1].seq - agreed - 1,
            **more,
        )

    def _found(self, record: Record, finding: Finding) -> Divergence:
        return Divergence(
            where=self.where,
            seq=finding.seq,
            machine=finding.field,
            input=record.cause,
            input_kind=record.event.kind,
            ordinal=1,
            of=1,
            grade="shape",
            recorded=None,
            now=None,
            paths=finding.paths,
            cause=finding.cause,
            agreed=finding.seq - 1,
            not_compared=self.records[-1].seq - finding.seq,
        )


def _plain(event: Event) -> Any:
    return msgspec.json.decode(encode(event)) if isinstance(event, Fact) else repr(event.raw)


_EFFECTS = ("open", "socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn")
# An audit hook cannot be removed: installed once, then told which thread it watches, 0 for none.
# It is called in every thread; the writers of other logs go on meanwhile.
_watching = [False]
_watched = [0]


@contextmanager
def _no_effects() -> Generator[None]:
    """Let any file, socket or process access raise while the block runs."""
    if not _watching[0]:
        _watching[0] = True
        sys.addaudithook(_audit)
    before, _watched[0] = _watched[0], threading.get_ident()
    try:
        yield
    finally:
        _watched[0] = before


def _audit(name: str, args: tuple[object, ...]) -> None:
    if _watched[0] and name.startswith(_EFFECTS) and threading.get_ident() == _watched[0]:
        _watched[0] = 0
        raise EffectInReplayError(
            f"a step used {name}{args!r:.200} during replay; only decide here"
        )
