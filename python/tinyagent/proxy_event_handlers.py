"""Events of a proxy server to stream events: each changes the message so far.

Texts and arguments grow as lists of parts, which are joined when somebody reads them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

from tinyagent._diagnostics import diagnose
from tinyagent.agent_types import (
    STOP_REASONS as STOP_REASONS,
    AssistantMessage as AssistantMessage,
    AssistantMessageEvent as AssistantMessageEvent,
    JsonObject as JsonObject,
    StopReason as StopReason,
    TextContent as TextContent,
    ThinkingContent as ThinkingContent,
    ToolCallContent as ToolCallContent,
)
from tinyagent.agent_types._later import defer, deferred

BLOCKS_MAX = 10_000
"""Gaps are filled up to the slot that the server names; no answer has as many blocks."""

NAME_CHARS_MAX = 80
"""So much of an unknown word is told."""

ProxyEventHandler: TypeAlias = Callable[
    [JsonObject, AssistantMessage], AssistantMessageEvent | None
]


def process_proxy_event(
    event: JsonObject, partial: AssistantMessage
) -> AssistantMessageEvent | None:
    """Change *partial* as *event* says, and return the stream event that holds it.

    None for an event that is not known, which is logged, and for the end of a call in a slot
    that holds none.

    Raises:
        RuntimeError: a delta or an end does not fit the block in its slot.
    """
    kind = event.get("type")
    handler = _HANDLERS.get(kind) if isinstance(kind, str) else None
    if handler is None:
        named = repr(kind)[:NAME_CHARS_MAX]
        diagnose("proxy", f"proxy event of unknown type {named}")
        return None
    return handler(event, partial)


def parse_streaming_json(text: str) -> JsonObject | None:
    """Return the object that *text* is, with missing closing braces added; else None."""
    for candidate in (text, text + "}" * max(0, text.count("{") - text.count("}"))):
        try:
            value: object = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        return value if isinstance(value, dict) else None
    return None


class _Joined:
    """The first *count* of *parts*, joined when called."""

    __slots__ = ("count", "parts")

    def __init__(self, parts: list[str], count: int) -> None:
        self.parts = parts
        self.count = count

    def __call__(self) -> str:
        return "".join(self.parts[: self.count])

    def grown(self, delta: str) -> _Joined:
        """Return this and *delta*. Shares the parts, unless another has grown from here."""
        if len(self.parts) > self.count:
            return _Joined([self(), delta], 2)
        self.parts.append(delta)
        return _Joined(self.parts, self.count + 1)


def _grow(block: Any, field: str, delta: str) -> _Joined:
    """Let *field* of *block* be itself and *delta*, joined when it is read."""
    so_far = deferred(block, field)
    if not isinstance(so_far, _Joined):
        so_far = _Joined([getattr(block, field) or ""], 1)
    joined = so_far.grown(delta)
    defer(block, field, joined)
    return joined


def index_of(event: JsonObject) -> int:
    """Return the slot that *event* is about; 0 for what is no index."""
    index = event.get("contentIndex")
    return index if type(index) is int and index >= 0 else 0


def _text_of(event: JsonObject, name: str) -> str:
    value = event.get(name)
    return value if isinstance(value, str) else ""


def _put(partial: AssistantMessage, index: int, block: Any) -> None:
    if index >= BLOCKS_MAX:
        raise RuntimeError(f"Received block {index}, an answer has at most {BLOCKS_MAX}")
    while len(partial.content) <= index:
        partial.content.append(None)
    partial.content[index] = block


def _block(partial: AssistantMessage, index: int) -> object:
    return partial.content[index] if index < len(partial.content) else None


def _said(kind: Any, partial: AssistantMessage, index: int, **more: Any) -> AssistantMessageEvent:
    return AssistantMessageEvent(type=kind, partial=partial, content_index=index, **more)


def _start(event: JsonObject, partial: AssistantMessage) -> AssistantMessageEvent:
    return AssistantMessageEvent(type="start", partial=partial)


def _block_start(event: JsonObject, partial: AssistantMessage) -> AssistantMessageEvent:
    index, kind = index_of(event), event["type"]
    empty = TextContent(text="") if kind == "text_start" else ThinkingContent(thinking="")
    _put(partial, index, empty)
    return _said(kind, partial, index)


def _block_delta(event: JsonObject, partial: AssistantMessage) -> AssistantMessageEvent:
    index, kind, delta = index_of(event), event["type"], _text_of(event, "delta")
    match kind, _block(partial, index):
        case "text_delta", TextContent() as text:
            _grow(text, "text", delta)
        case "thinking_delta", ThinkingContent() as thinking:
            _grow(thinking, "thinking", delta)
        case _:
            raise RuntimeError(f"Received {kind} for non-{str(kind).split('_')[0]} content")
    return _said(kind, partial, index, delta=delta)


def _block_end(event: JsonObject, partial: AssistantMessage) -> AssistantMessageEvent:
    index, kind, signature = index_of(event), event["type"], event.get("contentSignature")
    match kind, _block(partial, index):
        case "text_end", TextContent() as text:
            text.text_signature = signature if isinstance(signature, str) else None
            return _said(kind, partial, index, content=text.text or "")
        case "thinking_end", ThinkingContent() as thinking:
            thinking.thinking_signature = signature if isinstance(signature, str) else None
            return _said(kind, partial, index, content=thinking.thinking or "")
        case _:
            raise RuntimeError(f"Received {kind} for non-{str(kind).split('_')[0]} content")


def _call_start(event: JsonObject, partial: AssistantMessage) -> AssistantMessageEvent:
    index = index_of(event)
    call = ToolCallContent(
        id=_text_of(event, "id"), name=_text_of(event, "toolName"), partial_json=""
    )
    _put(partial, index, call)
    return _said("tool_call_start", partial, index)


def _call_delta(event: JsonObject, partial: AssistantMessage) -> AssistantMessageEvent:
    index, delta = index_of(event), _text_of(event, "delta")
    call = _block(partial, index)
    if not isinstance(call, ToolCallContent):
        raise RuntimeError("Received tool_call_delta for non-tool_call content")
    text = _grow(call, "partial_json", delta)
    defer(call, "arguments", lambda: parse_streaming_json(text()) or {})
    return _said("tool_call_delta", partial, index, delta=delta)


def _call_end(event: JsonObject, partial: AssistantMessage) -> AssistantMessageEvent | None:
    index = index_of(event)
    call = _block(partial, index)
    if not isinstance(call, ToolCallContent):
        return None
    if not call.partial_json or parse_streaming_json(call.partial_json) is not None:
        call.partial_json = None
    return _said("tool_call_end", partial, index, tool_call=call)


def _done(event: JsonObject, partial: AssistantMessage) -> AssistantMessageEvent:
    partial.stop_reason = _reason(event, "stop")
    _take_usage(event, partial)
    return AssistantMessageEvent(type="done", reason=partial.stop_reason, message=partial)


def _error(event: JsonObject, partial: AssistantMessage) -> AssistantMessageEvent:
    partial.stop_reason = _reason(event, "error")
    partial.error_message = _text_of(event, "errorMessage") or None
    _take_usage(event, partial)
    return AssistantMessageEvent(type="error", reason=partial.stop_reason, error=partial)


def _reason(event: JsonObject, otherwise: Any) -> Any:
    reason = event.get("reason")
    return reason if isinstance(reason, str) and reason in STOP_REASONS else otherwise


def _take_usage(event: JsonObject, partial: AssistantMessage) -> None:
    usage = event.get("usage")
    if isinstance(usage, dict):
        partial.usage = usage


_HANDLERS: dict[str, ProxyEventHandler] = {
    "start": _start,
    "text_start": _block_start,
    "thinking_start": _block_start,
    "text_delta": _block_delta,
    "thinking_delta": _block_delta,
    "text_end": _block_end,
    "thinking_end": _block_end,
    "toolcall_start": _call_start,
    "toolcall_delta": _call_delta,
    "toolcall_end": _call_end,
    "done": _done,
    "error": _error,
}
