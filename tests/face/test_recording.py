"""What people ask a log first: its tool calls, what it cost, how it ended, what is in doubt."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.recordings import REPLAYS, made_of
from tests.traces import MODEL, script, text

from tinyagent import Agent, AgentOptions, AgentState, Recording, load, open_log
from tinyagent._reading.facts import Usage
from tinyagent.events import kinds as k
from tinyagent.events.lifecycle import SessionForked

ASKED: list[k.Fact] = [
    k.SessionStarted(model={"id": "m"}, tools=[k.ToolSpec("pay", effect="write")]),
    k.UserSaid("Pay."),
    k.ModelRequested(1),
    k.ModelDelta([(0, "call", {"id": "c", "name": "pay"}, 0), (0, "args", '{"eur":5}', 0)]),
    k.ModelFinished("tools", [k.CallRef("c", "pay")]),
    k.ToolRequested("c", "pay"),
]


def one_tool() -> Recording:
    return load(REPLAYS / "one-tool.jsonl")


# Folds


def test_usage_is_the_sum_over_all_answers() -> None:
    assert one_tool().usage == Usage(
        input_tokens=30, output_tokens=6, total_tokens=36, answers=3, untold=0
    )
    assert load(REPLAYS / "abort.jsonl").usage == Usage(answers=1, untold=1)


def test_a_tool_call_is_told_with_arguments_effect_outcome_and_times() -> None:
    call = made_of(*ASKED, k.ToolStarted("c", "write"), k.ToolFinished("c", "paid")).tool_calls
    assert msgspec.to_builtins(call["c"]) == {
        "call_id": "c",
        "name": "pay",
        "arguments": {"eur": 5},
        "effect": "write",
        "outcome": "finished",
        "content": "paid",
        "failure": None,
        "attempts": 1,
        "called": 5,
        "requested": 6,
        "started": 7,
        "ended": 8,
        "called_ns": 5_000_000_000,
        "started_ns": 7_000_000_000,
        "ended_ns": 8_000_000_000,
    }
    assert call["c"].took_s == 1.0


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("parallel-tools-out-of-order", [("call_p", "finished"), ("call_r", "finished")]),
        ("tool-error", [("call_p", "failed"), ("call_x", "failed")]),
        ("steering-and-hooks", [("call_p", "finished"), ("call_r", "blocked")]),
        ("plain-text", []),
    ],
)
def test_calls_stand_in_the_order_of_the_model(name: str, told: list[tuple[str, str]]) -> None:
    found = load(REPLAYS / f"{name}.jsonl").tool_calls
    assert [(call.call_id, call.outcome) for call in found.values()] == told


def test_arguments_that_are_no_object_are_none_and_changed_ones_are_those_that_ran() -> None:
    assert load(REPLAYS / "tool-error.jsonl").tool_calls["call_x"].arguments is None
    changed = made_of(*ASKED[:-1], k.ToolRequested("c", "pay", arguments={"eur": 7}))
    assert changed.tool_calls["c"].arguments == {"eur": 7}


def test_a_repeated_run_counts_its_attempts() -> None:
    twice = (k.ToolStarted("c", "idempotent"), k.ToolStarted("c", "idempotent", 2))
    call = made_of(*ASKED, *twice).tool_calls["c"]
    assert (call.attempts, call.effect, call.outcome, call.ended) == (2, "idempotent", "started", 0)


STARTED = k.ToolStarted("c", "write")
DOUBT = k.ToolInDoubt("c", "stopped")
FORKED = SessionForked()
SETTLED = k.ToolSettled("c", "unknown", "policy")


@pytest.mark.parametrize(
    ("more", "doubtful"),
    [
        ((), []),
        ((STARTED,), ["c"]),
        ((k.ToolStarted("c", "idempotent"),), []),
        ((STARTED, DOUBT), ["c"]),
        ((STARTED, DOUBT, SETTLED), []),
        ((STARTED, DOUBT, k.ToolReconciled("c", "unknown")), ["c"]),
        (
            (
                STARTED,
                DOUBT,
                k.ToolReconciled("c", "not_done"),
            ),
            [],
        ),
        (
            (
                STARTED,
                DOUBT,
                k.ToolReconciled("c", "done"),
            ),
            [],
        ),
    ],
)
def test_a_call_is_in_doubt_until_somebody_decides(more: Any, doubtful: list[str]) -> None:
    assert [call.call_id for call in made_of(*ASKED, *more).in_doubt] == doubtful


def test_a_call_that_is_running_is_in_doubt_only_if_its_process_is_gone() -> None:
    assert made_of(*ASKED, STARTED, is_live=True).in_doubt == []
    assert made_of(*ASKED, STARTED, DOUBT, is_live=True).in_doubt != []


def test_a_call_that_waits_for_an_approval_is_listed_until_it_is_decided() -> None:
    asked = k.ApprovalRequested("c", "x")
    decided = k.ApprovalDecided("c", "x", True)
    waiting = made_of(*ASKED[:-1], asked)
    assert [call.name for call in waiting.approvals_pending] == ["pay"]
    assert made_of(*ASKED[:-1], asked, decided).approvals_pending == []


@pytest.mark.parametrize(
    ("events", "is_live", "status"),
    [
        ((), False, "empty"),
        (ASKED[:1], True, "empty"),
        (ASKED[:2], False, "crashed"),
        (ASKED, False, "crashed"),
        (ASKED, True, "running"),
        ((*ASKED[:2], k.RunEnded("over_budget")), False, "over_budget"),
        ((*ASKED[:2], k.RunEnded("paused"), k.UserSaid("x", "steer")), False, "paused"),
        ((*ASKED[:2], k.RunEnded("paused"), k.ToolRequested("c", "pay")), True, "running"),
        ((*ASKED[:2], k.RunEnded("failed"), k.UserContinued()), False, "crashed"),
        ((*ASKED, FORKED), False, "forked"),
        ((*ASKED, FORKED, k.ToolFinished("c", "x")), False, "forked"),
        ((*ASKED, FORKED, k.ToolRequested("c", "pay")), False, "crashed"),
        ((*ASKED, FORKED, k.TurnEnded(1)), False, "crashed"),
        ((*ASKED[:2], k.RunEnded("answered"), FORKED), False, "answered"),
    ],
)
def test_the_status_is_how_the_last_run_stands(events: Any, is_live: bool, status: str) -> None:
    assert made_of(*events, is_live=is_live).status == status


HOLDER = """
import asyncio, os, sys
from tinyagent import open_log
from tinyagent.events import encode, kinds as k

