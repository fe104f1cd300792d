"""The fold of a whole turn, and what holds for the fold of any log."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings, strategies as st

from tinyagent.events import (
    Conversation,
    Event,
    Failure,
    Record,
    View,
    decode,
    encode,
    kinds as k,
    record_of,
)
from tinyagent.events.messages import Assistant, Block, Message, Result, User

# The sample of the log format's specification: kind, cause, microseconds, payload.
SAMPLE = r"""
session.started 0 210 {"model":{"provider":"openai","id":"gpt-x"},"system":"Be brief.","tools":[{"name":"find_invoice","effect":"read","schema":{"type":"object","properties":{"no":{"type":"string"}}}},{"name":"send_mail","effect":"write","schema":{"type":"object","properties":{"to":{"type":"string"},"text":{"type":"string"}}}}]}
user.said 0 51400 {"content":"Remind Ann about INV-7."}
model.requested 2 51520 {"n":1}
model.delta 3 913040 {"pieces":[[0,"text","I look",861204]]}
model.delta 3 934102 {"pieces":[[0,"text"," it up and write.",[9120,0],[7,10]],[1,"call",{"id":"call_a1","name":"find_invoice"},410],[1,"args","{\"no\":\"INV-7\"}",0],[2,"call",{"id":"call_b2","name":"send_mail"},8007],[2,"args","{\"to\":\"ann@example.org\",\"text\":\"INV-7 is due.\"}",0]]}
model.finished 3 936655 {"reason":"tools","calls":[{"id":"call_a1","name":"find_invoice","args":"f3093375c6a664c4"},{"id":"call_b2","name":"send_mail","args":"f8e4aee7ee4ca235"}],"usage":{"input":212,"output":48},"request":"c84a09757ebaad3d"}
tool.requested 6 936801 {"call_id":"call_a1","name":"find_invoice"}
tool.requested 6 936812 {"call_id":"call_b2","name":"send_mail"}
tool.started 7 937020 {"call_id":"call_a1","effect":"read"}
tool.started 8 937044 {"call_id":"call_b2","effect":"write"}
tool.finished 7 937610 {"call_id":"call_a1","content":"INV-7: 120.00 EUR, \"overdue\"\nAnn Ó Briain"}
tool.finished 8 1204377 {"call_id":"call_b2","content":"sent"}
turn.ended 12 1204490 {"n":1}
model.requested 12 1204497 {"n":2}
model.delta 14 1799004 {"pieces":[[0,"text","Done: Ann was reminded.",594120]]}
model.finished 14 1801777 {"reason":"end","usage":{"input":297,"output":9,"cache_read":192},"request":"0e3cc730d9c08262"}
turn.ended 16 1801890 {"n":2}
run.ended 16 1801897 {"outcome":"answered","state":"56af4bde70a47ae7"}
"""  # noqa: E501 - as it stands there
STARTED_MS = 1795420800000
MODEL = {"provider": "openai", "id": "gpt-x"}


def sample() -> list[Record]:
    records: list[Record] = []
    for seq, line in enumerate(SAMPLE.strip().splitlines(), 1):
        kind, cause, us, payload = line.split(" ", 3)
        records.append(
            record_of(
                seq=seq,
                ts_us=STARTED_MS * 1000 + int(us),
                actor=None,
                kind=kind,
                v=1,
                cause=int(cause),
                payload=payload.encode(),
            )
        )
    return records


def folded(records: list[Record], into: Conversation | None = None) -> Conversation:
    conversation = into or Conversation()
    for record in records:
        conversation.evolve(record)
    return conversation


def test_the_sample_turn_is_five_messages() -> None:
    assert folded(sample()).messages == [
        User(2, "Remind Ann about INV-7."),
        Assistant(
            3,
            (
                Block("text", "I look it up and write."),
                Block("call", '{"no":"INV-7"}', "call_a1", "find_invoice"),
                Block(
                    "call",
                    '{"to":"ann@example.org","text":"INV-7 is due."}',
                    "call_b2",
                    "send_mail",
                ),
            ),
            MODEL,
            reason="tools",
            usage={"input": 212, "output": 48},
            at_ms=STARTED_MS + 936,
        ),
        Result(
            11,
            "call_a1",
            "find_invoice",
            'INV-7: 120.00 EUR, "overdue"\nAnn Ó Briain',
            at_ms=STARTED_MS + 937,
        ),
        Result(12, "call_b2", "send_mail", "sent", at_ms=STARTED_MS + 1204),
        Assistant(
            14,
            (Block("text", "Done: Ann was reminded."),),
            MODEL,
            usage={"input": 297, "output": 9, "cache_read": 192},
            at_ms=STARTED_MS + 1801,
        ),
    ]


def test_each_request_of_the_sample_asks_what_was_said_before_it() -> None:
    records = sample()
    assert len(folded(records[:3]).asked.read()) == 1
    asked = folded(records).asked
    assert [message.seq for message in asked.read()] == [2, 3, 11, 12]
    assert asked.settings.system == "Be brief."
    assert [(tool.name, tool.effect) for tool in asked.settings.tools] == [
        ("find_invoice", "read"),
        ("send_mail", "write"),
    ]


def test_the_sample_is_encoded_again_to_the_same_bytes() -> None:
    first, *rest = sample()
    assert [encode(record.event) for record in rest] == [record.payload for record in rest]
    # The first one says ``"effect":"write"``, which is the default and not written any more.
    assert decode("session.started", 1, encode(first.event)) == first.event


def test_a_result_is_revised_although_the_host_dropped_a_message_before_it() -> None:
    drop, after = (
        k.ContextEdited([["drop", 1]]),
        k.HostAnswered("after_tool_call", "a", content="X"),
    )
    conversation = folded(numbered([[EVENTS[0]], TURN, [drop, after]]))
    contents = [m.content for m in conversation.messages if isinstance(m, Result)]
    assert contents == ["X", "boom"]


CALLS = k.ModelDelta(
    [(0, "text", "t", 0), *((i, "call", {"id": c}, 0) for i, c in ((1, "a"), (2, "b")))]
)
EVENTS: list[Event] = [
    k.UserSaid("hi"),
    k.UserSaid("left", "steer"),
    k.UserDelivered([2, 3, 4]),
    k.UserWithdrawn([3]),
    k.ModelRequested(1),
    CALLS,
    k.ModelRetrying(2, Failure("network", "gone")),
    k.ModelFinished("tools", [k.CallRef("a", "f"), k.CallRef("b", "f")]),
    k.ModelFinished("end"),
    k.ModelFailed(Failure("cancelled", "aborted")),
    k.ToolFinished("a", "A"),
    k.ToolFailed("b", Failure("host", "boom")),
    k.HostAnswered("before_tool_call", "a", terminate=True),
    k.HostAnswered("after_tool_call", "a", content="changed"),
    k.HostFailed("after_tool_call", Failure("host", "withheld"), "b"),
    k.HostAnswered("context", ops=[["=", 0, 1], ["+", {"role": "user", "content": "x"}]]),
    k.ContextEdited([["insert", {"role": "note"}]]),
    k.ContextEdited([["drop", 1]]),
    k.ContextEdited([["clear"]]),
    k.TurnEnded(1),
    k.ConfigChanged({"system": "T"}),
    k.RunEnded("answered"),
]
TURN: list[Event] = [EVENTS[4], CALLS, EVENTS[7], EVENTS[10], EVENTS[11]]
LOGS = st.lists(st.sampled_from(EVENTS).map(lambda e: [e]) | st.just(TURN), max_size=8)


def numbered(parts: list[list[Event]]) -> list[Record]:
    events = [event for part in parts for event in part]
    return [
        Record(seq=seq, at_ns=seq * 10**6, cause=0, actor="", event=event)
        for seq, event in enumerate(events, 1)
    ]


def seen(view: View) -> tuple[Any, list[Message]]:
    return view.settings, view.read()


@given(LOGS)
@settings(max_examples=150, deadline=None)
def test_a_view_of_any_record_is_the_fold_up_to_there_for_ever(parts: list[list[Event]]) -> None:
    records = numbered(parts)
    conversation, views = Conversation(), list[tuple[View, View]]()
    for record in records:
        conversation.evolve(record)
        views.append((conversation.view(), conversation.asked))
    for count, (view, asked) in enumerate(views, 1):
        then = folded(records[:count])
        assert seen(view) == seen(then.view())
        assert seen(asked) == seen(then.asked)


@given(LOGS, st.data())
@settings(max_examples=50, deadline=None)
def test_a_fold_in_two_halves_is_the_fold_at_once(
    parts: list[list[Event]], data: st.DataObject
) -> None:
    records = numbered(parts)
    cut = data.draw(st.integers(0, len(records)))
    halves = folded(records[cut:], into=folded(records[:cut]))
    assert seen(halves.view()) == seen(folded(records).view())


@given(LOGS)
@settings(max_examples=100, deadline=None)
def test_messages_stand_in_the_order_in_which_they_joined(parts: list[list[Event]]) -> None:
    records = [record for record in numbered(parts) if isinstance(record.event, k.Fact)]
    quiet = [record for record in records if record.event.kind != "context.edited"]
    conversation, before = Conversation(), list[Message]()
    for record in quiet:
        conversation.evolve(record)
        now = list(conversation.messages)
        assert [_place(m) for m in now[: len(before)]] == [_place(m) for m in before]
        before = now
    answers = [m.seq for m in before if isinstance(m, Assistant) and m.seq]
    assert all(one <= other for one, other in pairwise(answers))


def _place(message: Message) -> tuple[type, int]:
    return type(message), message.seq
