"""What a page holds of a log: its records, each with what it changed and what it asked. Pure.

Nothing is there twice: of a state what changed at a record, of a request what is not in the one
before. The page folds them. What is alike stands close together, where compression sees it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from tinyagent.actors.series import Series
from tinyagent.actors.standing import Walk
from tinyagent.events import Message, Record, UnknownEvent, kinds as k
from tinyagent.events.messages import Assistant, Custom, Result, User
from tinyagent.viewer.blanks import blank, blanked, blanked_settings, length
from tinyagent.viewer.roles import role_of

if TYPE_CHECKING:
    from tinyagent.recording import Recording
    from tinyagent.runtime.divergence import Divergence, Report
    from tinyagent.runtime.load import Damage
    from tinyagent.runtime.stores import LogMeta

FORMAT = 1
_ROLES: dict[type, str] = {User: "user", Assistant: "assistant", Result: "tool", Custom: "custom"}
_TURN = ("model.", "tool.", "turn.", "run.", "host.")
Json = dict[str, Any]


def packed(
    recording: Recording,
    with_deltas: bool,
    content: bool,
    last: int | None,
    report: Report | None = None,
) -> bytes:
    """Return the data of a page as JSON."""
    records = since(recording.records, last)
    packer = Packer(recording.records, with_deltas, content, records[0].at_ns if records else 0)
    told = {
        **head(recording.meta, recording.status, recording.damage),
        "at_us": records[0].at_ns // 1000 if records else 0,
        "total": len(recording.records),
        "before": len(recording.records) - len(records),
        "deltas": with_deltas,
        "content": content,
    }
    if report is not None and report.first_divergence is not None:
        found = (report.first_divergence, *report.cascade)
        told["diverged"] = [_diverged(each, content) for each in found]
    return msgspec.json.encode({**told, "items": list(packer.items(records))})


class Packer:
    """Makes the items of a page of *records*, in order. The list may grow meanwhile.

    Args:
        with_deltas, content: as of ``to_html``. first_ns: what times are told from.
    """

    def __init__(
        self, records: Sequence[Record], with_deltas: bool, content: bool, first_ns: int
    ) -> None:
        self._requests = _Requests(records, content)
        self._states = _States(Walk(records), content)
        self._with_deltas = with_deltas
        self._content = content
        self._first_ns = first_ns

    def items(self, records: Sequence[Record]) -> Iterator[Json]:
        """Yield the items of the next *records*."""
        for group in grouped(records, self._with_deltas):
            yield self._item(group)

    def _item(self, group: Sequence[Record]) -> Json:
        record, content = group[0], self._content
        event = record.event
        item: Json = {
            "s": record.seq,
            "t": (record.at_ns - self._first_ns) // 1000,
            "c": record.cause,
            "a": record.actor,
            "k": event.kind,
            "e": _payload(record, content) if len(group) == 1 else _joined(group, content),
        }
        if isinstance(event, UnknownEvent):
            item["x"] = 1
        if len(group) > 1:
            end = group[-1]
            at = (end.at_ns - self._first_ns) // 1000
            item |= {"l": end.seq, "n": len(group), "u": at}
        if not isinstance(event, k.ModelDelta) and (patch := self._states.next(record.seq)):
            item["p"] = patch
        if isinstance(event, k.ModelRequested):
            item["q"] = self._requests.next(record, event)
        return item


def since(records: list[Record], last: int | None) -> list[Record]:
    """Return the *last* model calls of *records*, and what belongs to them; None: all records."""
    asked = [at for at, r in enumerate(records) if isinstance(r.event, k.ModelRequested)]
    if last is None or last >= len(asked):
        return records
    at = asked[-last] if last > 0 else len(records)
    while at and not records[at - 1].event.kind.startswith(_TURN):
        at -= 1
    return records[at:]


def grouped(records: Sequence[Record], with_deltas: bool) -> Iterator[list[Record]]:
    """Yield records one by one, but the deltas of one attempt together, where the first stands."""
    groups: list[list[Record]] = []
    answers: dict[int, list[Record]] = {}
    for record in records:
        match record.event:
            case k.ModelDelta() if not with_deltas:
                if record.cause in answers:
                    answers[record.cause].append(record)
                    continue
                answers[record.cause] = group = [record]
                groups.append(group)
            case k.ModelRetrying() | k.ModelFinished() | k.ModelFailed():
                answers.pop(record.cause, None)
                groups.append([record])
            case _:
                groups.append([record])
    yield from groups


def _joined(group: Sequence[Record], content: bool) -> Json:
    """Return the pieces of several deltas, those of one block and operation as one."""
    found: dict[tuple[Any, Any], list[Any]] = {}
    for record in group:
        assert isinstance(record.event, k.ModelDelta)
        for block, op, data, *_ in record.event.pieces:
            found.setdefault((block, op), []).append(data)
    pieces: list[Any] = []
    for (block, op), parts in found.items():
        if all(isinstance(part, str) for part in parts):
            text = "".join(parts)
            pieces.append([block, op, text if content else length(text)])
        else:
            pieces.extend([block, op, part if content else blank(part)] for part in parts)
    return {"pieces": pieces}


def _payload(record: Record, content: bool) -> Any:
    if not content:
        return blanked(record)
    try:
        return msgspec.json.decode(record.payload)
    except msgspec.DecodeError:  # of a kind that nobody here knows
        return {"$bytes": record.payload.decode("utf-8", "replace")}


def head(meta: LogMeta, status: str, damage: Damage | None) -> Json:
    """Return what a page says of a log as a whole."""
    return {
        "format": FORMAT,
        "log": meta.log,
        "ref": meta.log[:8],
        "name": meta.name,
        "origin": meta.origin,
        "fork": meta.fork and msgspec.to_builtins(meta.fork),
        "status": status,
        "damage": None if damage is None else _damaged(damage),
    }


def _damaged(damage: Damage) -> Json:
    lost = sum(each.last - each.first + 1 for each in damage.lost_records)
    return {
        "verdict": damage.verdict,
        "torn_bytes": damage.torn_bytes,
        "dropped": damage.dropped,
        "lost_values": len(damage.lost_values),
        "lost_records": lost,
    }


def _diverged(found: Divergence, content: bool) -> Json:
    told: Json = msgspec.to_builtins(found)
    del told["where"]
    told["left"] = told.pop("not_compared")
    told["paths"] = [[each["path"], each["recorded"], each["now"]] for each in told["paths"]]
    if not content:
        told["cause"] = length(told["cause"])
        told["paths"] = [[path, *map(blank, values)] for path, *values in told["paths"]]
        for name in ("recorded", "now"):
            told[name] = told[name] and [told[name][0], blank(told[name][1])]
    return told


class _Requests:
    """The requests of a log in rising order, each by what is not in the agent's one before."""

    def __init__(self, records: Sequence[Record], content: bool) -> None:
        self._records = records
        self._series = Series(records)
        self._ends: dict[int, k.ModelFinished | k.ModelFailed] = {}
        self._seen = 0
        self._content = content
        self._before: dict[str, int] = {}

    def next(self, record: Record, event: k.ModelRequested) -> Json:
        seq = record.seq
        try:
            found = self._series.tell(record)
        except ValueError as error:
            return {"no": f"record {seq}: no request was sent: {error}"}
        end = self._end(seq)
        told: Json = {
            "n": event.n,
            "b": self._before.get(record.actor, 0),
            "m": found.model,
            "d": found.digest,
            "r": end.request if end else "",
            "u": end.usage if end else None,
            "z": found.size,
            "x": found.unchanged_prefix,
            "f": [
                [name, int(is_list), kept, [self._part(name, raw) for raw in new]]
                for name, is_list, kept, new in found.fields
            ],
        }
        self._before[record.actor] = seq
        return told

    def _end(self, seq: int) -> k.ModelFinished | k.ModelFailed | None:
        for record in self._records[self._seen :]:
            if isinstance(record.event, k.ModelFinished | k.ModelFailed):
                self._ends[record.cause] = record.event
        self._seen = len(self._records)
        return self._ends.get(seq)

    def _part(self, name: str, raw: bytes) -> list[Any]:
        part = msgspec.json.decode(raw)
        shown = raw if self._content else msgspec.json.encode(blank(part, name))
        return [len(raw), shown.decode(), role_of(name, part)]


