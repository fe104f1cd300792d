"""What was said, as attributes of spans: only for who asks for content. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from tinyagent.events import Conversation, Event, kinds as k
from tinyagent.events.messages import Assistant, Message, Result, User
from tinyagent.events.work import field


class Said:
    """Reads a conversation, which somebody else evolves."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def request(self) -> dict[str, Any]:
        """Return what the model was just asked."""
        asked = self._conversation.asked
        told = {"gen_ai.input.messages": _json([_message(m) for m in asked.read()])}
        if asked.settings.system:
            system = [{"type": "text", "content": asked.settings.system}]
            told["gen_ai.system_instructions"] = _json(system)
        return told

    def answer(self) -> dict[str, Any]:
        """Return what it just answered."""
        last = self._conversation.messages[-1:]
        return {"gen_ai.output.messages": _json([_message(message) for message in last])}

    def arguments(self, call_id: str) -> dict[str, Any]:
        """Return what a tool was given."""
        given = self._conversation.given.get(call_id)
        call = self._conversation.calls.get(call_id)
        text = _json(given) if given is not None else call.arguments if call is not None else ""
        return {"gen_ai.tool.call.arguments": text}

    def result(self, event: Event) -> dict[str, Any]:
        """Return what it gave back."""
        if isinstance(event, k.ToolFailed):
            return {"gen_ai.tool.call.result": event.failure.message}
        content = field(event, "content")
        return {"gen_ai.tool.call.result": content if isinstance(content, str) else _json(content)}


def _message(message: Message) -> dict[str, Any]:
    match message:
        case User(content=content):
            return {"role": "user", "parts": _parts(content)}
        case Assistant(blocks=blocks):
            parts: list[dict[str, Any]] = []
            for block in blocks:
                if block.op == "call":
                    call = {"id": block.id, "name": block.name, "arguments": block.text}
                    parts.append({"type": "tool_call", **call})
                elif block.op != "keep":
                    kind = "reasoning" if block.op == "think" else "text"
                    parts.append({"type": kind, "content": block.text})
            return {"role": "assistant", "parts": parts}
        case Result(content=content, call_id=call_id):
            told = content if isinstance(content, str) else _parts(content)
            part = {"type": "tool_call_response", "id": call_id, "response": told}
            return {"role": "tool", "parts": [part]}
        case _:
            return {"role": str(message.message.get("role")), "parts": []}


def _parts(content: k.Content) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    return [
        {"type": "text", "content": part.get("text") or ""}
        if part.get("type") == "text"
        else {"type": str(part.get("type"))}
        for part in content
    ]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