async def main():
    async with open_log(sys.argv[1], durability="strict") as log:
        for seq, event in enumerate([k.SessionStarted(), k.UserSaid("hi")], 1):
            log.append(seq, seq, None, event.kind, 1, 0, encode(event))
        await log.durable(2)
        print("written", flush=True)
        sys.stdin.readline()
        os._exit(1)

asyncio.run(main())
"""


def test_a_run_goes_on_while_the_process_that_writes_it_lives(tmp_path: Path) -> None:
    where = tmp_path / "log"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(where)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        before = {path.name: path.stat().st_mtime_ns for path in where.iterdir()}
        assert load(where).status == "running"
        assert {path.name: path.stat().st_mtime_ns for path in where.iterdir()} == before
        writer.stdin.write("\n")
        writer.stdin.close()
        writer.wait(30)
    assert load(where).status == "crashed"


async def test_an_open_log_is_read_the_same_way(tmp_path: Path) -> None:
    async with open_log(tmp_path / "log") as log:
        state = AgentState(model=MODEL)
        await Agent(
            AgentOptions(initial_state=state, log=log, stream_fn=script(text("Hi.")))
        ).prompt("Hello")
        now = load(log)
        assert (now.status, len(now.messages)) == ("answered", 2)
        assert now.state_at(now.records[-1].seq).plain()["agent"]["phase"] == "idle"
    assert load(tmp_path / "log").diff(now).is_same
    assert now.ref == log.meta.log[:8]


def test_a_recording_tells_which_log_it_is() -> None:
    found = load(REPLAYS / "one-tool.jsonl")
    assert repr(found) == f"<log {found.meta.log[:8]}, {found.where}: {len(found.records)} records>"
