"""Mode ``strict``: who decides reads what is durable, in the order of the log."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.runtime.test_loops import Waiting

from tinyagent.agent import Agent, AgentOptions
from tinyagent.agent_types import AgentState, AgentTool
from tinyagent.runtime.stores import records_of
from tinyagent.testing import scripted
from tinyagent.verbs import replay

BOTH: list[tuple[str, dict[str, Any]]] = [("quick", {}), ("quick", {})]


def agent_over(log: Any) -> Agent:
    async def quick(*_: object) -> str:
        return "done"

    tools = [AgentTool(name="quick", execute=quick, effect="read")]
    state = AgentState(model=scripted(BOTH, "Done."), tools=tools)
    return Agent(AgentOptions(initial_state=state, log=log))


async def test_a_cancel_is_stepped_on_behind_the_results_that_wait_for_the_disk() -> None:
    log: Any = Waiting("strict")
    agent = agent_over(log)
    running = asyncio.create_task(agent.run("Go."))
    async with asyncio.timeout(5):
        while (kinds := [r.event.kind for r in records_of(log)]).count("tool.finished") < 2:
            log.move(log.seq)
            await asyncio.sleep(0)
        agent.abort()
        while not running.done():
            log.move(log.seq)
            await asyncio.sleep(0)
    kinds = [r.event.kind for r in records_of(log)]
    cancel = kinds.index("cancel.requested")
    assert kinds[cancel - 2 : cancel] == ["tool.finished"] * 2
    # The first result, the second, the cancel; a step on the cancel before would start no turn.
    assert "model.requested" in kinds[cancel:]
    report = await replay(log, lambda *, log: agent_over(log))
    assert report.ok, report.first_divergence


@pytest.mark.parametrize("moved", range(1, 9))
async def test_what_waits_for_the_disk_is_stepped_on_by_who_ends_a_run_at_once(moved: int) -> None:
    log: Any = Waiting("strict")
    running = asyncio.create_task(agent_over(log).run("Go."))
    async with asyncio.timeout(5):
        while log.seq < moved:
            log.move(log.seq)
            await asyncio.sleep(0)
        for _ in range(2):  # as asyncio.run does with all tasks when it ends
            running.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await running
    kinds = [r.event.kind for r in records_of(log)]
    assert kinds[-1] == "run.ended"
    report = await replay(log, lambda *, log: agent_over(log))
    assert report.ok, report.first_divergence
