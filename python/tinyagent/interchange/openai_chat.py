"""Chat fine-tuning of OpenAI: one line, with ``messages`` and ``tools``, for each log.

Dialect: the supervised format of OpenAI's fine-tuning guide, in the shape of chat completions.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from tinyagent.events import kinds as k
from tinyagent.events.messages import Assistant, Message, Result, User
from tinyagent.interchange import Exported
from tinyagent.interchange.parts import function_of, json_of
from tinyagent.interchange.scribe import text_of
from tinyagent.interchange.training import lessons, said_in
from tinyagent.recording import Recording


def export(recording: Recording, *, failed: bool = False) -> Exported:
    """Return one example; failed calls and answers are in it only if *failed*."""
    lost: Counter[str] = Counter()
    settings = recording.settings
    messages = [_told(message, lost) for message in lessons(recording, lost, failed=failed)]
    if settings.system:
        messages.insert(0, {"role": "system", "content": settings.system})
    example: dict[str, Any] = {"messages": messages}
    if settings.tools:
        example["tools"] = [function_of(tool) for tool in settings.tools]
    return Exported(json_of(example), {name: n for name, n in sorted(lost.items()) if n})


def _told(message: Message, lost: Counter[str]) -> dict[str, Any]:
    match message:
        case User(content=content):
            return {"role": "user", "content": _parts(content, lost)}
        case Assistant(blocks=blocks):
            told: dict[str, Any] = {"role": "assistant"}
            if said := said_in(message):
                told["content"] = said
            calls = [
                {
                    "id": block.id,
                    "type": "function",
                    "function": {"name": block.name, "arguments": block.text or "{}"},
                }
                for block in blocks
                if block.op == "call"
            ]
            return {**told, "tool_calls": calls} if calls else told
        case Result():
            lost["images in results"] += _images(message.content)
            content = text_of(message.content)
            return {"role": "tool", "tool_call_id": message.call_id, "content": content}
        case _:
            raise TypeError(f"{type(message).__name__} is no lesson")


def _parts(content: k.Content, lost: Counter[str]) -> Any:
    if not _images(content) or isinstance(content, str):
        return text_of(content)
    parts: list[dict[str, Any]] = []
    for part in content:
        url = str(part.get("url") or "")
        if part.get("type") == "text":
            parts.append({"type": "text", "text": part.get("text") or ""})
        elif url.startswith(("http:", "https:", "data:")):
            parts.append({"type": "image_url", "image_url": {"url": url}})
        else:
            mime = part.get("mime_type") or "image/png"
            parts.append({"type": "image_url", "image_url": {"url": f"data:{mime};base64,{url}"}})
    return parts


def _images(content: k.Content) -> int:
    return 0 if isinstance(content, str) else sum(p.get("type") == "image" for p in content)
