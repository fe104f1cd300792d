"""``tinyagent prune REF --before N``: the beginning of a log, removed for good."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tinyagent.cli import refs
from tinyagent.cli.answers import Prune
from tinyagent.cli.options import COMMON, Common, Ref
from tinyagent.cli.render import answer, emit, line
from tinyagent.cli.summary import counted
from tinyagent.pruning import detach, forks, prune
from tinyagent.runtime.prune import Pruned


def run(
    ref: Ref,
    /,
    *,
    before: Annotated[
        int | None, Parameter(metavar="N", help="records before this one may go")
    ] = None,
    copies: Annotated[
        bool,
        Parameter(name="--detach", help="first copy into each fork beside it what they share"),
    ] = False,
    yes: Annotated[bool, Parameter(name="--yes", help="do it; else it is only said")] = False,
    common: Common = COMMON,
) -> int:
    """Remove whole segments below a snapshot, and say which records are gone."""
    place = refs.on_disk(refs.resolve(ref, common.dir))
    if not place.is_dir():
        raise refs.RefError(f"{place}: a packed log has no segments; only for logs in folders")
    if before is None and not copies:
        raise refs.RefError("say which records may go (--before N), or --detach its forks")
    needing = forks(place) if copies else []
    found = prune(place, before=before or 0, dry=True)
    told = _told(before, found, needing)
    if not yes and (found.upto or needing):
        raise refs.RefusedError(f"{place}: {told}, for good; say --yes to do it")
    for fork in needing:
        detach(fork)
    found = prune(place, before=before or 0)
    if common.json:
        answer(Prune(where=str(place), removed=found, detached=[str(fork) for fork in needing]))
    else:
        emit([line(f"{place}   {told}")], color=common.color)
    return 0


def _told(before: int | None, found: Pruned, needing: list[Path]) -> str:
    upto = found.upto
    gone = f"records 1..{upto}" if upto else "nothing"
    removed = f"removed {gone}: {counted(found.segments, 'segment')}, {found.bytes:,} bytes"
    if before and not upto:
        removed = f"removed nothing: no whole segment below a snapshot lies before record {before}"
    names = ", ".join(fork.name for fork in needing)
    return f"detached {names}; {removed}" if needing else removed
