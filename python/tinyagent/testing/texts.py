"""A log as text that stays the same from run to run: for snapshots, and for failing tests.

``transcript`` says who said what, so it survives a change of the runtime; ``event_text`` says
which record led to which, and pins it. Ids are renamed in order, times and costs left out. Both
are views: the log keeps its bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from tinyagent.agent import Agent
from tinyagent.cli.render import safe
from tinyagent.cli.transcript import Row, rows
from tinyagent.events import Fact, Record, kinds as k
from tinyagent.recording import Recording
from tinyagent.runtime.stores import Log
from tinyagent.verbs import load

Source: TypeAlias = "Log | Recording | Agent | str | Path"
"""Whatever has a log: an open one, one that was read, an agent, or the place of one."""

_KEY = re.compile(r"ta1-[0-9a-f]{32}")
_DROPPED = {
    "model.finished": ("calls", "request", "response", "usage"),
    "model.failed": ("request", "usage"),
    "model.retrying": ("delay_s", "request"),
    "run.ended": ("state",),
    "turn.ended": ("state",),
    "user.said": ("at_ms",),
    "approval.requested": ("args",),
    "approval.decided": ("args",),
}
"""Fields that are times, costs and digests of what else is there."""


def transcript(of: Source) -> str:
    """Return who said what: a line for each message, call, result and end."""
    recording = _recording(of)
    names = _Names(recording)
    lines = [f"{_label(row):10}{names.renamed(_text(row)).strip()}" for row in rows(recording)]
    return "\n".join(safe(line).rstrip() for line in lines)


def _label(row: Row) -> str:
    return row.label.partition(" #")[0]


def _text(row: Row) -> str:
    called = f"{row.name} " if row.name else ""
    return f"{called}{'✗ ' if row.is_bad and row.label != 'in doubt' else ''}{row.text}"


def event_text(of: Source) -> str:
    """Return every record as ``number actor kind <- cause`` and what it says.

    The deltas of an answer are one line; numbers count these lines.
    """
    recording = _recording(of)
    return "\n".join(_lines(recording, _Names(recording)))


def _lines(recording: Recording, names: _Names) -> Iterator[str]:
    numbers: dict[int, int] = {0: 0}
    heard: dict[int, tuple[int, Record, list[str]]] = {}
    lines: list[tuple[Record, dict[str, Any] | None]] = []
    for record in recording.records:
        event = record.event
        if isinstance(event, k.ModelDelta):
            if record.cause not in heard:
                lines.append((record, None))
                heard[record.cause] = len(lines), record, []
            number, _, parts = heard[record.cause]
            numbers[record.seq] = number
            parts += [str(piece[2]) for piece in event.pieces if piece[1] in ("text", "think")]
            continue
        if isinstance(event, k.ModelRetrying):
            heard.pop(record.cause, None)  # void: what comes is another answer
        lines.append((record, _said(record)))
        numbers[record.seq] = len(lines)
    said_in = {number: "".join(parts) for number, _, parts in heard.values()}
    for number, (record, said) in enumerate(lines, 1):
        said = dict[str, Any](said or {"text": said_in.get(number, "")})
        if isinstance(record.event, k.UserDelivered | k.UserWithdrawn):
            said["said"] = [numbers.get(seq, 0) for seq in record.event.said]
        text = msgspec.json.encode(said).decode()
        cause = numbers.get(record.cause, 0)
        line = f"{number:>4} {record.actor} {record.event.kind} <- {cause} {text}"
        yield safe(names.renamed(line)).removesuffix(" {}")


def _said(record: Record) -> dict[str, Any]:
    """Return what the record says, without what differs from run to run."""
    event = record.event
    if isinstance(event, k.SessionStarted):
        model = {name: event.model.get(name) for name in ("provider", "id")}
        tools = [tool.name for tool in event.tools]
        return {"model": model, "tools": tools, "hooks": list(event.hooks)}
    said: dict[str, Any] = msgspec.json.decode(record.payload)
    if not isinstance(event, Fact):
        return said
    dropped = _DROPPED.get(event.kind, ())
    return {name: value for name, value in said.items() if name not in dropped}


class _Names:
    """New names for the ids of one log: of calls in their order, of the log, of its keys."""

    def __init__(self, recording: Recording) -> None:
        self._keys: dict[str, str] = {}
        self._ids = {recording.meta.log: "<log>", recording.ref: "<log>"}
        for number, call_id in enumerate(recording.every_call, 1):
            self._ids[call_id] = f"call{number}"
        longest_first = sorted(filter(None, self._ids), key=len, reverse=True)
        words = "|".join(map(re.escape, longest_first))
        self._id = re.compile(rf"(?<![\w-])(?:{words})(?![\w-])")

    def renamed(self, text: str) -> str:
        """Return *text* with new names in the place of ids."""
        text = _KEY.sub(self._key, text)
        return self._id.sub(lambda found: self._ids[found[0]], text)

    def _key(self, found: re.Match[str]) -> str:
        return self._keys.setdefault(found[0], f"<key{len(self._keys) + 1}>")


def _recording(of: Source) -> Recording:
    if isinstance(of, Recording):
        return of
    return load(of.log if isinstance(of, Agent) else of)
