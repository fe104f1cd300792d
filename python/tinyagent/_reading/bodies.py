"""The public message of every recorded one: made once, so that everybody holds the same object.

A message that the host made itself is that object; the others are built from the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tinyagent._reading.partial import message_from, public_usage
from tinyagent.agent_types import (
    AgentMessage,
    AgentToolResult,
    AssistantMessage,
    ImageContent,
    TextContent,
    ToolResultMessage,
    UserMessage,
)
from tinyagent.events import Record, kinds as k, plain
from tinyagent.events.closing import Closing, place_of
from tinyagent.events.codec import restored, text
from tinyagent.events.conversation import Conversation
from tinyagent.events.messages import Assistant, Custom, Message, Result, User, said_in

_STOPS: dict[str, Any] = {
    "end": "stop",
    "tools": "tool_calls",
    "length": "length",
    "filtered": "error",
}
_ENDS = (k.ModelFinished, k.ModelFailed)


class Bodies:
    """Reader of the journal that keeps the host's objects, and makes those that are missing.

    Attributes:
        conversation: whose messages they are of; another one may go on in its place.
    """

    kinds = frozenset(
        {
            k.UserSaid.kind,
            k.ToolFinished.kind,
            k.ModelFinished.kind,
            k.ModelFailed.kind,
            k.ContextEdited.kind,
            k.OutputRejected.kind,
        }
    )

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self._given: dict[int, Any] = {}
        self._seqs: dict[int, int] = {}
        self._answers: dict[int, Assistant] = {}
        self._said: dict[int, Message] = {}
        self._made: dict[tuple[int, str], AgentMessage] = {}
        self._closings: dict[int, AssistantMessage] = {}

    @property
    def is_idle(self) -> bool:
        """Whether it keeps nothing that could not be made again."""
        kept = self._given, self._seqs, self._answers, self._said, self._made, self._closings
        return not any(kept)

    def rest(self) -> Bodies:
        """Return this, without the room that what was shown meanwhile has left."""
        for emptied in (self._given, self._answers, self._said):
            if not emptied:
                emptied.clear()  # what a dict is left with by its last entry is as large as before
        return self

    def wants(self, record: Record) -> bool:
        """Whether *record* is for this reader."""
        return record.event.kind in self.kinds

    def post(self, record: Record) -> None:
        """Keep the object that travels with *record*."""
        event, live, about = record.event, record.live, record.seq
        if live is None and isinstance(event, k.ToolFinished):
            return
        if isinstance(event, _ENDS):
            answer = self.conversation.closings.answer  # what was put in meanwhile is behind it
            assert answer is not None
            self._answers[answer.seq] = answer
            about = record.cause
        elif isinstance(event, k.UserSaid):
            self._said[about] = said_in(record, event)
        elif isinstance(event, k.OutputRejected):
            self._said[about] = self.conversation.messages[-1]
        if live is not None:
            self._given[about] = live
            self._seqs[id(live)] = about

    def keep(self, queued: Mapping[int, Message]) -> None:
        """Keep what was said before this process and is still to be delivered."""
        self._said.update(queued)

    def of(self, message: Message) -> AgentMessage:
        """Return the public message of *message*, always the same one."""
        about = place_of(message)
        made = self._made.get(about)
        if made is None:
            made = self._make(message)
            self.adopt(message, made)
        return made

    def answered(self, answer: Assistant) -> AssistantMessage:
        """Return the public message of *answer*, always the same one."""
        message = self.of(answer)
        assert isinstance(message, AssistantMessage)
        return message

    def all(self) -> list[AgentMessage]:
        """Return the conversation as people see it: with what was said of failed runs."""
        return self.as_of_now()()

    def as_of_now(self) -> Callable[[], list[AgentMessage]]:
        """Return what makes the conversation as people see it now, whenever it is called."""
        said, closings = self.conversation.transcript(), self.conversation.closings
        shown = {seq: it for seq, it in closings.made.items() if seq not in closings.gone}
        return lambda: self._shown(said.read(), shown)

    def _shown(
        self, messages: Sequence[Message], closings: Mapping[int, Closing]
    ) -> list[AgentMessage]:
        behind: dict[tuple[int, str] | None, list[AgentMessage]] = {}
        for seq, closing in closings.items():
            behind.setdefault(closing.after, []).append(self.closing(seq, closing))
        shown = behind.get(None, [])
        for message in messages:
            shown += [self.of(message), *behind.get(place_of(message), ())]
        return shown

    def closing(self, seq: int, closing: Closing) -> AssistantMessage:
        """Return the public message about the run that ended at *seq*, always the same one."""
        made = self._closings.get(seq)
        if made is None:
            made = self._closings[seq] = closing_message(closing)
            self._seqs[id(made)] = seq
        return made

    def said(self, seq: int) -> AgentMessage:
        """Return the message of ``user.said`` *seq*, once."""
        return self.of(self._said.pop(seq))

    def answer(self, seq: int) -> AssistantMessage:
        """Return the answer to ``model.requested`` *seq*, once."""
        return self.answered(self._answers.pop(seq))

    def pass_over(self) -> None:
        """Keep nothing more for who would be shown it; it can be asked for as ever."""
        self._answers.clear()
        self._said = {s: m for s, m in self._said.items() if s in self.conversation.queued}

    def revise(self, result: Result) -> None:
        """Bring the public message of a result up to what an after-hook made of it."""
        message = self.of(result)
        assert isinstance(message, ToolResultMessage)
        if message.is_error == result.ok or content_of(message.content) != result.content:
            message.content = blocks_of(result.content)
        message.is_error, message.terminate = not result.ok, result.terminate
        if restored(details_of(message.details)) != result.details:
            message.details = result.details or {}

    def seq_of(self, body: AgentMessage) -> int | None:
        """Return the number of the record that *body* belongs to, None if it is in no record."""
        return self._seqs.get(id(body))

    def adopt(self, message: Message, body: AgentMessage) -> None:
        """Let *body* be the public message of *message*."""
        self._made[place_of(message)] = body
        self._seqs[id(body)] = message.seq

    def _make(self, message: Message) -> AgentMessage:
        given = self._given.pop(message.seq, None)
        match message:
            case Result():
                return result_message(message, given)
            case _ if given is not None:
                return given  # type: ignore[no-any-return] # the host's own message
            case User():
                return UserMessage(content=blocks_of(message.content), timestamp=message.at_ms)
            case Assistant():
                return assistant_message(message)
            case Custom():
                from tinyagent.agent_types import CustomAgentMessage

                return CustomAgentMessage(**message.message)


def blocks_of(content: k.Content) -> list[TextContent | ImageContent]:
    """Return recorded content as public blocks."""
    if isinstance(content, str):
        return [TextContent(text=content)]
    return [
        ImageContent.model_validate(part)
        if part.get("type") == "image"
        else TextContent.model_validate(part)
        for part in content
    ]


def content_of(blocks: Sequence[object]) -> k.Content:
    """Return public blocks as recorded content; a single plain text is a string."""
    if (said := one_text(blocks)) is not None:
        return said
    dumped: list[dict[str, Any]] = []
    for block in blocks:
        if isinstance(block, TextContent | ImageContent):
            dumped.append(plain(block.model_dump(exclude_none=True)))
        elif isinstance(block, dict):
            dumped.append(plain(block))
    if len(dumped) == 1 and dumped[0].keys() == {"type", "text"} and dumped[0]["type"] == "text":
        return str(dumped[0]["text"])
    return dumped


def one_text(blocks: object) -> str | None:
    """Return the text of blocks that are one text and nothing else, as most results are."""
    match blocks:
        case [
            TextContent(type="text", text=str(said), text_signature=None, cache_control=None) as one
        ] if type(one) is TextContent and not vars(one):
            return str(text(said))
        case _:
            return None


def details_of(details: object) -> dict[str, Any] | None:
    """Return public details as a log holds them, None if there are none."""
    return plain(json_of(details)[0]) or None


def json_of(details: object) -> tuple[dict[str, Any], dict[str, str]]:
    """Return *details* with the ``repr`` in the place of what JSON cannot say; and its types.

    What is no mapping at all is put into one, under ``details``.
    """
    if not details:
        return {}, {}
    given = details if isinstance(details, Mapping) else {"details": details}
    out: dict[str, Any] = {}
    odd = {} if given is details else {"details": type(details).__name__}
    for key, value in given.items():
        try:
            plain(value)
            out[str(key)] = value
        except TypeError:
            out[str(key)], odd[str(key)] = repr(value), type(value).__name__
    return out, odd


def result_message(result: Result, given: AgentToolResult | None) -> ToolResultMessage:
    """Return the public message of a tool's result."""
    return ToolResultMessage(
        tool_call_id=result.call_id,
        tool_name=result.name,
        content=list(given.content) if given is not None else blocks_of(result.content),
        details=given.details if given is not None else result.details or {},
        is_error=not result.ok,
        terminate=result.terminate,
        timestamp=result.at_ms,
    )


