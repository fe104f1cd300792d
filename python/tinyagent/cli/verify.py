"""``tinyagent verify REF...``: whether every byte is in place; ``--deep``: and every step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from tinyagent.cli import refs
from tinyagent.cli.answers import Verify
from tinyagent.cli.options import COMMON, ONE, Common
from tinyagent.cli.parts import Deep, Verdict
from tinyagent.cli.render import Line, answer, bad, dim, emit, good, line, safe
from tinyagent.events import UnknownEvent
from tinyagent.events.gone import is_redacted, lost_value
from tinyagent.runtime.errors import CorruptLogError
from tinyagent.runtime.lost_values import LostValue
from tinyagent.runtime.repair import Report, verify
from tinyagent.runtime.stores.sqlite_checks import RESTORE, wrong_in
from tinyagent.runtime.stores.sqlite_tables import miscopied, place_of
from tinyagent.verbs import Recording, load


def run(
    *logs: Annotated[
        str, Parameter(name="REF", allow_leading_hyphen=True, help=f"{ONE}; left out: last")
    ],
    deep: Annotated[bool, Parameter(help="also fold the records and decide all anew")] = False,
    common: Common = COMMON,
) -> int:
    """Print a verdict for each log; return 1 if one is damaged."""
    places = [refs.resolve(ref, common.dir) for ref in logs or ("last",)]
    found = [verdict_on(place, is_deep=deep) for place in places]
    if common.json:
        answer(Verify(logs=found))
    else:
        wide = max(len(safe(one.path)) for one in found)
        emit((text for one in found for text in told(one, wide)), color=common.color, whole=True)
    return int(any(one.is_bad for one in found))


def verdict_on(place: str | Path, *, is_deep: bool) -> Verdict:
    """Return what there is to say of the log at *place*.

    Raises:
        LogError: there is none, or it cannot be read at all.
    """
    path = str(place)
    if isinstance(place, str):
        return of_database(place, wrong_in(place_of(place).path), is_deep=is_deep)[0]
    try:
        report = verify(place)
        is_read = is_deep and report.verdict != "corrupt"
        deep = deeply(load(place)) if is_read else None
    except CorruptLogError as error:
        return Verdict(path=path, verdict="corrupt", message=str(error))
    verdict = "ok" if report.verdict == "clean" else report.verdict
    return Verdict(
        path=path,
        verdict=verdict,
        message=_message(report),
        report=report,
        deep=deep,
    )


def of_database(
    address: str, wrong: Iterable[str], *, is_deep: bool
) -> tuple[Verdict, Recording | None]:
    """Return what there is to say of the log at *address*, of whose database something is *wrong*.

    With the log itself, unless it cannot be read.

    Raises:
        LogError: there is none, or it cannot be read at all.
    """
    told = partial(Verdict, path=address, verdict="corrupt")
    try:
        recording = load(address)
        odd = map("record {}: its columns are not what its line says".format, miscopied(address))
        first = next(chain(wrong, odd), None)
    except CorruptLogError as error:
        return told(message=str(error)), None
    deep = deeply(recording) if is_deep else None
    if first is not None:
        return told(message=f"{first}; {RESTORE}", deep=deep), recording
    if recording.damage is not None and recording.damage.lost_values:
        return told(message=_gone(recording.damage.lost_values), deep=deep), recording
    count = f"{len(recording.records):,} records"
    return Verdict(path=address, verdict="ok", message=count, deep=deep), recording


def deeply(recording: Recording) -> Deep:
    """Fold *recording* and hold every decision, request and digest in it against today's code."""
    from tinyagent.actors.unfit import examined

    records, damage = recording.records, recording.damage
    newer = (record for record in records if isinstance(record.event, UnknownEvent))
    unknown = sum(not is_redacted(record) and not lost_value(record) for record in newer)
    lost = damage.lost_records if damage is not None else ()
    found: dict[str, Any] = {
        "records": len(records),
        "unknown": unknown,
        "lost": tuple((gap.first, gap.last) for gap in lost),
    }
    seen = list(examined(recording.where, recording.meta.log, records))
    found["snapshots"] = sum(not one.why for one in seen)
    found["unfit"] = tuple((one.name, one.why) for one in seen if one.why)
    if recording.meta.origin is not None or not recording.conversation.settings.model:
        return Deep(**found)  # imported, or no session: nobody decided anything in it
    report = recording.replay()
    fault = report.first_divergence
    wrong = next((f"snapshot {one.name}: {one.why}" for one in seen if one.is_wrong), None)
    told = str(fault).partition("\n")[0] if fault is not None else wrong
    return Deep(matched=report.matched + report.requests, fault=told, **found)


