"""The agent decides: events in, events out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from tinyagent.actors.agent import step
from tinyagent.actors.state import State
from tinyagent.events import Event, Failure, Record, kinds as k
from tinyagent.runtime.errors import UnexpectedEventError

STARTED = k.SessionStarted()
PROMPT = k.UserSaid("hi")
CALLS = [k.CallRef("a", "add", "1"), k.CallRef("b", "mul", "2")]
WANTS_TOOLS = k.ModelFinished("tools", CALLS)
SAYS = k.ModelFinished("end")
CANCELLED = k.ModelFailed(Failure("cancelled", "aborted"))


def run(*events: Event, state: State | None = None) -> tuple[State, list[list[Event]]]:
    """Step through *events*, numbered as they come; return what each led to."""
    state = state or State()
    decided = []
    for seq, event in enumerate(events, 1):
        record = Record(seq=seq, at_ns=0, cause=0, actor="", event=event)
        state, events_decided = step(state, record)
        decided.append([_without_state(e) for e in events_decided])
    return state, decided


def _without_state(event: Event) -> Event:
    return k.RunEnded(event.outcome) if isinstance(event, k.RunEnded) else event


def last(*events: Event) -> list[Event]:
    return run(*events)[1][-1]


def hooked(*names: str) -> k.SessionStarted:
    return k.SessionStarted(hooks=list(names))


def test_a_prompt_asks_the_model() -> None:
    assert last(STARTED, PROMPT) == [k.ModelRequested(1)]


def test_a_second_prompt_of_the_same_run_asks_nothing_more() -> None:
    assert last(STARTED, PROMPT, PROMPT) == []


def test_an_answer_without_calls_ends_turn_and_run() -> None:
    assert last(STARTED, PROMPT, SAYS) == [k.TurnEnded(1), k.RunEnded("answered")]


def test_calls_are_requested_in_their_order() -> None:
    decided = last(STARTED, PROMPT, WANTS_TOOLS)
    assert decided == [k.ToolRequested("a", "add"), k.ToolRequested("b", "mul")]


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_the_model_is_asked_again_after_the_last_result_whatever_the_order(order: str) -> None:
    first, second = (k.ToolFinished(call_id, "3") for call_id in order)
    _, decided = run(STARTED, PROMPT, WANTS_TOOLS, first, second)
    assert decided[-2] == []
    assert decided[-1] == [k.TurnEnded(1), k.ModelRequested(2)]


def test_a_failed_tool_is_a_result_like_another() -> None:
    failed = k.ToolFailed("b", Failure("host", "no"))
    decided = last(STARTED, PROMPT, WANTS_TOOLS, k.ToolFinished("a"), failed)
    assert decided == [k.TurnEnded(1), k.ModelRequested(2)]


def test_a_terminating_result_ends_the_run_after_the_batch() -> None:
    done = k.ToolFinished("a", terminate=True)
    decided = last(STARTED, PROMPT, WANTS_TOOLS, done, k.ToolFinished("b"))
    assert decided == [k.TurnEnded(1), k.RunEnded("stopped")]


def test_a_failed_model_call_ends_the_run_and_runs_no_tool() -> None:
    decided = last(STARTED, PROMPT, k.ModelFailed(Failure("network", "gone")))
    assert decided == [k.TurnEnded(1), k.RunEnded("failed")]


def test_steering_is_delivered_after_the_turn_one_at_a_time() -> None:
    steer = k.UserSaid("left", "steer")
    _, decided = run(STARTED, PROMPT, steer, steer, SAYS, SAYS, SAYS)
    assert decided[4] == [k.TurnEnded(1), k.UserDelivered([3]), k.ModelRequested(2)]
    assert decided[5] == [k.TurnEnded(2), k.UserDelivered([4]), k.ModelRequested(3)]
    assert decided[6] == [k.TurnEnded(3), k.RunEnded("answered")]


def test_in_mode_all_everything_that_waits_is_delivered_at_once() -> None:
    started = k.SessionStarted(options={"steering_mode": "all", "follow_up_mode": "all"})
    more = [k.UserSaid("and", "follow_up"), k.UserSaid("more", "follow_up")]
    decided = last(started, PROMPT, *more, SAYS)
    assert decided == [k.TurnEnded(1), k.UserDelivered([3, 4]), k.ModelRequested(2)]


def test_steering_comes_before_follow_ups() -> None:
    decided = last(
        STARTED, PROMPT, k.UserSaid("then", "follow_up"), k.UserSaid("now", "steer"), SAYS
    )
    assert decided == [k.TurnEnded(1), k.UserDelivered([4]), k.ModelRequested(2)]


def test_steering_chosen_in_a_turn_that_stops_goes_back_to_the_front() -> None:
    started = hooked("should_stop_after_turn")
    steer = [k.UserSaid("one", "steer"), k.UserSaid("two", "steer")]
    stop = k.HostAnswered("should_stop_after_turn", stop=True)
    done = [k.ToolFinished("a"), k.ToolFinished("b")]
    state, decided = run(started, PROMPT, WANTS_TOOLS, *steer, *done, stop)
    assert decided[-1] == [k.RunEnded("stopped")]
    assert state.steering == (4, 5)


def test_withdrawn_messages_are_not_delivered() -> None:
    decided = last(STARTED, PROMPT, k.UserSaid("x", "steer"), k.UserWithdrawn([3]), SAYS)
    assert decided == [k.TurnEnded(1), k.RunEnded("answered")]


def test_before_hooks_are_asked_for_all_calls_and_each_goes_on_by_its_own_answer() -> None:
    started = hooked("before_tool_call")
    block = k.HostAnswered("before_tool_call", "a", block={"content": "no", "ok": False})
    _, decided = run(started, PROMPT, WANTS_TOOLS, block, k.HostAnswered("before_tool_call", "b"))
    assert decided[2] == [
        k.HostAsked("before_tool_call", "a"),
        k.HostAsked("before_tool_call", "b"),
    ]
    assert decided[3] == [k.ToolBlocked("a", "hook", "no")]
    assert decided[4] == [k.ToolRequested("b", "mul")]


def test_a_failing_before_hook_ends_its_call_only() -> None:
    failed = k.HostFailed("before_tool_call", Failure("host", "boom"), "a")
    decided = last(hooked("before_tool_call"), PROMPT, WANTS_TOOLS, failed)
    assert decided == [k.ToolBlocked("a", "hook", "boom")]


def test_after_hooks_are_asked_one_by_one_after_the_last_result() -> None:
    started = hooked("after_tool_call")
    answers = [k.HostAnswered("after_tool_call", call) for call in "ab"]
    done = [k.ToolFinished("b"), k.ToolFinished("a")]
    _, decided = run(started, PROMPT, WANTS_TOOLS, *done, *answers)
    assert decided[3:] == [
        [],
        [k.HostAsked("after_tool_call", "a")],
        [k.HostAsked("after_tool_call", "b")],
        [k.TurnEnded(1), k.ModelRequested(2)],
    ]


def test_a_batch_that_the_host_runs_ends_its_calls_and_the_model_is_asked_again() -> None:
    ops = [{"call_id": "b", "content": "mine", "ok": True}]
    answer = k.HostAnswered("execute_tool_calls", ops=ops)
    _, decided = run(hooked("execute_tool_calls"), PROMPT, WANTS_TOOLS, answer)
    assert decided[2] == [k.HostAsked("execute_tool_calls")]
    assert decided[3] == [
        k.ToolBlocked("b", "hook", "mine", True),
        k.TurnEnded(1),
        k.ModelRequested(2),
    ]


def test_a_batch_without_results_does_not_ask_the_model_again() -> None:
    answer = k.HostAnswered("execute_tool_calls", ops=[])
    decided = last(hooked("execute_tool_calls"), PROMPT, WANTS_TOOLS, answer)
    assert decided == [k.TurnEnded(1), k.RunEnded("answered")]


def test_the_context_hook_is_asked_before_each_model_call() -> None:
    _, decided = run(hooked("context"), PROMPT, k.HostAnswered("context", ops=[]))
    assert decided[1:] == [[k.HostAsked("context")], [k.ModelRequested(1)]]


def test_a_request_hook_is_asked_last_before_every_model_call() -> None:
    both = k.HostAnswered("context", ops=[]), k.HostAnswered("request", ops=[])
    _, decided = run(hooked("context", "request"), PROMPT, *both)
    assert decided[1:] == [
        [k.HostAsked("context")],
        [k.HostAsked("request")],
        [k.ModelRequested(1)],
    ]
    failed = k.HostFailed("request", Failure("host", "boom"))
    assert last(hooked("request"), PROMPT, failed) == [k.RunEnded("failed")]


def test_what_a_message_hook_answers_decides_nothing() -> None:
    refused = k.HostFailed("message", Failure("host", "boom"))
    assert last(STARTED, refused) == []
    assert last(STARTED, PROMPT, k.HostAnswered("message", n=1)) == []


def test_a_failing_context_hook_fails_the_run() -> None:
    decided = last(hooked("context"), PROMPT, k.HostFailed("context", Failure("host", "boom")))
    assert decided == [k.RunEnded("failed")]


def test_after_a_cancel_nothing_new_starts() -> None:
    cancel = k.CancelRequested()
    doubt = k.ToolInDoubt("b", "cancelled", content="nobody knows")
    _, decided = run(STARTED, PROMPT, WANTS_TOOLS, cancel, k.ToolFinished("a"), doubt)
    assert decided[-1] == [
        k.ToolSettled("b", "unknown", "policy", "nobody knows"),
        k.TurnEnded(1),
        k.RunEnded("cancelled"),
    ]


def test_calls_of_an_answer_that_came_after_the_cancel_are_blocked() -> None:
    decided = last(STARTED, PROMPT, k.CancelRequested(), WANTS_TOOLS)
    assert [type(event) for event in decided] == [
        k.ToolBlocked,
        k.ToolBlocked,
        k.TurnEnded,
        k.RunEnded,
    ]


def test_a_cancelled_model_call_ends_the_run_as_cancelled() -> None:
    decided = last(STARTED, PROMPT, k.CancelRequested(), CANCELLED)
    assert decided == [k.TurnEnded(1), k.RunEnded("cancelled")]


def test_a_cancel_of_an_idle_agent_changes_nothing() -> None:
    state, decided = run(STARTED, k.CancelRequested(), PROMPT)
    assert decided[-1] == [k.ModelRequested(1)]
    assert not state.cancelled


def test_the_limit_of_turns_ends_the_run_before_the_next_model_call() -> None:
    started = k.SessionStarted(limits={"turns_max": 1})
    done = [k.ToolFinished("a"), k.ToolFinished("b")]
    decided = last(started, PROMPT, WANTS_TOOLS, *done)
    assert decided == [
        k.TurnEnded(1),
        k.BudgetExceeded("turns_max", 1, 1),
        k.RunEnded("over_budget"),
    ]


def test_a_new_run_counts_from_zero_but_numbers_on() -> None:
    started = k.SessionStarted(limits={"turns_max": 1})
    assert last(started, PROMPT, SAYS, PROMPT) == [k.ModelRequested(2)]


def test_the_same_records_give_the_same_state_hash() -> None:
    events = [STARTED, PROMPT, WANTS_TOOLS, k.ToolFinished("a"), k.ToolFinished("b"), SAYS]
    ends = [_last_of(events) for _ in range(2)]
    assert ends[0] == ends[1]
    assert isinstance(ends[0], k.RunEnded)
    assert len(ends[0].state) == 16


def _last_of(events: Sequence[Event]) -> Event:
    state, last_event = State(), events[0]
    for seq, event in enumerate(events, 1):
        state, decided = step(state, Record(seq=seq, at_ns=seq, cause=0, actor="", event=event))
        last_event = decided[-1] if decided else last_event
    return last_event


def test_an_event_that_cannot_follow_is_our_bug_and_says_so() -> None:
    with pytest.raises(UnexpectedEventError, match="please report"):
        run(STARTED, SAYS)


ENDS: list[Event] = [
    k.ToolFinished("a"),
    k.ToolFailed("b", Failure("host", "x")),
    k.UserSaid("s", "steer"),
    k.CancelRequested(),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_in_any_order_every_call_ends_and_the_run_can_end(order: tuple[int, ...]) -> None:
    state, decided = run(STARTED, PROMPT, WANTS_TOOLS, *(ENDS[i] for i in order))
    cancelled_first = order.index(3) < max(order.index(0), order.index(1))
    if cancelled_first:
        assert any(isinstance(e, k.RunEnded) for step_ in decided for e in step_)
    else:
        assert state.phase == "thinking"
        state, decided = run(CANCELLED, state=state)
    assert state.phase == "idle"
