# pyright: strict, reportUnknownArgumentType=true, reportUnknownMemberType=true
# pyright: reportUnknownVariableType=true
"""What both type checkers accept: the face as code written for it uses it. Never run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, assert_never, assert_type

from tinyagent import (
    Agent,
    AgentContext,
    AgentEndEvent,
    AgentEvent,
    AgentLoopConfig,
    AgentMessage,
    AgentOptions,
    AgentStartEvent,
    AgentState,
    AgentTool,
    AgentToolResult,
    AgentToolUpdateCallback,
    AssistantMessage,
    AssistantMessageEvent,
    Compaction,
    Context,
    EventStream,
    ImageContent,
    Limits,
    MessageEndEvent,
    MessageStartEvent,
    MessageUpdateEvent,
    Model,
    NoOutputError,
    Price,
    SimpleStreamOptions,
    StreamResponse,
    TextContent,
    ThinkingLevel,
    ToolCallContent,
    ToolExecutionEndEvent,
    ToolExecutionStartEvent,
    ToolExecutionUpdateEvent,
    ToolLoopControl,
    ToolResultMessage,
    TurnEndEvent,
    TurnStartEvent,
    UserMessage,
    agent_loop,
    create_proxy_stream,
    default_convert_to_llm,
    edits,
    load,
    named_model,
    open_log,
    parse_streaming_json,
    replay,
)
from tinyagent.alchemy_provider import OpenAICompatModel, stream_alchemy_openai_completions
from tinyagent.caching import add_cache_breakpoints
from tinyagent.runtime.stores import Log
from tinyagent.rust_binding_provider import RustBindingModel, stream_rust_binding


async def add(
    tool_call_id: str,
    args: dict[str, Any],
    signal: asyncio.Event | None,
    on_update: AgentToolUpdateCallback,
) -> AgentToolResult:
    on_update(AgentToolResult(content=[TextContent(text="adding")]))
    return AgentToolResult(content=[TextContent(text=str(args["a"] + args["b"]))], details={})


async def before(
    call: ToolCallContent, tool: AgentTool | None, args: dict[str, Any]
) -> ToolLoopControl | None:
    return ToolLoopControl(terminate=True) if call.name == "stop" else None


def after(call: ToolCallContent, result: ToolResultMessage) -> ToolLoopControl | None:
    return ToolLoopControl(is_error=not result.content)


def word(event: AgentEvent) -> str:
    match event:
        case AgentStartEvent() | TurnStartEvent():
            return event.type
        case AgentEndEvent(messages=messages):
            assert_type(messages, list[AgentMessage])
            return f"{len(messages)} new"
        case TurnEndEvent(tool_results=results):
            return f"{len(results)} results"
        case MessageStartEvent() | MessageEndEvent():
            return event.message.role if event.message is not None else ""
        case MessageUpdateEvent(assistant_message_event=update):
            return (update.delta or "") if update is not None else ""
        case ToolExecutionStartEvent() | ToolExecutionUpdateEvent() | ToolExecutionEndEvent():
            return event.tool_name
        case _:
            assert_never(event)


class Wrapped:
    """A stream response of the host's own, around another."""

    def __init__(self, inner: StreamResponse) -> None:
        self._inner = inner

    def __aiter__(self) -> AsyncIterator[AssistantMessageEvent]:
        return self

    async def __anext__(self) -> AssistantMessageEvent:
        return await self._inner.__anext__()

    async def result(self) -> AssistantMessage:
        return await self._inner.result()


async def stream_fn(model: Model, context: Context, options: SimpleStreamOptions) -> StreamResponse:
    return Wrapped(await stream_alchemy_openai_completions(model, context, options))


