"""Whose a record is, and how an agent below sees its part of a log."""

from __future__ import annotations

import pytest

from tinyagent.events import Conversation, Record, kinds as k
from tinyagent.events.children import child_of, children_of, is_below, own, seen_from
from tinyagent.events.conversations import Conversations
from tinyagent.events.work import Open, OpenWork

A, B = "agent:main/look#1", "agent:main/look#1/dig#2"


def record(seq: int, actor: str, event: k.Fact, cause: int = 0) -> Record:
    return Record(seq=seq, at_ns=0, cause=cause, actor=actor, event=event)


LOG = [
    record(1, "host", k.UserSaid("Go.")),
    record(2, "tools", k.ChildStarted(A, "c1"), 1),
    record(3, f"{A}/host", k.UserSaid("Look."), 2),
    record(4, A, k.ModelRequested(1), 3),
    record(5, f"{A}/tools", k.ChildStarted(B, "c2"), 4),
    record(6, f"{B}/host", k.UserSaid("Dig."), 5),
    record(7, B, k.RunEnded("answered"), 6),
    record(8, f"{A}/tools", k.ChildEnded(B, "answered"), 5),
    record(9, A, k.RunEnded("answered"), 8),
    record(10, "tools", k.ChildEnded(A, "answered"), 2),
    record(11, "agent", k.RunEnded("answered"), 10),
]


@pytest.mark.parametrize(
    ("actor", "child"),
    [
        ("agent", ""),
        ("model", ""),
        (None, ""),
        (A, A),
        (f"{A}/model", A),
        (B, B),
        (f"{B}/tools", B),
        ("agent:other/look#1", ""),
    ],
)
def test_a_record_is_of_the_agent_that_its_actor_names(actor: str | None, child: str) -> None:
    assert child_of(actor) == child


def test_an_agent_reads_its_own_records_and_not_those_below() -> None:
    assert [one.seq for one in own(LOG)] == [1, 2, 10, 11]
    assert [one.seq for one in LOG if is_below(one)] == [3, 4, 5, 6, 7, 8, 9]
    assert children_of(LOG) == [A, B]


def test_a_child_sees_its_records_as_a_main_agent_would() -> None:
    seen = list(seen_from(A, LOG, started=2))
    assert [(one.seq, one.cause, one.actor) for one in own(seen)] == [
        (3, 0, "host"),
        (4, 3, "agent"),
        (5, 4, "tools"),
        (8, 5, "tools"),
        (9, 8, "agent"),
    ]
    assert [one.seq for one in seen if is_below(one)] == [6, 7]
    assert [one.seq for one in seen_from(B, seen, started=5)] == [6, 7]


def test_what_was_said_is_folded_for_each_agent_alone() -> None:
    main, every = Conversation(), Conversations()
    for one in LOG:
        main.evolve(one)
        every.evolve(one)
    said = [[m.content for m in fold.messages] for fold in (main, *map(every.of, (LOG[3], LOG[6])))]  # type: ignore[union-attr] # of people all
    assert said == [["Go."], ["Look."], ["Dig."]]


def test_the_end_of_a_childs_run_ends_nothing_above() -> None:
    work = OpenWork()
    asked = record(1, "agent", k.TimerSet(5))
    for one in (asked, record(2, "host", k.CancelRequested()), record(3, A, k.RunEnded("failed"))):
        work.evolve(one)
    assert work.read() == (Open(1, "timer.set"), Open(2, "cancel.requested"))
