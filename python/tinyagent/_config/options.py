"""How an agent is configured."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import compress
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from tinyagent._config.checks import check, check_options, check_text, check_tools, is_number
from tinyagent.agent_types import (
    AfterToolCallFn,
    AgentMessage,
    AgentState,
    BeforeToolCallFn,
    Limits,
    Message,
    Model,
    ShouldStopAfterTurnFn,
    StreamFn,
    ThinkingBudgets,
)

if TYPE_CHECKING:
    # Named only: what they need would make the package's import half as dear again.
    from tinyagent._config.limits import Prices
    from tinyagent._host.decisions import OnApproval, OnUnknown
    from tinyagent._host.hooks import Hooks
    from tinyagent.actors.transports import Transport
    from tinyagent.events import Redact
    from tinyagent.runtime.clock import Clock
    from tinyagent.runtime.sinks import Sink, Subscribed
    from tinyagent.runtime.stores import Log

ConvertToLlmCallback: TypeAlias = Callable[[list[AgentMessage]], Any]
TransformContextCallback: TypeAlias = Callable[..., Any]
ApiKeyResolverCallback: TypeAlias = Callable[[str], Any]
ONE = "one-at-a-time"
TURNS_MAX = 100
"""Turns of a run of an agent that was made by keywords, if nobody says otherwise."""


async def default_convert_to_llm(messages: list[AgentMessage]) -> list[Message]:
    """Return the messages that a model understands: user, assistant and tool results."""
    known = ("user", "assistant", "tool_result")
    return [message for message in messages if message.role in known]  # type: ignore[misc] # by role


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How a failed request is sent again. Every attempt is on record, as ``model.retrying``.

    Attributes:
        attempts_max: how often one request is sent at most.
        delay_s_max: longest wait before the next; a provider that asks for more has refused.
        after_delta: also when a part of the answer was shown. That part is void then, and whoever
            shows an answer must drop it at ``model.retrying``.
    """

    attempts_max: int = 3
    delay_s_max: float = 120.0
    after_delta: bool = False

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ValueError: no attempt at all, or a negative wait.
        """
        if not is_number(self.attempts_max, 1, int) or not is_number(self.delay_s_max, 0):
            raise ValueError(f"{self}: attempts_max must be at least 1, delay_s_max at least 0")


@dataclass(frozen=True, kw_only=True)
class Compaction:
    """When the oldest turns are no longer shown to the model. Nothing is lost: see ``compact``.

    Attributes:
        at_tokens: how long the context may grow, as the provider counts it.
        keep_turns: so many of the last turns stay.
    """

    at_tokens: int
    keep_turns: int = 10

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            ValueError: no turn would be kept, or no token allowed.
        """
        if not is_number(self.at_tokens, 1, int) or not is_number(self.keep_turns, 1, int):
            raise ValueError(f"{self}: at_tokens and keep_turns must be at least 1")


