"""``tinyagent why REF:N [--impact]``: the chain of causes that led to N, or what N led to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from cyclopts import Parameter
from msgspec import UNSET, UnsetType

from tinyagent.cli import refs
from tinyagent.cli.answers import Why
from tinyagent.cli.options import COMMON, Common, RefN
from tinyagent.cli.parts import Step
from tinyagent.cli.render import answer, emit, safe, width
from tinyagent.events import Record, kinds as k
from tinyagent.events.work import field
from tinyagent.recording import Why as Chain
from tinyagent.runtime.causes import Below
from tinyagent.verbs import Recording, load

LINE = 100
INDENT_MAX = 20
"""A run is as deep as it is long: what is deeper stands at this depth, its own in front."""


def run(
    ref: RefN,
    /,
    *,
    impact: Annotated[bool, Parameter(help="what N led to")] = False,
    common: Common = COMMON,
) -> int:
    """Print the chain, or with ``--impact`` the tree, and return 0."""
    place = refs.place(ref, common.dir)
    number = place.number
    recording = load(place.path)
    steps = Steps(recording)
    if impact:
        below = recording.impact(number)
        tree = [steps.told(branch.record, branch.depth) for branch in below]
        lines = tree_of(steps, below)
        told: dict[str, Any] = {"impact": tree}
    else:
        found = recording.why(number)
        lines = chain(steps, found)
        told = {
            "chain": [steps.told(record) for record in found.chain],
            "request": found.request or None,
            "filled": [steps.told(record) for record in found.filled],
        }
    if common.json:
        answer(Why(log=recording.meta.log, record=number, **told))
    else:
        emit(lines, color=common.color)
    return 0


class Steps:
    """Words for the records of one log."""

    def __init__(self, recording: Recording) -> None:
        self._calls = recording.every_call
        self._numbers = {record.seq: record.event for record in recording.records}

    def word(self, record: Record) -> str:
        """Return number, kind, and what tells *record* from others of its kind."""
        return safe(f"{record.seq} {record.event.kind} {self._about(record)}".rstrip())

    def told(self, record: Record, depth: int | UnsetType = UNSET) -> Step:
        """Return *record* without its payload."""
        return Step(
            seq=record.seq,
            kind=record.event.kind,
            cause=record.cause,
            actor=record.actor,
            about=self._about(record),
            depth=depth,
        )

    def _about(self, record: Record) -> str:
        event = record.event
        call_id = field(event, "call_id")
        match event:
            case k.ModelRequested(n=n):
                return f"#{n}"
            case k.ModelFinished() | k.ModelFailed():
                asked = self._numbers.get(record.cause)
                return f"#{asked.n}" if isinstance(asked, k.ModelRequested) else ""
            case k.RunEnded(outcome=outcome):
                return outcome
            case k.UserSaid(via="steer" | "follow_up" as via):
                return via
            case _ if isinstance(call_id, str) and call_id in self._calls:
                name = self._calls[call_id].name or call_id
                return " ".join(filter(None, (field(event, "hook"), name)))
            case _:
                return str(field(event, "hook") or "")


def chain(steps: Steps, found: Chain) -> Iterator[str]:
    """Yield the chain, wrapped, and what the request in it was made of."""
    words = [steps.word(record) for record in found.chain]
    yield from _wrapped([words[0], *(f" ← {word}" for word in words[1:])])
    if found.filled:
        words = [f" {steps.word(record)}," for record in found.filled]
        words[-1] = words[-1][:-1]
        yield from _wrapped([f"request {found.request} was made of", *words])


def tree_of(steps: Steps, below: Sequence[Below]) -> Iterator[str]:
    """Yield the tree, a line for each record; deltas are counted."""
    deltas = 0
    for at, (depth, record) in enumerate(below):
        text = steps.word(record)
        if isinstance(record.event, k.ModelDelta):
            deltas += 1
            if at + 1 < len(below) and isinstance(below[at + 1].record.event, k.ModelDelta):
                continue
            text, deltas = f"{record.seq} model.delta, the last of {deltas}", 0
        deep = f"[{depth}] " if depth > INDENT_MAX else ""
        yield "  " * min(depth, INDENT_MAX) + deep + text


def _wrapped(parts: Sequence[str]) -> Iterator[str]:
    """Yield *parts* on lines of LINE characters, less on a narrow terminal, none of them broken."""
    line, columns = "", min(LINE, width() or LINE)
    for part in parts:
        if line and len(line) + len(part) > columns:
            yield line
            line = ""
        line += part
    yield line
