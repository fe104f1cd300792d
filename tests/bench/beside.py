"""Measures us beside peers and floors on the same work, and writes ``docs/benchmarks.md``.

``python tests/bench/beside.py --wheel FILE [--rounds N] [--quick] [--only SCENARIO,..]
[--clients NAME,..] [--write]``. Clients take turns within a round, in alternating order, each in
a fresh process, so that a busy moment of the machine meets all alike; a ratio is made of two runs
of one round, and what is told is the median of the ratios. Every run, and what the rest of the
machine did meanwhile, is kept in ``target/bench.jsonl``; ``--again`` adds to what is there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench import flat, peers, report, verdicts
from tests.bench.environment import ROOT, installed, sizes
from tests.bench.goals import FRAMEWORKS, GOALS
from tests.bench.kept import OURS
from tests.bench.peers import Client

RUNS = ROOT / "target/bench.jsonl"
BEGAN = int(time.time())
"""Rounds of another call are other rounds."""
QUICK = frozenset({f"{OURS}+memory", *FRAMEWORKS, "pi-agent-core", "rawevents", "rawevents-fsync"})
"""Who is left out in two minutes."""


class Scenario(NamedTuple):
    """What is measured, how often each client does it, and whether in two minutes too."""

    name: str
    rounds: int = 5
    is_quick: bool = True


SCENARIOS = (
    Scenario("install", 1),
    Scenario("text"),
    Scenario("tools"),
    Scenario("ttfd"),
    Scenario("ptools"),
    Scenario("burst"),
    Scenario("conc", 5, False),
    Scenario("import"),
    Scenario("idle", 5, False),
    Scenario("counts"),
    Scenario("append"),
    Scenario("by64"),
    Scenario("each"),
    Scenario("read"),
    Scenario("restore", 5, False),
    Scenario("letter"),
    Scenario("ask"),
    *(Scenario(line, 5, False) for line in dict.fromkeys(line.scenario for line in flat.LINES)),
)


def main() -> None:
    """Measure what was asked for, print the table, and write the page if told to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, required=True, help="what is measured of ours")
    parser.add_argument("--rounds", type=int, help="for every scenario; else each has its number")
    parser.add_argument("--quick", action="store_true", help="a choice of both, two rounds")
    parser.add_argument("--only", default="", help="scenarios, with commas")
    parser.add_argument("--clients", default="", help="clients, with commas")
    parser.add_argument("--again", action="store_true", help="keep the runs that are there")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the provider ends with us
    if not given.again:
        RUNS.unlink(missing_ok=True)
    RUNS.parent.mkdir(exist_ok=True)
    only, names = set(filter(None, given.only.split(","))), set(given.clients.split(",")) - {""}
    python = installed(given.wheel)
    agents = [*peers.ours(python), *peers.peers()]
    left_out = QUICK if given.quick else ()
    all_of_them = [c for c in (*agents, *peers.parts(python)) if c.name not in left_out]
    clients = [c for c in all_of_them if not names or c.name in names]
    if len(agents) == len(peers.ours(python)):
        print("bench: TINYAGENT_PEERS names no folder with peers; only ourselves are measured")
    with peers.provider() as (url, pid):
        for scenario in SCENARIOS:
            if scenario.name in only or (not only and (scenario.is_quick or not given.quick)):
                rounds = given.rounds or (2 if given.quick else scenario.rounds)
                for number in range(rounds):
                    one_round(number, scenario.name, clients, url, pid)
    keep({"client": OURS, "scenario": "install", "costs": sizes(python, given.wheel)})
    runs = [json.loads(line) for line in RUNS.read_text().splitlines()]
    print("\n".join([*verdicts.table(runs, GOALS), "", *report.tables(runs, agents)]))
    if given.write:
        report.write(ROOT / "docs", runs, agents, about_machine(python), GOALS)


def one_round(number: int, scenario: str, clients: list[Client], url: str, provider: int) -> None:
    """Let every client run *scenario* once, and keep what it cost."""
    taking = [c for c in clients if scenario in c.only and number < rounds_of(c, scenario)]
    for client in taking if number % 2 == 0 else reversed(taking):
        others_s, start_s = peers.others_s(provider), time.monotonic()
        costs = peers.run(client, scenario, url)
        if costs == "":
            continue
        took_s = time.monotonic() - start_s
        kept: dict[str, Any] = {"client": client.name, "scenario": scenario, "round": number}
        kept["others"] = round((peers.others_s(provider) - others_s) / took_s, 2)
        kept["took_s"] = round(took_s, 2)
        kept["error" if isinstance(costs, str) else "costs"] = costs
        keep(kept)
        if isinstance(costs, str):
            print(f"bench: {client.name}, {scenario}: {costs}", file=sys.stderr)
        elif client.name == OURS:
            print(f"{scenario} {number}: {report.short(costs)}", file=sys.stderr, flush=True)


def rounds_of(client: Client, scenario: str) -> int:
    """Return how many rounds *client* takes part in: the slow ones in few, where no goal asks."""
    is_asked = any((client.name, scenario) == one[:2] for part in GOALS for one in part.costs)
    return client.rounds_max if is_asked or client.name not in FRAMEWORKS else 2


def keep(run: dict[str, Any]) -> None:
    """Keep one run; rounds of another call are other rounds."""
    named = {"others": 0.0, **run, "round": f"{BEGAN} {run.get('round', 0)}"}
    with RUNS.open("a") as file:
        file.write(json.dumps(named) + "\n")


def about_machine(python: str) -> str:
    """Return what was measured on."""
    version = subprocess.run([python, "--version"], capture_output=True, text=True, check=True)
    cores = f"{platform.machine()}, {os.cpu_count()} cores, their governor {peers.governor()}"
    return f"{version.stdout.strip()}, the same for all; {cores}"


if __name__ == "__main__":
    main()
