"""``tinyagent archive REF``: the sealed segments of a log in one compressed file."""

from __future__ import annotations

from tinyagent.cli import refs
from tinyagent.cli.answers import Archive
from tinyagent.cli.options import COMMON, Common, Ref
from tinyagent.cli.render import answer, dim, emit, line
from tinyagent.cli.summary import counted
from tinyagent.runtime.archive import archive


def run(ref: Ref, /, *, common: Common = COMMON) -> int:
    """Archive the log, and say what was made of what; what is read of it stays the same."""
    place = refs.on_disk(refs.resolve(ref, common.dir))
    if not place.is_dir():
        raise refs.RefError(f"{place}: a packed log has no segments; only for logs in folders")
    made = archive(place)
    if common.json:
        answer(Archive(where=str(place), made=made))
        return 0
    lines = [
        line(
            f"{place / one.name}   {counted(one.segments, 'segment')}, {one.bytes:,} bytes in "
            f"{one.bytes_packed:,}"
        )
        for one in made
    ]
    emit(lines or [line(dim("nothing to archive: no sealed segment"))], color=common.color)
    return 0