async def program() -> None:
    tool = AgentTool(
        name="add",
        description="Adds.",
        parameters={"type": "object"},
        label="Add",
        execute=add,
        effect="pure",
    )
    model = OpenAICompatModel(provider="openrouter", id="m", headers={"x": "y"}, max_tokens=128)
    state = AgentState(system_prompt="S", model=model, tools=[tool])
    agent = Agent(
        AgentOptions(
            initial_state=state,
            stream_fn=stream_fn,
            before_tool_call=before,
            after_tool_call=after,
            should_stop_after_turn=lambda message, results, context, new: len(new) > 9,
            get_api_key=lambda provider: None,
            enable_prompt_caching=True,
        )
    )
    agent.set_thinking_level(ThinkingLevel.HIGH)
    agent.steer("left")
    agent.follow_up(UserMessage(content=[TextContent(text="and?")]))
    unsubscribe = agent.subscribe(lambda event: print(word(event)))
    assert_type(await agent.prompt("hi", images=[ImageContent(url="x")]), AgentMessage)
    assert_type(await agent.prompt_text([UserMessage()]), str)
    async for event in agent.stream("hi"):
        assert_type(event, AgentEvent)
    async with agent.stream_text("hi") as texts:
        async for part in texts:
            assert_type(part, str)
    await agent.continue_()
    agent.abort()
    await agent.wait_for_idle()
    agent.reset()
    unsubscribe()


async def functions() -> None:
    config = AgentLoopConfig(model=RustBindingModel(), convert_to_llm=default_convert_to_llm)
    stream = agent_loop([UserMessage()], AgentContext(), config, None, stream_rust_binding)
    assert_type(stream, EventStream)
    async for event in stream:
        print(word(event))
    assert_type(await stream.result(), list[AgentMessage])
    response = await create_proxy_stream(Model(), Context(), "token", "http://localhost")
    async for update in response:
        print(update.type)
    print(parse_streaming_json("{"), await add_cache_breakpoints([]))


def build(*, log: Log | None = None) -> Agent:
    agent = Agent(model="openai:gpt-4o-mini", system_prompt="S", tools=[], log=log)
    agent.set_model(named_model("vllm:m", base_url="http://localhost/v1"))
    return agent


@dataclass
class Invoice:
    cents: int


async def outputs(agent: Agent) -> None:
    result = await agent.run("An invoice.", output=Invoice)
    assert_type(result.output, Invoice)
    assert_type((await agent.run("Numbers.", output=list[int])).output, list[int])
    assert_type((await agent.run("hi")).text, str)
    try:
        print(result.output.cents)
    except NoOutputError as error:
        print(error.result.outcome)


def limited() -> Agent:
    agent = Agent(
        model="openai:gpt-4o-mini",
        limits=Limits(turns_max=5, tokens_max=9, cost_usd_max=0.5, run_s_max=30, tool_calls_max=3),
        prices={"openai:gpt-4o-mini": Price(input_usd=0.15, output_usd=0.6, cache_read_usd=0.075)},
        compaction=Compaction(at_tokens=100_000, keep_turns=20),
    )
    agent.set_limits(Limits(turns_max=10))
    made = agent.edit_context([edits.drop(3), edits.replace(5, "short"), edits.pin(7)])
    agent.edit_context([edits.undo(made[0].seq)])
    assert_type(agent.compact(keep_turns=5).moved, str)
    return agent


async def logs() -> None:
    async with open_log("runs/x", durability="strict") as log:
        agent = Agent(AgentOptions(log=log))
        print(agent.log.seq)
    report = await replay("runs/x", build)
    report.check()
    recording = load("runs/x")
    assert_type(recording.request_at(3).body, bytes)
    assert_type(recording.request_at(3).is_verified, bool | None)
    assert_type(recording.state_at(3).plain(), dict[str, Any])
    assert_type([step.seq for step in recording.why(3).chain], list[int])
    assert_type(
        [(below.depth, below.record.seq) for below in recording.impact(3)], list[tuple[int, int]]
    )
    assert_type(recording.diff("runs/y").summary(), str)
    assert_type([call.took_s for call in recording.tool_calls.values()], list[float | None])
    assert_type(recording.usage.total_tokens, int)
    for message in recording.messages:
        assert_type(message, AgentMessage)
