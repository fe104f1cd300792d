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
from types import FrameType
from typing import Any, Protocol

import msgspec

from tinyagent.events import Event, Fact, Record, UnknownEvent, encode
from tinyagent.events.children import AGENT
from tinyagent.events.codec import is_same_event
from tinyagent.events.gone import is_redacted, lost_value
from tinyagent.events.kinds import LogLost
from tinyagent.events.sealing import is_sealed
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
    Where something of a record is lost, or what a machine reads of it is redacted, it ends: behind
    that nothing can be compared.

    Raises:
        EffectInReplayError: a step touched a file, a socket or a process.
    """
    known, lost, ended = _until_gone(records, machines)
    run = _Replay(where, known, machines, checks, instead or {})
    found = run.divergences()
    first = next(found, None)
    cascade = tuple(found) if is_loose else ()
    behind = () if lost is not None else records[len(known) :]
    return Report(
        where=where,
        records=len(known),
        matched=run.matched,
        requests=sum(check.compared for check in checks),
        canonical=run.canonical,
        unverifiable=sum(check.unverifiable for check in checks)
        + run.unverifiable
        + sum(record.event.kind in run.decisions for record in behind),
        unfinished=run.unfinished,
        lost=lost,
        ended=ended,
        first_divergence=first,
        cascade=cascade,
    )


def _until_gone(
    records: Sequence[Record], machines: Sequence[Machine[Any]]
) -> tuple[Sequence[Record], tuple[int, int] | None, str]:
    """Return the records before the first that is not known, what is lost there, and why it ends.

    It is not known if it is lost, or a large value of it is, or what a machine reads is redacted.
    """
    inputs = frozenset().union(*(machine.inputs for machine in machines))
    for at, record in enumerate(records):
        event, seq = record.event, record.seq
        if isinstance(event, LogLost):
            told = f"records {event.first}..{event.last} are lost, and none behind them is compared"
            return records[:at], (event.first, event.last), told
        if digest := lost_value(record):
            told = f"a large value of record {seq} is lost ({digest:.8}…)"
            return records[:at], (seq, seq), f"{told}, and none behind it is compared"
        if isinstance(event, UnknownEvent) and event.kind in inputs and is_redacted(record):
            told = f"record {seq}, {event.kind}, was redacted, and none behind it can be compared"
            return records[:at], None, told
    return records, None, ""


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
        self.matched = self.canonical = self.unverifiable = self.unfinished = 0
        self._decided: dict[int, list[Record]] = {}
        self.decisions = frozenset().union(*(machine.decisions for machine in machines))
        for record in records:
            if record.event.kind in self.decisions:
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
            if at < len(recorded) and now is not None and self._is_same(recorded[at], now):
                continue
            told = machine.digest(before) if machine.digest is not None else ""
            place = _place(machine, before, record, now)
            more = {"state_before": told, "at": place}
            return self._divergence(machine, record, recorded, at + 1, now, **more)
        return None

    def _is_same(self, recorded: Record, now: Event) -> bool:
        """Whether *recorded* is what is decided now, as far as it can be told; count it."""
        if recorded.event.kind == now.kind and is_redacted(recorded):
            self.unverifiable += 1
        elif recorded.actor in (AGENT, "") and is_same_event(recorded.event, now):
            self.matched += 1
            payload = recorded.payload
            self.canonical += bool(payload) and not is_sealed(payload) and payload != encode(now)
        else:
            return False
        return True

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
            if not paths:
                paths = (Difference("actor", then.actor, AGENT),)
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


def _place(machine: Machine[Any], before: Any, record: Record, now: Event | None) -> str:
    """Return where in its code *machine* decides *now* at *record*: file, line, function.

    That is where it is first returned by somebody; of no decision, where the step ends.
    """
    found: list[str] = []

    def look(frame: FrameType, what: str, value: Any) -> None:
        is_it = now is not None and not found and what == "return" and _holds(value, now)
        if is_it or (what == "return" and frame.f_code is code and not found):
            code_of = frame.f_code
            path = "/".join(code_of.co_filename.replace("\\", "/").split("/")[-2:])
            found.append(f"{path}:{frame.f_lineno} in {code_of.co_name}")

    code = getattr(machine.step, "__code__", None)
    profiled = sys.getprofile()
    sys.setprofile(look)
    try:
        machine.step(before, record)
    finally:
        sys.setprofile(profiled)
    return found[0] if found else ""


def _holds(value: Any, event: Event) -> bool:
    if isinstance(value, tuple):
        return any(_holds(item, event) for item in value)
    return type(value) is type(event) and value == event


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
