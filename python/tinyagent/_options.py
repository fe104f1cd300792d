"""How an agent is configured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from tinyagent.agent_types import (
    AfterToolCallFn,
    AgentMessage,
    AgentState,
    AgentTool,
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
    from tinyagent.actors.transports import Transport
    from tinyagent.runtime.clock import Clock
    from tinyagent.runtime.sinks import Sink
    from tinyagent.runtime.stores import Log

ConvertToLlmCallback: TypeAlias = Callable[[list[AgentMessage]], Any]
TransformContextCallback: TypeAlias = Callable[..., Any]
ApiKeyResolverCallback: TypeAlias = Callable[[str], Any]
ONE = "one-at-a-time"


async def default_convert_to_llm(messages: list[AgentMessage]) -> list[Message]:
    """Return the messages that a model understands: user, assistant and tool results."""
    known = ("user", "assistant", "tool_result")
    return [message for message in messages if message.role in known]  # type: ignore[misc] # by role


@dataclass
class AgentOptions:
    """How an agent is configured. All times are in seconds.

    Attributes:
        log: where its events go; None keeps them in memory.
        tool_timeout_s: longest run of a tool that names no limit of its own.
        clock: the time of the log; tests step one of their own.
        sinks: get every record of the log as it is written; what they raise is ``sink.failed``.
        transport: carries requests; None for the one that the process shares.
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
    clock: Clock | None = None
    transport: Transport | None = None
    sinks: Sequence[Sink] = ()

    def sent(self, session_id: str | None, budgets: ThinkingBudgets | None) -> dict[str, Any]:
        """Return the options that shape requests, as the log holds them."""
        given = {
            "temperature": self.temperature,
            "max_tokens": self.max_tokens or (budgets and budgets.max_tokens),
            "session_id": session_id,
            "thinking_budget_tokens": budgets and budgets.thinking_budget,
            "prompt_caching": self.enable_prompt_caching or None,
            "retries_max": self.retries_max,
            "connect_timeout_s": self.connect_timeout_s,
            "first_byte_timeout_s": self.first_byte_timeout_s,
            "read_timeout_s": self.read_timeout_s,
        }
        return {name: value for name, value in given.items() if value is not None}


def options_of(
    opts: AgentOptions | None,
    *,
    model: Model | str | None,
    system_prompt: str | None,
    tools: list[AgentTool] | None,
    log: Log | None,
) -> AgentOptions:
    """Return *opts* with the settings that were given by keyword.

    Raises:
        TypeError: a setting was given both ways.
        UnknownModelError: the model's name stands for none.
    """
    given = {"model": model, "system_prompt": system_prompt, "tools": tools}
    wanted = {name: value for name, value in given.items() if value is not None}
    options = replace(opts) if opts is not None else AgentOptions()
    if log is not None:
        if options.log is not None:
            raise TypeError("Agent: log was given twice, as a keyword and in its options")
        options.log = log
    if not wanted:
        return options
    before: Any = options.initial_state
    state = AgentState.model_validate(before) if isinstance(before, dict) else before
    for name in wanted:
        if state is not None and getattr(state, name):
            raise TypeError(f"Agent: {name} was given twice, as a keyword and in its options")
    if model is not None:
        wanted["model"] = model_of(model)
    options.initial_state = (state or AgentState()).model_copy(update=wanted)
    return options


def model_of(given: Model | str) -> Model:
    """Return the model that *given* is, or stands for.

    Raises:
        UnknownModelError: it is a name that stands for none.
    """
    if not isinstance(given, str):
        return given
    # Imported here: who has a model object never needs the table of providers by name.
    from tinyagent.named_model import named_model

    return named_model(given)
