"""``tinyagent prune REF --before N``: the beginning of a log, removed for good."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from tinyagent.cli import refs
from tinyagent.cli.answers import Prune
from tinyagent.cli.options import COMMON, Common, Ref
from tinyagent.cli.render import answer, emit, line
from tinyagent.cli.summary import counted
from tinyagent.pruning import prune


def run(
    ref: Ref,
    /,
    *,
    before: Annotated[int, Parameter(metavar="N", help="records before this one may go")],
    yes: Annotated[bool, Parameter(name="--yes", help="remove them; else nothing is done")] = False,
    common: Common = COMMON,
) -> int:
    """Remove whole segments below a snapshot, and say which records are gone."""
    place = refs.on_disk(refs.resolve(ref, common.dir))
    if not place.is_dir():
        raise refs.RefError(f"{place}: a packed log has no segments; only for logs in folders")
    found = prune(place, before=before, dry=not yes)
    gone = f"records 1..{found.upto}" if found.upto else "nothing"
    told = f"{gone}: {counted(found.segments, 'segment')}, {found.bytes:,} bytes"
    if not yes and found.upto:
        raise refs.RefusedError(f"{place}: {told} would be removed for good; say --yes")
    if common.json:
        answer(Prune(where=str(place), removed=found))
    else:
        emit([line(f"{place}   removed {told}")], color=common.color)
    return 0
