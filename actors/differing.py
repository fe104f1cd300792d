"""What two logs say differently: ``compare`` them, and have the first difference worded. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import msgspec

from tinyagent.actors.aligned import Side, lasting, pairs
from tinyagent.events import Event, Fact, Record, UnknownEvent, encode, kinds as k
from tinyagent.events.messages import Block
from tinyagent.events.work import field, fields
from tinyagent.runtime.divergence import Difference, Grade, differences, shown

REBUILT_MAX = 3
"""So many requests are built again at most, to find the first that differs."""

_UNCOUNTED = {
    "session.started": ("versions",),
    "user.said": ("at_ms",),
    "model.requested": ("n",),
    "model.retrying": ("delay_s",),
    "model.finished": ("request", "response", "usage"),
    "model.failed": ("request", "usage"),
    "child.started": ("limits",),
    "child.ended": ("used",),
    "turn.ended": ("n", "state"),
    "run.ended": ("state",),
}
"""Fields that are ids, numbers, times and digests of these, and what an answer cost."""


Said: TypeAlias = tuple[str, Any]
"""A kind, and what a record of it says."""


class Apart(msgspec.Struct, frozen=True, kw_only=True):
    """A place where two logs say different things.

    Attributes:
        seq, other: the record here and in the other log; 0 where there is none.
        after: the record here that it comes behind.
        grade: ``shape``: something differs. ``missing``: only here. ``extra``: only there.
        here, there: kind and payload, or None. Ids are those of this log where they correspond.
        paths: leaves that differ; ``recorded`` is here, ``now`` is there.
    """

    seq: int
    other: int
    after: int
    grade: Grade
    here: Said | None
    there: Said | None
    paths: tuple[Difference, ...] = ()

    def lines(self, width_max: int = 200) -> Iterator[str]:
        """Yield it in words; a value is JSON, cut to *width_max* characters."""
        place = f"{self.seq or '':>5}"
        if self.here is not None and self.there is not None and self.here[0] == self.there[0]:
            for path in self.paths:
                yield f"{place}    {self.here[0]}  {path.path} differs"
                yield f"       - {shown(path.recorded, width_max)}"
                yield f"       + {shown(path.now, width_max)}"
            return
        if self.here is not None:
            yield f"{place}  - {self.here[0]}  {shown(self.here[1], width_max)}"
            place = f"{'':>5}"
        if self.there is not None:
            at = "" if self.here is not None else f"  ({self.other} there)"
            yield f"{place}  + {self.there[0]}  {shown(self.there[1], width_max)}{at}"


class LogDiff(msgspec.Struct, frozen=True, kw_only=True):
    """Two logs, held against each other.

    Attributes:
        where, other: which. same: so many records say the same in both.
        first: the first place where they part; None if they are the same.
        cascade: the places after it, most of them its consequences.
    """

    where: str
    other: str
    same: int
    first: Apart | None = None
    cascade: tuple[Apart, ...] = ()

    @property
    def is_same(self) -> bool:
        """Whether both say the same."""
        return self.first is None

    def summary(self, more_max: int = 3, width_max: int = 200) -> str:
        """Return in words where they part, with *more_max* places of the cascade."""
        if self.first is None:
            return f"same: {self.same} records"
        told = [self.first, *self.cascade[:more_max]]
        lines = [f"same up to {self.first.after}, then"]
        lines.extend(line for apart in told for line in apart.lines(width_max))
        left = len(self.cascade) - more_max
        return "\n".join([*lines, *([f"       {left} more places follow"] if left > 0 else [])])


Body = Callable[[int], bytes | None]
"""Returns the request of a ``model.requested`` by its number; None if it cannot be built."""


def compare(
    here: tuple[str, Sequence[Record], Body], there: tuple[str, Sequence[Record], Body]
) -> LogDiff:
    """Return where two logs part; each is its name, its records, its requests."""
    return _Comparison(here, there).found()


class _Comparison:
    def __init__(
        self, here: tuple[str, Sequence[Record], Body], there: tuple[str, Sequence[Record], Body]
    ) -> None:
        self._names, self._bodies = (here[0], there[0]), (here[2], there[2])
        self._a, self._b = Side(here[1]), Side(there[1])
        self._pairs = pairs(self._a, self._b)
        self._back = {other: seq for seq, other in self._pairs.items()}
        ours = {place: call_id for call_id, place in self._a.calls.items()}
        self._ids: dict[str, str] = {}
        for call_id, (seq, index) in self._b.calls.items():
            mine = ours.get((self._back.get(seq, 0), index))
            if mine is not None and mine != call_id:
                self._ids[call_id] = mine
        self._same = 0

    def found(self) -> LogDiff:
        places = sorted([*self._of_here(), *self._of_there()], key=lambda place: place[0])
        aparts = [apart for _, apart in places]
        if aparts:
            aparts = self._with_request(aparts)
        return LogDiff(
            where=self._names[0],
            other=self._names[1],
            same=self._same,
            first=aparts[0] if aparts else None,
            cascade=tuple(aparts[1:]),
        )

    def _of_here(self) -> Iterator[tuple[tuple[int, int], Apart]]:
        for record in self._a.records:
            seq, other = record.seq, self._pairs.get(record.seq, 0)
            here = (record.event.kind, said(record, self._a))
            there = self._theirs(self._b[other]) if other else None
            if here == there:
                self._same += 1
                continue
            grade: Grade = "missing" if there is None else "shape"
            yield (seq, 0), _apart(seq, other, seq - 1, grade, here, there)

    def _of_there(self) -> Iterator[tuple[tuple[int, int], Apart]]:
        """Yield what is only in the other log, behind what it follows there."""
        after = 0
        for record in self._b.records:
            after = max(after, self._back.get(record.seq, 0))
            if record.seq not in self._back:
                place = (after, record.seq)
                yield place, _apart(0, record.seq, after, "extra", None, self._theirs(record))

    def _theirs(self, record: Record) -> Said:
        """Return what a record of the other log says, with ids and numbers as they are here."""
        told = self._translated(said(record, self._b))
        if isinstance(record.event, k.UserDelivered | k.UserWithdrawn):
            told["said"] = [self._back.get(seq, 0) for seq in record.event.said]
        if isinstance(record.event, k.ContextEdited):
            told["ops"] = [
                ["drop", self._back.get(op[1], 0)] if op[:1] == ["drop"] else op
                for op in told["ops"]
            ]
        return record.event.kind, told

    def _with_request(self, aparts: list[Apart]) -> list[Apart]:
        """Put in the first request that comes out differently, where it can be built again."""
        first = aparts[0].seq
        asked = [
            (seq, other)
            for seq, other in sorted(self._pairs.items())
            if seq > first and {self._a[seq].event.kind, self._b[other].event.kind} == {_ASKED}
        ]
        for seq, other in asked[:REBUILT_MAX]:
            bodies = self._bodies[0](seq), self._bodies[1](other)
            if bodies[0] is None or bodies[1] is None:
                continue
            mine, theirs = (msgspec.json.decode(body) for body in bodies if body is not None)
            paths = tuple(differences(mine, self._translated(theirs)))
            if paths:
                told: Said = (_ASKED, {})
                apart = msgspec.structs.replace(
                    _apart(seq, other, seq - 1, "shape", told, told), paths=paths
                )
                at = next((at for at, a in enumerate(aparts) if a.seq > seq), len(aparts))
                return [*aparts[:at], apart, *aparts[at:]]
        return aparts

    def _translated(self, value: Any, name: str = "") -> Any:
        """Return *value* with call ids as they are here, where its *name* says that it is an id."""
        match value:
            case str() if name == "id" or name.endswith(("_id", "Id")):
                return self._ids.get(value, value)
            case dict():
                return {key: self._translated(item, key) for key, item in value.items()}
            case list():
                return [self._translated(item) for item in value]
            case _:
                return value


def _apart(
    seq: int, other: int, after: int, grade: Grade, here: Said | None, there: Said | None
) -> Apart:
    paths: tuple[Difference, ...] = ()
    if here is not None and there is not None and here[0] == there[0]:
        paths = tuple(differences(here[1], there[1]))
    return Apart(
        seq=seq, other=other, after=after, grade=grade, here=here, there=there, paths=paths
    )


_ASKED = k.ModelRequested.kind


def said(record: Record, side: Side) -> dict[str, Any]:
    """Return what *record* says, as JSON, without what does not count; answers with their text."""
    event = record.event
    told = _plain(event)
    for name in _UNCOUNTED.get(event.kind, ()):
        told.pop(name, None)
    match event:
        case k.SessionStarted():
            told |= _configured(told, {"hooks": [], "options": {}})
        case k.ConfigChanged():
            told["set"] = _configured(told["set"], {})
        case _:
            pass
    if field(event, "ops") or field(event, "message"):
        told = _undated(told)
    blocks = side.answers.get(record.seq)
    if blocks is not None:
        told["answer"] = _spoken(blocks)
        told.pop("calls", None)
    return told


def _configured(told: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """Return configuration without who watches, and without the id that a provider is told."""
    told = {**default, **told}
    if "hooks" in told:
        told["hooks"] = lasting(told["hooks"])
    if "options" in told:
        told["options"] = {name: v for name, v in told["options"].items() if name != "session_id"}
    return told


def _plain(event: Event) -> dict[str, Any]:
    if isinstance(event, UnknownEvent):
        return dict(fields(event))
    assert isinstance(event, Fact)
    value: dict[str, Any] = msgspec.json.decode(encode(event))
    return value


def _undated(value: Any) -> Any:
    """Return *value* without the stamps of the messages in it."""
    match value:
        case dict():
            return {key: _undated(item) for key, item in value.items() if key != "timestamp"}
        case list():
            return [_undated(item) for item in value]
        case _:
            return value


def _spoken(blocks: Sequence[Block]) -> dict[str, Any]:
    """Return what an answer says, by sort; ids, signatures and what only its provider reads not."""
    told: dict[str, Any] = {}
    for op in ("think", "text", "refuse"):
        if texts := [block.text for block in blocks if block.op == op]:
            told[op] = "".join(texts)
    if calls := [block for block in blocks if block.op == "call"]:
        told["calls"] = [{"name": c.name, "arguments": _arguments(c.text)} for c in calls]
    return told


def _arguments(text: str) -> Any:
    try:
        return msgspec.json.decode(text or "{}")
    except msgspec.DecodeError:
        return text
