"""The tables and the plot of a comparison, from the runs that it was made of."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.chart import bars
from tests.bench.peers import OURS, Client

TAO = "tiny-agent-os"
Runs = Sequence[dict[str, Any]]


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
    return {
        str(run["round"]): run["costs"][column.cost]
        for run in runs
        if run["client"] == client and run["scenario"] == column.scenario and "costs" in run
        if column.cost in run["costs"]
    }


def ratios(runs: Runs, client: str, base: str, column: Column) -> list[float]:
    """Return *client* over *base*, for every round in which both were measured."""
    ours, theirs = of(runs, client, column), of(runs, base, column)
    return sorted(ours[number] / theirs[number] for number in ours if theirs.get(number))


def told(value: float) -> str:
    """Return *value* with two digits that count."""
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}" if value >= 2 else f"{value:.2f}"


def spread(values: Sequence[float]) -> str:
    """Return the median and, in brackets, the least and the most."""
    if not values:
        return "–"
    middle = told(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} [{told(min(values))}–{told(max(values))}]"


def tables(runs: Runs, clients: Sequence[Client]) -> Iterator[str]:
    """Yield the lines: what each cost, then everybody as a multiple of ours."""
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
    loads = [run["load"] for run in runs]
    return (
        f"Our own runs of one scenario differed by {statistics.median(spans):.0%} in the median"
        f" (at most {max(spans):.0%}) from the least to the most; meanwhile"
        f" {statistics.median(loads):.1f} cores of the machine were busy, these runs included."
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


def write(
    folder: Path, runs: Runs, clients: Sequence[Client], machine: str, floors: Sequence[str]
) -> None:
    """Write ``benchmarks.md`` and ``benchmarks.svg`` into *folder*."""
    about = [f"- {client.name}: {client.about}" for client in clients]
    lines = [
        *(INTRODUCTION, f"{machine}.", noise(runs), "", *about, ""),
        *("![CPU beside ours](benchmarks.svg)", ""),
        *tables(runs, clients),
        *("", "## Log and mailboxes beside the standard library", "", *floors),
    ]
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
