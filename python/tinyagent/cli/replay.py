"""``tinyagent replay REF [--app MODULE:FACTORY]``: the same decisions and requests as recorded?"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from tinyagent.cli.refs import resolve
from tinyagent.verbs import replay


def run(argv: Sequence[str]) -> int:
    """Print what was compared; return 1 at the first divergence."""
    parser = argparse.ArgumentParser(prog="tinyagent replay")
    parser.add_argument("ref", nargs="?", default="last")
    parser.add_argument("--app", metavar="MODULE:FACTORY", help="a callable that takes log=")
    given = parser.parse_args(argv)
    try:
        factory = application(given.app) if given.app else None
    except (ImportError, AttributeError, ValueError) as error:
        print(f"--app {given.app}: {error}", file=sys.stderr)
        return 2
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
    if report.unfinished:
        print(f"{report.unfinished} decisions at the end were cut off before they were recorded")
    return 0


def application(spec: str) -> Callable[..., Any]:
    """Return the factory that *spec* names.

    Raises:
        ValueError: it is not ``module:name``. ImportError, AttributeError: it is not there.
    """
    module, colon, name = spec.partition(":")
    if not colon or not name:
        raise ValueError("expected MODULE:FACTORY, for example myapp.agents:build")
    sys.path.insert(0, ".")
    factory: Callable[..., Any] = getattr(import_module(module), name)
    return factory
