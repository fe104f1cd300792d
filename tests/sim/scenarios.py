"""Small worlds with agents in them, for the scheduler: each is one thing that may go another way.

What may differ is drawn: who is first, how long a tool takes, what the provider says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from tests.crashing import cut
from tests.invariants import check

from tinyagent import Agent, AgentOptions, AgentState, AgentTool, RunFailedError, ToolLoopControl
from tinyagent.actors.state import State
from tinyagent.events.fact import FailureKind
from tinyagent.events.kinds import UserSaid
from tinyagent.runtime.journal import Journal
from tinyagent.runtime.mailbox import Mailbox
from tinyagent.runtime.stores import Log
from tinyagent.testing import ScriptedModel, Sim, scripted

NO_ARGUMENTS: dict[str, Any] = {}
BOTH = [("slow", NO_ARGUMENTS), ("write", NO_ARGUMENTS)]
Scenario = Callable[[Sim], Coroutine[Any, Any, None]]
SCENARIOS: dict[str, Scenario] = {}


def scenario(play: Scenario) -> Scenario:
    """Put *play* among the scenarios."""
    SCENARIOS[play.__name__] = play
    return play


class World:
    """Tools that take some time, and what they did."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.log = sim.log()
        self.did: list[str] = []

    def tool(self, name: str, effect: str = "read", **more: Any) -> AgentTool:
        async def execute(call_id: str, arguments: Any, signal: Any, on_update: Any) -> str:
            await self.sim.clock.sleep(self.sim.pick("tool takes", 0.0, 1.0, 60.0))
            self.did.append(name)
            if self.sim.pick("tool fails", False, True):
                raise RuntimeError("it went wrong")
            return f"{name} done"

        return AgentTool(name=name, execute=execute, effect=effect, **more)

    def agent(self, *turns: Any, log: Log | None = None, **options: Any) -> Agent:
        model = (
            scripted(*turns) if not turns or not isinstance(turns[0], ScriptedModel) else turns[0]
        )
        model = model.chunks(4).delays(self.sim.pick("model takes", 0.0, 2.0), clock=self.sim.clock)
        tools = options.pop("tools", [self.tool("slow"), self.tool("write", "write")])
        state = AgentState(model=model, tools=tools)
        return Agent(
            AgentOptions(initial_state=state, log=log or self.log, clock=self.sim.clock, **options)
        )

    async def run(self, agent: Agent, prompt: str | None = "Go.") -> str:
        """Run *agent*; whatever comes of it is checked, and how it ended is returned."""
        outcome = "failed"
        with suppress(RunFailedError):
            outcome = (await agent.run(prompt)).outcome
        check(agent.log, machine_of(agent))
        return outcome

    async def after(self, seconds: float, call: Callable[..., object], *given: object) -> None:
        await self.sim.clock.sleep(seconds)
        call(*given)


def machine_of(agent: Agent) -> State:
    engine: Any = getattr(agent, "_engine")()  # noqa: B009 - what nobody outside has to see
    state: State = engine.binding.session.machine.state
    return state


@scenario
async def one_run(sim: Sim) -> None:
    world = World(sim)
    assert await world.run(world.agent("Done.")) == "answered"


@scenario
async def tools_at_once(sim: Sim) -> None:
    world = World(sim)
    assert await world.run(world.agent(BOTH, BOTH, "Done.")) == "answered"
    assert sorted(world.did) == ["slow", "slow", "write", "write"]


@scenario
async def two_runs_in_one_log(sim: Sim) -> None:
    world = World(sim)
    agent = world.agent(BOTH, "Done.", "Again.")
    assert [await world.run(agent), await world.run(agent)] == ["answered", "answered"]


@scenario
async def steered_while_tools_run(sim: Sim) -> None:
    world = World(sim)
    agent = world.agent(BOTH, "Done.", "Done again.")
    steering = asyncio.create_task(world.after(sim.pick("steer", 1.0, 0.0), agent.steer, "Wait!"))
    await world.run(agent)
    await steering


@scenario
async def followed_up(sim: Sim) -> None:
    world = World(sim)
    agent = world.agent(BOTH, "Done.", "And that.")
    asking = asyncio.create_task(world.after(0, agent.follow_up, "And then?"))
    await world.run(agent)
    await asking


@scenario
async def cancelled_somewhere(sim: Sim) -> None:
    world = World(sim)
    agent = world.agent(BOTH, "Done.")
    when = sim.pick("cancel", 0.0, 0.5, 1.0, 2.0, 30.0)
    cancelling = asyncio.create_task(world.after(when, agent.abort))
    assert await world.run(agent) in ("answered", "cancelled")
    await cancelling


@scenario
async def closed_while_busy(sim: Sim) -> None:
    world = World(sim)
    agent = world.agent(BOTH, "Done.")
    left = sim.pick("leave after", 1, 3, 7, 12)
    async with agent.events("Go.") as run:
        async for _ in run:
            left -= 1
            if not left:
                break
    check(agent.log, machine_of(agent))


@scenario
async def the_task_is_cancelled(sim: Sim) -> None:
    world = World(sim)
    agent = world.agent(BOTH, "Done.")
    running = asyncio.create_task(world.run(agent))
    await sim.clock.sleep(sim.pick("cancel", 0.0, 1.0))
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    check(agent.log)


