"""Real MCP servers on this machine: ``hotel.py``."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from tinyagent import McpServer

PROGRAM = Path(__file__).with_name("hotel.py")
Make = Callable[..., McpServer]
Calls = Callable[[], str]
START_S = 60.0
"""Time for processes to start and to end, on a machine that has other things to do."""


def environment(written: Path) -> dict[str, str]:
    passed = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    return {**passed, "CALLED_FILE": str(written)}


@contextmanager
def serving(written: Path) -> Generator[str]:
    process = subprocess.Popen(
        [sys.executable, PROGRAM, "--http"],
        env={**os.environ, **environment(written)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        yield process.stdout.readline().strip()
    process.kill()
    process.wait()


@contextmanager
def running(program: str, *args: object, env: dict[str, str]) -> Generator[subprocess.Popen[bytes]]:
    """Run a Python *program* until the end of the block, at the latest."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, PROGRAM, *map(str, args)],
        env={**os.environ, **env},
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def until(condition: Callable[[], object]) -> None:
    """Return when *condition* holds.

    Raises:
        TimeoutError: it did not in time.
    """
    async with asyncio.timeout(START_S):
        while not condition():  # noqa: ASYNC110 - a condition of another process
            await asyncio.sleep(0.01)
