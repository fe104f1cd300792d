"""``tinyagent replay REF [--app MODULE:FACTORY]``: the same decisions and requests as recorded?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from xml.sax.saxutils import escape, quoteattr

from cyclopts import Parameter

from tinyagent.cli import refs, views
from tinyagent.cli.answers import Replay
from tinyagent.cli.live import application
from tinyagent.cli.options import COMMON, Common, Factory, Keys, Ref
from tinyagent.cli.reading import load
from tinyagent.cli.render import Line, answer, bad, dim, emit, good, line, safe
from tinyagent.runtime.divergence import Report
from tinyagent.verbs import configurations_of

CASCADE_MAX = 20
"""So many consequences are worded; ``--json`` has their number."""


def run(
    ref: Ref = "last",
    /,
    *,
    app: Factory = None,
    until: Annotated[int | None, Parameter(help="the last record to look at")] = None,
    loose: Annotated[
        bool, Parameter(help="go on behind the first divergence, and list what follows from it")
    ] = False,
    junit: Annotated[Path | None, Parameter(help="also write what CI reads, an XML file")] = None,
    html: Annotated[
        Path | None, Parameter(help="also write a page that shows where it diverged")
    ] = None,
    keys: Keys = None,
    common: Common = COMMON,
) -> int:
    """Print what was compared; return 1 at the first divergence."""
    factory = application(app) if app else None
    place = refs.place(ref, common.dir)
    recording = load(place.path, keys)
    if recording.meta.origin is not None:
        raise refs.RefusedError(f"{place.path}: imported, so nothing was recorded to compare with")
    today = configurations_of(factory, recording) if factory is not None else None
    report = recording.replay(today, until=place.n if until is None else until, is_loose=loose)
    if junit is not None:
        junit.write_text("\n".join(as_junit(recording.where, report)), encoding="utf-8")
    if html is not None:
        from tinyagent.viewer import to_html

        html.write_bytes(to_html(recording, report=report))
    if common.json:
        answer(plain(report))
    else:
        emit(worded(report, app), color=common.color, whole=report.first_divergence is not None)
    return int(report.first_divergence is not None)


def plain(report: Report) -> Replay:
    """Return *report* as JSON."""
    fault = report.first_divergence
    return Replay(
        where=report.where,
        ok=fault is None,
        records=report.records,
        matched=report.matched,
        requests=report.requests,
        unfinished=report.unfinished,
        unverifiable=report.unverifiable,
        lost=report.lost,
        divergence=str(fault) if fault is not None else None,
        seq=fault.seq if fault is not None else None,
        cause=fault.cause if fault is not None else None,
        paths=views.plain_leaves(fault.paths) if fault is not None else [],
        cascade=[one.seq or one.agreed for one in report.cascade],
        canonical=report.canonical,
        ended=report.ended or None,
        configuration=views.plain_leaves(report.configuration),
        state_before=(fault.state_before or None) if fault is not None else None,
        at=(fault.at or None) if fault is not None else None,
        outcome=report.result.outcome if report.result is not None else None,
    )


def worded(report: Report, app: str | None = None) -> Iterator[Line]:
    """Yield what was compared, or where the first divergence is."""
    if report.first_divergence is not None:
        yield from _diverged(report, app)
        return
    yield line(good("same"), f": {report.records} records")
    yield line(
        dim(
            f"{report.matched} decisions and {report.requests} model requests are what today's "
            "code makes of them; no tool, no network, nothing written"
        )
    )
    if report.canonical:
        yield line(
            f"{report.canonical} decisions are the same in other bytes, as of an older version"
        )
    if report.unverifiable:
        why = "something was redacted, or is encrypted and its key is not here"
        yield line(f"{report.unverifiable} decisions and requests cannot be compared: {why}")
    if report.ended:
        yield line(f"ended there: {report.ended}")
    if report.unfinished:
        cut = f"{report.unfinished} decisions at the end were cut off before they were recorded"
        yield line(cut)


def _diverged(report: Report, app: str | None) -> Iterator[Line]:
    assert report.first_divergence is not None
    first, *more = str(report.first_divergence).splitlines()
    yield line(bad("DivergenceError"), f": {first}")
    styles = {"recorded": "red", "now": "green", "where": "bold"}
    for text in more:
        head, rest = text[:12], text[12:]
        yield line(dim(head), (rest, styles.get(head.strip(), "")))
    seq = report.first_divergence.seq or report.first_divergence.agreed
    if app is not None and report.first_divergence.agreed:
        at = f"{report.where}:{report.first_divergence.agreed}"
        yield line(dim("  try       "), f"tinyagent fork {at} --app {app} --run")
    else:
        yield line(dim("  try       "), f"tinyagent show {report.where}:{seq}")
    if report.cascade:
        yield line(dim(f"{len(report.cascade)} more differ, most of them because of it:"))
    for one in report.cascade[:CASCADE_MAX]:
        yield line(dim(f"{one.seq or one.agreed:>5}  "), str(one).partition("\n")[0])


def as_junit(where: str, report: Report) -> Iterator[str]:
    """Yield a test suite of one case, as JUnit wrote it first and everybody reads it."""
    failed = int(report.first_divergence is not None)
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f'<testsuite name="tinyagent replay" tests="1" failures="{failed}" errors="0">'
    yield f'<testcase classname="tinyagent.replay" name={quoteattr(safe(where))}>'
    if report.first_divergence is not None:
        first, *more = (safe(text) for text in str(report.first_divergence).splitlines())
        yield f"<failure message={quoteattr(first)}>"
        yield from (escape(text) for text in more)
        yield "</failure>"
    yield "</testcase>"
    yield "</testsuite>\n"
