"""``tinyagent redact REF -o NEW``: a log without what must not be in it, in a new folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tinyagent.cli import refs
from tinyagent.cli.answers import Redact
from tinyagent.cli.options import COMMON, Common, Ref
from tinyagent.cli.parts import Taken
from tinyagent.cli.render import answer, dim, emit, line
from tinyagent.masking import masked_with_env
from tinyagent.runtime.redact import Redaction, redact

_WHAT = re.compile(r"([0-9]+)(?::(.*))?", re.DOTALL)


def run(
    ref: Ref,
    /,
    *,
    to: Annotated[str, Parameter(name=["-o", "--output"], help="a folder; made")],
    known_env: Annotated[
        bool, Parameter(help="mask the keys of providers that are set here")
    ] = False,
    seq: Annotated[
        tuple[str, ...],
        Parameter(
            metavar="N[:PATH]",
            help="the payload of record N; with a path such as /content, that value of it",
        ),
    ] = (),
    no_digest: Annotated[bool, Parameter(help="leave no digest, of what could be guessed")] = False,
    common: Common = COMMON,
) -> int:
    """Write the new log, and say what was taken out; the source is its owner's to delete."""
    what = [_asked(text) for text in seq]
    if not what and not known_env:
        raise refs.RefError("say what: --seq N, --seq N:/path, or --known-env")
    place = refs.on_disk(refs.resolve(ref, common.dir))
    masked = masked_with_env(place) if known_env else {}
    try:
        redact(place, Path(to), what, digest=not no_digest, masked=masked)
    except ValueError as error:
        raise refs.RefError(str(error)) from error
    named = [Taken(seq=one.seq, path=one.path) for one in what]
    if common.json:
        told = {"where": str(place), "to": to}
        answer(Redact(**told, redacted=named, masked=sorted(masked)))
        return 0
    done = f"{to}   {len(what):,} taken out, {len(masked):,} records written anew"
    left = line(dim(f"{place} still holds all of it: delete it yourself"))
    emit([line(done), left], color=common.color, whole=True)
    return 0


def _asked(text: str) -> Redaction:
    found = _WHAT.fullmatch(text)
    if found is None:
        raise refs.RefError(f"--seq {text}: expected N or N:PATH, for example 17:/content")
    return Redaction(int(found[1]), found[2])
