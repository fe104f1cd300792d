"""Runs that are cancelled at any moment: whatever was going on, the log is whole."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.face.test_odd_moments import Way, passes, prompted, ran, streamed, watched
from tests.invariants import check

from tinyagent import Agent, load, open_log, resume, tool
from tinyagent.actors.providers import provider_for
from tinyagent.events.settings import Settings
from tinyagent.testing import scripted

SEED = int(os.environ.get("TA_SEED", Random().randrange(1 << 32)))
WORK: list[Any] = [
    "Let me look into it.",
    ("look", {"times": 3}),
    ("note", {"times": 5}),
    ("blocks", {}),
    ("dig", {"task": "deep"}),
]
BELOW: list[Any] = [("look", {"times": 2}), ("note", {"times": 2})]


@tool(effect="read")
async def look(times: int) -> str:
    """Look for a while."""
    await passes(times)
    return "seen"


@tool(effect="write")
async def note(times: int) -> str:
    """Write for a while."""
    await passes(times)
    return "noted"


@tool(effect="idempotent")
def blocks() -> str:
    """Work in a thread."""
    return "done"


def build(*, log: Any = None) -> Agent:
    """Return an agent with tools and an agent below, which says its turns in small pieces."""
    below = scripted(*[BELOW, "Dug."] * 40).chunks(4)
    dig = Agent(model=below, tools=[look, note]).as_tool("dig", "Dig.")
    model = scripted(*[WORK, "That is that."] * 40).chunks(3, 5)
    return Agent(model=model, tools=[look, note, blocks, dig], log=log)


def refused(log: Any) -> str:
    """Return why a provider would not take the conversation in *log* as it stands."""
    said = Settings(model={"provider": "openai", "id": "m", "base_url": "http://x"}, system="S")
    body = provider_for("openai-completions").body(said, load(log).conversation.messages)
    waiting: list[str] = []
    for message in json.loads(body)["messages"]:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                return f"{message} is answered, and was not asked"
            waiting.remove(message["tool_call_id"])
        elif waiting:
            return f"{waiting} are not answered before {message}"
        waiting += [call["id"] for call in message.get("tool_calls", ())]
    return f"{waiting} are not answered" if waiting else ""


async def cut_off(agent: Agent, dice: Random) -> None:
    """Run *agent*, and cancel that at a moment which *dice* choose, once or more often."""
    ways: list[Way] = [ran, prompted, streamed, watched]
    running = asyncio.create_task(dice.choice(ways)(agent))
    await passes(dice.randrange(dice.choice([4, 30, 150])))
    for _ in range(dice.randint(1, 3)):
        agent.abort() if dice.randrange(3) == 0 else running.cancel()
        await passes(dice.randint(0, 9))
    async with asyncio.timeout(20):
        await asyncio.wait({running})
    if not running.cancelled() and (error := running.exception()) is not None:
        raise error


@pytest.mark.slow
@pytest.mark.replays_itself
@pytest.mark.parametrize("seed", range(SEED, SEED + 60))
async def test_what_is_cut_off_anywhere_goes_on_replays_and_is_taken_by_a_provider(
    tmp_path: Path, seed: int
) -> None:
    print(f"TA_SEED={seed}")
    dice = Random(seed)
    where = tmp_path / "log" if dice.randrange(2) else None
    async with open_log(where) as log:
        agent = build(log=log)
        for _ in range(dice.randint(1, 3)):
            await cut_off(agent, dice)
            if log.records:
                check(log.store)
                assert refused(log) == ""
        if where is None:
            await agent.run("And now?")
            check(log.store)
    if where is not None:
        async with resume(where, build) as agent:
            await agent.run("And now?")
        assert load(where).replay().ok
    assert refused(where or log) == ""
    assert load(where or log).status == "answered"
