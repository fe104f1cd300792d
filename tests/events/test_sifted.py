"""Records by what their events are."""

from __future__ import annotations

from tinyagent.events import Event, Record, UnknownEvent, kinds as k
from tinyagent.events.children import is_any_below
from tinyagent.events.sifted import Sifted

EVENTS: list[Event] = [
    k.SessionStarted(),
    k.UserSaid("hi"),
    k.ModelRequested(1),
    UnknownEvent("user.said", 99, b"{}"),
    k.UserSaid("ho", "steer"),
    UnknownEvent("moon.landed", 1, b"{}"),
    k.ModelRequested(2),
]
PAST = Sifted([Record(seq, 0, 0, "agent", event) for seq, event in enumerate(EVENTS, 1)])


def numbers(records: list[Record]) -> list[int]:
    return [record.seq for record in records]


def test_records_of_several_kinds_come_in_log_order() -> None:
    assert numbers(PAST.of({"user.said", "model.requested"})) == [2, 3, 5, 7]


def test_what_cannot_be_read_is_of_no_kind() -> None:
    assert numbers(PAST.of(["user.said", "moon.landed", "run.ended"])) == [2, 5]
    assert numbers(PAST.unknown) == [4, 6]


def test_it_is_parted_before_a_number_that_need_not_be_there() -> None:
    before, since = PAST.parted(4)
    assert ([r.seq for r in before], [r.seq for r in since]) == ([1, 2, 3], [4, 5, 6, 7])
    assert PAST.parted(8) == (PAST.records, [])


def test_a_record_is_of_an_agent_below_by_the_name_of_its_actor() -> None:
    assert not is_any_below(PAST.records)
    below = Record(8, 0, 0, "agent:main/research#1/model", k.ModelRequested(1))
    assert is_any_below([*PAST.records, below])
