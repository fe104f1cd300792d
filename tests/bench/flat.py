"""Whether what one more costs stays the same, however many there are: a table, and the picture.

Pure, as ``verdicts``: it reads the runs of ``growth.py``. ``why`` explains a line that rises.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.bench.chart import Panel
from tests.bench.kept import OURS, Runs, told

FROM, RISE_MAX = 100, 1.3
"""A line is flat if its end is at most so many times what it is at this size."""


class Line(NamedTuple):
    """A scenario of ``growth.py``, and its costs whose names end with ``unit``."""

    scenario: str
    unit: str
    title: str
    why: str = ""


COPIED = (
    "a function that stands for the model is given the messages as a list of its own, and copying "
    "takes five nanoseconds for each of them"
)
LINES = (
    Line("turns", "", "a turn with a tool more in a run, µs", COPIED),
    Line("prompts", "", "a prompt more in a conversation, synced, µs", COPIED),
    Line(
        "requests",
        "",
        "a turn more whose request goes over HTTP, µs",
        "the request says the whole conversation, as its protocol wants it: its bytes are what is "
        "encoded and sent, and they grow with it",
    ),
    Line("deltas", "", "a delta more in an answer, µs"),
    Line(
        "agents",
        "",
        "an agent more, a log on disk, µs",
        "measured apart, the process's own share is flat; the kernel's, which makes, writes and "
        "syncs the files, is as large or larger and scatters from press to press",
    ),
    Line("agents-memory", "", "an agent more, a log in memory, µs"),
    Line(
        "at-once",
        "",
        "an agent more that runs at the same time, µs",
        "Python's collector walks all that lives while so many are under way; without it the line "
        "is flat",
    ),
    Line("agents-memory", " KB", "an agent more, a log in memory, KB"),
)
PANELS = (
    ("A turn more", "turns or prompts so far", "CPU, µs", ("turns", "prompts", "requests"), ""),
    ("A delta more", "deltas so far", "CPU, µs", ("deltas",), ""),
    ("An agent more", "agents", "CPU, µs", ("agents", "agents-memory", "at-once"), ""),
    ("An agent more: memory", "agents", "KB", ("agents-memory",), " KB"),
)


def points(runs: Runs, scenario: str, unit: str) -> list[tuple[int, float]]:
    """Return sizes and medians over the rounds."""
    found: dict[int, list[float]] = {}
    for run in runs:
        if (run["client"], run["scenario"]) == (OURS, scenario):
            for name, value in run.get("costs", {}).items():
                size = name.removesuffix(unit)
                if size.isdigit() and name.endswith(unit):
                    found.setdefault(int(size), []).append(value)
    return [(size, statistics.median(values)) for size, values in sorted(found.items())]


def table(runs: Runs, lines: Sequence[Line]) -> Iterator[str]:
    """Yield the lines of the table, then why each that rises does."""
    grown = [(line, dict(points(runs, line.scenario, line.unit))) for line in lines]
    sizes = sorted({size for _, costs in grown for size in costs})
    yield "| one more of | " + " | ".join(f"{size:,}" for size in sizes) + f" | last / {FROM} |"
    yield "|---|" + "---:|" * (len(sizes) + 1)
    whys: list[str] = []
    for line, costs in grown:
        if FROM not in costs:
            continue
        rise = costs[max(costs)] / costs[FROM]
        cells = [told(costs[size]) if size in costs else "" for size in sizes]
        yield f"| {line.title} | {' | '.join(cells)} | {rise:.2f} |"
        if rise > RISE_MAX:
            whys.append(f"- {line.title}: {line.why or 'not looked into yet'}.")
    yield ""
    yield f"Not flat, that is more than {RISE_MAX} in the last column:" if whys else "All are flat."
    yield from ("", *whys) if whys else ()


def panels(runs: Runs) -> list[Panel]:
    """Return what there is to draw."""
    found: list[Panel] = []
    for title, x_label, y_label, scenarios, unit in PANELS:
        lines = [(name, points(runs, name, unit)) for name in scenarios]
        if any(line for _, line in lines):
            found.append(Panel(title, x_label, y_label, [one for one in lines if one[1]]))
    return found
