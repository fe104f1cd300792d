"""``tinyagent fork REF:N``: a log that shares another one up to record N, and goes on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tinyagent import edits
from tinyagent._run.runs import RunFailedError
from tinyagent.actors.forking import Edit
from tinyagent.cli import live, refs
from tinyagent.cli.answers import Fork
from tinyagent.cli.options import COMMON, ONE, Common, Factory, Yes
from tinyagent.cli.render import safe
from tinyagent.continuing import fork
from tinyagent.verbs import load, made_by


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Edits:
    """What shall be different."""

    prompt: Annotated[str | None, Parameter(help="what the user says instead")] = None
    tool_result: Annotated[
        tuple[str, ...], Parameter(metavar="CALL=TEXT", help="what a call came to; CALL=@FILE")
    ] = ()
    model: Annotated[str | None, Parameter(help="a model by name, provider:model")] = None
    system: Annotated[str | None, Parameter(help="the system prompt; @FILE reads it")] = None


UNEDITED = Edits()


def run(
    ref: Annotated[
        str, Parameter(name="REF:N", allow_leading_hyphen=True, help=f"{ONE}; without :N all of it")
    ],
    /,
    *,
    edit: Edits = UNEDITED,
    into: Annotated[Path | None, Parameter(help="beside the parent; made")] = None,
    allow_effects: Annotated[bool, Parameter(help="no approval for each effect")] = False,
    go: Annotated[bool, Parameter(name="--run", help="go on from there, live")] = False,
    app: Factory = None,
    yes: Yes = False,
    common: Common = COMMON,
) -> int:
    """Make the fork, and with ``--run`` go on from it; return 0 if that reached an answer."""
    factory = live.application(app) if go else None
    place = refs.place(ref, common.dir)
    if place.path == refs.DEMO:
        copy = refs.folder(common.dir) / refs.DEMO.name
        raise refs.RefError(
            f"a fork lies beside its parent, and {ref} in the package; copy it: "
            f"tinyagent export @demo --to jsonl -o {copy}"
        )
    parent = load(place.path)
    into = into or live.free_name(Path(place.path), "fork")
    if factory is not None:
        live.try_out(factory)
        live.announce(f"fork {place.path}", parent.settings, yes=yes)
    wanted = list(_edits(edit))

    async def make() -> tuple[int, str | None]:
        made = fork(place.path, at=place.n, edit=wanted, into=into, allow_effects=allow_effects)
        async with made as child:
            assert made.plan is not None
            plan = made.plan
            moved = f"; not at {plan.wanted}: {plan.because}" if plan.because else ""
            told = f"fork {child.meta.log[:8]} of {parent.meta.log[:8]}:{plan.at}"
            counted = f"{plan.at} records shared, {len(wanted)} edited{moved}"
            print(safe(f"{told}, {counted}; in {into}"), file=sys.stderr)
            if factory is not None:
                try:
                    await made_by(factory, child).run()
                except RunFailedError as error:
                    print(safe(f"RunFailedError: {error}"), file=sys.stderr)
            return plan.at, plan.because or None

    try:
        at, moved = asyncio.run(make())
    except ValueError as error:
        raise refs.RefError(str(error)) from error
    recording = load(into)
    told = {"at": at, "parent": parent.meta.log, "moved": moved}
    code = live.report(Fork, recording, common, after=at, **told)
    return code if factory is not None else 0


def _edits(given: Edits) -> Iterator[Edit]:
    if given.prompt is not None:
        yield edits.user_said(live.text_of(given.prompt))
    for one in given.tool_result:
        call_id, equals, text = one.partition("=")
        if not equals:
            raise refs.RefError(f"--tool-result {one}: expected CALL=TEXT or CALL=@FILE")
        yield edits.tool_result(call_id, live.text_of(text))
    if given.model is not None:
        yield edits.model(given.model)
    if given.system is not None:
        yield edits.system_prompt(live.text_of(given.system))
