"""``tinyagent resume REF --app MODULE:FACTORY``: end the run that a crash cut off."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from tinyagent._host.decisions import Decision, UnknownOutcome
from tinyagent._run.runs import RunFailedError
from tinyagent.cli import live, refs
from tinyagent.cli.answers import Resume
from tinyagent.cli.options import COMMON, Common, Factory, Ref, Yes
from tinyagent.cli.render import safe
from tinyagent.continuing import resume
from tinyagent.verbs import load

WORDS = "[d]one, give result  [f]ailed  [t]ell the model nobody knows  run [a]gain  [w]ait"


def run(
    ref: Ref = "last",
    /,
    *,
    app: Factory = None,
    yes: Yes = False,
    unknown: Annotated[
        str | None,
        Parameter(
            metavar="ask|wait|tell|again|failed=WHY|done=RESULT",
            help="what becomes of a call in doubt; @FILE reads the text; default: ask, else wait",
        ),
    ] = None,
    approve: Annotated[
        tuple[str, ...], Parameter(metavar="CALL", help="let this call run that waits for leave")
    ] = (),
    deny: Annotated[tuple[str, ...], Parameter(metavar="CALL", help="let it not run")] = (),
    accept_loss: Annotated[bool, Parameter(help="go on without what is lost")] = False,
    common: Common = COMMON,
) -> int:
    """Go on with the log; return 0 if an answer was reached."""
    factory = live.application(app)
    place = refs.place(ref, common.dir)
    before = load(place.path)
    last = before.records[-1].seq if before.records else 0
    is_lossy = before.damage is not None and bool(before.damage.lost_records)
    if before.status not in ("crashed", "forked", "paused", "running") and not is_lossy:
        print(safe(f"{place.path}: nothing to resume, it is {before.status}"), file=sys.stderr)
        return live.report(Resume, before, common, after=last)
    decide = decided_by(unknown or ("ask" if sys.stdin.isatty() else "wait"))
    decisions = _decisions(approve, deny, [call.call_id for call in before.approvals_pending])
    live.announce(f"resume {place.path}", before.settings, yes=yes)

    async def go_on() -> None:
        async with resume(
            place.path,
            factory,
            on_unknown=decide,
            approve=decisions,
            accept_loss=accept_loss,
        ) as agent:
            try:
                await agent.run()
            except RunFailedError as error:
                print(safe(f"RunFailedError: {error}"), file=sys.stderr)

    asyncio.run(go_on())
    return live.report(Resume, load(place.path), common, after=last)


def _decisions(approve: Sequence[str], deny: Sequence[str], waiting: list[str]) -> dict[str, bool]:
    """Return for each call that somebody decides about whether it may run.

    Raises:
        RefError: it waits for no approval, or is both approved and denied.
    """
    for call_id in (*approve, *deny):
        if call_id not in waiting:
            known = ", ".join(waiting) or "none"
            raise refs.RefError(f"call {call_id} waits for no approval (those that do: {known})")
        if call_id in approve and call_id in deny:
            raise refs.RefError(f"call {call_id}: --approve or --deny, not both")
    return {**dict.fromkeys(approve, True), **dict.fromkeys(deny, False)}


def decided_by(word: str) -> Callable[[UnknownOutcome], Decision]:
    """Return what *word* decides about every call in doubt.

    Raises:
        RefError: it is no such word.
    """
    name, _, text = word.partition("=")
    match name:
        case "ask":
            return _ask
        case "wait":
            return lambda call: call.wait()
        case "tell":
            return lambda call: call.tell()
        case "again":
            return lambda call: call.again()
        case "done" | "failed":
            told = live.text_of(text)
            return lambda call: call.done(told) if name == "done" else call.failed(told)
        case _:
            raise refs.RefError(f"--unknown {word}: ask, wait, tell, again, failed=, or done=")


def _ask(call: UnknownOutcome) -> Decision:
    """Ask at the terminal."""
    shown = ", ".join(f"{key}={value!r}" for key, value in call.arguments.items())
    print("in doubt: the process died while this ran", file=sys.stderr)
    print(
        safe(f"  {call.name}({shown})   attempt {call.attempt}   key {call.idempotency_key}"),
        file=sys.stderr,
    )
    print(f"  {WORDS}      default: wait", file=sys.stderr)
    choices: dict[str, Callable[[], Any]] = {
        "d": lambda: call.done(_line("result: ")),
        "f": lambda: call.failed(_line("why: ")),
        "t": call.tell,
        "a": call.again,
    }
    decision: Decision = choices.get(_line("> ").lower()[:1], call.wait)()
    return decision


def _line(prompt: str) -> str:
    print(prompt, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
