"""Markdown: the transcript for people. What was edited out of the context is not in it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tinyagent.events import kinds as k
from tinyagent.events.children import own
from tinyagent.events.messages import Assistant, Message, Result, User
from tinyagent.interchange import Exported
from tinyagent.recording import Recording

_TICKS = re.compile(r"`+")
_SHOWN = {
    **{code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"},
    127: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), 0xFFFD),
}
"""Control characters to their pictures, those of C1 have none: nothing may steer a terminal."""


def export(recording: Recording, *, thinking: bool = True) -> Exported:
    """Return the transcript; without *thinking* the reasoning is left out."""
    lost: Counter[str] = Counter()
    parts = [_head(recording)]
    for message in recording.conversation.messages:
        parts.extend(_message(message, lost, thinking=thinking))
    if recording.status not in ("answered", "empty"):
        parts.append(f"*{recording.status.replace('_', ' ')}*")
    for record in own(recording.records):
        if isinstance(record.event, k.ContextEdited):
            lost["context edits"] += 1
        elif isinstance(record.event, k.ChildStarted):
            lost["agents below"] += 1
        elif isinstance(record.event, k.Foreign):
            lost["foreign records"] += 1
    text = "\n\n".join(part.strip("\n") for part in parts) + "\n"
    return Exported(text.translate(_SHOWN).encode(), dict(sorted(lost.items())))


def _head(recording: Recording) -> str:
    settings = recording.settings
    lines = [f"# {recording.meta.name or recording.ref}", ""]
    lines.append(f"- log: `{recording.meta.log}`")
    if recording.meta.origin is not None:
        lines.append(f"- imported from: {recording.meta.origin}")
    if settings.model.get("id"):
        lines.append(f"- model: `{settings.model['id']}`")
    usage = recording.usage
    if usage.total_tokens:
        lines.append(
            f"- tokens: {usage.input_tokens} in, {usage.output_tokens} out, "
            f"{usage.cache_read_tokens} read from cache"
        )
    if settings.tools:
        lines.append(f"- tools: {', '.join(f'`{tool.name}`' for tool in settings.tools)}")
    if settings.system:
        lines += ["", "## System", "", settings.system]
    return "\n".join(lines)


def _message(message: Message, lost: Counter[str], *, thinking: bool) -> Iterator[str]:
    match message:
        case User(content=content):
            yield "## User"
            yield _text(content, lost)
        case Assistant():
            yield "## Assistant"
            yield from _answer(message, lost, thinking=thinking)
        case Result():
            yield f"### Result of `{message.name}`{'' if message.ok else ' (failed)'}"
            yield _fenced(_text(message.content, lost))
        case _:
            yield f"## {message.message.get('role', 'other')}"
            yield _fenced(_json(message.message), "json")


def _answer(message: Assistant, lost: Counter[str], *, thinking: bool) -> Iterator[str]:
    for block in message.blocks:
        match block.op:
            case "think" if thinking:
                yield "\n".join(f"> {line}" for line in block.text.splitlines())
            case "think":
                lost["thinking"] += 1
            case "call":
                yield f"### Call of `{block.name}`"
                yield _fenced(_pretty(block.text), "json")
            case "keep":
                lost["provider's own blocks"] += 1
            case _:
                yield block.text
    if message.failure is not None:
        yield f"*{message.outcome}: {message.failure.message}*"


def _text(content: k.Content, lost: Counter[str]) -> str:
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for part in content:
        if part.get("type") == "text":
            texts.append(part.get("text") or "")
        else:
            lost[f"{part.get('type')} blocks"] += 1
            texts.append(f"({part.get('type')})")
    return "\n\n".join(texts)


def _pretty(arguments: str) -> str:
    try:
        return _json(json.loads(arguments))
    except ValueError:
        return arguments


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _fenced(text: str, language: str = "") -> str:
    longest = max((len(ticks) for ticks in _TICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
