"""What runs cost, as they are kept: by client, scenario and round."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

OURS = "tinyagent"
OTHERS_MAX = 0.3
"""Cores that the rest of the machine may be busy with before a run counts as disturbed."""
Runs = Sequence[dict[str, Any]]


class Cost(NamedTuple):
    """One number of one client's runs of one scenario."""

    client: str
    scenario: str
    name: str


def cost(words: str) -> Cost:
    """Return the cost that *words* are: client, scenario, name."""
    return Cost(*words.split())


def by_round(runs: Runs, wanted: Cost) -> dict[str, float]:
    """Return what *wanted* was, by round."""
    return {
        str(run["round"]): run["costs"][wanted.name]
        for run in runs
        if (run["client"], run["scenario"]) == (wanted.client, wanted.scenario)
        if wanted.name in run.get("costs", ())
    }


def is_disturbed(runs: Runs, wanted: Iterable[Cost]) -> bool:
    """Say whether others kept the machine busy in most runs that *wanted* were measured in."""
    meant = {(client, scenario) for client, scenario, _ in wanted}
    others = [run["others"] for run in runs if (run["client"], run["scenario"]) in meant]
    return bool(others) and statistics.median(others) > OTHERS_MAX


def told(value: float) -> str:
    """Return *value* with two digits that count."""
    size = abs(value)
    digits = 0 if size >= 20 else 1 if size >= 2 else 2
    return f"{value:.2g}" if 0 < size < 0.1 else f"{value:.{digits}f}"


def spread(values: Sequence[float]) -> str:
    """Return the median and, in brackets, the least and the most."""
    if not values:
        return "–"
    middle = told(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} [{told(min(values))}–{told(max(values))}]"
