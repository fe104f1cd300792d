"""Calls in doubt, approvals, pauses: values in, values out."""

from __future__ import annotations

from typing import Any

import pytest

from tinyagent.actors.agent import step
from tinyagent.actors.gate import NOT_APPROVED, NOT_RUN, doubt_text
from tinyagent.actors.state import APPROVAL, UNKNOWN, State
from tinyagent.events import Event, Record, kinds as k

TOLD = doubt_text("stopped")
TOOLS = [
    k.ToolSpec("look", effect="read"),
    k.ToolSpec("send", effect="write"),
    k.ToolSpec("pay", effect="write", approval="always"),
]


def run(*events: Event, hooks: tuple[str, ...] = ()) -> tuple[State, list[Event]]:
    """Return the state after a session of *events*, and what the last of them decided."""
    state = State()
    decided: tuple[Event, ...] = ()
    started = k.SessionStarted(tools=TOOLS, hooks=list(hooks))
    for seq, event in enumerate((started, k.UserSaid("Go"), *events), 1):
        record = Record(seq=seq, at_ns=0, cause=0, actor="test", event=event)
        state, decided = step(state, record)
    return state, list(decided)


def asked(*names: str) -> k.ModelFinished:
    return k.ModelFinished("tools", [k.CallRef(f"{n}{i}", n, "aa") for i, n in enumerate(names)])


DOUBT = k.ToolInDoubt("send0", "stopped", 1, TOLD)


def outcome(decided: list[Event]) -> list[Any]:
    return [event.outcome for event in decided if isinstance(event, k.RunEnded)]


def test_a_doubt_that_nobody_decides_pauses_the_run_and_keeps_the_call() -> None:
    state, decided = run(asked("send"), DOUBT)
    assert outcome(decided) == ["paused"]
    assert (state.phase, state.calls["send0"].phase, state.left) == ("paused", "waiting", 1)


def test_the_pause_comes_only_when_every_other_call_has_ended() -> None:
    state, decided = run(asked("send", "look"), DOUBT)
    assert (decided, state.phase) == ([], "acting")
    _, decided = run(asked("send", "look"), DOUBT, k.ToolFinished("look1", "x"))
    assert outcome(decided) == ["paused"]


def test_the_tool_itself_is_asked_before_any_person() -> None:
    doubt = k.ToolInDoubt("send0", "stopped", 1, TOLD, asks=True)
    _, decided = run(asked("send"), doubt, hooks=(UNKNOWN,))
    assert decided == []
    _, decided = run(asked("send"), doubt, k.ToolReconciled("send0", "unknown"), hooks=(UNKNOWN,))
    assert decided == [k.HostAsked(UNKNOWN, "send0")]
    _, decided = run(asked("send"), doubt, k.ToolReconciled("send0", "done", "sent"))
    assert decided == [k.TurnEnded(1), k.ModelRequested(2)]
    _, decided = run(asked("send"), doubt, k.ToolReconciled("send0", "not_done"))
    assert decided == [k.ToolRequested("send0", "send", 2)]


@pytest.mark.parametrize(
    ("decide", "expected"),
    [
        ("done", k.ToolSettled("send0", "done", "host", "sent")),
        ("failed", k.ToolSettled("send0", "failed", "host", "sent")),
        ("tell", k.ToolSettled("send0", "unknown", "host", TOLD)),
        ("again", k.ToolRequested("send0", "send", 2)),
        ("wait", None),
    ],
)
def test_a_person_decides_what_became_of_a_call(decide: Any, expected: Event | None) -> None:
    answer = k.HostAnswered(UNKNOWN, "send0", decide=decide, content="sent")
    _, decided = run(asked("send"), DOUBT, answer, hooks=(UNKNOWN,))
    assert decided[:1] == ([expected] if expected else [k.RunEnded("paused", decided[-1].state)])  # type: ignore[union-attr] # a run.ended


def test_after_a_cancel_the_model_is_told_and_nobody_is_asked() -> None:
    _, decided = run(asked("send"), k.CancelRequested(), DOUBT, hooks=(UNKNOWN,))
    assert decided[0] == k.ToolSettled("send0", "unknown", "policy", TOLD)
    assert outcome(decided) == ["cancelled"]


def test_a_call_that_took_too_long_is_told_at_once_unless_somebody_can_be_asked() -> None:
    late = k.ToolInDoubt("send0", "timeout", 1, "too long")
    _, decided = run(asked("send"), late)
    assert decided[0] == k.ToolSettled("send0", "unknown", "policy", "too long")
    _, decided = run(asked("send"), late, hooks=(UNKNOWN,))
    assert decided == [k.HostAsked(UNKNOWN, "send0")]


def test_a_tool_that_needs_an_approval_waits_for_it() -> None:
    state, decided = run(asked("pay"))
    assert decided[0] == k.ApprovalRequested("pay0", "aa")
    assert outcome(decided) == ["paused"]
    assert state.calls["pay0"].phase == "waiting"
    _, decided = run(asked("pay"), hooks=(APPROVAL,))
    assert decided == [k.ApprovalRequested("pay0", "aa"), k.HostAsked(APPROVAL, "pay0")]


@pytest.mark.parametrize(
    ("approved", "first"),
    [
        (True, k.ToolRequested("pay0", "pay")),
        (False, k.ToolBlocked("pay0", "approval", NOT_APPROVED)),
    ],
)
def test_what_was_decided_in_a_pause_is_done_when_the_run_goes_on(
    approved: bool, first: Event
) -> None:
    verdict = k.ApprovalDecided("pay0", "aa", approved)
    state, decided = run(asked("pay"), verdict)
    assert (decided, state.phase) == ([], "paused")
    _, decided = run(asked("pay"), verdict, k.UserContinued())
    assert decided[0] == first


@pytest.mark.parametrize(
    "verdict",
    [k.ApprovalDecided("pay0", "bb", True), k.ApprovalDecided("pay0", "aa", True, attempt=2)],
)
def test_an_approval_of_other_arguments_or_another_attempt_is_none(verdict: Event) -> None:
    _, decided = run(asked("pay"), verdict, k.UserContinued())
    assert outcome(decided) == ["paused"]


def test_a_new_prompt_in_a_pause_tells_the_truth_about_what_waits() -> None:
    _, decided = run(asked("send", "pay"), DOUBT, k.UserSaid("Never mind"))
    assert decided[:2] == [
        k.ToolSettled("send0", "unknown", "policy", TOLD),
        k.ToolBlocked("pay1", "approval", NOT_APPROVED),
    ]
    assert decided[2:] == [k.TurnEnded(1), k.ModelRequested(2)]


def test_a_fork_lets_calls_that_may_change_the_world_wait_even_if_they_were_asked_for() -> None:
    state, decided = run(asked("look", "send"), k.ConfigChanged({"guarded": True}))
    assert decided == [k.ApprovalRequested("send1", "aa")]
    assert (state.guarded, state.calls["look0"].phase) == (True, "open")


def test_a_cancel_while_calls_wait_for_an_approval_blocks_them() -> None:
    gone = k.HostFailed(APPROVAL, k.Failure("cancelled", "cancelled"), "pay0")
    _, decided = run(asked("pay"), k.CancelRequested(), gone, hooks=(APPROVAL,))
    assert decided[0] == k.ToolBlocked("pay0", "cancel", NOT_RUN)
    assert outcome(decided) == ["cancelled"]
