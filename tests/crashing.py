"""A world that survives crashes, an agent in it, and a log cut after any record.

The model's answer depends on the conversation alone, so a run that is taken up in another process
meets the world that the first one met.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tests.traces import MODEL, calls, text

from tinyagent import Agent, AgentOptions, AgentState, current_ctx
from tinyagent.agent_types import AgentMessage, AgentTool, AssistantMessage, TextContent
from tinyagent.runtime.stores import Log
from tinyagent.testing import VirtualClock
from tinyagent.testing.crash import cut

ID = "4f6c0b6c2d7e4b5f9a0d3c1e8b72a655"


class World:
    """Counts what tools do to it. ``keys``: the idempotency keys that each call was made with."""

    def __init__(self) -> None:
        self.effects: Counter[str] = Counter()
        self.keys: dict[str, set[str]] = {}
        self.model_calls = 0

    def tool(self, name: str, effect: str, **more: Any) -> AgentTool:
        """Return a tool that takes effect once per run of it."""

        async def execute(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
            self.effects[call_id] += 1
            self.keys.setdefault(call_id, set()).add(current_ctx().idempotency_key)
            await asyncio.sleep(0)
            return f"{name} {call_id} done"

        return AgentTool(
            name=name, parameters={"type": "object"}, execute=execute, effect=effect, **more
        )

    def build(
        self,
        log: Log | None,
        script: Callable[[Sequence[AgentMessage]], AssistantMessage],
        tools: list[AgentTool],
        **options: Any,
    ) -> Agent:
        """Return an agent whose model answers as *script* says of the conversation."""

        async def stream_fn(model: Any, context: Any, given: Any) -> Any:
            self.model_calls += 1
            answer = script(context.messages)
            return _Answer(answer)

        return Agent(
            AgentOptions(
                initial_state=AgentState(model=MODEL, tools=tools),
                stream_fn=stream_fn,
                log=log,
                clock=VirtualClock(),
                **options,
            )
        )


class _Answer:
    """A stream response without events: the result alone."""

    def __init__(self, message: AssistantMessage) -> None:
        self._message = message

    def __aiter__(self) -> _Answer:
        return self

    async def __anext__(self) -> Any:
        raise StopAsyncIteration

    async def result(self) -> AssistantMessage:
        return self._message


def turns(
    *answers: AssistantMessage,
) -> Callable[[Sequence[AgentMessage]], AssistantMessage]:
    """Return a script: the n-th answer to a conversation that holds n - 1 answers already."""

    def script(messages: Sequence[AgentMessage]) -> AssistantMessage:
        said = sum(message.role == "assistant" for message in messages)
        return answers[said].model_copy()

    return script


def conversation(agent: Agent) -> list[Any]:
    """Return what was said, without times."""
    return [_said(message) for message in agent.state.messages]


def _said(message: Any) -> Any:
    blocks = [
        block.text if isinstance(block, TextContent) else (block.id, block.name, block.arguments)
        for block in message.content
    ]
    call_id = getattr(message, "tool_call_id", None)
    return (message.role, call_id, blocks) if call_id else (message.role, blocks)


__all__ = ["ID", "MODEL", "World", "calls", "conversation", "cut", "text", "turns"]
