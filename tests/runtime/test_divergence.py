"""Where two JSON values differ, and how a divergence reads."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from tinyagent.runtime.divergence import (
    ABSENT,
    Difference,
    Divergence,
    Report,
    differences,
    shown,
)
from tinyagent.runtime.errors import DivergenceError

DIVERGENCE = Divergence(
    where="runs/invoices",
    seq=8,
    machine="agent",
    input=6,
    input_kind="model.finished",
    ordinal=2,
    of=2,
    grade="shape",
    recorded=("tool.requested", {"call_id": "b2", "name": "send_mail"}),
    now=("tool.requested", {"call_id": "b2", "name": "sent_mail"}),
    paths=(Difference("name", "send_mail", "sent_mail"),),
    agreed=7,
    not_compared=10,
)


@pytest.mark.parametrize(
    ("recorded", "now", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
        ({"a": 1}, {"a": 2}, [("a", 1, 2)]),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, [("a.b[1]", 2, 3)]),
        ([{"t": "x"}], [{"t": "y"}], [("[0].t", "x", "y")]),
        ({"a": 1}, {}, [("a", 1, ABSENT)]),
        ({}, {"a": None}, [("a", ABSENT, None)]),
        ({"a": None}, {}, [("a", None, ABSENT)]),
        ([1], [1, 2], [("[1]", ABSENT, 2)]),
        ([1, 2], [1], [("[1]", 2, ABSENT)]),
        ({"a": [1]}, {"a": {"0": 1}}, [("a", [1], {"0": 1})]),
        (1, 1.0, [("", 1, 1.0)]),
        (1, True, [("", 1, True)]),
        ("1", 1, [("", "1", 1)]),
        ({"x": 1, "y": 2}, {"y": 3, "z": 4}, [("x", 1, ABSENT), ("y", 2, 3), ("z", ABSENT, 4)]),
    ],
)
def test_every_leaf_that_differs_is_named_with_its_path(
    recorded: Any, now: Any, found: list[tuple[str, Any, Any]]
) -> None:
    given_back = [(d.path, d.recorded, d.now) for d in differences(recorded, now)]
    assert given_back == found
    assert [type(d) for d in given_back] == [type(d) for d in found]


def test_a_value_that_reads_like_absent_is_not_absent() -> None:
    recorded = msgspec.json.decode(b'{"a":"(absent)","b":["(absent)"]}')
    paths = [d.path for d in differences(recorded, {"b": []})]
    assert paths == ["a", "b[0]"]
    assert shown(recorded["a"]) == '"(absent)"'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "(absent)"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON, JSON)
@settings(max_examples=200, deadline=None)
def test_values_without_a_difference_are_the_same_json(one: Any, other: Any) -> None:
    encoded = [msgspec.json.encode(value, order="sorted") for value in (one, other)]
    fresh = [msgspec.json.decode(data) for data in encoded]
    assert (not list(differences(*fresh))) == (encoded[0] == encoded[1])
    assert list(differences(fresh[0], msgspec.json.decode(encoded[0]))) == []


def test_a_long_value_is_cut_and_its_length_said() -> None:
    assert shown({"a": 1}) == '{"a":1}'
    assert shown(ABSENT) == "(absent)"
    assert shown("x" * 300) == '"' + "x" * 199 + "… (302 characters)"
    assert len(shown("x" * 300, 10)) < 40


def test_a_divergence_reads_as_a_report() -> None:
    assert str(DIVERGENCE).splitlines() == [
        "record 8 is not what agent decides today (input 6 model.finished, decision 2 of 2)",
        "  where     runs/invoices:8  name",
        '  recorded  name  "send_mail"',
        '  now       name  "sent_mail"',
        "  cause     the code of the step changed, or the record was edited",
        "  agreed    records 1-7; 10 later records not compared",
    ]


def test_a_divergence_of_kind_shows_both_decisions_whole() -> None:
    other = msgspec.structs.replace(
        DIVERGENCE, paths=(), now=("tool.blocked", {"call_id": "b2", "by": "hook"})
    )
    assert str(other).splitlines()[1:4] == [
        "  where     runs/invoices:8  kind",
        '  recorded  ["tool.requested",{"call_id":"b2","name":"send_mail"}]',
        '  now       ["tool.blocked",{"call_id":"b2","by":"hook"}]',
    ]


def test_one_decision_more_has_no_number_of_its_own() -> None:
    extra = msgspec.structs.replace(DIVERGENCE, seq=0, grade="extra", recorded=None, paths=())
    lines = str(extra).splitlines()
    assert lines[0].startswith("a record after 7 is not what agent decides today")
    assert lines[1] == "  where     runs/invoices:7  kind"
    assert lines[2] == "  recorded  null"


def test_a_report_with_a_divergence_raises_it_and_one_without_does_not() -> None:
    fine = Report(where="x", records=3, matched=2, requests=1)
    fine.check()
    assert fine.ok
    report = msgspec.structs.replace(fine, first_divergence=DIVERGENCE)
    assert not report.ok
    with pytest.raises(DivergenceError, match="record 8 is not what agent decides today"):
        report.check()
