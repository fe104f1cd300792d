"""Events without what was said in them. Pure.

A text becomes its length. What stays are numbers, ids, digests, words of a closed set, and names:
of tools, of models, of fields that look like names in a program.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tinyagent.events import Fact, Record
from tinyagent.events.free_text import FREE

_NAME = re.compile(r"[A-Za-z_$][\w$.-]{0,63}")
_NAMING = frozenset(
    {"type", "role", "id", "name", "tool_call_id", "call_id", "tool_name", "op", "outcome"}
    | {"api", "provider", "model", "mime_type", "reason", "stop_reason"}
)
"""Keys of messages and their parts, under which there is an id or a name."""
_KEPT = frozenset({"model", "hooks", "options", "limits"})


def blank(value: Any, key: str = "") -> Any:
    """Return *value*, of the key *key*, with the length of every text in its place."""
    match value:
        case str():
            return value if key in _NAMING and _NAME.fullmatch(value) else length(value)
        case list() | tuple():
            return [blank(item, key) for item in value]
        case dict():
            return {
                name if _NAME.fullmatch(name) else length(name): blank(item, name)
                for name, item in value.items()
            }
        case _:
            return value


def length(text: str) -> str:
    """Return what stands for *text*."""
    return f"‹{len(text):,} characters›"


def blanked(record: Record) -> Any:
    """Return the payload of *record* as JSON values, without its texts."""
    event = record.event
    if not isinstance(event, Fact):
        return {"bytes": len(record.payload)}
    told: dict[str, Any] = msgspec.to_builtins(event)
    for name in FREE.get(event.kind, ()):
        if name == "set" and "set" in told:
            told["set"] = blanked_settings(told["set"])
        elif name == "pieces":
            told["pieces"] = [_piece(piece) for piece in told["pieces"]]
        elif name in told:
            told[name] = _failure(told[name]) if name == "failure" else blank(told[name])
    return told


def blanked_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return part of a configuration without its texts; most of it are names and limits."""
    return {name: value if name in _KEPT else blank(value) for name, value in settings.items()}


def _piece(piece: list[Any]) -> list[Any]:
    block, op, data, *rest = piece
    return [block, op, blank(data), *rest]


def _failure(failure: dict[str, Any]) -> dict[str, Any]:
    return {**failure, "message": length(failure["message"])}
