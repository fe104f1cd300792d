"""The blocks of an answer: from its pieces, and, of a log, as the native reader makes them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from tinyagent.events import Conversation, Event, Record, encode, kinds as k
from tinyagent.events.drafts import WholeAnswer
from tinyagent.events.messages import Block
from tinyagent.runtime.stores import records_of
from tinyagent.runtime.stores.files import FileLog

FAILURE = k.Failure("network", "gone")
DONE, FAILED = k.ModelFinished("end"), k.ModelFailed(FAILURE)
RETRYING, NOTED = k.ModelRetrying(2, FAILURE), k.DiagnosticReported("a", "b")
TEXTS = st.text(max_size=8) | st.sampled_from(['"', "\\", "],[", "\U0001f600", "{}"])
NAMES = st.sampled_from(["", "a", "b"])
GAPS = st.just([7]) | st.just([[7, 0], [1, 2]])
SAID = (
    st.tuples(st.sampled_from(["text", "think", "refuse", "args", "sign"]), TEXTS)
    | st.tuples(st.just("call"), st.dictionaries(st.sampled_from(["id", "name"]), NAMES))
    | st.tuples(st.just("keep"), st.sampled_from([{"x": ["]", 1.5]}, "k", None]))
)
PIECES = st.builds(lambda n, said, gaps: (n, *said, *gaps), st.integers(0, 2), SAID, GAPS)
DELTAS = st.lists(PIECES, max_size=4).map(k.ModelDelta)
ANSWERS = st.tuples(
    st.lists(DELTAS | st.sampled_from([RETRYING, NOTED]) | DELTAS, max_size=6),
    st.sampled_from([DONE, DONE, FAILED]),
)


def log_of(place: Path, answers: list[tuple[list[Any], Event]]) -> FileLog:
    """Return a log of *answers*, each behind its request."""
    log = FileLog(place, now_us=lambda: 1)
    for said, end in answers:
        cause = log.seq + 1
        for event in (k.ModelRequested(1), *said, end):
            payload = encode(event)
            log.append(log.seq + 1, 1, None, event.kind, 1, min(cause, log.seq), payload)
    return log


def both(answers: list[tuple[list[Any], Event]]) -> tuple[list[Record], list[Record]]:
    """Return the records of a log of *answers*: as they are, and joined."""
    with TemporaryDirectory() as folder:
        log = log_of(Path(folder) / "log", answers)
        found = records_of(log), records_of(log, joined=True)
        asyncio.run(log.close())
    return found


def folded(records: list[Record]) -> Conversation:
    conversation = Conversation()
    conversation.read(records)
    return conversation


@given(st.lists(ANSWERS, max_size=3))
@settings(max_examples=100, deadline=None)
def test_a_log_read_joined_folds_to_the_same_whatever_a_model_says(answers: list[Any]) -> None:
    alone, joined = both(answers)
    one, other = folded(alone), folded(joined)
    assert (one.messages, one.calls) == (other.messages, other.calls)
    assert len(joined) <= len(alone)


def test_an_answer_that_is_whole_is_read_by_its_blocks() -> None:
    said = [
        k.ModelDelta([(1, "text", "I l", 2)]),
        k.ModelDelta([(1, "text", 'ook "up"', [1, 2], [3, 5]), (0, "think", "Hm.", 0)]),
        k.ModelDelta([(0, "sign", "s", 0), (2, "call", {"id": "a", "name": "f"}, 0)]),
        k.ModelDelta([(2, "args", '{"n":', 0), (2, "args", "1}", 0)]),
        k.ModelDelta([(3, "keep", {"x": 1}, 0)]),
    ]
    _, whole, done = both([(said, DONE)])[1]
    assert (whole.seq, whole.cause, done.seq) == (6, 1, 7)
    assert whole.event == WholeAnswer(
        blocks=[
            Block("think", "Hm.", sign="s"),
            Block("text", 'I look "up"'),
            Block("call", '{"n":1}', "a", "f"),
            Block("keep", keep={"x": 1}),
        ]
    )


HELLO = k.ModelDelta([(0, "text", "Hello", 1)])


@pytest.mark.parametrize(
    "said",
    [
        ([HELLO], FAILED),
        ([HELLO, NOTED, HELLO], DONE),
        ([RETRYING, HELLO], DONE),
        ([HELLO, NOTED], DONE),
        ([k.ModelDelta([(0, "sign", "a", 1)]), k.ModelDelta([(0, "sign", "b", 1)])], DONE),
    ],
    ids=["failed", "interrupted", "again", "not at once", "said twice"],
)
def test_what_is_not_the_whole_of_an_answer_is_read_by_its_pieces(said: Any) -> None:
    joined = both([said])[1]
    assert WholeAnswer not in {type(record.event) for record in joined}
    assert k.ModelDelta in {type(record.event) for record in joined}


@pytest.mark.parametrize("piece", ["1", '[0,"text","\\x",1]', '[0,"text","a",1x]', '[0,"text"]]'])
def test_an_answer_that_is_no_answer_is_refused_as_alone(tmp_path: Path, piece: str) -> None:
    log = log_of(tmp_path / "log", [])
    rows = ("model.requested", '{"n":1}'), ("model.delta", f'{{"pieces":[{piece}]}}')
    for seq, (kind, payload) in enumerate((*rows, ("model.finished", '{"reason":"end"}')), 1):
        log.append(seq, 1, None, kind, 1, min(seq - 1, 1), payload.encode())
    for joined in (False, True):
        with pytest.raises(msgspec.DecodeError):
            records_of(log, joined=joined)
    asyncio.run(log.close())
