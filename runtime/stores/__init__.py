"""Where a log lives. One protocol; memory and files, and later databases, behind it."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, Protocol

import msgspec

from tinyagent.events import Event, Record, Redact, UnknownEvent, encode, record_of
from tinyagent.events.sealing import is_sealed, unsealed

Level = Literal["crc", "chain", "signed"]
Durability = Literal["memory", "interval", "group", "strict"]
RECORDS_WARN = 1_000_000
NAMES_MAX = 20


class ForkedFrom(msgspec.Struct, frozen=True, kw_only=True):
    """Where a fork left its parent: it shares the records up to *at*, its own go on after.

    ``runtime.ancestry.forked_from`` makes one of a log.

    Attributes:
        log: id of the parent.
        at: the last record shared.
        head: the parent's chain hash there, 64 hexadecimal digits, whatever its integrity level.
        root: id of the log that the chain of hashes began in, if the parent is a fork itself.
    """

    log: str
    at: int
    head: str
    root: str | None = None


class SealKey(msgspec.Struct, frozen=True):
    """Signs the seals of a log of level ``signed``, or checks them.

    *algorithm* is ``hmac-sha256`` (*secret*: 16 bytes or more), ``ed25519`` (its seed, 32 bytes),
    or ``ed25519-public`` (32 bytes), which only checks.
    """

    algorithm: str
    secret: bytes

    def __repr__(self) -> str:
        return f"SealKey({self.algorithm!r}, ...)"

    def fields(self) -> tuple[str, bytes]:
        """Return it as the extension takes it."""
        return self.algorithm, self.secret


def fork_fields(fork: ForkedFrom | None) -> tuple[str, int, str, str | None] | None:
    """Return *fork* as the extension takes it."""
    return None if fork is None else (fork.log, fork.at, fork.head, fork.root)


def fork_of(fields: tuple[str, int, str, str | None] | None) -> ForkedFrom | None:
    """Return what the extension says of a fork."""
    if fields is None:
        return None
    log, at, head, root = fields
    return ForkedFrom(log=log, at=at, head=head, root=root)


class LogMeta(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What every store keeps with the records of a log.

    Attributes:
        log: the log's id, 32 hexadecimal digits.
        format: version of the record format.
        level: integrity level, ``crc``, ``chain`` or ``signed``.
        name: a label for people.
        origin: set if the log was imported; such a log cannot be replayed.
        fork: where it left its parent, if it is a fork.
        more: what else its header says and whoever writes the log again hands on, each field as
            it was written, ``"name":value``, after the name of the one that it stands behind.
        sealed: the same of the last seal, for whoever writes one in its place.
    """

    log: str
    format: int = 1
    level: str = "crc"
    name: str | None = None
    origin: str | None = None
    fork: ForkedFrom | None = None
    more: tuple[tuple[str, str], ...] = ()
    sealed: tuple[tuple[str, str], ...] = ()

    @property
    def cut(self) -> int:
        """The last record that it shares with its parent; 0 if it is no fork."""
        return self.fork.at if self.fork is not None else 0

    @property
    def is_encrypted(self) -> bool:
        """Whether its free text is: a reader must know."""
        return any(raw.startswith('"need":') and '"enc"' in raw for _, raw in self.more)


def begun_otherwise(where: object, *, is_encrypted: bool) -> str:
    """Return why the log at *where* is not opened: it *is_encrypted*, or is not, for life."""
    return (
        f"{where}: the log was begun {'encrypted' if is_encrypted else 'in the clear'}, and stays "
        "so: pass encryption= for the one, leave it out for the other"
    )


def few(names: Sequence[str]) -> str:
    """Return *names* for a message: not more of them than somebody reads."""
    more = f", and {len(names) - NAMES_MAX:,} more" if len(names) > NAMES_MAX else ""
    return ", ".join(names[:NAMES_MAX]) + more


