"""The public state of an agent: it follows the events that were delivered, never ahead of them."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

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
from tinyagent.agent_types._later import defer, deferred

if TYPE_CHECKING:
    import asyncio


class StateKeeper:
    """Applies events to an ``AgentState``, and notices what the host changed in its messages."""

    def __init__(self, state: AgentState) -> None:
        self.state = state
        self._told: list[AgentMessage] = []
        self._unread: Callable[[], list[AgentMessage]] | None = None
        self._new: list[AgentMessage] = []
        self._inserted: tuple[AgentMessage, ...] = ()
        self._is_muted = False
        self._must_clear = False
        self._turn: tuple[AgentMessage | None, list[ToolResultMessage]] = (None, [])
        self._attend: Callable[[], None] | None = None
        self._held: list[AgentMessage] | None = None
        self._live: list[AgentMessage] | None = None
        if deferred(state, "messages") is None and not state.messages:
            self.recall(list)

    @property
    def _known(self) -> list[AgentMessage]:
        if self._unread is not None:
            self._told, self._unread = self._unread(), None
        return self._told

    @_known.setter
    def _known(self, messages: list[AgentMessage]) -> None:
        self._told, self._unread = messages, None

    def recall(self, messages: Callable[[], list[AgentMessage]]) -> None:
        """Start from what an opened log holds; it counts before an initial state.

        *messages* is called when somebody asks for them: taking up a long log need not make them.
        """
        self._unread, self._live = messages, None
        defer(self.state, "messages", lambda: list(self._known))

    @property
    def is_as_recorded(self) -> bool:
        """Whether the log says all that the state does, but for the last error."""
        is_edited = self._inserted or self._is_muted or self._must_clear or self._attend
        unread = self._live is None and deferred(self.state, "messages") is not None
        return unread and not is_edited

    def begin(self) -> None:
        """A run begins."""
        self.state.error = None
        self.state.is_streaming = True
        self._is_muted = False
        self._new = []

    # Runs that nobody hears

    def rest(self, attend: Callable[[], None]) -> None:
        """Take nothing of a run, until somebody looks at the state; then call *attend*."""
        self._attend, self._live = attend, None
        unread = deferred(self.state, "messages") is not None
        self._held = None if unread else self.state.messages
        for field in ("messages", "stream_message", "pending_tool_calls"):
            defer(self.state, field, partial(self._looked_at, field))

    def attend(self) -> None:
        """Follow the run from now on, if there is one that was not followed."""
        attend, self._attend = self._attend, None
        if attend is not None:
            self.state.messages = list(self._known) if self._held is None else self._held
            self._be_quiet()
            attend()

    def settle(
        self,
        error: str | None,
        added: Callable[[], list[AgentMessage]],
        messages: Callable[[], list[AgentMessage]],
    ) -> None:
        """The run is over: it has *added* to what is *messages* now. Not if it was followed."""
        if self._attend is None:
            return
        self._attend = None
        self.state.error = error
        self._be_quiet()
        if self._held is None:
            self.recall(messages)
        else:  # the host may hold this list
            self.state.messages = self._held
            self._append(added())

    def _be_quiet(self) -> None:
        self.state.stream_message = None
        self.state.pending_tool_calls = set()

    def _looked_at(self, field: str) -> object:
        self.attend()
        return getattr(self.state, field)

    def take(self, event: AgentEvent) -> None:
        """Apply *event*, before it is handed out."""
        state = self.state
        if self._is_muted:
            return
        match event:
            case MessageUpdateEvent(message=message) | MessageStartEvent(message=message):
                state.stream_message = message
            case MessageEndEvent(message=message) if message is not None:
                state.stream_message = None
                self._append([message])
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
                self._settle_inserted()
            case AgentEndEvent():
                state.is_streaming = False
            case AgentStartEvent():
                state.is_streaming = True
            case _:
                pass

    def insert(self, message: AgentMessage) -> None:
        """Put *message* into the state of a run when the turn is over, where the log has it."""
        self.attend()
        self._inserted = (*self._inserted, message)

    def replace(self, messages: Sequence[AgentMessage]) -> None:
        """Let the state of a run have *messages*, at once."""
        self.attend()
        self.state.messages = list(messages)
        self._known = list(messages)

    def _settle_inserted(self) -> None:
        if self._inserted:
            self._append(self._inserted)
            self._inserted = ()

    def _append(self, messages: Sequence[AgentMessage]) -> None:
        """Put *messages* at the end. A list that somebody has read stays as he got it."""
        live = self._live
        if live is None or deferred(self.state, "messages") is None:
            live = self._live = list(self.state.messages)
            defer(self.state, "messages", lambda: live)
        live.extend(messages)
        self._known.extend(messages)

    def stop_arguments(self) -> tuple[Any, ...]:
        """Return what ``should_stop_after_turn`` is asked about."""
        message, results = self._turn
        context = AgentContext(
            self.state.system_prompt, list(self.state.messages), self.state.tools
        )
        return message, results, context, list(self._new)

    def edits(self) -> tuple[list[AgentMessage], list[AgentMessage]]:
        """Return what the host took out of the messages since the last run, and what it put in."""
        if self._unread is not None and deferred(self.state, "messages") is not None:
            return [], []  # nobody has looked at them
        live, known = self.state.messages, self._known
        if live == known:  # compares pointers: quick, however long the conversation
            return [], []
        same = 0
        for ours, theirs in zip(known, live, strict=False):
            if ours is not theirs:
                break
            same += 1
        return known[same:], live[same:]

    def adopt(self) -> None:
        """What the host changed in the messages is on record."""
        self._known = list(self.state.messages)

    def drop_failed(self) -> None:
        """Take trailing error and aborted answers out of the messages."""
        messages = self.state.messages
        while messages and _has_failed(messages[-1]):
            messages = messages[:-1]
        self.state.messages = messages

    def take_reset(self) -> bool:
        """Whether everything said before was forgotten since this was last asked."""
        must, self._must_clear = self._must_clear, False
        return must

    def reset(self) -> None:
        """Forget messages, error and everything that streams; a run that goes on is not heard."""
        self.attend()
        self._is_muted = self._must_clear = True
        self._known, self._inserted = [], ()
        self.state.messages = []
        self.state.stream_message = None
        self.state.pending_tool_calls = set()
        self.state.error = None
        self.state.is_streaming = False


def _has_failed(message: AgentMessage) -> bool:
    return isinstance(message, AssistantMessage) and message.stop_reason in ("error", "aborted")


def extract_text(message: AgentMessage | None) -> str:
    """Return the joined text of a message; empty for anything without.

    >>> extract_text(UserMessage(content=[TextContent(text="Hello, "), TextContent(text="you.")]))
    'Hello, you.'
    """
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
        TypeError: it is none, or there are images and no user message to put them in.
        ValidationError: a message that is a dict does not fit.
    """
    if isinstance(given, str):
        content: list[Any] = [TextContent(text=given), *(images or ())]
        return [UserMessage(content=content, timestamp=now_ms)]
    listed = list(given) if isinstance(given, list | tuple) else [given]
    messages = [_message_of(each) for each in listed]
    if not images:
        return messages
    for at in range(len(messages) - 1, -1, -1):
        message = messages[at]
        if isinstance(message, UserMessage):
            content = [*message.content, *images]
            messages[at] = message.model_copy(update={"content": content})
            return messages
    raise TypeError("images need a user message to go with")


