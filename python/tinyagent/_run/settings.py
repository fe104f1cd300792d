"""What of an agent may be set between runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinyagent._config.checks import check, check_options, check_text, check_tools
from tinyagent._config.options import (
    ONE,
    AgentOptions,
    ApiKeyResolverCallback,
    Usual,
    model_of,
    usual_options,
)
from tinyagent.agent_types import (
    AgentState,
    AgentTool,
    Limits,
    Model,
    StreamFn,
    ThinkingBudgets,
    ThinkingLevel,
)
from tinyagent.runtime.clock import Clock, system_clock

if TYPE_CHECKING:
    from tinyagent._host.decisions import OnApproval, OnUnknown
    from tinyagent._reading.state import StateKeeper
    from tinyagent._run.editing import Edited
    from tinyagent._run.engine import Engine
    from tinyagent._run.resting import Rest
    from tinyagent.actors.forking import Edit
    from tinyagent.runtime.stores import Log


class _Assigned:
    """A setting that may be assigned at any time, and is looked at then."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name
        self._place = f"_{name}"  # found without a dict of the agent's, which has none else

    def __get__(self, of: Settings | None, owner: type[Settings]) -> Any:
        return None if of is None else getattr(of, self._place, None)

    def __set__(self, of: Settings, value: object) -> None:
        check_options({self._name: value})
        setattr(of, self._place, value)


def _assigned() -> Any:
    """Return a ``_Assigned`` that a type checker takes for the setting itself."""
    return _Assigned()


