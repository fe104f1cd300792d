"""``tinyagent replay REF [--app MODULE:FACTORY]``: the same decisions and requests as recorded?"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

from tinyagent.cli.live import application
from tinyagent.cli.refs import resolve
from tinyagent.verbs import replay


def run(argv: Sequence[str]) -> int:
    """Print what was compared; return 1 at the first divergence."""
    parser = argparse.ArgumentParser(prog="tinyagent replay")
    parser.add_argument("ref", nargs="?", default="last")
    parser.add_argument("--app", metavar="MODULE:FACTORY", help="a callable that takes log=")
    given = parser.parse_args(argv)
    factory = application(given.app) if given.app else None
    try:
        report = asyncio.run(replay(resolve(given.ref), factory))
    except TypeError as error:
        if factory is None:
            raise
        print(f"--app {given.app}: {error}", file=sys.stderr)
        return 2
    if report.first_divergence is not None:
        print(f"DivergenceError: {report.first_divergence}")
        return 1
    print(f"same: {report.records} records")
    print(
        f"{report.matched} decisions and {report.requests} model requests are what today's code "
        "makes of them; no tool, no network, nothing written"
    )
    if report.lost is not None:
        first, last = report.lost
        print(f"ended there: records {first}..{last} are lost, and none behind them is compared")
    if report.unfinished:
        print(f"{report.unfinished} decisions at the end were cut off before they were recorded")
    return 0
