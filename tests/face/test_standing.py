"""Questions to a log: how things stood at a record, what led there, what came of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tests.recordings import REPLAYS, made_of
from tests.traces import MODEL, calls, result, script, text, tool

from tinyagent import Agent, AgentOptions, AgentState, Recording, load, open_log
from tinyagent.actors.state import State, digest_of
from tinyagent.events import Conversation, encode, kinds as k
from tinyagent.events.children import child_of
from tinyagent.events.messages import Assistant, User
from tinyagent.runtime.errors import NotInLogError
from tinyagent.runtime.stores.memory import MemoryLog

FILES = sorted(REPLAYS.glob("*.jsonl"))


def one_tool() -> Recording:
    return load(REPLAYS / "one-tool.jsonl")


# How things stood


def test_the_state_after_a_record_is_the_agents_the_conversations_and_what_is_open() -> None:
    found = one_tool().state_at(8)
    assert found.agent is not None
    assert (found.agent.phase, found.agent.n, found.agent.left) == ("acting", 1, 1)
    assert [(work.seq, work.kind, work.call_id) for work in found.open] == [
        (7, "tool.requested", "call_p")
    ]
    assert [type(message) for message in found.messages] == [User, Assistant]
    assert found.settings.model["id"] == "planner-1"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_state_after_every_run_is_the_one_whose_digest_was_recorded(path: Path) -> None:
    read = load(path)
    seen = 0
    for record in read.records:
        standing = read.state_at(record.seq)
        assert standing.fault == ""
        if isinstance(record.event, k.RunEnded):
            then, child = read.state_at(record.cause), child_of(record.actor)
            agent = then.children[child] if child else then.agent
            assert agent is not None
            assert digest_of(agent) == record.event.state
            assert child or standing.open == ()
            seen += 1
    assert seen


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_state_is_the_same_whatever_was_looked_at_before(path: Path) -> None:
    numbers = [record.seq for record in load(path).records]
    read = load(path)
    forwards = [read.state_at(n).plain() for n in numbers]
    backwards = [read.state_at(n).plain() for n in reversed(numbers)]
    assert forwards == backwards[::-1]
    assert forwards == [load(path).state_at(n).plain() for n in numbers]


def test_a_state_looked_at_does_not_change_when_the_walk_goes_on() -> None:
    read = load(REPLAYS / "steering-and-hooks.jsonl")
    early = read.state_at(19)
    before = early.plain()
    read.state_at(45)
    assert early.plain() == before


def test_before_the_first_record_nothing_is_known() -> None:
    found = one_tool().state_at(0)
    assert (found.agent, found.messages, found.open) == (State(), [], ())


@pytest.mark.parametrize("ask", ["state_at", "why", "impact"])
def test_a_record_that_is_not_there_is_told(ask: str) -> None:
    with pytest.raises(NotInLogError, match="there is no record 99; there are 1 to 21"):
        getattr(one_tool(), ask)(99)


def test_what_changed_between_two_records_is_told_leaf_by_leaf() -> None:
    found = one_tool().state_diff(8, 9)
    assert [(change.path, change.recorded, change.now) for change in found][:5] == [
        ("agent.phase", "acting", "thinking"),
        ("agent.poll", "start", "batch"),
        ("agent.n", 1, 2),
        ("agent.turns", 1, 2),
        ("agent.calls.call_p", {**CALL, "phase": "open"}, "(absent)"),
    ]
    assert "messages[2]" in [change.path for change in found]
    assert one_tool().state_diff(9, 9) == []


CALL = {
    "id": "call_p",
    "name": "weather",
    "terminate": False,
    "attempt": 1,
    "doubt": "",
    "args": "6e1e312d537bc71b",
    "approved": None,
}


def test_a_log_that_today_s_agent_cannot_read_is_told_and_its_conversation_is_there() -> None:
    strange = made_of(k.SessionStarted(), k.UserSaid("Pay."), k.ToolFinished("c", "nobody asked"))
    found = strange.state_at(3)
    assert found.agent is None
    assert found.fault.startswith("record 3: UnexpectedEventError")
    assert [message.seq for message in found.messages] == [2]
    assert strange.state_at(2).agent is not None


async def long_log(turns: int) -> MemoryLog:
    """Record a run of *turns* turns with a tool each."""
    log = MemoryLog()

    async def ok(*_: Any) -> Any:
        return result("ok")

    answers = (calls((f"c{i}", "f", {})) for i in range(turns))
    state = AgentState(model=MODEL, tools=[tool("f", ok)])
    stream = script(*answers, text("Done."))
    await Agent(AgentOptions(initial_state=state, log=log, stream_fn=stream)).prompt("hi")
    return log


async def test_a_walk_over_ten_thousand_records_folds_each_of_them_once() -> None:
    read = load(await long_log(1250))
    assert len(read.records) > 8 * 1250
    folded = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal folded
        folded += event == "call" and frame.f_code is Conversation.evolve.__code__

    sys.setprofile(count)
    try:
        last = [read.state_at(record.seq) for record in read.records][-1]
        diff = read.state_diff(5000, read.records[-1].seq)
    finally:
        sys.setprofile(None)
    assert len(last.messages) == 2 * 1250 + 2
    assert diff
    assert folded == 2 * len(read.records)  # once through, and once more to look back


# Causes


def test_why_is_the_chain_of_causes_up_to_an_input_from_outside() -> None:
    found = one_tool().why(15)
    assert [record.seq for record in found.chain] == [15, 13, 11, 9, 7, 6, 3, 2]
    assert found.chain[-1].cause == 0


def test_why_names_the_records_that_filled_the_request() -> None:
    found = one_tool().why(17)
    kinds = [(record.seq, record.event.kind) for record in found.filled]
    assert found.request == 17
    assert kinds == [
        (1, "session.started"),
        (2, "user.said"),
        (6, "model.finished"),
        (9, "tool.finished"),
        (13, "model.finished"),
        (16, "user.said"),
    ]
    early = one_tool().why(2)
    assert (early.request, early.filled) == (0, ())


def test_a_request_that_a_hook_shaped_is_filled_by_what_the_hook_left_in_it() -> None:
    found = load(REPLAYS / "steering-and-hooks.jsonl").why(39)
    assert [record.seq for record in found.filled] == [1, 32, 2]


def test_impact_is_the_tree_below_a_record() -> None:
    found = one_tool().impact(6)
    assert [(below.depth, below.record.seq) for below in found] == [
        *[(0, 6), (1, 7), (2, 8), (2, 9), (3, 10), (3, 11)],
        *[(4, 12), (4, 13), (5, 14), (5, 15)],
    ]


def test_a_queued_message_leads_to_its_delivery() -> None:
    found = load(REPLAYS / "steering-and-hooks.jsonl").impact(18)
    assert [below.record.event.kind for below in found] == ["user.said", "user.delivered"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_led_to_a_record_has_it_below(path: Path) -> None:
    read = load(path)
    for record in read.records:
        for above in read.why(record.seq).chain:
            assert record in [below.record for below in read.impact(above.seq)]


async def test_causes_of_a_long_run_are_followed_to_their_end() -> None:
    read = load(await long_log(1000))
    last = read.records[-1].seq
    assert len(read.why(last).chain) > 4000
    assert len(read.impact(2)) == last - 1


def test_a_cause_that_is_no_earlier_record_is_no_edge() -> None:
    odd = made_of(*[k.UserSaid("x")] * 4, causes=(0, 3, 2, 99))
    assert [record.seq for record in odd.why(2).chain] == [2]
    assert [record.seq for record in odd.why(3).chain] == [3, 2]
    assert [record.seq for record in odd.why(4).chain] == [4]
    assert [below.record.seq for below in odd.impact(2)] == [2, 3]


# Damage


def test_every_question_is_answered_on_a_torn_log(tmp_path: Path) -> None:
    whole = (REPLAYS / "one-tool.jsonl").read_bytes()
    path = tmp_path / "00000001.jsonl"
    path.write_bytes(whole[: whole.index(b'{"seq":12,') + 20])
    os.utime(path, ns=(5, 5))
    read = load(tmp_path)
    assert read.damage is not None
    assert read.damage.verdict == "torn"
    assert (len(read.records), read.status) == (11, "crashed")
    assert read.request_at(11).body == one_tool().request_at(11).body
    assert [record.seq for record in read.why(11).chain] == [11, 9, 7, 6, 3, 2]
    assert [work.kind for work in read.state_at(11).open] == ["model.requested"]
    assert not read.diff(one_tool()).is_same
    assert path.stat().st_mtime_ns == 5
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


async def test_a_large_value_that_is_gone_is_shown_as_lost(tmp_path: Path) -> None:
    async with open_log(tmp_path / "log") as log:
        events: list[k.Event] = [
            k.SessionStarted(model={"id": "m"}),
            k.UserSaid("x" * 100_000),
            k.ModelRequested(1),
            k.ModelFailed(k.Failure("network", "y" * 100_000)),
            k.HostAnswered("context", ops=[["+", {"role": "user", "content": "z" * 100_000}]]),
            k.ContextEdited([["insert", {"role": "user", "content": "z" * 100_000}]]),
        ]
        for seq, event in enumerate(events, 1):
            log.append(seq, seq, None, event.kind, 1, seq - 1, encode(event))
    blobs = [path for path in (tmp_path / "log" / "blobs").rglob("*") if path.is_file()]
    assert len(blobs) == 3
    for path in blobs:
        path.unlink()
    read = load(tmp_path / "log")
    assert read.damage is not None
    assert [value.seq for value in read.damage.lost_values] == [2, 4, 5, 6]
    assert [record.event.kind for record in read.records] == [event.kind for event in events]
    said = read.records[1].event
    assert isinstance(said, k.UserSaid)
    assert str(said.content).startswith("(lost: 100000 bytes, sha256:")
    assert b'"$blob"' in read.records[1].payload
    assert len(read.messages) == 3
    assert read.why(4).request == 3
    assert not read.diff(made_of(*events, causes=range(6))).is_same
