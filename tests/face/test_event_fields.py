"""Each of the ten agent events and of the twelve stream events, field by field."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.traces import MODEL, calls, result, said, script, text, tool

from tinyagent import (
    Agent,
    AgentEndEvent,
    AgentOptions,
    AgentStartEvent,
    AgentState,
    AgentTool,
    AgentToolResult,
    AssistantMessage,
    AssistantMessageEvent,
    MessageEndEvent,
    MessageStartEvent,
    MessageUpdateEvent,
    SimpleStreamOptions,
    TextContent,
    ToolCallContent,
    ToolExecutionEndEvent,
    ToolExecutionStartEvent,
    ToolExecutionUpdateEvent,
    ToolLoopControl,
    ToolResultMessage,
    TurnEndEvent,
    TurnStartEvent,
    UserMessage,
)
from tinyagent.agent_types import Context, ThinkingContent
from tinyagent.alchemy_provider import OpenAICompatModel, stream_alchemy_openai_completions
from tinyagent.testing import ProviderServer, chat, status


async def progressing(call_id: str, args: Any, signal: Any, on_update: Any) -> AgentToolResult:
    on_update(AgentToolResult(content=[TextContent(text="half")], details={"p": 50}))
    return AgentToolResult(content=[TextContent(text="whole")], details={"p": 100})


async def test_the_ten_agent_events() -> None:
    asking = calls(("c1", "f", {"a": 1}))
    answer = text("Done.")
    state = AgentState(model=MODEL, tools=[tool("f", progressing)])
    agent = Agent(AgentOptions(initial_state=state, stream_fn=script(asking, answer)))
    events: list[Any] = []
    agent.subscribe(events.append)
    mine = UserMessage(content=[TextContent(text="hi")])
    await agent.prompt(mine)

    of = {kind: [e for e in events if type(e) is kind] for kind in {type(e) for e in events}}
    assert len(of) == 10
    outcome = agent.state.messages[2]
    assert isinstance(outcome, ToolResultMessage)
    assert of[AgentStartEvent] == [AgentStartEvent(type="agent_start")]
    assert of[TurnStartEvent] == [TurnStartEvent(type="turn_start")] * 2
    assert of[MessageStartEvent][0] == MessageStartEvent("message_start", mine)
    assert of[MessageEndEvent][1] == MessageEndEvent("message_end", asking)
    update = next(
        e for e in of[MessageUpdateEvent] if e.assistant_message_event.type == "text_delta"
    )
    assert update.message is update.assistant_message_event.partial
    names: dict[str, Any] = {"tool_call_id": "c1", "tool_name": "f", "args": {"a": 1}}
    assert of[ToolExecutionStartEvent] == [ToolExecutionStartEvent(**names)]
    half = AgentToolResult([TextContent(text="half")], {"p": 50})
    assert of[ToolExecutionUpdateEvent] == [ToolExecutionUpdateEvent(**names, partial_result=half)]
    whole = AgentToolResult([TextContent(text="whole")], {"p": 100}, terminate=False)
    assert of[ToolExecutionEndEvent] == [
        ToolExecutionEndEvent(**names, result=whole, is_error=False)
    ]
    assert of[TurnEndEvent] == [
        TurnEndEvent("turn_end", asking, [outcome]),
        TurnEndEvent("turn_end", answer, []),
    ]
    assert of[AgentEndEvent] == [AgentEndEvent("agent_end", [mine, asking, outcome, answer])]
    assert (outcome.tool_call_id, outcome.tool_name, outcome.is_error) == ("c1", "f", False)
    assert (outcome.details, outcome.terminate) == ({"p": 100}, False)
    assert of[TurnEndEvent][0].tool_results[0] is outcome


async def streamed(*answers: Any) -> list[AssistantMessageEvent]:
    async with ProviderServer(answers) as server:
        model = OpenAICompatModel(
            provider="demo", id="m", api="openai-completions", base_url=server.chat_url
        )
        response = await stream_alchemy_openai_completions(
            model, Context("S", [UserMessage()]), SimpleStreamOptions(api_key="k", retries_max=0)
        )
        events = [event async for event in response]
        final = await response.result()
    last = events[-1]
    assert (last.message if last.type == "done" else last.error) == final
    return events


async def test_eleven_stream_events_of_one_answer() -> None:
    answer = chat(
        thinking="Hm.", text="Hi.", calls=[("c1", "f", {"a": 1})], chunk_chars=100, usage={}
    )
    events = await streamed(answer)
    shown = [
        (e.type, e.content_index, e.delta, e.content, e.tool_call and e.tool_call.arguments)
        for e in events
    ]
    assert shown == [
        ("start", None, None, None, None),
        ("thinking_start", 0, None, None, None),
        ("thinking_delta", 0, "Hm.", None, None),
        ("thinking_end", 0, None, "Hm.", None),
        ("text_start", 1, None, None, None),
        ("text_delta", 1, "Hi.", None, None),
        ("text_end", 1, None, "Hi.", None),
        ("tool_call_start", 2, None, None, None),
        ("tool_call_delta", 2, "", None, None),
        ("tool_call_delta", 2, '{"a":1}', None, None),
        ("tool_call_end", 2, None, None, {"a": 1}),
        ("done", None, None, None, None),
    ]
    partials = [e.partial for e in events if e.partial is not None]
    assert [len(p.content) for p in partials] == [0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3]
    message = events[-1].message
    assert message is not None
    assert (events[-1].reason, message.stop_reason) == ("tool_calls", "tool_calls")
    thinking, spoken, call = message.content
    assert isinstance(thinking, ThinkingContent)
    assert isinstance(call, ToolCallContent)
    assert (thinking.thinking, thinking.thinking_signature) == ("Hm.", "reasoning_content")
    assert spoken == TextContent(text="Hi.")
    assert (call.id, call.name, call.arguments, call.partial_json) == ("c1", "f", {"a": 1}, None)
    assert (message.provider, message.model, message.api) == ("demo", "m", "openai-completions")


async def test_the_twelfth_is_an_error() -> None:
    events = await streamed(status(400, {"error": {"message": "no such model"}}))
    assert [event.type for event in events] == ["error"]
    failed = events[0].error
    assert isinstance(failed, AssistantMessage)
    assert (events[0].reason, failed.stop_reason) == ("error", "error")
    assert (failed.error_message or "").startswith("API returned error: 400 - ")
    assert failed.error_kind == "invalid"
    assert failed.content == [TextContent(text="")]


# What hooks, tools and listeners can get wrong


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"before_tool_call": lambda *_: "yes"},
            "before_tool_call: expected ToolLoopControl or None",
        ),
        (
            {"after_tool_call": lambda *_: 5},
            "after_tool_call: expected ToolLoopControl or None. "
            "The tool ran; its result was withheld.",
        ),
    ],
)
async def test_t25_a_hook_that_answers_wrongly_is_an_error_result(
    options: dict[str, Any], told: str
) -> None:
    agent = with_tool(progressing, **options)
    assert await agent.prompt_text("hi") == "Done."
    assert (said(agent.state.messages[2]), is_error(agent)) == (told, True)


async def cancels_itself(*_: Any) -> Any:
    raise asyncio.CancelledError


async def raises_nothing_to_say(*_: Any) -> Any:
    raise ValueError


@pytest.mark.parametrize(
    ("execute", "told"),
    [
        (lambda *_: None, "Tool f returned NoneType, expected AgentToolResult"),
        (lambda *_: 5, "Tool f returned int, expected AgentToolResult"),
        (cancels_itself, "Tool execution cancelled"),
        (raises_nothing_to_say, "ValueError"),
    ],
)
async def test_a_tool_that_makes_no_sense_is_an_error_result_and_the_next_prompt_works(
    execute: Any, told: str
) -> None:
    agent = with_tool(execute)
    assert await agent.prompt_text("hi") == "Done."
    assert (said(agent.state.messages[2]), is_error(agent)) == (told, True)
    assert await agent.prompt_text("again") == "Again."


@pytest.mark.parametrize("details", [{"when": object()}, {"n": {1, 2}}, {"deep": [{"x": object}]}])
async def test_details_that_are_no_json_are_told_by_their_repr(details: dict[str, Any]) -> None:
    agent = with_tool(lambda *_: result("ok", details=details))
    assert await agent.prompt_text("hi") == "Done."
    outcome = agent.state.messages[2]
    assert isinstance(outcome, ToolResultMessage)
    assert outcome.details.keys() == details.keys()
    assert all(isinstance(value, str) for value in outcome.details.values())


async def test_a_broken_schema_checks_nothing_and_is_on_record_once() -> None:
    broken = AgentTool(name="f", parameters={"type": 5}, execute=progressing)
    given = [calls(("c1", "f", {"a": 1})), calls(("c2", "f", {})), text("Done.")]
    state = AgentState(model=MODEL, tools=[broken])
    agent = Agent(AgentOptions(initial_state=state, stream_fn=script(*given)))
    assert await agent.prompt_text("hi") == "Done."
    reports = [s.payload for s in agent.log.read() if s.kind == "diagnostic.reported"]
    assert len(reports) == 1
    assert b"the arguments of tool f are not checked" in reports[0]


async def test_hooks_see_the_call_the_tool_and_the_arguments() -> None:
    seen: list[Any] = []

    async def before(call: Any, found: Any, args: Any) -> ToolLoopControl | None:
        seen.append((call.id, call.name, call.arguments, found.name, args))
        args.clear()
        return None

    def after(call: Any, message: Any) -> None:
        seen.append((call.id, said(message)))
        message.content = [TextContent(text="edited in place")]

    agent = with_tool(progressing, before_tool_call=before, after_tool_call=after)
    await agent.prompt("hi")
    assert seen == [("c1", "f", {"a": 1}, "f", {}), ("c1", "whole")]
    assert said(agent.state.messages[2]) == "edited in place"


def with_tool(execute: Any, **options: Any) -> Agent:
    state = AgentState(model=MODEL, tools=[tool("f", execute)])
    answers = [calls(("c1", "f", {"a": 1})), text("Done."), text("Again.")]
    return Agent(AgentOptions(initial_state=state, stream_fn=script(*answers), **options))


def is_error(agent: Agent) -> bool:
    outcome = agent.state.messages[2]
    assert isinstance(outcome, ToolResultMessage)
    return outcome.is_error


def test_events_are_positional_with_their_type_first() -> None:
    event = AgentEndEvent("agent_end", [])
    assert (event.type, event.messages) == ("agent_end", [])
