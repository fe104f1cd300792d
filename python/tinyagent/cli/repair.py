"""``tinyagent repair REF -o NEW``: a log again of what can be read; each gap is on record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tinyagent.cli import refs
from tinyagent.cli.answers import Repair
from tinyagent.cli.options import COMMON, Common, Ref
from tinyagent.cli.render import answer, dim, emit, line
from tinyagent.runtime.repair import repair, verify


def run(
    ref: Ref,
    /,
    *,
    to: Annotated[str, Parameter(name=["-o", "--output"], help="a folder; made")],
    common: Common = COMMON,
) -> int:
    """Write the new log, and say what is lost; the source stays as it is."""
    place = refs.on_disk(refs.resolve(ref, common.dir))
    try:
        found = repair(place, Path(to))
    except ValueError as error:
        raise refs.RefError(str(error)) from error
    kept = sum(len(part) for part in found.parts if isinstance(part, list))
    lost = sum(gap.last - gap.first + 1 for gap in found.gaps)
    if common.json:
        told = {"log": found.meta.log, "where": str(place), "to": to}
        answer(Repair(**told, records=kept, lost=lost, gaps=found.gaps))
        return 0
    lines = [line(f"{to}   {kept:,} records kept, {lost:,} lost")]
    for gap in found.gaps:
        span = f"records {gap.first}..{gap.last}"
        text = f"  {span}: {gap.segment}, {gap.bytes:,} bytes from byte {gap.offset:,} on"
        lines.append(line(text))
    if values := len(verify(to).lost_values):
        lines.append(line(f"  {values:,} large values are missing in it, too, and shown as lost"))
    if found.gaps:
        text = "It loads, and replays up to the first gap; tinyagent resume needs --accept-loss"
        lines.append(line(dim(text)))
    emit(lines, color=common.color, whole=True)
    return 0
