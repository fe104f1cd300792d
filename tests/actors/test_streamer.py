"""A source of answers joined to a log; a source here is a list of batches per attempt."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.actors.stage import (
    GONE,
    HELLO,
    Batch,
    Script,
    Stage,
    failure_of,
    told,
)

from tinyagent.actors.streamer import Heard
from tinyagent.actors.transports import Answer, Failure, Timed
from tinyagent.events import Event, canonical, digest, kinds as k


def calls_of(event: Event) -> list[tuple[str, str, str]]:
    assert isinstance(event, k.ModelFinished)
    return [(ref.id, ref.name, ref.args) for ref in event.calls]


async def test_an_answer_is_deltas_and_an_end_that_does_not_repeat_them() -> None:
    source = Script([[(0, "text", "Hel", 7)], [(0, "text", "lo", 9)]])
    assert await told(source) == [
        k.ModelDelta([(0, "text", "Hel", 7)]),
        k.ModelDelta([(0, "text", "lo", 9)]),
        k.ModelFinished("end", [], {"input": 3, "output": 2}, digest(canonical("S")), "resp_1"),
    ]
    assert source.made[0].is_closed


async def test_the_hosts_own_objects_travel_beside_the_record() -> None:
    stage = Stage(Script(HELLO))
    stage.ask()
    lives: dict[str, object] = {}
    while "model.finished" not in lives:
        record = await stage.said.get()
        assert record is not None
        lives[record.event.kind] = record.live
    assert lives == {"model.requested": None, "model.delta": "live", "model.finished": "whole"}
    await stage.end()


async def test_joined_runs_keep_the_boundaries_and_times_of_their_deltas() -> None:
    batch: list[Timed] = [
        (0, "text", " it up", 9120),
        (0, "text", " now", 0),
        (0, "think", "x", 1),
        (0, "sign", "s1", 0),
        (0, "sign", "s2", 0),
        (1, "text", "a", 2),
        (0, "text", "é🙂", 3),
        (0, "text", "", 4),
        (0, "text", "z", 5),
    ]
    (delta, _) = await told(Script([batch]))
    assert delta == k.ModelDelta(
        [
            (0, "text", " it up now", [9120, 0], [6, 4]),
            (0, "think", "x", 1),
            (0, "sign", "s1", 0),
            (0, "sign", "s2", 0),
            (1, "text", "a", 2),
            (0, "text", "é🙂z", [3, 4, 5], [2, 0, 1]),
        ]
    )


def call(block: int, call_id: str | None, name: str, *args: str) -> list[Timed]:
    data: dict[str, Any] = {"name": name} if call_id is None else {"id": call_id, "name": name}
    return [(block, "call", data, 1), *((block, "args", part, 0) for part in args)]


TOOLS = Answer(reason="tools")
EARLIER: list[Event] = [
    k.ModelRequested(1),
    k.ModelDelta([(0, "call", {"id": "a", "name": "f"}, 1), (1, "call", {"id": "a~2"}, 1)]),
    k.ModelFinished("tools", [k.CallRef("a", "f"), k.CallRef("a~2", "f")]),
]


async def test_calls_are_named_with_the_digests_of_their_arguments() -> None:
    batch = [*call(1, "call_a1", "find", '{"no":', '"INV-7"}')]
    batch += call(2, "call_b2", "send", '{ "to":"ann@example.org", "text":"INV-7 is due."}')
    delta, end = await told(Script([batch], answer=TOOLS))
    assert calls_of(end) == [
        ("call_a1", "find", "f3093375c6a664c4"),
        ("call_b2", "send", "f8e4aee7ee4ca235"),
    ]
    assert isinstance(delta, k.ModelDelta)
    assert delta.pieces[0] == (1, "call", {"id": "call_a1", "name": "find"}, 1)
    assert delta.pieces[1] == (1, "args", '{"no":"INV-7"}', [0, 0], [6, 8])


async def test_an_id_that_the_log_has_already_gets_a_suffix() -> None:
    batch = [*call(0, "a", "f"), *call(1, "b", "f"), *call(2, "b", "f"), *call(3, "b", "f")]
    delta, end = await told(Script([batch], answer=TOOLS), *EARLIER)
    assert [ref[0] for ref in calls_of(end)] == ["a~3", "b", "b~2", "b~3"]
    assert isinstance(delta, k.ModelDelta)
    assert [piece[2]["id"] for piece in delta.pieces] == ["a~3", "b", "b~2", "b~3"]


async def test_a_missing_id_is_made_up_and_unique() -> None:
    batch = [*call(0, None, "f"), *call(1, "", "f"), *call(2, "call_4", "f"), *call(3, None, "f")]
    _, end = await told(Script([batch], answer=TOOLS), *EARLIER)
    assert [ref[0] for ref in calls_of(end)] == ["call_2", "call_3", "call_4", "call_5"]


async def test_the_parts_of_one_call_share_its_id() -> None:
    parts: list[Batch] = [
        [(0, "call", {"id": "a"}, 1)],
        [(0, "call", {"id": "a", "name": "f"}, 1), (0, "args", '{"x"', 0)],
        [(0, "args", ":1}", 0)],
    ]
    *_, end = await told(Script(parts, answer=TOOLS))
    assert calls_of(end) == [("a", "f", digest(b'{"x":1}'))]


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("", digest(b"{}")),
        ("  ", digest(b"{}")),
        ('{"b": 1, "a": 2}', digest(b'{"a":2,"b":1}')),
        ('{"a":', "bad"),
        ("[1]", "bad"),
        ("null", "bad"),
    ],
)
async def test_arguments_that_are_no_object_are_bad(text: str, args: str) -> None:
    _, end = await told(Script([call(0, "a", "f", text)], answer=TOOLS))
    assert calls_of(end) == [("a", "f", args)]


async def test_arguments_are_bad_if_the_decoder_says_so() -> None:
    answer = msgspec.structs.replace(TOOLS, bad_calls=(1,))
    batch = [*call(0, "a", "f", "{}"), *call(1, "b", "f", "{}")]
    _, end = await told(Script([batch], answer=answer))
    assert [ref[2] for ref in calls_of(end)] == [digest(b"{}"), "bad"]


async def test_a_request_that_failed_before_its_first_delta_is_sent_again() -> None:
    source = Script([GONE], [GONE], HELLO)
    first, second, *rest = await told(source)
    assert [type(event) for event in rest] == [k.ModelDelta, k.ModelFinished]
    assert isinstance(first, k.ModelRetrying)
    assert isinstance(second, k.ModelRetrying)
    assert (first.attempt, second.attempt) == (2, 3)
    assert first.failure == k.Failure("network", "connection reset")
    assert 0.375 <= first.delay_s <= 0.5
    assert 0.75 <= second.delay_s <= 1.0
    assert [attempt.is_closed for attempt in source.made] == [True, True, True]


async def test_the_back_off_of_a_session_recorded_twice_is_the_same_twice() -> None:
    assert await told(Script([GONE], HELLO)) == await told(Script([GONE], HELLO))


async def test_after_the_last_attempt_the_call_has_failed() -> None:
    *retries, end = await told(Script([GONE], [GONE], [GONE]))
    assert [type(event) for event in retries] == [k.ModelRetrying] * 2
    assert failure_of(end) == k.Failure("network", "connection reset")


async def test_what_the_provider_said_is_told_rather_than_a_later_silence() -> None:
    busy = Failure("overloaded", "busy", status=529, retryable=True)
    *_, end = await told(Script([GONE], [busy], [GONE]))
    assert failure_of(end) == k.Failure("overloaded", "busy", 529)


async def test_an_answer_that_broke_in_its_middle_is_not_sent_again() -> None:
    delta, end = await told(Script([*HELLO, GONE], HELLO))
    assert isinstance(delta, k.ModelDelta)
    assert failure_of(end).kind == "network"


async def test_a_failure_that_would_repeat_is_not_sent_again() -> None:
    refused = Failure("refused", "bad key", status=401)
    assert await told(Script([refused], HELLO)) == [
        k.ModelFailed(k.Failure("refused", "bad key", 401), request=digest(canonical("S")))
    ]


async def test_the_wait_is_the_one_that_the_provider_asked_for() -> None:
    busy = Failure("overloaded", "busy", status=429, retry_after_s=7.5, retryable=True)
    retry, *_ = await told(Script([busy], HELLO))
    assert retry == k.ModelRetrying(2, k.Failure("overloaded", "busy", 429, 7.5), 7.5)


async def test_a_wait_that_is_too_long_is_a_refusal() -> None:
    busy = Failure("overloaded", "busy", status=429, retry_after_s=121.0, retryable=True)
    (end,) = await told(Script([busy], HELLO))
    assert failure_of(end).retry_after_s == 121.0


async def test_a_source_may_take_back_what_it_said() -> None:
    batches: list[Batch] = [call(0, "a", "f"), Heard(call(0, "b", "g"), void=True)]
    _, void, delta, end = await told(Script(batches, answer=TOOLS))
    assert isinstance(void, k.ModelRetrying)
    assert isinstance(delta, k.ModelDelta)
    assert [ref[:2] for ref in calls_of(end)] == [("b", "g")]


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (Answer(reason=None, failure=("interrupted", "cut off")), "interrupted", "cut off"),
        (Answer(reason="filtered"), "filtered", "The answer was stopped by a filter"),
        (Answer(reason="end", failure=("overloaded", "busy")), "overloaded", "busy"),
        (Answer(reason=None), "network", "the stream ended before the answer was complete"),
    ],
)
async def test_an_answer_that_says_it_failed_has_failed(
    answer: Answer, kind: str, text: str
) -> None:
    answer = msgspec.structs.replace(answer, usage={"input": 1})
    _, end = await told(Script(HELLO, answer=answer))
    assert isinstance(end, k.ModelFailed)
    assert (end.failure.kind, end.failure.message) == (kind, text)
    assert end.usage == {"input": 1}


@pytest.mark.parametrize(("word", "raw"), [("stop_sequence", "stop_sequence"), ("stop", None)])
async def test_the_providers_word_is_kept_where_the_reason_does_not_say_it(
    word: str, raw: str | None
) -> None:
    answer = Answer(reason="end", raw_reason=word)
    _, end = await told(Script(HELLO, answer=answer))
    assert isinstance(end, k.ModelFinished)
    assert end.raw == raw
