"""``tinyagent fork REF:N``: a log that shares another one up to record N, and goes on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from tinyagent import edits
from tinyagent._runs import RunFailedError
from tinyagent.actors.forking import Edit
from tinyagent.cli import live, refs
from tinyagent.cli.render import safe
from tinyagent.continuing import fork
from tinyagent.verbs import load, made_by


def run(argv: Sequence[str]) -> int:
    """Make the fork, and with ``--run`` go on from it; return 0 if that reached an answer."""
    parser = refs.parser("fork")
    parser.add_argument("ref", metavar="REF:N")
    live.add_arguments(parser)
    parser.add_argument("--prompt", metavar="TEXT", help="what the user says instead")
    parser.add_argument("--tool-result", metavar="CALL=TEXT", action="append", default=[])
    parser.add_argument("--model", metavar="NAME", help="a model by name, provider:model")
    parser.add_argument("--system", metavar="TEXT", help="the system prompt; @FILE reads it")
    parser.add_argument("--into", metavar="DIR", type=Path, help="beside the parent; made")
    parser.add_argument("--allow-effects", action="store_true", help="no approval for each effect")
    parser.add_argument("--run", action="store_true", help="go on from there, live")
    given = parser.parse_args(argv)
    factory = live.application(given.app) if given.run else None
    place = refs.place(given.ref, given.dir)
    parent = load(place.path)
    into = given.into or live.free_name(Path(place.path), "fork")
    if factory is not None:
        live.announce(f"fork {place.path}", parent.settings, yes=given.yes)
    edit = _edits(given.prompt, given.tool_result, given.model, given.system)

    async def make() -> int:
        made = fork(place.path, at=place.n, edit=edit, into=into, allow_effects=given.allow_effects)
        async with made as child:
            assert made.plan is not None
            plan = made.plan
            moved = f"; not at {plan.wanted}: {plan.because}" if plan.because else ""
            told = f"fork {child.meta.log[:8]} of {parent.meta.log[:8]}:{plan.at}"
            counted = f"{plan.at} records shared, {len(edit)} edited{moved}"
            print(safe(f"{told}, {counted}; in {into}"), file=sys.stderr)
            if factory is not None:
                try:
                    await made_by(factory, child).run()
                except RunFailedError as error:
                    print(safe(f"RunFailedError: {error}"), file=sys.stderr)
            return plan.at

    try:
        at = asyncio.run(make())
    except ValueError as error:
        raise refs.RefError(str(error)) from error
    recording = load(into)
    code = live.report("fork", recording, after=at, is_json=given.json, at=at, into=str(into))
    return code if factory is not None else 0


def _edits(
    prompt: str | None, results: Sequence[str], model: str | None, system: str | None
) -> list[Edit]:
    found: list[Edit] = []
    if prompt is not None:
        found.append(edits.user_said(live.text_of(prompt)))
    for given in results:
        call_id, equals, text = given.partition("=")
        if not equals:
            raise refs.RefError(f"--tool-result {given}: expected CALL=TEXT or CALL=@FILE")
        found.append(edits.tool_result(call_id, live.text_of(text)))
    if model is not None:
        found.append(edits.model(model))
    if system is not None:
        found.append(edits.system_prompt(live.text_of(system)))
    return found
