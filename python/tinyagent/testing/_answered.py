"""What a recorded session was asked, and what it was answered: read off its log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from tinyagent.actors.providers.hosted import HOSTED, Description
from tinyagent.actors.replaying import Requests
from tinyagent.actors.standing import Walk
from tinyagent.actors.transports import Timed
from tinyagent.events import Record, View, canonical, kinds as k
from tinyagent.events.children import own
from tinyagent.events.codec import restored
from tinyagent.recording import Recording

_PLACES = ("seq", "at_ms", "usage")


class Told(msgspec.Struct):
    """A recorded answer of a model: to what, in which pieces, how it ended.

    ``key``: equal for equal questions.
    """

    seq: int
    asked: Any
    key: bytes
    heard: list[list[Timed]] = []
    end: k.ModelFinished | k.Failure | None = None
    is_used: bool = False

    @property
    def what(self) -> str:
        """What it is, for messages."""
        return f"the model call of record {self.seq}"


class Done(msgspec.Struct):
    """A recorded run of a tool."""

    call_id: str
    name: str
    arguments: dict[str, Any] | None
    seq: int
    progress: list[k.ToolProgressed] = []
    end: k.ToolFinished | k.ToolFailed | k.ToolInDoubt | None = None
    ended: int = 0
    is_used: bool = False

    @property
    def what(self) -> str:
        """What it is, for messages."""
        return f"{self.name} of record {self.seq}"

    @property
    def was_cut_off(self) -> bool:
        """Whether it did not end by itself."""
        match self.end:
            case k.ToolFinished():
                return False
            case k.ToolFailed(failure=failure):
                return failure.kind in ("cancelled", "timeout")
            case _:
                return True


def question(asked: View) -> Any:
    """Return what a model is asked, as JSON: without numbers of records, times and costs."""
    if asked.settings.options.get("source") == HOSTED:
        given = msgspec.json.decode(Description().parts(asked).whole())
        for message in given["messages"]:
            for name in _PLACES:
                message.pop(name, None)
        return given
    try:
        return msgspec.json.decode(Requests().body(asked))
    except ValueError as error:
        return {"fault": str(error)}


def answers_in(recording: Recording) -> Iterator[Told]:
    """Yield every answer, to children too; of a request that was sent again, what came last."""
    for one in (recording, *recording.children.values()):
        yield from _answers(list(own(one.records)))


def _answers(records: Sequence[Record]) -> Iterator[Told]:
    walk = Walk(records)
    views: dict[int, View] = {}
    told: dict[int, Told] = {}
    for record in records:
        event = record.event
        match event:
            case k.ModelRequested():
                views[record.seq] = walk.asked(record.seq)
                told[record.seq] = _told(record.seq, views[record.seq])
            case k.ModelDelta() if record.cause in told:
                told[record.cause].heard.append(list(_timed(event.pieces)))
            case k.ModelRetrying() if record.cause in told:
                told[record.cause].heard.clear()
                if event.model is not None and event.request:  # another model is asked
                    given_up = told[record.cause]
                    given_up.end = event.failure
                    yield given_up
                    told[record.cause] = _told(record.cause, views[record.cause].to(event.model))
            case k.ModelFinished() | k.ModelFailed() if record.cause in told:
                answer = told.pop(record.cause)
                answer.end = event.failure if isinstance(event, k.ModelFailed) else event
                yield answer
            case _:
                pass


def _told(seq: int, view: View) -> Told:
    asked = question(view)
    return Told(seq, asked, canonical(asked))


def _timed(pieces: Sequence[k.Piece]) -> Iterator[Timed]:
    """Yield each delta as it arrived: its boundaries and its gaps."""
    for piece in pieces:
        block, op, data, gaps_us = piece[:4]
        if not isinstance(gaps_us, list):
            yield block, op, restored(data), gaps_us
            continue
        at = 0
        for gap_us, size in zip(gaps_us, piece[4], strict=True):
            yield block, op, data[at : at + size], gap_us
            at += size


def runs_in(recording: Recording) -> tuple[list[Done], dict[str, k.ToolReconciled]]:
    runs: list[Done] = []
    last: dict[str, Done] = {}
    reconciled: dict[str, k.ToolReconciled] = {}
    for record in recording.records:
        match record.event:
            case k.ToolStarted(call_id=call_id):
                call = recording.every_call[call_id]
                last[call_id] = Done(call_id, call.name, call.arguments, record.seq)
                runs.append(last[call_id])
            case k.ToolProgressed() as said if said.call_id in last:
                last[said.call_id].progress.append(said)
            case k.ToolFinished() | k.ToolFailed() | k.ToolInDoubt() as end if end.call_id in last:
                last[end.call_id].end, last[end.call_id].ended = end, record.seq
            case k.ToolReconciled() as said:
                reconciled[said.call_id] = said
            case _:
                pass
    return runs, reconciled
