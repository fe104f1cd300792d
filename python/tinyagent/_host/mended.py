"""Events of a host's stream function that lack something, made whole.

A missing partial is built from the deltas, a missing delta is the difference of the partials.
Events that lack nothing are passed on as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tinyagent._reading.partial import Partial
from tinyagent.agent_types import (
    AssistantMessage,
    AssistantMessageEvent,
    TextContent,
    ThinkingContent,
    ToolCallContent,
)
from tinyagent.events import plain

_OPS = {"text": "text", "thinking": "think", "tool_call": "args"}
_Piece = tuple[int, str, Any]


class Mender:
    """Takes the events of one answer in turn.

    Args:
        blank: returns a message that says nothing yet.
    """

    def __init__(self, blank: Callable[[], AssistantMessage]) -> None:
        self._blank = blank
        self._pieces: list[_Piece] = []
        self._partial: Partial | None = None
        self._lengths: dict[int, int] = {}

    def mended(self, event: AssistantMessageEvent) -> AssistantMessageEvent:
        """Return *event*, or a copy of it with what it lacks."""
        kind, _, what = (event.type or "").rpartition("_")
        block = event.content_index or 0
        if what == "delta" and event.delta is None:
            event = event.model_copy(update={"delta": self._difference(event, block)})
        if kind in _OPS:
            self._note(event, block, kind, what)
        if event.partial is None:
            event = event.model_copy(update={"partial": self._built()})
        return event

    def _difference(self, event: AssistantMessageEvent, block: int) -> str:
        """Return what the partial of *event* says that was not said before."""
        content = event.partial.content if event.partial is not None else []
        match content[block] if block < len(content) else None:
            case TextContent(text=said) | ThinkingContent(thinking=said):
                text = said or ""
            case ToolCallContent(partial_json=str(said)):
                text = said
            case ToolCallContent(arguments=arguments):
                text = msgspec.json.encode(plain(arguments)).decode()
            case _:
                text = ""
        return text[self._lengths.get(block, 0) :]

    def _note(self, event: AssistantMessageEvent, block: int, kind: str, what: str) -> None:
        if kind == "tool_call":
            self._add(block, "call", call_at(event, block))
        delta = event.delta or ""
        if what != "end":
            self._lengths[block] = self._lengths.get(block, 0) + len(delta)
        if what == "delta" or (what == "start" and kind != "tool_call"):
            self._add(block, _OPS[kind], delta)
        if what == "end":
            self._add(block, "end", None)

    def _add(self, *piece: Any) -> None:
        if self._partial is None:
            self._pieces.append(piece)
        else:
            _take(self._partial, piece)

    def _built(self) -> AssistantMessage:
        """Return the message so far. Only who lacks a partial pays for one."""
        if self._partial is None:
            self._partial = Partial(self._blank())
            for piece in self._pieces:
                _take(self._partial, piece)
            self._pieces = []
        return self._partial.message


def _take(partial: Partial, piece: Any) -> None:
    block, op, data = piece
    if op == "end":
        partial.end(block)
    else:
        partial.take(block, op, data)


def call_at(event: AssistantMessageEvent, block: int) -> dict[str, Any]:
    """Return id and name of the call that *event* belongs to, as far as it knows."""
    call: Any = event.tool_call
    if call is None and event.partial is not None and block < len(event.partial.content):
        call = event.partial.content[block]
    return {"id": getattr(call, "id", "") or "", "name": getattr(call, "name", "") or ""}
