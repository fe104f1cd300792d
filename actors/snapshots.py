"""Snapshots of a session: taken where a run has ended, so that a long log is taken up from there.

Between two runs nothing is open, so there is little to keep: the state of the machine, the
conversation, and the few records that the face wants to know of. A run that was cut off is gone
through as a whole, for its public events are made of all its records.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, lru_cache
from itertools import compress
from typing import Any, NamedTuple, Protocol

import msgspec

from tinyagent.actors.children import Children
from tinyagent.actors.masked import is_apart
from tinyagent.actors.playing import Told
from tinyagent.actors.reopening import Reopened, check_beginning, reopened
from tinyagent.actors.state import State, digest_of
from tinyagent.events import Conversation, Record, kinds as k, record_of
from tinyagent.events.settled import Earlier, Lasting, Settled, lasting
from tinyagent.events.sifted import Sifted
from tinyagent.runtime.errors import DivergenceError
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.loops import Machine
from tinyagent.runtime.mailbox import Mailbox
from tinyagent.runtime.stores import Recovered, records_of
from tinyagent.runtime.stores.snapshots import Snapshot, code_of, snapshots_of

RECORDS_MIN, BYTES_MIN = 1_000, 1 << 20
"""One is due after so many records, or so much that was said."""
SHARE = 8
"""But not before an eighth of what the last one held is new: all of them together cost no more
than so many times the last one."""
_FIRST = msgspec.structs.astuple(State())
_EARLIER = b', "earlier":'
"""Ahead of the earlier messages, which come last. Between no other two fields is a blank."""
_AHEAD = re.compile(_EARLIER)
_NOT_HERE = msgspec.Raw(b"null")
_STEPS = "agent children compaction configured gate limits output snapshots state"


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot holds.

    Attributes:
        machines: their states, by name. children: the agents below, which have ended.
        records: what happened before and the face wants to know of.
        masked: as of ``Redactor``.
    """

    machines: dict[str, State]
    children: Told
    conversation: Settled
    records: list[Line]
    masked: int | None


Line = tuple[int, int, str, str, int, int, msgspec.Raw]
"""A record: number, microseconds, actor, kind, version, cause, payload."""


