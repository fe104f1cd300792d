"""Agents below an agent: one log, causes unbroken, limits inherited, one cancel ends all."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.crashing import cut

from tinyagent import (
    Agent,
    ChildEnded,
    ChildStarted,
    Ctx,
    Limits,
    Price,
    Record,
    RunResult,
    ToolFailed,
    UnknownOutcome,
    edits,
    fork,
    load,
    open_log,
    replay,
    resume,
    tool,
)
from tinyagent.events import kinds as k
from tinyagent.events.children import child_of
from tinyagent.recording import Recording
from tinyagent.runtime.stores import Log
from tinyagent.runtime.stores.memory import MemoryLog
from tinyagent.testing import VirtualClock, crash_runs, scripted

RESEARCH, DIG = "agent:main/research#1", "agent:main/research#1/dig#1"


@tool(effect="write")
async def note(text: str) -> str:
    """Write something down."""
    return f"noted {text}"


def build(*, log: Any = None, tools: Any = (note,), **more: Any) -> Agent:
    """Return an agent over an agent over an agent; the lowest has *tools*."""
    digger = Agent(model=scripted((tools[0].name, {"text": "x"}), "Dug."), tools=list(tools))
    researcher = Agent(
        model=scripted(("dig", {"task": "Dig."}), "Found."),
        tools=[digger.as_tool("dig", "Digs.")],
    )
    return Agent(
        model=scripted(("research", {"task": "Look."}), "Done."),
        tools=[researcher.as_tool("research", "Looks things up.")],
        log=log,
        **more,
    )


async def whole(**more: Any) -> tuple[RunResult, Recording]:
    agent = build(**more)
    result = await agent.run("Go.")
    return result, agent.log.recording


def only(recording: Recording, *events: type[k.Fact]) -> list[Record]:
    return [record for record in recording.records if isinstance(record.event, events)]


# Three levels


async def test_three_levels_write_one_log_under_names_of_their_own() -> None:
    result, recording = await whole()
    assert (result.outcome, result.text) == ("answered", "Done.")
    assert list(recording.children) == [RESEARCH, DIG]
    names = dict.fromkeys(record.actor for record in recording.records)
    assert (
        list(names)[-6:]
        == [
            *(f"{RESEARCH}{below}" for below in ("/session", "/host", "", "/model", "/tools")),
            *(f"{DIG}{below}" for below in ("/session", "/host", "", "/model", "/tools")),
        ][-6:]
    )
    assert [record.seq for record in recording.records] == list(
        range(1, recording.records[-1].seq + 1)
    )


async def test_every_record_below_leads_to_the_call_that_it_was_for() -> None:
    _, recording = await whole()
    calls = {record.event.name: record.seq for record in only(recording, k.ToolRequested)}
    for record in recording.records:
        chain = [cause.seq for cause in recording.why(record.seq).chain]
        below = child_of(record.actor)
        assert (calls["research"] in chain) == bool(below), record
        assert (calls["dig"] in chain) == (below == DIG), record
    lowest = next(r for r in only(recording, k.RunEnded) if r.actor == DIG)
    kinds = [record.event.kind for record in recording.why(lowest.seq).chain]
    assert kinds.count("child.started") == kinds.count("tool.requested") == 2 + 1