def warn_if_long(where: str, seq: int) -> None:
    """Warn whoever opens the log at *where* that it has become long: it holds *seq* records."""
    if seq >= RECORDS_WARN:
        warnings.warn(
            f"{where}: the log holds {seq} records, and every opening reads them all; "
            "go on in a new session, or in a fork of this one",
            stacklevel=3,
        )


class LogOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever opened a log wants of the session that writes it.

    Attributes:
        sinks: mirrors of it, as of ``AgentOptions.sinks``. redact: what is masked in it.
        understudy: answers for model and tools in their place; see ``actors.understudy``.
    """

    sinks: tuple[Any, ...] = ()
    redact: Redact | None = None
    understudy: Any = None


NO_OPTIONS = LogOptions()
"""Held by all logs that were opened without."""


class Stored(msgspec.Struct, frozen=True, gc=False):
    """One record as a store keeps it: its envelope, and its payload as bytes untouched.

    Its first nine fields are what the extension reads of a record, in this order.

    Attributes:
        ts_us: microseconds since 1970 UTC.
        actor: None where the record was written by its kind's usual emitter.
        d: durable watermark when the record was written.
        cause: number of the record that led to this one, 0 from outside.
        payload: the event's fields as JSON.
        line: the whole line, newline included; None in a store that holds no bytes yet.
        clear: the payload as who has the keys reads it, of a log that is encrypted.
        is_lost: a large value of it is gone: the payload still holds its reference.
    """

    seq: int
    ts_us: int
    actor: str | None
    kind: str
    v: int
    cause: int
    payload: bytes
    d: int = 0
    line: bytes | None = None
    clear: bytes | None = None
    is_lost: bool = False


def as_record(stored: Stored) -> Record:
    """Return *stored* with its event decoded; what is sealed, or lost, shows that it is."""
    if stored.is_lost:
        return _as_lost(stored)
    payload = stored.payload
    if is_sealed(payload):
        shown = stored.clear or unsealed(stored.kind, payload, _no_key)
        record = as_record(msgspec.structs.replace(stored, payload=shown))
        return msgspec.structs.replace(record, payload=payload)
    return record_of(
        seq=stored.seq,
        ts_us=stored.ts_us,
        actor=stored.actor,
        kind=stored.kind,
        v=stored.v,
        cause=stored.cause,
        payload=payload,
    )


def _as_lost(stored: Stored) -> Record:
    """Return *stored* with its lost values shown as such.

    Where that does not fit in their place, the event is one that this release does not know. The
    payload stays as it is stored.
    """
    shown = msgspec.json.encode(_shown(msgspec.json.decode(stored.payload)))
    readable = msgspec.structs.replace(stored, payload=shown, is_lost=False)
    try:
        record = as_record(readable)
    except msgspec.ValidationError:
        event = UnknownEvent(stored.kind, stored.v, stored.payload)
        empty = as_record(msgspec.structs.replace(readable, kind="", payload=b"{}"))
        return msgspec.structs.replace(empty, event=event, payload=stored.payload)
    return msgspec.structs.replace(record, payload=stored.payload)


def _shown(value: Any) -> Any:
    match value:
        case {"$blob": digest, "n": count, "t": kind}:
            text = f"(lost: {count} bytes, {digest})"
            return {"lost": text} if kind == "json" else text
        case dict():
            return {key: _shown(item) for key, item in value.items()}
        case list():
            return [_shown(item) for item in value]
        case _:
            return value


def records_of(log: Log, first: int = 1, *, joined: bool = False) -> list[Record]:
    """Return the records of *log* from number *first* on, with their events.

    *joined*: for who folds them, what a model said on end may be one record, as if it had been
    said at once, under the last number of it; and an answer that is whole a ``WholeAnswer``.
    """
    # A store that can do so reads them as such; any other one has at least ``read``.
    read: Callable[..., list[Record]] | None = getattr(log, "read_records", None)
    return list(map(as_record, log.read(first))) if read is None else read(first, joined=joined)


AppendEvent = Callable[[Event, int, int, str | None, object], Record]
"""Makes an event the next record: of the event, its time in microseconds, its cause, who writes it
(None: who usually does), and the caller's own object."""


