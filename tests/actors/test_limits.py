"""Limits, decided: which is looked at where, what it counts, what is recorded of it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.actors.test_agent import CANCELLED, PROMPT, hooked, last, run

from tinyagent.actors.limits import cost_pusd
from tinyagent.actors.state import State, digest_of
from tinyagent.events import Event, kinds as k
from tinyagent.events.closing import limit_text

GO_ON = k.UserContinued()
PRICES = {"acme:big": {"input_usd": 2.0, "output_usd": 10.0, "cache_read_usd": 0.5}}
MODEL = {"provider": "acme", "id": "big", "api": "openai-completions"}


def limited(**limits: Any) -> k.SessionStarted:
    return k.SessionStarted(model=MODEL, limits=limits)


def wants(*ids: str, **usage: int) -> k.ModelFinished:
    return k.ModelFinished("tools", [k.CallRef(each, "f", "1") for each in ids], usage)


def refused(call_id: str, limit: str) -> k.ToolBlocked:
    told = f"Tool not run: the run has reached its limit ({limit})"
    return k.ToolBlocked(call_id, "limit", told)


def test_tokens_are_looked_at_before_the_tools_of_an_answer() -> None:
    decided = last(limited(tokens_max=10), PROMPT, wants("a", "b", input=8, output=3))
    assert decided == [
        refused("a", "tokens_max"),
        refused("b", "tokens_max"),
        k.TurnEnded(1),
        k.BudgetExceeded("tokens_max", 11, 10),
        k.RunEnded("over_budget"),
    ]


def test_a_limit_that_a_log_has_as_null_limits_nothing() -> None:
    limits = limited(turns_max=None, tokens_max=None, tool_calls_max=None, cost_usd_max=None)
    decided = last(limits, PROMPT, wants("a", input=8, output=3))
    assert decided == [k.ToolRequested("a", "f")]


def test_an_answer_that_reaches_the_limit_and_calls_nothing_is_an_answer() -> None:
    decided = last(limited(tokens_max=10), PROMPT, k.ModelFinished("end", usage={"output": 11}))
    assert decided == [k.TurnEnded(1), k.RunEnded("answered")]


def test_of_the_tool_calls_those_within_the_limit_run() -> None:
    _, decided = run(limited(tool_calls_max=1), PROMPT, wants("a", "b"), k.ToolFinished("a"))
    assert decided[-2:] == [
        [k.ToolRequested("a", "f"), refused("b", "tool_calls_max")],
        [
            k.TurnEnded(1),
            k.BudgetExceeded("tool_calls_max", 2, 1),
            k.RunEnded("over_budget"),
        ],
    ]


def test_as_many_tool_calls_as_allowed_are_no_crossing() -> None:
    decided = last(limited(tool_calls_max=1), PROMPT, wants("a"), k.ToolFinished("a"))
    assert decided == [k.TurnEnded(1), k.ModelRequested(2)]


def test_a_hook_is_not_asked_about_a_call_that_there_is_no_room_for() -> None:
    started = k.SessionStarted(limits={"tool_calls_max": 1}, hooks=["before_tool_call"])
    decided = last(started, PROMPT, wants("a", "b"))
    assert decided == [k.HostAsked("before_tool_call", "a"), refused("b", "tool_calls_max")]


def test_a_host_that_runs_whole_batches_is_not_given_one_that_there_is_no_room_for() -> None:
    started = k.SessionStarted(limits={"tool_calls_max": 0}, hooks=["execute_tool_calls"])
    assert last(started, PROMPT, wants("a"))[0] == refused("a", "tool_calls_max")
    assert last(hooked("execute_tool_calls"), PROMPT, wants("a")) == [
        k.HostAsked("execute_tool_calls")
    ]


def test_money_is_what_the_table_says_of_the_model_that_answered() -> None:
    started = limited(cost_usd_max=0.001, prices=PRICES)
    half = wants("a", input=100, cache_read=50, output=40)  # 100 + 25 + 400 millionths
    _, decided = run(started, PROMPT, half, k.ToolFinished("a"), wants("b", output=48))
    assert decided[-2] == [k.TurnEnded(1), k.ModelRequested(2)]
    assert decided[-1][-2] == k.BudgetExceeded("cost_usd_max", 0.001005, 0.001)


def test_another_model_that_answered_this_once_has_its_own_price() -> None:
    prices = {**PRICES, "small": {"input_usd": 0.0, "output_usd": 1.0}}
    started = limited(cost_usd_max=0.001, prices=prices)
    small = {"provider": "other", "id": "small"}
    failure = k.Failure("overloaded", "no")
    retried = k.ModelRetrying(2, failure, 0.0, small)
    state, _ = run(started, PROMPT, retried, wants("a", output=100), k.ToolFinished("a"))
    assert state.cost_pusd == 100 * 1_000_000
    state, _ = run(wants("b", output=100), state=state)
    assert state.cost_pusd == 100 * 1_000_000 + 100 * 10_000_000


@pytest.mark.parametrize(
    ("api", "fresh"), [("openai-completions", 70), ("anthropic-messages", 100)]
)
def test_cached_tokens_are_part_of_the_input_or_beside_it_as_the_protocol_counts(
    api: str, fresh: int
) -> None:
    usage = {"input": 100, "cache_read": 20, "cache_write": 10, "output": 1}
    cost = cost_pusd(usage, {**MODEL, "api": api}, PRICES)
    assert cost == fresh * 2_000_000 + 20 * 500_000 + 10 * 2_000_000 + 10_000_000


def test_what_is_not_in_the_table_has_no_price() -> None:
    assert cost_pusd({"output": 1}, {"provider": "x", "id": "y"}, PRICES) is None


def test_a_run_that_a_limit_ended_goes_on_under_a_larger_one_with_what_it_used() -> None:
    over = [limited(turns_max=1), PROMPT, wants("a"), k.ToolFinished("a")]
    state, decided = run(*over)
    assert decided[-1][-1] == k.RunEnded("over_budget")
    assert run(GO_ON, state=state)[1] == [
        [k.BudgetExceeded("turns_max", 1, 1), k.RunEnded("over_budget")]
    ]
    larger = k.ConfigChanged({"limits": {"turns_max": 2}})
    state, decided = run(larger, GO_ON, wants("b"), k.ToolFinished("b"), state=state)
    assert decided[1] == [k.ModelRequested(2)]
    assert decided[-1][1:] == [k.BudgetExceeded("turns_max", 2, 2), k.RunEnded("over_budget")]
    assert run(PROMPT, state=state)[1] == [[k.ModelRequested(3)]]


def test_seconds_are_a_timer_that_a_run_begins_with() -> None:
    assert last(limited(run_s_max=30), PROMPT) == [k.TimerSet(30), k.ModelRequested(1)]


CUT: list[tuple[list[Event], list[Event], str]] = [
    ([], [CANCELLED], "thinking"),
    ([wants("a", "b")], [k.ToolFinished("a"), k.ToolFinished("b")], "acting"),
]


@pytest.mark.parametrize(("before", "after", "phase"), CUT, ids=["model", "tools"])
def test_when_they_are_over_what_is_under_way_ends_and_the_run_with_it(
    before: list[Event], after: list[Event], phase: str
) -> None:
    fired = k.TimerFired(3, 30.25)
    state, decided = run(limited(run_s_max=30), PROMPT, *before, fired)
    assert decided[-1] == [k.BudgetExceeded("run_s_max", 30.25, 30)]
    assert state.phase == phase
    state, decided = run(*after, state=state)
    assert decided[-1] == [k.TurnEnded(1), k.RunEnded("over_budget")]
    larger = k.ConfigChanged({"limits": {"run_s_max": 50}})
    assert run(larger, GO_ON, state=state)[1][-1] == [k.TimerSet(19.75), k.ModelRequested(2)]


def test_a_timer_that_fires_when_the_run_is_over_or_cancelled_changes_nothing() -> None:
    fired = k.TimerFired(3, 30)
    started = limited(run_s_max=30)
    assert last(started, PROMPT, k.ModelFinished("end"), fired) == []
    assert last(started, PROMPT, k.CancelRequested(), fired) == []
    assert last(started, PROMPT, k.CancelRequested(), fired, CANCELLED) == [
        k.TurnEnded(1),
        k.RunEnded("cancelled"),
    ]


def test_a_paused_run_that_is_taken_up_has_its_seconds_anew() -> None:
    tool = k.ToolSpec("f", approval="always")
    started = k.SessionStarted(limits={"run_s_max": 30}, tools=[tool])
    state, decided = run(started, PROMPT, wants("a"))
    assert decided[-1][-1] == k.RunEnded("paused")
    state, decided = run(k.ApprovalDecided("a", "1", True), GO_ON, state=state)
    assert decided[-1] == [k.TimerSet(30), k.ToolRequested("a", "f")]


def test_who_has_no_limit_of_money_or_time_has_the_digests_of_before_there_was_one() -> None:
    before = digest_of(State())
    assert digest_of(State(over="turns_max", model=MODEL)) == before
    assert digest_of(State(cost_pusd=1)) != before


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (k.BudgetExceeded("turns_max", 2, 2), "Stopped after 2 turns (turns_max)"),
        (k.BudgetExceeded("tokens_max", 12, 10), "Stopped after 10 tokens (tokens_max)"),
        (k.BudgetExceeded("tool_calls_max", 4, 3), "Stopped after 3 tool calls (tool_calls_max)"),
        (k.BudgetExceeded("cost_usd_max", 0.6, 0.5), "Stopped after $0.5 (cost_usd_max)"),
        (k.BudgetExceeded("run_s_max", 9.1, 9), "Stopped after 9 s (run_s_max)"),
    ],
)
def test_people_are_told_which_limit(event: k.BudgetExceeded, text: str) -> None:
    assert limit_text(event) == text