class Settings:
    """The settings of an agent. Each counts from the next run on."""

    stream_fn: StreamFn | None = _assigned()
    get_api_key: ApiKeyResolverCallback | None = _assigned()
    session_id: str | None = _assigned()
    thinking_budgets: ThinkingBudgets | None = _assigned()
    # Of an agent that was made with the usual settings alone.
    on_unknown: OnUnknown | None = None
    on_approval: OnApproval | None = None
    _steering_mode = _follow_up_mode = ONE
    _usual = Usual()
    _options: AgentOptions | None = None
    _clock: Clock | None = None
    _made: Engine | Rest | None = None
    _is_seen = False
    """Whether somebody else may hold the options or the state: they stay the same objects then."""

    def __init__(self, options: AgentOptions) -> None:
        self._options, self._is_seen = options, True
        # Not by way of their descriptors: the options were looked at.
        self._stream_fn = options.stream_fn
        self._get_api_key = options.get_api_key
        self._session_id = options.session_id
        self._thinking_budgets = options.thinking_budgets
        self.on_unknown = options.on_unknown
        self.on_approval = options.on_approval
        self._steering_mode = options.steering_mode or ONE
        self._follow_up_mode = options.follow_up_mode or ONE

    @property
    def options(self) -> AgentOptions:
        """The options."""
        self._is_seen = True
        if self._options is None:
            self._options = self._usual.options(self._keeper.state)
        return self._options

    @options.setter
    def options(self, options: AgentOptions) -> None:
        self._options, self._is_seen = options, True

    @property
    def given(self) -> AgentOptions:
        """The options, for who changes none; made of usual settings, without state and log."""
        return self._options or usual_options()

    @property
    def given_log(self) -> Log | None:
        """The log that was given."""
        return self._usual.log if self._options is None else self._options.log

    @property
    def clock(self) -> Clock:
        """The time of the log."""
        if self._clock is None:
            self._clock = self.given.clock or system_clock()
        return self._clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self._clock = clock

    @property
    def state(self) -> AgentState:
        """The live state."""
        raise NotImplementedError

    @property
    def _keeper(self) -> StateKeeper:
        raise NotImplementedError

    def set_system_prompt(self, prompt: str) -> None:
        """Set the system prompt, from the next run on.

        Raises:
            ValueError: it has half a character.
        """
        if isinstance(prompt, str):  # pyright: ignore[reportUnnecessaryIsInstance] - the run says so
            check_text("system_prompt", prompt)
        self.state.system_prompt = prompt

    def set_model(self, model: Model | str) -> None:
        """Set the model, or a name like ``openai:gpt-4o-mini``, from the next run on."""
        self.state.model = model_of(model)

    def set_thinking_level(self, level: ThinkingLevel) -> None:
        """Set how much the model thinks, from the next run on.

        Raises:
            ValueError: it is no level.
        """
        if level and level not in tuple(ThinkingLevel):
            raise ValueError(f"{level!r} is none of {', '.join(ThinkingLevel)}")
        self.state.thinking_level = level

    def set_tools(self, tools: list[AgentTool]) -> None:
        """Set the tools; the list itself is kept and read at every model call.

        Raises:
            TypeError: it is no list, or holds what is no tool.
        """
        check_tools(tools)
        self.state.tools = tools

    def set_limits(self, limits: Limits | None) -> None:
        """Set where a run ends although it is not done, from the next run on.

        A run that a limit has ended is gone on with by ``run()`` under larger ones: what it has
        used by then counts.

        Raises:
            ValueError: money is limited, and the price of the model is not given. TypeError: they
                are no ``Limits``.
        """
        if limits is not None:
            check("limits", limits)
        self.options.limits = limits
        self._check_limits()

    def _check_limits(self) -> None:
        limits = self.given.limits
        if limits is not None and limits.cost_usd_max is not None:
            # Imported here: to name an agent must cost next to nothing.
            from tinyagent._config.limits import logged_limits

            models = [self.state.model, *map(model_of, self.options.fallback)]
            logged_limits(limits, self.options.prices, models)

    def set_steering_mode(self, mode: str) -> None:
        """Deliver queued steering ``one-at-a-time`` or ``all`` at once.

        Raises:
            TypeError: it is no text.
        """
        check_options({"steering_mode": mode})
        self._steering_mode = mode or ONE

    def get_steering_mode(self) -> str:
        """Return the steering mode."""
        return self._steering_mode

    def set_follow_up_mode(self, mode: str) -> None:
        """Deliver queued follow-ups ``one-at-a-time`` or ``all`` at once.

        Raises:
            TypeError: it is no text.
        """
        check_options({"follow_up_mode": mode})
        self._follow_up_mode = mode or ONE

    def get_follow_up_mode(self) -> str:
        """Return the follow-up mode."""
        return self._follow_up_mode

    # What models are shown

    def edit_context(self, edits: Sequence[Edit]) -> list[Edited]:
        """Change what models are shown of the conversation from the next call on; see ``edits``.

        The conversation stays as it was said, and each edit can be undone (``edits.undo``). A
        call and its result are never parted: an edit of one is one of both, and says so. In a
        run, call this from its loop.

        Raises:
            LookupError: an edit is about a record that said no message, or is no such edit.
        """
        from tinyagent._run.editing import edited

        return edited(self._engine().binding, edits)

    def compact(self, *, keep_turns: int) -> Edited:
        """Show models the last *keep_turns* turns only, and what users said in the run they are of.

        What is pinned (``edits.pin``) stays. Nothing is lost, and it can be undone.

        Raises:
            ValueError: no turn would be kept.
        """
        if keep_turns < 1:
            raise ValueError(f"compact(keep_turns={keep_turns}): at least 1 turn must be kept")
        from tinyagent._run.editing import edited
        from tinyagent.actors.forking import Edit

        return edited(self._engine().binding, [Edit(["compact", keep_turns])], "compact")[0]

    # What waits for a person

    def approve(self, call_id: str, *, by: str = "host") -> None:
        """Allow a call that waits for an approval: at once, or when the paused run goes on.

        Raises:
            LookupError: it waits for none.
        """
        self._engine().decide(call_id, approved=True, by=by, why="")

    def deny(self, call_id: str, *, by: str = "host", why: str = "") -> None:
        """Refuse a call that waits for an approval; the model is told *why*.

        Raises:
            LookupError: it waits for none.
        """
        self._engine().decide(call_id, approved=False, by=by, why=why)

    def _engine(self) -> Engine:
        raise NotImplementedError
