"""History of LangGraph: messages as LangChain dumps them. The conversation only.

A JSON array of messages, a state that holds one (``messages``, or ``values.messages``), or an array
of such states, newest first: then the first is the log, and the others are kept as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tinyagent.events.messages import Block
from tinyagent.interchange import Source
from tinyagent.interchange.parts import written
from tinyagent.interchange.scribe import Answer, Scribe, fit, text_of
from tinyagent.runtime.errors import ForeignFormatError
from tinyagent.runtime.load import LoadedLog

_TYPES = ("human", "ai", "tool", "system")
_CLASSES = ("HumanMessage", "AIMessage", "ToolMessage", "SystemMessage", "AIMessageChunk")
_USAGE = {"input_tokens": "input", "output_tokens": "output", "total_tokens": "total"}
_REASONS = {"length": "length", "max_tokens": "length", "content_filter": "filtered"}
_PLACED = frozenset(
    {"content", "type", "tool_calls", "invalid_tool_calls", "usage_metadata", "name", "id"}
    | {"tool_call_id", "status", "example"}
)


def is_mine(body: bytes) -> bool:
    """Whether *body* holds such messages."""
    return body.lstrip()[:1] in (b"[", b"{") and _found(body) is not None


def read(source: Source) -> list[LoadedLog]:
    """Return the log of the messages.

    Raises:
        ForeignFormatError: there are none in it.
    """
    found = _found(source.body)
    if found is None:
        raise ForeignFormatError(f"{source.name}: no messages as LangGraph keeps them")
    messages, others = found
    first = _unwrapped(messages[0])
    is_told = first is not None and first["type"] == "system"
    system = text_of(_content(first.get("content"))) if first is not None and is_told else ""
    scribe = Scribe("langgraph", source.body, system=system)
    for state in others:
        scribe.foreign("state", state)
    for number, raw in enumerate(messages):
        message = _unwrapped(raw)
        if message is None:
            scribe.foreign("message", raw)
            continue
        if number or not is_told:
            _tell(scribe, message, raw)
        rest = {name: value for name, value in message.items() if name not in _PLACED and value}
        if rest:
            scribe.foreign("fields of a message", {"id": message.get("id"), **rest})
    scribe.end()
    return [scribe.log()]


def _tell(scribe: Scribe, message: dict[str, Any], raw: Any) -> None:
    content = _content(message.get("content"))
    match message["type"]:
        case "human":
            scribe.said(content)
        case "ai":
            scribe.answered(_answer(message))
        case "system":
            scribe.edited([["insert", {"role": "system", "content": content}]], "import")
        case _:
            call_id = str(message.get("tool_call_id"))
            if not scribe.returned(call_id, content, is_ok=message.get("status") != "error"):
                scribe.foreign("tool", raw)


def _answer(message: dict[str, Any]) -> Answer:
    blocks: list[Block] = []
    for part in _list(message.get("content")):
        match part:
            case {"type": "thinking", "thinking": str(text)}:
                blocks.append(Block("think", text, sign=part.get("signature") or ""))
            case {"type": "tool_use"}:
                pass  # told again in tool_calls
            case _:
                blocks.append(Block("text", text_of(_content([part]))))
    for call in (*_list(message.get("tool_calls")), *_list(message.get("invalid_tool_calls"))):
        if not isinstance(call, dict):
            blocks.append(Block("keep", keep=call))
            continue
        told = call.get("args")
        arguments = told if isinstance(told, str) else written(told or {})
        blocks.append(Block("call", arguments, str(call.get("id")), str(call.get("name"))))
    told = message.get("response_metadata")
    meta: dict[str, Any] = told if isinstance(told, dict) else {}
    model = meta.get("model_name") or meta.get("model")
    reason = _REASONS.get(str(meta.get("finish_reason") or meta.get("stop_reason")), "end")
    named = {"id": model} if isinstance(model, str) else {}
    said = [block for block in blocks if block.op != "text" or block.text]
    return Answer(said, reason, named, _usage(message.get("usage_metadata")))


def _usage(told: Any) -> dict[str, Any] | None:
    if not isinstance(told, dict):
        return None
    usage = {ours: told[name] for name, ours in _USAGE.items() if isinstance(told.get(name), int)}
    details = told.get("input_token_details")
    if isinstance(details, dict):
        for name, ours in (("cache_read", "cache_read"), ("cache_creation", "cache_write")):
            if isinstance(details.get(name), int):
                usage[ours] = details[name]
    return usage or None


def _content(content: Any) -> Any:
    parts: list[Any] = []
    for part in _list(content):
        match part:
            case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
                parts.append({"type": "image", "url": url})
            case _:
                parts.append(part)
    return content if isinstance(content, str) else fit(parts)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value in (None, "") else [value]


def _found(body: bytes) -> tuple[list[Any], list[Any]] | None:
    """Return the messages, and the other states; None if there are no messages."""
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
    states = value if isinstance(value, list) else [value]
    if states and (told := list(_messages(states[0]))):
        return told, states[1:]
    if isinstance(value, list) and any(_unwrapped(each) is not None for each in value):
        return value, []
    return None


def _messages(state: Any) -> Iterator[Any]:
    match state:
        case {"values": {"messages": list(messages)}} | {"messages": list(messages)}:
            if any(_unwrapped(each) is not None for each in messages):
                yield from messages
        case _:
            pass


def _unwrapped(message: Any) -> dict[str, Any] | None:
    """Return what a message says, out of the three ways to dump one; None if it is none."""
    match message:
        case {"lc": int(), "id": [*_, str(name)], "kwargs": dict(kwargs)} if name in _CLASSES:
            kind = name.removesuffix("Chunk").removesuffix("Message").lower()
            return {**kwargs, "type": kind}
        case {"type": str(kind), "data": dict(told)} if kind in _TYPES:
            return {**told, "type": kind}
        case {"type": str(kind), "content": _} if kind in _TYPES:
            return dict(message)
        case _:
            return None
