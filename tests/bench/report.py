"""The tables and the plot of a comparison, from the runs that it was made of."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench import flat, verdicts
from tests.bench.chart import bars, growth
from tests.bench.kept import OTHERS_MAX, OURS, Cost, Runs, by_round, spread, told
from tests.bench.peers import Client
from tests.bench.verdicts import Part


class Column(NamedTuple):
    """One number of the table: the cost that is told, and how."""

    scenario: str
    cost: str
    title: str
    digits: int
    more_is_better: bool = False


COLUMNS = (
    Column("text", "cpu_us_per_delta", "text-2000: CPU µs/delta", 1),
    Column("tools", "cpu_ms_per_turn", "tools-20: CPU ms/turn", 2),
    Column("ttfd", "first_delta_ms", "first delta ms (wall)", 2),
    Column("ptools", "cpu_ms", "16 tools at once: CPU ms", 1),
    Column("burst", "cpu_ms_per_turn", "200 × 5 tools: CPU ms/turn", 2),
    Column("burst", "sessions_per_s", "the same: sessions/s (wall)", 0, True),
    Column("conc", "cpu_us_per_delta", "200 × 50/s: CPU µs/delta", 0),
    Column("conc", "lat_p99_ms", "the same: p99 ms (wall)", 0),
    Column("idle", "kb_per_session_made", "KB per agent made", 1),
    Column("idle", "kb_per_session_after_run", "KB per idle agent", 1),
    Column("import", "import_cpu_ms", "import: CPU ms", 0),
)


def of(runs: Runs, client: str, column: Column) -> dict[str, float]:
    """Return what *client* cost, by round."""
    return by_round(runs, Cost(client, column.scenario, column.cost))


def ratios(runs: Runs, client: str, base: str, column: Column) -> list[float]:
    """Return *client* over *base*, for every round in which both were measured."""
    ours, theirs = of(runs, client, column), of(runs, base, column)
    return sorted(ours[number] / theirs[number] for number in ours if theirs.get(number))


def tables(runs: Runs, clients: Sequence[Client]) -> Iterator[str]:
    """Yield the lines: what each cost, then everybody as a multiple of ours."""
    clients = [one for one in clients if any(run["client"] == one.name for run in runs)]
    shown = [column for column in COLUMNS if any(of(runs, c.name, column) for c in clients)]
    yield "| | " + " | ".join(column.title for column in shown) + " |"
    yield "|---|" + "---:|" * len(shown)
    for client in clients:
        cells: list[str] = []
        for column in shown:
            values = of(runs, client.name, column).values()
            cells.append(f"{statistics.median(values):.{column.digits}f}" if values else "")
        yield f"| {client.name} | " + " | ".join(cells) + " |"
    yield ""
    yield "How many times ours, median of the ratios within a round [least–most]:"
    yield ""
    yield "| | " + " | ".join(column.title for column in shown) + " |"
    yield "|---|" + "---:|" * len(shown)
    for client in clients:
        if client.name != OURS:
            row = [spread(ratios(runs, client.name, OURS, column)) for column in shown]
            yield f"| {client.name} | " + " | ".join(row) + " |"


def noise(runs: Runs) -> str:
    """Return how much our own runs of one scenario differed."""
    spans = [
        (max(values) - min(values)) / statistics.median(values)
        for column in COLUMNS
        if len(values := list(of(runs, OURS, column).values())) > 2
    ]
    others = [run["others"] for run in runs if "took_s" in run]
    disturbed = sum(load > OTHERS_MAX for load in others)
    return (
        f"Our own runs of one scenario differed by {statistics.median(spans):.0%} in the median"
        f" (at most {max(spans):.0%}) from the least to the most. Meanwhile others, or the"
        f" hypervisor, kept {statistics.median(others):.2f} cores busy in the median; in"
        f" {disturbed} of {len(others)} runs more than {OTHERS_MAX}: figures made mostly of such"
        " runs are marked `~`."
        if spans
        else ""
    )


def short(costs: object) -> str:
    """Return *costs* for a line of progress."""
    if not isinstance(costs, dict):
        return str(costs)
    return ", ".join(f"{name} {told(value)}" for name, value in costs.items())


INTRODUCTION = """\
# Benchmarks

Written by `make bench`. The same work for everybody: a provider on this machine answers a scripted
stream, user code reads every delta, a tool answers at once. CPU is user and system time of the
client's process, all its threads; every number is the median over rounds in which all took turns,
each run in a fresh process. Ours writes its event log to disk in the default mode; the peers
keep none. How it is done: `tests/bench/`.
"""


GROWTH = """\
CPU, or memory, of one more when there are so many: of the second half of so many, each size in one
process. What is not quadratic is flat. An open log on disk has two open files of its
own, which bounds how many there can be; so most agents here have theirs in memory."""


def write(
    folder: Path, runs: Runs, clients: Sequence[Client], machine: str, goals: Sequence[Part]
) -> None:
    """Write ``benchmarks.md`` and its two pictures into *folder*."""
    about = [f"- {client.name}: {client.about}" for client in clients]
    lines = [
        *(INTRODUCTION, f"{machine}.", noise(runs), "", "## Goals", ""),
        *verdicts.table(runs, goals),
        *("", "## Agents beside peers", "", *about, "", "![CPU beside ours](benchmarks.svg)", ""),
        *tables(runs, clients),
        *("", "## Growth", "", GROWTH, "", "![What one more costs](growth.svg)", ""),
        *flat.table(runs, flat.LINES),
    ]
    folder.joinpath("growth.svg").write_text(growth(flat.panels(runs)))
    folder.joinpath("benchmarks.md").write_text("\n".join(lines) + "\n")
    folder.joinpath("benchmarks.svg").write_text(bars(list(_panels(runs, clients))))


def _panels(runs: Runs, clients: Iterable[Client]) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    for column in (COLUMNS[0], COLUMNS[1], COLUMNS[4], COLUMNS[6]):
        rows = [
            (client.name, statistics.median(values))
            for client in clients
            if (values := of(runs, client.name, column).values()) and "+" not in client.name
        ]
        if rows:
            yield column.title, sorted(rows, key=lambda row: row[1])
