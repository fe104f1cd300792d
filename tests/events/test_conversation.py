"""The conversation is the fold of the log, at any record."""

from __future__ import annotations

import gc
import itertools
from typing import Any

import pytest

from tinyagent.events import Conversation, Event, Failure, Record, kinds as k
from tinyagent.events.messages import Assistant, Block, Result, User
from tinyagent.runtime.collecting import uncollected

ASKED = k.ModelRequested(1)
TEXT = k.ModelDelta([(0, "text", "Hel", 5), (0, "text", "lo.", 5)])
CALLS = k.ModelDelta(
    [
        (0, "text", "I look", 861204),
        (1, "call", {"id": "a", "name": "find"}, 410),
        (1, "args", '{"no":', 0),
        (2, "call", {"id": "b", "name": "send"}, 8007),
        (1, "args", '"INV-7"}', 0),
    ]
)
FINISHED = k.ModelFinished("tools", [k.CallRef("a", "find", "1"), k.CallRef("b", "send", "2")])


def fold(*events: Event, into: Conversation | None = None, first: int = 1) -> Conversation:
    conversation = into or Conversation()
    for seq, event in enumerate(events, first):
        conversation.evolve(Record(seq=seq, at_ns=seq * 10**6, cause=0, actor="", event=event))
    return conversation


def texts(conversation: Conversation) -> list[Any]:
    out: list[Any] = []
    for message in conversation.messages:
        match message:
            case User() | Result():
                out.append(message.content)
            case Assistant(blocks=blocks):
                out.append("".join(block.text for block in blocks if block.op == "text"))
            case _:
                out.append(None)
    return out


def test_deltas_are_the_text_of_an_answer() -> None:
    said = fold(k.UserSaid("hi"), ASKED, TEXT, k.ModelFinished("end"))
    assert texts(said) == ["hi", "Hello."]
    answer = said.messages[1]
    assert isinstance(answer, Assistant)
    assert (answer.seq, answer.outcome, answer.at_ms) == (2, "ok", 4)


def test_what_is_kept_of_an_answer_that_goes_on_is_nothing_for_the_collector_of_garbage() -> None:
    said = fold(k.UserSaid("hi"), ASKED)
    with uncollected():
        before = len(gc.get_objects())
        fold(*(k.ModelDelta([(0, "text", "a", gap)]) for gap in range(1000)), into=said, first=3)
        assert len(gc.get_objects()) - before < 10
    assert texts(fold(k.ModelFinished("end"), into=said, first=1003)) == ["hi", "a" * 1000]


def test_fragments_of_interleaved_calls_find_their_call() -> None:
    said = fold(k.UserSaid("hi"), ASKED, CALLS, FINISHED)
    assert said.calls["a"].arguments == '{"no":"INV-7"}'
    answer = said.messages[1]
    assert isinstance(answer, Assistant)
    assert answer.blocks == (
        Block("text", "I look"),
        Block("call", '{"no":"INV-7"}', "a", "find"),
        Block("call", "", "b", "send"),
    )


@pytest.mark.parametrize("order", list(itertools.permutations("ab")))
def test_results_join_in_call_order_whatever_ended_first(order: tuple[str, ...]) -> None:
    said = fold(k.UserSaid("hi"), ASKED, CALLS, FINISHED)
    fold(k.ToolFinished(order[0], order[0].upper()), into=said, first=5)
    assert texts(said) == ["hi", "I look"]
    fold(k.ToolFinished(order[1], order[1].upper()), into=said, first=6)
    assert texts(said) == ["hi", "I look", "A", "B"]


def test_the_same_end_of_a_call_counts_once() -> None:
    ends = [k.ToolFinished("a", "one"), k.ToolFinished("a", "two"), k.ToolFinished("b", "B")]
    said = fold(k.UserSaid("hi"), ASKED, CALLS, FINISHED, *ends)
    assert texts(said)[2:] == ["one", "B"]


@pytest.mark.parametrize(
    ("end", "content", "ok"),
    [
        (k.ToolFailed("a", Failure("host", "boom")), "boom", False),
        (k.ToolBlocked("a", "hook", "no", ok=True), "no", True),
        (k.ToolSettled("a", "unknown", "policy", "nobody knows"), "nobody knows", False),
        (k.ToolSettled("a", "done", "host", "sent"), "sent", True),
    ],
)
def test_each_end_of_a_call_tells_the_model_something(end: Event, content: str, ok: bool) -> None:
    said = fold(k.UserSaid("hi"), ASKED, CALLS, FINISHED, end, k.ToolFinished("b", "B"))
    result = said.messages[2]
    assert isinstance(result, Result)
    assert (result.content, result.ok) == (content, ok)


