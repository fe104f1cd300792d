"""Runs an agent over a context that is given, on the actors and a log in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from tinyagent._binding import Binding, Setup
from tinyagent._host import HostHooks, awaited, dumped, said
from tinyagent._options import default_convert_to_llm
from tinyagent._resolve import thinking_of
from tinyagent.agent_types import (
    AgentContext,
    AgentEndEvent,
    AgentEvent,
    AgentLoopConfig,
    AgentMessage,
    AssistantMessage,
    EventStream,
    MessageEndEvent,
    MessageStartEvent,
    StreamFn,
)
from tinyagent.events import kinds as k
from tinyagent.runtime.loops import Live

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


class Loop:
    """One run over one context."""

    def __init__(
        self,
        context: AgentContext,
        config: AgentLoopConfig,
        signal: asyncio.Event | None,
        stream_fn: StreamFn | None,
    ) -> None:
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
        )
        self._task: asyncio.Task[None] | None = None

    def begin(self, inputs: Sequence[Live], stream: EventStream) -> None:
        """Start the run; its events go to *stream*."""
        task = asyncio.get_running_loop().create_task(
            self._feed(inputs, stream), name="tinyagent agent_loop"
        )
        stream.attach(task)

    async def _feed(self, inputs: Sequence[Live], stream: EventStream) -> None:
        watch = None
        if self._signal is not None:
            watch = asyncio.ensure_future(self._watch(self._signal))
        events = self.run(inputs)
        try:
            async for event in events:
                stream.push(event)
        except Exception as error:
            stream.set_exception(error)
        finally:
            if watch is not None:
                watch.cancel()
            await events.aclose()
            stream.end(self.new_messages)

    async def run(self, inputs: Sequence[Live]) -> Any:
        """Yield the events of the run; raise what the host's own code raised."""
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

    async def _show(self, event: AgentEvent) -> None:
        if isinstance(event, MessageEndEvent) and event.message is not None:
            self.new_messages.append(event.message)

    async def _watch(self, signal: asyncio.Event) -> None:
        await signal.wait()
        self.binding.cancel("signal")

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
            system=self._context.system_prompt,
            stream_fn=self._stream_fn,
            api_key=config.api_key,
            options={**options, "steering_mode": "all", "follow_up_mode": "all"},
            limits=config.limits.model_dump(exclude_none=True) if config.limits else {},
            polls=tuple(name for name, poll in polls.items() if poll is not None),
        )

    def _prepare(self, hooks: HostHooks) -> None:
        config = self._config
        convert = config.convert_to_llm
        hooks.transform = config.transform_context
        hooks.convert = None if convert is default_convert_to_llm else convert
        hooks.before, hooks.after = config.before_tool_call, config.after_tool_call
        hooks.stop = config.should_stop_after_turn
        hooks.polls = {
            "get_steering_messages": config.get_steering_messages,
            "get_follow_up_messages": config.get_follow_up_messages,
        }


def _has_failed(message: AgentMessage) -> bool:
    return isinstance(message, AssistantMessage) and message.stop_reason in ("error", "aborted")


def _tells(event: AgentEvent, raised: Exception) -> bool:
    """Whether *event* begins the message that only tells of *raised*."""
    if not isinstance(event, MessageStartEvent | MessageEndEvent):
        return False
    message = event.message
    told = str(raised) or type(raised).__name__
    return isinstance(message, AssistantMessage) and message.error_message == told
