"""The agent as applications hold it: one session, its state, its queues.

``Agent`` is the compatible face over the actors; it has no loop of its own.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from msgspec.structs import asdict

from tinyagent._config.checks import check, check_function
from tinyagent._config.options import (
    AgentOptions as AgentOptions,
    ApiKeyResolverCallback as ApiKeyResolverCallback,
    Compaction as Compaction,
    ConvertToLlmCallback as ConvertToLlmCallback,
    Retry as Retry,
    TransformContextCallback as TransformContextCallback,
    Usual,
    default_convert_to_llm as default_convert_to_llm,
    options_of,
)
from tinyagent._reading.state import (
    awaited,
    extract_text as extract_text,
    inputs_of,
)
from tinyagent._run.running import Input as Input, Inputs, Running, busy_error
from tinyagent._run.streams import AgentStream, close, text_of
from tinyagent.agent_loop import (
    agent_loop as agent_loop,
    agent_loop_continue as agent_loop_continue,
)
from tinyagent.agent_types import (
    ZERO_USAGE as ZERO_USAGE,
    AfterToolCallFn as AfterToolCallFn,
    AgentContext as AgentContext,
    AgentEndEvent as AgentEndEvent,
    AgentEvent as AgentEvent,
    AgentLoopConfig as AgentLoopConfig,
    AgentMessage as AgentMessage,
    AgentState as AgentState,
    AgentTool as AgentTool,
    AssistantMessage as AssistantMessage,
    AssistantMessageEvent as AssistantMessageEvent,
    BeforeToolCallFn as BeforeToolCallFn,
    ImageContent as ImageContent,
    Limits as Limits,
    MaybeAwaitable as MaybeAwaitable,
    Message as Message,
    MessageEndEvent as MessageEndEvent,
    MessageUpdateEvent as MessageUpdateEvent,
    Model as Model,
    ShouldStopAfterTurnFn as ShouldStopAfterTurnFn,
    StreamFn as StreamFn,
    TextContent as TextContent,
    ThinkingBudgets as ThinkingBudgets,
    ThinkingContent as ThinkingContent,
    ThinkingLevel as ThinkingLevel,
    ToolCallContent as ToolCallContent,
    ToolResultMessage as ToolResultMessage,
    UserMessage as UserMessage,
    is_message_end_event as is_message_end_event,
    is_message_start_or_update_event as is_message_start_or_update_event,
    is_tool_execution_end_event as is_tool_execution_end_event,
    is_tool_execution_start_event as is_tool_execution_start_event,
    is_turn_end_event as is_turn_end_event,
)
from tinyagent.caching import add_cache_breakpoints as add_cache_breakpoints

if TYPE_CHECKING:
    # Imported when the first run begins: to name an agent must cost next to nothing.
    from tinyagent._config.limits import Prices
    from tinyagent._host.decisions import OnApproval, OnUnknown
    from tinyagent._host.hooks import Hooks
    from tinyagent._mcp.servers import McpServer
    from tinyagent._reading.opened import OpenLog
    from tinyagent._run.engine import Engine
    from tinyagent._run.played import Played
    from tinyagent.actors.transports import Transport
    from tinyagent.events import Redact
    from tinyagent.events.kinds import SessionStarted
    from tinyagent.runtime.stores import Log

Listener: TypeAlias = Callable[[AgentEvent], Any]
BUSY_CONTINUE = "Agent is already processing. Wait for completion before continuing."


class Agent(Running):
    """An agent: ``prompt`` it, ``stream`` it, ``subscribe`` to it.

    Needs no running loop; may serve several, one after the other.

    >>> Agent(model=scripted("Paris.")).run_sync("Capital of France?").text
    'Paris.'
    """

    _listeners: dict[Listener, None] | None = None

    def __init__(
        self,
        opts: AgentOptions | None = None,
        *,
        model: Model | str | None = None,
        system_prompt: str | None = None,
        tools: Sequence[AgentTool | McpServer] | None = None,
        log: Log | None = None,
        deps: Any = None,
        secrets: Mapping[str, str] | Callable[[str], str | None] | None = None,
        limits: Limits | None = None,
        prices: Prices | None = None,
        compaction: Compaction | None = None,
        output: Any = None,
        retry: Retry | None = None,
        fallback: Sequence[Model | str] | None = None,
        redact: Redact | None = None,
        on_approval: OnApproval | None = None,
        hooks: Sequence[Hooks] | None = None,
        transport: Transport | None = None,
    ) -> None:
        """Configure it: all by *opts*, the commonest settings by keyword too, but not both ways.

        Args:
            model: a name like ``openai:gpt-4o-mini``, or a model object.
            tools: functions under ``@tool``, ``AgentTool`` objects, and MCP servers.
            deps: what tools find as ``ctx.deps``. secrets: what ``ctx.secret`` knows, by name.
            limits: where a run ends although it is not done; without *opts* after 100 turns, if
                nobody says otherwise. output: the type of answers; that of ``run`` comes first.
            prices, compaction, retry, fallback, redact, on_approval, hooks, transport: see
                ``AgentOptions``.

        Raises:
            TypeError: a setting was given both ways, or is not of its kind; or *output* is no type
                that an answer can have. UnknownModelError: the name stands for none.
            ValueError: money is limited, and the price of the model is not given.
        """
        usual = Usual(model, system_prompt, tools, log)
        named: dict[str, Any] = {"limits": limits, "prices": prices, "compaction": compaction}
        named |= {"deps": deps, "secrets": secrets, "output": output, "retry": retry}
        named |= {
            "fallback": fallback,
            "redact": redact,
            "on_approval": on_approval,
            "hooks": hooks,
            "transport": transport,
        }
        is_usual = all(each is None for each in named.values())
        if opts is None and is_usual and model is not None:
            self._usual = usual.checked()
            return
        if opts is not None:
            check("opts", opts)
        named |= asdict(usual)
        if any(each is not None for each in named.values()):
            opts = options_of(opts, named)
        super().__init__(opts or AgentOptions())
        if self.given.initial_state is not None:
            self._keep()  # so that nobody else has it
        self._check_limits()

    @property
    def state(self) -> AgentState:
        """The live state; it follows what was delivered."""
        self._is_seen = True
        if self._kept is None and self._made is not None:
            self._engine()  # which knows what is in it
            self._let_go()
        return self._keeper.state

    def subscribe(self, fn: Listener) -> Callable[[], None]:
        """Call *fn* with every event; return a function that ends it. Coroutines are awaited.

        Raises:
            TypeError: it is no function.
        """
        check_function("a listener", fn)
        self._keeper.attend()
        listeners = self._listeners = self._listeners or {}
        listeners[fn] = None
        return lambda: listeners.pop(fn, None)

    # Messages and queues

    def replace_messages(self, messages: list[AgentMessage]) -> None:
        """Let the conversation be *messages*."""
        if self._running:
            self._engine().clear(messages)
            self._keeper.replace(messages)
        else:
            self.state.messages = list(messages)

    def append_message(self, message: AgentMessage) -> None:
        """Put *message* at the end of the conversation; in a run, behind the open turn."""
        if self._running:
            self._engine().insert(message)
            self._keeper.insert(message)
        else:
            self.state.messages = [*self.state.messages, message]

    def clear_messages(self) -> None:
        """Empty the conversation; the log keeps it."""
        self.replace_messages([])

    def steer(self, message: AgentMessage | str) -> None:
        """Queue a message for after the current turn. From any thread."""
        self._queue("steer", message)

    def follow_up(self, message: AgentMessage | str) -> None:
        """Queue a message for when the agent would stop. From any thread."""
        self._queue("follow_up", message)

    def clear_steering_queue(self) -> None:
        """Take back what was queued with ``steer``."""
        self._engine().binding.queues.withdraw("steer")

    def clear_follow_up_queue(self) -> None:
        """Take back what was queued with ``follow_up``."""
        self._engine().binding.queues.withdraw("follow_up")

    def clear_all_queues(self) -> None:
        """Take back everything that was queued."""
        self._engine().binding.queues.withdraw("steer", "follow_up")

    def abort(self) -> None:
        """Stop the run, if there is one: ``agent_end`` follows within 100 ms. From any thread."""
        if self._made is not None:
            self._made.cancel("abort")

    def reset(self) -> None:
        """Forget messages, error and queues; keep prompt, model and tools. Stops a run."""
        self.abort()
        self.clear_all_queues()
        self._keeper.reset()
        self._leave()

    # Running

    def take_up(
        self,
        *,
        on_unknown: OnUnknown | None,
        on_approval: OnApproval | None,
        on_interrupted: Literal["retry", "keep"] | None,
    ) -> None:
        """Open the log and take up what it holds; called by ``resume``.

        Raises:
            DivergenceError: today's code decides otherwise than the log says.
        """
        self.on_unknown = on_unknown or self.on_unknown
        self.on_approval = on_approval or self.on_approval
        self._engine().take_up(on_interrupted)

    async def prompt(
        self, input_data: Input, images: list[ImageContent] | None = None
    ) -> AgentMessage:
        """Run the agent on *input_data* and return its last answer.

        What goes wrong in the run is told by the message (``stop_reason`` ``error`` or
        ``aborted``), not raised.

        Raises:
            RuntimeError: the agent is busy, or has no model.
        """
        messages = await self._checked(input_data, images)
        if not messages:
            self._keeper.drop_failed()
            self._engine().complain()
        return await self._finish(messages)

    async def prompt_text(self, input_data: Input, images: list[ImageContent] | None = None) -> str:
        """Return the text of the answer; empty if the run failed."""
        message = await self.prompt(input_data, images)
        failed = isinstance(message, AssistantMessage) and message.stop_reason == "error"
        return "" if failed else extract_text(message)

    def stream(
        self, input_data: Input, images: list[ImageContent] | None = None
    ) -> AgentStream[AgentEvent]:
        """Return the events of a run. Nothing happens before the first is asked for."""
        inputs = partial(self._checked, input_data, images)
        return AgentStream(self._run(inputs, is_watched=True), partial(self._leave, inputs))

    def stream_text(
        self, input_data: Input, images: list[ImageContent] | None = None
    ) -> AgentStream[str]:
        """Return the text of the run's answers as it arrives, each character once."""
        inputs = partial(self._checked, input_data, images)
        texts = text_of(self._run(inputs, is_watched=True))
        return AgentStream(texts, partial(self._leave, inputs))

    async def continue_(self) -> AgentMessage:
        """Run the agent without a new message: after tool results, or again after an error.

        Raises:
            RuntimeError: the agent is busy, has no model, or nothing to go on from.
        """
        await self._free(BUSY_CONTINUE)
        self._keeper.drop_failed()
        if not self.state.messages:
            raise RuntimeError("No messages to continue from")
        if self.state.messages[-1].role == "assistant":
            raise RuntimeError("Cannot continue from message role: assistant")
        await self._check(BUSY_CONTINUE)
        return await self._finish([])

    async def _finish(self, messages: Sequence[AgentMessage]) -> AgentMessage:
        last: AssistantMessage | None = None
        async for event in self._run(messages, is_watched=bool(self._listeners)):
            if isinstance(event, MessageEndEvent) and isinstance(event.message, AssistantMessage):
                last = event.message
        if last is None:
            raise RuntimeError("No assistant message produced")
        return last

    def _inputs(self, given: Input, images: list[ImageContent] | None = None) -> list[AgentMessage]:
        return inputs_of(given, images, now_ms=self.clock.now_us() // 1000)

    async def _check(self, busy: str) -> None:
        if self._running:
            await self._free(busy)
        if self._keeper.state.model is None:
            raise RuntimeError("No model configured")
        self._check_limits()
        await self._engine().ready()
        if self._running:
            raise busy_error(busy)

    async def _run(
        self, messages: Inputs, *, is_watched: bool, output: Any = None
    ) -> AsyncGenerator[AgentEvent]:
        watched = messages
        if callable(messages):
            messages = await messages()
        over = self._be_busy()
        self._watched = watched
        try:
            engine = self._engine()
            run = await engine.run(messages, self._show, is_watched=is_watched, output=output)
            try:
                async for event in run:
                    yield event
            finally:
                await close(run)
        finally:
            if self._watched is watched:
                self._watched = None
            over()

    def _played(self, messages: list[AgentMessage], output: Any, *, is_text: bool) -> Played:
        engine = self._engine()
        if not self._listeners:
            quiet = engine.quiet(
                messages, output, is_text=is_text, show=self._show, be_busy=self._be_busy
            )
            if quiet is not None:
                return quiet
        from tinyagent._run.played import Heard

        events = self._run(messages, is_watched=bool(self._listeners), output=output)
        return Heard(events, engine.binding)

    def _show(self, event: AgentEvent) -> Awaitable[None] | None:
        self._keeper.take(event)
        if event.type == "agent_end":
            self._be_idle()
        return self._tell(event) if self._listeners else None

    async def _tell(self, event: AgentEvent) -> None:
        listeners = self._listeners or {}
        for listener in tuple(listeners):
            if listener not in listeners:
                continue
            try:
                await awaited(listener(event))
            except Exception as error:
                told = f"a listener raised {type(error).__name__}: {error}"
                self._engine().binding.session.report("listener.failed", told)

    # The session

    @property
    def log(self) -> OpenLog:
        """The log that everything is recorded in; it reads like a ``Recording``."""
        return (self._made or self._engine()).log

    def configuration(self) -> SessionStarted:
        """Return the configuration that a new log of this agent would start with."""
        return self._engine().configuration()

    def made_with(self, options: AgentOptions) -> tuple[Agent, Engine]:
        """Return an agent like this one, with *options*, and its session."""
        made = Agent(options)
        return made, made._engine()
