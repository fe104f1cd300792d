"""Tools, contexts and the configuration of a loop: dataclasses, mutable, equal by value."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyagent.agent_types._messages import (
        AgentMessage,
        ImageContent,
        Limits,
        Model,
        TextContent,
        ThinkingBudgets,
        ThinkingLevel,
    )


@dataclass
class AgentToolResult:
    """What a tool gives back. ``terminate``: no further model call after this batch."""

    content: list[TextContent | ImageContent] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    terminate: bool = False


@dataclass
class ToolLoopControl:
    """What a tool hook answers: a result to use, and whether the batch is the last."""

    terminate: bool = False
    result: AgentToolResult | None = None
    is_error: bool | None = None


@dataclass
class Tool:
    """A tool as the model sees it. ``parameters``: JSON Schema."""

    name: str = ""
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass
class AgentTool(Tool):
    """A tool that can be run.

    Attributes:
        execute: ``(tool_call_id, args, signal, on_update) -> AgentToolResult``, async or not.
        effect: ``pure read idempotent write``: whether it may run again after a crash.
        timeout_s: the longest run, seconds.
        reconcile: ``(ctx, args)``, asked after a crash during a ``write``: returns the result if
            it took effect, False if it did not, None if it cannot say.
        validate: whether arguments are checked against ``parameters``, and converted.
        approval: ``always``, if each call waits until a person allows it; ``never``; or a
            function ``(ctx, args)`` that says whether this call does.
        idle_timeout_s: the longest silence, seconds: without a word of progress.
        alone: whether no other tool of the agent may run beside it.
        output_bytes_max: so much of its text reaches the model; it is told of the rest.

    >>> async def look(call_id, args, signal, on_update):
    ...     return AgentToolResult(content=[TextContent(text=f"page {args['page']}")])
    >>> schema = {"type": "object", "properties": {"page": {"type": "integer"}}}
    >>> raw = AgentTool(name="look", parameters=schema, execute=look, effect="read")
    >>> agent = Agent(model=scripted(("look", {"page": 2}), "Nothing."), tools=[raw])
    >>> agent.run_sync("Find it.").messages[2].content[0].text
    'page 2'
    """

    label: str = ""
    execute: Callable[..., Any] | None = None
    effect: str = "write"
    timeout_s: float | None = None
    reconcile: Callable[..., Any] | None = None
    validate: bool = True
    approval: str | Callable[..., Any] = "never"
    idle_timeout_s: float | None = None
    alone: bool = False
    output_bytes_max: int | None = None

    def __deepcopy__(self, memo: dict[int, object]) -> AgentTool:
        # The functions are what the tool can do, not data: they stay the same objects.
        return dataclasses.replace(self, parameters=copy.deepcopy(self.parameters, memo))


@dataclass
class Context:
    """What a stream function is asked: system prompt, messages, tools."""

    system_prompt: str = ""
    messages: list[Any] = field(default_factory=list)
    tools: list[AgentTool] | None = None


@dataclass
class AgentContext:
    """The conversation that a loop runs on."""

    system_prompt: str = ""
    messages: list[AgentMessage] = field(default_factory=list)
    tools: list[AgentTool] | None = None


@dataclass
class AgentLoopConfig:
    """How a loop runs; see the callbacks of ``AgentOptions``."""

    model: Model
    convert_to_llm: Callable[..., Any]
    transform_context: Callable[..., Any] | None = None
    get_api_key: Callable[..., Any] | None = None
    get_steering_messages: Callable[..., Any] | None = None
    get_follow_up_messages: Callable[..., Any] | None = None
    before_tool_call: Callable[..., Any] | None = None
    after_tool_call: Callable[..., Any] | None = None
    should_stop_after_turn: Callable[..., Any] | None = None
    api_key: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    thinking_level: ThinkingLevel | None = None
    thinking_budgets: ThinkingBudgets | None = None
    session_id: str | None = None
    limits: Limits | None = None
