"""The one place where an event becomes a record.

``append`` numbers it, dates it, encodes it once, writes it and posts it, in that order and with
no wait in between. Hence log order is delivery order, and there are no locks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import msgspec

from tinyagent.events import Event, Record, Redactor
from tinyagent.events.codec import legible
from tinyagent.events.kinds import LogRecovered
from tinyagent.runtime.answering import Answers
from tinyagent.runtime.clock import Clock
from tinyagent.runtime.mailbox import Mailbox
from tinyagent.runtime.stores import Log, Recovered, appending, writing


class Reader(Protocol):
    """Who is posted records. ``kinds`` is None for all of them."""

    @property
    def kinds(self) -> frozenset[str] | None:
        """Kinds that this reader wants."""
        ...

    def post(self, record: Record) -> None:
        """Take *record*; must not wait, nor append."""
        ...


class Shadow(Protocol):
    """Reads the log as it is written, where its readers are told more."""

    def written(self, event: Event, cause: int) -> Event:
        """Return what goes on record for *event*, whose texts are masked."""
        ...

    def follow(self, record: Record) -> None:
        """Take in a record as it was written."""
        ...


Past = tuple[int, Recovered | None]
"""The last run, and what was found in the log and is on record."""


class _Routes(dict[str, tuple[Callable[[Record], None], ...]]):
    """Who of *readers* is posted records of a kind, in their order: looked for once per kind."""

    def __init__(self, readers: tuple[Reader, ...]) -> None:
        self.readers = readers
        self._kinds: tuple[frozenset[str] | None, ...] | None = None
        self._posts: list[Callable[[Record], None]] = []

    def __missing__(self, kind: str) -> tuple[Callable[[Record], None], ...]:
        if self._kinds is None:
            self._kinds = tuple([reader.kinds for reader in self.readers])
            # One method of each, however many kinds it wants.
            self._posts = [reader.post for reader in self.readers]
        posts = map(self._posts.__getitem__, _wanting(self._kinds, kind))
        self[kind] = found = tuple(posts)
        return found


@lru_cache(maxsize=4096)
def _wanting(kinds: tuple[frozenset[str] | None, ...], kind: str) -> tuple[int, ...]:
    """Return who wants *kind*, of those who want *kinds*. One run has readers as another has."""
    return tuple(n for n, wanted in enumerate(kinds) if wanted is None or kind in wanted)


class Journal:
    """Appends events to one log and posts the records to its readers.

    Attributes:
        redactor: masks secrets in every event before it is written; None leaves them.
        shadow: given where only the log is masked: readers are then told the event as it was.
        machines: let those who decide step on what they were posted; see ``settle``.
        is_settling: whoever appends settles next, so the machines need not do so soon.
        run: number of the record that began the run; 0 before the first.
    """

    def __init__(self, log: Log, clock: Clock) -> None:
        self.log = log
        self.clock = clock
        self._make = appending(log)
        self._is_written = writing(log)
        self._routes = _Routes(())
        self._recovered = log.recovered
        self._in_memory = log.durability == "memory"
        self.redactor: Redactor | None = None
        self.shadow: Shadow | None = None
        self.run = 0
        self.machines: list[Callable[[], None]] = []
        self.is_settling = False

    @property
    def past(self) -> Past:
        """What another journal needs to know that takes the place of this one."""
        return self.run, self._recovered

    @past.setter
    def past(self, past: Past) -> None:
        self.run, self._recovered = past

    @property
    def seq(self) -> int:
        """Number of the last record."""
        return self.log.seq

    def join(self, *readers: Reader) -> None:
        """Post every record from now on to *readers* too, after those who joined before."""
        self._routes = _Routes((*self._routes.readers, *readers))

    def leave(self, *readers: Reader) -> None:
        """Post nothing more to *readers*. Unknown ones are ignored."""
        self._routes = _Routes(tuple([r for r in self._routes.readers if r not in readers]))

    def depths(self) -> dict[str, int]:
        """Return how many records wait for each reader that has a name. From any thread."""
        named = [r for r in self._routes.readers if isinstance(r, Mailbox | Answers)]
        return {reader.name: len(reader) for reader in named}

    def append(
        self, event: Event, *, cause: int = 0, actor: str | None = None, live: object = None
    ) -> Record:
        """Make *event* the next record of the log, and post it.

        When this returns the record has its number and was posted to every reader; it is not yet
        safe (see ``reached``). *live* travels with the record in this process only.

        Raises:
            LogError: the log takes nothing more. MailboxFullError: a reader is stuck.
        """
        redactor = self.redactor
        if self.shadow is not None or not (redactor is None or redactor.is_idle):
            return self._append_masked(event, cause, actor, live)
        try:
            record = self._make(event, self.clock.now_us(), cause, actor, live)
        except UnicodeEncodeError:  # as an exception's text may be: no reason to end a run
            return self.append(legible(event), cause=cause, actor=actor, live=live)
        for post in self._routes[event.kind]:
            post(record)
        return record

    def _append_masked(self, event: Event, cause: int, actor: str | None, live: object) -> Record:
        redactor, shadow, told = self.redactor, self.shadow, event
        if redactor is not None and not redactor.is_idle:
            before, event, is_changed = redactor.take(event, cause)
            for waited in before:
                self._write(waited, cause, actor, None, None)
            live = None if is_changed and shadow is None else live
        if shadow is None:
            return self._write(event, cause, actor, live, None)
        return self._write(shadow.written(event, cause), cause, actor, live, told)

    def _write(
        self, event: Event, cause: int, actor: str | None, live: object, told: Event | None
    ) -> Record:
        """Make *event* a record; with a shadow it is *told* to readers, who may know it already."""
        try:
            record = self._make(event, self.clock.now_us(), cause, actor, live)
        except UnicodeEncodeError:
            event, told = legible(event), told and legible(told)
            return self._write(event, cause, actor, live, told)
        if self.shadow is not None:
            self.shadow.follow(record)
            if told is None:
                return record
            record = msgspec.structs.replace(record, event=told)
        for post in self._routes[event.kind]:
            post(record)
        return record

    def settle(self) -> None:
        """Let the machines step now on what was appended; without this they do so soon."""
        for step in self.machines:
            step()

    def has_reached(self, record: Record) -> bool:
        """Say whether *record* is as safe as its kind demands before an effect may hang on it.

        What has to be written is, by this call, if that needs no wait.
        """
        level = record.event.barrier
        if not level or self._in_memory:
            return True
        if level == "written":
            is_safe = self._is_written(record.seq)
        else:
            is_safe = self.log.durable_seq >= record.seq
        return is_safe and self.log.recovered == self._recovered

    async def reached(self, record: Record) -> None:
        """Wait until *record* ``has_reached`` what its kind demands."""
        if self._in_memory:
            return
        match record.event.barrier:
            case "written":
                if self.log.written_seq < record.seq:
                    await self.log.written(record.seq)
            case "durable":
                if self.log.durable_seq < record.seq:
                    await self.log.durable(record.seq)
            case _:
                pass
        self._report_recovery()

    def _report_recovery(self) -> None:
        """Put on record that an fsync failed, and what was done about it."""
        found = self.log.recovered
        if found is None or found == self._recovered:
            return
        self._recovered = found
        self.append(
            LogRecovered(found.why, found.torn_bytes, found.dropped, found.copied, found.segment)
        )
