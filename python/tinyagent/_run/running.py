"""The three ways to run an agent: for its answer, to watch, and (``agent``) the compatible one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

from tinyagent._config.options import AgentOptions
from tinyagent._reading.state import Idle, StateKeeper, own
from tinyagent._run.settings import Settings
from tinyagent.agent_types import AgentEvent, AgentMessage, AgentState, AgentTool, ImageContent

if TYPE_CHECKING:
    # Imported when the first run begins: to name an agent must cost next to nothing.
    from tinyagent._reading.vocabulary import Event
    from tinyagent._run.engine import Engine
    from tinyagent._run.played import Played
    from tinyagent._run.runs import Run, RunResult
    from tinyagent.events import Record
    from tinyagent.events.fact import Effect

Output = TypeVar("Output")
Input: TypeAlias = str | AgentMessage | list[AgentMessage]
Inputs: TypeAlias = Sequence[AgentMessage] | Callable[[], Awaitable[Sequence[AgentMessage]]]
"""What a run begins with; or returns it, or says why it may not begin, when it is to."""

BUSY = (
    "Agent is already processing a prompt. Use steer() or follow_up() to queue messages, "
    "or wait for completion."
)
LEAVE = (
    "a run that was left in the midst of it, and is still held, goes on: watch it in its context, "
    "`async with agent.events(...) as run`, or end it with `await run.aclose()`"
)


def busy_error(told: str) -> RuntimeError:
    """Return the error of who begins a run while another one goes on."""
    error = RuntimeError(told)
    error.add_note(LEAVE)
    return error


class Running(Settings):
    """What can be run: a session, made when it is first needed."""

    _kept: StateKeeper | None = None
    _is_copy = False
    _idle: Idle | None = None
    _running: object = None
    """Which run goes on, if one does."""
    _is_ending = False
    """Whether the run was told to end, so that the next one waits for that."""
    _watched: object = None
    """What the run began with, as it was given to who watches it."""
    _plays = 0
    """Runs that go on, or of which somebody hears the end."""

    @overload
    async def run(self, input_data: Input | None = None) -> RunResult: ...
    @overload
    async def run(
        self, input_data: Input | None = None, *, output: type[Output]
    ) -> RunResult[Output]: ...
    async def run(self, input_data: Input | None = None, *, output: Any = None) -> RunResult[Any]:
        """Run the agent and return what came of it.

        Without *input_data* it goes on from where its log stands: it ends the run that a crash
        cut off or that was paused, or answers the last message.

        Args:
            output: the type of the answer, which ``result.output`` is then. A model that answers
                something else is told what is wrong, ``output_retries_max`` times; then the run
                has failed.

        Raises:
            RunFailedError: the outcome is ``failed``; it carries the result, and is raised from
                a ``ProviderError`` if a model call failed.
            RuntimeError: the agent is busy, has no model, or nothing to go on from.
        """
        played = await self._begun(input_data, output)
        await played.begin()
        return await played.end()

    @overload
    def run_sync(self, input_data: Input | None = None) -> RunResult: ...
    @overload
    def run_sync(
        self, input_data: Input | None = None, *, output: type[Output]
    ) -> RunResult[Output]: ...
    def run_sync(self, input_data: Input | None = None, *, output: Any = None) -> RunResult[Any]:
        """Run the agent in an event loop of its own, as ``run`` does, and return what came of it.

        Raises:
            RunFailedError: the outcome is ``failed``; it carries the result.
            RuntimeError: an event loop is running here; or as ``run``.
        """
        import asyncio  # here, as for all who run: to name an agent costs less without

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.run(input_data, output=output))
        raise RuntimeError(
            "run_sync() cannot wait inside of a running event loop\n"
            "  try       await agent.run(...)"
        )

    @overload
    def events(self, input_data: Input | None = None) -> Run[Event]: ...
    @overload
    def events(
        self, input_data: Input | None = None, *, output: type[Output]
    ) -> Run[Event, Output]: ...
    def events(self, input_data: Input | None = None, *, output: Any = None) -> Run[Event, Any]:
        """Return a run of the agent to watch: its events, in the log's own vocabulary.

        Nothing happens before it is entered, or its first event is asked for. What goes wrong at
        run time is not raised: the last event, ``RunEnded``, says it. *output*: as of ``run``.
        """
        from tinyagent._run.runs import Run, call_of, event_of

        begin = partial(self._begun, input_data, output)
        return Run(begin, self._engine, event_of, call_of, let_go=self._let_go, leave=self._leave)

    @overload
    def records(self, input_data: Input | None = None) -> Run[Record]: ...
    @overload
    def records(
        self, input_data: Input | None = None, *, output: type[Output]
    ) -> Run[Record, Output]: ...
    def records(self, input_data: Input | None = None, *, output: Any = None) -> Run[Record, Any]:
        """Return a run to watch as ``events`` does: every record of the session, children too."""
        from tinyagent._run.runs import Run, as_it_is

        begin = partial(self._begun, input_data, output)
        let_go, leave = self._let_go, self._leave
        return Run(begin, self._engine, as_it_is, None, let_go=let_go, leave=leave, below=True)

    def as_tool(self, name: str, description: str, *, effect: Effect | None = None) -> AgentTool:
        """Return this agent as a tool of another, which runs it below itself, in its log.

        It has a conversation of its own each time. After a crash it goes on where it stood.

        Args:
            effect: what a run may do to the world; without it ``read`` if none of its tools may
                change anything, and ``idempotent`` else, since it is gone on with, not repeated.

        Raises:
            ToolDefinitionError: *effect* is none.
        """
        from tinyagent._run.children import tool_of

        return tool_of(self, name, description, effect)

    async def wait_for_idle(self) -> None:
        """Return when no run is in progress."""
        if self._running:
            idle = self._idle = self._idle or Idle()
            await idle.wait()

    def made_with(self, options: AgentOptions) -> tuple[Running, Engine]:
        """Return an agent like this one, with *options*, and its session."""
        raise NotImplementedError

    @property
    def _keeper(self) -> StateKeeper:
        """Who keeps the state: made when somebody first needs it."""
        return self._kept or self._keep()

    def _keep(self) -> StateKeeper:
        self._kept = None if self._made is None else self._made.give_keeper()
        if self._kept is None:
            options = self._options
            given: Any = self._usual.state() if options is None else options.initial_state
            state = AgentState.model_validate(given) if isinstance(given, dict) else given
            state, self._is_copy = own(state or AgentState())
            self._kept = StateKeeper(state)
        return self._kept

    async def _begun(self, input_data: Input | None, output: Any) -> Played:
        """Return a run of the agent, ready to begin.

        Raises:
            RuntimeError: the agent is busy, has no model, or nothing to go on from.
        """
        await self._check(BUSY)
        messages = [] if input_data is None else self._inputs(input_data)
        if not messages and not self._engine().goes_on:
            from tinyagent._run.runs import nothing_error

            raise nothing_error(self._keeper.state.messages)
        return self._played(messages, output, is_text=isinstance(input_data, str))

    def _played(self, messages: list[AgentMessage], output: Any, *, is_text: bool) -> Played:
        raise NotImplementedError

    def _engine(self) -> Engine:
        keeper = self._keeper
        if self._made is not None:
            self._made = made = self._made.awake(self, keeper)
            return made
        from tinyagent._run.engine import Engine

        self._made = made = Engine(self, keeper)
        if self._is_copy:
            told = "the initial state belongs to another agent; this one has a copy"
            made.binding.session.later("state.copied", told)
        return made

    def _let_go(self) -> None:
        """Keep of the session only what the next run needs, if it rests."""
        if self._made is None or self._plays:
            return
        engine = self._engine()
        rest = engine.at_rest()
        if rest is None:
            return
        self._made = rest
        if not engine.is_idle:
            self._made = engine  # another thread has queued something meanwhile
            return
        if not self._is_seen and engine.keeper.is_as_recorded:
            rest.take_state(engine)
            self._kept = None
        rest.stay_at_hand()

    def _queue(self, via: str, message: AgentMessage | str) -> None:
        engine = self._engine()
        for each in self._inputs(message):
            engine.binding.queues.put(via, each)
        self._made = engine  # a run that ended meanwhile, in its own thread, let go of it

    def _inputs(self, given: Input, images: list[ImageContent] | None = None) -> list[AgentMessage]:
        raise NotImplementedError

    async def _checked(
        self, given: Input, images: list[ImageContent] | None
    ) -> Sequence[AgentMessage]:
        """Return what a run begins with, if one may begin now."""
        await self._check(BUSY)
        return self._inputs(given, images)

    async def _check(self, busy: str) -> None:
        raise NotImplementedError

    async def _free(self, busy: str) -> None:
        """Return when no run goes on, if the one that does was told to end.

        Raises:
            RuntimeError: it was not: *busy*.
        """
        if self._is_ending:
            await self.wait_for_idle()
        if self._running:
            raise busy_error(busy)

    def _leave(self, watched: object = None) -> None:
        """The run is told to end: any, or the one that began with *watched*."""
        if watched is None or watched is self._watched:
            self._is_ending = self._running is not None

    def _be_busy(self) -> Callable[[], None]:
        """A run begins. Return what is to be called when nobody hears it any more.

        The next one may have begun by then: who reads ``agent_end`` may prompt before he reads on.
        """
        self._plays += 1
        run = self._running = object()
        self._keeper.begin()
        return partial(self._be_over, run)

    def _be_over(self, run: object) -> None:
        self._plays -= 1
        if self._running is run:
            self._be_idle()
        else:
            self._let_go()

    def _be_idle(self) -> None:
        self._running = None
        self._is_ending = False
        self._keeper.state.is_streaming = False
        self._let_go()
        if self._idle is not None:
            self._idle.tell()

    def _run(
        self, messages: Inputs, *, is_watched: bool, output: Any = None
    ) -> AsyncGenerator[AgentEvent]:
        raise NotImplementedError