def appending(log: Log) -> AppendEvent:
    """Return what makes an event the next record of *log*. It raises what encoding it does."""
    # A store that can do so does it at once; any other one has at least ``append``.
    own: AppendEvent | None = getattr(log, "append_event", None)
    return partial(_append_event, log) if own is None else own


def _append_event(
    log: Log, event: Event, ts_us: int, cause: int, actor: str | None, live: object
) -> Record:
    payload, usual, seq = encode(event), event.emitter, log.seq + 1
    log.append(seq, ts_us, None if actor == usual else actor, event.kind, event.v, cause, payload)
    return Record(seq, ts_us * 1000, cause, actor or usual, event, payload, live)


def writing(log: Log) -> Callable[[int], bool]:
    """Return what says whether a record is written, by this call if that needs no wait."""
    own: Callable[[int], bool] | None = getattr(log, "write_upto", None)
    return (lambda seq: log.written_seq >= seq) if own is None else own


def let_rest(log: Log) -> None:
    """Let *log* hold nothing that it can be asked for again: nobody appends for a while."""
    own: Callable[[], None] | None = getattr(log, "rest", None)
    if own is not None:
        own()


def _no_key(path: str, body: Any) -> Any:
    raise LookupError(path)


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """What opening a log after a crash found, or what a failed fsync made necessary since.

    Attributes:
        why: ``unclean``, or ``fsync``: it failed, and a new segment took the records over.
        torn_bytes: set aside, because they were never acknowledged. dropped: records in them.
        copied: records that were written but perhaps not on disk, taken over.
        segment: the segment that was opened for it.
    """

    torn_bytes: int
    dropped: int
    copied: int
    segment: int
    why: Literal["unclean", "fsync"] = "unclean"


class Log(Protocol):
    """A log that can be appended to: exactly one per session."""

    @property
    def meta(self) -> LogMeta:
        """Identity of the log."""
        ...

    @property
    def where(self) -> str:
        """Path or address, for messages."""
        ...

    options: LogOptions

    @property
    def durability(self) -> Durability:
        """The mode that the log was opened with."""
        ...

    @property
    def epoch(self) -> int:
        """Which opening for append this is: 1, 2, ..."""
        ...

    @property
    def recovered(self) -> Recovered | None:
        """What this opening found to be torn or unsure, or the last failed fsync; None if nothing.

        The same object until there is something new.
        """
        ...

    @property
    def seq(self) -> int:
        """Number of the last record accepted; in an empty log 0, in an empty fork its cut."""
        ...

    @property
    def written_seq(self) -> int:
        """The last record that survives the death of this process."""
        ...

    @property
    def durable_seq(self) -> int:
        """The last record that survives a power cut."""
        ...

    def append(
        self, seq: int, ts_us: int, actor: str | None, kind: str, v: int, cause: int, payload: bytes
    ) -> None:
        """Accept the record as number *seq*. Never waits.

        Raises:
            OutOfOrderError: *seq* is not ``log.seq + 1``, and the record there has other bytes.
            LogClosedError, LogBehindError, LogFailedError, LogFencedError, LogFullError: as named.
        """
        ...

    async def written(self, seq: int) -> None:
        """Wait until records 1..*seq* survive the death of this process."""
        ...

    async def durable(self, seq: int) -> None:
        """Wait until records 1..*seq* survive a power cut."""
        ...

    async def room(self) -> None:
        """Wait until the disk has caught up. For sources of events only."""
        ...

    def read(self, first: int = 1, last: int | None = None) -> Iterator[Stored]:
        """Yield the records *first*..*last* in order, from the store."""
        ...

    def tail(self, first: int) -> AsyncIterator[Stored]:
        """Yield the records from *first* on, then new ones as they are accepted."""
        ...

    async def close(self, why: str = "close") -> None:
        """Write everything, seal, release the lock. Safe to call twice."""
        ...
