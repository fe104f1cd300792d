"""Masks the keys of providers in a log that holds them already: what ``redact --known-env`` writes.

Texts are masked as they would have been when they were recorded. What was computed from them is
computed again (digests of arguments, of requests, of the agent's state), so that the log replays
as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tinyagent._config.redacting import redactor_for
from tinyagent.actors.replaying import Requests, each_agent
from tinyagent.actors.session import agent_machine
from tinyagent.events import Conversation, Event, Fact, Record, Redactor, encode, kinds as k
from tinyagent.runtime.errors import UnexpectedEventError
from tinyagent.verbs import load


def masked_with_env(where: str | Path) -> dict[int, bytes]:
    """Return new payloads by number, for the log's own records that hold a key that is set here.

    Raises:
        LogError: the log cannot be read.
    """
    recording = load(where)
    found = masked(recording.records, redactor_for())
    return {seq: encode(event) for seq, event in found.items() if seq > recording.meta.cut}


def masked(records: Sequence[Record], redactor: Redactor) -> dict[int, Event]:
    """Return what takes the place of events, by number; of the others nothing changes."""
    now = _texts(records, redactor)
    if now:
        for _, of_one in each_agent(records):
            _Again(of_one, redactor, now).compute()
    return now


def _texts(records: Sequence[Record], redactor: Redactor) -> dict[int, Event]:
    now: dict[int, Event] = {}
    deltas: dict[int, k.ModelDelta] = {}
    last: dict[int, int] = {}
    for record in records:
        taken = redactor.take(record.event, record.cause)
        for late in taken.before:  # it waited for more; there is none, so it joins the last delta
            seq = last[record.cause]
            pieces = [*deltas[seq].pieces, *late.pieces]
            now[seq] = deltas[seq] = k.ModelDelta(pieces)
        if isinstance(taken.event, k.ModelDelta):
            last[record.cause], deltas[record.seq] = record.seq, taken.event
        if taken.event != record.event:
            now[record.seq] = taken.event
    same = [r.seq for r in records if r.seq in now and now[r.seq] == r.event]
    for seq in same:
        del now[seq]
    return now


class _Again:
    """Computes again what followed from the texts: two folds side by side, then and now."""

    def __init__(
        self, records: Sequence[Record], redactor: Redactor, now: dict[int, Event]
    ) -> None:
        self._records = records
        self._redactor = redactor
        self._now = now
        self._folds = Conversation(), Conversation()
        self._machines = agent_machine(), agent_machine()
        self._requests = Requests()
        self._digests: dict[tuple[int, str], str] = {}
        self._arguments: dict[str, str] = {}
        self._decided: dict[int, list[Record]] = {}
        for record in records:
            if record.event.kind in self._machines[0].decisions:
                self._decided.setdefault(record.cause, []).append(record)

    def compute(self) -> None:
        """Add to what takes the place of events."""
        try:
            for record in self._records:
                if isinstance(record.event, k.LogLost):
                    return  # nothing behind it can be compared, now or later
                self._see(record)
        except UnexpectedEventError:
            return  # a log that did not replay before

    def _see(self, record: Record) -> None:
        event = self._now.get(record.seq, record.event)
        changed = self._referring(record, event)
        if changed is not event:
            event = self._now[record.seq] = changed
        today = msgspec.structs.replace(record, event=event)
        for fold, one in zip(self._folds, (record, today), strict=True):
            fold.evolve(one)
        if isinstance(event, k.ModelRequested):
            self._request(record)
        if isinstance(event, k.ModelFinished) and isinstance(record.event, k.ModelFinished):
            pairs = zip(record.event.calls, event.calls, strict=True)
            self._arguments.update((old.args, new.args) for old, new in pairs)
        if isinstance(event, Fact) and event.kind in self._machines[0].inputs:
            self._decide(record, today)

    def _referring(self, record: Record, event: Event) -> Event:
        """Return *event* with the digests of today in the place of those it was recorded with."""
        changes: dict[str, Any] = {}
        request = self._digests.get((record.cause, getattr(event, "request", "")))
        if request is not None and not isinstance(event, k.ModelRequested):
            changes["request"] = request
        args = getattr(event, "args", None)
        if isinstance(args, str) and self._arguments.get(args, args) != args:
            changes["args"] = self._arguments[args]
        if all(getattr(event, name) == value for name, value in changes.items()):
            return event
        assert isinstance(event, Fact)
        return msgspec.structs.replace(event, **changes)

    def _request(self, record: Record) -> None:
        try:
            old, new = (self._requests.digest(fold.asked) for fold in self._folds)
        except ValueError:
            return  # no provider here speaks for the model: its digest is left as it is
        self._digests[record.seq, old] = new

    def _decide(self, record: Record, today: Record) -> None:
        then, now = (
            machine.take(one) for machine, one in zip(self._machines, (record, today), strict=True)
        )
        recorded = self._decided.get(record.seq, [])
        for there, old, new in zip(recorded, then, now, strict=False):
            if there.event == old and new != old:
                self._now[there.seq] = self._redactor.take(new, there.cause).event
