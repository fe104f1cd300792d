"""What an agent shows of itself to the session that it holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tinyagent._config.options import AgentOptions
    from tinyagent._host.decisions import OnApproval, OnUnknown
    from tinyagent.agent_types import AgentState, StreamFn, ThinkingBudgets
    from tinyagent.runtime.clock import Clock
    from tinyagent.runtime.stores import Log


class Hosted(Protocol):
    """What an agent shows of itself; its settings may be assigned at any time."""

    session_id: str | None
    thinking_budgets: ThinkingBudgets | None
    stream_fn: StreamFn | None
    get_api_key: Callable[[str], Any] | None
    on_unknown: OnUnknown | None
    on_approval: OnApproval | None

    @property
    def clock(self) -> Clock:
        """The time of the log."""
        ...

    @property
    def given(self) -> AgentOptions:
        """The options, but perhaps for the log."""
        ...

    @property
    def given_log(self) -> Log | None:
        """The log that was given."""
        ...

    @property
    def state(self) -> AgentState:
        """The live state."""
        ...

    def get_steering_mode(self) -> str:
        """Return how queued steering is delivered."""
        ...

    def get_follow_up_mode(self) -> str:
        """Return how queued follow-ups are delivered."""
        ...
