"""An answer while it arrives, as the public message: one snapshot per delta.

Earlier snapshots never change. Used where a session's records become public events, and where a
provider's answer is read by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from tinyagent.agent_types import (
    ZERO_USAGE,
    AssistantMessage,
    AssistantMessageEvent,
    TextContent,
    ThinkingContent,
    ToolCallContent,
)
from tinyagent.agent_types._structure import defer
from tinyagent.events.messages import Block

AssistantBlock = TextContent | ThinkingContent | ToolCallContent


class _Growing:
    """One block: the parts that it has so far, and what the provider attached to it.

    A snapshot joins its parts only when its text is read, so that an answer of n deltas costs n.
    """

    __slots__ = ("closed", "id", "name", "op", "parts", "sign")

    def __init__(self, op: str) -> None:
        self.op = op
        self.parts: list[str] = []
        self.id = self.name = self.sign = ""
        self.closed = False

    @property
    def text(self) -> str:
        """All parts."""
        if len(self.parts) > 1:
            self.parts = ["".join(self.parts)]
        return self.parts[0] if self.parts else ""

    @property
    def is_waiting(self) -> bool:
        """Whether this is a call whose arguments are still to come."""
        return self.op == "call" and not (self.text.strip() and arguments_of(self.text) is not None)

    def content(self) -> AssistantBlock:
        """Return the block as it is now; it never changes afterwards."""
        parts, count = self.parts, len(self.parts)

        def text() -> str:
            return "".join(parts[:count])

        match self.op:
            case "think":
                thinking = ThinkingContent(thinking_signature=self.sign or None)
                defer(thinking, "thinking", text)
                return thinking
            case "call":
                return self._call(text)
            case _:
                said = TextContent()
                defer(said, "text", text)
                return said

    def _call(self, text: Callable[[], str]) -> ToolCallContent:
        done = arguments_of(self.text) if self.closed else None
        if done is not None:
            return ToolCallContent(id=self.id, name=self.name, arguments=done)
        call = ToolCallContent(id=self.id, name=self.name)
        defer(call, "partial_json", text)
        defer(call, "arguments", lambda: previewed(text()))
        return call


_STARTS = {"text": "text_start", "think": "thinking_start", "call": "tool_call_start"}
_DELTAS = {"text": "text_delta", "think": "thinking_delta", "call": "tool_call_delta"}
_ENDS = {"text": "text_end", "think": "thinking_end", "call": "tool_call_end"}
_OPS = {"refuse": "text", "args": "call", "sign": "think"}


class Partial:
    """Takes pieces, gives public stream events."""

    def __init__(self, message: AssistantMessage) -> None:
        self._message = message
        self._blocks: dict[int, _Growing] = {}
        self._places: dict[int, int] = {}
        self._open: list[int] = []
        self._content: list[AssistantBlock] = []

    @property
    def message(self) -> AssistantMessage:
        """The answer so far; never changes afterwards."""
        return self._message.model_copy(update={"content": list(self._content)})

    def finish(self, stop_reason: Any, usage: dict[str, Any] | None) -> None:
        """Let the message say how the answer ended."""
        self._message = self._message.model_copy(
            update={"stop_reason": stop_reason, "usage": usage}
        )

    def read(self, pieces: Iterable[tuple[int, str, Any]]) -> Iterator[AssistantMessageEvent]:
        """Yield the events that *pieces* make, which arrived together.

        A signature that comes right behind the first of its thoughts is shown with it.
        """
        held: tuple[int, str, Any] | None = None
        for piece in pieces:
            if held is not None:
                first, held = held, None
                if piece[1] == "sign" and piece[0] == first[0]:
                    yield from self.take(*piece)
                    yield from self.take(*first)
                    continue
                yield from self.take(*first)
            if piece[1] == "think" and piece[0] not in self._blocks:
                held = piece
            else:
                yield from self.take(*piece)
        if held is not None:
            yield from self.take(*held)

    def take(self, block: int, op: str, data: Any) -> list[AssistantMessageEvent]:
        """Return the events that one piece makes."""
        if op == "keep":
            return []
        kind = _OPS.get(op, op)
        events: list[AssistantMessageEvent] = []
        growing = self._blocks.get(block)
        if growing is None:
            events += self._close_others()
            growing = self._blocks[block] = _Growing(kind)
            self._places[block] = len(self._content)
            self._open.append(block)
            if op == "call":
                growing.id, growing.name = data.get("id", ""), data.get("name", "")
            elif op == "sign":
                growing.sign = data
            self._content.append(growing.content())
            events.append(self._event(_STARTS[kind], block))
        if op == "call":
            growing.id = data.get("id") or growing.id
            growing.name = data.get("name") or growing.name
            self._show(block)
        elif op == "sign":
            growing.sign = data
            self._show(block)
        elif data or kind == "call":
            growing.parts.append(data)
            self._show(block)
            events.append(self._event(_DELTAS[kind], block, delta=data))
        return events

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
        growing.closed = True
        self._show(block)
        if growing.op == "call":
            call = self._content[self._places[block]]
            assert isinstance(call, ToolCallContent)
            return self._event("tool_call_end", block, tool_call=call)
        return self._event(_ENDS[growing.op], block, content=growing.text)

    def _show(self, block: int) -> None:
        self._content[self._places[block]] = self._blocks[block].content()

    def _event(self, kind: Any, block: int, **more: Any) -> AssistantMessageEvent:
        index = self._places[block]
        return AssistantMessageEvent(type=kind, content_index=index, partial=self.message, **more)


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
    from tinyagent._alchemy import parse_partial

    value = parse_partial(text)
    return value if isinstance(value, dict) else {}


def message_from(blocks: tuple[Block, ...], message: AssistantMessage) -> AssistantMessage:
    """Return *message* with the content that recorded *blocks* are."""
    content: list[TextContent | ThinkingContent | ToolCallContent | None] = []
    for block in blocks:
        if block.op == "keep":
            continue
        growing = _Growing(_OPS.get(block.op, block.op))
        growing.parts, growing.id, growing.name = [block.text], block.id, block.name
        growing.sign, growing.closed = block.sign, True
        content.append(growing.content())
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
