"""The public state of an agent: it follows the events that were delivered, never ahead of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinyagent.agent_types import (
    AgentContext,
    AgentEndEvent,
    AgentEvent,
    AgentMessage,
    AgentStartEvent,
    AgentState,
    AssistantMessage,
    ImageContent,
    MessageEndEvent,
    MessageStartEvent,
    MessageUpdateEvent,
    TextContent,
    ToolExecutionEndEvent,
    ToolExecutionStartEvent,
    ToolResultMessage,
    TurnEndEvent,
    UserMessage,
)


class StateKeeper:
    """Applies events to an ``AgentState``, and notices what the host changed in its messages."""

    def __init__(self, state: AgentState) -> None:
        self.state = state
        self._known: list[AgentMessage] = []
        self._new: list[AgentMessage] = []
        self._turn: tuple[AgentMessage | None, list[ToolResultMessage]] = (None, [])

    def begin(self) -> None:
        """A run begins."""
        self.state.error = None
        self.state.is_streaming = True
        self._new = []

    def take(self, event: AgentEvent) -> None:
        """Apply *event*, before it is handed out."""
        state = self.state
        match event:
            case MessageUpdateEvent(message=message) | MessageStartEvent(message=message):
                state.stream_message = message
            case MessageEndEvent(message=message) if message is not None:
                state.stream_message = None
                state.messages.append(message)
                self._known.append(message)
                self._new.append(message)
            case ToolExecutionStartEvent(tool_call_id=call_id):
                state.pending_tool_calls = state.pending_tool_calls | {call_id}
            case ToolExecutionEndEvent(tool_call_id=call_id):
                state.pending_tool_calls = state.pending_tool_calls - {call_id}
            case TurnEndEvent(message=message, tool_results=results):
                self._turn = (message, results)
                told = message.error_message if isinstance(message, AssistantMessage) else None
                if told:
                    state.error = told
            case AgentEndEvent():
                state.is_streaming = False
            case AgentStartEvent():
                state.is_streaming = True
            case _:
                pass

    def stop_arguments(self) -> tuple[Any, ...]:
        """Return what ``should_stop_after_turn`` is asked about."""
        message, results = self._turn
        context = AgentContext(
            self.state.system_prompt, list(self.state.messages), self.state.tools
        )
        return message, results, context, list(self._new)

    def edits(self) -> tuple[list[AgentMessage], list[AgentMessage]]:
        """Return what the host took out of the messages since the last run, and what it put in."""
        live, known = self.state.messages, self._known
        same = 0
        for ours, theirs in zip(known, live, strict=False):
            if ours is not theirs:
                break
            same += 1
        removed, added = known[same:], live[same:]
        self._known = list(live)
        return removed, list(added)

    def drop_failed(self) -> None:
        """Take trailing error and aborted answers out of the messages."""
        messages = self.state.messages
        while messages and _has_failed(messages[-1]):
            messages = messages[:-1]
        self.state.messages = messages

    def clear(self) -> None:
        """Forget messages, error and everything that streams."""
        self.state.messages = []
        self.state.stream_message = None
        self.state.pending_tool_calls = set()
        self.state.error = None
        self.state.is_streaming = False


def _has_failed(message: AgentMessage) -> bool:
    return isinstance(message, AssistantMessage) and message.stop_reason in ("error", "aborted")


def extract_text(message: AgentMessage | None) -> str:
    """Return the joined text of a message; empty for anything without."""
    known = (UserMessage, AssistantMessage, ToolResultMessage)
    if not isinstance(message, known):
        return ""
    return "".join(
        block.text for block in message.content if isinstance(block, TextContent) and block.text
    )


def inputs_of(
    given: str | AgentMessage | Sequence[AgentMessage],
    images: list[ImageContent] | None,
    *,
    now_ms: int,
) -> list[AgentMessage]:
    """Return the messages that an input is.

    Raises:
        TypeError: there are images and no user message to put them in.
    """
    if isinstance(given, str):
        content: list[Any] = [TextContent(text=given), *(images or ())]
        return [UserMessage(content=content, timestamp=now_ms)]
    messages = list(given) if isinstance(given, list | tuple) else [given]
    if not images:
        return messages  # type: ignore[return-value] # a list of messages
    for at in range(len(messages) - 1, -1, -1):
        message = messages[at]
        if isinstance(message, UserMessage):
            content = [*message.content, *images]
            messages[at] = message.model_copy(update={"content": content})
            return messages  # type: ignore[return-value] # a list of messages
    raise TypeError("images need a user message to go with")
