"""What Hypothesis draws with the kit is what it says, and holds what any log holds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings, strategies as st

from tinyagent import AgentState, AgentTool, load
from tinyagent.agent import Agent
from tinyagent.agent_options import AgentOptions
from tinyagent.agent_types import AssistantMessage, ToolCallContent, ToolResultMessage
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import effects, strategies
from tinyagent.testing.models import ScriptedModel

unshrunk = settings(deadline=None, phases=[Phase.generate], max_examples=500, derandomize=True)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(strategies.messages())
def test_in_a_conversation_each_call_has_one_result_behind_it(said: list[Any]) -> None:
    open_ids: list[str | None] = []
    for message in said:
        if isinstance(message, ToolResultMessage):
            assert message.tool_call_id == open_ids.pop(0)
            continue
        assert open_ids == []
        if isinstance(message, AssistantMessage):
            calls = [block for block in message.content if isinstance(block, ToolCallContent)]
            open_ids = [call.id for call in calls]
    assert open_ids == []


@quick
@given(st.data())
def test_turns_call_the_tools_that_are_given_with_arguments_that_fit(data: st.DataObject) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    tool = AgentTool(name="count", parameters=schema)
    for turn in data.draw(strategies.model_turns([tool])):
        for part in turn.parts:
            assert isinstance(part, str) or part == ("count", {"n": 0})


@quick
@given(strategies.event_logs())
def test_a_log_that_is_drawn_is_whole_and_replays(log: MemoryLog) -> None:
    recording = load(log)
    assert recording.replay().ok
    assert recording.status in ("answered", "failed")


@pytest.mark.parametrize("kind", ["tool.failed", "model.failed", "tool.finished", "user.said"])
def test_logs_of_every_sort_are_found(kind: str) -> None:
    def has_one(log: MemoryLog) -> bool:
        return any(record.kind == kind for record in log.read())

    assert has_one(find(strategies.event_logs(), has_one, settings=unshrunk))


@quick
@given(st.data())
def test_records_come_behind_their_cause_and_in_the_order_of_who_wrote_them(
    data: st.DataObject,
) -> None:
    log = data.draw(strategies.event_logs())
    records = data.draw(strategies.interleavings(log))
    assert sorted(record.seq for record in records) == [*range(1, log.seq + 1)]
    seen = {0}
    for record in records:
        assert record.cause in seen
        seen.add(record.seq)
    agents = [record.seq for record in records if record.actor == "agent"]
    assert agents == sorted(agents)


def test_another_order_than_that_of_the_log_is_found() -> None:
    log = find(strategies.event_logs(), lambda log: len(effects(log)) > 1, settings=unshrunk)
    numbers = [record.seq for record in log.read()]
    other = strategies.interleavings(log).map(lambda records: [record.seq for record in records])
    assert sorted(find(other, lambda seqs: seqs != numbers, settings=unshrunk)) == numbers


@settings(quick, max_examples=40)
@given(st.data())
def test_what_a_crash_leaves_can_be_taken_up(data: st.DataObject) -> None:
    turns = data.draw(strategies.model_turns())
    whole = MemoryLog()

    def build(log: MemoryLog) -> Agent:
        state = AgentState(model=ScriptedModel.of(turns), tools=list(strategies.TOOLS))
        return Agent(AgentOptions(initial_state=state, log=log))

    asyncio.run(build(whole).prompt("Go."))
    rest = data.draw(strategies.crash_points(whole))
    assert 1 <= rest.seq <= whole.seq
    assert list(rest.read()) == list(whole.read(1, rest.seq))
    agent = build(rest)
    if load(rest).status == "crashed":
        asyncio.run(agent.prompt("Go.") if rest.seq < 2 else agent.run())
    assert all(call.runs <= 1 for call in effects(rest) if call.effect == "write")
    assert load(rest).replay().ok