def _message_of(given: object) -> AgentMessage:
    if isinstance(given, dict):
        return AgentState.model_validate({"messages": [given]}).messages[0]
    if hasattr(given, "model_dump"):
        return given  # type: ignore[return-value] # of the host's own class, perhaps
    kind = type(given).__name__
    raise TypeError(f"what is said must be a text, a message or a list of messages, not {kind}")


_owned: weakref.WeakValueDictionary[int, AgentState] = weakref.WeakValueDictionary()
"""States that an agent has, by identity: a second agent gets a copy."""


def own(state: AgentState) -> tuple[AgentState, bool]:
    """Return *state*, or a copy if another agent has it already; and whether it is a copy."""
    if _owned.get(id(state)) is state:
        copied = state.model_copy()
        copied.messages, copied.tools = list(state.messages), list(state.tools)
        return copied, True
    _owned[id(state)] = state
    return state, False


async def awaited(value: Any) -> Any:
    """Return *value*, or what it comes to if it must be awaited."""
    return await value if inspect.isawaitable(value) else value


class Idle:
    """Who waits until no run is in progress. From any loop."""

    def __init__(self) -> None:
        self._waiters: tuple[asyncio.Future[None], ...] = ()

    async def wait(self) -> None:
        """Return after the next ``tell``."""
        import asyncio  # here, for an agent is named before there is a loop

        waiter = asyncio.get_running_loop().create_future()
        self._waiters = (*self._waiters, waiter)
        await waiter

    def tell(self) -> None:
        """Let all who wait go on."""
        waiters, self._waiters = self._waiters, ()
        for waiter in waiters:
            if not waiter.done():
                waiter.get_loop().call_soon_threadsafe(_wake, waiter)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