class Face(Protocol):
    """Who shows a session, and must know what happened in it before this process.

    Of runs that have ended it is told the records of *kinds* alone.
    """

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds that matter even when their run is over."""
        ...

    def relive(self, record: Record, *, is_open: bool) -> None:
        """Take in a record of the past; *is_open*: of the run that did not end."""
        ...

    def recall(self) -> None:
        """The conversation stands where it stood when the last run began, or ended."""
        ...


Unusual = tuple[Any, ...]
"""The names of the fields of a state that are not as in the first, a tuple that is shared by all
who name the same; and their values."""
Counts = tuple[int, int, int, int, bool]
"""How far the last snapshot reaches, and what came since."""


class Rested(NamedTuple):
    """All of a session at rest that outlasts it, beside the log.

    ``keeper`` is None if no snapshot was taken: what one would hold is counted again then.
    """

    state: Unusual
    run: int
    recovered: Recovered | None
    keeper: Counts | None
    conversation: Lasting


class Keeper:
    """Reader of the journal: keeps a snapshot of its session where a run ends, if one is due."""

    kinds = frozenset({k.RunEnded.kind})

    def __init__(
        self,
        journal: Journal,
        machine: Machine[State],
        children: Children,
        conversation: Conversation,
        face: Face | None,
    ) -> None:
        self._journal = journal
        self._machine = machine
        self._children = children
        self._conversation = conversation
        self.face = face
        self._snapshots = snapshots_of(journal.log)
        self._code = code() if self._snapshots is not None else ""
        self._records: list[Line] = []
        self._last = self._size = self._seen = self._new = 0
        self._was_apart = False
        self._mail: Mailbox | None = None

    def rested(self) -> Rested | None:
        """Return all that another session needs to know; None if this one knows more."""
        is_writing = self._snapshots is not None and self._snapshots.is_writing
        told = lasting(self._conversation)
        if self._records or is_writing or told is None or not self._children.is_idle:
            return None
        counts: Counts | None = None
        if self._last or self._was_apart:
            counts = self._last, self._size, self._seen, self._new, self._was_apart
        return Rested(_unusual(self._machine.state), *self._journal.past, counts, told)

    def go_on(self, rested: Rested) -> None:
        """Know what *rested* tells; the conversation does already."""
        names, *values = rested.state
        self._machine.state = State(**dict(zip(names, values, strict=True)))
        self._journal.past = rested.run, rested.recovered
        if rested.keeper is not None:
            self._last, self._size, self._seen, self._new, self._was_apart = rested.keeper

    # Looking back

    def look_back(self) -> tuple[Reopened, Sifted] | None:
        """Step the machine through the log, from the newest snapshot on that fits to it.

        Return what is left to do, and the agent's own records behind the snapshot; what is before
        them, all that read the log have been told. None if the agent has no records.

        Raises:
            DivergenceError: as ``Children.recall``.
            PrunedLogError: the beginning was removed, and no snapshot stands for it.
        """
        for snapshot, held, behind in self._usable():
            found = self._taken_up(held, behind)
            if found is not None:
                self._last, self._size = snapshot.seq, memoryview(snapshot.held).nbytes
                self._seen = held.conversation.length
                return found
        log = self._journal.log
        check_beginning(log)
        self._machine.state = State()
        past = self._children.recall(records_of(log, joined=True))
        self._remember(past)
        return (reopened(past, self._machine), past) if past.records else None

    def _taken_up(self, held: Held, behind: list[Record]) -> tuple[Reopened, Sifted] | None:
        """Go on from *held* with what is on record *behind* it; None if that leads astray."""
        self._machine.state = held.machines[self._machine.name]
        with suppress(DivergenceError):  # of a child; whether it is true, the whole log will say
            past = self._children.recall(behind)
            found = reopened(past, self._machine)
            if found.diverged:
                return None
            self._conversation.settle(held.conversation)
            self._children.take_up(held.children)
            before = [_record(line) for line in held.records]
            if self.face is not None:
                for record in before:
                    self.face.relive(record, is_open=False)
            self._remember(Sifted([*before, *past.records]))
            return found, past
        return None

    def _remember(self, past: Sifted) -> None:
        """Remember for later snapshots what the face wants to know of the *past*."""
        self._was_apart = is_apart(self._journal.redactor, past)
        wanted = self.face.kinds if self.face is not None else ()
        self._records = [_line(record) for record in past.of(wanted) if _is_lasting(record)]

    def _usable(self) -> Iterator[tuple[Snapshot, Held, list[Record]]]:
        """Yield the snapshots that fit, each with what is on record behind it."""
        if self._snapshots is None or not self._snapshots.paths():
            return
        if is_apart(self._journal.redactor):
            return
        for snapshot in self._snapshots.read(self._code):
            if snapshot.seq > self._journal.log.durable_seq:
                continue
            behind = records_of(self._journal.log, snapshot.seq, joined=True)
            last = behind.pop(0) if behind else None
            held = fitting(snapshot, last, self._machine.name)
            if held is not None and self._is_remembered(held):
                yield snapshot, held, behind

    def _is_remembered(self, held: Held) -> bool:
        """Tell the redactor of the masks in the log; False if they are not known."""
        redactor = self._journal.redactor
        return redactor is None or redactor.go_on(held.masked)

    # Keeping

    def behind(self, mail: Mailbox) -> Keeper:
        """Return this, for a run in which *mail* is the machine's own."""
        self._mail = mail
        return self

    def post(self, record: Record) -> None:
        """Keep a snapshot, if one is due and the session is at rest."""
        snapshots, machine = self._snapshots, self._machine
        if snapshots is None or snapshots.is_writing or not self._code:
            return
        if self._was_apart or is_apart(self._journal.redactor):
            return  # what memory holds must not be written
        is_at_rest = machine.state.phase == "idle" and not self._mail
        if record.actor != machine.name or not is_at_rest or not self._is_due(record.seq):
            return
        settled, children = self._conversation.settled(), self._children.told()
        if settled is None or children is None:
            return
        redactor = self._journal.redactor
        masked = redactor.masked if redactor is not None else None
        machines, records = {machine.name: machine.state}, self._records

        def held() -> bytes:
            body = encoded(
                Held(
                    machines=machines,
                    children=children,
                    conversation=settled(),
                    records=records,
                    masked=masked,
                )
            )
            self._size = len(body)
            return body

        snapshots.keep(record, self._code, held)
        self._last, self._new = record.seq, 0

    def _is_due(self, seq: int) -> bool:
        messages = self._conversation.messages
        self._new += len(msgspec.json.encode(messages[self._seen :]))
        self._seen = len(messages)
        is_much = seq - self._last >= RECORDS_MIN or self._new >= BYTES_MIN
        return is_much and self._new * SHARE >= self._size


