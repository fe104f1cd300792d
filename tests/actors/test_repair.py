"""History on its way out: what providers refuse is repaired, the rest stays the same object."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tinyagent.actors.providers.repair import NO_RESULT, repaired
from tinyagent.events.messages import Assistant, Block, Custom, Message, Outcome, Result, User

MODEL: dict[str, Any] = {"provider": "p", "id": "m", "api": "a"}


def asks(*ids: str, seq: int = 2, outcome: Outcome = "ok", text: str = "") -> Assistant:
    calls = tuple(Block("call", "{}", call_id, "add") for call_id in ids)
    said = (Block("text", text),) if text else ()
    return Assistant(seq, said + calls, MODEL, outcome)


def gives(call_id: str, text: str = "3", seq: int = 3) -> Result:
    return Result(seq, call_id, "add", text)


def answered(messages: list[Message]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return each call with what follows the answer that it is in, checking the order."""
    out: list[tuple[str, list[tuple[str, str]]]] = []
    for message in messages:
        if isinstance(message, Assistant):
            for block in message.blocks:
                if block.op == "call":
                    out.append((block.id, []))
        elif isinstance(message, Result):
            call = next(results for call_id, results in out if call_id == message.call_id)
            call.append((message.call_id, str(message.content)))
    return out


def test_a_sound_history_is_passed_on_object_by_object() -> None:
    history: list[Message] = [User(1, "hi"), asks("a", "b"), gives("a"), gives("b")]
    history += [asks(text="5"), User(9, "ok")]
    out = repaired(history)
    assert [id(message) for message in out] == [id(message) for message in history]


def test_a_call_without_result_gets_an_error_right_after_its_answer() -> None:
    asked, user = asks("a", "b"), User(4, "and?")
    out = repaired([asked, gives("a"), user])
    assert out == [asked, gives("a"), Result(2, "b", "add", NO_RESULT, ok=False), user]


def test_a_result_without_call_is_left_out() -> None:
    assert repaired([User(1, "hi"), gives("gone"), asks(text="5")]) == [
        User(1, "hi"),
        asks(text="5"),
    ]


def test_a_second_result_of_one_call_is_left_out() -> None:
    asked = asks("a")
    assert repaired([asked, gives("a", "first"), gives("a", "second")]) == [
        asked,
        gives("a", "first"),
    ]


def test_results_come_right_after_their_answer_in_the_order_of_the_calls() -> None:
    asked, user, other = asks("a", "b"), User(4, "wait"), asks(text="so?")
    out = repaired([asked, user, gives("b"), other, gives("a")])
    assert out == [asked, gives("a"), gives("b"), user, other]


def test_the_second_of_two_equal_ids_gets_a_suffix_in_call_and_result() -> None:
    out = repaired([asks("a"), gives("a", "1"), asks("a", seq=5), gives("a", "2", seq=6)])
    assert answered(out) == [("a", [("a", "1")]), ("a_2", [("a_2", "2")])]


def test_equal_ids_in_one_answer_are_told_apart_by_their_order() -> None:
    out = repaired([asks("a", "a"), gives("a", "1"), gives("a", "2")])
    assert answered(out) == [("a", [("a", "1")]), ("a_2", [("a_2", "2")])]


def test_a_suffix_never_makes_an_id_that_is_there() -> None:
    out = repaired([asks("a", "a_2"), gives("a"), gives("a_2"), asks("a"), gives("a")])
    assert [call_id for call_id, _ in answered(out)] == ["a", "a_2", "a_3"]


def test_missing_ids_are_made_up() -> None:
    out = repaired([asks("", ""), gives("", "1"), gives("", "2")])
    assert answered(out) == [
        ("call_0", [("call_0", "1")]),
        ("call_1", [("call_1", "2")]),
    ]


def test_a_result_never_answers_a_call_from_before_another_of_its_id() -> None:
    out = repaired([asks("a"), asks("a", seq=5), gives("a", "2", seq=6)])
    assert answered(out) == [("a", [("a", NO_RESULT)]), ("a_2", [("a_2", "2")])]


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
def test_a_broken_answer_keeps_only_calls_that_have_results(outcome: Outcome) -> None:
    out = repaired([asks("a", "b", outcome=outcome, text="so"), gives("b")])
    assert out == [asks("b", outcome=outcome, text="so"), gives("b")]


def test_messages_of_the_application_are_left_out() -> None:
    assert repaired([User(1, "hi"), Custom(2, {"role": "note"})]) == [User(1, "hi")]


def test_the_given_history_is_not_changed() -> None:
    history: list[Message] = [asks("a", "a"), gives("x")]
    before = list(history)
    repaired(history)
    assert history == before


@pytest.mark.parametrize("length", range(5))
def test_whatever_the_history_every_call_has_one_result_at_once_and_ids_are_unique(
    length: int,
) -> None:
    pieces: list[Message] = [asks("a"), asks("a", "b"), gives("a"), gives("b"), User(1, "hi")]
    for history in itertools.product(pieces, repeat=length):
        out = repaired(list(history))
        ids = [call_id for call_id, _ in answered(out)]
        assert len(set(ids)) == len(ids)
        expected: list[str] = []
        for message in out:
            if isinstance(message, Result):
                assert message.call_id == expected.pop(0)
                continue
            assert not expected
            if isinstance(message, Assistant):
                expected = [block.id for block in message.blocks if block.op == "call"]
        assert not expected
