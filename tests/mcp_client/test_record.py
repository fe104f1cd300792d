"""What a server lists is on record: replay, resume and recorded tests need no server.

Line 31 of the checklist: replay without the server; a stalled call cancelled in time
(``test_calls.py``); hints not trusted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.agents import recorded
from tests.mcp_client.serving import Calls, Make, running, until

from tinyagent import (
    Agent,
    McpServer,
    extract_text,
    fork,
    load,
    mcp_server,
    open_log,
    replay,
    resume,
)
from tinyagent.events import kinds as k
from tinyagent.runtime.errors import McpServerError
from tinyagent.runtime.stores import LogOptions
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import scripted
from tinyagent.testing.answering import RecordedAnswers

NOWHERE = "/nowhere/no-such-server"


async def test_what_a_server_lists_is_on_record_and_replay_needs_no_server(
    hotel: Make, calls: Calls, tmp_path: Path
) -> None:
    model = scripted.calls("weather", city="Oslo").text("Rain.")

    def build(server: McpServer, log: Any) -> Agent:
        return Agent(model=model, tools=[server], log=log)

    async with hotel(effects={"weather": "read"}) as server, open_log(tmp_path / "log") as log:
        result = await build(server, log).run("Weather?")
    assert result.text == "Rain."
    asked = calls()
    assert asked.endswith("list\nweather\n")

    recording = load(tmp_path / "log")
    tools = {tool.name: tool for tool in recording.settings.tools}
    assert tools["weather"].server == "hotel"
    assert tools["weather"].description == "Weather of a city."
    assert tools["weather"].effect == "read"
    assert tools["book"].effect == "write"
    [call] = recording.tool_calls.values()
    assert call.content == "weather: Oslo"

    def gone(*, log: Any) -> Agent:
        return build(mcp_server(NOWHERE, name="hotel", effects={"weather": "read"}), log)

    report = await replay(tmp_path / "log", gone)
    assert report.ok, report.first_divergence
    assert calls() == asked


async def test_the_hints_of_a_server_count_only_where_they_are_trusted(remote: Make) -> None:
    async with remote() as server:
        assert {tool.name: tool.effect for tool in server.tools}["weather"] == "write"
    async with remote(trust_hints=True) as server:
        effects = {tool.name: tool.effect for tool in server.tools}
    assert (effects["weather"], effects["book"]) == ("read", "write")


async def test_a_replay_names_an_effect_that_is_another_today(piped: Make, tmp_path: Path) -> None:
    model = scripted.calls("weather", city="Oslo").text("Rain.")
    async with piped(effects={"weather": "read"}) as server, open_log(tmp_path / "log") as log:
        await Agent(model=model, tools=[server], log=log).run("Weather?")

    def build(*, log: Any) -> Agent:
        return Agent(model=model, tools=[mcp_server(NOWHERE, name="hotel")], log=log)

    report = await replay(tmp_path / "log", build)
    assert report.first_divergence is not None
    assert "tools[0].effect is absent today, 'read' when recorded" in str(report.first_divergence)


async def test_a_recorded_session_answers_in_the_place_of_the_server(
    remote: Make, calls: Calls
) -> None:
    model = scripted.calls("weather", city="Oslo").text("Rain.")
    async with remote() as server:
        agent = Agent(model=model, tools=[server])
        await agent.run("Weather?")
    asked = calls()
    again = MemoryLog()
    again.options = LogOptions(understudy=RecordedAnswers("before", load(agent.log)))
    result = await Agent(model=model, tools=[mcp_server(NOWHERE, name="hotel")], log=again).run(
        "Weather?"
    )
    assert result.text == "Rain."
    assert calls() == asked


async def test_a_list_that_changes_is_what_it_was_until_the_next_run(hotel: Make) -> None:
    model = scripted.calls("more").calls("extra").text("Hm.").calls("extra").text("Good.")
    async with hotel() as server:
        agent = Agent(model=model, tools=[server])
        await agent.run("Go.")
        assert not recorded(agent, k.ConfigChanged.kind)
        [failed] = recorded(agent, k.ToolFailed.kind)
        assert failed.failure == k.Failure("invalid", "Tool extra not found")
        await agent.run("Again.")
        [change] = recorded(agent, k.ConfigChanged.kind)
        assert [tool["name"] for tool in change.set["tools"]][-1] == "extra"
        assert extract_text(agent.log.messages[-1]) == "Good."


async def test_tools_that_stay_as_they_were_are_recorded_once(remote: Make) -> None:
    async with remote() as server:
        agent = Agent(model=scripted("One.").text("Two."), tools=[server])
        await agent.run("Go.")
        await agent.run("Again.")
    assert not recorded(agent, k.ConfigChanged.kind)


async def test_an_agent_that_was_asked_something_before_its_first_run_knows_its_tools_in_it(
    piped: Make,
) -> None:
    async with piped(only=["weather"]) as server:
        agent = Agent(model=scripted.calls("weather", city="Oslo").text("Rain."), tools=[server])
        agent.steer("And be brief.")
        await agent.run("Weather?")
    [call] = agent.log.tool_calls.values()
    assert call.content == "weather: Oslo"


async def test_an_agent_below_another_has_servers_of_its_own(remote: Make) -> None:
    async with remote(effects={"weather": "read"}) as server:
        below = Agent(model=scripted.calls("weather", city="Oslo").text("Rain."), tools=[server])
        model = scripted.calls("ask", task="Weather?").text("It rains.")
        agent = Agent(model=model, tools=[below.as_tool("ask", "Knows the weather.")])
        result = await agent.run("Weather?")
    assert result.text == "It rains."
    assert [end.content for end in recorded(agent, k.ToolFinished.kind)] == [
        "weather: Oslo",
        "Rain.",
    ]


# After a crash

CRASHING = """
import asyncio, os, sys
from tinyagent import Agent, mcp_server, open_log
from tinyagent.testing import scripted

