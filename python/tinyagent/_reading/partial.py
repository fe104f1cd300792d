"""An answer while it arrives, as the public message: one snapshot per delta.

Earlier snapshots never change. Used where a session's records become public events, and where a
provider's answer is read by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import msgspec

from tinyagent.agent_types import (
    ZERO_USAGE,
    AssistantMessage,
    AssistantMessageEvent,
    TextContent,
    ThinkingContent,
    ToolCallContent,
)
from tinyagent.agent_types._structure import defer, make, snapshot
from tinyagent.events.fact import Piece
from tinyagent.events.messages import Block

AssistantBlock = TextContent | ThinkingContent | ToolCallContent


class _About(NamedTuple):
    """What is known of a block besides its text."""

    op: str
    id: str = ""
    name: str = ""
    sign: str = ""
    closed: bool = False


class _Growing:
    """One block: the parts that it has so far, and what the provider attached to it.

    Parts are only appended and ``about`` is only replaced: what a snapshot saw never changes.
    """

    __slots__ = ("about", "at", "parts")

    def __init__(self, about: _About, at: int) -> None:
        self.about, self.at = about, at
        self.parts: list[str] = []

    @property
    def text(self) -> str:
        """All parts."""
        if len(self.parts) > 1:
            self.parts = ["".join(self.parts)]
        return self.parts[0] if self.parts else ""

    @property
    def is_waiting(self) -> bool:
        """Whether this is a call whose arguments are still to come."""
        if self.about.op != "call":
            return False
        return not (self.text.strip() and arguments_of(self.text) is not None)

    def attach(self, op: str, data: Any) -> None:
        """Take what is no text, if the piece has any."""
        about = self.about
        if op == "call":
            self.about = about._replace(
                id=data.get("id") or about.id, name=data.get("name") or about.name
            )
        elif op == "sign":
            self.about = about._replace(sign=data)


class _Shown:
    """A block as of one moment. Made when somebody looks at it: few look at every delta's."""

    __slots__ = ("_about", "_count", "_made", "_parts")

    def __init__(self, about: _About, parts: list[str]) -> None:
        self._about, self._parts, self._count = about, parts, len(parts)
        self._made: AssistantBlock | None = None

    def content(self) -> AssistantBlock:
        """Return the block; the same one for everybody who asks. It never changes."""
        if self._made is None:
            self._made = self._block()
        return self._made

    def _block(self) -> AssistantBlock:
        # What is deferred must not lead back here: a block is nothing that the collector of
        # garbage looks into, so that a circle through it would stay for ever.
        text = partial(self._text, self._parts, self._count)
        match self._about.op:
            case "think":
                thinking = ThinkingContent(thinking_signature=self._about.sign or None)
                defer(thinking, "thinking", text)
                return thinking
            case "call":
                return _call(self._about, text)
            case _:
                said = TextContent()
                defer(said, "text", text)
                return said

    @staticmethod
    def _text(parts: list[str], count: int) -> str:
        return "".join(parts[:count])


def _call(about: _About, text: Callable[[], str]) -> ToolCallContent:
    done = arguments_of(text()) if about.closed else None
    call = ToolCallContent(id=about.id, name=about.name)
    if done is not None:
        call.arguments = done  # assigned, for a constructor copies what it gets
        return call
    defer(call, "partial_json", text)
    defer(call, "arguments", lambda: previewed(text()))
    return call


_STARTS = {"text": "text_start", "think": "thinking_start", "call": "tool_call_start"}
_DELTAS: dict[str, Any] = {
    "text": "text_delta",
    "refuse": "text_delta",
    "think": "thinking_delta",
    "args": "tool_call_delta",
}
_ENDS = {"text": "text_end", "think": "thinking_end", "call": "tool_call_end"}
_OPS = {"refuse": "text", "args": "call", "sign": "think"}

# There is nothing to convert or to copy in what is given here.
_made = cast("type[AssistantMessageEvent]", partial(make, AssistantMessageEvent))


