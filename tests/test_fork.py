"""A fork shares its parent up to a record, says something else behind it, and goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.crashing import ID, World, calls, conversation, cut, text, turns

from tinyagent import Model, edits, extract_text, fork, load, open_log, rerun, resume
from tinyagent.runtime.stores.memory import MemoryLog

OTHER = "0123456789abcdef0123456789abcdef"
SCRIPT = turns(
    calls(("a1", "look", {}), ("b1", "look", {}), says="Two looks."),
    calls(("c1", "book", {}), ("d1", "look", {})),
    calls(("e1", "send", {})),
    text("All done."),
)


def tools(world: World) -> list[Any]:
    return [
        world.tool("look", "read"),
        world.tool("book", "idempotent"),
        world.tool("send", "write"),
    ]


async def parent() -> tuple[World, MemoryLog, list[Any]]:
    world, log = World(), MemoryLog(log_id=ID)
    agent = world.build(log, SCRIPT, tools(world))
    await agent.prompt("Go")
    return world, log, conversation(agent)


async def test_a_fork_at_any_record_calls_nobody_and_goes_on_to_the_same_end() -> None:
    _, log, whole = await parent()
    before = list(log.read())
    for at in range(1, log.seq + 1):
        world = World()
        async with fork(log, at=at, log_id=OTHER, allow_effects=True) as child:
            assert world.model_calls == 0
            agent = world.build(child, SCRIPT, tools(world))
            went_on = child.seq
            if at == 1 or at == log.seq:
                continue
            result = await agent.run()
            assert result.outcome == "answered", at
            assert conversation(agent) == whole, at
            assert child.seq > went_on
            report = load(child).replay()
            assert report.ok, f"{at}: {report.first_divergence}"
    assert list(log.read()) == before


@pytest.mark.parametrize("at", [0, -1, 1000])
async def test_there_is_no_fork_at_a_record_that_is_not_there(at: int) -> None:
    _, log, _ = await parent()
    with pytest.raises(ValueError, match=f"there is no record {at} to fork at; the log has 1 to"):
        async with fork(log, at=at):
            pass


async def test_an_edited_result_is_what_the_model_goes_on_from() -> None:
    _, log, _ = await parent()
    end = next(r.seq for r in load(log).records if r.event.kind == "tool.finished")
    async with fork(log, at=end, edit=edits.tool_result("a1", "something else")) as child:
        agent = World().build(child, SCRIPT, tools(World()))
        await agent.run()
    said = [m for m in conversation(agent) if m[1] == "a1"]
    assert said == [("tool_result", "a1", ["something else"])]


async def test_a_message_is_replaced_or_dropped_in_a_fork_and_stays_in_its_parent() -> None:
    _, log, whole = await parent()
    asked = next(r.seq for r in load(log).records if r.event.kind == "user.said")
    async with fork(log, edit=edits.replace(asked, "Stay")) as child:
        assert conversation(World().build(child, SCRIPT, [])) == []  # not opened yet
        assert extract_text(load(child).messages[0]) == "Stay"
        assert len(load(child).messages) == len(whole)
    last = next(r.seq for r in reversed(load(log).records) if r.event.kind == "model.requested")
    async with fork(log, edit=edits.drop(last)) as child:
        assert len(load(child).messages) == len(whole) - 1
    assert extract_text(load(log).messages[0]) == "Go"


async def test_tools_that_change_the_world_wait_for_an_approval_in_a_fork() -> None:
    _, log, _ = await parent()
    world = World()
    async with fork(log, at=2, log_id=OTHER) as child:
        agent = world.build(child, SCRIPT, tools(world))
        assert (await agent.run()).outcome == "paused"
        assert world.effects["c1"] == 0
        agent.approve("c1", by="ann")
        assert (await agent.run()).outcome == "paused"
        with pytest.raises(LookupError, match=r"waits for no approval \(those that do: e1\)"):
            agent.approve("c1")
        agent.deny("e1", by="ann", why="not now")
        assert (await agent.run()).outcome == "answered"
    assert world.effects["c1"] == 1
    assert world.effects["e1"] == 0
    assert load(child).replay().ok


async def test_a_fork_in_a_folder_is_read_with_its_parent(tmp_path: Path) -> None:
    world = World()

    def build(log: Any) -> Any:
        return world.build(log, SCRIPT, tools(world))

    async with open_log(tmp_path / "trip", log_id=ID) as log:
        await build(log).prompt("Go")
    async with fork(tmp_path / "trip", at=9, into=tmp_path / "other", allow_effects=True) as child:
        await build(child).run()
    recording = load(tmp_path / "other")
    assert recording.replay().ok
    assert [r.seq for r in recording.records] == list(range(1, len(recording.records) + 1))
    async with resume(tmp_path / "other", build) as agent:
        assert conversation(agent)[-1] == ("assistant", ["All done."])
    again = await rerun(tmp_path / "trip", build, into=tmp_path / "again")
    assert again.replay().ok
    with pytest.raises(ValueError, match="there already"):
        await rerun(tmp_path / "trip", build, into=tmp_path / "again")


async def test_an_edited_setting_counts_before_the_factorys_and_in_every_later_run() -> None:
    _, log, _ = await parent()
    other = Model(provider="other", id="m2", api="test-api")
    edit = [edits.system_prompt("Be terse."), edits.model(other)]
    async with fork(log, at=2, edit=edit, log_id=OTHER, allow_effects=True) as child:
        agent = World().build(child, SCRIPT, tools(World()))
        await agent.run()
        settings = load(child).settings
        assert (settings.system, settings.model["id"]) == ("Be terse.", "m2")
        again = World().build(cut(child, child.seq), SCRIPT, tools(World()))
        again.take_up(on_unknown=None, on_approval=None, on_interrupted=None)
        assert load(again.log).settings == settings
    assert load(child).replay().ok
    assert load(log).settings.system == ""


async def test_an_approval_is_given_or_refused_in_another_process(tmp_path: Path) -> None:
    world = World()

    def build(*, log: Any) -> Any:
        pay = world.tool("pay", "write", approval="always")
        script = turns(calls(("p1", "pay", {}), ("p2", "pay", {})), text("Settled."))
        return world.build(log, script, [pay])

    async with open_log(tmp_path / "trip") as log:
        assert (await build(log=log).run("Pay both")).outcome == "paused"
    assert [call.call_id for call in load(tmp_path / "trip").approvals_pending] == ["p1", "p2"]
    decided = {"p1": True, "p2": False}
    async with resume(tmp_path / "trip", build, approve=decided) as agent:
        assert (await agent.run()).outcome == "answered"
    assert world.effects == {"p1": 1}
    assert load(tmp_path / "trip").replay().ok
