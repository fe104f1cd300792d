"""Which events, classes and types a run shows: six lines, first occurrences only."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator

from tinyagent import (
    Agent,
    AgentOptions,
    AgentState,
    AgentTool,
    AgentToolResult,
    AssistantMessage,
    AssistantMessageEvent,
    Context,
    MessageEndEvent,
    Model,
    SimpleStreamOptions,
    StreamResponse,
    TextContent,
)
from tinyagent.agent_types import AgentEvent, JsonObject
from tinyagent.alchemy_provider import OpenAICompatModel, stream_alchemy_openai_completions

seen: dict[str, list[str]] = {}


def note(kind: str, name: str) -> None:
    names = seen.setdefault(kind, [])
    if name not in names:
        names.append(name)


class Noting(StreamResponse):
    def __init__(self, inner: StreamResponse) -> None:
        self._inner = inner

    async def result(self) -> AssistantMessage:
        message = await self._inner.result()
        note("result_type", type(message).__name__)
        return message

    def __aiter__(self) -> AsyncIterator[AssistantMessageEvent]:
        return self

    async def __anext__(self) -> AssistantMessageEvent:
        event = await self._inner.__anext__()
        note("assistant_stream_event_types", str(event.type))
        return event


async def stream_fn(model: Model, context: Context, options: SimpleStreamOptions) -> StreamResponse:
    options.max_tokens = int(os.environ.get("HARNESS_MAX_TOKENS", "256"))
    return Noting(await stream_alchemy_openai_completions(model, context, options))


async def add_numbers(
    tool_call_id: str, args: JsonObject, signal: object, on_update: object
) -> AgentToolResult:
    total = float(str(args["a"])) + float(str(args["b"]))
    return AgentToolResult(content=[TextContent(text=format(total, ".15g"))])


def configured() -> tuple[OpenAICompatModel, str]:
    for name in ("OPENROUTER", "CHUTES", "MINIMAX"):
        key = os.environ.get(f"{name}_API_KEY")
        if key:
            return (
                OpenAICompatModel(
                    provider=name.lower(),
                    id=os.environ[f"{name}_MODEL"],
                    base_url=os.environ[f"{name}_BASE_URL"],
                ),
                key,
            )
    raise SystemExit("no API key")


def listen(event: AgentEvent) -> None:
    note("agent_event_types", str(event.type))
    note("agent_event_class_types", type(event).__name__)
    if isinstance(event, MessageEndEvent) and event.message is not None:
        note("message_types", type(event.message).__name__)
        for block in getattr(event.message, "content", []):
            note("content_types", type(block).__name__)


async def main() -> None:
    model, key = configured()
    schema: JsonObject = {
        "type": "object",
        "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
        "required": ["a", "b"],
    }
    tool = AgentTool(name="add_numbers", description="Add.", parameters=schema, execute=add_numbers)
    agent = Agent(AgentOptions(stream_fn=stream_fn, get_api_key=lambda provider: key))
    agent.state.model = model
    agent.set_system_prompt("Use the tool.")
    agent.set_tools([tool])
    agent.subscribe(listen)
    limit_s = float(os.environ.get("HARNESS_TIMEOUT_SECONDS", "60"))
    await asyncio.wait_for(agent.prompt("What is 2 + 3?"), limit_s)
    if os.environ.get("HARNESS_DEBUG"):
        print(agent.state.messages, file=sys.stderr)
    for kind in (
        "agent_event_types",
        "agent_event_class_types",
        "assistant_stream_event_types",
        "message_types",
        "content_types",
        "result_type",
    ):
        print(f"{kind}={','.join(seen.get(kind, []))}")


if __name__ == "__main__":
    assert AgentState is not None
    asyncio.run(main())
