"""A binding of the user's own: answers from memory, with partials that are stale."""

from typing import Any

ZERO = {"input": 0.0, "output": 0.0, "cache_read": 0.0, "cache_write": 0.0, "total": 0.0}
asked: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = []


def message(content: list[dict[str, Any]], stop_reason: str) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": content,
        "stop_reason": stop_reason,
        "timestamp": 1,
        "api": "openai-completions",
        "provider": "mine",
        "model": "m",
        "usage": {
            "input": 1,
            "output": 2,
            "cache_read": 0,
            "cache_write": 0,
            "total_tokens": 3,
            "cost": ZERO,
        },
        "error_message": None,
    }


class Handle:
    def __init__(self, block: dict[str, Any]) -> None:
        kind = block["type"]
        said = "text" if kind == "text" else "tool_call"
        stale = message([], "stop")
        reason = "stop" if kind == "text" else "tool_calls"
        self._message = message([block], reason)
        pieces = ["Hel", "lo!"] if kind == "text" else ['{"a": ', "1}"]
        end: dict[str, Any] = {"content": "Hello!"} if kind == "text" else {"tool_call": block}
        opened = [{"type": "text", "text": ""}] if kind == "text" else [{**block, "arguments": {}}]
        first = message(opened, "stop")
        self._events: list[dict[str, Any]] = [
            {"type": "start", "partial": stale},
            {"type": f"{said}_start", "content_index": 0, "partial": first},
            *(
                {"type": f"{said}_delta", "content_index": 0, "delta": part, "partial": first}
                for part in pieces
            ),
            {"type": f"{said}_end", "content_index": 0, "partial": first, **end},
            {"type": "done", "reason": reason, "message": self._message},
        ]

    def next_event(self) -> dict[str, Any] | None:
        return self._events.pop(0) if self._events else None

    def result(self) -> dict[str, Any]:
        return self._message


def openai_completions_stream(
    model: dict[str, Any], context: dict[str, Any], options: dict[str, Any]
) -> Handle:
    asked.append((model, context, options))
    calls = context.get("tools") and context["messages"][-1]["role"] == "user"
    if calls:
        return Handle({"type": "tool_call", "id": "c1", "name": "f", "arguments": {"a": 1}})
    return Handle({"type": "text", "text": "Hello!"})