def assistant_message(answer: Assistant) -> AssistantMessage:
    """Return the public message of a recorded answer."""
    ok = answer.outcome == "ok"
    message = AssistantMessage(
        stop_reason=_STOPS.get(answer.reason, "stop") if ok else _failed(answer),
        timestamp=answer.at_ms,
        api=answer.model.get("api"),
        provider=answer.model.get("provider"),
        model=answer.model.get("id"),
    )
    message.usage = public_usage(answer.usage)  # assigned, for a constructor copies what it gets
    message_from(answer.blocks, message)
    if not ok:
        message.content = message.content or [TextContent(text="")]
        if answer.failure is not None:
            message.error_message = answer.failure.message
            message.error_kind = error_kind(answer.failure)
    elif is_overflow(message.usage, answer.model):
        message.error_kind = "overflow"
    return message


def closing_message(closing: Closing) -> AssistantMessage:
    """Return the public message about a run that did not end with an answer."""
    message = AssistantMessage(
        content=[TextContent(text="")],
        stop_reason="aborted" if closing.is_cut else "error",
        error_message=closing.failure.message,
        timestamp=closing.at_ms,
        api=closing.model.get("api"),
        provider=closing.model.get("provider"),
        model=closing.model.get("id"),
        usage=public_usage(None),
    )
    message.error_kind = error_kind(closing.failure)
    return message


def is_overflow(usage: dict[str, Any] | None, model: dict[str, Any]) -> bool:
    """Whether more was read than the model has room for: some providers cut and do not tell."""
    window = model.get("context_window")
    return window is not None and usage is not None and usage.get("input", 0) > window


def _failed(answer: Assistant) -> Any:
    return "aborted" if answer.outcome == "cancelled" else "error"


def error_kind(failure: k.Failure) -> str:
    """Return the public word for a failure's kind."""
    return {"cancelled": "aborted", "interrupted": "network"}.get(failure.kind, failure.kind)
