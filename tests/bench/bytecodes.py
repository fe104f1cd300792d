"""What a run takes of Python: its byte codes, by module or by function.

``python -m tests.bench.bytecodes MODEL [--functions]``: an agent of ``client.py`` runs with a model
of ``provider.py``, as ``text-20``, ``tools-20`` or ``ptools-16``. Or, as ``restore-2500``, a log of
so many records is taken up, and what is told is for a record. Times scatter by a tenth from one
press to the next; this by a hundredth, so it tells whether a change of a few lines is for the
better. It knows nothing of what is native, and counts an ``await`` for more than it takes.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from tests.bench.client import Bench, Heard
from tests.bench.peers import provider
from tests.bench.restore import fill, take_up

WARM = 5
ROWS = 60
Count = Counter[tuple[str, str]]
"""Byte codes by file and function."""


def traced(count: Count, frame: FrameType) -> Any:
    """Return what has each byte code of *frame* counted."""
    key = (frame.f_code.co_filename, frame.f_code.co_qualname)
    frame.f_trace_opcodes, frame.f_trace_lines = True, False

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        count[key] += event == "opcode"
        return trace

    return trace


async def codes_of(model: str, url: str) -> Count:
    """Return the byte codes of one run, when others went before."""
    count: Count = Counter()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(url, Path(folder))
        for _ in range(WARM):
            await bench.one(model)
        agent = bench.agent(model)
        sys.settrace(lambda frame, event, argument: traced(count, frame))
        try:
            # In a task of its own: the frame of this one is not traced.
            await asyncio.create_task(bench.run(agent, Heard()))
        finally:
            sys.settrace(None)
            await agent.log.close()
    return count


def codes_of_restore(records: int) -> Count:
    """Return the byte codes of taking up a log of *records*, when it was done before."""
    count: Count = Counter()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "log"
        asyncio.run(fill(place, records))
        shutil.rmtree(place / "snap", ignore_errors=True)
        take_up(place)
        sys.settrace(lambda frame, event, argument: traced(count, frame))
        try:
            take_up(place)
        finally:
            sys.settrace(None)
    return count


def table(count: Count, turns: int, *, is_by_function: bool) -> str:
    """Return as text how many there were in the run, how many in a turn, and where most of them."""
    found: Counter[str] = Counter()
    for (file, function), codes in count.items():
        name = re.sub(r"^.*/(?=(?:tinyagent|asyncio|tests)/)", "", file)
        found[f"{name}:{function}" if is_by_function else name] += codes
    rows = [("all", found.total()), *found.most_common(ROWS)]
    return "\n".join(f"{codes:9,} {codes // turns:8,}  {name}" for name, codes in rows)


def main(model: str, *options: str) -> None:
    """Print the table of one run with *model*."""
    kind, _, number = model.partition("-")
    if kind == "restore":
        count, turns = codes_of_restore(int(number)), int(number)
    else:
        with provider() as (url, _):
            count = asyncio.run(codes_of(model, url))
        turns = int(number) + 1 if kind == "tools" else 1
    print(table(count, turns, is_by_function="--functions" in options))


if __name__ == "__main__":
    main(*sys.argv[1:])
