"""What an agent holds that does nothing: bytes, threads, and nothing that outlives it."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest

from tinyagent import Agent, extract_text, tool
from tinyagent._reading.partial import _Shown  # pyright: ignore[reportPrivateUsage] # it must not be left
from tinyagent._reading.state import StateKeeper
from tinyagent._run.engine import Engine
from tinyagent._run.resting import AT_HAND, MESSAGES_MAX
from tinyagent.actors.session import Session
from tinyagent.events import Conversation
from tinyagent.runtime.clock import SystemClock
from tinyagent.runtime.log import open_log_at
from tinyagent.runtime.stores.snapshots import Snapshots
from tinyagent.testing import scripted

COUNT = 200
ATTRIBUTES_MAX = 29
MADE_BYTES_MAX = 760
IDLE_BYTES_MAX = 10_000
"""A third more than was measured, on CPython 3.11; a log in a folder, one answer of 20 deltas."""


@tool(effect="read")
async def look() -> str:
    """Look around."""
    return "all is well"


def agents_in(folder: Path) -> list[Agent]:
    """Return agents of one model, whose answers are all alike, each with a log of its own."""
    model, now_us = scripted(*["word " * 20] * COUNT), SystemClock().now_us
    logs = (open_log_at(folder / str(at), now_us=now_us) for at in range(COUNT))
    return [Agent(model=model, tools=[look], log=log) for log in logs]


def alive(kind: type) -> int:
    gc.collect()
    return sum(isinstance(each, kind) for each in gc.get_objects())


async def held() -> int:
    """Return how many sessions there are, if the agents at hand are others than the test's."""
    others = [Agent(model=scripted("Well.")) for _ in range(AT_HAND)]
    for other in others:
        await other.prompt("Go")
    return alive(Engine)