def told(one: Verdict, wide: int = 0) -> Iterator[Line]:
    """Yield the lines about one log: its segments too, unless all is well."""
    verdict = f"{one.verdict:8} "
    style = {"ok": good(verdict), "corrupt": bad(verdict)}.get(one.verdict, (verdict, "yellow"))
    yield line(f"{safe(one.path):{wide}}   ", style, one.message)
    if one.report is not None and one.verdict != "ok":
        for segment in one.report.segments:
            yield line(f"  {segment.name}   {segment.verdict:8} {segment.records:,} records")
            yield from (line(dim(f"    {complaint}")) for complaint in segment.complaints)
    deep = one.deep
    if deep is None:
        return
    for first, last in deep.lost:
        yield line(f"  records {first}..{last} are lost; the log was repaired")
    if deep.unknown:
        yield line(f"  {deep.unknown} records are of kinds from a newer release")
    yield from (line(dim(f"  {name} is not used: {why}")) for name, why in deep.unfit)
    if deep.fault is not None:
        yield line(bad(f"  {deep.fault}"))
    else:
        what = f"  {deep.matched:,} decisions and requests are what today's code makes of them"
        yield line(dim(what))


def _gone(lost: Sequence[LostValue]) -> str:
    return (
        f"{len(lost)} large values are missing or damaged, the first is {lost[0].digest} of "
        f"record {lost[0].seq}; put it back from a copy, or fork before that record"
    )


def _message(report: Report) -> str:
    lost = report.lost_values
    if lost and all(segment.verdict != "corrupt" for segment in report.segments):
        return _gone(lost)
    if report.verdict == "corrupt":
        to = f"{report.where}-repaired"
        return f"{_first_hole(report)}; tinyagent repair {report.where} -o {to}"
    count = f"{report.records:,} records"
    match report.verdict:
        case "clean":
            return count
        case "torn":
            return (
                f"{count} usable; the end was never acknowledged; opening to append sets it aside"
            )
        case _:
            return f"{count} usable; {_unclosed(report.where)}"


def _first_hole(report: Report) -> str:
    complaints = [text for segment in report.segments for text in segment.complaints]
    if report.lost_values:
        complaints.append(f"{len(report.lost_values)} large values are missing")
    complaints.sort(key=lambda text: " are lost" not in text)  # what is gone says most
    return complaints[0] if complaints else "what was acknowledged is damaged"


def worded(recording: Recording) -> str:
    """Return in words what is wrong with a log that can be used all the same."""
    damage = recording.damage
    assert damage is not None
    usable = f"{len(recording.records):,} records usable"
    if damage.lost_records:
        gone = ", ".join(f"{lost.first} to {lost.last}" for lost in damage.lost_records)
        return f"{usable}; records {gone} are lost, it was repaired"
    if damage.lost_values:
        return f"{usable}; {len(damage.lost_values)} large values are missing"
    if damage.verdict == "torn":
        return (
            f"{usable}; the {damage.torn_bytes:,} bytes from {damage.path} byte {damage.offset:,} "
            "on were never acknowledged; opening to append sets them aside"
        )
    return f"{usable}; {_unclosed(recording.where)}"


def _unclosed(where: object) -> str:
    if Path(str(where)).is_file():
        return "there is no seal: it was not closed, or its end was cut off"
    return "it was not closed, all is there"
