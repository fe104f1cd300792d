"""Part two: messages as they are given, kept, dumped and shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.agents import C1, C2, heard, live, make, ok, recorded
from tests.traces import MODEL, Scripted, calls, result, said, script, stream_of, text, tool, trace
from tests.wire import demo

from tinyagent import (
    Agent,
    AgentOptions,
    AgentState,
    AgentTool,
    AssistantMessage,
    AssistantMessageEvent,
    Context,
    CustomAgentMessage,
    ImageContent,
    MessageEndEvent,
    MessageUpdateEvent,
    SimpleStreamOptions,
    TextContent,
    UserMessage,
    load,
    open_log,
)
from tinyagent.agent_types import ThinkingContent, ValidationError
from tinyagent.alchemy_provider import OpenAICompatModel, stream_alchemy_openai_completions
from tinyagent.events import kinds as k
from tinyagent.testing import ProviderServer, chat, close_after


async def test_row_27_timestamps_are_of_this_century_and_given_ones_are_kept() -> None:
    agent = make(calls(C1), text("Done."))
    given = UserMessage(content=[TextContent(text="x")], timestamp=5)
    await agent.prompt("hi")
    await_result = agent.state.messages[2]
    assert (agent.state.messages[0].timestamp or 0) > 1_700_000_000_000
    assert (await_result.timestamp or 0) > 1_700_000_000_000
    agent.stream_fn = script(text("More."))
    await agent.prompt(given)
    assert given.timestamp == 5


async def test_row_31_images_go_with_the_last_user_message() -> None:
    image = ImageContent(url="https://example.org/a.png")
    agent = make(text("Nice."), text("Nice."))
    given = UserMessage(content=[TextContent(text="look")])
    await agent.prompt(given, images=[image])
    assert [type(b) for b in agent.state.messages[0].content] == [TextContent, ImageContent]  # type: ignore[union-attr] # blocks
    assert len(given.content) == 1
    with pytest.raises(TypeError, match="user message"):
        await agent.prompt(text("answer"), images=[image])


async def test_row_47_two_agents_do_not_share_a_state() -> None:
    state = AgentState(model=MODEL)
    first = Agent(AgentOptions(initial_state=state, stream_fn=script(text("One."))))
    second = Agent(AgentOptions(initial_state=state, stream_fn=script(text("Two."))))
    await first.prompt("hi")
    assert first.state is state
    assert second.state is not state
    assert second.state.messages == []


async def test_row_48_edited_messages_are_what_the_model_sees_next() -> None:
    seen: list[list[str]] = []

    def answer(context: Any, options: Any) -> Any:
        seen.append([said(m) for m in context.messages])
        return text("Hello!")

    agent = make(answer, answer, answer)
    agent.append_message(UserMessage(content=[TextContent(text="before")]))
    await agent.prompt("one")
    agent.replace_messages([agent.state.messages[1]])
    await agent.prompt("two")
    agent.clear_messages()
    await agent.prompt("three")
    assert seen == [["before", "one"], ["one", "two"], ["three"]]


async def test_row_48_a_message_put_in_during_a_run_comes_after_the_open_batch() -> None:
    seen: list[list[str]] = []

    async def appends(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        agent.append_message(UserMessage(content=[TextContent(text="noted")]))
        return result("ok")

    def answer(context: Any, options: Any) -> Any:
        seen.append([said(m) or m.role for m in context.messages])
        return text("Done.")

    agent = make(calls(C1), answer, tools=[tool("f", appends)])
    await agent.prompt("hi")
    assert seen == [["hi", "assistant", "ok", "noted"]]
    texts = [said(m) or m.role for m in agent.state.messages]
    assert texts == ["hi", "assistant", "ok", "noted", "Done."]


async def test_row_57_prompt_text_is_empty_for_an_error() -> None:
    agent = make(Scripted(text("Hello!"), deltas=3, raises=ValueError("boom")))
    assert await agent.prompt_text("hi") == ""


async def test_identity_of_messages_is_kept_everywhere() -> None:
    answer = text("Hello!")
    agent = make(answer)
    events = heard(agent)
    mine = UserMessage(content=[TextContent(text="hi")])
    assert await agent.prompt(mine) is answer
    ended = [e.message for e in events if isinstance(e, MessageEndEvent)]
    assert ended[0] is mine
    assert ended[1] is answer
    assert agent.state.messages[0] is mine


async def test_every_session_of_these_agents_replays() -> None:
    agent = make(calls(C1, C2), text("Done."), text("More."))
    heard(agent)
    await agent.prompt("hi")
    await agent.prompt("ho")
    report = load(agent.log).replay()
    assert report.ok, report.first_divergence
    assert report.requests == 3


# 19: persistence


async def test_row_19_without_a_log_everything_is_kept_in_memory() -> None:
    async with ProviderServer(chat(text="Hello!")) as server:
        agent = live(server.chat_url)
        await agent.prompt("hi")
    assert agent.log.durability == "memory"
    assert load(agent.log).replay().ok


async def test_row_19_a_log_that_is_given_holds_the_whole_session(tmp_path: Path) -> None:
    script = [chat(calls=[("c1", "f", {"a": 1})], text="Let me see."), chat(text="Done.")]
    async with ProviderServer(script) as server, open_log(tmp_path / "log") as log:
        agent = live(server.chat_url, tool("f", ok), log=log)
        await agent.prompt("hi")
        assert agent.log is log
        live_messages = [m.model_dump() for m in agent.state.messages]
    recording = load(tmp_path / "log")
    assert [m.model_dump() for m in recording.messages] == live_messages
    assert [type(m).__name__ for m in recording.messages] == [
        "UserMessage",
        "AssistantMessage",
        "ToolResultMessage",
        "AssistantMessage",
    ]
    report = recording.replay()
    assert (report.ok, report.requests) == (True, 2)


async def test_row_19_another_process_goes_on_with_the_conversation(tmp_path: Path) -> None:
    async with ProviderServer([chat(text="One."), chat(text="Two.")]) as server:
        async with open_log(tmp_path / "log") as log:
            await live(server.chat_url, log=log).prompt("first")
        async with open_log(tmp_path / "log") as log:
            assert await live(server.chat_url, log=log).prompt_text("second") == "Two."
        sent = server.requests[1].json["messages"]
    assert [message["content"][0]["text"] for message in sent] == ["first", "One.", "second"]


# 25: dumps


class Note(UserMessage):
    """A message with a field of its own."""

    author: str = ""


class Reminder(CustomAgentMessage):
    """A message of a role of its own."""

    role: str = "reminder"
    about: str = ""


def test_row_25_dumps_hold_tools_and_the_fields_of_subclasses() -> None:
    state = AgentState(
        model=OpenAICompatModel(provider="openai", id="m"),
        tools=[AgentTool("f", "d", {"type": "object"}, "F", execute=lambda *_: "ok")],
        messages=[Note(content=[TextContent(text="hi")], author="me"), Reminder(about="tea")],
        pending_tool_calls={"c2", "c1"},
    )
    dump: Any = state.model_dump()
    assert dump["tools"] == state.tools
    assert dump["messages"][0]["author"] == "me"
    assert dump["messages"][1] == {"role": "reminder", "timestamp": None, "about": "tea"}
    assert dump["model"]["base_url"] == "https://api.openai.com/v1/chat/completions"
    text = json.loads(state.model_dump_json(exclude_none=True))
    assert text["tools"] == [
        {"name": "f", "description": "d", "parameters": {"type": "object"}, "label": "F"}
    ]
    assert text["pending_tool_calls"] == ["c1", "c2"]
    assert text["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "hi"}], "author": "me"},
        {"role": "reminder", "about": "tea"},
    ]


def test_row_25_wrong_types_surface_when_validated_and_not_when_made() -> None:
    odd: Any = TextContent
    made = odd(text=17)
    assert made.text == 17
    with pytest.raises(ValidationError):
        TextContent.model_validate({"text": 17})
    odd = AssistantMessage
    assert odd(stop_reason="whatever").stop_reason == "whatever"
    with pytest.raises(ValidationError, match="stop_reason"):
        AssistantMessage.model_validate({"role": "assistant", "stop_reason": "whatever"})


async def test_row_25_or_when_a_request_is_built() -> None:
    odd: Any = UserMessage(content=[TextContent(text=object())])  # type: ignore[arg-type] # the point
    async with ProviderServer(chat(text="never")) as server:
        with pytest.raises(TypeError, match="object cannot be written"):
            await stream_alchemy_openai_completions(
                demo(server.chat_url), Context("", [odd]), SimpleStreamOptions()
            )
        agent = live(server.chat_url)
        with pytest.raises(TypeError, match="object cannot be written"):
            await agent.prompt(odd)
        assert await agent.prompt_text("again") == "never"


# 29, 30, 60: streams of the host that say less than they should


def events_of(message: AssistantMessage, kinds: str) -> list[AssistantMessageEvent]:
    """Return the events of *message* of which the types are in *kinds*."""
    return [event for event in stream_of(message) if event.type in kinds.split()]


@pytest.mark.parametrize(
    "kinds",
    ["", "done", "start", "start text_start text_delta text_end", "text_delta", "text_end done"],
)
async def test_row_29_message_start_and_end_come_always_and_the_state_has_the_result(
    kinds: str,
) -> None:
    answer = text("Hello!")
    agent = make(Scripted(answer, events=events_of(answer, kinds)))
    events = heard(agent)
    assert await agent.prompt("hi") is answer
    types = [event.type for event in events]
    assert types.count("message_start") == types.count("message_end") == 2
    assert types[-3:] == ["message_end", "turn_end", "agent_end"]
    ended = events[-3]
    assert isinstance(ended, MessageEndEvent)
    assert ended.message is answer
    assert agent.state.messages[-1] is answer
    assert agent.state.stream_message is None


@pytest.mark.parametrize(
    "kinds",
    [
        "",
        "done",
        "start text_start text_end done",
        "start text_start text_delta text_end done",
        "text_delta",
    ],
)
async def test_row_30_stream_text_gives_every_character_once(kinds: str) -> None:
    first, second = calls(C1, says="Let me see."), text("Done ", "and done.")
    agent = make(*[Scripted(m, events=events_of(m, kinds)) for m in (first, second)])
    parts = [part async for part in agent.stream_text("hi")]
    assert "".join(parts) == "Let me see.Done and done."
    assert all(parts)


async def test_row_30_what_the_result_adds_to_the_deltas_comes_at_its_end() -> None:
    said_first = events_of(text("Hello"), "start text_start text_delta")
    agent = make(Scripted(text("Hello, world"), events=said_first))
    parts = [part async for part in agent.stream_text("hi")]
    assert parts == ["He", "llo", ", world"]


async def test_row_30_an_error_ends_it_silently_after_the_text_so_far() -> None:
    body = chat(text="Hello, world", chunk_chars=5)
    async with ProviderServer(close_after(len(body.body) - 200, body)) as server:
        parts = [part async for part in live(server.chat_url).stream_text("hi")]
    assert "".join(parts) == "Hello, world"


def bare(event: AssistantMessageEvent, **without: Any) -> AssistantMessageEvent:
    return event.model_copy(update=without)


async def test_row_60_start_is_implied() -> None:
    answer = text("Hello!")
    given = events_of(answer, "text_start text_delta text_end done")
    agent = make(Scripted(answer, events=given))
    events = heard(agent)
    await agent.prompt("hi")
    shown = "ms(A) mu:text_start mu:text_delta mu:text_delta mu:text_end me(A)"
    assert trace(events) == f"as ts ms(U) me(U) {shown} te ae"
    updates = [e for e in events if isinstance(e, MessageUpdateEvent)]
    assert [update.assistant_message_event for update in updates] == given[:-1]


async def test_row_60_a_missing_partial_is_built_from_the_deltas() -> None:
    answer = calls(C1, says="Hello!")
    answer.content.insert(0, ThinkingContent(thinking="Hm."))
    given = [bare(event, partial=None) for event in stream_of(answer)]
    agent = make(Scripted(answer, events=given), text("Done."))
    events = heard(agent)
    await agent.prompt("hi")
    updates = [e for e in events if isinstance(e, MessageUpdateEvent)][:10]
    kinds = [update.assistant_message_event.type for update in updates]  # type: ignore[union-attr] # there
    assert kinds == [event.type for event in given[1:-1]]
    partials = [update.message for update in updates]
    assert all(isinstance(partial, AssistantMessage) for partial in partials)
    for update in updates:
        assert update.message is update.assistant_message_event.partial  # type: ignore[union-attr] # there
    assert [said(partial) for partial in partials] == [*[""] * 4, "Hel", *["Hello!"] * 5]
    shown: Any = partials[-1].content  # type: ignore[union-attr] # an answer
    assert shown[0] == ThinkingContent(thinking="Hm.")
    assert shown[1] == TextContent(text="Hello!")
    assert shown[2].arguments == {"a": 1}


async def test_row_60_a_missing_delta_is_the_difference_of_the_partials() -> None:
    answer = calls(C1, says="Hello!")
    answer.content.insert(0, ThinkingContent(thinking="Hm."))
    given = [bare(event, delta=None) for event in stream_of(answer)]
    agent = make(Scripted(answer, events=given), text("Done."))
    events = heard(agent)
    parts = [part async for part in agent.stream_text("hi")]
    assert "".join(parts) == "Hello!Done."
    assert parts[:2] == ["Hel", "lo!"]
    updates = [e.assistant_message_event for e in events if isinstance(e, MessageUpdateEvent)]
    deltas = [u.delta for u in updates[:9] if u is not None and "delta" in (u.type or "")]
    assert deltas == ["Hm.", "Hel", "lo!", '{"a":1}']
    first = recorded(agent, k.ModelDelta.kind)
    assert "".join(event.text for event in first) == "Hello!Done."
