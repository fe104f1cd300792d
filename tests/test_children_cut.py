"""Agents below an agent that are cut off: by a cancel, a limit, a crash, a fork, other code."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as replaced
from tests.crashing import cut
from tests.test_children import DIG, RESEARCH, build, look, note, of, outcomes, recorded

from tinyagent import (
    Agent,
    AgentOptions,
    Ctx,
    Limits,
    Recording,
    UnknownOutcome,
    edits,
    fork,
    load,
    open_log,
    replay,
    tool,
)
from tinyagent.events import kinds as k
from tinyagent.events.children import child_of
from tinyagent.runtime.errors import DivergenceError
from tinyagent.runtime.sinks.spans import spans_of
from tinyagent.runtime.stores import Log
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import crash_runs, scripted

EVERY = [(DIG, "cancelled"), (RESEARCH, "cancelled"), ("", "cancelled")]


@tool(effect="write", name="note")
async def waiting(text: str) -> str:
    """Wait for ever."""
    await asyncio.Event().wait()
    return text


def at(recording: Recording, kind: str, child: str = "") -> int:
    """Return the number of the first record of that kind of an agent."""
    found = (r for r in recording.records if r.event.kind == kind and child_of(r.actor) == child)
    return next(found).seq


def edited(log: Log, seq: int, payload: bytes) -> MemoryLog:
    """Return *log* with another payload of record *seq*."""
    records = [replaced(r, payload=payload) if r.seq == seq else r for r in log.read()]
    return MemoryLog(log_id=log.meta.log, records=records)


# Cancel


async def test_one_cancel_ends_all_from_below_upwards() -> None:
    agent = build(lowest=waiting)
    async with agent.records("Go.") as run:
        async for record in run:
            if isinstance(record.event, k.ToolStarted) and child_of(record.actor) == DIG:
                agent.abort()
    recording = agent.log.recording
    assert run.result.outcome == "cancelled"
    assert outcomes(recording) == EVERY
    asked = [(name, event.reason) for name, event in of(recording, k.CancelRequested)]
    assert asked == [("", "abort"), (RESEARCH, "above"), (DIG, "above")]
    assert [(name, event.why) for name, event in of(recording, k.ToolInDoubt)] == [
        (DIG, "cancelled")
    ]
    told = "The agent research was cancelled; what it had begun may or may not have taken effect"
    assert recording.tool_calls["c1"].content == told
    assert recording.open_work == ()
    assert recording.replay().ok


@pytest.mark.parametrize("kind", ["child.started", "session.started", "user.said", "model.delta"])
async def test_a_cancel_ends_a_child_that_has_hardly_begun(kind: str) -> None:
    agent = build(lowest=waiting)
    async with agent.records("Go.") as run:
        async for record in run:
            if record.event.kind == kind and child_of(record.actor) in (RESEARCH, DIG):
                agent.abort()
    recording = agent.log.recording
    assert run.result.outcome == "cancelled"
    assert recording.open_work == ()
    assert recording.records[-1].actor == "agent"
    assert recording.replay().ok


async def test_the_seconds_of_the_agent_above_end_what_is_below() -> None:
    _, recording = await recorded(lowest=waiting, limits=Limits(run_s_max=0.05))
    assert outcomes(recording) == [*EVERY[:2], ("", "over_budget")]
    assert recording.open_work == ()
    assert recording.replay().ok


async def test_a_call_that_runs_too_long_ends_what_it_ran() -> None:
    child = Agent(model=scripted(("note", {"text": "x"}), "Noted."), tools=[waiting])

    @tool(effect="read", timeout_s=0.05)
    async def ask(ctx: Ctx, what: str) -> str:
        return (await ctx.run(child, what)).text

    agent = Agent(model=scripted(("ask", {"what": "x"}), "Never mind."), tools=[ask])
    await agent.run("Go.")
    recording = agent.log.recording
    assert outcomes(recording) == [("agent:main/ask#1", "cancelled"), ("", "answered")]
    assert recording.tool_calls["c1"].content == "Tool ask timed out after 0.05 s"
    ended = at(recording, "child.ended")
    assert ended < at(recording, "tool.failed")
    assert recording.open_work == ()


async def test_a_tool_may_stop_waiting_and_its_child_is_cancelled_on_record() -> None:
    child = Agent(model=scripted(("note", {"text": "x"}), "Noted."), tools=[waiting])

    @tool(effect="read")
    async def ask(ctx: Ctx, what: str) -> str:
        try:
            async with asyncio.timeout(0.05):
                return (await ctx.run(child, what)).text
        except TimeoutError:
            return "no answer"

    agent = Agent(model=scripted(("ask", {"what": "x"}), "Never mind."), tools=[ask])
    await agent.run("Go.")
    recording = agent.log.recording
    assert recording.tool_calls["c1"].content == "no answer"
    assert outcomes(recording) == [("agent:main/ask#1", "cancelled"), ("", "answered")]


def test_a_loop_that_is_closed_ends_every_run_in_it() -> None:
    agent = build(lowest=waiting)

    async def main() -> None:
        begun = asyncio.Event()

        async def watch() -> None:
            async for record in agent.records("Go."):
                if isinstance(record.event, k.ToolStarted) and child_of(record.actor) == DIG:
                    begun.set()

        task = asyncio.create_task(watch())
        await begun.wait()
        assert not task.done()

    asyncio.run(main())
    recording = agent.log.recording
    assert outcomes(recording) == EVERY
    assert recording.open_work == ()
    assert recording.replay().ok


# Crash


@pytest.mark.parametrize("lowest", [look, note], ids=["read", "write"])
async def test_a_session_cut_after_any_record_ends_as_if_it_was_not_or_says_its_doubt(
    lowest: Any,
) -> None:
    doubtful: list[tuple[int, str]] = []
    async for run in crash_runs(lambda log: build(log=log, lowest=lowest), "Go."):
        recording = load(run.log)
        if run.outcome == "paused":
            doubtful.append((run.after, run.kind))
            assert [call.name for call in recording.in_doubt][-1:] == ["note"]
            continue
        assert run.outcome == "answered"
        assert [name for name, _ in of(recording, k.ChildStarted)] == ["", RESEARCH]
        assert list(recording.children) == [RESEARCH, DIG]
        assert all(child.status == "answered" for child in recording.children.values())
        assert recording.open_work == ()
    assert [kind for _, kind in doubtful] == (["tool.started"] if lowest is note else [])


async def test_a_doubt_below_waits_above_too_and_is_decided_there() -> None:
    whole = MemoryLog()
    await recorded(log=whole)
    log = cut(whole, at(load(whole), "tool.started", DIG))
    assert (await build(log=log).run()).outcome == "paused"
    assert outcomes(load(log)) == [(DIG, "paused"), (RESEARCH, "paused"), ("", "paused")]
    assert [call.name for call in load(log).in_doubt] == ["research", "dig", "note"]
    asked: list[str] = []

    def decide(call: UnknownOutcome) -> Any:
        asked.append(call.name)
        return call.done("noted before") if call.name == "note" else call.again()

    result = await build(log=log, options=AgentOptions(on_unknown=decide)).run()
    assert (result.outcome, result.text) == ("answered", "Done.")
    assert asked == ["research", "dig", "note"]


async def test_who_decides_at_the_resume_is_asked_about_the_call_below_alone() -> None:
    whole = MemoryLog()
    await recorded(log=whole)
    log = cut(whole, at(load(whole), "tool.started", DIG))
    asked: list[str] = []

    def decide(call: UnknownOutcome) -> Any:
        asked.append(call.name)
        return call.done("noted before the crash")

    result = await build(log=log, options=AgentOptions(on_unknown=decide)).run()
    assert (result.outcome, result.text, asked) == ("answered", "Done.", ["note"])
    assert load(log).every_call["c1~3"].content == "noted before the crash"
    assert load(log).replay().ok


async def test_after_a_crash_what_runs_again_below_is_in_spans_of_its_own() -> None:
    whole = MemoryLog()
    await recorded(log=whole, lowest=look)
    log = cut(whole, at(load(whole), "tool.started", DIG))
    await build(log=log, lowest=look).run()
    spans = spans_of(log.meta, load(log).records)
    ids = {span.span_id for span in spans}
    assert all(not span.parent_id or span.parent_id in ids for span in spans)
    runs = [(s.name, s.error) for s in spans if s.name.startswith("invoke_agent")]
    assert runs == [
        ("invoke_agent agent", "interrupted"),
        ("invoke_agent research#1", "interrupted"),
        ("invoke_agent dig#1", "interrupted"),
        ("invoke_agent agent", ""),
        ("invoke_agent research#1", ""),
        ("invoke_agent dig#1", ""),
    ]


async def test_a_tool_that_may_not_run_again_leaves_no_child_behind() -> None:
    child = Agent(model=scripted(("note", {"text": "x"}), "Noted."), tools=[note])

    @tool(effect="write")
    async def ask(ctx: Ctx, what: str) -> str:
        return (await ctx.run(child, what)).text

    def asking(*, log: Any = None) -> Agent:
        return Agent(model=scripted(("ask", {"what": "x"}), "Done."), tools=[ask], log=log)

    name, ended = "agent:main/ask#1", []
    async for run in crash_runs(asking, "Go."):
        recording = load(run.log)
        if run.outcome != "paused":
            continue
        assert [call.name for call in recording.in_doubt] == ["ask"]
        assert {work.kind for work in recording.open_work} == {"tool.requested", "tool.in_doubt"}
        if name in recording.children:
            ended.append((run.kind, recording.children[name].status))
    assert ended[0] == ("child.started", "empty")
    assert ("tool.started", "cancelled") in ended
    assert ended[-1] == ("child.ended", "answered")


async def test_a_cancel_that_was_on_record_before_the_crash_ends_all_after_it() -> None:
    agent = build(lowest=waiting)
    async with agent.records("Go.") as run:
        async for record in run:
            if isinstance(record.event, k.ToolStarted) and child_of(record.actor) == DIG:
                agent.abort()
    whole = agent.log.store
    first = at(agent.log.recording, "cancel.requested")
    for after in range(first, whole.seq):
        log = cut(whole, after)
        result = await build(log=log, lowest=waiting).run()
        assert result.outcome == "cancelled"
        recording = load(log)
        assert outcomes(recording) == EVERY, after
        assert recording.open_work == (), after
        assert recording.replay().ok, after


@pytest.mark.diverges
async def test_today_s_code_that_decides_otherwise_below_goes_on_with_nothing() -> None:
    whole = MemoryLog()
    await recorded(log=whole)
    log = cut(whole, at(load(whole), "tool.requested", DIG))
    broken = edited(log, log.seq, b'{"call_id":"c9","name":"x"}')
    with pytest.raises(DivergenceError, match=f"what {DIG} decides today"):
        await build(log=broken).run()
    assert broken.seq == log.seq


# Replay, fork


async def test_a_replay_compares_each_agent_and_names_the_one_that_parts() -> None:
    whole = MemoryLog()
    _, recording = await recorded(log=whole)
    report = await replay(whole, build)
    assert (report.ok, report.records, report.requests) == (True, len(recording.records), 6)
    number = at(recording, "run.ended", RESEARCH)
    other = edited(whole, number, b'{"outcome":"stopped"}')
    first = (await replay(other, build)).first_divergence
    assert first is not None
    assert (first.seq, first.machine) == (number, RESEARCH)
    assert [path.path for path in first.paths] == ["outcome", "state"]


async def test_a_fork_before_a_child_runs_it_anew_and_behind_it_not_at_all(tmp_path: Path) -> None:
    async with open_log(tmp_path / "whole") as log:
        await recorded(log=log)
    recording = load(tmp_path / "whole")
    started, ended = (at(recording, f"child.{word}") for word in ("started", "ended"))
    before = at(recording, "tool.requested")
    for number, point in ((1, before), (2, ended + 1)):
        into = tmp_path / f"fork{number}"
        async with fork(tmp_path / "whole", at=point, into=into, allow_effects=True) as log:
            result = await build(log=log).run()
            assert (log.meta.fork and log.meta.fork.at, result.text) == (point, "Done.")
            assert [name for name, _ in of(log.recording, k.ChildStarted)] == ["", RESEARCH]
            assert outcomes(log.recording)[-1] == ("", "answered")
            assert log.recording.replay().ok
    for within in range(started, ended + 1):
        async with fork(tmp_path / "whole", at=within, into=tmp_path / f"within{within}") as log:
            assert log.meta.fork is not None
            assert log.meta.fork.at == before, "a cut within a child goes back before its call"


async def test_what_an_agent_below_did_cannot_be_edited() -> None:
    whole = MemoryLog()
    await recorded(log=whole)
    with pytest.raises(ValueError, match="no call 'c1~3' before the cut"):
        async with fork(whole, at=whole.seq, edit=edits.tool_result("c1~3", "other")):
            pass
    async with fork(whole, at=whole.seq, edit=edits.tool_result("c1", "Else.")) as log:
        await build(log=log).run()
        assert log.recording.tool_calls["c1"].content == "Else."
        assert log.recording.replay().ok
