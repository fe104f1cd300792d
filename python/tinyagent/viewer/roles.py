"""Whose a part of a request is, whatever a provider calls it. Pure."""

from __future__ import annotations

from typing import Any


def role_of(field: str, part: Any) -> str:
    """Return ``system tools user assistant tool`` or ``other`` of a *part* of the *field*."""
    if field.startswith(("system", "instructions")):
        return "system"
    if field.startswith("tools"):
        return "tools"
    if field not in ("messages", "input", "contents"):
        return "other"
    match part:
        case {"role": "system" | "developer"}:
            return "system"
        case {"role": "tool"} | {"type": "function_call_output"}:
            return "tool"
        case {"role": "user", "content": list(inner)} | {"role": "user", "parts": list(inner)}:
            return "tool" if any(map(_is_result, inner)) else "user"
        case {"role": "user"}:
            return "user"
        case {"role": "assistant" | "model"} | {"type": _}:
            return "assistant"
        case _:
            return "other"


def _is_result(block: Any) -> bool:
    match block:
        case {"type": "tool_result"} | {"functionResponse": _}:
            return True
        case _:
            return False
