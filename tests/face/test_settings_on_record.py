"""What a host sets is on record with the run that it counts for, however little else is set."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import pytest
from tests.agents import recorded

from tinyagent import Agent, AgentOptions, Compaction, Hooks, Limits, Retry, tool
from tinyagent.events import kinds as k
from tinyagent.testing import scripted

SHAPING: dict[str, tuple[Any, dict[str, Any]]] = {
    "temperature": (0.0, {"temperature": 0.0}),
    "max_tokens": (7, {"max_tokens": 7}),
    "session_id": ("s", {"session_id": "s"}),
    "enable_prompt_caching": (True, {"prompt_caching": True}),
    "retries_max": (0, {"retries_max": 0}),
    "retry": (Retry(), {"retries_max": 2, "retry_delay_s_max": 120.0}),
    "stop": (["."], {"stop": ["."]}),
    "parallel_tool_calls": (False, {"parallel_tool_calls": False}),
    "tool_choice": ("none", {"tool_choice": "none"}),
    "output_schema": ({"title": "T"}, {"output": {"name": "T", "schema": {"title": "T"}}}),
    "compaction": (Compaction(at_tokens=9), {"compaction": {"at_tokens": 9, "keep_turns": 10}}),
    "extra_body": ({"n": 1}, {"extra_body": {"n": 1}}),
    "connect_timeout_s": (1.0, {"connect_timeout_s": 1.0}),
    "first_byte_timeout_s": (2.0, {"first_byte_timeout_s": 2.0}),
    "read_timeout_s": (3.0, {"read_timeout_s": 3.0}),
}
MODES = {"steering_mode": "one-at-a-time", "follow_up_mode": "one-at-a-time", "source": "hosted"}


def options_on_record(agent: Agent) -> dict[str, Any]:
    """Return what a log of *agent* would begin with, but for what is always there."""
    options = agent.configuration().options
    return {name: value for name, value in options.items() if name not in MODES}


@pytest.mark.parametrize("name", SHAPING)
def test_an_option_is_on_record_though_no_other_is_set(name: str) -> None:
    value, expected = SHAPING[name]
    given: dict[str, Any] = {name: value}
    assert options_on_record(Agent(AgentOptions(**given), model=scripted())) == expected
    agent = Agent(model=scripted())
    assert options_on_record(agent) == {}
    if name != "session_id":  # which is a setting of the agent
        setattr(agent.options, name, value)
        assert options_on_record(agent) == expected


@dataclass
class Cool(AgentOptions):
    """Options of a host's own."""

    temperature: float | None = 0.2


def test_options_of_a_class_with_defaults_of_its_own_have_these() -> None:
    assert options_on_record(Agent(Cool(), model=scripted())) == {"temperature": 0.2}
    assert options_on_record(Agent(Cool(temperature=None), model=scripted())) == {}


def test_the_options_of_two_agents_are_two() -> None:
    one, other = Agent(model=scripted()), Agent(model=scripted())
    limits = one.options.limits
    assert limits is not None
    assert limits == Limits(turns_max=100)
    assert one.options.initial_state is one.state
    limits.turns_max = 3
    one.options.stop = ["."]
    assert one.configuration().limits == {"turns_max": 3}
    assert other.configuration().limits == {"turns_max": 100}
    assert other.options.stop == ()


async def test_what_is_set_when_the_log_is_open_counts_for_the_first_run() -> None:
    agent = Agent(model=scripted("Hm."), system_prompt="Be brief.")
    with pytest.raises(RuntimeError, match="nothing to go on from"):
        await agent.run()  # which looks for that in the log
    assert [event.system for event in recorded(agent, k.SessionStarted.kind)] == ["Be brief."]
    agent.set_system_prompt("Be kind.")
    await agent.run("Go")
    changed = [event.set for event in recorded(agent, k.ConfigChanged.kind)]
    assert changed == [{"system": "Be kind."}]


async def test_what_a_message_hook_sets_counts_for_the_run_that_it_is_called_in() -> None:
    def heard(message: Any) -> None:
        agent.set_system_prompt("Be kind.")

    options = AgentOptions(hooks=[Hooks(message=heard)])
    agent = Agent(options, model=scripted("Hm."), system_prompt="Be brief.")
    await agent.run("Go")
    kinds = [record.event.kind for record in agent.log.records]
    assert kinds.index("config.changed") < kinds.index("user.said")


async def test_a_key_is_masked_wherever_the_environment_comes_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = "sk-of-a-test-and-nobody"
    monkeypatch.setenv("GROQ_API_KEY", key)
    agent = Agent(model=scripted("Hm."))
    await agent.run(f"It is {key}.")
    [said] = recorded(agent, k.UserSaid.kind)
    assert said.content == "It is «secret:groq:1»."
    monkeypatch.delenv("GROQ_API_KEY")
    monkeypatch.setattr(os, "environ", {"GROQ_API_KEY": key})
    agent = Agent(model=scripted("Hm."))
    await agent.run(f"It is {key}.")
    [said] = recorded(agent, k.UserSaid.kind)
    assert said.content == "It is «secret:groq:1»."


async def test_other_tools_are_on_record_and_run_from_the_next_step_of_the_run_on() -> None:
    @tool(effect="pure")
    def look() -> str:
        """Look."""
        agent.set_tools([other])
        return "once"

    @tool(effect="pure", name="look")
    def other() -> str:
        """Look again."""
        return "again"

    model = scripted([("look", {})], [("look", {})], "Done.")
    agent = Agent(model=model, tools=[look])
    await agent.run("Go")
    [changed] = [event.set for event in recorded(agent, k.ConfigChanged.kind)]
    assert [spec["description"] for spec in changed["tools"]] == ["Look again."]
    assert [event.content for event in recorded(agent, k.ToolFinished.kind)] == ["once", "again"]