def traced_bytes() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def test_an_agent_that_does_nothing_holds_few_bytes(tmp_path: Path) -> None:
    """In a process of its own: what else this one does is not to be counted."""
    command = [sys.executable, __file__, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    made, idle = map(float, done.stdout.split())
    assert made <= MADE_BYTES_MAX, f"{made:.0f} bytes per agent that was made"
    assert idle <= IDLE_BYTES_MAX, f"{idle:.0f} bytes per agent that has answered"


async def measure(folder: Path) -> None:
    """Print the bytes per agent made, and per agent that has answered."""
    for agent in agents_in(folder / "warm")[:3]:  # what is made once for all is not counted
        await agent.prompt("Go")
    tracemalloc.start()
    before = traced_bytes()
    agents = agents_in(folder)
    print((traced_bytes() - before) / COUNT)
    for agent in agents:
        await agent.prompt("Go")
    print((traced_bytes() - before) / COUNT)


async def test_the_session_of_an_agent_at_rest_is_let_go_of_and_made_again() -> None:
    before = await held()
    agent = Agent(model=scripted(("look", {}), "First.", "Second.", "Third."), tools=[look])
    log = agent.log
    for answer in ("First.", "Second.", "Third."):
        assert await agent.prompt_text("Go") == answer
        assert await held() == before
    assert agent.log is log
    roles = ["user", "assistant", "tool_result", "assistant", *["user", "assistant"] * 2]
    assert [message.role for message in agent.state.messages] == roles
    assert [message.role for message in log.messages] == roles


async def test_a_session_that_works_has_no_dict_of_its_own() -> None:
    """CPython keeps 29 attributes in the object itself; more of them take five times the room."""
    agent = Agent(model=scripted("Well."))
    await agent.prompt("Go")
    sessions = [each for each in gc.get_objects() if isinstance(each, Session)]
    assert 0 < max(len(vars(session)) for session in sessions) <= ATTRIBUTES_MAX


async def test_an_agent_that_has_run_has_no_dict_of_its_own() -> None:
    """CPython makes one where somebody asks for it, and it stays: 64 bytes of each agent."""
    agent = Agent(model=scripted("Well."))
    await agent.prompt("Go")
    assert [each for each in gc.get_referents(agent) if isinstance(each, dict)] == []


async def test_what_a_log_can_be_asked_for_again_is_let_go_of_with_the_session(
    tmp_path: Path,
) -> None:
    before = alive(Snapshots)
    log = open_log_at(tmp_path, now_us=SystemClock().now_us)
    agent, meta = Agent(model=scripted("First.", "Second."), log=log), log.meta
    for answer in ("First.", "Second."):
        assert await agent.prompt_text("Go") == answer
        assert alive(Snapshots) == before + 1
        await held()
        assert alive(Snapshots) == before
        assert agent.log.meta == meta
    await agent.log.close()


async def test_the_session_of_an_agent_that_was_watched_is_let_go_of_too() -> None:
    before = await held()
    agent = Agent(model=scripted("First.", "Second."))
    for answer in ("First.", "Second."):
        async with agent.events("Go") as run:
            kinds = [event.kind async for event in run]
        assert (kinds[0], kinds[-1]) == ("user.said", "run.ended")
        assert run.result.text == answer
        assert await held() == before


@pytest.mark.parametrize("face", ["prompt", "run", "events"])
async def test_a_session_and_so_its_log_is_let_go_of_with_its_agent(face: str) -> None:
    before = alive(Engine)
    agent = Agent(model=scripted("Well."))
    if face == "events":
        async with agent.events("Go") as run:
            assert [event.kind async for event in run][-1] == "run.ended"
        del run
    else:
        await getattr(agent, face)("Go")
    assert alive(Engine) == before + 1
    del agent
    assert alive(Engine) == before


async def test_what_a_session_is_made_of_is_freed_without_the_collector() -> None:
    parts = (Engine, Session, Conversation, StateKeeper)
    others = [Agent(model=scripted("Well.", "Well.")) for _ in range(AT_HAND)]
    for other in others:
        await other.prompt_text("Go")
    before = [alive(part) for part in parts]
    gc.disable()
    try:
        for _ in range(20):
            async with Agent(model=scripted("Well.")).events("Go") as run:
                assert [event.kind async for event in run][-1] == "run.ended"
            del run  # whose result can be asked for messages
        for other in others:  # and so none of the twenty is at hand
            await other.prompt_text("Go")
        found = [sum(isinstance(each, part) for each in gc.get_objects()) for part in parts]
    finally:
        gc.enable()
    assert found == before


@pytest.mark.parametrize("face", ["prompt", "run", "log"])
async def test_what_goes_with_its_agent_is_freed_without_the_collector(face: str) -> None:
    parts = (Agent, Engine, Session, Conversation, StateKeeper)

    async def use() -> None:
        agent = Agent(model=scripted("Well."))
        await getattr(agent, face.replace("log", "run"))("Go")
        if face == "log":
            await agent.log.close()

    await use()  # once: what is made at the first run is kept
    before = [alive(part) for part in parts]
    gc.disable()
    try:
        await use()
        found = [sum(isinstance(each, part) for each in gc.get_objects()) for part in parts]
    finally:
        gc.enable()
    assert found == before


async def test_events_are_read_to_their_end_though_the_session_was_let_go_of() -> None:
    agent = Agent(model=scripted("First."))
    async with agent.events("Go") as run:
        first = await anext(run)
        await agent.wait_for_idle()
        await held()
        rest = [event.kind async for event in run]
    assert [first.kind, *rest] == [record.event.kind for record in agent.log.records][1:]


async def test_what_was_queued_for_an_agent_at_rest_is_not_let_go_of() -> None:
    before = await held()
    agent = Agent(model=scripted("First.", "Second.", "Third."))
    await agent.prompt("Go")
    agent.follow_up("And then?")
    assert await held() == before + 1
    assert await agent.prompt_text("Go on") == "Third."
    said = [extract_text(m) for m in agent.state.messages if m.role == "user"]
    assert said == ["Go", "Go on", "And then?"]


async def test_a_long_conversation_is_kept_at_hand() -> None:
    before = await held()
    turns = MESSAGES_MAX // 2 + 1
    agent = Agent(model=scripted(*["Well."] * turns))
    for _ in range(turns):
        await agent.prompt("Go")
    assert await held() == before + 1


async def test_an_answer_whose_text_nobody_read_leaves_nothing_behind() -> None:
    before = alive(_Shown)
    agent = Agent(model=scripted("word " * 20).chunks(5))
    heard = [event.type async for event in agent.stream("Go")]
    assert "message_update" in heard
    del agent
    assert alive(_Shown) == before


@pytest.mark.skipif(sys.platform != "linux", reason="the threads of a process are told by /proc")
async def test_a_log_that_rests_has_no_thread(tmp_path: Path) -> None:
    logs = [open_log_at(tmp_path / str(at), now_us=lambda: 1) for at in range(20)]
    assert writers() == 0
    for seq in (1, 2):
        for log in logs:
            log.append(seq, seq, None, "user.said", 1, 0, b"{}")
            await log.durable(seq)
        async with asyncio.timeout(30):
            while await asyncio.to_thread(writers):
                pass
    await asyncio.gather(*(log.close() for log in logs))
    assert [[record.seq for record in log.read()] for log in logs] == [[1, 2]] * 20


def writers() -> int:
    """Return how many threads of this process write a log."""
    names: list[str] = []
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has ended meanwhile
            names.append((thread / "comm").read_text().strip())
    return names.count("tinyagent-log")


if __name__ == "__main__":
    asyncio.run(measure(Path(sys.argv[1])))