@dataclass
class AgentOptions:
    """How an agent is configured. All times are in seconds.

    Attributes:
        stop: texts at which the model stops; a protocol without a place for them says so.
        parallel_tool_calls: False asks for one call at a time, where that can be asked.
        tool_choice: ``auto``, ``none``, ``required``, or the name of the tool to call.
        output_schema: JSON Schema of every answer that is not a call; a model that cannot be held
            to it says so.
        output: the type of every answer, as of ``run(output=...)``, which counts before it.
        output_retries_max: how often an answer is asked for again that is not of that type.
        extra_body: fields of a provider's own for the request; they come last, and replace.
        fallback: models, or names of them, that are asked in turn when the one before does not
            answer: its network, its limits, its refusal; not what is wrong with the request.
        limits: where a run ends although it is not done. prices: what ``cost_usd_max``, and who
            reads the log, counts with, by ``provider:id`` or id of the model. On record.
        compaction: when the oldest turns are no longer shown to the model; never, if not given.
        retry: how a failed request is sent again; ``retries_max`` is the compatible word for it.
        log: where its events go; None keeps them in memory.
        tool_timeout_s: longest run of a tool that names no limit of its own.
        clock: the time of the log; tests step one of their own.
        sinks: get every record of the log as it is written; what they raise is ``sink.failed``.
            ``subscribe`` says which records, and whether some may be left out.
        redact: what is masked before it is written; without it, the keys of known providers.
        transport: carries requests (``tinyagent.transports``); None for the one that the process
            shares.
        on_unknown: decides about a ``write`` tool of which nobody knows what came; without it the
            run is paused. on_approval: decides whether a call may run that needs an approval.
        hooks: what is called with each message, request, call and record; see ``Hooks``.
        deps: what tools find as ``ctx.deps``; never on record. secrets: by name, or a function
            that returns one by its name or None; see ``ctx.secret``.
        on_interrupted: what becomes of a model call during which the process ended: it is made
            again, or what was heard of it is kept and the run fails.
    """

    initial_state: AgentState | None = None
    convert_to_llm: ConvertToLlmCallback | None = None
    transform_context: TransformContextCallback | None = None
    steering_mode: str = ONE
    follow_up_mode: str = ONE
    stream_fn: StreamFn | None = None
    session_id: str | None = None
    get_api_key: ApiKeyResolverCallback | None = None
    thinking_budgets: ThinkingBudgets | None = None
    enable_prompt_caching: bool = False
    before_tool_call: BeforeToolCallFn | None = None
    after_tool_call: AfterToolCallFn | None = None
    should_stop_after_turn: ShouldStopAfterTurnFn | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    limits: Limits | None = None
    log: Log | None = None
    tool_timeout_s: float | None = None
    tools_parallel_max: int = 64
    retries_max: int | None = None
    connect_timeout_s: float | None = None
    first_byte_timeout_s: float | None = None
    read_timeout_s: float | None = None
    prices: Prices | None = None
    compaction: Compaction | None = None
    retry: Retry | None = None
    fallback: Sequence[Model | str] = ()
    stop: Sequence[str] = ()
    parallel_tool_calls: bool | None = None
    tool_choice: str | None = None
    output_schema: dict[str, Any] | None = None
    extra_body: dict[str, Any] | None = None
    output: Any = None
    output_retries_max: int = 2
    clock: Clock | None = None
    transport: Transport | None = None
    sinks: Sequence[Sink | Subscribed] = ()
    redact: Redact | None = None
    on_unknown: OnUnknown | None = None
    on_approval: OnApproval | None = None
    on_interrupted: Literal["retry", "keep"] = "retry"
    hooks: Sequence[Hooks] = ()
    deps: Any = None
    secrets: Mapping[str, str] | Callable[[str], str | None] | None = None

    def __post_init__(self) -> None:
        """Refuse contradictions, and find the models by their names.

        Raises:
            ValueError: a number is too small.
            TypeError: a setting is not of its kind; ``retry`` and ``retries_max`` were both given,
                or ``output`` and ``output_schema``; or ``fallback`` with a stream function of the
                host's own, which is asked whatever the model.
            UnknownModelError: a name in ``fallback`` stands for none.
        """
        check_options(vars(self))
        self.fallback = [model_of(each) for each in self.fallback]
        is_hosted = self.stream_fn and not hasattr(self.stream_fn, "__tinyagent_provider__")
        if self.fallback and is_hosted:
            raise TypeError("AgentOptions: fallback has no meaning with a stream_fn of your own")
        if self.retry is not None and self.retries_max is not None:
            raise TypeError("AgentOptions: retries were given twice, as retry and as retries_max")
        if self.output is not None and self.output_schema is not None:
            raise TypeError("AgentOptions: output was given twice, as output and as output_schema")
        if self.output is not None:
            from tinyagent._config.answers import answer_schema  # which few need

            answer_schema(self.output)
        if type(self) is AgentOptions:  # a class below it may have other defaults
            # What nobody set is the class's: of 45 settings an agent keeps its own few.
            given = vars(self)
            defaults = map(vars(AgentOptions).__getitem__, given)
            is_set = map(operator.is_not, given.values(), defaults)
            own: compress[tuple[str, Any]] = compress(given.items(), is_set)
            self.__dict__ = dict(own)

    def sent(self, session_id: str | None, budgets: ThinkingBudgets | None) -> dict[str, Any]:
        """Return the options that shape requests, as the log holds them."""
        given = {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens or (budgets and budgets.max_tokens),
            "session_id": session_id,
            "thinking_budget_tokens": budgets and budgets.thinking_budget,
            "prompt_caching": bool(self.enable_prompt_caching) or None,
            "retries_max": self.retry.attempts_max - 1 if self.retry else self.retries_max,
            "retry_delay_s_max": self.retry and self.retry.delay_s_max,
            "retry_after_delta": (self.retry and self.retry.after_delta) or None,
            "stop": list(self.stop) or None,
            "parallel_tool_calls": self.parallel_tool_calls,
            "tool_choice": self.tool_choice,
            "output": self.output_schema and _output(self.output_schema),
            "compaction": self.compaction and asdict(self.compaction),
            "extra_body": self.extra_body and _plain(self.extra_body),
            "connect_timeout_s": self.connect_timeout_s,
            "first_byte_timeout_s": self.first_byte_timeout_s,
            "read_timeout_s": self.read_timeout_s,
        }
        return {name: value for name, value in given.items() if value is not None}


