"""A replay with a factory: agents below are held against what the factory carries today."""

from __future__ import annotations

from typing import Any

import pytest
from tests.test_children import DIG, RESEARCH, look
from tests.test_children_cut import at

from tinyagent import Agent, Ctx, Limits, load, replay, tool
from tinyagent.cli.replay import worded
from tinyagent.runtime.divergence import Divergence
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import scripted
from tinyagent.verbs import configurations_of


def build(
    *, log: Any = None, found: str = "You find.", dug: str = "You dig.", note: Any = look
) -> Agent:
    """Return an agent over an agent over an agent, which are told *found* and *dug*."""
    digger = Agent(model=scripted(("look", {"text": "x"}), "Dug."), system_prompt=dug, tools=[note])
    researcher = Agent(
        model=scripted(("dig", {"task": "Dig."}), "Found."),
        system_prompt=found,
        tools=[digger.as_tool("dig", "Digs.")],
        limits=Limits(turns_max=7),
    )
    return Agent(
        model=scripted(("research", {"task": "Look it up."}), "Done."),
        tools=[researcher.as_tool("research", "Looks things up.")],
        limits=Limits(tokens_max=1000),
        log=log,
    )


async def recorded(make: Any = build) -> MemoryLog:
    log = MemoryLog()
    await make(log=log).run("Go.")
    return log


async def first(log: MemoryLog, factory: Any) -> Divergence:
    report = await replay(log, factory)
    assert report.first_divergence is not None
    return report.first_divergence


async def test_what_is_the_same_today_is_so_on_every_level() -> None:
    log = await recorded()
    report = await replay(log, build)
    assert (report.ok, report.records) == (True, log.seq)
    told = configurations_of(build, load(log))
    assert list(told) == ["agent", RESEARCH, DIG]
    assert told[RESEARCH].limits == {"turns_max": 7, "tokens_max": 995}
    started = {r.actor: r.event for r in load(log).records if r.event.kind == "session.started"}
    assert [told[name] for name in (RESEARCH, DIG)] == [
        started[f"{name}/session"] for name in (RESEARCH, DIG)
    ]


@pytest.mark.parametrize(("name", "changed"), [(RESEARCH, "found"), (DIG, "dug")])
async def test_another_prompt_below_is_a_divergence_at_the_first_request_it_is_in(
    name: str, changed: str
) -> None:
    log = await recorded()
    found = await first(log, lambda *, log: build(log=log, **{changed: "You dance."}))
    assert (found.seq, found.machine) == (
        at(load(log), "model.requested", name),
        f"the streamer of {name}",
    )
    assert [(path.path, path.now) for path in found.paths] == [("system", "You dance.")]
    assert found.cause == (
        "configuration: system is 'You dance.' today, "
        f"'You {'find' if changed == 'found' else 'dig'}.' when recorded"
    )


async def test_another_limit_below_is_a_divergence_at_the_first_decision_it_changes() -> None:
    def tight(*, log: Any = None) -> Agent:
        agent = build(log=log)
        agent.state.tools[0].execute.agent.set_limits(Limits(turns_max=1))  # type: ignore[union-attr] # the tool that it is
        return agent

    log = await recorded()
    found = await first(log, tight)
    assert (found.machine, found.recorded and found.recorded[0], found.now and found.now[0]) == (
        RESEARCH,
        "model.requested",
        "budget.exceeded",
    )


async def test_a_tool_that_a_child_has_no_more_is_found_there() -> None:
    @tool(effect="read")
    async def other(text: str) -> str:
        return text

    log = await recorded()
    found = await first(log, lambda *, log: build(log=log, note=other))
    assert found.machine == f"the streamer of {DIG}"


async def test_an_agent_that_a_users_own_tool_runs_is_held_against_its_recorded_configuration() -> (
    None
):
    def asking(*, log: Any = None, prompt: str = "You find.") -> Agent:
        child = Agent(model=scripted("Found."), system_prompt=prompt)

        @tool(effect="read")
        async def ask(ctx: Ctx, what: str) -> str:
            return (await ctx.run(child, what)).text

        return Agent(model=scripted(("ask", {"what": "x"}), "Done."), tools=[ask], log=log)

    log = await recorded(asking)
    assert list(configurations_of(asking, load(log))) == ["agent"]
    assert (await replay(log, lambda *, log: asking(log=log, prompt="You dance."))).ok


async def test_the_command_words_what_differs_below() -> None:
    log = await recorded()
    report = await replay(log, lambda *, log: build(log=log, dug="You dance."))
    text = "\n".join(worded(report, "myapp:build"))
    assert f"the streamer of {DIG}" in text
    assert "You dance." in text
