"""What models are shown: edits beside the conversation, taken back, never parting a pair."""

from __future__ import annotations

from typing import Any

import pytest

from tinyagent.events import Record, kinds as k
from tinyagent.events.context import Layer, compacted, unit_of
from tinyagent.events.messages import Assistant, Block, Message, Result, User


def said(seq: int) -> User:
    return User(seq, f"user {seq}")


def answer(seq: int, *calls: str) -> Assistant:
    blocks = (Block("text", f"answer {seq}"), *(Block("call", "{}", id, "f") for id in calls))
    return Assistant(seq, blocks, {})


def result(seq: int, call_id: str) -> Result:
    return Result(seq, call_id, "f", "done")


TALK: list[Message] = [
    said(1),
    answer(2, "a", "b"),
    result(3, "a"),
    result(4, "b"),
    answer(5),
    said(6),
    answer(7, "c"),
    result(8, "c"),
    said(9),  # steering, in the same run
    answer(10),
]


def layer(*edits: list[Any] | tuple[list[Any], ...]) -> Layer:
    """Return the layer after *edits*, recorded as 101, 102 ..."""
    made = Layer()
    for seq, given in enumerate(edits, 101):
        ops = list(given) if isinstance(given, tuple) else [given]
        event = k.ContextEdited(ops, "user")
        made.take(Record(seq=seq, at_ns=0, cause=0, actor="host", event=event), TALK)
    return made


def shown(*edits: list[Any] | tuple[list[Any], ...]) -> list[int]:
    return [message.seq for message in layer(*edits).shown(TALK)]


ALL = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


def test_without_edits_everything_is_shown() -> None:
    assert layer().is_idle
    assert shown() == ALL


@pytest.mark.parametrize(
    ("seq", "left"),
    [
        (1, [2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (5, [1, 2, 3, 4, 6, 7, 8, 9, 10]),
        (2, [1, 5, 6, 7, 8, 9, 10]),
        (3, [1, 5, 6, 7, 8, 9, 10]),
        (4, [1, 5, 6, 7, 8, 9, 10]),
        (8, [1, 2, 3, 4, 5, 6, 9, 10]),
    ],
)
def test_what_is_dropped_goes_with_what_it_cannot_be_parted_from(seq: int, left: list[int]) -> None:
    assert shown(["drop", seq]) == left


@pytest.mark.parametrize("seq", [2, 3, 4])
def test_an_answer_with_calls_and_its_results_are_one(seq: int) -> None:
    assert unit_of(TALK, seq) == {2, 3, 4}


def test_a_result_that_comes_when_its_call_is_dropped_already_is_not_shown() -> None:
    early = TALK[:3]
    made = Layer()
    event = k.ContextEdited([["drop", 2]], "user")
    made.take(Record(seq=101, at_ns=0, cause=0, actor="host", event=event), early)
    assert [message.seq for message in made.shown(TALK)] == [1, 5, 6, 7, 8, 9, 10]


def test_what_is_replaced_keeps_its_calls_and_names_the_edit() -> None:
    found = layer(["replace", 2, "shorter"], ["replace", 8, "cut"]).shown(TALK)
    assert found[1] == Assistant(101, (Block("text", "shorter"), *TALK[1].blocks[1:]), {})  # type: ignore[union-attr] # an answer
    assert found[7] == Result(102, "c", "f", "cut")
    assert found[0] is TALK[0]


def test_an_edit_that_is_undone_never_was_and_undoing_can_be_undone() -> None:
    drop, undo, redo = ["drop", 5], ["undo", 101], ["undo", 102]
    assert shown(drop, undo) == ALL
    assert layer(drop, undo).is_idle
    assert shown(drop, undo, redo) == [1, 2, 3, 4, 6, 7, 8, 9, 10]


def test_of_two_replacements_the_later_counts_and_undone_the_earlier_again() -> None:
    one, two = ["replace", 1, "one"], ["replace", 1, "two"]
    assert layer(one, two).shown(TALK)[0] == User(102, "two")
    assert layer(one, two, ["undo", 102]).shown(TALK)[0] == User(101, "one")


@pytest.mark.parametrize(
    ("keep_turns", "left"),
    [
        (1, [6, 9, 10]),
        (2, [6, 7, 8, 9, 10]),
        (3, [1, 5, 6, 7, 8, 9, 10]),
        (4, ALL),
        (9, ALL),
    ],
)
def test_a_compaction_keeps_the_last_turns_and_what_users_said_in_their_run(
    keep_turns: int, left: list[int]
) -> None:
    assert shown(["compact", keep_turns]) == left


def test_what_is_pinned_stays_with_its_pair_and_with_what_it_answers() -> None:
    assert shown(["pin", 3], ["compact", 1]) == [1, 2, 3, 4, 6, 9, 10]
    assert shown(["pin", 3], ["undo", 101], ["compact", 1]) == [6, 9, 10]


def test_a_compaction_is_of_what_was_said_by_then_and_can_be_undone() -> None:
    later = [*TALK, said(11), answer(12)]
    made = layer(["compact", 1])
    assert [message.seq for message in made.shown(later)] == [6, 9, 10, 11, 12]
    assert shown(["compact", 1], ["undo", 101]) == ALL


def test_a_correction_does_not_begin_a_run() -> None:
    talk: list[Message] = [said(1), answer(2), said(3), answer(4)]
    assert compacted(talk, 1) == {1, 2}
    assert compacted(talk, 1, corrections=[3]) == {2}


def test_in_every_compaction_pairs_stay_whole_and_a_user_comes_first() -> None:
    for keep_turns in range(1, 5):
        for pinned in ALL:
            found = layer(["pin", pinned], ["compact", keep_turns]).shown(TALK)
            assert isinstance(found[0], User)
            calls = [b.id for m in found if isinstance(m, Assistant) for b in m.blocks if b.id]
            results = [m.call_id for m in found if isinstance(m, Result)]
            assert calls == results
