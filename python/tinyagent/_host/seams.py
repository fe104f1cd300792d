"""Calls the hooks of an agent, all that there are at a seam, one after the other."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import msgspec

from tinyagent._config.options import AgentOptions
from tinyagent._host.hooks import AppendHook, Hooks
from tinyagent._host.returned import Report, returned
from tinyagent._reading.state import awaited
from tinyagent.actors.providers.hosted import HOSTED
from tinyagent.actors.providers.patch import patch_of
from tinyagent.actors.replaying import Requests
from tinyagent.agent_types import (
    AfterToolCallFn,
    AgentMessage,
    AgentTool,
    BeforeToolCallFn,
    TextContent,
    ToolCallContent,
    ToolLoopControl,
    ToolResultMessage,
    UserMessage,
)
from tinyagent.events import Conversation, Event, Record, kinds as k, plain
from tinyagent.runtime.loops import Live

UNSENT = (
    "a request hook changed what a stream function is asked; that is no body of a request, and "
    "nothing of it was changed"
)


async def heard(hooks: Sequence[Hooks], message: AgentMessage) -> AgentMessage:
    """Return *message* as the hooks would have it; each sees what the one before made of it.

    Raises:
        TypeError: one returned something else than a message, a text or None.
    """
    for hook in hooks:
        if hook.message is None:
            continue
        answer = await awaited(hook.message(copy.deepcopy(message)))
        if isinstance(answer, str):
            answer = UserMessage(content=[TextContent(text=answer)], timestamp=message.timestamp)
        elif answer is not None and not hasattr(answer, "role"):
            raise TypeError(f"message hook: expected a message, a text or None, got {answer!r}")
        message = message if answer is None else answer
    return message


async def shaped(hooks: Sequence[Hooks], body: dict[str, Any]) -> dict[str, Any]:
    """Return *body* as the hooks would have it; it is theirs to change.

    Raises:
        TypeError: one returned something else than a body or None.
    """
    for hook in hooks:
        if hook.request is None:
            continue
        answer = await awaited(hook.request(body))
        if answer is not None and not isinstance(answer, dict):
            raise TypeError(f"request hook: expected a body or None, got {answer!r}")
        body = body if answer is None else answer
    return body


def before_of(first: BeforeToolCallFn | None, hooks: Sequence[Hooks]) -> BeforeToolCallFn | None:
    """Return a function that asks *first*, then *hooks*, until one has an answer."""
    if not hooks:
        return first
    asked = [fn for fn in (first, *(hook.before_tool_call for hook in hooks)) if fn is not None]
    if len(asked) < 2:
        return asked[0] if asked else None

    async def before(
        call: ToolCallContent, tool: AgentTool | None, arguments: dict[str, Any]
    ) -> ToolLoopControl | None:
        for fn in asked:
            control: ToolLoopControl | None = await awaited(fn(call, tool, arguments))
            if control is not None:
                return control
        return None

    return before


def after_of(first: AfterToolCallFn | None, hooks: Sequence[Hooks]) -> AfterToolCallFn | None:
    """Return a function that asks *first*, then *hooks*; each sees what the one before changed."""
    if not hooks:
        return first
    asked = [fn for fn in (first, *(hook.after_tool_call for hook in hooks)) if fn is not None]
    if len(asked) < 2:
        return asked[0] if asked else None

    async def after(call: ToolCallContent, message: ToolResultMessage) -> None:
        for fn in asked:
            control: Any = await awaited(fn(call, message))
            if control is None:
                continue
            if not isinstance(control, ToolLoopControl):
                raise TypeError("expected ToolLoopControl or None")
            message.terminate = message.terminate or control.terminate
            if control.result is not None:
                shown: Any = returned(call.name or "", control.result).live
                message.content, message.details = shown.content, shown.details
                message.terminate = message.terminate or shown.terminate
            if control.is_error is not None:
                message.is_error = control.is_error

    return after


class Seams:
    """The hooks of one agent, for the requests of its session. ``hooks``: as of now."""

    def __init__(self, conversation: Conversation, report: Report) -> None:
        self.hooks: Sequence[Hooks] = ()
        self._conversation = conversation
        self._report = report
        self._requests = Requests()

    @property
    def hears_messages(self) -> bool:
        """Whether a hook wants to see messages."""
        return any(hook.message is not None for hook in self.hooks)

    @property
    def sees_requests(self) -> bool:
        """Whether a hook wants to see requests."""
        return any(hook.request is not None for hook in self.hooks)

    async def ask_request(self, asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        """Ask what shall be sent instead of the next request; the answer says what differs."""
        view = self._conversation.next_asked(seq)
        try:
            body = self._requests.body(view)
        except ValueError:
            return [k.HostAnswered(asked.hook)]  # nothing can be sent; the streamer tells why
        now = await shaped(self.hooks, msgspec.json.decode(body))
        wanted = msgspec.json.decode(msgspec.json.encode(now))
        ops = list(patch_of(msgspec.json.decode(body), wanted))
        if ops and view.settings.options.get("source") == HOSTED:
            self._report("hooks.request", UNSENT)
            ops = []
        return [k.HostAnswered(asked.hook, ops=plain(ops))]


class Observer:
    """A sink that shows a function every record behind number *after*."""

    kinds = None

    def __init__(self, show: AppendHook, after: int) -> None:
        self._show = show
        self._seen = after

    def checkpoint(self) -> int:
        """Return the last record that was shown."""
        return self._seen

    def write(self, record: Record) -> None:
        """Show *record*."""
        self._show(record)
        self._seen = record.seq

    async def close(self) -> None:
        """Nothing waits."""


def observers(options: AgentOptions) -> list[Observer]:
    """Return a sink for each hook that wants to see records: those to come."""
    after = options.log.seq if options.log is not None else 0
    return [Observer(hook.append, after) for hook in options.hooks if hook.append is not None]