class _States:
    """How things stood, record by record, each by what changed since the one before."""

    def __init__(self, walk: Walk, content: bool) -> None:
        self._walk = walk
        self._content = content
        self._groups: dict[str, Json] = {"a": {}, "g": {}}
        self._seen: dict[str, object] = {}
        self._open: object = ()
        self._fault = ""
        self._messages: list[Message] = []
        self._length = 0

    def next(self, seq: int) -> Json:
        now = self._walk.to(seq)
        patch: Json = {}
        for name, value in (("a", now.agent), ("g", now.settings)):
            if (changes := self._group(name, value)) != {}:
                patch[name] = changes
        if now.open != self._open:
            self._open = now.open
            patch["o"] = msgspec.to_builtins(now.open)
        if now.fault != self._fault:
            self._fault = patch["f"] = now.fault
        if (told := self._said(now.view.messages, now.view.length)) is not None:
            patch["m"] = told
        return patch

    def _group(self, name: str, value: object) -> Json | None:
        if value is self._seen.get(name, self):
            return {}
        self._seen[name] = value
        if value is None:
            self._groups[name] = {}
            return None
        now: Json = msgspec.to_builtins(value)
        # A set of the machine is in another order in every process.
        now |= {
            key: sorted(v) for key, v in now.items() if isinstance(getattr(value, key), frozenset)
        }
        if name == "g" and not self._content:
            now = blanked_settings(now)
        then, self._groups[name] = self._groups[name], now
        return {key: item for key, item in now.items() if key not in then or then[key] != item}

    def _said(self, messages: list[Message], length: int) -> list[Any] | None:
        kept = self._length
        if messages is not self._messages:
            now, then = messages[:length], self._messages[: self._length]
            pairs = enumerate(zip(now, then, strict=False))
            kept = next((at for at, (a, b) in pairs if a is not b), min(len(now), len(then)))
        if kept == length == self._length:
            return None
        self._messages, self._length = messages, length
        return [kept, [self._message(message) for message in messages[kept:length]]]

    def _message(self, message: Message) -> Json:
        told: Json = msgspec.to_builtins(message)
        said = {"role": _ROLES[type(message)]}
        said |= {name: item for name, item in told.items() if item not in (None, "", [], {})}
        return said if self._content else blank(said)
