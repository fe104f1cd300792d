"""Values of wrong types: an error that names them, and never a log that cannot be read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.agents import outcome, recorded

from tinyagent import (
    Agent,
    AssistantMessage,
    Ctx,
    Redact,
    TextContent,
    ToolCallContent,
    ToolResultMessage,
    UserMessage,
    extract_text,
    load,
    replay,
    tool,
)
from tinyagent.agent_types import ValidationError
from tinyagent.testing import scripted


def fresh() -> Agent:
    return Agent(model=scripted("One.", "Two."))


def is_readable(agent: Agent) -> bool:
    recording = load(agent.log)
    return recording.replay().ok and len(recording.messages) >= 0


SAID = "what is said must be a text, a message or a list of messages, not "


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (3, f"{SAID}int"),
        (b"hi", f"{SAID}bytes"),
        (["hi"], f"{SAID}str"),
        ([None], f"{SAID}NoneType"),
    ],
)
@pytest.mark.parametrize("way", ["run", "prompt", "steer", "follow_up"])
async def test_what_cannot_be_said_is_named_where_it_is_said(
    way: str, given: Any, told: str
) -> None:
    agent = fresh()

    async def say() -> None:
        await getattr(agent, way)(given)

    with pytest.raises(TypeError) as raised:
        await say()
    assert str(raised.value) == told
    assert (await agent.run("hi")).text == "One."


async def test_a_message_may_be_given_as_a_dict() -> None:
    agent = fresh()
    await agent.run([{"role": "user", "content": "hi"}])  # type: ignore[list-item] # as JSON has it
    assert extract_text(agent.state.messages[0]) == "hi"
    assert extract_text(load(agent.log).messages[0]) == "hi"


MESSAGES: list[tuple[Any, str]] = [
    (UserMessage(content=3), "UserMessage: content: must be a list, not int"),  # type: ignore[arg-type] # that is it
    (
        UserMessage(content=[TextContent(text=3)]),  # type: ignore[arg-type] # that is it
        "UserMessage: content.0.text: must be str, not int",
    ),
    (
        UserMessage(content=[TextContent(text="hi")], timestamp="now"),  # type: ignore[arg-type] # that is it
        "UserMessage: timestamp: must be int, not str",
    ),
    (
        AssistantMessage(content=[ToolCallContent(id="c1", name=["f"])]),  # type: ignore[arg-type] # that is it
        "AssistantMessage: content.0.name: must be str, not list",
    ),
    (
        ToolResultMessage(tool_call_id={"a": 1}),  # type: ignore[arg-type] # that is it
        "ToolResultMessage: tool_call_id: must be str, not dict",
    ),
]


async def given_to_run(agent: Agent, message: Any) -> None:
    await agent.run(message)


async def appended(agent: Agent, message: Any) -> None:
    agent.append_message(message)
    await agent.run("hi")


async def assigned(agent: Agent, message: Any) -> None:
    agent.state.messages = [message]
    await agent.run("hi")


@pytest.mark.parametrize(("message", "told"), MESSAGES)
@pytest.mark.parametrize("way", [given_to_run, appended, assigned])
async def test_a_message_with_a_field_of_a_wrong_type_is_not_written(
    way: Callable[[Agent, Any], Awaitable[None]], message: Any, told: str
) -> None:
    agent = fresh()
    for _ in range(2):  # the second time too: nothing of it was taken
        with pytest.raises(ValidationError, match=told):
            await way(agent, message)
    agent.clear_messages()
    assert (await agent.run("hi")).text == "One."
    assert is_readable(agent)
    assert len(load(agent.log).messages) == 2


@pytest.mark.parametrize("way", ["append_message", "replace_messages"])
async def test_a_message_that_is_none_is_refused_in_the_midst_of_a_run(way: str) -> None:
    @tool(effect="pure")
    async def change() -> str:
        wrong: Any = 3 if way == "append_message" else [UserMessage(), 3]
        getattr(agent, way)(wrong)
        return "changed"

    agent = Agent(model=scripted(("change", {}), "So it is."), tools=[change])
    await agent.run("hi")
    assert load(agent.log).tool_calls["c1"].content == "expected a message, got int"
    assert [message.role for message in agent.state.messages] == [
        "user",
        "assistant",
        "tool_result",
        "assistant",
    ]
    assert is_readable(agent)


async def test_a_system_prompt_that_is_no_text_is_named_and_nothing_is_written() -> None:
    agent = fresh()
    agent.set_system_prompt(["Be brief."])  # type: ignore[arg-type] # that is it
    with pytest.raises(TypeError, match="system_prompt must be a text, not list"):
        await agent.run("hi")
    agent.set_system_prompt("Be brief.")
    assert (await agent.run("hi")).text == "One."
    assert is_readable(agent)


@pytest.mark.parametrize(
    ("content", "got"), [({"rows": 3}, "dict"), (3, "int"), (["a"], "str"), (None, "NoneType")]
)
@pytest.mark.parametrize("is_plain", [False, True])
async def test_progress_that_is_no_text_fails_the_tool_that_says_it(
    content: Any, got: str, is_plain: bool
) -> None:
    async def say(ctx: Ctx) -> str:
        ctx.progress(content)
        return "done"

    def say_in_a_thread(ctx: Ctx) -> str:
        return asyncio.run(say(ctx))

    said = say_in_a_thread if is_plain else say
    ended = await outcome(tool(effect="pure", name="say")(said))
    assert ended.content == f"ctx.progress() takes a text, or a list of blocks; got {got}"


async def test_progress_may_be_blocks() -> None:
    @tool(effect="pure")
    async def say(ctx: Ctx) -> str:
        ctx.progress([TextContent(text="half")])  # type: ignore[list-item] # a block is one too
        ctx.progress([{"type": "text", "text": "more"}])
        return "done"

    agent = Agent(model=scripted(("say", {}), "Yes."), tools=[say])
    await agent.run("hi")
    assert [event.content for event in recorded(agent, "tool.progressed")] == [
        [{"type": "text", "text": "half"}],
        [{"type": "text", "text": "more"}],
    ]
    assert is_readable(agent)


@tool(effect="pure")
def fail() -> str:
    """Fail."""
    raise ValueError("no file a\udcff.txt")


@tool(effect="pure")
async def tell(ctx: Ctx) -> str:
    """Tell."""
    ctx.progress("a\udcff.txt")
    return "told"


@pytest.mark.parametrize("redact", [None, Redact(values=["s3cret-s3cret"]), Redact(scope="log")])
@pytest.mark.parametrize(
    ("script", "kind", "told"),
    [
        ([("fail", {}), "So."], "tool.failed", "no file a\ufffd.txt"),
        ([("tell", {}), "So."], "tool.progressed", "a\ufffd.txt"),
        (["So a\udcff."], "model.delta", "So a\ufffd."),
        ([RuntimeError("a\udcff")], "model.failed", "a\ufffd"),
    ],
)
async def test_half_a_character_in_what_is_told_ends_no_run(
    script: list[Any], kind: str, told: str, redact: Redact | None
) -> None:
    def build(log: Any = None) -> Agent:
        return Agent(model=scripted(*script), tools=[fail, tell], log=log, redact=redact)

    agent = build()
    await agent.prompt("hi")
    assert told in next(r.payload.decode() for r in agent.log.records(kinds=[kind]))
    assert agent.log.status in ("answered", "failed")
    assert (await replay(agent.log, build)).ok
