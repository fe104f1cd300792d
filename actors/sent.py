"""Every request of a log, built again from the fold, and the records that it was made of. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from tinyagent.actors.asked import RequestAt, compared
from tinyagent.actors.providers.hosted import is_hosted
from tinyagent.actors.replaying import Requests
from tinyagent.actors.standing import Walk
from tinyagent.events import Record, digest, kinds as k
from tinyagent.events.messages import Assistant
from tinyagent.runtime.errors import NotInLogError


class Sent:
    """The requests of one log.

    Asked in rising order, each is built once: a conversation that grew costs what is new in it.

    Args:
        records: all of them, by number, in order.
        walk: one over the same records.
    """

    def __init__(self, where: str, records: Mapping[int, Record], walk: Walk) -> None:
        self._where = where
        self._records = records
        self._walk = walk
        self._asked = [n for n, r in records.items() if isinstance(r.event, k.ModelRequested)]
        ends = k.ModelFinished | k.ModelFailed
        self._ends = {r.cause: r for r in records.values() if isinstance(r.event, ends)}
        self._requests = Requests()
        self._built = (0, b"")

    def request(self, n: int) -> RequestAt:
        """Return the request of ``model.requested`` *n*, against the one before it.

        Raises:
            NotInLogError: record *n* is no ``model.requested``, or nothing could be sent.
        """
        event, before = self._records[n].event, self._before(n)
        if not isinstance(event, k.ModelRequested):
            advice = f"; the one before it is {before}" if before else ""
            raise NotInLogError(f"{self._where}: record {n} is {event.kind}, no request{advice}")
        # The one before goes first: the walk goes on from there, and so does the provider.
        earlier = self.body_or_none(before) if before else None
        body, asked = self._body(n), self._walk.asked(n)
        found = compared(body, earlier or b"")
        end = self._end(n)
        return RequestAt(
            **{name: getattr(found, name) for name in found.__struct_fields__},
            seq=n,
            n=event.n,
            before=before if earlier is not None else 0,
            model=asked.settings.model,
            body=body,
            digest=self._requests.digest(asked) if is_hosted(asked) else digest(body),
            recorded=end.request if end is not None else "",
            usage=end.usage if end is not None else None,
        )

    def body_or_none(self, n: int) -> bytes | None:
        """Return the body of ``model.requested`` *n*; None if nothing could be sent."""
        try:
            return self._body(n)
        except NotInLogError:
            return None

    def filled(self, n: int) -> tuple[Record, ...]:
        """Return the records that ``model.requested`` *n* was made of: configuration, messages.

        Of an answer, its last record.
        """
        configured = k.SessionStarted | k.ConfigChanged
        found = {
            seq: record
            for seq, record in self._records.items()
            if seq < n and isinstance(record.event, configured)
        }
        for message in self._walk.asked(n).read():
            said = self._records.get(message.seq)
            if isinstance(message, Assistant):
                said = self._ends.get(message.seq, said)
            if said is not None:
                found[said.seq] = said
        return tuple(found.values())

    def _end(self, n: int) -> k.ModelFinished | k.ModelFailed | None:
        end = self._ends[n].event if n in self._ends else None
        return end if isinstance(end, k.ModelFinished | k.ModelFailed) else None

    def _before(self, n: int) -> int:
        """Return the request before record *n*, 0 if there is none."""
        at = bisect_left(self._asked, n)
        return self._asked[at - 1] if at else 0

    def _body(self, n: int) -> bytes:
        if self._built[0] == n:
            return self._built[1]
        asked = self._walk.asked(n)
        try:
            if fault := asked.settings.model.get("fault"):
                raise ValueError(fault)
            self._built = n, self._requests.body(asked)
        except ValueError as error:
            told = f"{self._where}: record {n}: no request was sent: {error}"
            raise NotInLogError(told) from None
        return self._built[1]
