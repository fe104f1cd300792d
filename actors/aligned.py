"""Where two logs say different things, whatever their numbers, ids and times are. Pure.

Records correspond by what led to them: inputs from outside by their order, and below records that
correspond, the decisions and answers of one kind by theirs. Hence a delta more, a tool that ended
sooner or a queue that was polled moves nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tinyagent.actors.state import BEFORE, POLLS
from tinyagent.events import Record, kinds as k
from tinyagent.events.conversations import Conversations
from tinyagent.events.messages import Assistant, Block
from tinyagent.events.work import REQUESTS, field, is_end

NOTES = frozenset(
    {
        "diagnostic.reported",
        "log.recovered",
        "session.ended",
        "session.forked",
        "session.resumed",
        "sink.failed",
        "sink.recovered",
    }
)
"""Kinds that tell how a log came about, not what was said or done in it."""
_DELTA = k.ModelDelta.kind
_ENDS = (k.ModelFinished.kind, k.ModelFailed.kind)


class Side:
    """One of the two logs: its records by their place among causes.

    Attributes:
        records: those that count, in order. answers: blocks of each answer, by its last record.
        calls: of each call id, the answer that made the call and its index there.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self._all = {record.seq: record for record in records}
        self._hooks: list[str] = []
        self.records = [record for record in records if not self._is_left_out(record)]
        self.answers: dict[int, tuple[Block, ...]] = {}
        self.calls: dict[str, tuple[int, int]] = {}
        self._fold(records)
        self._below: dict[int, list[Record]] = defaultdict(list)
        for record in self.records:
            self._below[self._above(record)].append(record)

    def __getitem__(self, seq: int) -> Record:
        return self._all[seq]

    def below(self, seq: int) -> dict[str, list[Record]]:
        """Return the records right below *seq*, 0 for those from outside, by their role there."""
        out: dict[str, list[Record]] = defaultdict(list)
        for record in self._below.get(seq, ()):
            out[self._role(record, self._all.get(seq))].append(record)
        return out

    def _is_left_out(self, record: Record) -> bool:
        if record.event.kind in NOTES or record.event.kind == _DELTA or _is_poll(record):
            return True
        before = self._hooks
        match record.event:
            case k.SessionStarted(hooks=hooks) | k.ConfigChanged(set={"hooks": hooks}):
                self._hooks = lasting(hooks)
            case _:
                pass
        match record.event:
            case k.ConfigChanged(set=changes) if changes.keys() == {"hooks"}:
                return self._hooks == before  # somebody began to watch, or ceased to
            case _:
                return False

    def _fold(self, records: Sequence[Record]) -> None:
        conversations = Conversations()
        for record in records:
            conversation = conversations.evolve(record)
            if record.event.kind in _ENDS:
                answer = next(m for m in reversed(conversation.messages) if _is_answer(m))
                assert isinstance(answer, Assistant)
                self.answers[record.seq] = answer.blocks
            if isinstance(record.event, k.ModelFinished):
                for index, ref in enumerate(record.event.calls):
                    self.calls[ref.id] = record.seq, index

    def _above(self, record: Record) -> int:
        """Return the record that *record* is compared below.

        What the turn goes on with is decided when the last call has ended, whichever that is:
        it belongs to the answer that made the calls.
        """
        above = self._cause(record)
        while above is not None:
            is_join = _is_of_call(above) and not _is_of_call(record)
            is_left_out = _is_poll(above) or above.event.kind in NOTES
            if not is_left_out and not (is_join and self._asker(above) == record.actor):
                return above.seq
            above = self._cause(above)
        return 0

    def _asker(self, record: Record) -> str:
        if record.event.kind in REQUESTS:
            return record.actor
        asked = self._cause(record)
        return asked.actor if asked is not None else ""

    def _cause(self, record: Record) -> Record | None:
        """Return what led to *record*; in an edited log, a cause that comes later is none."""
        return self._all.get(record.cause) if record.cause < record.seq else None

    def _role(self, record: Record, above: Record | None) -> str:
        event = record.event
        request = REQUESTS.get(above.event.kind) if above is not None else None
        if request is not None and event.kind in request.kinds and is_end(event):
            return "end"
        hook, call_id = field(event, "hook"), field(event, "call_id")
        index = self.calls.get(str(call_id), ("", ""))[1]
        if event.kind in ("tool.requested", "tool.blocked") or hook == BEFORE:
            return f"call {index}"
        return f"{event.kind} {hook or field(event, 'via') or ''} {index}"


def lasting(hooks: Sequence[str]) -> list[str]:
    """Return *hooks* without those that are asked only while somebody watches."""
    return [hook for hook in hooks if hook not in POLLS]


def pairs(a: Side, b: Side) -> dict[int, int]:
    """Return which record of *b* corresponds to each record of *a*, by number.

    What is left over below two that correspond is paired in order: there the logs part, one said
    this, the other that. Inputs from outside are not: nobody decided them in place of each other.
    """
    found: dict[int, int] = {}
    waiting = [(0, 0)]
    while waiting:
        above = waiting.pop()
        left, right = a.below(above[0]), b.below(above[1])
        matched = [
            pair for role in left for pair in zip(left[role], right.get(role, ()), strict=False)
        ]
        if above != (0, 0):
            matched.extend(zip(_rest(left, right), _rest(right, left), strict=False))
        for one, other in matched:
            found[one.seq] = other.seq
            waiting.append((one.seq, other.seq))
    return found


def _rest(of: dict[str, list[Record]], other: dict[str, list[Record]]) -> Iterator[Record]:
    rest = [r for role, found in of.items() for r in found[len(other.get(role, ())) :]]
    yield from sorted(rest, key=lambda record: record.seq)


def _is_answer(message: object) -> bool:
    return isinstance(message, Assistant)


def _is_poll(record: Record) -> bool:
    """Whether a queue was looked into: only where somebody watches, so it says nothing."""
    return record.event.kind.startswith("host.") and field(record.event, "hook") in POLLS


def _is_of_call(record: Record) -> bool:
    """Whether *record* is about one call of an answer, not about the turn."""
    kind = record.event.kind
    return kind.startswith(("tool.", "approval.")) or (
        kind.startswith("host.") and field(record.event, "hook") == BEFORE
    )