@cache
def code() -> str:
    """Return the digest of the code that a snapshot is the outcome of; "" if it cannot be read.

    As it was when this was first called: later the sources may not be what runs here.
    """
    return code_of("tinyagent.events", *(f"{__package__}.{name}" for name in _STEPS.split()))


def fitting(snapshot: Snapshot, behind: Record | None, name: str) -> Held | None:
    """Return what *snapshot* holds, if *behind* is the record that it was made behind.

    That is the end of a run, and says by its digest which state the machine *name* was in.
    """
    if behind is None or not snapshot.is_behind(behind):
        return None
    held = decoded(memoryview(snapshot.held))
    if held is None:
        return None
    state, ended = held.machines.get(name), behind.event
    is_it = isinstance(ended, k.RunEnded) and state is not None and ended.state == digest_of(state)
    return held if is_it else None


def encoded(held: Held) -> bytes:
    """Return *held* as JSON, with the earlier messages behind all else.

    They are most of it, and whoever reads it goes through the rest alone.
    """
    told = held.conversation
    apart = msgspec.structs.replace(told, earlier=Earlier(told.earlier.count, _NOT_HERE))
    body = msgspec.json.encode(msgspec.structs.replace(held, conversation=apart))
    return b"".join((body[:-1], _EARLIER, bytes(told.earlier.sorted), b"}"))


def decoded(body: memoryview) -> Held | None:
    """Return what ``encoded`` made; None if it is nothing of that kind."""
    at = _AHEAD.search(body)
    if at is None:
        return None
    try:
        held = msgspec.json.decode(bytes(body[: at.start()]) + b"}", type=Held)
    except (msgspec.DecodeError, RecursionError):
        return None
    held.conversation.earlier.sorted = msgspec.Raw(body[at.end() : -1])
    return held


def _unusual(state: State) -> Unusual:
    values = msgspec.structs.astuple(state)
    which = tuple(map(operator.ne, values, _FIRST))
    return _names(which), *compress(values, which)


@lru_cache(maxsize=64)
def _names(which: tuple[bool, ...]) -> tuple[str, ...]:
    return tuple(compress(State.__struct_fields__, which))


def _is_lasting(record: Record) -> bool:
    """Whether *record* matters when its run is over: what is about a call does not."""
    return getattr(record.event, "call_id", None) is None


def _line(record: Record) -> Line:
    event: Any = record.event
    raw = msgspec.Raw(record.payload)
    at_us = record.at_ns // 1000
    return record.seq, at_us, record.actor, event.kind, event.v, record.cause, raw


def _record(line: Line) -> Record:
    seq, ts_us, actor, kind, v, cause, raw = line
    payload = bytes(raw)
    return record_of(
        seq=seq, ts_us=ts_us, actor=actor, kind=kind, v=v, cause=cause, payload=payload
    )
