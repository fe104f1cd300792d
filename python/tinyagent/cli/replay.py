"""``tinyagent replay REF [--app MODULE:FACTORY]``: the same decisions and requests as recorded?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from tinyagent.cli import refs
from tinyagent.cli.live import application
from tinyagent.cli.options import COMMON, Common, Factory, Ref
from tinyagent.cli.render import Line, bad, dim, document, emit, good, line
from tinyagent.runtime.divergence import Report
from tinyagent.verbs import replay


def run(ref: Ref = "last", /, *, app: Factory = None, common: Common = COMMON) -> int:
    """Print what was compared; return 1 at the first divergence."""
    factory = application(app) if app else None
    place = refs.place(ref, common.dir)
    try:
        report = asyncio.run(replay(place.path, factory))
    except TypeError as error:
        if factory is None:
            raise
        raise refs.RefError(f"--app {app}: {error}") from error
    if common.json:
        print(document("replay", **plain(report)))
    else:
        emit(worded(report), color=common.color)
    return int(report.first_divergence is not None)


def plain(report: Report) -> dict[str, object]:
    """Return *report* as JSON."""
    fault = report.first_divergence
    return {
        "ok": fault is None,
        "records": report.records,
        "matched": report.matched,
        "requests": report.requests,
        "unfinished": report.unfinished,
        "lost": report.lost,
        "divergence": str(fault) if fault is not None else None,
    }


def worded(report: Report) -> Iterator[Line]:
    """Yield what was compared, or where the first divergence is."""
    if report.first_divergence is not None:
        first, *more = str(report.first_divergence).splitlines()
        yield line(bad("DivergenceError"), f": {first}")
        yield from map(line, more)
        return
    yield line(good("same"), f": {report.records} records")
    yield line(
        dim(
            f"{report.matched} decisions and {report.requests} model requests are what today's "
            "code makes of them; no tool, no network, nothing written"
        )
    )
    if report.lost is not None:
        first_lost, last = report.lost
        span = f"records {first_lost}..{last}"
        yield line(f"ended there: {span} are lost, and none behind them is compared")
    if report.unfinished:
        cut = f"{report.unfinished} decisions at the end were cut off before they were recorded"
        yield line(cut)
