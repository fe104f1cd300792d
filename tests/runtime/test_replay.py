"""A recorded session is stepped again: the same, or the first place where it is not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tinyagent.actors import gate
from tinyagent.actors.session import agent_machine
from tinyagent.actors.state import digest_of
from tinyagent.events import Event, Failure, Record, UnknownEvent, decode, encode, kinds as k
from tinyagent.events.upcast import UPCASTERS
from tinyagent.runtime.divergence import Difference, Divergence, Report
from tinyagent.runtime.errors import DivergenceError, EffectInReplayError
from tinyagent.runtime.loops import Machine
from tinyagent.runtime.replay import Finding, replay

CALLS = [k.CallRef("a", "add", "1"), k.CallRef("b", "mul", "2")]
INPUTS: list[Event] = [
    k.SessionStarted(options={"steering_mode": "all"}),
    k.UserSaid("hi"),
    k.ModelFinished("tools", CALLS),
    k.ToolFinished("b", "6"),
    k.UserSaid("faster", "steer"),
    k.ToolFailed("a", Failure("host", "no")),
    k.ModelFinished("end"),
    k.UserSaid("again"),
    k.ModelFinished("end"),
]
# What the agent decides at these inputs, as records 3, 5, 6, 10-12, 14, 15, 17, 19, 20.


def record(seq: int, event: Event, cause: int) -> Record:
    return Record(seq=seq, at_ns=0, cause=cause, actor="", event=event)


def session(inputs: Sequence[Event] = INPUTS) -> list[Record]:
    """Return *inputs* and what the agent decided at each, as they stand in a log."""
    machine = agent_machine()
    records: list[Record] = []
    for event in inputs:
        given = record(len(records) + 1, event, 0)
        records.append(given)
        for decided in machine.take(given):
            records.append(record(len(records) + 1, decided, given.seq))
    return records


def replayed(records: Sequence[Record], **more: Any) -> Report:
    return replay("runs/x", records, [agent_machine()], **more)


def diverged(records: Sequence[Record], **more: Any) -> Divergence:
    found = replayed(records, **more).first_divergence
    assert found is not None
    return found


def edited(records: list[Record], seq: int, **fields: Any) -> list[Record]:
    event = msgspec.structs.replace(records[seq - 1].event, **fields)
    changed = msgspec.structs.replace(records[seq - 1], event=event)
    return [*records[: seq - 1], changed, *records[seq:]]


def without(records: list[Record], seq: int) -> list[Record]:
    return [record for record in records if record.seq != seq]


def test_the_story_that_is_replayed_here() -> None:
    assert [(r.seq, r.event.kind, r.cause) for r in session()] == [
        (1, "session.started", 0),
        (2, "user.said", 0),
        (3, "model.requested", 2),
        (4, "model.finished", 0),
        (5, "tool.requested", 4),
        (6, "tool.requested", 4),
        (7, "tool.finished", 0),
        (8, "user.said", 0),
        (9, "tool.failed", 0),
        (10, "turn.ended", 9),
        (11, "user.delivered", 9),
        (12, "model.requested", 9),
        (13, "model.finished", 0),
        (14, "turn.ended", 13),
        (15, "run.ended", 13),
        (16, "user.said", 0),
        (17, "model.requested", 16),
        (18, "model.finished", 0),
        (19, "turn.ended", 18),
        (20, "run.ended", 18),
    ]


def test_a_recorded_session_is_the_same_today() -> None:
    report = replayed(session())
    assert report.ok
    assert (report.records, report.matched, report.unfinished) == (20, 11, 0)
    report.check()


def test_nothing_at_all_is_the_same_too() -> None:
    assert replayed([]).ok


def test_the_order_in_which_decisions_of_different_inputs_were_written_does_not_matter() -> None:
    records = session()
    swapped = [*records[:6], records[8], *records[6:8], *records[9:]]
    assert [r.seq for r in swapped][6:9] == [9, 7, 8]
    late = [r for r in records if r.seq != 6]
    late.insert(7, records[5])  # a decision of input 4 behind other records
    assert replayed(late).ok


@pytest.mark.parametrize(
    ("seq", "fields", "path", "then", "now"),
    [
        (3, {"n": 7}, "n", 7, 1),
        (5, {"name": "sub"}, "name", "sub", "add"),
        (6, {"attempt": 2}, "attempt", 2, "(absent)"),
        (6, {"arguments": {"x": 1}}, "arguments.x", 1, "(absent)"),
        (11, {"said": [7]}, "said[0]", 7, 8),
        (15, {"outcome": "failed"}, "outcome", "failed", "answered"),
    ],
)
def test_one_changed_field_is_found_where_it_is(
    seq: int, fields: dict[str, Any], path: str, then: Any, now: Any
) -> None:
    found = diverged(edited(session(), seq, **fields))
    if path == "arguments.x":
        path, then = "arguments", {"x": 1}  # the field as a whole is absent today
    assert (found.seq, found.grade, found.paths) == (seq, "shape", (Difference(path, then, now),))
    assert (found.agreed, found.not_compared) == (seq - 1, 20 - seq)


def test_a_state_hash_finds_what_shows_in_no_other_field() -> None:
    records = session()
    hidden = edited(records, 2, via="follow_up")  # says the same, waits instead
    assert diverged(hidden).seq == 3
    end = records[14].event
    assert isinstance(end, k.RunEnded)
    found = diverged(edited(records, 15, state="0" * 16))
    assert found.paths == (Difference("state", "0" * 16, end.state),)


def test_a_decision_that_is_not_taken_today_is_missing() -> None:
    records = session()
    more = record(7, k.ToolRequested("c", "div"), 4)
    found = diverged([*records[:6], more, *records[6:]])
    assert (found.seq, found.grade, found.input, found.ordinal, found.of) == (7, "missing", 4, 3, 3)
    assert found.recorded == ("tool.requested", {"call_id": "c", "name": "div"})
    assert found.now is None
    assert found.machine == "agent"


def test_a_decision_that_is_not_recorded_is_extra() -> None:
    found = diverged(without(session(), 6))
    assert (found.seq, found.grade, found.input, found.ordinal, found.of) == (0, "extra", 4, 2, 1)
    assert found.recorded is None
    assert found.now == ("tool.requested", {"call_id": "b", "name": "mul"})
    assert "a record after" in str(found)


def test_another_kind_in_the_same_place_shows_both() -> None:
    found = diverged(without(session(), 10))
    assert (found.seq, found.grade, found.paths) == (11, "shape", ())
    assert found.recorded == ("user.delivered", {"said": [8]})
    assert found.now == ("turn.ended", {"n": 1})


def test_what_cannot_follow_is_a_divergence_and_not_a_crash() -> None:
    records = session()
    found = diverged([*records[:12], record(13, k.ToolFinished("a"), 0)])
    assert (found.input, found.now) == (13, None)
    assert "cannot occur while the agent is thinking" in found.cause


@pytest.mark.parametrize("length", range(21))
def test_a_log_that_a_crash_cut_off_anywhere_replays(length: int) -> None:
    report = replayed(session()[:length])
    assert report.ok, report.first_divergence
    assert report.matched + report.unfinished == len(decided_by(length))


def decided_by(length: int) -> list[Record]:
    """Return the decisions whose input is among the first *length* records."""
    return [r for r in session() if 0 < r.cause <= length]


def test_only_the_very_end_may_be_unfinished() -> None:
    records = session()
    report = replayed(records[:5])
    assert (report.matched, report.unfinished) == (2, 1)
    assert diverged([r for r in records if r.seq not in (14, 15)]).grade == "extra"


def test_todays_configuration_takes_the_place_of_the_recorded_one() -> None:
    today = k.SessionStarted(hooks=["before_tool_call"], options={"steering_mode": "all"})
    found = diverged(session(), instead={1: today})
    assert (found.seq, found.input) == (5, 4)
    assert found.recorded == ("tool.requested", {"call_id": "a", "name": "add"})
    assert found.now == ("host.asked", {"hook": "before_tool_call", "call_id": "a"})


def test_a_check_sees_every_record_and_what_it_finds_stops_the_replay() -> None:
    class Check:
        compared = unverifiable = 0

        def see(self, record: Record, today: Record) -> Finding | None:
            self.compared += 1
            paths = (Difference("messages[0]", "a", "b"),)
            return Finding(12, "the streamer", paths, "why") if record.seq == 12 else None

    report = replayed(session(), checks=[Check()])
    assert report.requests == 12
    assert report.first_divergence is not None
    assert (report.first_divergence.seq, report.first_divergence.cause) == (12, "why")
    assert (report.first_divergence.input, report.first_divergence.agreed) == (9, 11)


def test_a_report_that_is_not_ok_is_an_error_with_all_of_it() -> None:
    report = replayed(edited(session(), 6, name="sub"))
    with pytest.raises(DivergenceError) as raised:
        report.check()
    assert str(raised.value) == str(report.first_divergence)
    assert 'recorded  name  "sub"' in str(raised.value)


def test_a_decision_that_differs_is_told_with_the_state_it_was_decided_in() -> None:
    found = diverged(edited(session(), 6, name="sub"))
    machine = agent_machine()
    for given in session()[: found.input - 1]:
        if given.event.kind in machine.inputs:
            machine.take(given)
    assert found.state_before == digest_of(machine.state)
    agreed = str(found).splitlines()[-1]
    assert agreed.startswith(
        f"  agreed    records 1-5, state before input 4: {found.state_before};"
    )


def test_a_decision_that_differs_is_told_with_the_place_in_the_code_that_takes_it() -> None:
    found = diverged(edited(session(), 6, name="sub"))
    path, _, where = found.at.partition(":")
    line, _, function = where.partition(" in ")
    assert (path, function) == ("actors/gate.py", "_admitted")
    code = Path(gate.__file__).read_text().splitlines()
    assert "return" in code[int(line) - 1]
    assert str(found).splitlines()[1] == f"  where     runs/x:6  name  at {found.at}"
    missing = diverged([*session()[:6], record(7, k.ToolRequested("c", "div"), 4)])
    assert missing.at.startswith("actors/agent.py:")
    assert missing.at.endswith(" in step")


def test_the_same_decision_in_other_bytes_is_counted_apart() -> None:
    records = session()
    event = records[4].event
    sorted_otherwise = b'{"name":"add","call_id":"a"}'
    for payload, canonical in ((encode(event), 0), (sorted_otherwise, 1)):
        records[4] = msgspec.structs.replace(records[4], payload=payload)
        report = replayed(records)
        assert (report.ok, report.matched, report.canonical) == (True, 11, canonical)


def test_a_decision_of_an_older_version_is_the_same_in_other_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(UPCASTERS, ("model.requested", 0), lambda old: {"n": old["number"]})
    records = session()
    payload = b'{"number":1}'
    old = decode("model.requested", 0, payload)
    records[2] = msgspec.structs.replace(records[2], event=old, payload=payload)
    report = replayed(records)
    assert (report.ok, report.matched, report.canonical) == (True, 11, 1)


def test_who_is_said_to_have_decided_is_compared_too() -> None:
    records = session()
    records[5] = msgspec.structs.replace(records[5], actor="tools")
    found = diverged(records)
    assert (found.seq, found.paths) == (6, (Difference("actor", "tools", "agent"),))


def test_behind_a_large_value_that_is_lost_nothing_is_compared() -> None:
    records = session()
    gone = b'{"call_id":"b","content":{"$blob":"sha256:%s","n":70000,"t":"text"}}' % (b"ab" * 32)
    records[6] = msgspec.structs.replace(records[6], payload=gone)
    report = replayed(records)
    assert (report.ok, report.records, report.lost) == (True, 6, (7, 7))
    told = "a large value of record 7 is lost (abababab…), and none behind it is compared"
    assert report.ended == told
    given = gone.replace(b'{"$blob"', b'{"$esc":{"$blob"').replace(b'"}}', b'"}}}')
    records[6] = msgspec.structs.replace(records[6], payload=given)  # what a tool said itself
    assert (replayed(records).lost, replayed(records).records) == (None, 20)


def test_what_was_redacted_is_not_compared_and_is_no_divergence() -> None:
    records = session()
    taken = b'{"$redacted":"sha256:%s","n":9}' % (b"ab" * 32)
    unknown = UnknownEvent("tool.requested", 1, taken)
    records[5] = msgspec.structs.replace(records[5], event=unknown, payload=taken)
    report = replayed(records)
    assert (report.ok, report.matched, report.unverifiable) == (True, 10, 1)
    unknown = UnknownEvent("tool.finished", 1, taken)  # the agent reads it
    records[6] = msgspec.structs.replace(records[6], event=unknown, payload=taken)
    report = replayed(records)
    assert (report.ok, report.records, report.lost) == (True, 6, None)
    assert (report.matched, report.unverifiable) == (2, 9)
    told = "record 7, tool.finished, was redacted, and none behind it can be compared"
    assert report.ended == told


def machine_of(act: Callable[[], object]) -> Machine[int]:
    def step(state: int, given: Record) -> tuple[int, tuple[Event, ...]]:
        act()
        return state, ()

    return Machine("m", step, 0, inputs=frozenset({"user.said"}), decisions=frozenset())


SAID = [record(1, k.UserSaid("hi"), 0)]


@pytest.mark.parametrize(
    ("effect", "act"),
    [
        ("open", lambda: Path(os.devnull).read_bytes()),
        ("socket", lambda: __import__("socket").socket()),
        ("subprocess", lambda: subprocess.run([sys.executable, "-V"], check=False)),
    ],
)
def test_a_step_that_touches_the_world_is_refused(effect: str, act: Callable[[], object]) -> None:
    with pytest.raises(EffectInReplayError, match=f"a step used {effect}"):
        replay("runs/x", SAID, [machine_of(act)])


def test_after_a_replay_the_world_may_be_touched_again() -> None:
    with pytest.raises(EffectInReplayError):
        replay("runs/x", SAID, [machine_of(lambda: Path(os.devnull).read_bytes())])
    replay("runs/x", SAID, [machine_of(lambda: None)])
    with open(os.devnull) as file:
        assert file.readable()


def test_other_threads_may_touch_the_world_while_a_step_runs() -> None:
    touched: list[bool] = []

    def touch() -> None:
        with open(os.devnull) as file:
            touched.append(file.readable())

    def act() -> None:
        thread = threading.Thread(target=touch)
        thread.start()
        thread.join()

    replay("runs/x", SAID, [machine_of(act)])
    assert touched == [True]
