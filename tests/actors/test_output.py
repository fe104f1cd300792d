"""Answers of a given form, decided: judged, asked for again, given up."""

from __future__ import annotations

from typing import Any

from tests.actors.test_agent import PROMPT, SAYS, last, run

from tinyagent.events import Event, kinds as k

ASKED = k.HostAsked("output")
YES, NO = k.HostAnswered("output", ok=True), k.HostAnswered("output", ok=False)
FINAL = k.ModelFinished("tools", [k.CallRef("a", "final_answer", "1")])


def started(*hooks: str, **more: Any) -> k.SessionStarted:
    options = {"output_retries_max": 1, "output_tool": "final_answer"}
    return k.SessionStarted(hooks=["output", *hooks], options=options, **more)


def test_an_answer_is_judged_before_its_turn_ends() -> None:
    _, decided = run(started(), PROMPT, SAYS, YES)
    assert decided[-2:] == [[ASKED], [k.TurnEnded(1), k.RunEnded("answered")]]


def test_a_bad_answer_leads_to_another_model_call_and_then_to_failure() -> None:
    _, decided = run(started(), PROMPT, SAYS, NO, SAYS, NO)
    assert decided[-3:] == [
        [k.TurnEnded(1), k.ModelRequested(2)],
        [ASKED],
        [k.TurnEnded(2), k.RunEnded("failed")],
    ]


def test_each_run_has_its_retries_to_itself() -> None:
    again: list[Event] = [PROMPT, SAYS, NO, SAYS, YES]
    assert last(started(), *again, *again) == [k.TurnEnded(4), k.RunEnded("answered")]


def test_the_final_tool_is_judged_when_the_batch_is_over_and_the_run_is_answered() -> None:
    _, decided = run(started(), PROMPT, FINAL, k.ToolFinished("a"), YES)
    assert decided[-2:] == [[ASKED], [k.TurnEnded(1), k.RunEnded("answered")]]


def test_a_final_tool_that_failed_is_judged_too() -> None:
    failed = k.ToolFailed("a", k.Failure("invalid", "no JSON"))
    assert last(started(), PROMPT, FINAL, failed) == [ASKED]
    assert last(started(), PROMPT, FINAL, failed, NO) == [k.TurnEnded(1), k.ModelRequested(2)]


def test_other_tools_go_on_as_ever() -> None:
    other = k.ModelFinished("tools", [k.CallRef("a", "f", "1")])
    decided = last(started(), PROMPT, other, k.ToolFinished("a"))
    assert decided == [k.TurnEnded(1), k.ModelRequested(2)]


def test_a_limit_ends_what_would_be_asked_for_again() -> None:
    decided = last(started(limits={"turns_max": 1}), PROMPT, SAYS, NO)
    assert decided == [
        k.TurnEnded(1),
        k.BudgetExceeded("turns_max", 1, 1),
        k.RunEnded("over_budget"),
    ]


def test_a_cancelled_run_is_not_judged() -> None:
    decided = last(started(), PROMPT, k.CancelRequested(), SAYS)
    assert decided == [k.TurnEnded(1), k.RunEnded("cancelled")]


def test_a_judge_who_fails_ends_the_run() -> None:
    broken = k.HostFailed("output", k.Failure("host", "boom"))
    assert last(started(), PROMPT, SAYS, broken) == [k.RunEnded("failed")]


def test_a_judge_of_an_earlier_process_has_accepted() -> None:
    decided = last(started(), PROMPT, SAYS, k.HostAnswered("output"))
    assert decided == [k.TurnEnded(1), k.RunEnded("answered")]
