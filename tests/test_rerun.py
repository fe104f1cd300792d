"""A rerun says what came from outside again, at the same places, to a live agent."""

from __future__ import annotations

from typing import Any

from tests.crashing import ID, World, calls, conversation, text, turns

from tinyagent import Agent, load, rerun
from tinyagent.runtime.stores.memory import MemoryLog

SCRIPT = turns(
    calls(("a1", "look", {}), says="A look."),
    text("So it is."),
    text("Also that."),
    calls(("b1", "look", {}), says="Another look."),
    text("The end."),
)


class Rerun:
    """A world, and the agents that the factory made in it."""

    def __init__(self) -> None:
        self.world = World()
        self.agents: list[Agent] = []

    def build(self, *, log: Any) -> Agent:
        agent = self.world.build(log, SCRIPT, [self.world.tool("look", "read")])
        self.agents.append(agent)
        return agent


async def test_prompts_steering_and_follow_ups_are_said_again_where_they_were_said() -> None:
    log, again = MemoryLog(log_id=ID), Rerun()
    agent = World().build(log, SCRIPT, [World().tool("look", "read")])
    agent.follow_up("And later?")
    said: list[str] = []

    def steer(event: Any) -> None:
        if event.type == "tool_execution_start" and not said:
            said.append("Steered")
            agent.steer("Steered")

    agent.subscribe(steer)
    await agent.prompt("Go")
    await agent.prompt("On")
    recording = await rerun(log, again.build)
    assert conversation(again.agents[0]) == conversation(agent)
    assert ("user", ["Steered"]) in conversation(agent)
    assert recording.replay().ok
    assert again.world.effects == {"a1": 1, "b1": 1}
    kinds = [record.event.kind for record in recording.records]
    assert kinds.count("run.ended") == 2


async def test_a_cancel_is_made_again_in_the_same_turn() -> None:
    log, again = MemoryLog(log_id=ID), Rerun()
    agent = World().build(log, SCRIPT, [World().tool("look", "read")])
    agent.subscribe(lambda event: agent.abort() if event.type == "message_end" else None)
    await agent.prompt("Go")
    recording = await rerun(log, again.build)
    assert recording.status == load(log).status == "cancelled"
    assert again.world.effects == {}
