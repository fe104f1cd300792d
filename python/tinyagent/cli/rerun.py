"""``tinyagent rerun REF --app MODULE:FACTORY``: all of it again, live, in a new log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from tinyagent.cli import live, refs
from tinyagent.continuing import rerun
from tinyagent.verbs import load


def run(argv: Sequence[str]) -> int:
    """Say the inputs of the log again; return 0 if the last of them reached an answer."""
    parser = refs.parser("rerun")
    parser.add_argument("ref", nargs="?", default="last")
    live.add_arguments(parser)
    parser.add_argument("--into", metavar="DIR", type=Path, help="the new log; made")
    given = parser.parse_args(argv)
    factory = live.application(given.app)
    place = refs.place(given.ref, given.dir)
    before = load(place.path)
    into = given.into or live.free_name(Path(place.path), "rerun")
    spent = before.usage.total_tokens
    what = f"rerun {place.path} into {into} ({spent:,} tokens the last time)"
    live.announce(what, before.settings, yes=given.yes)
    recording = asyncio.run(rerun(place.path, factory, into=into))
    return live.report("rerun", recording, after=0, is_json=given.json, into=str(into))
