"""``tinyagent resume REF --app MODULE:FACTORY``: end the run that a crash cut off."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any

from tinyagent._decisions import Decision, UnknownOutcome
from tinyagent._runs import RunFailedError
from tinyagent.cli import live, refs
from tinyagent.cli.render import safe
from tinyagent.continuing import resume
from tinyagent.verbs import load

WORDS = "[d]one, give result  [f]ailed  [t]ell the model nobody knows  run [a]gain  [w]ait"


def run(argv: Sequence[str]) -> int:
    """Go on with the log; return 0 if an answer was reached."""
    parser = refs.parser("resume")
    parser.add_argument("ref", nargs="?", default="last")
    live.add_arguments(parser)
    parser.add_argument(
        "--unknown",
        metavar="ask|wait|tell|again|failed=WHY|done=RESULT",
        default="ask" if sys.stdin.isatty() else "wait",
        help="what becomes of a call in doubt; @FILE reads the text from there",
    )
    parser.add_argument("--approve", metavar="CALL", action="append", default=[])
    parser.add_argument("--deny", metavar="CALL", action="append", default=[])
    parser.add_argument(
        "--accept-loss", action="store_true", help="go on although a repair gave up records"
    )
    given = parser.parse_args(argv)
    factory = live.application(given.app)
    place = refs.place(given.ref, given.dir)
    before = load(place.path)
    is_lossy = before.damage is not None and bool(before.damage.lost_records)
    if before.status not in ("crashed", "paused", "running") and not is_lossy:
        print(safe(f"{place.path}: nothing to resume, it is {before.status}"), file=sys.stderr)
        return live.report("resume", before, after=before.records[-1].seq, is_json=given.json)
    live.announce(f"resume {place.path}", before.settings, yes=given.yes)
    approve = {**dict.fromkeys(given.approve, True), **dict.fromkeys(given.deny, False)}
    decide = decided_by(given.unknown)

    async def go_on() -> None:
        async with resume(
            place.path,
            factory,
            on_unknown=decide,
            approve=approve,
            accept_loss=given.accept_loss,
        ) as agent:
            try:
                await agent.run()
            except RunFailedError as error:
                print(safe(f"RunFailedError: {error}"), file=sys.stderr)

    asyncio.run(go_on())
    after = before.records[-1].seq if before.records else 0
    return live.report("resume", load(place.path), after=after, is_json=given.json)


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
