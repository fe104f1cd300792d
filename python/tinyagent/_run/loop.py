"""Runs an agent over a context that is given, on the actors and a log in memory."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, TypeAlias

from tinyagent._config.checks import check_options
from tinyagent._config.limits import logged_limits
from tinyagent._config.options import default_convert_to_llm
from tinyagent._host.host import HostHooks, dumped, said
from tinyagent._provider.resolve import thinking_of
from tinyagent._reading.state import awaited
from tinyagent._run.binding import Binding, Setup
from tinyagent._run.streams import cancellable, close
from tinyagent.actors.tools import Refused, Runnable
from tinyagent.agent_types import (
    AgentContext,
    AgentEndEvent,
    AgentEvent,
    AgentLoopConfig,
    AgentMessage,
    AgentStartEvent,
    AssistantMessage,
    AssistantMessageEvent,
    EventStream,
    MessageEndEvent,
    MessageStartEvent,
    MessageUpdateEvent,
    StreamFn,
    TurnStartEvent,
)
from tinyagent.events import kinds as k
from tinyagent.runtime.loops import Live

StreamEventHandler: TypeAlias = Callable[[AssistantMessageEvent], Awaitable[None]]
"""Takes each event of an answer."""

_MESSAGES = (MessageStartEvent, MessageUpdateEvent, MessageEndEvent)
BEHIND_MAX = 10_000
"""Events that the consumer of a stream may be behind before the run waits for it."""
NOTHING = "Cannot continue: no messages in context"
ANSWERED = "Cannot continue from message role: assistant"


def new_stream() -> EventStream:
    """Return a stream that ends at ``agent_end`` with its messages as the result."""
    return EventStream(
        lambda event: isinstance(event, AgentEndEvent),
        lambda event: event.messages if isinstance(event, AgentEndEvent) else [],
    )


def start(
    prompts: Sequence[AgentMessage],
    context: AgentContext,
    config: AgentLoopConfig,
    signal: asyncio.Event | None,
    stream_fn: StreamFn | None,
) -> EventStream:
    """Run *prompts* after *context* in a task of its own."""
    stream = new_stream()
    loop = Loop(context, config, signal, stream_fn)
    inputs = [said(message, "prompt") for message in prompts]
    loop.begin(inputs or [Live(k.UserContinued(), None)], stream)
    return stream


def complaining(messages: Sequence[AgentMessage]) -> Callable[..., Any]:
    """Return what raises that nothing can be gone on from."""

    def complain(*_: object) -> Any:
        raise ValueError(ANSWERED if messages else NOTHING)

    return complain


def go_on(
    context: AgentContext,
    config: AgentLoopConfig,
    signal: asyncio.Event | None,
    stream_fn: StreamFn | None,
) -> EventStream:
    """Run *context* as it is, without the failed answers at its end."""
    messages = list(context.messages)
    while messages and _has_failed(messages[-1]):
        messages.pop()
    if not messages:
        raise ValueError(NOTHING)
    if messages[-1].role == "assistant":
        raise ValueError(ANSWERED)
    stream = new_stream()
    kept = AgentContext(context.system_prompt, messages, context.tools)
    Loop(kept, config, signal, stream_fn).begin([Live(k.UserContinued(), None)], stream)
    return stream


async def run_loop(
    current_context: AgentContext,
    new_messages: list[AgentMessage],
    config: AgentLoopConfig,
    signal: asyncio.Event | None,
    stream: EventStream,
    stream_fn: StreamFn | None = None,
) -> None:
    """Run the agent on *current_context*; what is said is appended to both lists.

    The first turn is taken as begun: no ``agent_start`` and no ``turn_start`` for it.
    """
    loop = Loop(current_context, config, signal, stream_fn)
    first = [AgentStartEvent, TurnStartEvent]
    async for event in loop.watched([Live(k.UserContinued(), None)]):
        if first and type(event) is first[0]:
            first.pop(0)
            continue
        if isinstance(event, MessageEndEvent) and event.message is not None:
            current_context.messages.append(event.message)
            new_messages.append(event.message)
        ended = isinstance(event, AgentEndEvent)
        stream.push(AgentEndEvent(messages=new_messages) if ended else event)
    stream.end(new_messages)


async def stream_assistant_response(
    context: AgentContext,
    config: AgentLoopConfig,
    signal: asyncio.Event | None,
    stream: EventStream,
    stream_fn: StreamFn | None = None,
) -> AssistantMessage:
    """Make one model call on *context* and return its answer; no tool is run.

    The answer is the last of ``context.messages`` from its start on, as far as it has come.
    """
    loop = Loop(context, config, signal, stream_fn, runs_tools=False)
    final: AssistantMessage | None = None
    is_begun = False
    async for event in loop.watched([Live(k.UserContinued(), None)]):
        if final is not None or not isinstance(event, _MESSAGES):
            continue
        message = event.message
        if not isinstance(message, AssistantMessage):
            continue
        if is_begun:
            context.messages[-1] = message
        else:
            context.messages.append(message)
            is_begun = True
        stream.push(event)
        if isinstance(event, MessageEndEvent):
            final = message
    assert final is not None
    return final


def _no_tool(name: str) -> Runnable:
    raise Refused(f"Tool {name} is not run here")


class Loop:
    """One run over one context."""

    def __init__(
        self,
        context: AgentContext,
        config: AgentLoopConfig,
        signal: asyncio.Event | None,
        stream_fn: StreamFn | None,
        *,
        runs_tools: bool = True,
    ) -> None:
        check_options({**vars(config), "stream_fn": stream_fn})
        self._runs_tools = runs_tools
        self._context = context
        self._config = config
        self._signal = signal
        self._stream_fn = stream_fn
        self.new_messages: list[AgentMessage] = []
        self._turn: tuple[Any, Any] = (None, [])
        self.binding = Binding(
            None,
            self._setup,
            tools=lambda: context.tools,
            prepare=self._prepare,
            key_of=lambda: self._key if config.get_api_key is not None else None,
            signal=signal,
            find=None if runs_tools else _no_tool,
        )
        self._task: asyncio.Task[None] | None = None

    def begin(self, inputs: Sequence[Live], stream: EventStream) -> None:
        """Start the run; its events go to *stream*."""
        task = asyncio.get_running_loop().create_task(
            self._feed(inputs, weakref.ref(stream)), name="tinyagent agent_loop"
        )
        stream.attach(task)

    async def _feed(self, inputs: Sequence[Live], held: weakref.ref[EventStream]) -> None:
        """Push the events of the run to the stream, as long as anybody holds it."""
        events = self.watched(inputs)
        try:
            async for event in events:
                room = _pushed(event, held)
                while room is not None:
                    await room
                    room = _room(held())
        except Exception as error:
            if (stream := held()) is not None:
                stream.set_exception(error)
        finally:
            await close(events)
            if (stream := held()) is not None:
                stream.end(self.new_messages)

    def watched(self, inputs: Sequence[Live]) -> AsyncGenerator[AgentEvent]:
        """Return the events of the run, which the host's signal cancels."""
        return cancellable(self._run(inputs), self._signal, self.binding.cancel)

    async def _run(self, inputs: Sequence[Live]) -> AsyncGenerator[AgentEvent]:
        """Raise what the host's own code raised, in place of the message that tells of it."""
        session = self.binding.session
        session.open()
        for message in self._context.messages:
            session.append(k.ContextEdited([["insert", dumped(message)]]))
            self.binding.bodies.adopt(session.conversation.messages[-1], message)
        async for event in self.binding.run(inputs, self._show):
            raised = self.binding.raised
            if raised is not None and _tells(event, raised):
                raise raised
            yield event

    def _show(self, event: AgentEvent) -> None:
        if isinstance(event, MessageEndEvent) and event.message is not None:
            self.new_messages.append(event.message)

    async def _key(self, provider: str) -> str | None:
        assert self._config.get_api_key is not None
        key: str | None = await awaited(self._config.get_api_key(provider))
        return key

    def _setup(self) -> Setup:
        config = self._config
        options: dict[str, Any] = {
            "temperature": config.temperature,
            "max_tokens": config.max_tokens,
            "session_id": config.session_id,
            "reasoning": thinking_of(config.thinking_level or "", config.model),
        }
        options = {name: value for name, value in options.items() if value is not None}
        polls = {
            "get_steering_messages": config.get_steering_messages,
            "get_follow_up_messages": config.get_follow_up_messages,
        }
        return Setup(
            model=config.model,
            system=self._context.system_prompt or "",
            stream_fn=self._stream_fn,
            api_key=config.api_key,
            options={**options, "steering_mode": "all", "follow_up_mode": "all"},
            limits=logged_limits(config.limits, None, [config.model]),
            polls=tuple(name for name, poll in polls.items() if poll is not None),
        )

    def _prepare(self, hooks: HostHooks) -> None:
        config = self._config
        convert = config.convert_to_llm
        hooks.transform = config.transform_context
        hooks.convert = None if convert is default_convert_to_llm else convert
        hooks.before, hooks.after = config.before_tool_call, config.after_tool_call
        hooks.stop = config.should_stop_after_turn if self._runs_tools else lambda *_: True
        hooks.polls = {
            "get_steering_messages": config.get_steering_messages,
            "get_follow_up_messages": config.get_follow_up_messages,
        }


def _pushed(event: AgentEvent, held: weakref.ref[EventStream]) -> asyncio.Future[None] | None:
    """Push *event*; return what to wait for before the next one."""
    stream = held()
    if stream is not None:
        stream.push(event)
    return _room(stream)


def _room(stream: EventStream | None) -> asyncio.Future[None] | None:
    return stream.room(BEHIND_MAX) if stream is not None else None


def _has_failed(message: AgentMessage) -> bool:
    return isinstance(message, AssistantMessage) and message.stop_reason in ("error", "aborted")


def _tells(event: AgentEvent, raised: Exception) -> bool:
    """Whether *event* begins the message that only tells of *raised*."""
    if not isinstance(event, MessageStartEvent | MessageEndEvent):
        return False
    message = event.message
    told = str(raised) or type(raised).__name__
    return isinstance(message, AssistantMessage) and message.error_message == told
