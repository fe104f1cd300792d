"""What is said of a goal: numbers of rounds in, a verdict out."""

from __future__ import annotations

from typing import Any

import pytest
from tests.bench.goals import GOALS
from tests.bench.kept import by_round, cost, is_disturbed, spread
from tests.bench.verdicts import bound, part, table


def runs(*costs: tuple[str, int, float], others: float = 0.0) -> list[dict[str, Any]]:
    """Return runs, each of a cost in words, its round and its value."""
    found: list[dict[str, Any]] = []
    for words, number, value in costs:
        client, scenario, name = words.split()
        kept = {"client": client, "scenario": scenario, "round": number, "others": others}
        found.append({**kept, "costs": {name: value}})
    return found


RATIO = part("G1", "a / b", "a x ms", "b x ms", most=0.5, stretch=0.2)


def test_a_number_is_made_of_costs_of_one_round() -> None:
    kept = runs(("a x ms", 1, 3.0), ("a x ms", 2, 1.0), ("b x ms", 2, 4.0), ("b x ms", 3, 9.0))
    assert RATIO.values(kept) == [0.25]


def test_a_number_may_be_over_the_median_of_several_of_those_that_are_there() -> None:
    one = part("G2", "a / median", "a x ms", "b x ms;c x ms;d x ms;e x ms", most=1)
    kept = runs(("a x ms", 1, 6.0), ("b x ms", 1, 1.0), ("c x ms", 1, 3.0), ("d x ms", 1, 9.0))
    assert one.values(kept) == [2.0]


def test_a_number_may_have_something_taken_off_first() -> None:
    one = part("G3", "(a - b) / c", "a x ms", "c x ms", less="b x ms", most=4)
    kept = runs(("a x ms", 1, 9.0), ("b x ms", 1, 1.0), ("c x ms", 1, 2.0), ("a x ms", 2, 5.0))
    assert one.values(kept) == [4.0]


def test_a_number_may_stand_as_it_is() -> None:
    one = part("G5", "ms", "a x ms", most=25)
    assert one.values(runs(("a x ms", 1, 20.0), ("a x ms", 2, 30.0))) == [20.0, 30.0]


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.1, 0.2, 0.9], "stretch"),
        ([0.1, 0.21, 0.9], "met"),
        ([0.5], "met"),
        ([0.1, 0.75, 0.9], "missed, 1.5 times"),
        ([], "not measured"),
    ],
)
def test_the_median_is_judged(values: list[float], verdict: str) -> None:
    assert RATIO.verdict(values) == verdict


@pytest.mark.parametrize(
    ("value", "verdict"), [(10.0, "stretch"), (6.0, "met"), (3.0, "missed, 2 times")]
)
def test_of_a_floor_more_is_better(value: float, verdict: str) -> None:
    assert part("G6", "a / b", "a x n", "b x n", least=6, stretch=10).verdict([value]) == verdict


def test_what_must_be_zero_is_missed_by_what_there_is() -> None:
    one = part("G17", "calls", "a x n", most=0)
    assert [one.verdict([value]) for value in (0.0, 3.0)] == ["met", "missed by 3.0"]


def test_the_table_counts_goals_and_tells_what_is_in_the_way() -> None:
    parts = [
        RATIO,
        part("G2", "a of all", "a x ms", most=9, stretch=3),
        part("G2", "b of all", "b x ms", most=3, in_the_way="b is slow"),
        part("G3", "c", "c x ms", most=1),
    ]
    kept = runs(("a x ms", 1, 1.0), ("b x ms", 1, 4.0), ("a x ms", 2, 1.0), ("b x ms", 2, 8.0))
    assert list(table(kept, parts)) == [
        "1 of 3 goals are met: G1;",
        "at their stretch value 1: G1.",
        "",
        "| | what | figure [least–most] | goal | stretch | verdict |",
        "|---|---|---:|---:|---:|---|",
        "| G1 | a / b | 0.19 [0.12–0.25] | ≤ 0.5 | ≤ 1/5 | stretch |",
        "| G2 | a of all | 1.00 [1.00–1.00] | ≤ 9 | ≤ 3 | stretch |",
        "| G2 | b of all | 6.0 [4.0–8.0] | ≤ 3 |  | **missed, 2 times** |",
        "| G3 | c | – | ≤ 1 |  | **not measured** |",
        "",
        "What stands in the way of those that are missed:",
        "",
        "- G2, b of all: b is slow.",
    ]


def test_a_figure_of_disturbed_runs_is_marked() -> None:
    quiet = runs(("a x ms", 1, 1.0), ("b x ms", 1, 4.0))
    loud = runs(("a x ms", 2, 1.0), ("b x ms", 2, 4.0), ("b x ms", 3, 4.0), others=0.8)
    assert not is_disturbed(quiet, RATIO.costs)
    assert is_disturbed([*quiet, *loud], RATIO.costs)
    assert "| 0.25 [0.25–0.25] ~ |" in "\n".join(table([*quiet, *loud], [RATIO]))


def test_a_run_that_failed_has_no_cost() -> None:
    failed = {"client": "a", "scenario": "x", "round": 1, "others": 0.0, "error": "gone"}
    assert by_round([failed], cost("a x ms")) == {}


def test_shares_are_told_as_they_were_set() -> None:
    shown = [bound(one, one.goal) for one in GOALS if one.goal_of in ("G1", "G6", "G16")]
    assert shown == [
        "≤ 1/12",
        "≤ 1/3",
        "≤ 4",
        "≤ 1/6",
        "≥ 6",
        "≤ 0.5",
        "≤ 1.5",
        "≤ 1/15",
        "≤ 1/2.5",
    ]


def test_every_goal_has_a_part_and_no_bound_contradicts_its_stretch() -> None:
    assert {one.goal_of for one in GOALS} == {f"G{number}" for number in range(1, 18)}
    for one in GOALS:
        assert one.stretch is None or one.reaches(one.stretch, one.goal), one.what


def test_numbers_have_two_digits_that_count() -> None:
    assert spread([0.0123, 1.234, 123.4]) == "1.23 [0.012–123]"
