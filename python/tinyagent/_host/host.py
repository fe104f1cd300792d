"""The callbacks that a host gives an agent, as questions that the actors ask."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

from tinyagent._config.checks import is_listing
from tinyagent._host.replaced import (
    batch_result,
    batch_stream,
    replaced_execution as replaced_execution,
)
from tinyagent._host.returned import returned
from tinyagent._host.tools import find_tool, parsed_arguments
from tinyagent._reading.bodies import Bodies, content_of, details_of, one_text
from tinyagent._reading.state import awaited as awaited
from tinyagent.actors.tools import Refused
from tinyagent.agent_types import (
    AgentMessage,
    AgentTool,
    AssistantMessage,
    ToolCallContent,
    ToolLoopControl,
    ToolResultMessage,
    UserMessage,
)
from tinyagent.events import Conversation, Event, kinds as k, plain
from tinyagent.events.messages import Result
from tinyagent.runtime.loops import Live

_ROLES = (
    ("user", UserMessage),
    ("assistant", AssistantMessage),
    ("tool_result", ToolResultMessage),
)
WITHHELD = "The tool ran; its result was withheld."


class HostHooks:
    """The host's callbacks, as questions that the log asks.

    Each attribute is the callback or None; they may be assigned between runs.

    Attributes:
        append: records at once, while a run is under way, what a callback did, and its object.
        cancel: cancels the run.
    """

    def __init__(self, conversation: Conversation, bodies: Bodies) -> None:
        self._conversation = conversation
        self._bodies = bodies
        self.reported: set[str] = set()
        self.append: Callable[[Event, object], object] = lambda event, live: None
        self.cancel: Callable[[str], None] = lambda reason: None
        self._interruption: BaseException | None = None
        self.tools: Callable[[], Sequence[AgentTool] | None] = lambda: None
        self.tool_timeout_s: float | None = None
        self.transform: Callable[..., Any] | None = None
        self.convert: Callable[..., Any] | None = None
        self.before: Callable[..., Any] | None = None
        self.after: Callable[..., Any] | None = None
        self.stop: Callable[..., Any] | None = None
        self.signal: Callable[[], Any] = lambda: None
        self.caching = False
        self.shaped: list[AgentMessage] | None = None
        self.polls: dict[str, Callable[..., Any] | None] = {}
        self.raised: Exception | None = None
        self.stop_arguments: Callable[[], tuple[Any, ...]] = lambda: ()

    def report(self, name: str, message: str) -> None:
        """Put on record, once, something that a person may want to know."""
        if message not in self.reported:
            self.reported.add(message)
            self.append(k.DiagnosticReported(name, message), None)

    def interrupt(self, stop: BaseException) -> None:
        """Cancel the run; *stop* is raised when it is closed."""
        self._interruption = stop
        self.cancel("interrupted")

    def raise_interruption(self) -> None:
        """Raise what a tool wanted to end the process with, if one did."""
        stop, self._interruption = self._interruption, None
        if stop is not None:
            raise stop

    async def ask_before(self, asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        """Ask whether and how one call shall run."""
        if self.before is None:  # it was there when this was asked, in an earlier process
            return [k.HostAnswered(asked.hook, asked.call_id)]
        assert asked.call_id is not None
        call = self._conversation.calls[asked.call_id]
        tool = next((t for t in self.tools() or () if t.name == call.name), None)
        try:
            arguments = (
                find_tool([tool], call.name, self.tool_timeout_s).arguments(
                    k.CallRef(call.id, call.name), call.arguments
                )
                if tool is not None and tool.execute is not None
                else parsed_arguments(call.name, call.arguments)
            )
        except Refused:
            return [k.HostAnswered(asked.hook, call.id, skipped=True)]
        shown = ToolCallContent(id=call.id, name=call.name, arguments=arguments)
        control = await awaited(self.before(shown, tool, copy.deepcopy(arguments)))
        if control is None:
            return [k.HostAnswered(asked.hook, call.id)]
        if not isinstance(control, ToolLoopControl):
            raise TypeError("before_tool_call: expected ToolLoopControl or None")
        block: dict[str, Any] | None = None
        terminate = control.terminate
        if control.result is not None:
            given = returned(call.name, control.result)
            block = {"content": given.content, "ok": control.is_error is False}
            if given.details:
                block["details"] = given.details
            terminate = terminate or given.terminate
        return [k.HostAnswered(asked.hook, call.id, block=block, terminate=terminate)]

    async def ask_after(self, asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        """Ask what shall be changed in one result; a failing hook withholds it."""
        if self.after is None:  # it was there when this was asked, in an earlier process
            return [k.HostAnswered(asked.hook, asked.call_id)]
        assert asked.call_id is not None
        result = self._result(asked.call_id)
        message = self._bodies.of(result)
        assert isinstance(message, ToolResultMessage)
        call = self._conversation.calls[asked.call_id]
        shown = ToolCallContent(
            id=call.id, name=call.name, arguments=parsed_or_empty(call.arguments)
        )
        try:
            control = await awaited(self.after(shown, message))
        except Exception as error:
            failure = k.Failure("host", f"after_tool_call failed: {error!r}. {WITHHELD}")
            return [k.HostFailed(asked.hook, failure, call.id)]
        if control is not None and not isinstance(control, ToolLoopControl):
            told = f"after_tool_call: expected ToolLoopControl or None. {WITHHELD}"
            return [k.HostFailed(asked.hook, k.Failure("host", told), call.id)]
        return [_after_answer(asked.hook, result, message, control)]

    def _result(self, call_id: str) -> Result:
        for message in reversed(self._conversation.messages):
            if isinstance(message, Result) and message.call_id == call_id:
                return message
        raise LookupError(call_id)

    async def ask_queue(self, asked: k.HostAsked) -> Sequence[Event | Live]:
        """Ask for messages that shall be delivered now."""
        poll = self.polls.get(asked.hook)
        if poll is None:
            return [k.HostAnswered(asked.hook)]
        via = "steer" if asked.hook == "get_steering_messages" else "follow_up"
        with self._noted():
            messages = await awaited(poll()) or []
        inputs = [said(message, via) for message in messages]
        return [*inputs, k.HostAnswered(asked.hook, n=len(inputs))]

    @contextmanager
    def _noted(self) -> Generator[None]:
        """Keep what the host's code raises, for callers that want the exception itself."""
        try:
            yield
        except Exception as error:
            self.raised = error
            raise

    async def ask_context(self, asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        """Ask which messages the model shall see, this once."""
        messages = self._conversation.context().read()
        bodies = await self.marked([self._bodies.of(message) for message in messages])
        shaped: list[AgentMessage] = list(bodies)
        with self._noted():
            if self.transform is not None:
                shaped = _messages(
                    "transform_context", await awaited(self.transform(shaped, self.signal()))
                )
            if self.convert is not None:
                shaped = _messages("convert_to_llm", await awaited(self.convert(shaped)))
        self.shaped = shaped
        return [k.HostAnswered(asked.hook, ops=context_ops(bodies, shaped))]

    async def marked(self, messages: list[AgentMessage]) -> list[AgentMessage]:
        """Return *messages* with cache breakpoints, if the host wants them."""
        if not self.caching:
            return messages
        from tinyagent.caching import add_cache_breakpoints

        return await add_cache_breakpoints(messages)

    async def ask_batch(self, asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        """Let the host's own ``execute_tool_calls`` run the batch; its events are ours to tell."""
        execute, answer = replaced_execution(), self._conversation.messages[-1]
        assert execute is not None
        poll = self.polls.get("get_steering_messages")
        done = await execute(
            list(self.tools() or ()),
            self._bodies.of(answer),
            self.signal(),
            batch_stream(self.append),
            poll,
            self.before,
            self.after,
        )
        inputs = [said(message, "steer") for message in done.steering_messages or ()]
        results = [batch_result(result, done.terminate) for result in done.tool_results]
        return [*inputs, k.HostAnswered(asked.hook, ops=results)]

    async def ask_stop(self, asked: k.HostAsked, seq: int) -> Sequence[Event | Live]:
        """Ask whether the run ends after this turn."""
        if self.stop is None:  # it was there when this was asked, in an earlier process
            return [k.HostAnswered(asked.hook, asked.call_id)]
        with self._noted():
            stop = await awaited(self.stop(*self.stop_arguments()))
        return [k.HostAnswered(asked.hook, stop=bool(stop))]


def _messages(name: str, given: Any) -> list[AgentMessage]:
    """Return *given*, which the callback *name* returned.

    Raises:
        TypeError: it is no list of messages.
    """
    if not is_listing(given):
        told = type(given).__name__
        raise TypeError(f"{name} returned {told}, expected a list of messages")
    return list(given)


def parsed_or_empty(text: str) -> dict[str, Any]:
    """Return the arguments that *text* is, or none."""
    try:
        return parsed_arguments("", text)
    except Refused:
        return {}


def _after_answer(
    hook: str, result: Result, message: ToolResultMessage, control: ToolLoopControl | None
) -> k.HostAnswered:
    """Return what the hook changed: by its answer, or in the message itself."""
    ok = not message.is_error
    content: k.Content = content_of(message.content)
    details = details_of(message.details)
    terminate = message.terminate
    if control is not None:
        terminate = terminate or control.terminate
        if control.result is not None:
            given = returned(result.name, control.result)
            content, details = given.content, given.details
            ok, terminate = result.ok, terminate or given.terminate
        if control.is_error is not None:
            ok = not control.is_error
    return k.HostAnswered(
        hook,
        result.call_id,
        content=content if content != result.content else None,
        ok=ok if ok != result.ok else None,
        details=(details or {}) if details != result.details else None,
        terminate=terminate,
    )


def context_ops(before: list[AgentMessage], after: Sequence[AgentMessage]) -> list[Any]:
    """Return *after* as operations on *before*: ranges kept by index, messages put in."""
    places = {id(message): index for index, message in enumerate(before)}
    ops: list[Any] = []
    for message in after:
        index = places.get(id(message))
        if index is None:
            ops.append(["+", dumped(message)])
        elif ops and ops[-1][0] == "=" and ops[-1][2] == index:
            ops[-1][2] = index + 1
        else:
            ops.append(["=", index, index + 1])
    if not after:
        return [["=", 0, 0]]
    return [] if ops == [["=", 0, len(before)]] else ops


def dumped(message: AgentMessage | dict[str, Any]) -> dict[str, Any]:
    """Return *message* as a log holds it.

    Raises:
        ValidationError: a field of it is of a wrong type, so that no log could be read that has it.
        TypeError: it is no message, or holds something that is no JSON.
    """
    if not isinstance(message, dict) and not hasattr(message, "model_dump"):
        raise TypeError(f"expected a message, got {type(message).__name__}")
    dump = message if isinstance(message, dict) else message.model_dump(exclude_none=True)
    out: dict[str, Any] = plain(dump)
    for role, known in _ROLES:
        if dump.get("role") == role:
            known.model_validate(dump)
    return out


def inserted(message: AgentMessage) -> k.ContextEdited:
    """Return the edit that puts *message* into the conversation; it raises as ``dumped`` does."""
    return k.ContextEdited([["insert", dumped(message)]])


def said(message: AgentMessage, via: Any) -> Live:
    """Return the input that *message* is."""
    if type(message) is UserMessage and message.role == "user" and not vars(message):
        text, at_ms = one_text(message.content), message.timestamp
        if text is not None and (at_ms is None or type(at_ms) is int):  # as most inputs are
            return Live(k.UserSaid(text, via, at_ms), message)
    dump = dumped(message)
    known = {"role", "content", "timestamp"}
    if dump.get("role") == "user" and dump.keys() <= known:
        content = content_of(message.content)  # type: ignore[union-attr] # a user message
        return Live(k.UserSaid(content, via, dump.get("timestamp")), message)
    return Live(k.UserSaid(via=via, message=dump), message)
