"""Measures us beside peers and floors on the same work, and writes ``docs/benchmarks.md``.

``python tests/bench/beside.py [--rounds N] [--only SCENARIO,..] [--clients NAME,..] [--write]``.
Clients take turns within a round, in alternating order, so that a busy moment of the machine meets
all alike; a ratio is made of two runs of one round, and what is told is the median of the ratios.
Every run is kept in ``target/bench.jsonl``; ``--again`` adds to the runs that are there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import floors, report
from tests.bench.peers import OURS, Client, busy_s, ours, peers, provider, run
from tests.bench.run import refuse_debug

ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "target/bench.jsonl"
BEGAN = int(time.time())
"""Rounds of another call are other rounds."""


class Scenario(NamedTuple):
    """What is measured, and how often each client does it."""

    name: str
    rounds: int


SCENARIOS = (
    Scenario("text", 7),
    Scenario("tools", 7),
    Scenario("ttfd", 5),
    Scenario("ptools", 5),
    Scenario("burst", 5),
    Scenario("conc", 5),
    Scenario("import", 7),
    Scenario("idle", 3),
)


def main() -> None:
    """Measure what was asked for, print the table, and write the page if told to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, help="for every scenario; else each has its number")
    parser.add_argument("--only", default="", help="scenarios, with commas")
    parser.add_argument("--clients", default="", help="clients, with commas")
    parser.add_argument("--again", action="store_true", help="keep the runs that are there")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    given = parser.parse_args()
    refuse_debug()
    if not given.again:
        RUNS.unlink(missing_ok=True)
    only, names = set(filter(None, given.only.split(","))), set(given.clients.split(",")) - {""}
    clients = [c for c in (*ours(), *peers()) if not names or c.name in names]
    if len(clients) == len(ours()):
        print("bench: TINYAGENT_PEERS names no folder with peers; only ourselves are measured")
    with provider() as url:
        for scenario in SCENARIOS:
            if not only or scenario.name in only:
                rounds = given.rounds or scenario.rounds
                for number in range(rounds):
                    one_round(number, scenario.name, clients, url)
    runs = [json.loads(line) for line in RUNS.read_text().splitlines()]
    print("\n".join(report.tables(runs, clients)))
    if given.write:
        beside_floors = asyncio.run(floors.table(given.rounds or 5))
        report.write(ROOT / "docs", runs, clients, about_machine(), beside_floors)


def one_round(number: int, scenario: str, clients: list[Client], url: str) -> None:
    """Let every client run *scenario* once, and keep what it cost."""
    for client in clients if number % 2 == 0 else reversed(clients):
        busy, start_s = busy_s(), time.monotonic()
        costs = run(client, scenario, url)
        if costs == "":
            continue
        took_s = time.monotonic() - start_s
        kept: dict[str, Any] = {"client": client.name, "scenario": scenario}
        kept["round"] = f"{BEGAN} {number}"
        kept["load"] = round((busy_s() - busy) / took_s, 2)
        if isinstance(costs, str):
            kept["error"] = costs
            print(f"bench: {client.name}, {scenario}: {costs}", file=sys.stderr)
        else:
            kept["costs"] = costs
        RUNS.parent.mkdir(exist_ok=True)
        with RUNS.open("a") as file:
            file.write(json.dumps(kept) + "\n")
        if client.name == OURS:
            print(f"{scenario} {number}: {report.short(costs)}", file=sys.stderr, flush=True)


def about_machine() -> str:
    """Return what was measured on."""
    cores = os.cpu_count()
    return f"CPython {platform.python_version()}, {platform.machine()}, {cores} cores"


if __name__ == "__main__":
    main()
