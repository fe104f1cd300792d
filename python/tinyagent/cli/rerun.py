"""``tinyagent rerun REF --app MODULE:FACTORY``: all of it again, live, in a new log."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tinyagent.cli import live, refs
from tinyagent.cli.answers import Rerun
from tinyagent.cli.options import COMMON, Common, Factory, Ref, Yes
from tinyagent.continuing import rerun
from tinyagent.verbs import load


def run(
    ref: Ref = "last",
    /,
    *,
    app: Factory = None,
    yes: Yes = False,
    into: Annotated[Path | None, Parameter(help="the new log; made")] = None,
    common: Common = COMMON,
) -> int:
    """Say the inputs of the log again; return 0 if the last of them reached an answer."""
    factory = live.application(app)
    place = refs.place(ref, common.dir)
    before = load(place.path)
    beside = Path(place.path)
    if beside == refs.DEMO:  # nothing is written into the package
        beside = refs.folder(common.dir) / beside.name
    into = into or live.free_name(beside, "rerun")
    spent = before.usage.total_tokens
    what = f"rerun {place.path} into {into} ({spent:,} tokens the last time)"
    live.try_out(factory)
    live.announce(what, before.settings, yes=yes)
    try:
        recording = asyncio.run(rerun(place.path, factory, into=into))
    except ValueError as error:
        raise refs.RefError(str(error)) from error
    return live.report(Rerun, recording, common, after=0, parent=before.meta.log)
