"""``tinyagent show REF``: what was said and done; every record; a request; how things stood."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from tinyagent.cli import refs, views
from tinyagent.cli.answers import Show
from tinyagent.cli.diff import request_near
from tinyagent.cli.options import COMMON, Common, Keys, NoPager, Ref
from tinyagent.cli.parts import PlainRecord
from tinyagent.cli.reading import load
from tinyagent.cli.refs import Place, RefError
from tinyagent.cli.render import answer, bad, emit, line
from tinyagent.cli.transcript import event, rows, timeline, transcript
from tinyagent.cli.verify import worded
from tinyagent.events import KINDS, Record
from tinyagent.verbs import Recording

View = Literal["transcript", "events", "timeline", "context", "state"]


def run(
    ref: Ref = "last",
    /,
    *,
    view: Annotated[View | None, Parameter(help="default: transcript")] = None,
    only: Annotated[
        tuple[str, ...], Parameter(help="records of this kind, as --view events; more than once")
    ] = (),
    grep: Annotated[str | None, Parameter(help="lines that match this regular expression")] = None,
    no_pager: NoPager = False,
    keys: Keys = None,
    common: Common = COMMON,
) -> int:
    """Print the log, or how it stood at a record, and return 0."""
    pattern = _pattern(grep)
    place = refs.place(ref, common.dir)
    recording = load(place.path, keys)
    chosen = view or ("events" if only else "transcript")
    if only and chosen != "events":
        raise RefError(f"--only picks records: leave out --view {view}")
    _check_kinds(only, recording)
    lines, values = _views(recording, place, chosen, only)
    if common.json:
        shown = Show(
            view=chosen,
            log=recording.meta.log,
            name=recording.meta.name,
            where=recording.where,
            status=recording.status,
            usage=recording.usage,
            cost_usd=recording.cost,
            in_doubt=[call.call_id for call in recording.in_doubt],
            damage=recording.damage,
            **values(),
        )
        answer(shown)
        return 0
    emit(_shown(recording, lines, pattern), color=common.color, pager=not no_pager)
    return 0


def _shown(
    recording: Recording, lines: Iterator[str], pattern: re.Pattern[str] | None
) -> Iterator[str]:
    yield from (text for text in lines if pattern is None or pattern.search(text))
    if recording.damage is not None:
        yield line(bad(f"! {worded(recording)}"))


def _pattern(given: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(given) if given else None
    except re.error as error:
        raise RefError(f"--grep {given}: {error}") from None


def _check_kinds(only: tuple[str, ...], recording: Recording) -> None:
    """Name a kind that neither this release nor the log knows: nothing could be of it."""
    known = {*KINDS, *(record.event.kind for record in recording.records)}
    for kind in only:
        if kind not in known:
            near = get_close_matches(kind, known, 1)
            hint = f"; did you mean {near[0]}?" if near else "; tinyagent schema lists them"
            raise RefError(f"--only {kind}: no such kind of record{hint}")


def _views(
    recording: Recording, place: Place, view: View, only: tuple[str, ...]
) -> tuple[Iterator[str], Callable[[], dict[str, Any]]]:
    """Return a view as lines, and what makes JSON values of it."""
    if view == "context":
        request = recording.request_at(request_near(recording, place.n))
        return views.request(request), lambda: {"request": views.plain_request(request)}
    if view == "state":
        last = recording.records[-1].seq if recording.records else 0
        standing = recording.state_at(last if place.n is None else place.n)
        at = standing.seq
        return views.state(standing), lambda: {"record": at, "state": standing.plain()}
    if place.n is not None:
        recording.why(place.n)  # refuses a number that is not there
    if view == "events":
        shown = [
            record
            for record in recording.records
            if (place.n is None or record.seq <= place.n)
            and (not only or record.event.kind in only)
        ]
        return map(event, shown), lambda: {"records": [plain_record(record) for record in shown]}
    lines = timeline if view == "timeline" else transcript
    return lines(recording, place.n), lambda: {"lines": list(rows(recording, place.n))}


def plain_record(record: Record) -> PlainRecord:
    """Return *record* as JSON, its payload as it is written."""
    return PlainRecord(
        seq=record.seq,
        at_ns=record.at_ns,
        cause=record.cause,
        actor=record.actor,
        kind=record.event.kind,
        event=msgspec.Raw(record.payload),
    )
