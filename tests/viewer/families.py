"""A folder of sessions of which some are forks of others, made as a program makes them."""

from __future__ import annotations

from pathlib import Path

from tinyagent import Agent, OpenLog, edits, fork, load, open_log, tool
from tinyagent.actors.forking import Edit
from tinyagent.events import kinds as k
from tinyagent.testing import scripted

ROOT, WARM, BRIEF, RAIN, ROME = (letter * 32 for letter in "abcde")
CLOSED = "All closed: <b>Monday</b>"
WORDS = "No rain tomorrow, so walk: the islands, the Marais, and a boat at dusk."


@tool(effect="read")
async def forecast(city: str) -> str:
    """Forecast the weather of a city."""
    return "503 Service Unavailable"


@tool(effect="read")
async def museums(city: str) -> str:
    """List the museums of a city."""
    return "Orsay 9:30-18:00, Louvre 9:00-21:00"


def planner(log: OpenLog) -> Agent:
    model = scripted(
        ["Let me look.", ("forecast", {"city": "Paris"})],
        ["And what is open?", ("museums", {"city": "Paris"})],
        WORDS,
    )
    return Agent(model=model, tools=[forecast, museums], system_prompt="You plan trips.", log=log)


async def make(folder: Path) -> None:
    """Write a session, two forks of it, a fork of one of these, and one of that, cut far back."""
    async with open_log(folder / "trip", name="trip", log_id=ROOT) as log:
        await planner(log).run("Plan a day in Paris for tomorrow.")
    told, listed = ends(folder / "trip")
    await forked(folder, "trip", "sunny", WARM, told, edits.tool_result("c1", "Sunny, 24 °C"))
    await forked(folder, "trip", "brief", BRIEF, listed, edits.system_prompt("Be brief."))
    _, listed = ends(folder / "sunny")
    await forked(folder, "sunny", "monday", RAIN, listed, edits.tool_result("c2", CLOSED))
    await forked(folder, "monday", "rome", ROME, listed, edits.user_said("Plan a day in Rome."))


async def forked(folder: Path, parent: str, name: str, log_id: str, at: int, edit: Edit) -> None:
    into = folder / name
    async with fork(folder / parent, at=at, edit=edit, into=into, name=name, log_id=log_id) as log:
        await planner(log).run()


def ends(log: Path) -> list[int]:
    """Return the numbers of the records of *log* with which calls ended."""
    return [r.seq for r in load(log).records if isinstance(r.event, k.ToolFinished)]
