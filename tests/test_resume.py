"""A run that a crash cut off is taken up: nothing is lost, nothing is done twice unseen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.crashing import ID, World, calls, conversation, cut, text, turns

from tinyagent import RunFailedError, resume, verbs
from tinyagent.runtime.errors import LogNotFoundError
from tinyagent.runtime.stores.memory import MemoryLog

SCRIPT = turns(
    calls(("a1", "look", {}), ("b1", "look", {}), says="Two looks."),
    calls(("c1", "book", {}), ("d1", "look", {})),
    calls(("e1", "send", {})),
    text("All done."),
)


def kinds(log: Any) -> list[str]:
    return [stored.kind for stored in log.read()]


async def uncut(effect_of_send: str = "write") -> tuple[World, MemoryLog, list[Any]]:
    world, log = World(), MemoryLog(log_id=ID)
    agent = world.build(log, SCRIPT, tools(world, effect_of_send))
    await agent.prompt("Go")
    return world, log, conversation(agent)


def tools(world: World, send: str = "write") -> list[Any]:
    return [
        world.tool("look", "read"),
        world.tool("book", "idempotent"),
        world.tool("send", send),
    ]


async def test_a_run_cut_after_any_record_comes_to_the_same_conversation_or_says_its_doubt() -> (
    None
):
    _, log, whole = await uncut()
    doubtful = []
    for after in range(2, log.seq):
        world, rest = World(), cut(log, after)
        agent = world.build(rest, SCRIPT, tools(world))
        result = await agent.run()
        report = verbs.load(rest).replay()
        assert report.ok, f"cut after {after}: {report.first_divergence}"
        if result.outcome == "paused":
            doubtful.append(after)
            assert "tool.in_doubt" in kinds(rest)
            assert world.effects["e1"] == 0
            continue
        assert result.outcome == "answered", after
        assert conversation(agent) == whole, f"cut after {after}"
    # Only while ``send`` was running does nobody know.
    assert [kinds(log)[after - 1] for after in doubtful] == ["tool.started"]


async def test_configuration_behind_an_unwritten_end_does_not_hide_the_run() -> None:
    _, log, whole = await uncut()
    last = next(s.seq for s in reversed(list(log.read())) if s.kind == "model.finished")
    rest = cut(log, last)
    rest.append(last + 1, 1_800_000_000_000_000, None, "config.changed", 1, 0, b'{"set":{}}')
    world, seen = World(), []
    agent = world.build(rest, SCRIPT, tools(world))
    agent.subscribe(lambda event: seen.append(event.type))
    result = await agent.run()
    assert (result.outcome, result.text) == ("answered", "All done.")
    assert [said.role for said in result.messages][:2] == ["user", "assistant"]
    assert seen == ["agent_start", "turn_start", "turn_end", "agent_end"]
    assert conversation(agent) == whole
    assert world.model_calls == 0


async def test_a_restart_shows_the_last_word_of_a_run_that_was_stopped() -> None:
    world, log = World(), MemoryLog(log_id=ID)

    async def stops(*_: object) -> str:
        agent.abort()
        return "stopped"

    tool = world.tool("look", "read")
    tool.execute = stops
    agent = world.build(log, turns(calls(("a1", "look", {}))), [tool])
    await agent.prompt("Go")
    assert conversation(agent)[-1] == ("assistant", [""])
    again = World().build(cut(log, log.seq), SCRIPT, [tool])
    again.take_up(on_unknown=None, on_approval=None, on_interrupted="retry")
    assert conversation(again) == conversation(agent)
    assert verbs.load(log).messages[-1].model_dump() == again.state.messages[-1].model_dump()


async def test_the_options_say_what_becomes_of_an_interrupted_call_unless_resume_does() -> None:
    _, log, whole = await uncut()
    asked = next(s.seq for s in log.read() if s.kind == "model.requested")
    world = World()
    kept = world.build(cut(log, asked), SCRIPT, tools(world), on_interrupted="keep")
    kept.take_up(on_unknown=None, on_approval=None, on_interrupted=None)
    with pytest.raises(RunFailedError, match="the process stopped while the answer arrived"):
        await kept.run()
    assert world.model_calls == 0
    again = world.build(cut(log, asked), SCRIPT, tools(world), on_interrupted="keep")
    again.take_up(on_unknown=None, on_approval=None, on_interrupted="retry")
    assert (await again.run()).outcome == "answered"
    assert conversation(again) == whole


@pytest.mark.parametrize("on_interrupted", ["retry", "keep"])
async def test_a_call_that_was_never_sent_was_not_interrupted(on_interrupted: Any) -> None:
    _, log, whole = await uncut()
    sent = [s.seq for s in log.read() if s.kind == "model.requested"]
    for asked in sent:
        world, rest = World(), cut(log, asked - 1)
        agent = world.build(rest, SCRIPT, tools(world), on_interrupted=on_interrupted)
        assert (await agent.run()).outcome == "answered"
        assert "model.retrying" not in kinds(rest)
        assert conversation(agent) == whole


async def test_a_log_that_is_not_there_is_not_created(tmp_path: Path) -> None:
    world = World()
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "nothing", tmp_path / "empty", f"sqlite:///{tmp_path}/x.db#a"):
        with pytest.raises(LogNotFoundError):
            async with resume(place, lambda log: world.build(log, SCRIPT, [])):
                pass
    assert [name for _, folders, files in os.walk(tmp_path) for name in (*folders, *files)] == [
        "empty"
    ]