def _output(schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": str(schema.get("title") or "output"), "schema": _plain(schema)}


def _plain(value: dict[str, Any]) -> Any:
    """Return *value* as a log can hold it, keys like ``$ref`` included."""
    from tinyagent.events import plain

    return plain(value)


class Usual(msgspec.Struct, frozen=True):
    """The settings that most agents are made with and no others, of which most never run.

    A model is among them.
    """

    model: Model | str | None = None
    system_prompt: str | None = None
    tools: Sequence[Any] | None = None
    log: Log | None = None

    def checked(self) -> Usual:
        """Return them with the model that a name stands for, and tools that nobody else changes.

        Raises:
            TypeError: one is not of its kind. UnknownModelError: the name stands for none.
        """
        model = None if self.model is None else model_of(self.model)
        if self.log is not None:
            check("log", self.log)
        if self.system_prompt is not None:
            check_text("system_prompt", self.system_prompt)
        if self.tools is not None:
            check_tools(self.tools)
        tools = None if self.tools is None else tuple(self.tools)
        return Usual(model, self.system_prompt, tools, self.log)

    def state(self) -> AgentState:
        """Return the state that an agent begins with which is made with them."""
        return _with(AgentState(), self.model, self.system_prompt, self.tools)

    def options(self, state: AgentState | None) -> AgentOptions:
        """Return the options of such an agent, with *state*."""
        return AgentOptions(initial_state=state, log=self.log, limits=Limits(turns_max=TURNS_MAX))


@cache
def usual_options() -> AgentOptions:
    """Return what the options of all such agents have in common; nobody may change it."""
    return Usual().options(None)


_OF_STATE = frozenset({"model", "system_prompt", "tools"})


def options_of(opts: AgentOptions | None, named: Mapping[str, Any]) -> AgentOptions:
    """Return *opts* with *named*, the settings that were given by keyword; None is not given.

    Raises:
        TypeError: a setting was given both ways.
        UnknownModelError: the model's name stands for none.
    """
    wanted = {name: value for name, value in named.items() if value is not None}
    if not wanted:
        return opts or AgentOptions()
    own = {name: wanted.pop(name) for name in wanted.keys() - _OF_STATE}
    if opts is None:
        options = AgentOptions(**own)
        if options.limits is None:
            options.limits = Limits(turns_max=TURNS_MAX)
    else:
        for name in own:
            before = getattr(opts, name)
            if before is not None and (name not in ("fallback", "hooks") or before):
                raise _given_twice(name)
        options = replace(opts, **own)
    if not wanted:
        return options
    given: Any = options.initial_state
    before = AgentState.model_validate(given) if isinstance(given, dict) else given
    for name in wanted:
        if before is not None and getattr(before, name):
            raise _given_twice(name)
    state = AgentState() if before is None else before.model_copy()
    options.initial_state = _with(state, **wanted)
    return options


def _with(
    state: AgentState,
    model: Model | str | None = None,
    system_prompt: str | None = None,
    tools: Sequence[Any] | None = None,
) -> AgentState:
    """Return *state* with these settings; None is not given."""
    if model is not None:
        state.model = model_of(model)
    if system_prompt is not None:
        check_text("system_prompt", system_prompt)
        state.system_prompt = system_prompt
    if tools is not None:
        check_tools(tools)
        state.tools = list(tools)
    return state


def _given_twice(name: str) -> TypeError:
    return TypeError(f"Agent: {name} was given twice, as a keyword and in its options")


def model_of(given: Model | str) -> Model:
    """Return the model that *given* is, or stands for.

    Raises:
        UnknownModelError: it is a name that stands for none. TypeError: it is neither.
    """
    if not isinstance(given, str):
        if not hasattr(given, "provider"):
            kind = type(given).__name__
            raise TypeError(
                f"a model is a name like 'openai:gpt-4o-mini', or Model(...), not {kind}"
            )
        return given
    # Imported here: who has a model object never needs the table of providers by name.
    from tinyagent.models import named_model

    return named_model(given)
