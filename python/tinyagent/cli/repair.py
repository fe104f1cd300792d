"""``tinyagent repair REF -o NEW``: a log again of what can be read; each gap is on record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinyagent.cli import refs
from tinyagent.cli.render import document, safe
from tinyagent.runtime.repair import repair


def run(argv: Sequence[str]) -> int:
    """Write the new log, and say what is lost; the source stays as it is."""
    parser = refs.parser("repair")
    parser.add_argument("ref", metavar="REF")
    parser.add_argument("-o", metavar="NEW", dest="to", required=True, help="a folder; made")
    given = parser.parse_args(argv)
    place = refs.on_disk(refs.resolve(given.ref, given.dir))
    try:
        found = repair(place, Path(given.to))
    except ValueError as error:
        raise refs.RefError(str(error)) from error
    kept = sum(len(part) for part in found.parts if isinstance(part, list))
    lost = sum(gap.last - gap.first + 1 for gap in found.gaps)
    if given.json:
        told = {"log": found.meta.log, "where": str(place), "to": given.to}
        print(document("repair", **told, records=kept, lost=lost, gaps=found.gaps))
        return 0
    print(f"{safe(given.to)}   {kept:,} records kept, {lost:,} lost")
    for gap in found.gaps:
        span = f"records {gap.first}..{gap.last}"
        print(f"  {span}: {safe(gap.segment)}, {gap.bytes:,} bytes from byte {gap.offset:,} on")
    if found.gaps:
        print("It loads, and replays up to the first gap; tinyagent resume needs --accept-loss")
    return 0
