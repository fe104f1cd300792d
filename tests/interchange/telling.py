"""A conversation as lines of text, to compare with what is written out in a test."""

from __future__ import annotations

from tinyagent.events.messages import Assistant, Message, Result, User
from tinyagent.recording import Recording


def conversation(recording: Recording) -> list[str]:
    """Return a line for each message, as the context stands."""
    return [_shown(message) for message in recording.conversation.messages]


def _shown(message: Message) -> str:
    match message:
        case User(content=content) | Result(content=content):
            text = content if isinstance(content, str) else content[0].get("text")
            return f"{type(message).__name__.lower()}: {text}"
        case Assistant(blocks=blocks):
            return "assistant: " + " ".join(f"{b.op}={b.text or b.keep}" for b in blocks)
        case _:
            return f"custom: {message.message.get('role')}"
