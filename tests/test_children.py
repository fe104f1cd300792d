"""Agents below an agent: one log, causes unbroken, limits inherited, one cancel ends all."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as replaced

from tinyagent import (
    Agent,
    AgentOptions,
    AgentTool,
    ChildEnded,
    ChildStarted,
    Ctx,
    Limits,
    Price,
    RunResult,
    ToolDefinitionError,
    current_ctx,
    open_log,
    rerun,
    tool,
)
from tinyagent.actors.replaying import verify
from tinyagent.events import Redactor, kinds as k
from tinyagent.events.children import child_of
from tinyagent.masking import masked
from tinyagent.recording import Recording
from tinyagent.runtime.sinks.spans import spans_of
from tinyagent.testing import scripted
from tinyagent.testing._answered import answers_in

RESEARCH, DIG = "agent:main/research#1", "agent:main/research#1/dig#1"


@tool(effect="write")
async def note(text: str) -> str:
    """Write something down."""
    return f"noted {text}"


@tool(effect="read")
async def look(text: str) -> str:
    """Look something up."""
    return f"seen {text}"


def build(
    *,
    log: Any = None,
    lowest: AgentTool = note,
    options: AgentOptions | None = None,
    **more: Any,
) -> Agent:
    """Return an agent over an agent over an agent, which has the tool *lowest*."""
    digger = Agent(model=scripted((lowest.name, {"text": "x"}), "Dug."), tools=[lowest])
    researcher = Agent(
        model=scripted(("dig", {"task": "Dig."}), "Found."), tools=[digger.as_tool("dig", "Digs.")]
    )
    return Agent(
        options,
        model=scripted(("research", {"task": "Look-it-up."}), "Done."),
        tools=[researcher.as_tool("research", "Looks things up.")],
        log=log,
        **more,
    )


async def recorded(**more: Any) -> tuple[RunResult, Recording]:
    agent = build(**more)
    result = await agent.run("Go.")
    return result, agent.log.recording


def of(recording: Recording, *events: type[k.Fact]) -> list[tuple[str, Any]]:
    """Return the events of these kinds, each with the agent that it is of."""
    found = (record for record in recording.records if isinstance(record.event, events))
    return [(child_of(record.actor), record.event) for record in found]


def outcomes(recording: Recording) -> list[tuple[str, str]]:
    return [(name, event.outcome) for name, event in of(recording, k.RunEnded)]


async def test_a_call_that_is_over_begins_no_agent_any_more() -> None:
    kept: list[Ctx[Any]] = []

    @tool(effect="read")
    async def keep(ctx: Ctx[Any]) -> str:
        """Keep the context."""
        kept.append(ctx)
        return "kept"

    await Agent(model=scripted(("keep", {}), "Done."), tools=[keep]).run("Go.")
    with pytest.raises(RuntimeError, match="is over, and begins no agent any more"):
        await kept[0].run(Agent(model=scripted("Late.")), "Go on.")


# Three levels


async def test_three_levels_are_one_log_each_under_a_name_of_its_own() -> None:
    result, recording = await recorded()
    assert (result.outcome, result.text) == ("answered", "Done.")
    assert list(recording.children) == [RESEARCH, DIG]
    assert outcomes(recording) == [(DIG, "answered"), (RESEARCH, "answered"), ("", "answered")]
    assert {record.actor for record in recording.records if child_of(record.actor) == DIG} == {
        DIG,
        *(f"{DIG}/{worker}" for worker in ("session", "host", "model", "tools")),
    }
    assert [record.seq for record in recording.records] == list(
        range(1, len(recording.records) + 1)
    )
    assert of(recording, ChildStarted) == [
        ("", ChildStarted(RESEARCH, "c1")),
        (RESEARCH, ChildStarted(DIG, "c1~2")),
    ]
    assert of(recording, ChildEnded) == [
        (RESEARCH, ChildEnded(DIG, "answered", "Dug.", {"tokens": 7, "tool_calls": 1})),
        ("", ChildEnded(RESEARCH, "answered", "Found.", {"tokens": 13, "tool_calls": 2})),
    ]


async def test_every_record_below_leads_to_the_call_that_it_was_for() -> None:
    _, recording = await recorded()
    asked = {event.name: name for name, event in of(recording, k.ToolRequested)}
    assert asked == {"research": "", "dig": RESEARCH, "note": DIG}
    for record in recording.records:
        chain = recording.why(record.seq).chain
        calls = [r.event.name for r in chain if isinstance(r.event, k.ToolRequested)]
        below = child_of(record.actor)
        assert ("research" in calls) >= (below != ""), record
        assert ("dig" in calls) >= (below == DIG), record
        assert chain[-1].cause == 0


async def test_the_main_agents_folds_know_nothing_of_what_is_below() -> None:
    result, recording = await recorded()
    assert list(recording.tool_calls) == ["c1"]
    assert list(recording.every_call) == ["c1", "c1~2", "c1~3"]
    assert len(result.messages) == len(recording.messages) == 4
    assert [tool.name for tool in recording.settings.tools] == ["research"]
    below = recording.children[DIG]
    assert (below.status, list(below.tool_calls)) == ("answered", ["c1~3"])
    assert [tool.name for tool in below.settings.tools] == ["note"]
    assert recording.usage.answers == 6
    assert recording.usage.total_tokens == 3 + 13 + 3


async def test_every_record_is_yielded_and_of_events_only_those_of_the_agent() -> None:
    agent = build()
    seen = [record async for record in agent.records("Go.")]
    stored = agent.log.records()
    assert [(r.seq, r.cause, r.actor, r.event) for r in seen] == [
        (r.seq, r.cause, r.actor, r.event) for r in stored if r.seq > 1
    ]
    events = [event async for event in build().events("Go.")]
    own = [record.event.kind for record in stored if record.seq > 1 and not child_of(record.actor)]
    assert [event.kind for event in events] == own
    assert {"child.started", "child.ended"} <= set(own)


async def test_the_exact_request_and_the_state_below_are_there() -> None:
    _, recording = await recorded()
    asked = next(
        r for r in recording.records if r.actor == DIG and r.event.kind == "model.requested"
    )
    request = recording.request_at(asked.seq)
    assert (request.is_verified, request.n, request.before) == (True, 1, 0)
    assert b"Dig." in request.body
    assert b"Look-it-up." not in request.body
    standing = recording.state_at(asked.seq)
    phases = {name: state and state.phase for name, state in standing.children.items()}
    assert phases == {RESEARCH: "acting", DIG: "thinking"}
    assert standing.agent is not None
    assert standing.agent.phase == "acting"
    assert recording.state_at(recording.records[-1].seq).children == {}


async def test_a_childs_run_is_a_span_in_that_of_its_call() -> None:
    _, recording = await recorded()
    spans = spans_of(recording.meta, recording.records)
    names = {span.span_id: span.name for span in spans}
    tree = [(span.name, names.get(span.parent_id, "")) for span in spans]
    assert tree[:9] == [
        ("invoke_agent agent", ""),
        ("chat scripted", "invoke_agent agent"),
        ("execute_tool research", "invoke_agent agent"),
        ("invoke_agent research#1", "execute_tool research"),
        ("chat scripted", "invoke_agent research#1"),
        ("execute_tool dig", "invoke_agent research#1"),
        ("invoke_agent dig#1", "execute_tool dig"),
        ("chat scripted", "invoke_agent dig#1"),
        ("execute_tool note", "invoke_agent dig#1"),
    ]
    told = [span.attributes.get("gen_ai.usage.input_tokens", 0) for span in spans]
    assert sum(told) == recording.usage.input_tokens


# As a tool, and for one


async def test_a_tool_runs_agents_side_by_side_and_each_has_its_number() -> None:
    optimist, pessimist = (Agent(model=scripted(text)) for text in ("Rising.", "Falling."))

    @tool
    async def outlook(ctx: Ctx, of: str) -> str:
        both = await asyncio.gather(ctx.run(optimist, of), ctx.run(pessimist, of))
        return " ".join(result.text for result in both)

    agent = Agent(model=scripted(("outlook", {"of": "tea"}), "Mixed."), tools=[outlook])
    await agent.run("Well?")
    recording = agent.log.recording
    assert recording.tool_calls["c1"].content == "Rising. Falling."
    texts = {name: child.messages[-1] for name, child in recording.children.items()}
    assert [(name, m.content[0].text) for name, m in texts.items()] == [  # type: ignore[union-attr] # texts all
        ("agent:main/outlook#1", "Rising."),
        ("agent:main/outlook#2", "Falling."),
    ]
    assert recording.replay().ok
    assert optimist.state.messages == []


async def test_an_agent_that_fails_below_fails_its_call_and_the_model_is_told() -> None:
    broken = Agent(model=scripted(ValueError("no such model")))
    agent = Agent(
        model=scripted(("ask", {"task": "Anything?"}), "Sorry."),
        tools=[broken.as_tool("ask", "Asks.")],
    )
    result = await agent.run("Go.")
    assert (result.outcome, result.text) == ("answered", "Sorry.")
    recording = agent.log.recording
    assert outcomes(recording) == [("agent:main/ask#1", "failed"), ("", "answered")]
    assert "no such model" in str(recording.tool_calls["c1"].content)


def test_an_agent_as_a_tool_says_what_it_may_do_to_the_world() -> None:
    reading, writing = (Agent(model=scripted("x"), tools=[each]) for each in (look, note))
    assert reading.as_tool("r", "Reads.").effect == "read"
    assert writing.as_tool("w", "Writes.").effect == "idempotent"
    assert writing.as_tool("w", "Writes.", effect="write").effect == "write"
    with pytest.raises(ToolDefinitionError, match="effect='much' is none of pure, read"):
        writing.as_tool("w", "Writes.", effect="much")  # type: ignore[arg-type] # on purpose


async def test_who_approves_above_is_asked_below_and_without_anybody_the_call_fails() -> None:
    @tool(effect="write", approval="always", name="note")
    async def approved(text: str) -> str:
        return f"noted {text}"

    options = AgentOptions(on_approval=lambda call: call.name == "note")
    _, recording = await recorded(lowest=approved, options=options)
    assert recording.every_call["c1~3"].content == "noted x"
    _, recording = await recorded(lowest=approved)
    assert outcomes(recording) == [(DIG, "paused"), (RESEARCH, "answered"), ("", "answered")]
    told = "The agent dig waits for an approval, and nobody is there to give it"
    assert recording.every_call["c1~2"].content == told
    assert (recording.open_work, recording.approvals_pending) == ((), [])


async def test_a_log_with_agents_below_is_masked_said_again_and_answered_from(
    tmp_path: Path,
) -> None:
    async with open_log(tmp_path / "log") as log:
        _, recording = await recorded(log=log)
    redactor = Redactor()
    redactor.register("word", "Look-it-up.")
    now = masked(recording.records, redactor)
    changed = [replaced(r, event=now.get(r.seq, r.event)) for r in recording.records]
    assert {child_of(r.actor) for r in recording.records if r.seq in now} == {"", RESEARCH}
    assert verify("masked", changed).ok
    again = await rerun(tmp_path / "log", build)
    assert again.diff(recording).is_same
    answers = list(answers_in(recording))
    assert len(answers) == 6


async def test_outside_of_a_tool_nothing_is_run_below() -> None:
    found: list[str] = []

    async def before(call: Any, tool: Any, arguments: Any) -> None:
        try:
            await current_ctx().run(Agent(model=scripted("x")), "Go.")
        except RuntimeError as error:
            found.append(str(error))

    options = AgentOptions(before_tool_call=before)
    agent = Agent(options, model=scripted(("look", {"text": "x"}), "Done."), tools=[look])
    await agent.run("Go.")
    assert found == ["ctx.run() runs an agent for a tool call: use it inside of a tool"]


# Limits


async def test_what_is_left_above_is_all_that_there_is_below_and_its_use_counts_above() -> None:
    result, recording = await recorded(limits=Limits(tokens_max=12))
    assert result.outcome == "over_budget"
    assert [event.limits for _, event in of(recording, ChildStarted)] == [
        {"tokens_max": 9},
        {"tokens_max": 6},
    ]
    assert [(name, e.seen, e.max) for name, e in of(recording, k.BudgetExceeded)] == [
        (RESEARCH, 10, 9),
        ("", 13, 12),
    ]


async def test_calls_below_count_above() -> None:
    _, recording = await recorded(limits=Limits(tool_calls_max=2))
    blocked = [(name, event.by) for name, event in of(recording, k.ToolBlocked)]
    assert blocked == [(DIG, "limit")]
    assert outcomes(recording) == [(DIG, "over_budget"), (RESEARCH, "answered"), ("", "answered")]


async def test_money_below_counts_above_and_a_model_without_a_price_is_not_asked() -> None:
    prices = {"scripted": Price(input_usd=1.0, output_usd=1.0)}
    agent = build(limits=Limits(cost_usd_max=0.00001), prices=prices)
    result = await agent.run("Go.")
    assert result.outcome == "over_budget"
    recording = agent.log.recording
    exceeded = [(name, event.limit) for name, event in of(recording, k.BudgetExceeded)]
    assert exceeded[-1] == ("", "cost_usd_max")


async def test_the_limits_of_an_agent_below_are_its_own_where_they_are_less() -> None:
    child = Agent(
        model=scripted(("look", {"text": "x"}), "Dug."), tools=[look], limits=Limits(turns_max=1)
    )
    agent = Agent(
        model=scripted(("dig", {"task": "Dig."}), "Done."), tools=[child.as_tool("dig", "Digs.")]
    )
    result = await agent.run("Go.")
    assert result.outcome == "answered"
    assert outcomes(agent.log.recording) == [("agent:main/dig#1", "over_budget"), ("", "answered")]
    told = str(agent.log.tool_calls["c1"].content)
    assert told == "The agent dig has reached a limit before it had an answer"