async def main():
    server = mcp_server([sys.executable, sys.argv[1]], name="hotel", env=dict(os.environ))
    async with open_log(sys.argv[2]) as log:
        model = scripted.calls("stall").text("Done.")
        await Agent(model=model, tools=[server], log=log).run("Go.")

asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_call_that_was_cut_off_by_a_crash_is_in_doubt_and_not_made_again(
    piped: Make, calls: Calls, written: Path, tmp_path: Path
) -> None:
    env = {"CALLED_FILE": str(written)}
    with running(CRASHING, tmp_path / "log", env=env):
        await until(lambda: "stall\n" in calls())
    model = scripted.calls("stall").text("Done.")

    def without(*, log: Any) -> Agent:
        return Agent(model=model, tools=[mcp_server(NOWHERE, name="hotel")], log=log)

    async with resume(tmp_path / "log", without) as agent:
        with pytest.raises(McpServerError, match="MCP server hotel: no connection"):
            await agent.run()
    [open_call] = load(tmp_path / "log").in_doubt
    assert open_call.outcome == "started"  # nobody has looked at it yet

    def build(*, log: Any) -> Agent:
        return Agent(model=model, tools=[piped()], log=log)

    async with resume(tmp_path / "log", build, on_unknown=lambda call: call.tell()) as agent:
        result = await agent.run()
        assert result.text == "Done."
        assert [doubt.why for doubt in recorded(agent, k.ToolInDoubt.kind)] == ["stopped"]
        changes = [change.set for change in recorded(agent, k.ConfigChanged.kind)]
        assert changes == [{"hooks": ["on_unknown"]}]  # the tools are what they were
    assert calls().count("stall\n") == 1


async def test_a_fork_goes_on_with_the_server_as_it_is(piped: Make, tmp_path: Path) -> None:
    model = scripted.calls("weather", city="Oslo").text("Rain.")
    async with piped(only=["weather"]) as server:
        async with open_log(tmp_path / "log") as log:
            await Agent(model=model, tools=[server], log=log).run("Weather?")
        answered = load(tmp_path / "log").records(kinds={k.ToolFinished.kind})[0].seq
        async with fork(tmp_path / "log", at=answered) as child:
            result = await Agent(model=model, tools=[server], log=child).run()
    assert result.text == "Rain."


# Names


async def test_two_servers_are_told_apart_by_a_prefix(piped: Make, calls: Calls) -> None:
    async with piped(prefix="a_") as one, piped(prefix="b.") as other:
        model = scripted.calls("b_weather", city="Oslo").text("Rain.")
        agent = Agent(model=model, tools=[one, other])
        result = await agent.run("Weather?")
    assert result.text == "Rain."
    assert calls().split().count("weather") == 1


async def test_two_tools_of_one_name_are_refused(piped: Make) -> None:
    async with piped() as one, piped() as other:
        agent = Agent(model=scripted("Hello."), tools=[one, other])
        with pytest.raises(McpServerError) as raised:
            await agent.run("Hi.")
    assert str(raised.value) == (
        "MCP server hotel: there are two tools called weather\n"
        "  try       a prefix= of its own for each server"
    )
    assert agent.log.seq == 0


async def test_a_call_may_wait_for_a_person(piped: Make, calls: Calls) -> None:
    async with piped(approval="always") as server:
        agent = Agent(model=scripted.calls("book", city="Oslo").text("Booked."), tools=[server])
        assert (await agent.run("Book.")).outcome == "paused"
        [waiting] = agent.log.approvals_pending
        assert calls().split() == ["list"]
        agent.approve(waiting.call_id)
        assert (await agent.run()).text == "Booked."
    assert calls().split() == ["list", "list", "book"]
