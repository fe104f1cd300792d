"""What is said of growth: runs in, a table and a picture out."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from tests.bench.chart import Panel, growth
from tests.bench.flat import Line, panels, points, table


def runs(scenario: str, *rounds: dict[str, float]) -> list[dict[str, Any]]:
    return [{"client": "tinyagent", "scenario": scenario, "costs": costs} for costs in rounds]


def test_each_size_has_the_median_of_its_rounds() -> None:
    kept = runs("turns", {"100": 5.0, "10": 1.0}, {"100": 7.0, "10": 3.0}, {"100": 6.0, "10": 9.0})
    assert points(kept, "turns", "") == [(10, 3.0), (100, 6.0)]


def test_costs_of_another_unit_are_another_line() -> None:
    kept = runs("agents", {"10": 1.0, "10 KB": 30.0, "100 KB": 31.0})
    assert points(kept, "agents", "") == [(10, 1.0)]
    assert points(kept, "agents", " KB") == [(10, 30.0), (100, 31.0)]


def test_what_rises_is_explained_under_the_table_and_what_was_not_run_is_left_out() -> None:
    kept = [
        *runs("turns", {"100": 10.0, "1000": 13.0}),
        *runs("deltas", {"100": 10.0, "1000": 14.0}),
        *runs("prompts", {"100": 10.0, "1000": 20.0}),
    ]
    lines = [
        Line("turns", "", "a turn"),
        Line("deltas", "", "a delta", "they are joined"),
        Line("prompts", "", "a prompt"),
        Line("agents", "", "an agent"),
    ]
    assert list(table(kept, lines)) == [
        "| one more of | 100 | 1,000 | last / 100 |",
        "|---|---:|---:|---:|",
        "| a turn | 10.0 | 13.0 | 1.30 |",
        "| a delta | 10.0 | 14.0 | 1.40 |",
        "| a prompt | 10.0 | 20 | 2.00 |",
        "",
        "Not flat, that is more than 1.3 in the last column:",
        "",
        "- a delta: they are joined.",
        "- a prompt: not looked into yet.",
    ]
    assert "All are flat." in list(table(runs("turns", {"100": 1.0}), lines))


def test_the_picture_has_a_line_for_each_that_was_run_and_names_axes_and_lines() -> None:
    drawn = panels([*runs("turns", {"10": 10.0, "100": 10.0}), *runs("prompts", {"100": 9.0})])
    assert [(one.title, [name for name, _ in one.lines]) for one in drawn] == [
        ("A turn more", ["turns", "prompts"])
    ]
    svg = growth(drawn)
    words = [found.text for found in ElementTree.fromstring(svg).iter() if found.text]
    assert {"A turn more", "turns or prompts so far", "CPU, µs", "turns", "prompts"} <= set(words)
    assert {"0", "5", "10", "100"} <= set(words)


def test_a_line_that_costs_the_same_is_drawn_level_and_one_that_doubles_is_not() -> None:
    level, rising = [(10, 5.0), (1000, 5.0)], [(10, 5.0), (1000, 10.0)]
    svg = growth([Panel("t", "x", "y", [("level", level), ("rising", rising)])])
    assert '<path class="s0" d="M52.0,99.0 332.0,99.0"/>' in svg
    assert '<path class="s1" d="M52.0,99.0 332.0,30.0"/>' in svg
