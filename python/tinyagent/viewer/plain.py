"""The transcript as plain text: what a page shows where no script runs, and what grep finds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from tinyagent._visible import visible
from tinyagent.events import Conversation, Record, kinds as k
from tinyagent.events.children import CHILD, child_of
from tinyagent.events.conversations import Conversations
from tinyagent.events.messages import Assistant
from tinyagent.viewer.blanks import length
from tinyagent.viewer.packed import since

if TYPE_CHECKING:
    from tinyagent.recording import Recording

INDENT = "        "


def transcript(recording: Recording, content: bool, last: int | None) -> Iterator[str]:
    """Yield the transcript: a line, or the lines of a text."""
    say = _Teller(content)
    records = since(recording.records, last)
    first = records[0].seq if records else 0
    usage = recording.usage
    yield visible(
        f"{recording.meta.name or recording.ref} · {recording.ref} · {recording.status} · "
        f"{len(recording.records):,} records · {usage.total_tokens:,} tokens"
    )
    if records:
        at = datetime.fromtimestamp(records[0].at_ns // 1_000_000_000, UTC)
        yield f"{at:%Y-%m-%d %H:%M:%S} UTC"
    if left := len(recording.records) - len(records):
        yield f"{left:,} records before these are left out"
    yield ""
    for record in recording.records:
        say.take(record)
        if record.seq >= first:
            yield from say.lines(record)


class _Teller:
    def __init__(self, content: bool) -> None:
        self._content = content
        self._conversations = Conversations()
        self._conversation = Conversation()

    def take(self, record: Record) -> None:
        self._conversation = self._conversations.evolve(record)

    def lines(self, record: Record) -> Iterator[str]:
        child = child_of(record.actor).removeprefix(CHILD)
        for title, text in self._told(record):
            yield f"{record.seq:>6}  {visible(f'{child}  {title}' if child else title)}"
            if text:
                shown = visible(text) if self._content else length(text)
                yield INDENT + shown.replace("\n", f"\n{INDENT}")

    def _told(self, record: Record) -> Iterator[tuple[str, str]]:
        match record.event:
            case k.SessionStarted(system=system):
                yield "system", system
            case k.UserSaid() as event:
                yield f"user ({event.via})", _text(event.message or event.content)
            case k.ModelRetrying(failure=failure, attempt=attempt):
                yield f"model retried, attempt {attempt}: {failure.kind}", failure.message
            case k.ModelFinished(reason=reason):
                yield f"model ({reason})", ""
                yield from self._answer()
            case k.ModelFailed(failure=failure):
                yield f"model failed: {failure.kind}", failure.message
                yield from self._answer()
            case k.ChildStarted(child=child):
                yield f"{child.removeprefix(CHILD)} begins", ""
            case k.ChildEnded(child=child, outcome=outcome):
                yield f"{child.removeprefix(CHILD)} has ended: {outcome}", ""
            case k.RunEnded(outcome=outcome):
                yield f"end: {outcome}", ""
            case event if event.kind in _CALL_KINDS:
                yield from self._call(event)
            case _:
                pass

    def _answer(self) -> Iterator[tuple[str, str]]:
        answer = self._conversation.closings.answer
        for block in answer.blocks if isinstance(answer, Assistant) else ():
            if block.op == "call":
                yield f"  calls {block.name}", block.text
            elif block.text:
                yield {"text": "  text", "think": "  thinking"}.get(block.op, "  said"), block.text

    def _call(self, event: Any) -> Iterator[tuple[str, str]]:
        call = self._conversation.calls.get(getattr(event, "call_id", ""))
        what = event.kind.removeprefix("tool.").replace("_", " ")
        failure = getattr(event, "failure", None)
        text = failure.message if failure is not None else _text(getattr(event, "content", ""))
        yield f"tool {call.name if call else ''} {what}", text


_CALL_KINDS = frozenset(
    {"tool.finished", "tool.failed", "tool.blocked", "tool.in_doubt", "tool.settled"}
    | {"tool.reconciled"}
)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(_block(each) for each in (content if isinstance(content, list) else [content]))


def _block(block: Any) -> str:
    match block:
        case {"text": str(text)}:
            return text
        case {"content": str() | list() as content}:
            return _text(content)
        case {"type": str(kind), "data": str(data)}:
            return f"[{kind}, {len(data):,} characters]"
        case _:
            return msgspec.json.encode(block).decode()