def test_a_cancelled_answer_keeps_its_text_and_loses_its_calls() -> None:
    failed = k.ModelFailed(Failure("cancelled", "aborted"))
    answer = fold(k.UserSaid("hi"), ASKED, CALLS, failed).messages[1]
    assert isinstance(answer, Assistant)
    assert (answer.outcome, answer.blocks) == ("cancelled", (Block("text", "I look"),))


def test_what_an_attempt_before_said_is_void() -> None:
    again = k.ModelRetrying(2, Failure("network", "gone"))
    said = fold(k.UserSaid("hi"), ASKED, TEXT, again, TEXT, k.ModelFinished("end"))
    assert texts(said) == ["hi", "Hello."]


def test_queued_messages_are_part_of_it_when_they_are_delivered() -> None:
    said = fold(k.UserSaid("hi"), k.UserSaid("left", "steer"), k.UserSaid("off", "steer"))
    assert texts(said) == ["hi"]
    fold(k.UserWithdrawn([3]), k.UserDelivered([2, 3]), into=said, first=4)
    assert texts(said) == ["hi", "left"]


def test_an_after_hook_changes_a_result_and_a_failing_one_withholds_it() -> None:
    ends = [k.ToolFinished("a", "A"), k.ToolFinished("b", "B")]
    changed = k.HostAnswered("after_tool_call", "a", content="changed", ok=False)
    failed = k.HostFailed("after_tool_call", Failure("host", "withheld"), "b")
    said = fold(k.UserSaid("hi"), ASKED, CALLS, FINISHED, *ends, changed, failed)
    first, second = said.messages[2:]
    assert isinstance(first, Result)
    assert isinstance(second, Result)
    assert (first.content, first.ok, second.content, second.ok) == (
        "changed",
        False,
        "withheld",
        False,
    )


def test_a_view_taken_earlier_never_changes() -> None:
    said = fold(k.UserSaid("hi"))
    view = said.view()
    fold(k.UserSaid("more"), k.ContextEdited([["clear"]]), into=said, first=2)
    assert [m.content for m in view.read() if isinstance(m, User)] == ["hi"]
    assert said.messages == []


def test_edits_drop_and_insert_but_never_into_an_open_turn() -> None:
    insert = k.ContextEdited([["insert", {"role": "user", "content": "noted"}]])
    said = fold(k.UserSaid("hi"), ASKED, CALLS, FINISHED, insert)
    assert texts(said) == ["hi", "I look"]
    fold(k.ToolFinished("a", "A"), k.ToolFinished("b", "B"), into=said, first=6)
    assert texts(said) == ["hi", "I look", "A", "B", "noted"]
    fold(k.ContextEdited([["drop", 1]]), into=said, first=8)
    assert texts(said) == ["I look", "A", "B", "noted"]


def test_a_context_hook_shapes_one_request_only() -> None:
    ops = [["=", 1, 2], ["+", {"role": "user", "content": "extra"}]]
    shaped = k.HostAnswered("context", ops=ops)
    said = fold(k.UserSaid("one"), k.UserSaid("two"), shaped, ASKED)
    asked = [m.content for m in said.asked.read() if isinstance(m, User)]
    assert asked == ["two", "extra"]
    fold(TEXT, k.ModelFinished("end"), k.ModelRequested(2), into=said, first=5)
    assert len(said.asked.read()) == 3


def test_configuration_changes_by_what_changed_only() -> None:
    started = k.SessionStarted({"id": "m"}, "S", [k.ToolSpec("f", schema={"$esc": {"$id": "x"}})])
    said = fold(started, k.ConfigChanged({"system": "T"}))
    assert (said.settings.system, said.settings.model) == ("T", {"id": "m"})
    assert said.settings.tools[0].schema == {"$id": "x"}


STORY: list[Event] = [
    k.SessionStarted(system="S"),
    k.UserSaid("hi"),
    k.UserSaid("left", "steer"),
    ASKED,
    CALLS,
    FINISHED,
    k.ToolFinished("b", "B"),
    k.ToolFinished("a", "A"),
    k.TurnEnded(1),
    k.UserDelivered([3]),
    k.ModelRequested(2),
    TEXT,
    k.ModelFinished("end"),
]


@pytest.mark.parametrize("cut", range(len(STORY)))
def test_a_fold_in_two_halves_is_the_fold_at_once(cut: int) -> None:
    halves = fold(*STORY[cut:], into=fold(*STORY[:cut]), first=cut + 1)
    assert halves.messages == fold(*STORY).messages