@scenario
async def the_provider_fails(sim: Sim) -> None:
    world = World(sim)
    kind: FailureKind = sim.pick("provider", "overloaded", "network", "refused")
    agent = world.agent(scripted.turn(*BOTH).fails(kind).text("Done."))
    assert await world.run(agent) == "failed"
    assert await world.run(agent, "Again.") == "answered"


@scenario
async def approved_by_another_task(sim: Sim) -> None:
    world = World(sim)
    agent = world.agent(
        BOTH, "Done.", tools=[world.tool("slow"), world.tool("write", "write", approval="always")]
    )
    outcome = await world.run(agent)
    assert outcome == "paused"
    sim.pick("answer", agent.approve, agent.deny)("c2")
    assert await world.run(agent, None) == "answered"


@scenario
async def a_hook_that_raises(sim: Sim) -> None:
    async def before(*_: Any) -> ToolLoopControl | None:
        if sim.pick("hook raises", False, True):
            raise RuntimeError("no")
        return None

    world = World(sim)
    await world.run(world.agent(BOTH, "Done.", before_tool_call=before))


@scenario
async def hooks_that_wait(sim: Sim) -> None:
    async def waiting(*given: Any) -> Any:
        await sim.clock.sleep(sim.pick("hook takes", 0.0, 5.0))
        return given[0] if isinstance(given[0], list) else None

    world = World(sim)
    agent = world.agent(
        BOTH, "Done.", before_tool_call=waiting, after_tool_call=waiting, transform_context=waiting
    )
    assert await world.run(agent) == "answered"


@scenario
async def a_slow_listener(sim: Sim) -> None:
    world = World(sim)
    agent = world.agent(BOTH, "Done.")
    heard = list[str]()

    async def listen(event: Any) -> None:
        await sim.clock.sleep(sim.pick("listener takes", 0.0, 1.0))
        heard.append(event.type)

    agent.subscribe(listen)
    await world.run(agent)
    assert heard[0] == "agent_start"
    assert heard[-1] == "agent_end"


@scenario
async def followed_by_a_reader(sim: Sim) -> None:
    world = World(sim)
    agent = world.agent(BOTH, "Done.")
    seqs: list[int] = []

    async def follow() -> None:
        async for record in world.log.tail(1):
            await sim.clock.sleep(sim.pick("reader takes", 0.0, 1.0))
            seqs.append(record.seq)

    following = asyncio.create_task(follow())
    await world.run(agent)
    await world.log.close()
    await following
    assert seqs == [*range(1, world.log.seq + 1)]


@scenario
async def two_agents_beside_each_other(sim: Sim) -> None:
    one, other = World(sim), World(sim)
    agents = one.agent(BOTH, "Done."), other.agent(BOTH, "Done.")
    outcomes = await asyncio.gather(one.run(agents[0]), other.run(agents[1]))
    assert {*outcomes} == {"answered"}


@scenario
async def an_agent_below(sim: Sim) -> None:
    world = World(sim)
    below = world.agent(BOTH, "Found.", log=sim.log()).as_tool("ask", "Asks.")
    agent = world.agent(("ask", {"task": "Look."}), "Done.", tools=[below])
    assert await world.run(agent) == "answered"


@scenario
async def killed_and_taken_up(sim: Sim) -> None:
    world = World(sim)
    await world.run(world.agent(BOTH, "Done."))
    places: Sequence[int] = range(world.log.seq, 1, -1)
    rest = cut(world.log, sim.pick("killed after", *places))
    agent = world.agent(BOTH, "Done.", log=rest)
    with suppress(RuntimeError):  # it had ended, or had not begun
        await world.run(agent, None)
    check(rest)


@scenario
async def a_tool_that_takes_too_long(sim: Sim) -> None:
    world = World(sim)
    tools = [world.tool("slow", timeout_s=30.0), world.tool("write", "write", timeout_s=30.0)]
    agent = world.agent(BOTH, "Done.", tools=tools)
    assert await world.run(agent) == "answered"


@scenario
async def limited(sim: Sim) -> None:
    from tinyagent import Limits

    world = World(sim)
    limits = sim.pick("limit", Limits(turns_max=1), Limits(tool_calls_max=1), Limits(run_s_max=0.5))
    agent = world.agent(BOTH, BOTH, "Done.", limits=limits)
    assert await world.run(agent) in ("answered", "over_budget")


@scenario
async def edited_while_it_runs(sim: Sim) -> None:
    world = World(sim)
    agent = world.agent(BOTH, BOTH, "Done.")
    compacting = asyncio.create_task(world.after(1.0, lambda: agent.compact(keep_turns=1)))
    await world.run(agent)
    await asyncio.wait([compacting])


@scenario
async def a_source_waits_for_its_reader(sim: Sim) -> None:
    journal, box = Journal(sim.log(), sim.clock), Mailbox("reader", None)
    journal.join(box)
    seqs: list[int] = []

    async def speak() -> None:
        for number in range(8):
            await box.room(sim.pick("may be behind", 1, 0, 3))
            journal.append(UserSaid(f"line {number}"))
        box.close()

    async def read() -> None:
        while (record := await box.get()) is not None:
            seqs.append(record.seq)
            await sim.clock.sleep(sim.pick("reader takes", 0.0, 1.0))

    await asyncio.gather(speak(), read())
    assert seqs == [*range(1, 9)]
