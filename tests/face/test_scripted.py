"""Models for tests: what a script says, in which order, and a model that calls every tool."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.agents import recorded, until
from tests.crashing import cut
from tests.traces import result

from tinyagent import Agent, AgentTool, RunFailedError, edits, extract_text, fork, load
from tinyagent.agent_types import (
    AgentMessage,
    AssistantMessage,
    Context,
    SimpleStreamOptions,
    TextContent,
)
from tinyagent.events import kinds as k
from tinyagent.runtime.stores import Log
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import ScriptedModel, VirtualClock, echo, scripted


def noting(name: str, seen: list[Any], parameters: dict[str, Any] | None = None) -> AgentTool:
    """Return a tool that notes its arguments."""

    async def execute(call_id: str, args: Any, signal: Any, on_update: Any) -> Any:
        seen.append((call_id, args))
        return result("noted")

    return AgentTool(name=name, parameters=parameters or {}, execute=execute, effect="read")


async def test_a_scripted_model_says_its_turns_in_order() -> None:
    agent = Agent(model=scripted("One.", "Two."))
    assert [(await agent.run("?")).text, (await agent.run("?")).text] == ["One.", "Two."]


async def test_a_script_that_is_over_fails_the_run_and_says_so() -> None:
    agent = Agent(model=scripted("One."))
    await agent.run("?")
    with pytest.raises(
        RunFailedError, match="the script has 1 turn, and the model was asked for one more"
    ):
        await agent.run("?")


async def test_its_calls_reach_the_tools_and_are_numbered_through_the_script() -> None:
    seen: list[Any] = []
    model = scripted(["Both.", ("f", {"a": 1}), ("f", {"a": 2})], ("mine", "f", {}), ("f", {}), "!")
    agent = Agent(model=model, tools=[noting("f", seen)])
    assert (await agent.run("go")).text == "!"
    assert sorted(seen[:2]) == [("c1", {"a": 1}), ("c2", {"a": 2})]
    assert seen[2:] == [("mine", {}), ("c4", {})]
    model.assert_done()


async def test_turns_can_be_added_one_by_one_and_thinking_belongs_to_the_next() -> None:
    seen: list[Any] = []
    model = scripted.think("Hm.").calls("f", a=1).text("Done.").chunks(2, 1)
    agent = Agent(model=model, tools=[noting("f", seen)])
    assert (await agent.run("go")).text == "Done."
    deltas: list[k.ModelDelta] = recorded(agent, "model.delta")
    assert "".join(delta.thinking for delta in deltas) == "Hm."
    assert "".join(delta.arguments for delta in deltas) == '{"a": 1}'
    assert seen == [("c1", {"a": 1})]


async def test_each_chunk_is_a_delta_of_its_own_after_its_delay() -> None:
    clock = VirtualClock()
    agent = Agent(model=scripted("abcde").chunks(1, 3).delays(2.5, clock=clock))
    parts: list[str] = []

    async def read() -> None:
        parts.extend([part async for part in agent.stream_text("go")])

    reading = asyncio.create_task(read())
    for _ in range(3):
        await until(lambda: clock.sleeping)
        await clock.advance(2.5)
    await reading
    assert parts == ["a", "bcd", "e"]
    assert len(recorded(agent, "model.delta")) == 3


async def test_a_turn_that_fails_has_its_kind_and_is_not_given_again() -> None:
    agent = Agent(model=scripted.fails("refused", "no key").text("Now."))
    with pytest.raises(RunFailedError, match="no key"):
        await agent.run("go")
    (failed,) = recorded(agent, "model.failed")
    assert failed.failure == k.Failure("refused", "no key")
    assert (await agent.run("again")).text == "Now."


async def test_what_a_turn_raises_is_the_hosts_failure() -> None:
    agent = Agent(model=scripted(OSError("no wire"), "Now."))
    with pytest.raises(RunFailedError, match="no wire"):
        await agent.run("go")
    assert (await agent.run("again")).text == "Now."


async def test_a_turn_may_be_made_from_what_is_asked() -> None:
    agent = Agent(model=scripted(lambda context: f"{len(context.messages)} of yours"))
    assert (await agent.run("go")).text == "1 of yours"


async def test_many_agents_share_a_script_each_from_its_beginning() -> None:
    model = scripted("One.", "Two.")
    assert (await Agent(model=model).run("?")).text == "One."
    assert (await Agent(model=model).run("?")).text == "One."


async def test_turns_go_on_although_the_conversation_was_cleared_and_edited() -> None:
    agent = Agent(model=scripted("One.", "Two.", "Three.", "Four."))
    said = [(await agent.run("?")).text, (await agent.run("?")).text]
    agent.clear_messages()
    said.append((await agent.run("?")).text)
    last = [record.seq for record in agent.log.read() if record.kind == "model.requested"][-1]
    agent.edit_context([edits.drop(last)])
    said.append((await agent.run("?")).text)
    assert said == ["One.", "Two.", "Three.", "Four."]


async def test_turns_begin_at_the_first_although_answers_were_put_into_the_conversation() -> None:
    agent = Agent(model=scripted("One."))
    agent.append_message(AssistantMessage(content=[TextContent(text="Before.")]))
    assert (await agent.run("?")).text == "One."


async def test_whoever_takes_a_log_up_or_forks_it_goes_on_with_the_script() -> None:
    def build(log: Log | None = None) -> Agent:
        return Agent(model=scripted.fails("refused").text("Two.").text("Three."), log=log)

    log = MemoryLog()
    with pytest.raises(RunFailedError):
        await build(log).run("?")
    assert (await build(log).run("?")).text == "Two."
    asked = [record.seq for record in log.read() if record.kind == "model.requested"]
    half = cut(log, asked[1])  # a crash while the second turn is under way: it is given again
    assert (await build(half).run()).text == "Two."
    async with fork(log, at=asked[1] - 1) as child:
        assert (await build(child).run()).text == "Two."
    async with fork(log) as child:
        assert (await build(child).run("?")).text == "Three."


async def test_models_of_two_names_count_apart_in_one_log() -> None:
    agent = Agent(model=scripted("One.", "Two."))
    said = [(await agent.run("?")).text]
    agent.set_model(scripted("First of another.").named("other"))
    said.append((await agent.run("?")).text)
    agent.set_model(scripted("One.", "Two."))
    said.append((await agent.run("?")).text)
    assert said == ["One.", "First of another.", "Two."]


async def test_asked_without_a_log_it_counts_the_answers_that_it_is_shown() -> None:
    model = scripted("One.", "Two.")
    shown: list[AgentMessage] = []
    for expected in ("One.", "Two."):
        answer = await (await model(model, Context("", shown), SimpleStreamOptions())).result()
        assert extract_text(answer) == expected
        shown.append(answer)


async def test_a_turn_may_be_any_sequence_of_parts() -> None:
    seen: list[Any] = []
    parts: tuple[tuple[str, dict[str, int]], ...] = (("f", {"a": 1}), ("f", {"a": 2}))
    agent = Agent(model=scripted(parts, "!"), tools=[noting("f", seen)])
    await agent.run("go")
    assert seen == [("c1", {"a": 1}), ("c2", {"a": 2})]


async def test_turns_that_were_not_given_are_named() -> None:
    model = scripted("One.", "Two.", "Three.")
    await Agent(model=model).run("?")
    with pytest.raises(AssertionError, match="never asked for turn 2, 3 of 3"):
        model.assert_done()


async def test_its_tokens_are_words() -> None:
    agent = Agent(model=scripted("In Paris."), system_prompt="Be brief.")
    await agent.run("Where is it?")
    usage = load(agent.log).usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (5, 2, 7)


async def test_an_echo_model_calls_every_tool_with_arguments_that_fit_then_says_what_it_heard() -> (
    None
):
    seen: list[Any] = []
    schema = {
        "type": "object",
        "properties": {
            "days": {"type": "integer", "minimum": 3, "multipleOf": 2},
            "kind": {"enum": ["fast", "slow"]},
            "where": {"type": "array", "items": {"$ref": "#/$defs/Place"}, "minItems": 1},
            "spare": {"type": "string"},
        },
        "required": ["days", "kind", "where"],
        "$defs": {
            "Place": {"anyOf": [{"type": "string", "minLength": 6}, {"type": "null"}]},
        },
    }
    agent = Agent(model=echo(), tools=[noting("f", seen, schema), noting("g", seen)])
    assert (await agent.run("Hello?")).text == "Hello?"
    assert sorted(seen) == [
        ("c1", {"days": 4, "kind": "fast", "where": ["textxx"]}),
        ("c2", {}),
    ]


@pytest.mark.parametrize("turn", [3, None, {"text": "x"}, [("f",)], ["x", 3], [{"name": "f"}]])
def test_a_turn_that_is_none_is_refused_where_the_script_is_written(turn: Any) -> None:
    with pytest.raises(TypeError, match="a script's turn has texts and "):
        scripted(turn)


def test_a_script_without_turns_says_so() -> None:
    with pytest.raises(ValueError, match="there is none"):
        scripted().chunks(1)
    with pytest.raises(RunFailedError, match="the script has 0 turns"):
        Agent(model=ScriptedModel()).run_sync("?")


def test_a_failure_is_of_a_kind_that_there_is() -> None:
    kind: Any = "boom"
    with pytest.raises(ValueError, match=r"no failure is of kind 'boom' \(known: network, "):
        scripted.fails(kind)
