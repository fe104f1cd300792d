"""How an agent is configured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from tinyagent.agent_types import (
    AfterToolCallFn,
    AgentMessage,
    AgentState,
    BeforeToolCallFn,
    Limits,
    Message,
    ShouldStopAfterTurnFn,
    StreamFn,
    ThinkingBudgets,
)

if TYPE_CHECKING:
    # Named only: what they need would make the package's import half as dear again.
    from tinyagent.actors.transports import Transport
    from tinyagent.events import Redact
    from tinyagent.runtime.clock import Clock
    from tinyagent.runtime.sinks import Sink, Subscribed
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
            ``subscribe`` says which records, and whether some may be left out.
        redact: what is masked before it is written; without it, the keys of known providers.
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
    sinks: Sequence[Sink | Subscribed] = ()
    redact: Redact | None = None

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
