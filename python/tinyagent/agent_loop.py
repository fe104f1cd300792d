"""The loop as functions, for code that wants no ``Agent``.

They run on the same actors as an ``Agent`` does, with a log in memory. This module is imported
with the package, so it loads nothing by itself: the work is in ``_run/loop.py``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from tinyagent._run.loop import (
        StreamEventHandler as StreamEventHandler,
        run_loop as run_loop,
        stream_assistant_response as stream_assistant_response,
    )
    from tinyagent.agent_tool_execution import execute_tool_calls as execute_tool_calls
    from tinyagent.agent_types import (
        AgentContext,
        AgentLoopConfig,
        AgentMessage,
        Context,
        EventStream,
        Model,
        SimpleStreamOptions,
        StreamFn,
        StreamResponse,
    )


def agent_loop(
    prompts: list[AgentMessage],
    context: AgentContext,
    config: AgentLoopConfig,
    signal: asyncio.Event | None = None,
    stream_fn: StreamFn | None = None,
) -> EventStream:
    """Run the agent on *prompts* after *context* and return its events at once.

    Needs a running loop. The exception of a stream function or of a callback that is not a tool
    hook is raised by the stream, after the events before it.
    """
    from tinyagent._run.loop import start

    return start(prompts, context, config, signal, stream_fn)


def agent_loop_continue(
    context: AgentContext,
    config: AgentLoopConfig,
    signal: asyncio.Event | None = None,
    stream_fn: StreamFn | None = None,
) -> EventStream:
    """Run the agent on *context* as it is.

    Raises:
        ValueError: there are no messages, or the last one is an answer.
    """
    from tinyagent._run.loop import go_on

    return go_on(context, config, signal, stream_fn)


def create_agent_stream() -> EventStream:
    """Return a stream that ends at ``agent_end`` with its messages as the result."""
    from tinyagent._run.loop import new_stream

    return new_stream()


async def stream_simple(
    model: Model, context: Context, options: SimpleStreamOptions
) -> StreamResponse:
    """Raise ``NotImplementedError``: a stream function must be given. Kept for its name."""
    raise NotImplementedError("stream_simple must be provided")


_HOME = {
    "execute_tool_calls": "agent_tool_execution",
    "run_loop": "_run.loop",
    "stream_assistant_response": "_run.loop",
    "StreamEventHandler": "_run.loop",
}
_TYPES = """
is_agent_end_event STREAM_UPDATE_EVENTS AgentContext AgentEndEvent AgentEvent AgentLoopConfig
AgentMessage AgentStartEvent AssistantMessage AssistantMessageEvent Context EventStream
MaybeAwaitable MessageEndEvent MessageStartEvent MessageUpdateEvent Model ResponseStreamState
SimpleStreamOptions StreamFn StreamResponse ToolResultMessage TurnEndEvent TurnProcessingResult
TurnStartEvent
"""


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name == "__all__":  # asked for by a star import only, which is to get every name
            for each in (*_TYPES.split(), *_HOME):
                globals()[each] = globals().get(each) or __getattr__(each)
        home = "agent_types" if name in _TYPES.split() else _HOME.get(name)
        if home is None:
            raise AttributeError(f"module 'tinyagent.agent_loop' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"tinyagent.{home}"), name)
        return value
