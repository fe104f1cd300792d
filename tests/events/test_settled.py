"""Between two runs a conversation is told, and goes on from there as with all of it."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from tests.events.test_fold import EVENTS, LOGS, TURN, folded, numbered

from tinyagent.events import Conversation, Event, Failure, Record, kinds as k
from tinyagent.events.children import own
from tinyagent.events.settled import Settled, go_on, lasting
from tinyagent.verbs import load

REPLAYS = sorted((Path(__file__).parents[2] / "replays").glob("*.jsonl"))


def again(conversation: Conversation) -> Conversation | None:
    """Return *conversation* by way of JSON; None if it is in the midst of a run."""
    settled = conversation.settled()
    if settled is None:
        return None
    told = msgspec.json.decode(msgspec.json.encode(settled()), type=Settled)
    restored = Conversation()
    restored.settle(told)
    return restored


def at_rest(conversation: Conversation) -> Conversation | None:
    """Return *conversation* by way of what an agent keeps of it; None in the midst of a run."""
    kept = lasting(conversation)
    if kept is None:
        return None
    restored = Conversation()
    go_on(restored, kept)
    return restored


def known(conversation: Conversation, *, has_asked: bool) -> Any:
    """Return all that anybody can ask a conversation for."""
    asked = conversation.asked
    return (
        conversation.settings,
        conversation.messages,
        conversation.context().read(),
        conversation.calls,
        list(conversation.calls),
        conversation.given,
        conversation.queued,
        conversation.asked_n,
        conversation.closings.made,
        conversation.closings.gone,
        conversation.layer.corrections,
        (asked.settings, asked.read(), asked.number) if has_asked else None,
    )


def check_everywhere(records: list[Record]) -> int:
    """Go on from each place that can be told, in both ways; return how many there were."""
    places = 0
    for cut, way in product(range(len(records) + 1), (again, at_rest)):
        restored = way(folded(records[:cut]))
        if restored is None:
            continue
        places += 1
        whole = folded(records[:cut])
        has_asked = False
        for record in records[cut:]:
            restored.evolve(record)
            whole.evolve(record)
            has_asked = has_asked or isinstance(record.event, k.ModelRequested)
            assert known(restored, has_asked=has_asked) == known(whole, has_asked=has_asked)
    return places


def check_unseen(records: list[Record]) -> None:
    """Go on from each place that can be told, and look at nothing before the end."""
    for cut in range(len(records) + 1):
        restored = again(folded(records[:cut]))
        if restored is None:
            continue
        whole = folded(records[:cut])
        seen = [whole.transcript().read()]
        unseen = [restored.transcript()]
        for record in records[cut:]:
            restored.evolve(record)
            whole.evolve(record)
            seen.append(whole.transcript().read())
            unseen.append(restored.transcript())
        has_asked = any(isinstance(r.event, k.ModelRequested) for r in records[cut:])
        assert [transcript.read() for transcript in unseen] == seen
        assert known(restored, has_asked=has_asked) == known(whole, has_asked=has_asked)


@given(LOGS)
@settings(max_examples=150, deadline=None)
def test_what_was_said_before_may_be_read_at_last(parts: list[list[Event]]) -> None:
    check_unseen(numbered(parts))


@pytest.mark.parametrize("path", REPLAYS, ids=lambda path: path.stem)
def test_what_a_recorded_session_said_before_may_be_read_at_last(path: Path) -> None:
    check_unseen(list(own(load(path).records)))


def test_what_was_said_before_is_not_read_by_what_comes_behind_it() -> None:
    turn: list[Event] = [k.UserSaid("hi", "prompt"), *TURN, k.RunEnded("stopped")]
    records = numbered([[*turn, *turn]])
    told = folded(records[: len(turn)]).settled()
    assert told is not None
    restored = Conversation()
    restored.settle(msgspec.json.decode(msgspec.json.encode(told()), type=Settled))
    earlier = restored.transcript().earlier
    for record in records[len(turn) :]:
        restored.evolve(record)
    assert earlier.count == told().length - 1 > 0
    assert restored.messages == folded(records).messages
    assert earlier.count == 0


@given(LOGS)
@settings(max_examples=150, deadline=None)
def test_it_goes_on_from_any_place_where_no_run_is_under_way(parts: list[list[Event]]) -> None:
    assert check_everywhere(numbered(parts)) >= 2


@pytest.mark.parametrize("path", REPLAYS, ids=lambda path: path.stem)
def test_a_recorded_session_can_be_told_where_a_run_has_ended(path: Path) -> None:
    records = list(own(load(path).records))
    check_everywhere(records)
    for at, record in enumerate(records, 1):
        if isinstance(record.event, k.RunEnded):
            assert again(folded(records[:at])) is not None


def test_edits_of_what_models_are_shown_and_reasons_of_failed_runs_are_told() -> None:
    said = k.UserSaid("Once more, please", "prompt")
    events: list[Event] = [
        k.SessionStarted(model={"provider": "p", "id": "m"}, system="Be brief."),
        k.UserSaid("hi", "prompt"),
        *TURN,
        k.RunEnded("stopped"),
        k.ContextEdited([["replace", 2, "hello"]], "user"),
        k.ContextEdited([["pin", 2]], "user"),
        said,
        k.BudgetExceeded("turns_max", 1, 1),
        k.RunEnded("over_budget"),
        k.UserSaid("later", "steer"),
        said,
        k.HostFailed("context", Failure("host", "boom")),
        k.RunEnded("failed"),
        k.ContextEdited([["compact", 0]], "compact"),
        said,
        k.ModelRequested(2),
        k.OutputRejected(2, ["too long"]),
        EVENTS[8],
        k.RunEnded("answered"),
        k.ContextEdited([["undo", 9]], "user"),
        k.ContextEdited([["drop", 4]]),
        said,
    ]
    assert check_everywhere(numbered([events])) > 16


def test_all_that_a_conversation_knows_is_told_or_does_not_matter_between_runs() -> None:
    """Who adds an attribute to the fold adds it to ``Settled``, or says here why not."""
    told = {*Settled.__struct_fields__}  # what hooks changed in the next body as ``request_edits``
    begun_anew = {"asked", "pieces", "blocks", "instead", "inserted"}
    of_the_batch = {"batch", "missing", "viewed", "terminating"}
    of_the_session = {"owner", "claimed"}
    known = {name.lstrip("_") for name in vars(Conversation())} - {"closings", "layer"}
    of_the_settings = {"model"}
    assert known - told == begun_anew | of_the_batch | of_the_session | of_the_settings
    closings = {name.lstrip("_") for name in vars(Conversation().closings)}
    assert closings == {"made", "gone", "answer", "is_in_run", "before", "failure"}
    layer = {name.lstrip("_") for name in vars(Conversation().layer)}
    derived = {"dropped", "pinned", "texts"}
    assert layer - derived == {"edits", "compacted", "corrections"}


def test_it_is_not_told_in_the_midst_of_a_run() -> None:
    for end in range(2, 7):
        parts: list[list[Event]] = [[k.UserSaid("hi", "prompt")], TURN[: end - 1]]
        assert folded(numbered(parts)).settled() is None


def test_what_was_told_does_not_change_when_the_conversation_goes_on() -> None:
    records = numbered([[k.UserSaid("hi", "prompt"), *TURN, k.RunEnded("stopped")]])
    conversation = folded(records)
    tell = conversation.settled()
    assert tell is not None
    before = msgspec.json.encode(tell())
    late: list[Event] = [
        k.HostAnswered("after_tool_call", "a", content="X"),
        k.ContextEdited([["clear"]]),
    ]
    for record in numbered([[], late]):
        conversation.evolve(record)
    assert conversation.messages == []
    assert msgspec.json.encode(tell()) == before


def test_of_a_plain_conversation_an_agent_at_rest_keeps_what_every_one_has() -> None:
    [plain] = [path for path in REPLAYS if path.name == "plain-text.jsonl"]
    said = folded(list(own(load(plain).records)))
    kept = lasting(said)
    assert kept is not None
    assert kept[4:] == (None, *said.messages)
