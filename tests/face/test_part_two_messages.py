"""Part two: messages as they are given, kept, dumped and shown."""

from __future__ import annotations

from typing import Any

import pytest
from tests.agents import C1, C2, heard, make
from tests.traces import MODEL, Scripted, calls, result, said, script, text, tool

from tinyagent import (
    Agent,
    AgentOptions,
    AgentState,
    ImageContent,
    MessageEndEvent,
    TextContent,
    UserMessage,
    load,
)


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
