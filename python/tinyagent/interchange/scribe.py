"""Writes what another program said as a log that our own agent could have written.

The agent's machine takes every record, and what it decides is written too; so the log is legal: it
folds, can be forked, and gone on with from the fork. What the source does not say is not invented:
no tool has a start, no request a digest. Where a session ends in the middle, the run is cancelled.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import msgspec

from tinyagent._reading.partial import arguments_of
from tinyagent.actors.session import agent_machine
from tinyagent.events import (
    Conversation,
    Event,
    Failure,
    Record,
    canonical,
    digest,
    encode,
    kinds as k,
    plain,
)
from tinyagent.events.messages import Block, User
from tinyagent.events.settings import logged_tool
from tinyagent.runtime.load import LoadedLog
from tinyagent.runtime.log import forked_from
from tinyagent.runtime.stores import LogMeta, Stored
from tinyagent.runtime.stores.memory import MemoryLog

MODES = {"steering_mode": "all", "follow_up_mode": "all"}
UNANSWERED = "the imported session has no answer here"
NO_RESULT = "the imported session has no result of this call"


class Answer(msgspec.Struct, frozen=True):
    """What a model said. ``failure``: it failed, or was cut off, of this."""

    blocks: Sequence[Block]
    reason: Any = "end"
    model: dict[str, Any] = {}
    usage: dict[str, Any] | None = None
    failure: Failure | None = None
    response: str | None = None


class Scribe:
    """The log of one session while it is imported. Times are microseconds since 1970; 0: unknown.

    Attributes:
        records: what is written so far.
    """

    def __init__(
        self,
        origin: str,
        body: bytes,
        *,
        name: str | None = None,
        model: dict[str, Any] | None = None,
        system: str = "",
        tools: Sequence[k.ToolSpec] = (),
        at_us: int = 0,
    ) -> None:
        self.meta = LogMeta(log=_id_of(origin.encode() + b"\0" + body), name=name, origin=origin)
        self.records: list[Record] = []
        self.at_us = at_us
        self._base = 1
        self._parent: Scribe | None = None
        self._key = ""
        self._machine = agent_machine()
        self._decided: list[tuple[Event, int]] = []
        self._asked = 0
        self._open: dict[str, int] = {}
        self._last: tuple[Event, int, int] | None = None
        self._ids: dict[str, str] = {}
        self._names: set[str] = set()
        self._used: dict[str, None] = {}
        self.model = model or {}
        self._start = k.SessionStarted(
            self.model, system, [logged_tool(tool) for tool in tools], options=MODES
        )
        self._take(self._start)

    # What was said

    def said(self, content: Any, at_us: int = 0) -> None:
        """Somebody outside spoke."""
        self._tick(at_us)
        is_busy = self._machine.state.phase == "acting"
        via: Any = "steer" if is_busy else "prompt"
        at_ms = at_us // 1000 or None
        self._take(k.UserSaid(plain(fit(content)), via, at_ms))

    def answered(self, answer: Answer, at_us: int = 0) -> None:
        """The model answered."""
        self._give_up(cancel=False)
        if self._machine.state.phase == "idle":
            self._take(k.UserContinued())
        if answer.model and answer.model != self.model:
            self.configured({"model": answer.model})
        self._flush()
        self._tick(at_us)
        asked = self._asked
        if answer.failure is not None and answer.failure.kind == "cancelled":
            self._take(k.CancelRequested("import"))
        pieces, calls = self._pieces(answer.blocks)
        if pieces:
            self._write(k.ModelDelta(pieces), asked)
        if answer.failure is not None:
            self._take(k.ModelFailed(answer.failure, answer.usage), asked)
        else:
            reason: Any = "tools" if calls else answer.reason
            response = answer.response if isinstance(answer.response, str) else None
            self._take(k.ModelFinished(reason, calls, answer.usage, response=response), asked)
        self._flush()

    def returned(
        self,
        call_id: str,
        content: Any,
        *,
        is_ok: bool = True,
        details: Any = None,
        at_us: int = 0,
    ) -> bool:
        """A tool gave its result. Return whether the call is known and had none."""
        call_id = self._ids.get(call_id, call_id)
        requested = self._open.pop(call_id, 0)
        if not requested:
            return False
        self._tick(at_us)
        ended: Event
        content = fit(content)
        if is_ok:
            told = details if isinstance(details, dict) or details is None else {"value": details}
            ended = k.ToolFinished(call_id, plain(content), plain(told))
        else:
            ended = k.ToolFailed(call_id, Failure("host", text_of(content)))
            if isinstance(content, list) and any(p.get("type") != "text" for p in content):
                self.foreign("content of a failed call", {"call_id": call_id, "content": content})
        if self._open:
            self._take(ended, requested)
        else:  # what follows it decides how the turn ends
            self._last = (ended, requested, self.at_us)
        return True

    def foreign(self, what: str, raw: Any, at_us: int = 0) -> None:
        """Something was not understood."""
        self._tick(at_us)
        self._write(k.Foreign(what, plain(raw)))

    def configured(self, changes: dict[str, Any], at_us: int = 0) -> None:
        """Part of the configuration changed; the first model known is that of the start."""
        self._tick(at_us)
        if "model" in changes:
            is_first = not self.model
            self.model = changes["model"]
            if is_first and self._base == 1:
                start = msgspec.structs.replace(self._start, model=plain(self.model))
                self._start = start
                self.records[0] = msgspec.structs.replace(self.records[0], event=start)
                return
        self._take(k.ConfigChanged(plain(changes)))

    def edited(self, ops: list[list[Any]], why: str, at_us: int = 0) -> None:
        """The context was edited; a result that was held back is in it."""
        self._give_up(cancel=False)
        self._tick(at_us)
        self._write(k.ContextEdited(plain(ops), why))

    def compacted(self, summary: str, *, keep: int, at_us: int = 0) -> None:
        """A summary took the place of all messages but the last *keep*."""
        self._give_up(cancel=False)
        conversation = Conversation()
        for record in self._path():
            conversation.evolve(record)
        gone = [message.seq for message in conversation.messages]
        gone = gone[: len(gone) - keep] if keep else gone
        first = next((m for m in conversation.messages if m.seq in gone[:1]), None)
        if isinstance(first, User):
            ops: list[list[Any]] = [["replace", first.seq, summary]]
            gone = [seq for seq in gone if seq != first.seq]
        else:
            ops = [["insert", {"role": "user", "content": [{"type": "text", "text": summary}]}]]
        self.edited([*(["drop", seq] for seq in dict.fromkeys(gone)), *ops], "import", at_us)

    def _path(self) -> list[Record]:
        before = self._parent._path()[: self._base - 1] if self._parent is not None else []
        return [*before, *self.records]

    # Ends, branches

    def branch(self, key: str, why: str) -> Scribe:
        """Return the scribe of a fork that goes on from here; *key* tells it from others."""
        child = copy.copy(self)
        child._machine = agent_machine()
        child._machine.state = self._machine.state
        child._decided, child._open = list(self._decided), dict(self._open)
        child._ids, child._names = dict(self._ids), set(self._names)
        child._key = key
        child._parent, child._base, child.records = self, self._base + len(self.records), []
        child._write(k.SessionForked(why=why))
        return child

    def end(self) -> None:
        """End what is open."""
        self._give_up(cancel=True)
        self._flush()
        if self._machine.state.phase == "thinking":
            self._take(k.CancelRequested("import"))
            self._take(k.ModelFailed(Failure("cancelled", UNANSWERED)), self._asked)
            self._flush()

    def log(self) -> LoadedLog:
        """Return the log; of a branch when its parent has ended too."""
        shared: list[Stored] = []
        meta = self.meta
        if self._parent is None:
            known = {tool.name for tool in self._start.tools}
            used = [k.ToolSpec(name) for name in self._used if name not in known]
            start = msgspec.structs.replace(self._start, tools=[*self._start.tools, *used])
            self.records[0] = msgspec.structs.replace(self.records[0], event=start)
        else:
            parent, at = self._parent.log(), self._base - 1
            shared = parent.records[:at]
            left = forked_from(MemoryLog(meta=parent.meta, records=shared), at)
            log_id = _id_of(f"{parent.meta.log}\0{self._key}".encode())
            meta = msgspec.structs.replace(meta, log=log_id, fork=left)
        own = [_stored(record) for record in self.records]
        return LoadedLog(
            where="memory",
            meta=meta,
            records=[*shared, *own],
            durable_seq=own[-1].seq,
            at_us=own[0].ts_us,
            base=self._base,
        )

    def _give_up(self, *, cancel: bool) -> None:
        """Write the result that was held back; calls without one have failed."""
        if self._last is None and not self._open:
            return
        if cancel:
            self._take(k.CancelRequested("import"))
        missing = Failure("interrupted", NO_RESULT)
        for call_id, requested in self._open.items():
            self._take(k.ToolFailed(call_id, missing), requested)
        self._open = {}
        if self._last is not None:
            event, requested, at_us = self._last
            self._last = None
            self._tick(at_us)
            self._take(event, requested)

    # Records

    def _tick(self, at_us: int) -> None:
        self.at_us = max(self.at_us, at_us)

    def _take(self, event: Event, cause: int = 0) -> None:
        """Write *event*, and keep what the machine decides upon it for later."""
        record = self._write(event, cause)
        self._decided += [(decided, record.seq) for decided in self._machine.take(record)]

    def _flush(self) -> None:
        decided, self._decided = self._decided, []
        for event, cause in decided:
            record = self._write(event, cause)
            if isinstance(event, k.ModelRequested):
                self._asked = record.seq
            elif isinstance(event, k.ToolRequested):
                self._open[event.call_id] = record.seq

    def _write(self, event: Event, cause: int = 0) -> Record:
        seq = self._base + len(self.records)
        actor = event.emitter if isinstance(event, k.Fact) else ""
        record = Record(seq=seq, at_ns=self.at_us * 1000, cause=cause, actor=actor, event=event)
        self.records.append(record)
        return record

    def _pieces(self, blocks: Sequence[Block]) -> tuple[list[k.Piece], list[k.CallRef]]:
        pieces: list[k.Piece] = []
        calls: list[k.CallRef] = []
        for at, block in enumerate(blocks):
            if block.op == "keep":
                pieces.append((at, "keep", plain(block.keep), 0))
            elif block.op == "call":
                call_id = self._named(block.id)
                self._used[block.name] = None
                arguments = arguments_of(block.text)
                args = "bad" if arguments is None else digest(canonical(arguments))
                calls.append(k.CallRef(call_id, block.name, args))
                pieces.append((at, "call", {"id": call_id, "name": block.name}, 0))
                pieces.append((at, "args", plain(block.text), 0))
            else:
                pieces.append((at, block.op, plain(_text(block.text)), 0))
            if block.sign:
                pieces.append((at, "sign", plain(_text(block.sign)), 0))
        return pieces, calls

    def _named(self, call_id: str) -> str:
        """Return an id for a call that no other call of the log has."""
        name, n = call_id or "call", 1
        while name in self._names:
            n += 1
            name = f"{call_id or 'call'}~{n}"
        self._names.add(name)
        self._ids[call_id] = name
        return name


def text_of(content: k.Content | None) -> str:
    """Return the texts in *content*."""
    if not isinstance(content, list):
        return content or ""
    return "\n".join(part.get("text") or "" for part in content if part.get("type") == "text")


def fit(content: Any) -> k.Content:
    """Return *content* as our messages hold it; a part that is no text and no image as its JSON."""
    if content is None or isinstance(content, str):
        return content or ""
    return [_part(part) for part in (content if isinstance(content, list) else [content])]


def _part(part: Any) -> dict[str, Any]:
    match part:
        case {"type": "text", "text": str(text)}:
            return {"type": "text", "text": text}
        case {"type": "image", "url": str(url)}:
            mime = part.get("mime_type")
            told = {"mime_type": mime} if isinstance(mime, str) else {}
            return {"type": "image", "url": url, **told}
        case str():
            return {"type": "text", "text": part}
        case _:
            return {"type": "text", "text": msgspec.json.encode(part).decode()}


def _text(told: object) -> str:
    return told if isinstance(told, str) else msgspec.json.encode(told).decode()


def _id_of(key: bytes) -> str:
    import hashlib  # loads OpenSSL, which an import of the package shall not

    return hashlib.sha256(key).hexdigest()[:32]


def _stored(record: Record) -> Stored:
    event = record.event
    return Stored(
        seq=record.seq,
        ts_us=record.at_ns // 1000,
        actor=None,
        kind=event.kind,
        v=event.v,
        cause=record.cause,
        payload=encode(event),
    )
