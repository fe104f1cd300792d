"""``tinyagent ls [DIR]``: the sessions of a folder, a line each, the newest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tinyagent._reading.costs import SECOND_NS
from tinyagent.cli import refs
from tinyagent.cli.answers import Ls
from tinyagent.cli.options import COMMON, Common
from tinyagent.cli.render import Line, Piece, answer, bad, bold, dim, emit, line, safe
from tinyagent.cli.summary import Summary, counted, dollars, summary_of
from tinyagent.runtime.clock import SystemClock
from tinyagent.runtime.errors import LogError, LogNotFoundError
from tinyagent.verbs import load

ID_MIN = 6
FIRST_MAX = 60
STYLES = {"crashed": "red", "failed": "red", "paused": "yellow", "running": "cyan"}


def run(
    where: Annotated[
        str | None, Parameter(name="DIR", help="else --dir, TINYAGENT_LOG_DIR, ./runs")
    ] = None,
    /,
    *,
    common: Common = COMMON,
) -> int:
    """Print the logs of a folder, and return 0; 3 if there is no such folder."""
    folder = refs.folder(where or common.dir)
    if not folder.is_dir():
        raise LogNotFoundError(f"{folder}: there is no such folder")
    logs, unreadable = found_in(folder)
    if common.json:
        answer(Ls(dir=str(folder), logs=logs, unreadable=unreadable))
    else:
        emit(table(logs, unreadable, SystemClock().now_us() * 1000), color=common.color)
    return 0


def found_in(folder: Path) -> tuple[list[Summary], dict[str, str]]:
    """Return the logs of *folder*, the newest first, and by path why others cannot be read."""
    logs: list[Summary] = []
    unreadable: dict[str, str] = {}
    for path, _ in refs.headers(folder, unreadable):
        try:
            logs.append(summary_of(load(path)))
        except LogError as error:
            unreadable[str(path)] = f"{type(error).__name__}: {error}"
    return sorted(logs, key=lambda log: log.at_ns, reverse=True), unreadable


def table(logs: Sequence[Summary], unreadable: dict[str, str], now_ns: int) -> Iterator[Line]:
    """Yield *logs* in columns."""
    if not logs and not unreadable:
        yield line(dim("no logs; record one, or name another folder"))
    digits = shortest(logs)
    rows = [[log.log[:digits], _since(log, now_ns), log.status] for log in logs]
    for row, log in zip(rows, logs, strict=True):
        row.extend(f"{number:,}" for number in (log.turns, log.tools, log.tokens))
        row.append(dollars(log.cost_usd))
    heads = ["ID", "AGE", "STATUS", "TURNS", "TOOLS", "TOKENS", "COST"]
    wide = [max(len(row[at]) for row in [heads, *rows]) for at in range(len(heads))]
    if logs:
        yield line(dim("  ".join(_aligned(heads, wide)) + "  FIRST WORDS"))
    for row, log in zip(rows, logs, strict=True):
        name, years, status, *numbers = _aligned(row, wide)
        start: list[Piece] = [bold(name), "  ", dim(years), "  "]
        start += [(status, STYLES.get(log.status, "")), "  ", "  ".join(numbers), "  "]
        yield line(*start, *_about(log))
    for path, why in unreadable.items():
        yield line(bad(f"! {path}  "), why)


def shortest(logs: Sequence[Summary]) -> int:
    """Return how many digits of the ids are needed to tell *logs* apart."""
    ids = {log.log for log in logs}
    return next(n for n in range(ID_MIN, 33) if len({name[:n] for name in ids}) == len(ids))


def _since(log: Summary, now_ns: int) -> str:
    return age(now_ns - log.at_ns) if log.status != "empty" else "-"


def age(since_ns: int) -> str:
    """Return a time that is past, in its largest unit."""
    left = max(since_ns, 0) // SECOND_NS
    for unit, many in (("s", 60), ("m", 60), ("h", 24), ("d", 365)):
        if left < many:
            return f"{left}{unit}"
        left //= many
    return f"{left}y"


def _aligned(row: Sequence[str], wide: Sequence[int]) -> list[str]:
    """Return the cells of *row*, numbers and ages to the right."""
    return [
        f"{text:<{size}}" if at in (0, 2) else f"{text:>{size}}"
        for at, (text, size) in enumerate(zip(row, wide, strict=True))
    ]


def _about(log: Summary) -> Iterator[Piece]:
    first = safe(log.first)
    yield first if len(first) <= FIRST_MAX else f"{first[: FIRST_MAX - 1]}…"
    if log.name is not None:
        yield dim(f"    @{log.name}")
    if log.fork is not None:
        yield dim(f"    fork of {log.fork}")
    if log.origin is not None:
        yield dim(f"    from {log.origin}")
    if log.in_doubt:
        yield bad(f"    {counted(log.in_doubt, 'tool')} in doubt")
    if log.approvals:
        yield f"    {counted(log.approvals, 'approval')} waited for", "yellow"
