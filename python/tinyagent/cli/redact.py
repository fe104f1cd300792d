"""``tinyagent redact REF -o NEW``: a log without what must not be in it, in a new folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tinyagent.cli import refs
from tinyagent.cli.render import document, safe
from tinyagent.masking import masked_with_env
from tinyagent.runtime.redact import Redaction, redact

_WHAT = re.compile(r"([0-9]+)(?::(.*))?", re.DOTALL)


def run(argv: Sequence[str]) -> int:
    """Write the new log, and say what was taken out; the source is its owner's to delete."""
    parser = refs.parser("redact")
    parser.add_argument("ref", metavar="REF")
    parser.add_argument("-o", metavar="NEW", dest="to", required=True, help="a folder; made")
    parser.add_argument(
        "--known-env", action="store_true", help="mask the keys of providers that are set here"
    )
    parser.add_argument(
        "--seq",
        metavar="N[:PATH]",
        action="append",
        default=[],
        help="the payload of record N; with a path such as /content, that value of it",
    )
    parser.add_argument(
        "--no-digest", action="store_true", help="leave no digest, of what could be guessed"
    )
    given = parser.parse_args(argv)
    what = [_asked(text) for text in given.seq]
    if not what and not given.known_env:
        raise refs.RefError("say what: --seq N, --seq N:/path, or --known-env")
    place = refs.on_disk(refs.resolve(given.ref, given.dir))
    masked = masked_with_env(place) if given.known_env else {}
    try:
        redact(place, Path(given.to), what, digest=not given.no_digest, masked=masked)
    except ValueError as error:
        raise refs.RefError(str(error)) from error
    named = [{"seq": one.seq, "path": one.path} for one in what]
    if given.json:
        told = {"where": str(place), "to": given.to}
        print(document("redact", **told, redacted=named, masked=sorted(masked)))
        return 0
    print(f"{safe(given.to)}   {len(what):,} taken out, {len(masked):,} records written anew")
    print(f"{safe(str(place))} still holds all of it: delete it yourself")
    return 0


def _asked(text: str) -> Redaction:
    found = _WHAT.fullmatch(text)
    if found is None:
        raise refs.RefError(f"--seq {text}: expected N or N:PATH, for example 17:/content")
    return Redaction(int(found[1]), found[2])
