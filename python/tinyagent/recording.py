"""What a log says, read back: every question that can be answered without running anything."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tinyagent._reading.costs import cost_usd
from tinyagent._reading.facts import RecordedCall, Status, Usage, status_of, tool_calls, usage_of
from tinyagent._version import VERSION
from tinyagent.events import Conversation, Record, Settings, kinds as k
from tinyagent.events.children import child_of, own, seen_from
from tinyagent.events.work import Open, OpenWork
from tinyagent.runtime.causes import Below, Causes
from tinyagent.runtime.chain import pruned_of
from tinyagent.runtime.divergence import Difference, Report, differences
from tinyagent.runtime.errors import ImportedLogError, NotInLogError, PrunedLogError
from tinyagent.runtime.load import Damage, decoded
from tinyagent.runtime.stores import LogMeta, Stored

if TYPE_CHECKING:
    from tinyagent._run.runs import RunResult
    from tinyagent.actors.asked import RequestAt
    from tinyagent.actors.differing import LogDiff
    from tinyagent.actors.sent import Sent
    from tinyagent.actors.standing import Standing, Walk
    from tinyagent.agent_types import AgentEvent, AgentMessage

HOLDER_BYTES = 256
"""The first line of a log's ``LOCK``: who writes it."""


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """What led to a record.

    Attributes:
        chain: the record, its cause, the cause of that, up to an input from outside.
        request: number of the first ``model.requested`` in the chain; 0 if there is none.
        filled: the records that this request was made of, in the order of its messages: the
            configuration first, of an answer its last record.
    """

    chain: tuple[Record, ...]
    request: int
    filled: tuple[Record, ...]


class Records(list[Record]):
    """Records in order: a list, that called returns those that are wanted."""

    def __call__(self, *, since: int = 0, kinds: Collection[str] | None = None) -> list[Record]:
        """Return the records behind number *since*, of *kinds* alone if they are given."""
        return [
            record
            for record in self
            if record.seq > since and (kinds is None or record.event.kind in kinds)
        ]