class Partial:
    """Takes pieces, gives public stream events."""

    def __init__(self, message: AssistantMessage) -> None:
        self._message = message
        self._blocks: dict[int, _Growing] = {}
        self._open: list[int] = []
        self._shown: list[_Shown] = []

    @property
    def message(self) -> AssistantMessage:
        """The answer so far; never changes afterwards."""
        shown = tuple(self._shown)
        return snapshot(self._message, "content", lambda: [block.content() for block in shown])

    def finish(self, stop_reason: Any, usage: dict[str, Any] | None) -> None:
        """Let the message say how the answer ended."""
        self._message = self._message.model_copy(
            update={"stop_reason": stop_reason, "usage": usage}
        )

    def read(self, pieces: Iterable[Piece]) -> Iterator[AssistantMessageEvent]:
        """Yield the events that *pieces* make, which arrived together: one for each delta.

        A signature that comes right behind the first of its thoughts is shown with it.
        """
        held: tuple[int, str, Any] | None = None
        for block, op, data in _each_delta(pieces):
            if held is not None:
                first, held = held, None
                if op == "sign" and block == first[0]:
                    yield from self.take(block, op, data)
                    yield from self.take(*first)
                    continue
                yield from self.take(*first)
            growing = self._blocks.get(block)
            if growing is None and op == "think":
                held = block, op, data
            elif growing is not None and data and op in _DELTAS:
                yield self._grown(growing, op, data)
            else:
                yield from self.take(block, op, data)
        if held is not None:
            yield from self.take(*held)

    def grown(self, pieces: Sequence[Piece]) -> AssistantMessageEvent | None:
        """Return the one event of *pieces* that are no more than one delta of a block begun."""
        if len(pieces) != 1 or len(pieces[0]) != 4:
            return None
        block, op, data, _ = pieces[0]
        growing = self._blocks.get(block)
        return self._grown(growing, op, data) if growing and data and op in _DELTAS else None

    def take(self, block: int, op: str, data: Any) -> list[AssistantMessageEvent]:
        """Return the events that one piece makes."""
        if op == "keep":
            return []
        growing = self._blocks.get(block)
        if growing is not None and data and op in _DELTAS:
            return [self._grown(growing, op, data)]
        events: list[AssistantMessageEvent] = []
        if growing is None:
            events += self._close_others()
            growing = self._begun(block, op, data)
            events.append(self._event(_STARTS[growing.about.op], growing))
        else:
            growing.attach(op, data)
            self._show(growing)
        if op == "args" or (data and op in _DELTAS):
            events.append(self._grown(growing, op, data))
        return events

    def _begun(self, block: int, op: str, data: Any) -> _Growing:
        growing = self._blocks[block] = _Growing(_About(_OPS.get(op, op)), len(self._shown))
        growing.attach(op, data)
        self._open.append(block)
        self._shown.append(_Shown(growing.about, growing.parts))
        return growing

    def _grown(self, growing: _Growing, op: str, data: str) -> AssistantMessageEvent:
        growing.parts.append(data)
        self._show(growing)
        return _made(type=_DELTAS[op], content_index=growing.at, partial=self.message, delta=data)

    def close(self) -> list[AssistantMessageEvent]:
        """Return the ends of all blocks that are still open, in content order."""
        ended, self._open = self._open, []
        return [self._end(block) for block in ended]

    def end(self, block: int) -> None:
        """Let one block be whole."""
        if block in self._open:
            self._open.remove(block)
            self._end(block)

    def _close_others(self) -> list[AssistantMessageEvent]:
        """A new block ends open text; open calls only once their arguments are complete."""
        ended = [block for block in self._open if not self._blocks[block].is_waiting]
        self._open = [block for block in self._open if block not in ended]
        return [self._end(block) for block in ended]

    def _end(self, block: int) -> AssistantMessageEvent:
        growing = self._blocks[block]
        growing.about = growing.about._replace(closed=True)
        self._show(growing)
        op = growing.about.op
        if op == "call":
            call = self._shown[growing.at].content()
            assert isinstance(call, ToolCallContent)
            return self._event("tool_call_end", growing, tool_call=call)
        return self._event(_ENDS[op], growing, content=growing.text)

    def _show(self, growing: _Growing) -> None:
        self._shown[growing.at] = _Shown(growing.about, growing.parts)

    def _event(self, kind: Any, growing: _Growing, **more: Any) -> AssistantMessageEvent:
        return _made(type=kind, content_index=growing.at, partial=self.message, **more)


def arguments_of(text: str) -> dict[str, Any] | None:
    """Return complete arguments; None if *text* is no JSON object. Empty text means none."""
    if not text.strip():
        return {}
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return value if isinstance(value, dict) else None


def previewed(text: str) -> dict[str, Any]:
    """Return what can be read of unfinished arguments, for show only."""
    if not text:
        return {}
    try:
        from tinyagent._alchemy import parse_partial
    except ImportError:
        return arguments_of(text) or {}
    value = parse_partial(text)
    return value if isinstance(value, dict) else {}


def message_from(blocks: tuple[Block, ...], message: AssistantMessage) -> AssistantMessage:
    """Return *message* with the content that recorded *blocks* are."""
    content: list[TextContent | ThinkingContent | ToolCallContent | None] = []
    for block in blocks:
        if block.op == "keep":
            continue
        match _OPS.get(block.op, block.op):
            case "text":
                content.append(TextContent(text=block.text))
            case op:
                about = _About(op, block.id, block.name, block.sign, closed=True)
                content.append(_Shown(about, [block.text]).content())
    message.content = content
    return message


def zero_usage() -> dict[str, Any]:
    """Return the canonical usage of nothing, a copy."""
    return {**ZERO_USAGE, "cost": dict(ZERO_USAGE["cost"])}  # type: ignore[arg-type] # it is one


def public_usage(usage: dict[str, Any] | None) -> dict[str, Any]:
    """Return recorded *usage* in the public shape; zero where nothing is known."""
    out = zero_usage()
    if usage:
        out["input"] = usage.get("input", 0)
        out["output"] = usage.get("output", 0)
        out["cache_read"] = usage.get("cache_read", 0)
        out["cache_write"] = usage.get("cache_write", 0)
        out["total_tokens"] = usage.get("total", out["input"] + out["output"])
        out["cost"].update(usage.get("cost") or {})
    return out


def _each_delta(pieces: Iterable[Piece]) -> Iterator[tuple[int, str, Any]]:
    """Yield block, operation and data of every delta as it once arrived."""
    for piece in pieces:
        block, op, data = piece[0], piece[1], piece[2]
        if len(piece) != 5:
            yield block, op, data
            continue
        at = 0
        for length in piece[4]:
            yield block, op, data[at : at + length]
            at += length