class Recording:
    """What a log says. Reading it never runs anything; no file but the log is touched.

    Attributes:
        where, meta: which log. damage: what is wrong with it, None if nothing.
        records: every record, in order.
    """

    def __init__(
        self,
        where: str,
        meta: LogMeta,
        stored: Sequence[Stored] | Records,
        damage: Damage | None,
        *,
        is_live: bool = False,
    ) -> None:
        self.where = where
        self.meta = meta
        self.damage = damage
        if not isinstance(stored, Records):
            stored = Records(decoded(stored, damage, where))
        self.records = stored
        self._is_open = is_live

    def __repr__(self) -> str:
        return f"<log {self.ref}, {self.where}: {len(self.records)} records>"

    @property
    def ref(self) -> str:
        """What names the log on the command line: the first digits of its id."""
        return self.meta.log[:8]

    @cached_property
    def conversation(self) -> Conversation:
        """The fold of all records."""
        conversation = Conversation()
        for record in self.records:
            conversation.evolve(record)
        return conversation

    @cached_property
    def settings(self) -> Settings:
        """The configuration at the end of the log."""
        conversation = Conversation()
        for record in self.records:
            if isinstance(record.event, k.SessionStarted | k.ConfigChanged):
                conversation.evolve(record)
        return conversation.settings

    @property
    def messages(self) -> list[AgentMessage]:
        """The conversation as public messages."""
        from tinyagent._reading.bodies import Bodies

        return Bodies(self.conversation).all()

    @cached_property
    def tool_calls(self) -> dict[str, RecordedCall]:
        """Every tool call of the agent by its id, in the order in which the model made them."""
        return tool_calls(self._own)

    @cached_property
    def every_call(self) -> dict[str, RecordedCall]:
        """As ``tool_calls``, but those of children too: no id is used twice in a log."""
        return tool_calls(self.records)

    @cached_property
    def children(self) -> dict[str, Recording]:
        """The agents that ran below this one, and below those, each as a recording of its own.

        By name, as ``child.started`` says it, in the order in which they began.
        """
        found: dict[str, Recording] = {}
        for record in self.records:
            if isinstance(record.event, k.ChildStarted):
                name = record.event.child
                child = found[name] = Recording(self.where, self.meta, (), None)
                child.damage, child._is_open = self.damage, self._is_open
                child.records = Records(seen_from(name, self.records, record.seq))
        return found

    @cached_property
    def _own(self) -> list[Record]:
        return list(own(self.records))

    @cached_property
    def usage(self) -> Usage:
        """Tokens, summed; those of children too."""
        return usage_of(self.records)

    @cached_property
    def cost(self) -> float | None:
        """US dollars for all answers, at the prices that the log was written with.

        None if the price of one is not known, or its provider told no usage: that is no zero.
        """
        return cost_usd(self.records)

    @cached_property
    def status(self) -> Status:
        """How the last run ended; ``empty`` before the first.

        A run without an end is ``running`` while the log is open here, or a process of this
        machine holds it, ``forked`` if a fork's cut left it so and nobody went on from there,
        and ``crashed`` otherwise.
        """
        is_live = self._is_open or (self.damage is not None and is_held(Path(self.where)))
        return status_of(self._own, is_live=is_live)

    @property
    def open_work(self) -> tuple[Open, ...]:
        """Requests that have no end."""
        work = OpenWork()
        for record in self.records:
            work.evolve(record)
        return work.read()

    @property
    def in_doubt(self) -> list[RecordedCall]:
        """Calls of which nobody knows whether they changed the world, and nobody has decided.

        Those of children too. In a crashed log also calls of ``write`` tools that started and have
        no end.
        """
        is_crashed = self.status == "crashed"
        return [
            call
            for call in self.every_call.values()
            if not call.ended
            and (
                call.outcome == "in_doubt"
                or (is_crashed and call.outcome == "started" and call.effect == "write")
            )
        ]

    @property
    def approvals_pending(self) -> list[RecordedCall]:
        """Calls that wait for somebody to approve them."""
        return [
            self.every_call[work.call_id]
            for work in self.open_work
            if work.kind == "approval.requested" and work.call_id in self.every_call
        ]

    def events(self) -> Iterator[AgentEvent]:
        """Yield the public events of every run, as they once were delivered."""
        from tinyagent._reading.bodies import Bodies
        from tinyagent.projection import Projection

        conversation = Conversation()
        bodies = Bodies(conversation)
        projection = Projection(conversation, bodies)
        for record in self._own:
            conversation.evolve(record)
            if bodies.wants(record):
                bodies.post(record)
            yield from projection.read(record)

    def replay(
        self,
        today: k.SessionStarted | Mapping[str, k.SessionStarted] | None = None,
        *,
        until: int | None = None,
        is_loose: bool = False,
    ) -> Report:
        """Run today's code over the records; *today* is the configuration to use instead.

        Or those of all agents that are known, by their names, ``agent`` for the main one.

        *until*: the last record to look at. *is_loose*: go on behind the first divergence, and
        list what else differs as its cascade.

        Raises:
            ImportedLogError: nothing of it was recorded here. PrunedLogError: its beginning was
                removed. NotInLogError: there is no record *until*.
        """
        from tinyagent.actors.replaying import verify

        if self.meta.origin is not None:
            raise ImportedLogError(
                f"{self.where}: imported from {self.meta.origin}, not recorded: there is nothing "
                "to hold a replay against; show, diff, export and fork it"
            )
        if (pruned := pruned_of(self.meta)) is not None:
            why = "a replay begins with record 1: it needs a copy from before"
            raise PrunedLogError(self.where, pruned.upto, why)
        records: Sequence[Record] = self.records
        if until is not None:
            last = self._record(until).seq
            records = [record for record in records if record.seq <= last]
        report = verify(self.where, records, today, is_loose=is_loose, version=VERSION)
        if report.first_divergence is not None or report.ended:
            return report
        return msgspec.structs.replace(report, result=self._result(records))

    def _result(self, records: Sequence[Record]) -> RunResult | None:
        """Return what came of the last run that ends in *records*; None if none does."""
        from tinyagent._run.runs import recorded_result

        main = own(reversed(records))
        end = next((record for record in main if isinstance(record.event, k.RunEnded)), None)
        if end is None:
            return None
        upto = Records(record for record in records if record.seq <= end.seq)
        return recorded_result(end, self.ref, Recording(self.where, self.meta, upto, None).events)

    def state_at(self, n: int) -> Standing:
        """Return how things stood after record *n*; 0 is before the first.

        Asked in rising order this goes through the log once; a look back begins anew.

        Raises:
            NotInLogError: there is no record *n*.
        """
        if n:
            self._record(n)
        return self._walk.to(n)

    def state_diff(self, n: int, m: int) -> list[Difference]:
        """Return the leaves that differ between record *n* (``recorded``) and *m* (``now``).

        Raises:
            NotInLogError: there is no such record.
        """
        return list(differences(self.state_at(n).plain(), self.state_at(m).plain()))

    def request_at(self, n: int) -> RequestAt:
        """Return the exact request of ``model.requested`` *n*, against the one before it.

        Built by today's code over the fold at *n*; ``is_verified`` says whether it is, by its
        digest, what was sent.

        Raises:
            NotInLogError: record *n* is no ``model.requested``, or nothing could be sent.
        """
        name = child_of(self._record(n).actor)
        return (self.children[name] if name else self)._sent.request(n)

    def why(self, n: int) -> Why:
        """Return what led to record *n*: recorded edges only.

        Raises:
            NotInLogError: there is no record *n*.
        """
        self._record(n)
        chain = self._causes.chain(n)
        request = next((r.seq for r in chain if isinstance(r.event, k.ModelRequested)), 0)
        name = child_of(self._record(request).actor) if request else ""
        sent = (self.children[name] if name else self)._sent
        filled = sent.filled(request) if request else ()
        return Why(chain=chain, request=request, filled=filled)

    def impact(self, n: int) -> tuple[Below, ...]:
        """Return record *n* and all that it led to, each with its depth: recorded edges only.

        Raises:
            NotInLogError: there is no record *n*.
        """
        self._record(n)
        return self._causes.below(n)

    def diff(self, other: Recording | str | Path) -> LogDiff:
        """Return where *other* says something else.

        Records correspond by what led to them, not by number. Ids, times, numbers, signatures,
        versions and token counts do not count, nor how an answer was cut into deltas.

        Raises:
            LogError: *other* cannot be read.
        """
        from tinyagent.actors.differing import compare

        if not isinstance(other, Recording):
            from tinyagent.verbs import load

            other = load(other)
        return compare(
            (self.where, self.records, self._sent.body_or_none),
            (other.where, other.records, other._sent.body_or_none),
        )

    @cached_property
    def _numbers(self) -> dict[int, Record]:
        return {record.seq: record for record in self.records}

    @cached_property
    def _walk(self) -> Walk:
        from tinyagent.actors.standing import Walk

        return Walk(self.records)

    @cached_property
    def _sent(self) -> Sent:
        from tinyagent.actors.sent import Sent

        return Sent(self.where, {record.seq: record for record in self._own}, self._walk)

    @cached_property
    def _causes(self) -> Causes:
        return Causes(self.records)

    def _record(self, n: int) -> Record:
        record = self._numbers.get(n)
        if record is None:
            there = f"{self.records[0].seq} to {self.records[-1].seq}" if self.records else "none"
            raise NotInLogError(f"{self.where}: there is no record {n}; there are {there}")
        return record


def is_held(where: Path) -> bool:
    """Whether a process of this machine that is alive says that it writes the log at *where*."""
    try:
        line = (where / "LOCK").read_bytes()[:HOLDER_BYTES]
        holder = msgspec.json.decode(line)
        pid, host = int(holder["pid"]), holder["host"]
    except PermissionError:
        return sys.platform == "win32"  # there, nobody else may read what is locked
    except (OSError, ValueError, TypeError, KeyError, msgspec.DecodeError):
        return False
    if host not in ("", socket.gethostname()[:64]) or sys.platform == "win32":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it is there, and somebody else's
    return True
